//! Secrets with which the kubelet pulls images, by rule.

use std::borrow::Cow;

use crate::cluster::{Cluster, ClusterError};
use crate::json::fields::{Fields, SettingsError};
use crate::names::is_dns_subdomain;
use crate::patterns::{self, Patterns};

/// An item of the settings' `imagePullSecrets`: Pods with an image that fits get a reference to the Secret.
pub(crate) struct PullSecret {
    /// The Secret's name, in the Pod's namespace.
    pub(crate) name: String,
    images: Patterns,
    namespaces: Patterns,
    verify: bool,
}

impl PullSecret {
    /// Reads an item of `imagePullSecrets`.
    pub(crate) fn from_fields(mut fields: Fields<'_>) -> Result<Self, SettingsError> {
        let name = fields.text("name")?.unwrap_or_default();
        if !is_dns_subdomain(&name) {
            return Err(fields.invalid("name", "has to be the name of a Secret in the Pods' namespaces"));
        }
        let images = Patterns::from_fields(&mut fields, "images", patterns::anything)?;
        if !images.are_given() {
            return Err(fields.invalid(
                "images",
                "is missing: list patterns for the images that the Secret is for, such as registry.example.com/*",
            ));
        }
        let namespaces = Patterns::from_fields(&mut fields, "namespaces", patterns::namespace)?;
        let verify = fields.take("verify")?.unwrap_or(false);
        fields.finish()?;
        Ok(Self {
            name,
            images,
            namespaces,
            verify,
        })
    }

    /// Returns whether a Pod in `namespace` with `images` gets the Secret.
    pub(crate) fn is_for(&self, namespace: &str, images: &[String]) -> bool {
        let fits = |image: &String| self.images.fit(image) || self.images.fit(&full(image));
        self.namespaces.fit(namespace) && images.iter().any(fits)
    }

    /// Returns a warning where the settings ask for a look at the Secret, and it is not there or cannot be looked at.
    pub(crate) fn problem(&self, namespace: &str, cluster: &dyn Cluster) -> Option<String> {
        if !self.verify {
            return None;
        }
        let name = &self.name;
        match cluster.secret(namespace, name, &["type"]) {
            Ok(_) => None,
            Err(ClusterError::NotFound) => Some(format!(
                "images are to be pulled with the Secret {name:?}, which is not in the namespace {namespace:?}: create it there"
            )),
            Err(error) => Some(format!(
                "images are to be pulled with the Secret {name:?} in the namespace {namespace:?}, which could not be looked at: \
                 {error}"
            )),
        }
    }
}

/// Returns the image with its registry, as container runtimes read it: `nginx` is `docker.io/library/nginx`.
fn full(image: &str) -> Cow<'_, str> {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => Cow::Borrowed(image),
        Some(_) => Cow::Owned(format!("docker.io/{image}")),
        None => Cow::Owned(format!("docker.io/library/{image}")),
    }
}
