//! The sentences on what Flyte's configuration says and the policy's settings do not.

use serde_json::{Map, Value};

use super::{GLOBAL_NAMESPACE, Note};

fn note(field: &str, text: impl Into<String>) -> Note {
    Note {
        field: field.to_owned(),
        text: text.into(),
    }
}

/// Where the global secrets come from now.
pub(super) fn global(secrets: &Map<String, Value>) -> Note {
    let directory = secrets["secrets-prefix"].as_str().unwrap_or_default();
    let prefix = secrets["env-prefix"].as_str().unwrap_or_default();
    note(
        "secrets",
        format!(
            "Flyte takes global secrets from its webhook's own variables and files; a policy has neither. The manager \
             global takes them from Secrets in the namespace {GLOBAL_NAMESPACE}: one for each group, with that name. Move \
             each secret there, in the spelling in which tasks ask for it, from the variable {prefix}GROUP_KEY or from \
             its file:\n  \
             kubectl create namespace {GLOBAL_NAMESPACE}\n  \
             kubectl create secret generic GROUP --namespace {GLOBAL_NAMESPACE} --from-literal=KEY=VALUE\n  \
             kubectl create secret generic GROUP --namespace {GLOBAL_NAMESPACE} --from-file=KEY={directory}/group/key\n\
             A Pod gets one only when its service account may \"get\" that Secret; authorize: none lets every Pod have \
             all, as Flyte does. Without global secrets, leave the manager out: it asks the API server for each request."
        ),
    )
}

/// A directory of Vault's files that is none of the policy's.
pub(super) fn vault_path(directory: &Value) -> Note {
    note(
        "webhook.vaultSecretManager.annotations",
        format!(
            "moves Vault's files to {directory}, where Flyte's clients do not look. Set mountPath, which moves all files and \
             tells the clients; it goes for all managers."
        ),
    )
}

/// A cloud's secret manager with Flyte 2's own secrets.
pub(super) fn embedded_store(store: &str) -> Note {
    note(
        "webhook.embeddedSecretManagerConfig.type",
        format!(
            "is {store}: Flyte's webhook reads that store with an identity of its own. Here an init container reads it with \
             the Pod's identity: give the service accounts of tasks the right to read the secrets of their projects, see \
             docs/how-to/use-flyte.md. Variables need envFiles: true (Kubernetes 1.35)."
        ),
    )
}

/// How Flyte 2's own secrets differ.
pub(super) fn embedded(container: &Value, pull_secrets: bool) -> Vec<Note> {
    let mut notes = Vec::new();
    let name = container["containerName"].as_str().unwrap_or_default();
    if !name.is_empty() && name != "init-embedded-secret" {
        notes.push(note(
            "webhook.embeddedSecretManagerConfig.fileMountInitContainer.containerName",
            format!("is {name:?}; here the container is always called init-embedded-secret, or the next free name."),
        ));
    }
    if pull_secrets {
        notes.push(note(
            "webhook.embeddedSecretManagerConfig.imagePullSecrets",
            "Flyte copies a missing Secret into the Pod's namespace. A policy cannot create objects: copy it yourself, or \
             let External Secrets do it; the Pod gets a warning with its name while it is missing. The policy server looks for it in the \
             namespaces of Pods, where it needs a RoleBinding to secret-injector-secrets.",
        ));
    }
    notes
}

/// A manager that takes requests which were meant for those behind it.
pub(super) fn takes_all(field: &str, manager: &str, next: &str) -> Note {
    note(
        field,
        format!(
            "{manager} stands before {next}, and takes every request whose form it can serve, as in Flyte: {next} gets the others \
             alone. Where that is not meant, write a match for the groups that are {manager}'s."
        ),
    )
}

/// Where the Secrets are in another namespace than the Pods.
pub(super) fn literal(secrets: &str, pods: &str) -> Note {
    note(
        "webhook.embeddedSecretManagerConfig.k8sConfig.namespace",
        format!(
            "is {secrets}, and the Pods are in {pods}: literal: true puts the values into the Pods, where everybody can read them \
             who may read the Pods. With the Secrets in the Pods' namespace (flyte-core-components.secret.kubernetes.namespace in the \
             chart's values), leave literal out."
        ),
    )
}

/// The namespace of a release, which the values of its chart do not name.
pub(super) fn release_namespace(assumed: &str) -> Note {
    note(
        "webhook.embeddedSecretManagerConfig.k8sConfig.namespace",
        format!(
            "is the namespace of Flyte's release, which the values of its chart do not tell; {assumed} is assumed. Where Flyte is in \
             another one, give its ConfigMap instead: kubectl -n NAMESPACE get configmap NAME-config -o yaml."
        ),
    )
}

/// One namespace for the Pods of all projects.
pub(super) fn one_namespace(pods: &str) -> Note {
    note(
        "actions.kubernetes.namespace",
        format!(
            "Flyte runs the Pods of all projects in {pods} (flyte-core-components.actions.kubernetes.namespace in the chart's values), \
             where a Pod's labels alone say whose secrets it gets: let nobody but Flyte create Pods there."
        ),
    )
}

/// What does not go without saying, of the fields that have no setting.
pub(super) fn host(field: &str, value: &Value) -> Option<Note> {
    let text = match field.strip_prefix("webhook.")? {
        "webhookTimeout" => format!("set spec.timeoutSeconds: {value} of the ClusterAdmissionPolicy."),
        "namespaceSelector" if !value.is_null() => format!(
            "add it to the expressions of spec.namespaceSelector of the ClusterAdmissionPolicy, beside the one that leaves out kube-system \
             and kubewarden, as --overlay does (Kubewarden leaves matchLabels out): {value}."
        ),
        "imageBuilderConfig" if value["enabled"] == true => {
            "rewriting the images of Pods is not a matter of secrets, and this policy does not do it. Keep Flyte's \
             webhook for it, or add a policy that does."
                .to_owned()
        }
        _ => return None,
    };
    Some(note(field, text))
}
