//! The questions of one evaluation.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::model::{Cluster, ClusterError, MAX_BYTES, MAX_QUESTIONS, SecretData};
use crate::names;
use crate::order::sort_and_dedup;
use crate::requests::SecretRequest;

/// A cluster that is asked each question once, and only so many questions.
///
/// It knows the Pod's requests: the first read of a Secret asks for the keys of all requests that name it as their group.
pub struct Questions<'a> {
    cluster: &'a dyn Cluster,
    /// The keys of the requests by their group.
    keys: BTreeMap<&'a str, Vec<&'a str>>,
    asked: Cell<usize>,
    bytes: Cell<usize>,
    suggested: Cell<bool>,
    secrets: RefCell<BTreeMap<(String, String), Answer>>,
    /// A user has the same groups in the whole evaluation.
    permissions: RefCell<BTreeMap<Permission, Result<bool, ClusterError>>>,
}

/// A user, and the namespace and name of a Secret.
type Permission = (String, String, String);

/// What is known of a Secret.
struct Answer {
    /// The keys that were asked for, sorted; empty where the whole Secret was.
    keys: Vec<String>,
    data: Result<SecretData, ClusterError>,
}

impl Answer {
    /// Returns whether this answers a question for `keys`; an empty list is the whole Secret.
    fn has(&self, keys: &[&str]) -> bool {
        let known = |key: &&str| self.keys.binary_search_by(|known| known.as_str().cmp(key)).is_ok();
        self.data.is_err() || self.keys.is_empty() || (!keys.is_empty() && keys.iter().all(known))
    }
}

impl<'a> Questions<'a> {
    /// Begins an evaluation of `requests`.
    pub fn new(cluster: &'a dyn Cluster, requests: &'a [SecretRequest]) -> Self {
        let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for request in requests.iter().filter(|request| names::is_secret_key(&request.key)) {
            keys.entry(&request.group).or_default().push(&request.key);
        }
        Self {
            cluster,
            keys,
            asked: Cell::new(0),
            bytes: Cell::new(0),
            suggested: Cell::new(false),
            secrets: RefCell::default(),
            permissions: RefCell::default(),
        }
    }

    /// Returns whether a question was refused because the Pod has caused too many, or too much data.
    pub fn exhausted(&self) -> bool {
        self.asked.get() > MAX_QUESTIONS || self.bytes.get() > MAX_BYTES
    }

    fn spend_question(&self) -> Result<(), ClusterError> {
        self.asked.set(self.asked.get().saturating_add(1));
        if self.asked.get() > MAX_QUESTIONS {
            return Err(ClusterError::TooManyQuestions);
        }
        Ok(())
    }

    fn ask(&self, namespace: &str, name: &str, keys: &[&str]) -> Result<SecretData, ClusterError> {
        self.spend_question()?;
        let data = self.cluster.secret(namespace, name, keys)?;
        self.bytes.set(self.bytes.get().saturating_add(data.size()));
        if self.bytes.get() > MAX_BYTES {
            return Err(ClusterError::TooMuchData);
        }
        Ok(data)
    }
}

impl Cluster for Questions<'_> {
    fn secret(&self, namespace: &str, name: &str, keys: &[&str]) -> Result<SecretData, ClusterError> {
        let secret = (namespace.to_owned(), name.to_owned());
        if let Some(answer) = self.secrets.borrow().get(&secret).filter(|answer| answer.has(keys)) {
            return answer.data.clone();
        }
        let mut wanted = keys.to_vec();
        if !keys.is_empty() {
            wanted.extend(self.keys.get(name).into_iter().flatten());
            sort_and_dedup(&mut wanted);
        }
        let data = self.ask(namespace, name, &wanted);
        let keys = wanted.into_iter().map(str::to_owned).collect();
        let answer = Answer {
            keys,
            data: data.clone(),
        };
        self.secrets.borrow_mut().insert(secret, answer);
        data
    }

    /// Returns the keys for the first suggestion of the evaluation, and none for further ones: reading whole Secrets and
    /// comparing their keys is the work that a Secret's author chooses.
    fn secret_keys(&self, namespace: &str, name: &str) -> Result<Vec<String>, ClusterError> {
        if self.suggested.replace(true) {
            return Ok(Vec::new());
        }
        Ok(self.secret(namespace, name, &[])?.keys().map(str::to_owned).collect())
    }

    fn may_get_secret(&self, user: &str, groups: &[&str], namespace: &str, name: &str) -> Result<bool, ClusterError> {
        let permission = (user.to_owned(), namespace.to_owned(), name.to_owned());
        if let Some(answer) = self.permissions.borrow().get(&permission) {
            return answer.clone();
        }
        let answer = self
            .spend_question()
            .and_then(|()| self.cluster.may_get_secret(user, groups, namespace, name));
        self.permissions.borrow_mut().insert(permission, answer.clone());
        answer
    }
}
