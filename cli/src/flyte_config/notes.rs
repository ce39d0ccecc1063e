//! The sentences on what Flyte's configuration says and the policy's settings do not.

use serde_json::{Map, Value};

use super::{FlyteManager, GLOBAL_NAMESPACE, Note};

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

/// How containers that fetch secrets differ.
pub(super) fn sidecar(section: &str) -> Vec<Note> {
    vec![note(
        &format!("webhook.{section}"),
        "Flyte runs its containers behind the Pod's own init containers, this policy in front of them (initContainers: \
         last is Flyte's order), and gives them a security context and a pull policy, which Flyte does not \
         (securityContext: {} leaves the former out).",
    )]
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
             docs/how-to/use-flyte.md. Variables need envFiles: true (Kubernetes 1.35). The labels that say project and domain \
             have to fit the Pod's namespace: set podNamespace to the namespace in which Flyte runs its Pods. organization: \
             flyte is the one organization of open-source Flyte 2."
        ),
    )
}

/// How Flyte 2's own secrets differ.
pub(super) fn embedded(namespace: &str, container: &Value, pull_secrets: bool) -> Vec<Note> {
    let mut notes = vec![note(
        "webhook.embeddedSecretManagerConfig",
        format!(
            "literal: true puts values from the namespace {namespace} into Pods of other namespaces; Pods of that \
             namespace refer to the Secret. The labels that say project and domain have to fit the Pod's namespace: set \
             podNamespace to the namespace in which Flyte runs its Pods (configuration.actions.kubernetes.namespace of \
             its chart, by default flyte). organization: flyte is the one organization of open-source Flyte 2."
        ),
    )];
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
             let External Secrets do it; the Pod gets a warning with its name while it is missing.",
        ));
    }
    notes
}

/// Sections that set up managers which are not in use.
pub(super) fn unused_sections(given: &[(String, Value)], managers: &[(FlyteManager, String)]) -> Vec<Note> {
    let several = managers.iter().any(|(_, field)| field.contains("secretManagerTypes"));
    let mut notes = Vec::new();
    for (field, _) in given {
        if field == "webhook.secretManagerType" && several {
            notes.push(note(
                field,
                "is ignored by Flyte where secretManagerTypes is set, and was here.",
            ));
        }
        let unused = FlyteManager::ALL.iter().find(|(_, manager)| {
            manager.section().is_some_and(|section| field.ends_with(section))
                && !managers.iter().any(|(used, _)| used == manager)
        });
        if let Some((name, _)) = unused {
            notes.push(note(field, format!("is not used: {name} is not among the managers.")));
        }
    }
    notes
}

/// Fields that are the business of Kubewarden, or of nobody.
pub(super) fn host(field: &str, value: &Value) -> Option<Note> {
    let name = field.strip_prefix("webhook.")?;
    let text = match name {
        "certDir" | "localCert" | "secretName" => {
            "the policy server makes, keeps and renews its certificates. Flyte's init-certs Job and the Secret of its certificates can go."
                .to_owned()
        }
        "listenPort" => "the policy server listens; its port is no setting of a policy.".to_owned(),
        "serviceName" | "servicePort" => {
            "the Kubewarden controller makes a Service for each policy server. Flyte's Service can go.".to_owned()
        }
        "cacheInvalidationPort" => "there is no cache to invalidate: the policy keeps no secret.".to_owned(),
        "metrics-prefix" => {
            "the policy server exports metrics of its own, whose names start with kubewarden_.".to_owned()
        }
        "webhookTimeout" => format!("set spec.timeoutSeconds: {value} of the ClusterAdmissionPolicy."),
        "namespaceSelector" if value.is_null() => return None,
        "namespaceSelector" => format!("set spec.namespaceSelector of the ClusterAdmissionPolicy to {value}."),
        "disableCreateMutatingWebhookConfig" => {
            "the Kubewarden controller registers the webhook, and removes it with the policy.".to_owned()
        }
        "kubeClientConfig" => {
            "the policy server talks to the API server, with limits and a cache of its own.".to_owned()
        }
        "imageBuilderConfig" if value["enabled"] == true => {
            "rewriting the images of Pods is not a matter of secrets, and this policy does not do it. Keep Flyte's \
             webhook for it, or add a policy that does."
                .to_owned()
        }
        "imageBuilderConfig" => "is off in Flyte, and this policy has no such thing.".to_owned(),
        _ => return None,
    };
    Some(note(field, text))
}
