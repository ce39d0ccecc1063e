//! Paths at which something can be mounted.

/// What the kubelet mounts into every container, or the container runtime does not let anything be mounted over.
const TAKEN_PATHS: &[(&str, &str)] = &[
    (
        "/var/run/secrets/kubernetes.io/serviceaccount",
        "where the service account's token is mounted",
    ),
    (
        "/run/secrets/kubernetes.io/serviceaccount",
        "where the service account's token is mounted in images whose /var/run is a link to /run",
    ),
    ("/etc/hosts", "which the kubelet mounts"),
    ("/etc/hostname", "which the container runtime mounts"),
    ("/etc/resolv.conf", "which the container runtime mounts"),
    ("/dev/termination-log", "which the kubelet mounts"),
    ("/dev/shm", "which the container runtime mounts"),
    ("/dev", "which the container runtime mounts"),
    (
        "/etc/secret-injector-ca",
        "where the setting caBundle mounts certificates",
    ),
    ("/proc", "which the container runtime mounts"),
    ("/sys", "which the container runtime mounts"),
];

/// Returns what a mount at `path` would hide or be hidden by: a path, and what is there.
pub(crate) fn taken_path(path: &str) -> Option<(&'static str, &'static str)> {
    TAKEN_PATHS
        .iter()
        .find(|(taken, _)| *taken == path || is_below(taken, path) || is_below(path, taken))
        .copied()
}

/// Returns whether the path `inner` lies below the path `outer`; neither has a slash at its end.
pub(crate) fn is_below(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

/// Returns the absolute path without empty parts, `.` and `..`, as a container runtime and Vault's agent clean it
/// ([path.Clean](https://pkg.go.dev/path#Clean)); but the root is the empty string.
pub(crate) fn cleaned(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.iter().flat_map(|part| ["/", part]).collect()
}

/// Whether Kubernetes takes `path` as a mount's path and files below it can be named without surprises.
pub(crate) fn is_mount_path(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|parts| {
        !path.contains(':')
            && !path.contains(char::is_control)
            && parts.split('/').all(|part| !matches!(part, "" | "." | ".."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (path, clean) in [
            ("/a/b", "/a/b"),
            ("//a/./b/", "/a/b"),
            ("/a/../b/c/..", "/b"),
            ("../a", "/a"),
            ("", ""),
        ] {
            assert_eq!(cleaned(path), clean);
        }
    }
}
