//! Paths of mounts, as the container runtime understands them.

use std::borrow::Cow;

use crate::names::cleaned;

pub(super) use crate::names::is_below;

/// Returns the one spelling of a mount's path: absolute, without a slash at the end, empty parts, `.` and `..`, and
/// `/run` for `/var/run`, which is a link to it in most images. The root is the empty string.
pub(super) fn clean(path: &str) -> Cow<'_, str> {
    let is_clean = path
        .strip_prefix('/')
        .is_some_and(|parts| parts.split('/').all(|part| !matches!(part, "" | "." | "..")));
    let clean = if is_clean {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(cleaned(path))
    };
    match clean.strip_prefix("/var/run") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Cow::Owned(format!("/run{rest}")),
        _ => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_spelling() {
        for (path, expected) in [
            ("/etc/flyte", "/etc/flyte"),
            ("/etc/flyte/", "/etc/flyte"),
            ("//etc/./flyte//", "/etc/flyte"),
            ("etc/flyte", "/etc/flyte"),
            ("/etc/x/../flyte", "/etc/flyte"),
            ("/../etc", "/etc"),
            ("/var/run", "/run"),
            ("/var/run/secrets/", "/run/secrets"),
            ("/var//run/secrets", "/run/secrets"),
            ("/var/runner", "/var/runner"),
            ("/var/run/..", "/var"),
            ("/", ""),
            ("", ""),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
        assert!(is_below("/a/b", "/a") && is_below("/a", "") && !is_below("/ab", "/a") && !is_below("/a", "/a"));
    }
}
