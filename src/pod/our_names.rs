//! Names of what this policy, Flyte and agents add.

/// The names of the init containers that this policy and Flyte add; a number may follow.
const INIT_CONTAINER_NAMES: [&str; 5] = [
    "aws-pull-secret",
    "azure-pull-secret",
    "confidant-pull-secrets",
    "gcp-pull-secret",
    "init-embedded-secret",
];

/// Returns whether an init container has a name of ours or of Flyte's.
pub(super) fn is_fetching_name(name: &str) -> bool {
    let mut known = INIT_CONTAINER_NAMES.iter();
    known.any(|known| name == *known || is_numbered(name, known))
}

/// Returns whether an init container has a name of ours, of Flyte's or of the Vault Agent's.
pub(super) fn is_named_as_ours(name: &str) -> bool {
    name == "vault-agent-init" || is_fetching_name(name)
}

/// Returns whether `name` is `base`, a dash and a number.
pub(super) fn is_numbered(name: &str, base: &str) -> bool {
    let number = name.strip_prefix(base).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}
