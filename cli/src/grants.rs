//! What an operator grants a policy.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    host_request::{CallError, ContextAwareResource, HostRequest},
    yaml::{self, YamlError},
};

/// Why grants cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum GrantsError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not YAML.
    #[error("the metadata is {0}")]
    Yaml(#[from] YamlError),
    /// `contextAwareResources` or `hostCapabilities` are not as Kubewarden has them.
    #[error("the metadata's grants: {0}")]
    Form(#[from] serde_json::Error),
    /// Kubewarden takes `*` only alone, or behind a slash at the end.
    #[error("the host capability {0:?} is no path such as \"kubernetes/get_resource\", \"kubernetes/*\" or \"*\"")]
    Pattern(String),
}

/// What an operator grants a policy. The default grants nothing.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    resources: BTreeSet<ContextAwareResource>,
    capabilities: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Granted {
    #[serde(default)]
    context_aware_resources: Option<Vec<ContextAwareResource>>,
    #[serde(default)]
    host_capabilities: Option<Vec<String>>,
}

impl Grants {
    /// Nothing at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// All that this policy asks for with any settings.
    pub fn all_of_the_policy() -> Result<Self, GrantsError> {
        Self::new([("v1", "Secret")], ["kubernetes/get_resource", "kubernetes/can_i"])
    }

    /// The kinds, as `(apiVersion, kind)`, and the host capabilities given.
    pub fn new<'a>(
        resources: impl IntoIterator<Item = (&'a str, &'a str)>,
        capabilities: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, GrantsError> {
        let resources = resources.into_iter().map(|(api_version, kind)| ContextAwareResource {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        });
        let capabilities = capabilities.into_iter().map(capability).collect::<Result<_, _>>()?;
        Ok(Self {
            resources: resources.collect(),
            capabilities,
        })
    }

    /// What a `metadata.yml`, or a ClusterAdmissionPolicy, asks for.
    pub fn from_metadata_file(path: impl AsRef<Path>) -> Result<Self, GrantsError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| GrantsError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_metadata(&text)
    }

    /// What the text of a `metadata.yml`, or of a ClusterAdmissionPolicy, asks for.
    pub fn from_metadata(text: &str) -> Result<Self, GrantsError> {
        let Some(document) = yaml::documents(text)?.into_iter().next() else {
            return Ok(Self::none());
        };
        let metadata = yaml::to_json(&document)?;
        let granted = Granted::deserialize(metadata.get("spec").unwrap_or(&metadata))?;
        let capabilities = granted.host_capabilities.unwrap_or_default();
        Ok(Self {
            resources: granted
                .context_aware_resources
                .unwrap_or_default()
                .into_iter()
                .collect(),
            capabilities: capabilities
                .iter()
                .map(|path| capability(path))
                .collect::<Result<_, _>>()?,
        })
    }

    fn allows_capability(&self, path: &str) -> bool {
        self.capabilities.iter().any(|granted| match granted.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => granted == path,
        })
    }

    pub(crate) fn check(&self, request: &HostRequest) -> Result<(), CallError> {
        let path = format!("kubernetes/{}", request.operation());
        if !self.allows_capability(&path) {
            return Err(CallError::Capability(path));
        }
        match request {
            HostRequest::KubernetesGetResource { api_version, kind, .. } => {
                let wanted = ContextAwareResource {
                    api_version: api_version.clone(),
                    kind: kind.clone(),
                };
                match self.resources.contains(&wanted) {
                    true => Ok(()),
                    false => Err(CallError::Resource(wanted)),
                }
            }
            HostRequest::KubernetesCanI { .. } => Ok(()),
        }
    }
}

fn capability(pattern: &str) -> Result<String, GrantsError> {
    let pattern = pattern.trim();
    let fixed = match pattern {
        "*" => "",
        _ => pattern.strip_suffix("/*").unwrap_or(pattern),
    };
    if pattern.is_empty() || fixed.contains('*') {
        return Err(GrantsError::Pattern(pattern.to_owned()));
    }
    Ok(pattern.to_owned())
}
