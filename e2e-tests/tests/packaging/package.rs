//! The package's metadata, and what follows from it.

use serde_json::json;

use crate::kustomize::Resources;
use crate::server::Needs;
use crate::{Cargo, annotation_of, document, image, metadata, parse, read};

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
