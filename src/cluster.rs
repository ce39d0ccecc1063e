//! Reading Secrets and asking about permissions, through the host.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::Deserialize;

use crate::host::{
    CanIRequest, Error, GetResourceRequest, ResourceAttributes, SubjectAccessReview, can_i, get_resource,
};
use crate::names;

/// The cluster, as far as the policy needs it.
pub trait Cluster {
    /// The values under `keys` of a Secret.
    ///
    /// # Errors
    /// [`ClusterError`]; a key that the Secret does not have is no error.
    fn secret(&self, namespace: &str, name: &str, keys: &[&str]) -> Result<SecretData, ClusterError>;

    /// The names of all keys of a Secret, for suggestions.
    ///
    /// # Errors
    /// [`ClusterError`]
    fn secret_keys(&self, namespace: &str, name: &str) -> Result<Vec<String>, ClusterError>;

    /// Whether `user` may `get` the Secret `name`.
    ///
    /// # Errors
    /// [`ClusterError`], never [`ClusterError::NotFound`].
    fn may_get_secret(&self, user: &str, groups: &[String], namespace: &str, name: &str) -> Result<bool, ClusterError>;
}

/// The data of a Secret, or a part of it, decoded.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretData(Vec<(String, Vec<u8>)>);

impl SecretData {
    /// Makes it of keys and values.
    pub fn new(entries: Vec<(String, Vec<u8>)>) -> Self {
        Self(entries)
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_slice())
    }
}

/// Values of secrets stay out of logs and panics, so there is no derived `Debug`.
impl std::fmt::Debug for SecretData {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SecretData")
    }
}

/// Why the cluster could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// There is no such Secret.
    #[error("there is no such Secret")]
    NotFound,
    /// The host does not let the policy ask; the text says what an operator has to add.
    #[error("the policy is not allowed to ask: {0}")]
    NotGranted(&'static str),
    /// The API server gave no answer, or one that makes no sense.
    #[error("the API server could not be asked ({0}); try again, and look at the policy server's log if it stays so")]
    Unavailable(String),
}

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

/// The cluster behind the host, each question asked once.
#[derive(Default)]
pub struct HostCluster {
    secrets: RefCell<Vec<(SecretQuestion, Result<SecretData, ClusterError>)>>,
    permissions: RefCell<Vec<(Permission, Result<bool, ClusterError>)>>,
}

#[derive(Clone, PartialEq, Eq)]
struct SecretQuestion {
    namespace: String,
    name: String,
    keys: Vec<String>,
}

#[derive(Clone, PartialEq, Eq)]
struct Permission {
    user: String,
    groups: Vec<String>,
    namespace: String,
    name: String,
}

impl Cluster for HostCluster {
    fn secret(&self, namespace: &str, name: &str, keys: &[&str]) -> Result<SecretData, ClusterError> {
        let question = SecretQuestion {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        };
        if let Some((_, answer)) = self.secrets.borrow().iter().find(|(asked, _)| *asked == question) {
            return answer.clone();
        }
        let answer = read_secret(&question);
        self.secrets.borrow_mut().push((question, answer.clone()));
        answer
    }

    fn secret_keys(&self, namespace: &str, name: &str) -> Result<Vec<String>, ClusterError> {
        let whole = self.secret(namespace, name, &[])?;
        Ok(whole.0.into_iter().map(|(key, _)| key).collect())
    }

    fn may_get_secret(&self, user: &str, groups: &[String], namespace: &str, name: &str) -> Result<bool, ClusterError> {
        let permission = Permission {
            user: user.to_owned(),
            groups: groups.to_vec(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        if let Some((_, answer)) = self.permissions.borrow().iter().find(|(asked, _)| *asked == permission) {
            return answer.clone();
        }
        let answer = ask_permission(&permission);
        self.permissions.borrow_mut().push((permission, answer.clone()));
        answer
    }
}

/// A cluster in memory, for tests.
///
/// ```
/// use secret_injector_policy::cluster::{Cluster, ClusterError, MemoryCluster};
///
/// let cluster = MemoryCluster::default().with_secret("team-a", "db", &[("password", b"s3cr3t")]);
/// assert_eq!(cluster.secret("team-a", "db", &["password"]).unwrap().get("password"), Some(&b"s3cr3t"[..]));
/// assert_eq!(cluster.secret("team-b", "db", &["password"]), Err(ClusterError::NotFound));
/// assert_eq!(cluster.questions(), ["get team-a/db password", "get team-b/db password"]);
/// ```
#[derive(Debug, Default)]
pub struct MemoryCluster {
    secrets: Vec<(String, String, SecretData)>,
    permissions: Vec<(String, String, String)>,
    outage: Option<ClusterError>,
    questions: RefCell<Vec<String>>,
}

impl MemoryCluster {
    /// Adds a Secret.
    #[must_use]
    pub fn with_secret(mut self, namespace: &str, name: &str, data: &[(&str, &[u8])]) -> Self {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec()));
        let data = SecretData::new(data.collect());
        self.secrets.push((namespace.to_owned(), name.to_owned(), data));
        self
    }

    /// Lets `user` get a Secret.
    #[must_use]
    pub fn with_permission(mut self, user: &str, namespace: &str, name: &str) -> Self {
        self.permissions
            .push((user.to_owned(), namespace.to_owned(), name.to_owned()));
        self
    }

    /// Answers every question with `error`.
    #[must_use]
    pub fn with_outage(mut self, error: ClusterError) -> Self {
        self.outage = Some(error);
        self
    }

    /// What was asked, in order: `get NAMESPACE/NAME KEYS` and `can USER get NAMESPACE/NAME`.
    pub fn questions(&self) -> Vec<String> {
        self.questions.borrow().clone()
    }

    fn note(&self, question: String) -> Result<(), ClusterError> {
        self.questions.borrow_mut().push(question);
        self.outage.clone().map_or(Ok(()), Err)
    }
}

impl Cluster for MemoryCluster {
    fn secret(&self, namespace: &str, name: &str, keys: &[&str]) -> Result<SecretData, ClusterError> {
        self.note(format!("get {namespace}/{name} {}", keys.join(",")))?;
        let secret = self
            .secrets
            .iter()
            .find(|(known_namespace, known, _)| known_namespace == namespace && known == name);
        let (_, _, SecretData(entries)) = secret.ok_or(ClusterError::NotFound)?;
        let wanted = |key: &str| keys.is_empty() || keys.contains(&key);
        Ok(SecretData(
            entries.iter().filter(|(key, _)| wanted(key)).cloned().collect(),
        ))
    }

    fn secret_keys(&self, namespace: &str, name: &str) -> Result<Vec<String>, ClusterError> {
        let SecretData(entries) = self.secret(namespace, name, &[])?;
        Ok(entries.into_iter().map(|(key, _)| key).collect())
    }

    fn may_get_secret(&self, user: &str, _: &[String], namespace: &str, name: &str) -> Result<bool, ClusterError> {
        self.note(format!("can {user} get {namespace}/{name}"))?;
        let permission = (user.to_owned(), namespace.to_owned(), name.to_owned());
        Ok(self.permissions.contains(&permission))
    }
}

/// A Secret as the host gives it, without what the policy does not read.
#[derive(Clone, Deserialize)]
struct Secret {
    #[serde(default)]
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

fn read_secret(question: &SecretQuestion) -> Result<SecretData, ClusterError> {
    let request = GetResourceRequest {
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        name: question.name.clone(),
        namespace: Some(question.namespace.clone()),
        disable_cache: false,
        field_masks: Some(field_masks(&question.keys)),
    };
    let secret = get_resource::<Secret>(&request).map_err(|error| classify(&error, GRANT_GET_RESOURCE))?;
    let mut entries = Vec::new();
    for (key, value) in secret.data.map(|data| data.0).unwrap_or_default() {
        let value = crate::base64::decode(&value)
            .ok_or_else(|| ClusterError::Unavailable("a Secret's data is not base64".to_owned()))?;
        entries.push((key, value));
    }
    Ok(SecretData(entries))
}

/// Which parts of a Secret the host is to send: those keys alone, or all data where a key holds the dot that separates
/// the fields of a mask, or where no key is named.
fn field_masks(keys: &[String]) -> BTreeSet<String> {
    if keys.is_empty() || keys.iter().any(|key| key.contains('.')) {
        let mut whole = BTreeSet::new();
        whole.insert("data".to_owned());
        return whole;
    }
    let mut masks = BTreeSet::new();
    for key in keys {
        masks.insert(format!("data.{key}"));
    }
    masks
}

fn ask_permission(permission: &Permission) -> Result<bool, ClusterError> {
    let request = CanIRequest {
        subject_access_review: SubjectAccessReview {
            groups: Some(permission.groups.clone()),
            resource_attributes: ResourceAttributes {
                group: Some(String::new()),
                name: Some(permission.name.clone()),
                namespace: Some(permission.namespace.clone()),
                resource: "secrets".to_owned(),
                subresource: None,
                verb: "get".to_owned(),
                version: Some("v1".to_owned()),
            },
            user: permission.user.clone(),
        },
        disable_cache: false,
    };
    match can_i(&request) {
        Ok(status) => Ok(status.allowed),
        Err(error) => Err(match classify(&error, GRANT_CAN_I) {
            ClusterError::NotFound => ClusterError::Unavailable("SubjectAccessReview is not served".to_owned()),
            other => other,
        }),
    }
}

/// Tells the host's errors apart by their text; it has no codes
/// ([callback_handler](https://github.com/kubewarden/policy-evaluator/tree/main/src/callback_handler)).
fn classify(error: &Error, capability: &'static str) -> ClusterError {
    match error {
        Error::Host(text) => {
            if names::find(text, "Cannot find v1/Secret named").is_some() {
                ClusterError::NotFound
            } else if names::find(text, "has not been granted access to Kubernetes").is_some() {
                ClusterError::NotGranted(GRANT_SECRETS)
            } else if names::find(text, "has not been granted access").is_some() {
                ClusterError::NotGranted(capability)
            } else {
                ClusterError::Unavailable(shortened(text))
            }
        }
        // serde's messages may quote what they could not read.
        Error::Json(_) => ClusterError::Unavailable("its answer could not be read".to_owned()),
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
