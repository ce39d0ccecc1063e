//! What a Pod asks for. Only this module knows how requests are written in annotations.
//!
//! Two forms exist side by side: Flyte's ([`flyte`]) and a readable one ([`JSON_ANNOTATION`]).

pub mod base32;
pub mod flyte;
#[cfg(test)]
mod golden_tests;
pub(crate) mod json;
mod model;
mod text_format;

pub use model::{
    Asked, Containers, FLYTE_PREFIX, JSON_ANNOTATION, MAX_CONTAINERS, MAX_FIELD_LENGTH, MountRequirement, Origin,
    PRIMARY_ANNOTATION, PRIMARY_CONTAINER, SecretRequest, WHOLE,
};

use crate::names::{excerpt, is_plain};
use crate::sort::{positions, sort_by};

/// Everything that a Pod's annotations ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    /// Each secret once: Flyte's by the number in their keys, then those of the readable annotations by the annotations'
    /// names and in the order of their lists.
    pub requests: Vec<SecretRequest>,
    /// Sentences on annotations that look like requests but are none.
    pub warnings: Vec<String>,
}

/// Reads all requests among a Pod's annotations; other annotations are passed over.
///
/// The order of `annotations` does not matter. Should it hold one key twice, both of Flyte's count, and the last
/// readable one.
///
/// A secret asked for twice, that is, equal in all but origin, containers and `optional`, becomes one request: the first, for
/// the containers of both. Of `optional`, the strictest counts for all requests of a secret: false, then absent, then true.
///
/// # Errors
/// A sentence on the first request, in the order of [`Requests::requests`], that cannot be read: the annotation, the place
/// in it and a way out. Of the annotation's value it holds at most the start of one word, escaped.
pub fn from_annotations<'a>(annotations: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Requests, String> {
    let mut numbered = Vec::new();
    let mut readable: Vec<(&str, &str)> = Vec::new();
    let mut warnings = Vec::new();
    for (key, value) in annotations {
        match Key::new(key) {
            Some(Key::Flyte(number)) => numbered.push((number, key, value)),
            Some(Key::Json) => {
                readable.retain(|(earlier, _)| *earlier != key);
                readable.push((key, value));
            }
            Some(Key::Lookalike) => warnings.push(not_a_request(key)),
            None => {}
        }
    }
    sort_by(&mut numbered, Ord::cmp);
    sort_by(&mut readable, Ord::cmp);
    sort_by(&mut warnings, Ord::cmp);

    let mut requests = Vec::with_capacity(numbered.len());
    for (_, key, value) in numbered {
        requests.push(flyte_request(key, value)?);
    }
    for (key, value) in readable {
        requests.extend(json::decode(key, value)?);
    }
    Ok(Requests {
        requests: merge(requests),
        warnings,
    })
}

/// Returns whether the annotation `key` holds a request.
pub fn is_request(key: &str) -> bool {
    matches!(Key::new(key), Some(Key::Flyte(_) | Key::Json))
}

/// An annotation's key that starts as those of requests do.
enum Key<'a> {
    /// [`FLYTE_PREFIX`] and a number.
    Flyte(Number<'a>),
    /// [`JSON_ANNOTATION`], alone or with `-` and a name behind it.
    Json,
    /// Something else.
    Lookalike,
}

impl<'a> Key<'a> {
    fn new(key: &'a str) -> Option<Self> {
        if let Some(suffix) = key.strip_prefix(FLYTE_PREFIX) {
            return Some(number(suffix).map_or(Self::Lookalike, Self::Flyte));
        }
        let suffix = key.strip_prefix(JSON_ANNOTATION)?;
        let is_name = |name: &str| {
            let ends = [name.bytes().next(), name.bytes().next_back()];
            ends.iter()
                .all(|end| end.is_some_and(|end| end.is_ascii_alphanumeric()))
                && is_plain(name, "-.")
        };
        let is_json = suffix.is_empty() || suffix.strip_prefix('-').is_some_and(is_name);
        Some(if is_json { Self::Json } else { Self::Lookalike })
    }
}

fn flyte_request(key: &str, value: &str) -> Result<SecretRequest, String> {
    let secret = flyte::decode(value).map_err(|problem| {
        let key = excerpt(key);
        format!("annotation {key} cannot be decoded: {problem}; for requests by hand there is {JSON_ANNOTATION}")
    })?;
    Ok(SecretRequest {
        group: secret.group,
        group_version: secret.group_version,
        key: secret.key,
        mount: secret.mount,
        env_var: secret.env_var,
        ..SecretRequest::new(Origin::Flyte { key: key.to_owned() })
    })
}

fn not_a_request(key: &str) -> String {
    let rule = if key.starts_with(FLYTE_PREFIX) {
        format!("{FLYTE_PREFIX} and a decimal number, such as {FLYTE_PREFIX}0")
    } else {
        format!(
            "{JSON_ANNOTATION}, alone or with - and a name of letters, digits, '-' and '.', such as {JSON_ANNOTATION}-db"
        )
    };
    format!("annotation {} is ignored: a request's key is {rule}", excerpt(key))
}

/// A decimal number of any length, which compares by value: its length without leading zeros, its digits without them, and its
/// length with them. `7` comes before `007`: two keys of a Pod, so two requests.
type Number<'a> = (usize, &'a str, usize);

fn number(text: &str) -> Option<Number<'_>> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let digits = text.trim_start_matches('0');
    is_number.then_some((digits.len(), digits, text.len()))
}

/// Sorting instead of comparing each with each keeps hundreds of requests cheap.
fn merge(requests: Vec<SecretRequest>) -> Vec<SecretRequest> {
    let identity = |place: &usize| requests.get(*place).map(SecretRequest::identity);
    let order = positions(requests.len(), &|one, other| identity(&one).cmp(&identity(&other)));
    let none_is_optional = requests.iter().all(|request| request.optional.is_none());
    // Nearly always.
    if none_is_optional && order.is_sorted_by(|one, other| identity(one) < identity(other)) {
        return requests;
    }
    merge_equal(requests)
}

fn strictness(optional: &Option<bool>) -> u8 {
    match optional {
        Some(false) => 0,
        None => 1,
        Some(true) => 2,
    }
}

fn merge_equal(requests: Vec<SecretRequest>) -> Vec<SecretRequest> {
    let mut placed: Vec<(usize, SecretRequest)> = requests.into_iter().enumerate().collect();
    sort_by(&mut placed, |(_, one), (_, other)| {
        one.identity().cmp(&other.identity())
    });
    // A secret that the Pod needs in one place may be missing in no other: one variable or one volume may serve both.
    for same in placed.chunk_by_mut(|(_, one), (_, other)| one.secret() == other.secret()) {
        let strictest = same.iter().map(|(_, request)| request.optional).min_by_key(strictness);
        for (_, request) in same {
            request.optional = strictest.flatten();
        }
    }
    placed.dedup_by(|(_, later), (_, first)| {
        let same = later.identity() == first.identity();
        if same {
            first.containers.absorb(&mut later.containers);
        }
        same
    });
    sort_by(&mut placed, |(one, _), (other, _)| one.cmp(other));
    placed
        .into_iter()
        .map(|(_, request)| SecretRequest {
            containers: request.containers.normalised(),
            ..request
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flyte(text: &str) -> String {
        base32::encode(text.as_bytes())
    }

    /// Each request as "origin: key", for comparing.
    fn outline(annotations: &[(&str, &str)]) -> Vec<String> {
        let requests = from_annotations(annotations.iter().copied()).unwrap().requests;
        requests
            .iter()
            .map(|request| format!("{}: {}", request.origin, request.key))
            .collect()
    }

    #[test]
    fn flytes_come_first_and_by_number() {
        let [a, b, c, d, e, f] = ["a", "b", "c", "d", "e", "f"].map(|key| flyte(&format!("key:'{key}'")));
        let annotations = [
            ("secret-injector/requests-wandb", r#"[{"key":"u"}]"#),
            ("secret-injector/requests", r#"[{"key":"y"},{"key":"x"}]"#),
            ("secret-injector/requests-platform.v2", r#"[{"key":"v"},{"key":"y"}]"#),
            ("flyte.secrets/s10", c.as_str()),
            ("flyte.secrets/s9", b.as_str()),
            ("flyte.secrets/s007", f.as_str()),
            ("flyte.secrets/s7", e.as_str()),
            ("flyte.secrets/s340282366920938463463374607431768211456", d.as_str()),
            ("flyte.secrets/s0", a.as_str()),
            ("example.com/other", "!"),
        ];
        let expected = [
            "annotation flyte.secrets/s0: a",
            "annotation flyte.secrets/s7: e",
            "annotation flyte.secrets/s007: f",
            "annotation flyte.secrets/s9: b",
            "annotation flyte.secrets/s10: c",
            "annotation flyte.secrets/s3402823669209384634633746…: d",
            "annotation secret-injector/requests, item 1: y",
            "annotation secret-injector/requests, item 2: x",
            "annotation secret-injector/requests-platform.v2, item 1: v",
            "annotation secret-injector/requests-wandb, item 1: u",
        ];
        assert_eq!(outline(&annotations), expected);
        let mut reversed = annotations;
        reversed.reverse();
        assert_eq!(outline(&reversed), expected);
    }

    #[test]
    fn keys_without_a_number_are_warned_about() {
        for suffix in ["-", "-a_b", "-a/b", "-.a", "-a-", "-é", "2", ".a"] {
            let key = format!("{JSON_ANNOTATION}{suffix}");
            let read = from_annotations([(key.as_str(), "true")]).unwrap();
            assert_eq!((read.requests.len(), read.warnings.len()), (0, 1), "{key}");
        }
        for suffix in ["", "idecar", "-1", "+1", "1a", "1 ", "١", "0x1", "1.0"] {
            let key = format!("flyte.secrets/s{suffix}");
            let read = from_annotations([(key.as_str(), "true")]).unwrap();
            assert_eq!(read.requests, []);
            assert_eq!(read.warnings.len(), 1, "{key}");
        }
        for key in [
            "flyte.secrets",
            "Flyte.secrets/s0",
            "xflyte.secrets/s0",
            "secret-injector/request",
        ] {
            assert_eq!(from_annotations([(key, "true")]), Ok(Requests::default()), "{key}");
        }
        let key = format!("flyte.secrets/s\u{202e}{}", "é\n".repeat(10_000));
        assert_eq!(
            from_annotations([(key.as_str(), "")]).unwrap().warnings,
            [
                r"annotation flyte.secrets/s\u{202e}\u{e9}\n\u{e9}\n… is ignored: a request's key is flyte.secrets/s and a decimal number, such as flyte.secrets/s0"
            ]
        );
    }

    #[test]
    fn equal_secrets_are_merged() {
        let named = |names: &[&str]| Containers::Named(names.iter().map(|&name| name.to_owned()).collect());
        let table = [
            (r#"[{"key":"k"},{"key":"k"}]"#, vec![Containers::All]),
            (r#"[{"key":"k","containers":["b"]},{"key":"k"}]"#, vec![Containers::All]),
            (r#"[{"key":"k"},{"key":"k","containers":["b"]}]"#, vec![Containers::All]),
            (r#"[{"key":"k","containers":["b","a","b"]}]"#, vec![named(&["a", "b"])]),
            (
                r#"[{"key":"k","containers":["b"]},{"key":"k","containers":["b","a"]},{"key":"k","containers":["c"]}]"#,
                vec![named(&["a", "b", "c"])],
            ),
            (
                r#"[{"key":"k","containers":["b"]},{"key":"k","envVar":"E"}]"#,
                vec![named(&["b"]), Containers::All],
            ),
        ];
        for (text, expected) in table {
            let read = from_annotations([(JSON_ANNOTATION, text)]).unwrap();
            let containers: Vec<_> = read.requests.into_iter().map(|request| request.containers).collect();
            assert_eq!(containers, expected, "{text}");
        }
        let value = flyte("key:'k'");
        let both = [
            ("secret-injector/requests", r#"[{"key":"k","containers":["c"]}]"#),
            ("flyte.secrets/s0", &value),
        ];
        assert_eq!(outline(&both), ["annotation flyte.secrets/s0: k"]);
    }

    #[test]
    fn the_strictest_optional_of_a_secret_counts() {
        let table = [
            (r#"[{"key":"k","optional":true},{"key":"k"}]"#, vec![None]),
            (r#"[{"key":"k"},{"key":"k","optional":true}]"#, vec![None]),
            (r#"[{"key":"k"},{"key":"k","optional":false}]"#, vec![Some(false)]),
            (
                r#"[{"key":"k","optional":true},{"key":"k","optional":false}]"#,
                vec![Some(false)],
            ),
            (
                r#"[{"key":"k","optional":true},{"key":"k","optional":true}]"#,
                vec![Some(true)],
            ),
            (
                r#"[{"key":"k","optional":true},{"key":"k","envVar":"E","optional":false},{"key":"l","optional":true}]"#,
                vec![Some(false), Some(false), Some(true)],
            ),
        ];
        for (text, expected) in table {
            let read = from_annotations([(JSON_ANNOTATION, text)]).unwrap();
            let optional: Vec<_> = read.requests.iter().map(|request| request.optional).collect();
            assert_eq!(optional, expected, "{text}");
        }
    }

    #[test]
    fn messages_are_short() {
        let long = "x".repeat(10_000);
        let digits = format!("flyte.secrets/s{}", "1".repeat(10_000));
        let (text, word) = (
            flyte(&format!("\n{long}:1")),
            flyte(&format!("mount_requirement:{long}")),
        );
        let (field, name) = (
            format!("[{{\"{long}\":1}}]"),
            format!("[{{\"mountRequirement\":\"{long}\"}}]"),
        );
        let table = [
            (digits.as_str(), text.as_str()),
            (&digits, &word),
            (&digits, "\u{202e}"),
            (JSON_ANNOTATION, &field),
            (JSON_ANNOTATION, &name),
        ];
        for annotation in table {
            let message = from_annotations([annotation]).unwrap_err();
            assert!(message.chars().count() < 300, "{message}");
        }
    }

    #[test]
    fn containers_include_by_exact_name() {
        let some = Containers::named(vec!["b".to_owned(), "a".to_owned()]);
        let table = [
            (&Containers::All, "x", true),
            (&some, "a", true),
            (&some, "A", false),
            (&some, "", false),
        ];
        for (containers, name, expected) in table {
            assert_eq!(containers.includes(name), expected, "{containers:?} {name}");
        }
    }

    #[test]
    fn errors_name_the_annotation_and_a_way_out() {
        let unknown = flyte("key:'a'\nnope:1");
        let table = [
            (
                ("flyte.secrets/s0", "NNSX"),
                "annotation flyte.secrets/s0 cannot be decoded: character 1 is N, but the base32 of this annotation has \
                 a to z and 1 to 6 only, without padding; for requests by hand there is secret-injector/requests",
            ),
            (
                ("flyte.secrets/s1", unknown.as_str()),
                "annotation flyte.secrets/s1 cannot be decoded: decoded text, line 2, column 1: there is no field nope; \
                 the fields are group, group_version, key, mount_requirement and env_var; for requests by \
                 hand there is secret-injector/requests",
            ),
            (
                (JSON_ANNOTATION, "[{},"),
                "annotation secret-injector/requests is not JSON: line 1, column 4: EOF while parsing a value",
            ),
            (
                (JSON_ANNOTATION, r#"[{},{"groop":1}]"#),
                "annotation secret-injector/requests, item 2: there is no field groop; the fields are group, \
                 groupVersion, key, field, mountRequirement, envVar, path, mode, containers, optional",
            ),
        ];
        for (annotation, expected) in table {
            assert_eq!(from_annotations([annotation]).unwrap_err(), expected);
        }
    }
}
