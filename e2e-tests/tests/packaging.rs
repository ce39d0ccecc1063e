//! What is shipped beside the module agrees with it and with itself: `Cargo.toml`, `metadata.yml`,
//! `artifacthub-pkg.yml`, `questions-ui.yml`, the manifests in `deploy` and the workflows.
//!
//! The manifests are resolved as kustomize does it for kinds whose schema it does not know, and read with the types of
//! Kubewarden's policy SDK; their settings are judged by the real module.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::flyte_config::{self, FlyteVersion, Found};
use e2e_tests::host::PolicyModule;
use e2e_tests::review::Review;
use e2e_tests::{modules, yaml};
use k8s_openapi::api::core::v1::{
    Affinity, EnvVar, Pod, PodSecurityContext, SecurityContext, ServiceAccount, Toleration,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kubewarden_policy_sdk::crd::policies::ClusterAdmissionPolicy;
use secret_injector_policy::requests::{FLYTE_PREFIX, JSON_ANNOTATION};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

#[path = "docs/markdown.rs"]
#[expect(dead_code, reason = "the tests of the documentation need more of it")]
mod markdown;

use markdown::{Document, files};

/// The base, which can be deployed as it is, and each overlay.
const DEPLOYMENTS: [&str; 4] = ["base", "overlays/flyte1", "overlays/flyte2", "overlays/generic"];

/// What an overlay adds where its settings or its cluster need it.
const COMPONENTS: [&str; 3] = ["read-secrets", "authorize", "cilium"];

// ---- the package

#[test]
fn metadata_says_what_cargo_says() {
    let cargo = Cargo::read();
    let metadata = metadata();
    for (annotation, expected) in [
        ("io.kubewarden.policy.title", cargo.text("name")),
        ("io.kubewarden.policy.version", cargo.text("version")),
        ("io.kubewarden.policy.description", cargo.text("description")),
        ("io.kubewarden.policy.license", cargo.text("license")),
        ("io.artifacthub.keywords", cargo.list("keywords").join(", ")),
    ] {
        assert_eq!(annotation_of(&metadata, annotation), expected, "{annotation}");
    }
    // Those that kwctl, the catalogues and Artifact Hub read; kwctl annotate adds io.kubewarden.policy.usage, the README.
    let expected = [
        "io.artifacthub.displayName",
        "io.artifacthub.keywords",
        "io.artifacthub.resources",
        "io.kubewarden.policy.author",
        "io.kubewarden.policy.category",
        "io.kubewarden.policy.description",
        "io.kubewarden.policy.license",
        "io.kubewarden.policy.ociUrl",
        "io.kubewarden.policy.severity",
        "io.kubewarden.policy.source",
        "io.kubewarden.policy.title",
        "io.kubewarden.policy.url",
        "io.kubewarden.policy.version",
    ];
    let annotations = metadata["annotations"].as_object().unwrap();
    let mut found: Vec<&str> = annotations.keys().map(String::as_str).collect();
    found.sort_unstable();
    assert_eq!(found, expected);
    let changelog = read("CHANGELOG.md");
    let heading = format!("## {}", cargo.text("version"));
    assert!(
        changelog.lines().any(|line| line.starts_with(&heading)),
        "CHANGELOG.md has no {heading:?}"
    );
}

#[test]
fn metadata_asks_for_what_the_policy_uses_and_no_more() {
    let metadata = metadata();
    assert_eq!(
        metadata["rules"],
        json!([{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}])
    );
    assert_eq!(
        metadata["contextAwareResources"],
        json!([{"apiVersion": "v1", "kind": "Secret"}])
    );
    assert_eq!(
        metadata["hostCapabilities"],
        json!(["kubernetes/get_resource", "kubernetes/can_i"])
    );
    for (field, expected) in [
        ("mutating", json!(true)),
        ("backgroundAudit", json!(false)),
        ("executionMode", json!("kubewarden-wapc")),
        ("policyType", json!("kubernetes")),
    ] {
        assert_eq!(metadata[field], expected, "{field}");
    }
}

/// The file is what `kwctl scaffold artifacthub` makes of `metadata.yml` and `questions-ui.yml`, which is
/// [ArtifactHubPkg](https://github.com/kubewarden/adm-controller/blob/main/crates/policy-evaluator/src/policy_artifacthub.rs);
/// the time of creation is free, and so is the wording of `install` around its commands.
#[test]
fn artifacthub_package_follows_from_the_metadata() {
    let metadata = metadata();
    let of = |annotation: &str| annotation_of(&metadata, annotation);
    let (image, source) = (image(&metadata), of("io.kubewarden.policy.source"));
    let version = of("io.kubewarden.policy.version");
    let author = of("io.kubewarden.policy.author");
    let (maintainer, email) = author.split_once(" <").expect("an author is \"name <email>\"");
    let expected = json!({
        "version": version,
        "name": of("io.kubewarden.policy.title"),
        "displayName": of("io.artifacthub.displayName"),
        "description": of("io.kubewarden.policy.description"),
        "license": of("io.kubewarden.policy.license"),
        "homeURL": of("io.kubewarden.policy.url"),
        "containersImages": [{"name": "policy", "image": image}],
        "keywords": of("io.artifacthub.keywords").split(", ").collect::<Vec<_>>(),
        "links": [
            {"name": "policy", "url": format!("{source}/releases/download/v{version}/policy.wasm")},
            {"name": "source", "url": source},
        ],
        "maintainers": [{"name": maintainer, "email": email.trim_end_matches('>')}],
        "provider": {"name": "kubewarden"},
        "recommendations": [{"url": "https://artifacthub.io/packages/helm/kubewarden/kubewarden-controller"}],
    });

    let mut package = document("artifacthub-pkg.yml");
    let fields = package.as_object_mut().unwrap();
    let created = fields.remove("createdAt").expect("createdAt is missing");
    assert!(created.as_str().is_some_and(|time| time.ends_with('Z')), "{created}");
    let annotations = fields.remove("annotations").expect("annotations are missing");
    // The sentences around the commands are kwctl's, and change from release to release.
    let install = fields.remove("install").expect("install is missing");
    let commands: Vec<&str> = install
        .as_str()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("kwctl "))
        .collect();
    assert_eq!(
        commands,
        [
            format!("kwctl pull {image}"),
            format!("kwctl scaffold manifest -t ClusterAdmissionPolicy registry://{image}"),
        ]
    );
    check_manifest(install.as_str().unwrap());
    assert_eq!(package, expected);

    // These are YAML in a text.
    for (annotation, expected) in [
        (
            "kubewarden/contextAwareResources",
            metadata["contextAwareResources"].clone(),
        ),
        ("kubewarden/mutation", metadata["mutating"].clone()),
        ("kubewarden/questions-ui", document("questions-ui.yml")),
        ("kubewarden/resources", json!(of("io.artifacthub.resources"))),
        ("kubewarden/rules", metadata["rules"].clone()),
    ] {
        assert_eq!(
            parse(annotations[annotation].as_str().unwrap()),
            expected,
            "{annotation}"
        );
    }
    assert_eq!(annotations.as_object().unwrap().len(), 5);
}

/// The manifest that the package offers is as safe as the base of `deploy`, and needs no rights.
fn check_manifest(install: &str) {
    let (_, rest) = install.split_once("```yaml\n").expect("install has a manifest");
    let manifest = parse(rest.split("```").next().unwrap());
    let base = Resources::of("base").one("ClusterAdmissionPolicy");
    let (spec, mut expected) = (&manifest["spec"], base["spec"].clone());
    assert_eq!(manifest["metadata"]["name"], base["metadata"]["name"]);
    expected["policyServer"] = json!("default");
    expected["settings"] = Resources::of("overlays/generic").one("ClusterAdmissionPolicy")["spec"]["settings"].clone();
    assert_eq!(*spec, expected);
    assert_eq!(Needs::of(&spec["settings"]).reads, None);
}

// ---- the form

/// Settings that no form can hold; `questions-ui.yml` says why.
const NOT_IN_THE_FORM: [&str; 4] = ["managers", "access", "defaults", "imagePullSecrets"];

#[test]
fn the_form_has_every_setting_that_a_form_can_hold() {
    let mut expected = settings_of_the_module();
    for name in NOT_IN_THE_FORM {
        assert!(expected.iter().any(|known| known == name), "{name} is no setting");
    }
    expected.retain(|name| !NOT_IN_THE_FORM.contains(&name.as_str()));
    let asked: Vec<String> = questions().into_iter().map(|question| question.variable).collect();
    assert_eq!(asked, expected, "in the order in which the policy reads them");
}

#[test]
fn the_form_offers_what_the_policy_takes() {
    let policy = policy();
    for question in questions() {
        for option in &question.options {
            let settings = json!({question.variable.as_str(): option});
            assert_eq!(problem(policy, &settings), None, "{settings}");
        }
        let settings = json!({question.variable.as_str(): "no such/../choice"});
        assert!(problem(policy, &settings).is_some(), "{settings} should be refused");
        let fits = match question.r#type.as_str() {
            "string" | "enum" => question.default.is_string(),
            "boolean" => question.default.is_boolean(),
            _ => false,
        };
        assert!(
            fits,
            "{}: the default {} is no {}",
            question.variable, question.default, question.r#type
        );
        assert_eq!(
            question.r#type == "enum",
            !question.options.is_empty(),
            "{}",
            question.variable
        );
    }
}

/// Pods for which each default makes a difference: variables and files, an init container among the Pod's own, and a
/// variable that only `envFiles` could serve, so that the Pod is rejected.
#[test]
fn the_forms_defaults_are_the_policys() {
    let defaults: Map<String, Value> = questions().into_iter().map(|q| (q.variable, q.default)).collect();
    let kubernetes = json!([{"type": "kubernetes"}]);
    let aws = json!([{"type": "aws"}]);
    let asking_for = |mount: &str| {
        let mut pod = parse(GENERIC_POD);
        let requests = json!([{"group": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:", "key": "db", "mountRequirement": mount}]);
        pod["metadata"]["annotations"][JSON_ANNOTATION] = json!(requests.to_string());
        pod["spec"]["initContainers"] = json!([{"name": "migrate", "image": "ghcr.io/example/migrate:1.0.0"}]);
        pod
    };
    for (managers, pod, allowed) in [
        (&kubernetes, parse(FLYTE_TASK), true),
        (&aws, asking_for("FILE"), true),
        (&aws, asking_for("ENV_VAR"), false),
    ] {
        let request = Review::of_pod(pod).request;
        let respond = |settings: &Map<String, Value>| {
            let mut settings = settings.clone();
            settings.insert("managers".to_owned(), managers.clone());
            policy()
                .validate(&Host::isolated(), &request, &Value::Object(settings))
                .response
        };
        let response = respond(&Map::new());
        assert_eq!(response.allowed, allowed, "{}", response.message());
        assert_eq!(respond(&defaults).to_review(), response.to_review());
        // Each pod shows something: with other values than the defaults, the response is another one.
        let mut others = defaults.clone();
        others.insert("initContainers".to_owned(), json!("last"));
        others.insert("envPrefix".to_owned(), json!("OTHER_"));
        others.insert("onUnserved".to_owned(), json!("warn"));
        assert_ne!(respond(&others).to_review(), response.to_review());
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    variable: String,
    default: Value,
    r#type: String,
    #[serde(default)]
    options: Vec<String>,
    #[serde(rename = "label")]
    _label: String,
    #[serde(rename = "group")]
    _group: String,
    #[serde(rename = "required")]
    _required: bool,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "tooltip")]
    _tooltip: Option<String>,
    #[serde(rename = "hide_input")]
    _hide_input: Option<bool>,
}

/// The questions, without the one that only describes the policy.
fn questions() -> Vec<Question> {
    let mut questions: Vec<Question> =
        serde_json::from_value(document("questions-ui.yml")["questions"].clone()).unwrap();
    assert_eq!(questions.remove(0).variable, "description");
    questions
}

/// The names of all settings: the module lists them when it gets another one.
fn settings_of_the_module() -> Vec<String> {
    let problem = problem(policy(), &json!({"noSuchSetting": 1})).expect("an unknown setting is refused");
    let (_, known) = problem.split_once("known here are ").expect(&problem);
    known.split(", ").map(str::to_owned).collect()
}

// ---- the manifests

#[test]
fn every_policy_is_what_the_metadata_says() {
    let metadata = metadata();
    for deployment in DEPLOYMENTS {
        let resources = Resources::of(deployment);
        let spec = &resources.one("ClusterAdmissionPolicy")["spec"];
        let module = format!("registry://{}", image(&metadata));
        for (field, expected) in [
            ("module", json!(module)),
            ("rules", metadata["rules"].clone()),
            ("mutating", metadata["mutating"].clone()),
            ("backgroundAudit", metadata["backgroundAudit"].clone()),
            ("mode", json!("protect")),
            ("failurePolicy", json!("Fail")),
            ("sideEffects", json!("None")),
        ] {
            assert_eq!(spec[field], expected, "{deployment}: {field}");
        }
        // Unknown fields are errors of this type; kinds and enumerations are checked by it as well.
        let policy: ClusterAdmissionPolicy = resources.typed("ClusterAdmissionPolicy").remove(0);
        let spec = policy.spec.unwrap();
        let (evaluation, webhook) = (spec.timeout_eval_seconds.unwrap(), spec.timeout_seconds.unwrap());
        let (evaluation, webhook) = (i32::from(evaluation), i32::from(webhook));
        assert!(
            2 <= evaluation && evaluation < webhook && webhook <= 30,
            "{deployment}: {evaluation} {webhook}"
        );
    }
}

#[test]
fn every_policys_settings_are_valid() {
    let policy = policy();
    for deployment in DEPLOYMENTS {
        let settings = Resources::of(deployment).one("ClusterAdmissionPolicy")["spec"]["settings"].clone();
        assert_eq!(problem(policy, &settings), None, "{deployment}");
    }
}

/// The policy server reads a policy that has `module`, and fails on the whole file where one has not.
#[test]
fn the_load_tests_policies_are_what_the_policy_server_reads() {
    let policies = document("e2e-tests/load/policies.yml");
    for (name, served) in policies.as_object().unwrap() {
        let fields: Vec<&String> = served.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["allowedToMutate", "module", "settings"], "{name}");
        assert_eq!(problem(policy(), &served["settings"]), None, "{name}");
        let address = format!("/validate/{name} ");
        assert!(read("e2e-tests/load/README.md").contains(&address), "{address}");
    }
}

/// The first few things that a deployment is for.
#[test]
fn every_deployment_serves_its_pods() {
    for (deployment, pod, cluster, variable) in [
        ("base", FLYTE_TASK, "", "_UNION_WAREHOUSE_PASSWORD"),
        ("overlays/flyte1", FLYTE_TASK, "", "_FSEC_WAREHOUSE_PASSWORD"),
        ("overlays/generic", GENERIC_POD, "", "SECRET_WAREHOUSE_PASSWORD"),
    ] {
        let settings = Resources::of(deployment).one("ClusterAdmissionPolicy")["spec"]["settings"].clone();
        let admitted = admit(&settings, cluster, &Review::from_text(pod).unwrap());
        let variables = admitted["spec"]["containers"][0]["env"].as_array().unwrap();
        assert!(
            variables.iter().any(|env| env["name"] == variable),
            "{deployment}: {variables:#?}"
        );
    }
}

/// The Pod of the README's quick start, whose annotation the README shows.
#[test]
fn the_example_pod_gets_its_secret() {
    let pod = read("deploy/example-pod.yaml");
    let settings = Resources::of("overlays/generic").one("ClusterAdmissionPolicy")["spec"]["settings"].clone();
    let admitted = admit(&settings, "", &Review::from_text(&pod).unwrap());
    let variables = admitted["spec"]["containers"][0]["env"].as_array().unwrap();
    let reference = json!({"name": "example", "key": "password"});
    assert!(
        variables.contains(&json!({"name": "PASSWORD", "valueFrom": {"secretKeyRef": reference}})),
        "{variables:#?}"
    );
    let request = admitted["metadata"]["annotations"][JSON_ANNOTATION].as_str().unwrap();
    assert!(
        read("README.md").contains(request.trim()),
        "README.md does not show {request}"
    );
}

#[test]
fn pods_that_ask_for_something_reach_the_policy() {
    for deployment in DEPLOYMENTS {
        let policy = Resources::of(deployment).one("ClusterAdmissionPolicy");
        let expression = policy["spec"]["matchConditions"][0]["expression"]
            .as_str()
            .unwrap()
            .to_owned();
        for part in [
            format!("key.startsWith('{FLYTE_PREFIX}')"),
            // With whatever name behind it: the policy warns of those that are no names.
            format!("key.startsWith('{JSON_ANNOTATION}')"),
        ] {
            assert!(
                expression.contains(&part),
                "{deployment}: {part} is not in {expression}"
            );
        }
        // Whatever its labels: what asks is the annotation.
        assert_eq!(policy["spec"]["objectSelector"], Value::Null, "{deployment}");
    }
}

/// The overlay `defaults` is a policy beside the others: each Pod gets to one of the two.
#[test]
fn pods_that_ask_for_nothing_reach_the_defaults() {
    let defaults = Resources::of("overlays/defaults");
    let policy = defaults.one("ClusterAdmissionPolicy");
    let _: Vec<ClusterAdmissionPolicy> = defaults.typed("ClusterAdmissionPolicy");
    assert_eq!(defaults.0.len(), 1, "the policy server is that of the other overlay");
    let base = Resources::of("base").one("ClusterAdmissionPolicy");
    assert_ne!(policy["metadata"]["name"], base["metadata"]["name"]);
    for (field, value) in policy["spec"].as_object().unwrap() {
        if !["matchConditions", "namespaceSelector", "settings"].contains(&field.as_str()) {
            assert_eq!(*value, base["spec"][field], "{field}");
        }
    }
    let expression = policy["spec"]["matchConditions"][0]["expression"].as_str().unwrap();
    for part in [
        "!has(object.metadata.annotations) ||",
        "!object.metadata.annotations.exists(key,",
        &format!("key.startsWith('{FLYTE_PREFIX}')"),
        &format!("key.startsWith('{JSON_ANNOTATION}')"),
    ] {
        assert!(expression.contains(part), "{part} is not in {expression}");
    }
    let selector = &policy["spec"]["namespaceSelector"];
    let mut expected = base["spec"]["namespaceSelector"]["matchExpressions"].clone();
    let opted_in = json!({"key": "secret-injector/defaults", "operator": "In", "values": ["enabled"]});
    expected.as_array_mut().unwrap().push(opted_in);
    // Kubewarden leaves matchLabels out.
    assert_eq!(*selector, json!({"matchExpressions": expected}));

    let mut pod = parse(GENERIC_POD);
    pod["metadata"].as_object_mut().unwrap().remove("annotations");
    let admitted = admit(&policy["spec"]["settings"], "", &Review::of_pod(pod));
    let variables = admitted["spec"]["containers"][0]["env"].as_array().unwrap();
    assert!(
        variables.iter().any(|env| env["name"] == "WANDB_API_KEY"),
        "{variables:#?}"
    );
}

/// Kubewarden names the configuration `clusterwide-NAME`, and the API server goes by the names.
#[test]
fn the_policy_comes_before_the_injectors_that_read_what_it_writes() {
    for deployment in DEPLOYMENTS {
        let policy = Resources::of(deployment).one("ClusterAdmissionPolicy");
        let ours = format!("clusterwide-{}", policy["metadata"]["name"].as_str().unwrap());
        for later in [
            "infisical-agent-injector-cfg",
            "vault-agent-injector-cfg",
            "vault-secrets-webhook",
            // Those of the chart kubewarden-defaults that mutate.
            "clusterwide-drop-capabilities",
            "clusterwide-no-privilege-escalation",
        ] {
            assert!(ours.as_str() < later, "{ours} has to come before {later}");
        }
    }
}

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
struct Needs {
    /// The namespaces of which it reads Secrets, as far as the settings tell; `None` where it reads no Secret.
    reads: Option<Vec<String>>,
    /// Whether it asks who may read them.
    asks: bool,
}

impl Needs {
    fn of(settings: &Value) -> Self {
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

/// The labels that the controller gives the Pods of a PolicyServer, and the Service's selector for them
/// ([policyserver_types.go](https://github.com/kubewarden/adm-controller/blob/main/api/policies/v1/policyserver_types.go)).
fn labels_of_the_policy_servers_pods(resources: &Resources) -> Value {
    let name = resources.one("PolicyServer")["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    json!({
        "app.kubernetes.io/instance": format!("policy-server-{name}"),
        "app.kubernetes.io/part-of": "kubewarden",
    })
}

/// Reviews come from the API server alone: from addresses, which the operator gives, or from the agents that carry its calls.
/// No rule lets in a whole cluster, a namespace's Pods, or a port that it does not name.
#[test]
fn only_the_api_server_reaches_the_policy_server() {
    for deployment in DEPLOYMENTS {
        let resources = Resources::of(deployment);
        let policies: Vec<NetworkPolicy> = resources.typed("NetworkPolicy");
        assert_eq!(policies.len(), 1, "{deployment}");
        let account = resources.one("ServiceAccount");
        assert_eq!(json!(policies[0].metadata.namespace), account["metadata"]["namespace"]);
        let spec = policies[0].spec.as_ref().unwrap();
        assert_eq!(
            json!(spec.pod_selector),
            json!({"matchLabels": labels_of_the_policy_servers_pods(&resources)})
        );
        assert_eq!(spec.policy_types, Some(vec!["Ingress".to_owned()]), "{deployment}");

        let server: PolicyServer = resources.typed("PolicyServer").remove(0);
        let reviews = i32::from(server.spec.webhook_port.unwrap_or(8443));
        let metrics = i32::from(server.spec.metrics_port.unwrap_or(8080));
        let mut ports = Vec::new();
        for rule in spec.ingress.as_ref().unwrap() {
            let Some([port]) = rule.ports.as_deref() else {
                panic!("{deployment}: a rule is for one port");
            };
            assert_eq!(port.protocol.as_deref(), Some("TCP"), "{deployment}");
            let Some(IntOrString::Int(port)) = port.port else {
                panic!("{deployment}: a rule without a port is for all");
            };
            ports.push(port);
            let peers = rule.from.as_ref().expect("a rule without peers is for everybody");
            assert!(!peers.is_empty(), "{deployment}: an empty list is for everybody");
            for peer in peers.iter().filter(|_| port == reviews) {
                let of_the_api_server = match (&peer.ip_block, &peer.namespace_selector, &peer.pod_selector) {
                    // Shut until the operator writes his API server's address.
                    (Some(block), None, None) => block.cidr == "192.0.2.1/32",
                    (None, Some(namespace), Some(pods)) => {
                        json!(namespace) == json!({"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}})
                            && json!(pods).to_string().contains("konnectivity-agent")
                    }
                    _ => false,
                };
                assert!(of_the_api_server, "{deployment}: {}", json!(peer));
            }
        }
        assert_eq!(ports, [reviews, metrics], "{deployment}");
    }
}

#[test]
fn cilium_lets_in_the_api_server_alone() {
    let mut resources = Resources::of("base");
    resources.add(&modules::repository().join("deploy/components/cilium"));
    let expected = json!({
        "endpointSelector": {"matchLabels": labels_of_the_policy_servers_pods(&resources)},
        "ingress": [{
            "fromEntities": ["kube-apiserver"],
            "toPorts": [{"ports": [{"port": "8443", "protocol": "TCP"}]}],
        }],
    });
    assert_eq!(resources.one("CiliumNetworkPolicy")["spec"], expected);
}

/// Runs the script of `check-reach.yaml`, with a stand-in for curl: it fails where the policy server answered, and says nothing
/// where it cannot know.
#[test]
fn the_check_fails_where_the_policy_server_can_be_reached() {
    let pod: Pod = serde_json::from_value(document("deploy/check-reach.yaml")).unwrap();
    let command = pod.spec.unwrap().containers.remove(0).command.unwrap();
    let address = "https://policy-server-secret-injector.kubewarden.svc/";
    assert!(command[2].contains(address), "{}", command[2]);
    let bin = std::env::temp_dir().join(format!("check-reach-{}", std::process::id()));
    fs::create_dir_all(&bin).unwrap();
    let curl = bin.join("curl");
    fs::write(&curl, "#!/bin/sh\nprintf %s \"$CONNECTED\"\nexit \"$CODE\"\n").unwrap();
    fs::set_permissions(&curl, fs::Permissions::from_mode(0o755)).unwrap();
    for (connected, code, expected) in [
        ("0.001234", "0", 1),
        ("0.000000", "7", 0),
        ("0.000000", "28", 0),
        ("0.001234", "35", 0),
        ("0.001234", "56", 0),
        // Connected, and no answer in time.
        ("0.001234", "28", 2),
        // The name is not known, and no curl.
        ("0.000000", "6", 2),
        ("", "127", 2),
    ] {
        let output = Command::new("sh")
            .args(&command[1..])
            .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()))
            .env("CONNECTED", connected)
            .env("CODE", code)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(expected), "{connected} {code}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!said.is_empty(), "{connected} {code}");
        if expected == 0 {
            assert!(
                read("deploy/README.md").contains(said.trim()),
                "deploy/README.md does not show {said}"
            );
        }
    }
    fs::remove_dir_all(&bin).unwrap();
}

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
struct Resources(Vec<Value>);

impl Resources {
    fn of(deployment: &str) -> Self {
        Self::read(&modules::repository().join("deploy").join(deployment))
    }

    fn read(directory: &Path) -> Self {
        let mut resources = Self(Vec::new());
        resources.add(directory);
        resources
    }

    /// Adds what a kustomization holds, or, of a component, what it does to what is there.
    fn add(&mut self, directory: &Path) {
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

    fn all(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |resource| resource["kind"] == kind)
    }

    fn one(&self, kind: &str) -> Value {
        let all: Vec<&Value> = self.all(kind).collect();
        assert_eq!(all.len(), 1, "{kind}");
        all[0].clone()
    }

    fn typed<T: DeserializeOwned>(&self, kind: &str) -> Vec<T> {
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
struct PolicyServer {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    metadata: ObjectMeta,
    spec: PolicyServerSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "the fields that no test looks at are there so that a misspelt one is an error"
)]
struct PolicyServerSpec {
    image: String,
    replicas: i32,
    min_available: Option<IntOrString>,
    max_unavailable: Option<IntOrString>,
    annotations: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
    env: Option<Vec<EnvVar>>,
    service_account_name: Option<String>,
    image_pull_secret: Option<String>,
    insecure_sources: Option<Vec<String>>,
    source_authorities: Option<BTreeMap<String, Vec<String>>>,
    verification_config: Option<String>,
    sigstore_trust_config: Option<String>,
    security_contexts: Option<PolicyServerSecurity>,
    affinity: Option<Affinity>,
    limits: BTreeMap<String, Quantity>,
    requests: BTreeMap<String, Quantity>,
    tolerations: Option<Vec<Toleration>>,
    priority_class_name: Option<String>,
    namespaced_policies_capabilities: Option<Vec<String>>,
    webhook_port: Option<u16>,
    readiness_probe_port: Option<u16>,
    metrics_port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as above")]
struct PolicyServerSecurity {
    container: Option<SecurityContext>,
    pod: Option<PodSecurityContext>,
}

// ---- everything else that names the policy

/// Wherever the policy's address stands, it is the one of the metadata, at the version of the metadata. Mirrors are other
/// registries with that version.
#[test]
fn one_address_and_one_version_everywhere() {
    let metadata = metadata();
    let image = image(&metadata);
    let tag = image.rsplit('/').next().unwrap();
    let name = format!("/{}:", annotation_of(&metadata, "io.kubewarden.policy.title"));
    let (mut found, mut wrong) = (0, Vec::new());
    for path in texts() {
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            let words = line.split(|c: char| c.is_whitespace() || "\"'`()".contains(c));
            for reference in words.filter(|word| word.contains(&name)) {
                found += 1;
                let address = reference.trim_start_matches("registry://");
                let mirror = address.starts_with("registry.example.com/") && address.ends_with(tag);
                if address != image && !mirror {
                    wrong.push(format!(
                        "{}:{}: {reference} and not {image}",
                        path.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(found >= 4, "the manifest and the package hold the address");
}

/// An action that is pinned by its commit cannot be replaced by whoever owns the tag. The version behind it is for people
/// and for Renovate.
#[test]
fn workflows_pin_their_actions_and_ask_for_little() {
    let directory = modules::repository().join(".github");
    let files: Vec<PathBuf> = texts()
        .into_iter()
        .filter(|path| path.starts_with(&directory))
        .collect();
    let mut workflows = 0;
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        for line in text
            .lines()
            .filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: "))
        {
            if line.starts_with("./") {
                continue;
            }
            let (action, comment) = line.split_once(" # v").unwrap_or((line, ""));
            let digest = action.split_once('@').map_or("", |(_, digest)| digest);
            assert!(
                digest.len() == 40 && digest.bytes().all(|b| b.is_ascii_hexdigit()) && !comment.is_empty(),
                "{}: {line}: pin it as ACTION@COMMIT # vVERSION",
                path.display()
            );
        }
        if path.parent().is_some_and(|parent| parent.ends_with("workflows")) {
            workflows += 1;
            check_workflow(path, &parse(&text));
        }
    }
    assert!(workflows >= 3, "{files:?}");
}

/// Nothing is granted but where it is needed, nothing runs for ever, and what GitHub fills in is no code of a shell.
fn check_workflow(path: &Path, workflow: &Value) {
    let place = path.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(workflow["permissions"], json!({"contents": "read"}), "{place}");
    for (name, job) in workflow["jobs"].as_object().unwrap() {
        let place = format!("{place}: {name}");
        let may_more = place == "release.yml: release";
        assert_eq!(job.get("permissions").is_some(), may_more, "{place}");
        if let Some(called) = job["uses"].as_str() {
            assert!(modules::repository().join(called).exists(), "{place}: {called}");
            continue;
        }
        assert!(job["runs-on"].is_string() && job["timeout-minutes"].is_u64(), "{place}");
        for step in job["steps"].as_array().unwrap() {
            let (uses, run) = (step["uses"].as_str(), step["run"].as_str());
            assert!(uses.is_some() != run.is_some(), "{place}: {step}");
            assert!(run.is_none_or(|run| !run.contains("${{")), "{place}: {step}");
            if uses.is_some_and(|action| action.starts_with("actions/checkout@")) {
                assert_eq!(step["with"]["persist-credentials"], json!(false), "{place}: {step}");
            }
        }
    }
}

#[test]
fn every_fuzz_target_is_run() {
    let workflow = document(".github/workflows/fuzz.yml");
    let mut targets: Vec<String> = fs::read_dir(modules::repository().join("fuzz/fuzz_targets"))
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    targets.sort_unstable();
    assert_eq!(workflow["jobs"]["fuzz"]["strategy"]["matrix"]["target"], json!(targets));
}

/// The texts of the repository, without what is built.
fn texts() -> Vec<PathBuf> {
    let mut directories = vec![modules::repository().to_owned()];
    let mut texts = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", ".git", ".venv", "golden", "sessions"].contains(&name.as_str()) {
                    directories.push(path);
                }
            } else if [".md", ".yml", ".yaml", ".bats", ".sh", "Makefile"]
                .iter()
                .any(|end| name.ends_with(end))
            {
                texts.push(path);
            }
        }
    }
    texts.sort();
    texts
}

// ---- reading

const FLYTE_TASK: &str = include_str!("../examples/flyte-task/pod.yaml");

const GENERIC_POD: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  name: loader
  namespace: team-a
  annotations:
    secret-injector/requests: '[{"group": "warehouse", "key": "password", "mountRequirement": "ENV_VAR"}]'
spec:
  containers:
    - name: loader
      image: ghcr.io/example/loader:1.0.0
"#;

/// The Pod that comes out of the real module.
fn admit(settings: &Value, cluster: &str, review: &Review) -> Value {
    let grants = Grants::from_metadata(&read("metadata.yml")).unwrap();
    let host = Host::new(Cluster::from_yaml(cluster).unwrap(), grants);
    let response = policy().validate(&host, &review.request, settings).response;
    assert!(response.allowed, "{}", response.message());
    response.patched(review.request.object.as_ref().unwrap()).unwrap()
}

/// The module, compiled once for all tests.
fn policy() -> &'static PolicyModule {
    static POLICY: LazyLock<PolicyModule> =
        LazyLock::new(|| PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first"));
    &POLICY
}

/// What the module has against `settings`.
fn problem(policy: &PolicyModule, settings: &Value) -> Option<String> {
    let answer = policy.validate_settings(&Host::isolated(), settings).unwrap();
    (!answer.valid).then(|| answer.message.unwrap_or_default())
}

fn metadata() -> Value {
    document("metadata.yml")
}

fn annotation_of(metadata: &Value, annotation: &str) -> String {
    let value = metadata["annotations"][annotation].as_str();
    value
        .unwrap_or_else(|| panic!("metadata.yml has no {annotation}"))
        .to_owned()
}

/// Cargo only warns of a profile for a package that is not there: then the tests take minutes, and nothing says why.
#[test]
fn profiles_are_for_packages_that_there_are() {
    let lock = read("Cargo.lock");
    let packages: Vec<&str> = lock.split("[[package]]\n").skip(1).collect();
    let mut seen = 0;
    for line in read("Cargo.toml").lines().filter(|line| line.starts_with("[profile.")) {
        let Some((_, package)) = line.trim_end_matches(']').split_once(".package.") else {
            continue;
        };
        let package = package.trim_matches('"');
        let (name, version) = package.split_once('@').unwrap_or((package, ""));
        let start = format!("name = \"{name}\"\nversion = \"{version}");
        let is_there = packages.iter().any(|package| package.starts_with(&start));
        assert!(is_there || name == "*", "{line}");
        seen += 1;
    }
    assert!(seen > 10, "{seen}");
}

/// Where the policy of this version is.
fn image(metadata: &Value) -> String {
    format!(
        "{}:v{}",
        annotation_of(metadata, "io.kubewarden.policy.ociUrl"),
        annotation_of(metadata, "io.kubewarden.policy.version")
    )
}

fn read(path: &str) -> String {
    let path = modules::repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn document(path: &str) -> Value {
    parse(&read(path))
}

fn parse_as<T: DeserializeOwned>(path: &Path) -> T {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_value(parse(&text)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse(text: &str) -> Value {
    let mut documents = documents(text);
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

fn documents(text: &str) -> Vec<Value> {
    let documents = yaml::documents(text).unwrap();
    documents
        .iter()
        .map(|document| yaml::to_json(document).unwrap())
        .collect()
}

/// The `[package]` of the policy's `Cargo.toml`, whose values are texts and lists of texts, each on a line.
struct Cargo(BTreeMap<String, Value>);

impl Cargo {
    fn read() -> Self {
        let manifest = read("Cargo.toml");
        let lines = manifest.lines().skip_while(|line| *line != "[package]").skip(1);
        let fields = lines.take_while(|line| !line.starts_with('[')).filter_map(|line| {
            let (name, value) = line.split_once(" = ")?;
            Some((name.to_owned(), serde_json::from_str(value).ok()?))
        });
        Self(fields.collect())
    }

    fn text(&self, field: &str) -> String {
        self.0[field].as_str().unwrap().to_owned()
    }

    fn list(&self, field: &str) -> Vec<String> {
        serde_json::from_value(self.0[field].clone()).unwrap()
    }
}
