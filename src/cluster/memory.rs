//! A cluster in memory.

#![forbid(unsafe_code)]

use std::cell::RefCell;

use super::{Cluster, ClusterError, SecretData};

/// A cluster in memory, for tests.
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
        let (_, _, data) = secret.ok_or(ClusterError::NotFound)?;
        if keys.is_empty() {
            return Ok(data.clone());
        }
        let wanted = |key: &&str| Some(((*key).to_owned(), data.get(key)?.to_vec()));
        Ok(SecretData::new(keys.iter().filter_map(wanted).collect()))
    }

    fn secret_keys(&self, namespace: &str, name: &str) -> Result<Vec<String>, ClusterError> {
        Ok(self.secret(namespace, name, &[])?.keys().map(str::to_owned).collect())
    }

    fn may_get_secret(&self, user: &str, _: &[&str], namespace: &str, name: &str) -> Result<bool, ClusterError> {
        self.note(format!("can {user} get {namespace}/{name}"))?;
        let permission = (user.to_owned(), namespace.to_owned(), name.to_owned());
        Ok(self.permissions.contains(&permission))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_what_it_was_given_and_notes_questions() {
        let cluster = MemoryCluster::default().with_secret("team-a", "db", &[("password", b"s3cr3t")]);
        let secret = cluster.secret("team-a", "db", &["password"]).unwrap();
        assert_eq!(secret.get("password"), Some(&b"s3cr3t"[..]));
        assert_eq!(
            cluster.secret("team-b", "db", &["password"]),
            Err(ClusterError::NotFound)
        );
        assert_eq!(
            cluster.questions(),
            ["get team-a/db password", "get team-b/db password"]
        );
    }
}
