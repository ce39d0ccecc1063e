//! The cluster behind the host.

use std::collections::BTreeSet;

use base64ct::{Base64, Encoding};
use kubewarden_policy_sdk::host_capabilities::kubernetes::{
    CanIRequest, GetResourceRequest, ResourceAttributes, SubjectAccessReview, can_i, get_resource,
};
use serde::Deserialize;

use super::model::{Cluster, ClusterError, SecretData, subject};

/// What an operator adds so that the policy may read Secrets at all.
const GRANT_SECRETS: &str =
    "add \"- {apiVersion: v1, kind: Secret}\" to spec.contextAwareResources of the ClusterAdmissionPolicy";

/// What an operator does so that the policy may use the host's `get_resource`: the Kubewarden controller grants a
/// ClusterAdmissionPolicy all capabilities, and an AdmissionPolicy may never read Secrets.
const GRANT_GET_RESOURCE: &str = "deploy it as a ClusterAdmissionPolicy; kwctl, and a policy server's file of policies, \
    take kubernetes/get_resource in hostCapabilities";

/// The same for the host's `can_i`.
const GRANT_CAN_I: &str = "deploy it as a ClusterAdmissionPolicy; kwctl, and a policy server's file of policies, take \
    kubernetes/can_i in hostCapabilities";

/// The cluster behind the host. Each call is a question to the host; [`Questions`](super::Questions) remembers the answers.
#[derive(Debug, Default)]
pub struct HostCluster;

impl Cluster for HostCluster {
    fn secret(&self, namespace: &str, name: &str, keys: &[&str]) -> Result<SecretData, ClusterError> {
        let request = GetResourceRequest {
            api_version: "v1".to_owned(),
            kind: "Secret".to_owned(),
            name: name.to_owned(),
            namespace: Some(namespace.to_owned()),
            disable_cache: false,
            field_masks: Some(field_masks(keys)),
        };
        let secret = get_resource::<Secret>(&request)
            .map_err(|error| classify(&error, GRANT_GET_RESOURCE, |user| may_not_read(user, namespace)))?;
        let mut entries = Vec::new();
        for (key, value) in secret.data.map(|data| data.0).unwrap_or_default() {
            let value = Base64::decode_vec(&value)
                .map_err(|_| ClusterError::Unavailable("a Secret's data is not base64".to_owned()))?;
            entries.push((key, value));
        }
        Ok(SecretData::new(entries))
    }

    fn may_get_secret(&self, user: &str, groups: &[&str], namespace: &str, name: &str) -> Result<bool, ClusterError> {
        let request = CanIRequest {
            subject_access_review: SubjectAccessReview {
                groups: Some(groups.iter().map(|group| (*group).to_owned()).collect()),
                resource_attributes: ResourceAttributes {
                    group: Some(String::new()),
                    name: Some(name.to_owned()),
                    namespace: Some(namespace.to_owned()),
                    resource: "secrets".to_owned(),
                    subresource: None,
                    verb: "get".to_owned(),
                    version: Some("v1".to_owned()),
                },
                user: user.to_owned(),
            },
            disable_cache: false,
        };
        match can_i(request) {
            Ok(status) => Ok(status.allowed),
            Err(error) => Err(match classify(&error, GRANT_CAN_I, may_not_review) {
                ClusterError::NotFound => ClusterError::Unavailable("SubjectAccessReview is not served".to_owned()),
                other => other,
            }),
        }
    }
}

/// A Secret as the host gives it, without what the policy does not read.
#[derive(Clone, Deserialize)]
struct Secret {
    data: Option<Data>,
}

#[derive(Clone)]
struct Data(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> serde::de::Visitor<'de> for Entries {
            type Value = Data;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a map of strings")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Data, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Data(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Which parts of a Secret the host is to send: those keys alone, or all data where a key holds the dot that separates
/// the fields of a mask, or where no key is named.
fn field_masks(keys: &[&str]) -> BTreeSet<String> {
    let mut masks = BTreeSet::new();
    if keys.is_empty() || keys.iter().any(|key| key.contains('.')) {
        masks.insert("data".to_owned());
        return masks;
    }
    masks.extend(keys.iter().map(|key| format!("data.{key}")));
    masks
}

/// Tells the host's errors apart by their text; it has no codes
/// ([callback_handler](https://github.com/kubewarden/policy-evaluator/tree/main/src/callback_handler)).
///
/// `capability` is what grants the host's function, `forbidden` says what the API server wants for it of a user.
fn classify(
    error: &kubewarden_policy_sdk::Error,
    capability: &'static str,
    forbidden: impl Fn(&str) -> String,
) -> ClusterError {
    use kubewarden_policy_sdk::Error;
    match error {
        Error::HostCall { source, .. } => {
            let text = source.to_string();
            if text.contains("Cannot find v1/Secret named") {
                ClusterError::NotFound
            } else if text.contains("has not been granted access to Kubernetes") {
                ClusterError::NotGranted(GRANT_SECRETS)
            } else if text.contains("has not been granted access") {
                ClusterError::NotGranted(capability)
            } else if text.contains("is forbidden: ") {
                ClusterError::Forbidden(forbidden(quoted_user(&text)))
            } else {
                ClusterError::Unavailable(shortened(&text))
            }
        }
        // serde's messages may quote what they could not read.
        _ => ClusterError::Unavailable("its answer could not be read".to_owned()),
    }
}

fn shortened(text: &str) -> String {
    const LENGTH: usize = 200;
    let text = text.strip_prefix("Host error: ").unwrap_or(text);
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Returns the user in a message of the API server, such as `secrets "db" is forbidden: User "alice" cannot get resource`;
/// the user of `deploy/base` where it names none.
fn quoted_user(text: &str) -> &str {
    text.split_once("is forbidden: User \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("system:serviceaccount:kubewarden:secret-injector", |(user, _)| user)
}

fn may_not_read(user: &str, namespace: &str) -> String {
    format!(
        "the policy server, which is {user:?}, may not get Secrets in the namespace {namespace:?}. This would allow it (the \
         ClusterRole is in deploy/components/read-secrets):\n\
         apiVersion: rbac.authorization.k8s.io/v1\n\
         kind: RoleBinding\n\
         metadata: {{name: secret-injector-secrets, namespace: {namespace:?}}}\n\
         roleRef: {{kind: ClusterRole, name: secret-injector-secrets, apiGroup: rbac.authorization.k8s.io}}\n\
         subjects: [{}]",
        subject(user)
    )
}

fn may_not_review(user: &str) -> String {
    format!(
        "the policy server, which is {user:?}, may not create SubjectAccessReviews. This would allow it (the ClusterRole is \
         in deploy/components/authorize):\n\
         apiVersion: rbac.authorization.k8s.io/v1\n\
         kind: ClusterRoleBinding\n\
         metadata: {{name: secret-injector-access-reviews}}\n\
         roleRef: {{kind: ClusterRole, name: secret-injector-access-reviews, apiGroup: rbac.authorization.k8s.io}}\n\
         subjects: [{}]",
        subject(user)
    )
}
