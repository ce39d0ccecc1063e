//! The Vault Agent injector's annotations: what each of them does to the secrets that this policy asks for.
//!
//! The names are those of vault-k8s 1.7
//! ([annotations.go](https://github.com/hashicorp/vault-k8s/blob/v1.7.0/agent-inject/agent/annotations.go)). The table in
//! `docs/reference/vault-annotations.md` says the same for people.

use crate::injection::Annotation;
use crate::sort::has;

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

/// Whether a file without a name of its own is called as its secret is, and not its lower case. `-` and the name of a secret may
/// follow: then it is about that one.
pub(super) const PRESERVE_SECRET_CASE: &str = "preserve-secret-case";

/// The annotations that hold a boolean, beside [`ERROR_ON_MISSING_KEY`]. The injector rejects a Pod where it cannot read one, but
/// takes [`PRESERVE_SECRET_CASE`] for false.
#[rustfmt::skip]
const BOOLEAN: &[&str] = &[
    "agent-auto-auth-exit-on-err", AGENT_CACHE_ENABLE, "agent-cache-exit-on-err", AGENT_ENABLE_QUIT,
    AGENT_INIT_FIRST, AGENT_INJECT, AGENT_INJECT_TOKEN, AGENT_PRE_POPULATE, AGENT_PRE_POPULATE_ONLY,
    "agent-revoke-on-shutdown", AGENT_RUN_AS_SAME_USER, "agent-set-security-context", "agent-share-process-namespace",
    PRESERVE_SECRET_CASE, "template-config-exit-on-retry-failure", "tls-skip-verify",
];

/// The spellings of a boolean that the injector reads, as
/// [`parseutil.ParseBool`](https://pkg.go.dev/github.com/hashicorp/go-secure-stdlib/parseutil#ParseBool) does.
const TRUE: [&str; 6] = ["1", "t", "T", "true", "TRUE", "True"];
const FALSE: [&str; 7] = ["", "0", "f", "F", "false", "FALSE", "False"];

/// Returns whether the annotation `name` holds a boolean that the injector cannot read.
pub(super) fn is_unreadable(name: &str, value: &str) -> bool {
    let is_boolean = has(BOOLEAN, name) || name.starts_with(ERROR_ON_MISSING_KEY);
    is_boolean && !is_true(value) && !FALSE.contains(&value)
}

/// What an annotation of the Pod's own does to the secrets that the policy asks for.
#[derive(Clone, Copy, PartialEq)]
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
#[derive(Clone, Copy, PartialEq)]
pub(super) enum OfOurs {
    /// The policy writes it: the Pod's own is replaced, with a warning.
    Written,
    /// It changes nothing: it stays.
    Stays,
    /// The file would not be what the policy asked for: a rejection.
    Refused,
}

/// The annotations that are about the whole Pod, by what they do; the names are sorted, as a Pod may have thousands to look up.
#[rustfmt::skip]
const EFFECTS: &[(Effect, &[&str])] = &[
    (Effect::Stays, &[
        "agent-auto-auth-exit-on-err", AGENT_CACHE_ENABLE, "agent-cache-exit-on-err", "agent-cache-listener-port",
        "agent-cache-use-auto-auth-token", "agent-disable-idle-connections", "agent-disable-keep-alives",
        AGENT_ENABLE_QUIT, AGENT_INIT_FIRST, "agent-inject-default-template", AGENT_INJECT_TOKEN, "agent-limits-cpu",
        "agent-limits-ephemeral", "agent-limits-mem", AGENT_PRE_POPULATE_ONLY, "agent-requests-cpu",
        "agent-requests-ephemeral", "agent-requests-mem", "agent-revoke-grace", "agent-revoke-on-shutdown",
        "agent-run-as-group", AGENT_RUN_AS_SAME_USER, AGENT_RUN_AS_USER, "auth-max-backoff", "auth-min-backoff",
        "client-max-retries", "client-timeout", "go-max-procs", "log-format", "log-level", PRESERVE_SECRET_CASE,
        "template-config-exit-on-retry-failure", "template-lease-renewal-threshold",
        "template-max-connections-per-host", "template-static-secret-render-interval",
    ]),
    (Effect::Decides, &[
        "agent-copy-volume-mounts", "agent-extra-secret", "agent-image", "agent-request-namespace",
        "agent-service-account-token-volume-name", "agent-set-security-context", "agent-share-process-namespace",
        "auth-path", "auth-type", "ca-cert", "ca-key", "client-cert", "client-key", "namespace", "proxy-address", ROLE,
        "service", "tls-secret", "tls-server-name", "tls-skip-verify",
    ]),
    (Effect::Patches, PATCHES),
    (Effect::MustBeTrue, &[AGENT_INJECT, AGENT_PRE_POPULATE]),
    (Effect::Status, &[AGENT_INJECT_STATUS]),
    (Effect::Excludes, &[AGENT_CONFIGMAP]),
    (Effect::Moves, &[SECRET_VOLUME_PATH]),
    (Effect::Narrows, &[AGENT_INJECT_CONTAINERS]),
];

/// The annotations that change the agent's containers at will.
pub(super) const PATCHES: &[&str] = &["agent-init-json-patch", "agent-json-patch"];

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
    let exact = EFFECTS.iter().find(|(_, names)| has(names, name));
    exact
        .map(|(effect, _)| *effect)
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
        key: [PREFIX, name].concat(),
        value: value.to_owned(),
        required,
    }
}

/// Returns whether the injector reads `value` as true.
pub(super) fn is_true(value: &str) -> bool {
    TRUE.contains(&value)
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
        assert!(BOOLEAN.is_sorted());
        for (_, names) in EFFECTS {
            assert!(names.is_sorted(), "{names:?}");
        }
    }

    #[test]
    fn the_documentation_has_every_annotation() {
        for name in EFFECTS.iter().flat_map(|(_, names)| *names) {
            assert!(DOCUMENTATION.contains(&format!("`{name}`")), "{name}");
        }
        for (begin, _, _) in FAMILIES {
            assert!(DOCUMENTATION.contains(&format!("`{begin}*`")), "{begin}");
        }
    }
}
