//! A cluster in memory.

use super::{Cluster, ClusterError, SecretData};

/// A cluster in memory, for tests.
#[derive(Debug, Default)]
pub struct MemoryCluster {
    secrets: Vec<(String, String, SecretData)>,
    permissions: Vec<(String, String, String)>,
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
}

impl Cluster for MemoryCluster {
    fn secret(&self, namespace: &str, name: &str, keys: &[&str]) -> Result<SecretData, ClusterError> {
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

    fn may_get_secret(&self, user: &str, _: &[&str], namespace: &str, name: &str) -> Result<bool, ClusterError> {
        let permission = (user.to_owned(), namespace.to_owned(), name.to_owned());
        Ok(self.permissions.contains(&permission))
    }
}
