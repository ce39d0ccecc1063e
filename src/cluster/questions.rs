//! The questions of one evaluation.

use std::cell::{Cell, RefCell};

use super::model::{Cluster, ClusterError, MAX_BYTES, MAX_QUESTIONS, SecretData};
use crate::names;
use crate::requests::SecretRequest;
use crate::sort::{has, sort_and_dedup};

/// A cluster that is asked each question once, and only so many questions.
///
/// It knows the Pod's requests: the first read of a Secret asks for the keys of all requests that name it as their group.
pub struct Questions<'a> {
    cluster: &'a dyn Cluster,
    requests: &'a [SecretRequest],
    asked: Cell<usize>,
    bytes: Cell<usize>,
    suggested: Cell<bool>,
    secrets: RefCell<Vec<((String, String), Answer)>>,
    /// A user has the same groups in the whole evaluation.
    permissions: RefCell<Vec<(Permission, Result<bool, ClusterError>)>>,
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
        let known = |key: &&str| has(&self.keys, key);
        self.data.is_err() || self.keys.is_empty() || (!keys.is_empty() && keys.iter().all(known))
    }
}

impl<'a> Questions<'a> {
    /// Begins an evaluation of `requests`.
    pub fn new(cluster: &'a dyn Cluster, requests: &'a [SecretRequest]) -> Self {
        Self {
            cluster,
            requests,
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

    /// Returns the names of a Secret's keys for the first suggestion of the evaluation, and none for further ones:
    /// reading whole Secrets and comparing their keys is the work that a Secret's author chooses.
    pub(crate) fn secret_keys(&self, namespace: &str, name: &str) -> Result<Vec<String>, ClusterError> {
        if self.suggested.replace(true) {
            return Ok(Vec::new());
        }
        Ok(self.secret(namespace, name, &[])?.keys().map(str::to_owned).collect())
    }

    /// Returns the keys of the requests for `group`.
    fn keys_of(&self, group: &str) -> impl Iterator<Item = &'a str> {
        let requests = self.requests.iter().filter(move |request| request.group == group);
        let keys = requests.map(|request| request.key.as_str());
        keys.filter(|key| names::is_secret_key(key))
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
        let known = |(other, answer): &&((String, String), Answer)| *other == secret && answer.has(keys);
        if let Some((_, answer)) = self.secrets.borrow().iter().find(known) {
            return answer.data.clone();
        }
        let mut wanted = keys.to_vec();
        if !keys.is_empty() {
            wanted.extend(self.keys_of(name));
            sort_and_dedup(&mut wanted);
        }
        let data = self.ask(namespace, name, &wanted);
        let keys = wanted.into_iter().map(str::to_owned).collect();
        let answer = Answer {
            keys,
            data: data.clone(),
        };
        self.secrets.borrow_mut().push((secret, answer));
        data
    }

    fn may_get_secret(&self, user: &str, groups: &[&str], namespace: &str, name: &str) -> Result<bool, ClusterError> {
        let permission = (user.to_owned(), namespace.to_owned(), name.to_owned());
        let known = |(other, _): &&(Permission, Result<bool, ClusterError>)| *other == permission;
        if let Some((_, answer)) = self.permissions.borrow().iter().find(known) {
            return answer.clone();
        }
        let answer = self
            .spend_question()
            .and_then(|()| self.cluster.may_get_secret(user, groups, namespace, name));
        self.permissions.borrow_mut().push((permission, answer.clone()));
        answer
    }
}
