//! The policy servers in `deploy`: they outlive a node, and may do what the settings need and no more.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e_tests::flyte_config::{self, FlyteVersion, Found};
use e2e_tests::modules;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use crate::kustomize::{PolicyServer, Resources};
use crate::markdown::{Document, files};
use crate::{COMPONENTS, DEPLOYMENTS, annotation_of, documents, metadata, policy, problem, read};

#[test]
fn the_policy_server_survives_the_loss_of_a_node() {
    for deployment in DEPLOYMENTS {
        let resources = Resources::of(deployment);
        let server: PolicyServer = resources.typed("PolicyServer").remove(0);
        let name = server.metadata.name.unwrap();
        assert_eq!(
            resources.one("ClusterAdmissionPolicy")["spec"]["policyServer"],
            name.as_str(),
            "{deployment}"
        );
        let spec = server.spec;
        assert!(spec.replicas >= 2, "{deployment}");
        assert!(matches!(spec.min_available, Some(IntOrString::Int(count)) if 0 < count && count < spec.replicas));
        for resource in ["cpu", "memory"] {
            assert!(
                spec.requests.contains_key(resource),
                "{deployment}: no request for {resource}"
            );
            assert!(
                spec.limits.contains_key(resource),
                "{deployment}: no limit for {resource}"
            );
        }
        // The controller labels the server's Pods with policy-server-NAME.
        let instance = format!("policy-server-{name}");
        let spread = spec.affinity.unwrap().pod_anti_affinity.unwrap();
        let terms = spread.preferred_during_scheduling_ignored_during_execution.unwrap();
        for term in &terms {
            let labels = term
                .pod_affinity_term
                .label_selector
                .as_ref()
                .unwrap()
                .match_labels
                .as_ref()
                .unwrap();
            assert_eq!(
                labels.get("app.kubernetes.io/instance"),
                Some(&instance),
                "{deployment}"
            );
        }
        assert!(
            terms
                .iter()
                .any(|term| term.pod_affinity_term.topology_key == "kubernetes.io/hostname")
        );
        assert_eq!(spec.namespaced_policies_capabilities, Some(Vec::new()), "{deployment}");
    }
}

/// What settings make the policy ask of the cluster.
pub struct Needs {
    /// The namespaces of which it reads Secrets, as far as the settings tell; `None` where it reads no Secret.
    pub reads: Option<Vec<String>>,
    /// Whether it asks who may read them.
    pub asks: bool,
}

impl Needs {
    pub fn of(settings: &Value) -> Self {
        let (mut reads, mut asks) = (None, false);
        for manager in settings["managers"].as_array().unwrap() {
            let text = |field: &str, default: &str| manager[field].as_str().unwrap_or(default).to_owned();
            let namespace = match (manager["type"].as_str().unwrap(), manager["literal"] == true) {
                ("global", _) => Some(text("namespace", "flyte-secrets")),
                ("flyte", _) if !manager["store"].is_null() => continue,
                ("flyte", true) => Some(text("namespace", "flyte")),
                // The Pods' namespaces: one that is constant is known.
                ("flyte", false) => Some(text("podNamespace", "{project}-{domain}")),
                ("kubernetes", _) if manager["verify"] == true => None,
                _ => continue,
            };
            let reads = reads.get_or_insert_with(Vec::new);
            reads.extend(namespace);
            if manager["imagePullSecrets"] == true {
                reads.push(text("podNamespace", "{project}-{domain}"));
            }
            let default = if manager["type"] == "global" {
                "serviceAccount"
            } else {
                "none"
            };
            asks |= manager["type"] != "kubernetes" && text("authorize", default) != "none";
        }
        if let Some(reads) = &mut reads {
            reads.retain(|name| !name.contains('{'));
            reads.sort();
            reads.dedup();
        }
        Self { reads, asks }
    }
}

#[test]
fn the_policy_server_may_do_what_the_settings_need_and_no_more() {
    for deployment in DEPLOYMENTS {
        let resources = Resources::of(deployment);
        let settings = &resources.one("ClusterAdmissionPolicy")["spec"]["settings"];
        check_grants(deployment, &resources, &Needs::of(settings));
    }
}

/// The components grant what they are for, whatever they are added to.
#[test]
fn each_component_grants_what_it_is_for() {
    for (components, reads, asks) in [
        (&["read-secrets"][..], true, false),
        (&["authorize"], false, true),
        (&["read-secrets", "authorize"], true, true),
        (&["cilium"], false, false),
    ] {
        let mut resources = Resources::of("base");
        for component in components {
            assert!(COMPONENTS.contains(component));
            resources.add(&modules::repository().join("deploy/components").join(component));
        }
        let reads = reads.then(Vec::new);
        check_grants(&components.join(", "), &resources, &Needs { reads, asks });
    }
}

/// Permissions are there exactly where they are needed, for the policy server's service account alone.
fn check_grants(place: &str, resources: &Resources, needs: &Needs) {
    let server: PolicyServer = resources.typed("PolicyServer").remove(0);
    let accounts: Vec<ServiceAccount> = resources.typed("ServiceAccount");
    assert_eq!(accounts.len(), 1, "{place}");
    let account = accounts[0].metadata.name.clone().unwrap();
    assert_eq!(server.spec.service_account_name.as_ref(), Some(&account), "{place}");

    let policy = resources.one("ClusterAdmissionPolicy");
    let expected = match needs.reads {
        Some(_) => metadata()["contextAwareResources"].clone(),
        None => Value::Null,
    };
    assert_eq!(policy["spec"]["contextAwareResources"], expected, "{place}");

    let roles: BTreeMap<String, Value> = resources
        .typed::<ClusterRole>("ClusterRole")
        .into_iter()
        .map(|role| (role.metadata.name.unwrap(), json!(role.rules.unwrap())))
        .collect();
    let reviews = (
        "secret-injector-access-reviews".to_owned(),
        json!([{"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]}]),
    );
    let secrets = (
        "secret-injector-secrets".to_owned(),
        json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]),
    );
    let expected = [needs.asks.then_some(reviews), needs.reads.is_some().then_some(secrets)];
    assert_eq!(roles, expected.into_iter().flatten().collect(), "{place}");

    let everywhere: Vec<ClusterRoleBinding> = resources.typed("ClusterRoleBinding");
    let bound: Vec<&str> = everywhere
        .iter()
        .map(|binding| binding.role_ref.name.as_str())
        .collect();
    let expected: &[&str] = if needs.asks {
        &["secret-injector-access-reviews"]
    } else {
        &[]
    };
    assert_eq!(bound, expected, "{place}: in the whole cluster");
    let somewhere: Vec<RoleBinding> = resources.typed("RoleBinding");
    let mut readable = Vec::new();
    for binding in &somewhere {
        assert_eq!(binding.role_ref.name, "secret-injector-secrets", "{place}");
        readable.push(binding.metadata.namespace.clone().unwrap());
    }
    assert_eq!(readable, needs.reads.clone().unwrap_or_default(), "{place}");

    let subjects = everywhere.iter().map(|binding| &binding.subjects);
    for subjects in subjects.chain(somewhere.iter().map(|binding| &binding.subjects)) {
        let expected =
            json!([{"kind": "ServiceAccount", "name": account, "namespace": accounts[0].metadata.namespace}]);
        let mut subjects = json!(subjects);
        subjects[0].as_object_mut().unwrap().remove("apiGroup");
        assert_eq!(subjects, expected, "{place}");
    }
    let known = [
        "ClusterAdmissionPolicy",
        "PolicyServer",
        "ServiceAccount",
        "NetworkPolicy",
        "CiliumNetworkPolicy",
        "ClusterRole",
        "ClusterRoleBinding",
        "RoleBinding",
    ];
    for resource in &resources.0 {
        assert!(
            known.contains(&resource["kind"].as_str().unwrap()),
            "{place}: {resource}"
        );
    }
}

/// Kustomizations that the documentation shows, on top of the overlays at the version of the metadata: their settings are valid,
/// and the policy server may do what these need.
#[test]
fn overlays_in_the_documentation_grant_what_their_settings_need() {
    let mut seen = 0;
    for document in Document::all() {
        seen += check_overlays(&document.path.display().to_string(), &files(&document.text));
    }
    assert!(seen >= 2, "{seen}");
}

/// The same for what the tool makes of Flyte's configurations, and for the objects that it prints to be applied after the base.
#[test]
fn overlays_from_flytes_configuration_grant_what_their_settings_need() {
    let mut seen = 0;
    for case in documents(&read("cli/tests/flyte_config.yaml")) {
        let name = case["case"].as_str().unwrap();
        let mut found = Found::default();
        for file in case["files"].as_array().into_iter().flatten() {
            // What is wrong in them is looked at elsewhere.
            _ = found.add(&file.to_string());
        }
        let version = case["version"].as_u64().map(|version| match version {
            1 => FlyteVersion::V1,
            _ => FlyteVersion::V2,
        });
        let Ok((config, version)) = found.finish(version) else {
            continue;
        };
        let Ok(conversion) = flyte_config::convert(&Value::Object(config.clone()), version) else {
            continue;
        };
        let conversion = conversion.lean(&config, case["global"] == true);
        let overlay = flyte_config::overlay(&conversion).unwrap();
        let written: Vec<(&str, String)> = overlay.iter().map(|(name, text)| (*name, text.clone())).collect();
        seen += check_overlays(name, &written);

        let mut applied = Resources::of("base");
        let objects = documents(&flyte_config::policy(&conversion).unwrap());
        applied
            .0
            .retain(|resource| resource["kind"] != "ClusterAdmissionPolicy");
        applied.0.extend(objects);
        // An empty list grants what an absent one does, and takes away what was there.
        for resource in &mut applied.0 {
            if resource["spec"]["contextAwareResources"] == json!([]) {
                resource["spec"]["contextAwareResources"].take();
            }
        }
        check_grants(name, &applied, &Needs::of(&conversion.settings));
    }
    assert!(seen >= 12, "{seen}");
}

/// Checks the kustomizations among files, and returns how many there are.
fn check_overlays(place: &str, files: &[(&str, String)]) -> usize {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let here = std::env::temp_dir().join(format!("overlay-{}-{number}", std::process::id()));
    let metadata = metadata();
    let remote = format!("{}//deploy/", annotation_of(&metadata, "io.kubewarden.policy.source"));
    let version = format!("?ref=v{}", annotation_of(&metadata, "io.kubewarden.policy.version"));
    let deploy = modules::repository().join("deploy");
    for (name, text) in files {
        let path = here.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = text.replace(&remote, &format!("{}/", deploy.display()));
        fs::write(path, text.replace(&version, "")).unwrap();
    }
    let mut seen = 0;
    for (name, text) in files.iter().filter(|(name, _)| name.ends_with("kustomization.yaml")) {
        assert!(text.contains(&remote) && text.contains(&version), "{place}: {name}");
        let resources = Resources::read(here.join(name).parent().unwrap());
        let settings = &resources.one("ClusterAdmissionPolicy")["spec"]["settings"];
        assert_eq!(problem(policy(), settings), None, "{place}: {name}");
        let needs = Needs::of(settings);
        if needs.reads.as_ref().is_none_or(|namespaces| !namespaces.is_empty()) {
            check_grants(&format!("{place}: {name}"), &resources, &needs);
        }
        seen += 1;
    }
    if !files.is_empty() {
        fs::remove_dir_all(here).unwrap();
    }
    seen
}
