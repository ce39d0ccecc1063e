//! Names: what Kubernetes allows, and how Flyte makes them.

mod distance;
mod excerpt;
mod glob;
mod mount_path;

pub use distance::{distance, may_be_near};
pub(crate) use excerpt::excerpt;
pub use glob::Glob;
pub(crate) use mount_path::{cleaned, is_below, is_mount_path, taken_path};

/// The longest name of a volume or container: a
/// [DNS label](https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names).
pub const DNS_LABEL_LENGTH: usize = 63;

/// The longest name of a Secret, and of a key in one.
const SUBDOMAIN_LENGTH: usize = 253;

/// Whether every Kubernetes version takes `name` as a variable's name
/// ([IsEnvVarName](https://github.com/kubernetes/apimachinery/blob/master/pkg/util/validation/validation.go)).
pub fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name != "."
        && !name.starts_with("..")
        && is_plain(name, "-_.")
}

/// Whether `key` can be a key in a Secret's data
/// ([IsConfigMapKey](https://github.com/kubernetes/apimachinery/blob/master/pkg/util/validation/validation.go)).
pub fn is_secret_key(key: &str) -> bool {
    !key.is_empty() && key.len() <= SUBDOMAIN_LENGTH && !key.starts_with("..") && key != "." && is_plain(key, "-_.")
}

/// Whether `name` can be an object's name: a
/// [DNS subdomain](https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names).
pub fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= SUBDOMAIN_LENGTH && name.split('.').all(is_dns_label_of_any_length)
}

/// Whether `name` is a DNS label, as the names of namespaces, volumes and containers are.
pub fn is_dns_label(name: &str) -> bool {
    name.len() <= DNS_LABEL_LENGTH && is_dns_label_of_any_length(name)
}

fn is_dns_label_of_any_length(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('-') && !name.ends_with('-') && is_lower(name, "-")
}

/// Returns whether `text` has only ASCII letters, digits and characters of `further`.
pub(crate) fn is_plain(text: &str, further: &str) -> bool {
    let is_of = |byte: u8| further.bytes().any(|other| other == byte);
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_of(byte))
}

/// Returns whether `text` has only lower case ASCII letters, digits and characters of `further`.
pub(crate) fn is_lower(text: &str, further: &str) -> bool {
    is_plain(text, further) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Whether `key` can be an annotation's or label's key: a name of at most 63 characters, with a DNS subdomain and `/`
/// before it where wanted
/// ([syntax](https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/#syntax-and-character-set)).
pub fn is_metadata_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_metadata_name(name),
        None => is_metadata_name(key),
    }
}

/// Whether `value` can be a label's value: empty, or as the name in a label's key.
pub fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_metadata_name(value)
}

fn is_metadata_name(name: &str) -> bool {
    name.len() <= DNS_LABEL_LENGTH
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.ends_with(|last: char| last.is_ascii_alphanumeric())
        && is_plain(name, "-_.")
}

/// A short, stable text for `bytes`: FNV-1a, 64 bits, in 16 hexadecimal digits. It tells names apart; it protects
/// nothing.
pub fn short_hash(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        for (name, valid) in [
            ("_UNION_GROUP_KEY", true),
            ("_UNION_MY-APP.DB", true),
            ("1A", false),
            ("", false),
            ("A B", false),
            ("ßA", false),
            ("..A", false),
        ] {
            assert_eq!(is_variable(name), valid, "{name}");
        }
    }
}
