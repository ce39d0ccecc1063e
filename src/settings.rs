//! What an operator may set, and its validation.

#![forbid(unsafe_code)]

pub mod fields;

use serde_json::value::RawValue;

use crate::access::Rule;
use crate::managers::Entry;
use crate::names;
use fields::{Fields, SettingsError};

/// The policy's settings, validated.
pub struct Settings {
    /// `envPrefix`: what the names of injected variables begin with, in upper case as the rest of them.
    pub env_prefix: String,
    /// `mountPath`: the directory in which secret files appear.
    pub mount_path: String,
    /// `initContainers`: where the containers we add stand.
    pub init_containers: InitContainers,
    /// `envFiles`: whether variables may come from files that our init containers write.
    pub env_files: bool,
    /// `statusAnnotation`: whether the Pod says what was injected into it.
    pub status_annotation: bool,
    /// `onUnserved`: what happens when no manager serves a request.
    pub on_unserved: OnUnserved,
    /// `managers`, in the order in which they are asked.
    pub managers: Vec<Entry>,
    /// `access`: who may ask for what. `None`: every Pod for everything.
    pub access: Option<Vec<Rule>>,
}

/// Where the init containers we add stand among the Pod's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitContainers {
    /// Before the Pod's own, which then find the files.
    First,
    /// After the Pod's own, as Flyte puts them.
    Last,
}

/// What happens when no manager serves a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnserved {
    /// The Pod is rejected.
    Reject,
    /// The Pod is admitted without that secret, with a warning.
    Warn,
}

/// Fields of Flyte's `webhook:` configuration that are not this policy's, and whose they are
/// ([config.go](https://github.com/flyteorg/flyte/blob/master/flytepropeller/pkg/webhook/config/config.go)).
const NOT_OURS: &[(&str, &str)] = &[
    (
        "certDir",
        "the Kubewarden controller makes and renews the certificates; leave it out",
    ),
    (
        "localCert",
        "the Kubewarden controller makes and renews the certificates; leave it out",
    ),
    (
        "secretName",
        "the Kubewarden controller keeps the certificates in Secrets of its own; leave it out",
    ),
    ("listenPort", "the policy server listens; leave it out"),
    (
        "servicePort",
        "the Kubewarden controller makes the Service; leave it out",
    ),
    (
        "serviceName",
        "the Kubewarden controller makes the Service; leave it out",
    ),
    (
        "cacheInvalidationPort",
        "the policy server keeps no secrets, so there is no cache to invalidate; leave it out",
    ),
    (
        "metrics-prefix",
        "the policy server exports its own metrics; leave it out",
    ),
    (
        "metricsPrefix",
        "the policy server exports its own metrics; leave it out",
    ),
    (
        "webhookTimeout",
        "set spec.timeoutSeconds of the ClusterAdmissionPolicy instead",
    ),
    (
        "namespaceSelector",
        "set spec.namespaceSelector of the ClusterAdmissionPolicy instead",
    ),
    (
        "disableCreateMutatingWebhookConfig",
        "the Kubewarden controller registers the webhook; leave it out",
    ),
    (
        "kubeClientConfig",
        "the policy server talks to Kubernetes; leave it out",
    ),
    (
        "imageBuilderConfig",
        "this policy does not rewrite images; leave it out",
    ),
    ("secretManagerType", "list the managers under managers"),
    ("secretManagerTypes", "list the managers under managers"),
    ("secretEnvVarPrefix", "set envPrefix instead"),
    ("awsSecretManager", "add an item with type: aws to managers instead"),
    ("gcpSecretManager", "add an item with type: gcp to managers instead"),
    ("azureSecretManager", "add an item with type: azure to managers instead"),
    ("vaultSecretManager", "add an item with type: vault to managers instead"),
    (
        "embeddedSecretManagerConfig",
        "add an item with type: flyte to managers instead",
    ),
];

impl Settings {
    /// Reads and checks the settings, a JSON object; `null` and `{}` are the defaults.
    ///
    /// # Errors
    /// The first setting that an operator has to change.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let mut fields = Fields::parse(text, "")?;
        let env_prefix = env_prefix(&mut fields)?;
        let mount_path = fields
            .take::<String>("mountPath")?
            .unwrap_or_else(|| "/etc/flyte/secrets".to_owned());
        if !is_mount_path(&mount_path) {
            return Err(fields.invalid(
                "mountPath",
                "has to be an absolute path other than /, without ':', empty parts, '.' and '..', such as \
                 /etc/flyte/secrets",
            ));
        }
        if let Some((taken, what)) = taken_path(&mount_path) {
            return Err(fields.invalid(
                "mountPath",
                &format!(
                    "would lie in the way of {taken}, {what}: containers would not start; choose a directory of its own, \
                     such as /etc/flyte/secrets"
                ),
            ));
        }
        let init_containers = fields.choice(
            "initContainers",
            InitContainers::First,
            &[("first", InitContainers::First), ("last", InitContainers::Last)],
        )?;
        let env_files = fields.take("envFiles")?.unwrap_or(false);
        if env_files && init_containers == InitContainers::Last {
            return Err(fields.invalid(
                "envFiles",
                "needs initContainers: first: an init container of a Pod would wait without end for a variable whose file \
                 is written after it",
            ));
        }
        let status_annotation = fields.take("statusAnnotation")?.unwrap_or(true);
        let on_unserved = fields.choice(
            "onUnserved",
            OnUnserved::Reject,
            &[("reject", OnUnserved::Reject), ("warn", OnUnserved::Warn)],
        )?;
        let managers = managers(&mut fields)?;
        if fields.is_null("access") {
            return Err(fields.invalid(
                "access",
                "has nothing under it: list rules, write [] so that no Pod may ask for anything, or leave it out so that \
                 every Pod may ask for everything",
            ));
        }
        let access = match fields.list("access")? {
            Some(rules) => Some(rules.into_iter().map(Rule::from_fields).collect::<Result<_, _>>()?),
            None => None,
        };
        if let Some((name, whose)) = NOT_OURS
            .iter()
            .find(|(name, _)| fields.unknown().is_some_and(|unknown| unknown == *name))
        {
            return Err(fields.invalid(name, &format!("is not a setting of this policy: {whose}")));
        }
        fields.finish()?;
        Ok(Self {
            env_prefix,
            mount_path,
            init_containers,
            env_files,
            status_annotation,
            on_unserved,
            managers,
            access,
        })
    }

    /// Reads the settings of an admission request.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_raw(raw: Option<&RawValue>) -> Result<Self, SettingsError> {
        Self::parse(raw.map_or("null", RawValue::get))
    }
}

impl InitContainers {
    /// Whether the init containers that we add stand before the Pod's own.
    pub fn stand_first(self) -> bool {
        self == Self::First
    }
}

/// Reads `envPrefix`. Variables are named in upper case, so that a client that is told the prefix as it is written would
/// look for another name.
fn env_prefix(fields: &mut Fields<'_>) -> Result<String, SettingsError> {
    let prefix = fields
        .take::<String>("envPrefix")?
        .unwrap_or_else(|| "_UNION_".to_owned());
    if prefix.is_empty() {
        return Err(fields.invalid(
            "envPrefix",
            "is empty, which Flyte's clients take for no prefix at all: they would look for _FSEC_…; give one such as \
             _UNION_, and let requests name a variable without it in envVar (Flyte: env_var)",
        ));
    }
    if !names::is_variable(&prefix) {
        return Err(fields.invalid(
            "envPrefix",
            "cannot begin a variable's name: use letters, digits, '_', '-' and '.', and no digit at the front",
        ));
    }
    Ok(prefix.to_ascii_uppercase())
}

fn managers(fields: &mut Fields<'_>) -> Result<Vec<Entry>, SettingsError> {
    let Some(items) = fields.list("managers")? else {
        let default = Fields::parse(r#"{"type":"kubernetes"}"#, "managers[0]")?;
        return Ok(vec![Entry::from_fields(default)?]);
    };
    if items.is_empty() {
        return Err(fields.invalid(
            "managers",
            "is empty: name a manager, or leave it out for [{type: kubernetes}]",
        ));
    }
    items.into_iter().map(Entry::from_fields).collect()
}

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
    (
        "/etc/secret-injector-ca",
        "where the setting caBundle mounts certificates",
    ),
    ("/proc", "which the container runtime mounts"),
    ("/sys", "which the container runtime mounts"),
];

/// Returns what a mount at `path` would hide or be hidden by: a path, and what is there.
fn taken_path(path: &str) -> Option<(&'static str, &'static str)> {
    let is_at_or_below = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    TAKEN_PATHS
        .iter()
        .find(|(taken, _)| is_at_or_below(taken, path) || is_at_or_below(path, taken))
        .copied()
}

/// Whether Kubernetes takes `path` as a mount's path and files below it can be named without surprises.
pub fn is_mount_path(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|parts| {
        !path.contains(':')
            && !path.contains(char::is_control)
            && parts.split('/').all(|part| !matches!(part, "" | "." | ".."))
    })
}
