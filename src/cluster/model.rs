//! What the policy asks the cluster, and what comes back.

use std::rc::Rc;

use crate::sort::{beside, sort_by};

/// The most questions to the cluster for one Pod. Each is a round trip to the API server, and a dry run costs as many.
pub(super) const MAX_QUESTIONS: usize = 100;

/// The most data of Secrets that is read for one Pod. Decoding takes time, and the host stops the policy after two seconds.
pub(super) const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The cluster, as far as the policy needs it.
pub trait Cluster {
    /// Returns the values under `keys` of a Secret, or all of its values where `keys` is empty.
    ///
    /// # Errors
    /// [`ClusterError`]; a key that the Secret does not have is no error.
    fn secret(&self, namespace: &str, name: &str, keys: &[&str]) -> Result<SecretData, ClusterError>;

    /// Returns whether `user`, who is in `groups`, may `get` the Secret `name`.
    fn may_get_secret(&self, user: &str, groups: &[&str], namespace: &str, name: &str) -> Result<bool, ClusterError>;
}

/// Returns `user` as a subject of a RoleBinding.
pub(crate) fn subject(user: &str) -> String {
    let account = user.strip_prefix("system:serviceaccount:");
    match account.and_then(|account| account.split_once(':')) {
        Some((namespace, name)) => format!("{{kind: ServiceAccount, name: {name:?}, namespace: {namespace:?}}}"),
        None => format!("{{kind: User, name: {user:?}, apiGroup: rbac.authorization.k8s.io}}"),
    }
}

/// The data of a Secret, or a part of it, decoded. A clone shares the data.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretData(Rc<Vec<(String, Vec<u8>)>>);

impl SecretData {
    /// Makes it of keys and values.
    pub fn new(mut entries: Vec<(String, Vec<u8>)>) -> Self {
        sort_by(&mut entries, |(one, _), (other, _)| one.cmp(other));
        Self(Rc::new(entries))
    }

    /// Returns the value under `key`.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        beside(&self.0, key).map(Vec::as_slice)
    }

    /// Returns the names of the keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    /// Returns how many bytes the keys and values have together.
    pub(super) fn size(&self) -> usize {
        let sizes = self.0.iter().map(|(key, value)| key.len().saturating_add(value.len()));
        sizes.fold(0, usize::saturating_add)
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
    /// The API server does not let the policy server ask; the text says who may not do what, and what would allow it.
    #[error("{0}")]
    Forbidden(String),
    /// The Pod has used up the questions of its evaluation.
    #[error(
        "the Pod's secrets take more than the {} questions to the cluster that one Pod may cause; keep several values in \
         one Secret, or make several Pods",
        MAX_QUESTIONS
    )]
    TooManyQuestions,
    /// The Secrets that the evaluation has read are too large together.
    #[error(
        "the Secrets that the Pod asks for hold more than {} MiB, the most that is read for one Pod; make several Pods, \
         or keep large values elsewhere",
        MAX_BYTES / 1024 / 1024
    )]
    TooMuchData,
    /// The API server gave no answer, or one that makes no sense.
    #[error("the API server could not be asked ({0}); try again, and look at the policy server's log if it stays so")]
    Unavailable(String),
}
