//! The Vault Agent injector's annotations: what each of them does to the secrets that this policy asks for.
//!
//! The names are those of vault-k8s 1.7
//! ([annotations.go](https://github.com/hashicorp/vault-k8s/blob/v1.7.0/agent-inject/agent/annotations.go)). The table in
//! `docs/reference/vault-annotations.md` says the same for people.

use crate::injection::Annotation;

/// What the injector's annotations begin with
/// ([reference](https://developer.hashicorp.com/vault/docs/platform/k8s/injector/annotations)).
pub(super) const PREFIX: &str = "vault.hashicorp.com/";

/// Turns the injector on for the Pod.
pub(super) const AGENT_INJECT: &str = "agent-inject";
/// Whether the agent's init container stands before those of the Pod, not behind them.
pub(super) const AGENT_INIT_FIRST: &str = "agent-init-first";
/// Says `injected` where the injector has done its work.
pub(super) const AGENT_INJECT_STATUS: &str = "agent-inject-status";
/// The status of a Pod which the injector has been through.
pub(super) const INJECTED: &str = "injected";
/// The containers in which the agent's volumes are mounted, separated by commas. Init containers are no part of it.
pub(super) const AGENT_INJECT_CONTAINERS: &str = "agent-inject-containers";
/// Whether the agent's token is written into the Pod-wide directory.
pub(super) const AGENT_INJECT_TOKEN: &str = "agent-inject-token";
/// Whether the agent's sidecar is a proxy for the Pod's containers.
pub(super) const AGENT_CACHE_ENABLE: &str = "agent-cache-enable";
/// Whether the Pod's containers can end the agent's sidecar.
pub(super) const AGENT_ENABLE_QUIT: &str = "agent-enable-quit";
/// A ConfigMap with the agent's whole configuration.
pub(super) const AGENT_CONFIGMAP: &str = "agent-configmap";
/// Whether an init container of the agent fetches the secrets before the Pod's containers start.
pub(super) const AGENT_PRE_POPULATE: &str = "agent-pre-populate";
/// Whether there is an init container only, without a sidecar that keeps the files current.
pub(super) const AGENT_PRE_POPULATE_ONLY: &str = "agent-pre-populate-only";
/// The role with which the agent logs in.
pub(super) const ROLE: &str = "role";
/// The directory of all secrets that have none of their own.
pub(super) const SECRET_VOLUME_PATH: &str = "secret-volume-path";

/// The user that the agent's containers run as.
pub(super) const AGENT_RUN_AS_USER: &str = "agent-run-as-user";
/// Whether they run as the user of the Pod's first container.
pub(super) const AGENT_RUN_AS_SAME_USER: &str = "agent-run-as-same-user";

/// The path in Vault of the secret whose name follows.
pub(super) const AGENT_INJECT_SECRET: &str = "agent-inject-secret-";
/// The file of the secret whose name follows, below its directory.
pub(super) const AGENT_INJECT_FILE: &str = "agent-inject-file-";
/// The template that makes the file of the secret whose name follows.
pub(super) const AGENT_INJECT_TEMPLATE: &str = "agent-inject-template-";
/// The permissions of the file of the secret whose name follows.
pub(super) const AGENT_INJECT_PERMS: &str = "agent-inject-perms-";
/// A file on the agent's disk that holds the template of the secret whose name follows.
pub(super) const AGENT_INJECT_TEMPLATE_FILE: &str = "agent-inject-template-file-";
/// The directory of the secret whose name follows.
pub(super) const SECRET_VOLUME_PATH_OF: &str = "secret-volume-path-";
/// Whether the agent fails where the template of the secret whose name follows has a field that is not there.
pub(super) const ERROR_ON_MISSING_KEY: &str = "error-on-missing-key-";

/// Whether a file without a name of its own is called as its secret is, and not its lower case. The name of a secret may
/// follow.
pub(super) const PRESERVE_SECRET_CASE: &str = "preserve-secret-case";

/// The annotations that hold a boolean, beside [`ERROR_ON_MISSING_KEY`]. The injector rejects a Pod where it cannot read one.
const BOOLEAN: [&str; 16] = [
    AGENT_INJECT,
    AGENT_INJECT_TOKEN,
    AGENT_CACHE_ENABLE,
    AGENT_ENABLE_QUIT,
    AGENT_PRE_POPULATE,
    AGENT_PRE_POPULATE_ONLY,
    "agent-auto-auth-exit-on-err",
    "agent-cache-exit-on-err",
    "agent-init-first",
    "agent-revoke-on-shutdown",
    AGENT_RUN_AS_SAME_USER,
    "agent-set-security-context",
    "agent-share-process-namespace",
    PRESERVE_SECRET_CASE,
    "template-config-exit-on-retry-failure",
    "tls-skip-verify",
];

/// The spellings of a boolean that the injector reads, as Go's
/// [`strconv.ParseBool`](https://pkg.go.dev/strconv#ParseBool) does.
const BOOLEANS: [&str; 12] = [
    "1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False",
];

/// Returns whether the annotation `name` holds a boolean that the injector cannot read.
pub(super) fn is_unreadable(name: &str, value: &str) -> bool {
    (BOOLEAN.contains(&name) || name.starts_with(ERROR_ON_MISSING_KEY)) && !BOOLEANS.contains(&value)
}

/// What an annotation of the Pod's own does to the secrets that the policy asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The secrets arrive, from where they should: it stays, with `enforce` too.
    Stays,
    /// It decides where secrets come from, or what fetches them: it stays, unless `enforce` is on.
    Decides,
    /// It changes the agent's containers at will: it stays with a warning, unless `enforce` is on.
    Patches,
    /// Without the value `true` no secret arrives in time: another value is replaced, with a warning.
    MustBeTrue,
    /// With the value `injected` the injector leaves the Pod alone: replaced, where the Pod has no agent.
    Status,
    /// The agent takes its configuration from elsewhere and none of ours: a rejection.
    Excludes,
    /// It moves files that have no directory of their own; ours have one: it stays.
    Moves,
    /// It leaves out containers: it stays, and the Pod is rejected where a secret is asked for in one of them.
    Narrows,
}

/// What becomes of the annotation where it is about a secret of the policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfOurs {
    /// The policy writes it: the Pod's own is replaced, with a warning.
    Written,
    /// It changes nothing: it stays.
    Stays,
    /// The file would not be what the policy asked for: a rejection.
    Refused,
}

/// The annotations that are about the whole Pod, sorted by name: a Pod may have thousands to look up.
pub(super) const ANNOTATIONS: &[(&str, Effect)] = &[
    ("agent-auto-auth-exit-on-err", Effect::Stays),
    (AGENT_CACHE_ENABLE, Effect::Stays),
    ("agent-cache-exit-on-err", Effect::Stays),
    ("agent-cache-listener-port", Effect::Stays),
    ("agent-cache-use-auto-auth-token", Effect::Stays),
    (AGENT_CONFIGMAP, Effect::Excludes),
    ("agent-copy-volume-mounts", Effect::Decides),
    ("agent-disable-idle-connections", Effect::Stays),
    ("agent-disable-keep-alives", Effect::Stays),
    (AGENT_ENABLE_QUIT, Effect::Stays),
    ("agent-extra-secret", Effect::Decides),
    ("agent-image", Effect::Decides),
    (AGENT_INIT_FIRST, Effect::Stays),
    ("agent-init-json-patch", Effect::Patches),
    (AGENT_INJECT, Effect::MustBeTrue),
    (AGENT_INJECT_CONTAINERS, Effect::Narrows),
    ("agent-inject-default-template", Effect::Stays),
    (AGENT_INJECT_STATUS, Effect::Status),
    (AGENT_INJECT_TOKEN, Effect::Stays),
    ("agent-json-patch", Effect::Patches),
    ("agent-limits-cpu", Effect::Stays),
    ("agent-limits-ephemeral", Effect::Stays),
    ("agent-limits-mem", Effect::Stays),
    (AGENT_PRE_POPULATE, Effect::MustBeTrue),
    (AGENT_PRE_POPULATE_ONLY, Effect::Stays),
    ("agent-request-namespace", Effect::Decides),
    ("agent-requests-cpu", Effect::Stays),
    ("agent-requests-ephemeral", Effect::Stays),
    ("agent-requests-mem", Effect::Stays),
    ("agent-revoke-grace", Effect::Stays),
    ("agent-revoke-on-shutdown", Effect::Stays),
    ("agent-run-as-group", Effect::Stays),
    (AGENT_RUN_AS_SAME_USER, Effect::Stays),
    (AGENT_RUN_AS_USER, Effect::Stays),
    ("agent-service-account-token-volume-name", Effect::Decides),
    ("agent-set-security-context", Effect::Decides),
    ("agent-share-process-namespace", Effect::Decides),
    ("auth-max-backoff", Effect::Stays),
    ("auth-min-backoff", Effect::Stays),
    ("auth-path", Effect::Decides),
    ("auth-type", Effect::Decides),
    ("ca-cert", Effect::Decides),
    ("ca-key", Effect::Decides),
    ("client-cert", Effect::Decides),
    ("client-key", Effect::Decides),
    ("client-max-retries", Effect::Stays),
    ("client-timeout", Effect::Stays),
    ("go-max-procs", Effect::Stays),
    ("log-format", Effect::Stays),
    ("log-level", Effect::Stays),
    ("namespace", Effect::Decides),
    (PRESERVE_SECRET_CASE, Effect::Stays),
    ("proxy-address", Effect::Decides),
    (ROLE, Effect::Decides),
    (SECRET_VOLUME_PATH, Effect::Moves),
    ("service", Effect::Decides),
    ("template-config-exit-on-retry-failure", Effect::Stays),
    ("template-lease-renewal-threshold", Effect::Stays),
    ("template-max-connections-per-host", Effect::Stays),
    ("template-static-secret-render-interval", Effect::Stays),
    ("tls-secret", Effect::Decides),
    ("tls-server-name", Effect::Decides),
    ("tls-skip-verify", Effect::Decides),
];

/// The annotations behind whose name another one follows: what they do with a name of the Pod's own, and with that of
/// one of the policy's secrets. The first that fits counts.
pub(super) const FAMILIES: &[(&str, Effect, OfOurs)] = &[
    ("agent-inject-command-", Effect::Decides, OfOurs::Refused),
    (AGENT_INJECT_FILE, Effect::Stays, OfOurs::Written),
    (AGENT_INJECT_PERMS, Effect::Stays, OfOurs::Refused),
    (AGENT_INJECT_SECRET, Effect::Stays, OfOurs::Written),
    (AGENT_INJECT_TEMPLATE_FILE, Effect::Stays, OfOurs::Refused),
    (AGENT_INJECT_TEMPLATE, Effect::Stays, OfOurs::Written),
    ("agent-telemetry-", Effect::Decides, OfOurs::Stays),
    ("agent-template-left-delim-", Effect::Stays, OfOurs::Refused),
    ("agent-template-right-delim-", Effect::Stays, OfOurs::Refused),
    ("auth-config-", Effect::Decides, OfOurs::Stays),
    (ERROR_ON_MISSING_KEY, Effect::Stays, OfOurs::Written),
    ("preserve-secret-case-", Effect::Stays, OfOurs::Stays),
    (SECRET_VOLUME_PATH_OF, Effect::Stays, OfOurs::Written),
];

/// Returns what the annotation `name` does; `None` where this version of the injector does not know it.
pub(super) fn effect(name: &str) -> Option<Effect> {
    let place = ANNOTATIONS.binary_search_by(|(known, _)| (*known).cmp(name));
    let exact = place.ok().and_then(|index| ANNOTATIONS.get(index));
    exact
        .map(|(_, effect)| *effect)
        .or_else(|| family(name).map(|(effect, _)| effect))
}

/// Returns the effect of the family to which the annotation `name` belongs, and the rest of the name.
pub(super) fn family(name: &str) -> Option<(Effect, &str)> {
    FAMILIES
        .iter()
        .find_map(|(begin, effect, _)| Some((*effect, name.strip_prefix(begin)?)))
}

/// Makes the injector's annotation `name`.
pub(super) fn annotation(name: &str, value: &str, required: bool) -> Annotation {
    Annotation {
        key: format!("{PREFIX}{name}"),
        value: value.to_owned(),
        required,
    }
}

/// Returns whether the injector reads `value` as true
/// ([ParseBool](https://pkg.go.dev/strconv#ParseBool)).
pub(super) fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "TRUE" | "true" | "True")
}

/// Returns whether `name` has the form of the names that this policy gives to secrets.
pub(super) fn is_identity(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTATION: &str = include_str!("../../../docs/reference/vault-annotations.md");

    #[test]
    fn the_names_are_sorted() {
        assert!(ANNOTATIONS.is_sorted_by_key(|(name, _)| name));
    }

    #[test]
    fn the_documentation_has_every_annotation() {
        for (name, _) in ANNOTATIONS {
            assert!(DOCUMENTATION.contains(&format!("`{name}`")), "{name}");
        }
        for (begin, _, _) in FAMILIES {
            assert!(DOCUMENTATION.contains(&format!("`{begin}*`")), "{begin}");
        }
    }
}
