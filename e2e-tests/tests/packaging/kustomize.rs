//! Reads the manifests in `deploy` as kustomize does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e_tests::modules;
use k8s_openapi::api::core::v1::{Affinity, EnvVar, PodSecurityContext, SecurityContext, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{COMPONENTS, DEPLOYMENTS, documents, parse_as};

/// What [`Resources`] makes of the files is what kustomize makes of them. Where there is no kubectl, which has kustomize built in,
/// nothing is compared.
#[test]
fn kustomize_agrees() {
    let deploy = modules::repository().join("deploy");
    let mut directories: Vec<PathBuf> = DEPLOYMENTS.iter().map(|deployment| deploy.join(deployment)).collect();
    // Kustomize wants resources at a relative path.
    let all_components = modules::repository().join("target/kustomize-all-components");
    fs::create_dir_all(&all_components).unwrap();
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../deploy/base"],
        "components": COMPONENTS.map(|component| format!("../../deploy/components/{component}")),
    });
    fs::write(all_components.join("kustomization.yaml"), kustomization.to_string()).unwrap();
    directories.push(all_components);
    for directory in directories {
        let Ok(output) = Command::new("kubectl").arg("kustomize").arg(&directory).output() else {
            eprintln!("kubectl is not installed, so that there is nothing to compare with");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let sorted = |mut resources: Vec<Value>| {
            resources.sort_by_key(|resource| (resource["kind"].to_string(), resource["metadata"].to_string()));
            resources
        };
        let theirs = documents(&String::from_utf8(output.stdout).unwrap());
        let ours = Resources::read(&directory).0;
        assert_eq!(sorted(ours), sorted(theirs), "{}", directory.display());
    }
}

/// The manifests of a kustomization, with its patches.
pub struct Resources(pub Vec<Value>);

impl Resources {
    pub fn of(deployment: &str) -> Self {
        Self::read(&modules::repository().join("deploy").join(deployment))
    }

    pub fn read(directory: &Path) -> Self {
        let mut resources = Self(Vec::new());
        resources.add(directory);
        resources
    }

    /// Adds what a kustomization holds, or, of a component, what it does to what is there.
    pub fn add(&mut self, directory: &Path) {
        let kustomization: Kustomization = parse_as(&directory.join("kustomization.yaml"));
        for resource in &kustomization.resources {
            let path = directory.join(resource);
            match path.is_dir() {
                true => self.0.extend(Self::read(&path).0),
                false => self.0.extend(documents(&fs::read_to_string(&path).unwrap())),
            }
        }
        for component in &kustomization.components {
            self.add(&directory.join(component));
        }
        for patch in &kustomization.patches {
            let patch: Value = parse_as(&directory.join(&patch.path));
            let same = |resource: &&mut Value| {
                ["apiVersion", "kind"]
                    .iter()
                    .all(|field| resource[field] == patch[field])
                    && resource["metadata"]["name"] == patch["metadata"]["name"]
            };
            let patched = self.0.iter_mut().find(same).expect("a patch has to name a resource");
            // Kustomize merges kinds without a known schema as RFC 7386 says: lists are replaced.
            json_patch::merge(patched, &patch);
        }
    }

    pub fn all(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |resource| resource["kind"] == kind)
    }

    pub fn one(&self, kind: &str) -> Value {
        let all: Vec<&Value> = self.all(kind).collect();
        assert_eq!(all.len(), 1, "{kind}");
        all[0].clone()
    }

    pub fn typed<T: DeserializeOwned>(&self, kind: &str) -> Vec<T> {
        self.all(kind)
            .map(|resource| serde_json::from_value(resource.clone()).unwrap_or_else(|error| panic!("{kind}: {error}")))
            .collect()
    }
}

/// What of a kustomization [`Resources`] understands.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kustomization {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    components: Vec<String>,
    #[serde(default)]
    patches: Vec<Patch>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    path: String,
}

/// Kubewarden's PolicyServer, which the SDK does not have
/// ([policyserver_types.go](https://github.com/kubewarden/adm-controller/blob/main/api/policies/v1/policyserver_types.go)).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyServer {
    #[serde(rename = "apiVersion")]
    pub _api_version: String,
    #[serde(rename = "kind")]
    pub _kind: String,
    pub metadata: ObjectMeta,
    pub spec: PolicyServerSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "the fields that no test looks at are there so that a misspelt one is an error"
)]
pub struct PolicyServerSpec {
    pub image: String,
    pub replicas: i32,
    pub min_available: Option<IntOrString>,
    pub max_unavailable: Option<IntOrString>,
    pub annotations: Option<BTreeMap<String, String>>,
    pub labels: Option<BTreeMap<String, String>>,
    pub env: Option<Vec<EnvVar>>,
    pub service_account_name: Option<String>,
    pub image_pull_secret: Option<String>,
    pub insecure_sources: Option<Vec<String>>,
    pub source_authorities: Option<BTreeMap<String, Vec<String>>>,
    pub verification_config: Option<String>,
    pub sigstore_trust_config: Option<String>,
    pub security_contexts: Option<PolicyServerSecurity>,
    pub affinity: Option<Affinity>,
    pub limits: BTreeMap<String, Quantity>,
    pub requests: BTreeMap<String, Quantity>,
    pub tolerations: Option<Vec<Toleration>>,
    pub priority_class_name: Option<String>,
    pub namespaced_policies_capabilities: Option<Vec<String>>,
    pub webhook_port: Option<u16>,
    pub readiness_probe_port: Option<u16>,
    pub metrics_port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as above")]
pub struct PolicyServerSecurity {
    pub container: Option<SecurityContext>,
    pub pod: Option<PodSecurityContext>,
}
