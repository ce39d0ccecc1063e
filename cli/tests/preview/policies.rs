//! What the tool makes of a policy and its settings.

use super::*;

#[test]
fn the_policy_that_is_deployed_lets_pods_reach_it() {
    let policy = repository().join("deploy/base/policy.yaml");
    let run = run(
        &[
            "preview",
            "-",
            "--policy",
            policy.to_str().expect("UTF-8"),
            "-o",
            "summary",
        ],
        &pod("p"),
    );
    assert_eq!((run.status, run.err.as_str()), (0, ""));
    assert!(run.out.starts_with("SECRET "), "{run:?}");
}

#[test]
fn the_policy_server_needs_rights_of_its_own() {
    let binding = "---\n{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: b, namespace: NS}, roleRef: {kind: ClusterRole, name: r}, \
                   subjects: [{kind: ServiceAccount, name: secret-injector, namespace: kubewarden}]}\n---\n{apiVersion: rbac.authorization.k8s.io/v1, kind: \
                   ClusterRole, metadata: {name: r}, rules: [{apiGroups: [\"\"], resources: [secrets], verbs: [get]}]}\n";
    for (name, cluster, status, message) in [
        (
            "unknown",
            SHARED.to_owned(),
            0,
            "note: whether the policy server may read these Secrets was not checked: no RoleBinding of the service account",
        ),
        (
            "the role is elsewhere",
            format!(
                "{SHARED}\n{}",
                binding
                    .replace("NS", "shared")
                    .replace("name: r}, rules", "name: s}, rules")
            ),
            0,
            "note: whether the policy server may read these Secrets was not checked: the ClusterRole r, which a binding of it names, is not",
        ),
        (
            "granted",
            format!("{SHARED}\n{}", binding.replace("NS", "shared")),
            0,
            "SECRET ",
        ),
        (
            "elsewhere",
            format!("{SHARED}\n{}", binding.replace("NS", "other")),
            1,
            "may not get Secrets in the namespace \"shared\". This would allow it",
        ),
    ] {
        let files = Files::new(name, &[("settings.yaml", GLOBAL), ("cluster.yaml", &cluster)]);
        let paths = [files.path("settings.yaml"), files.path("cluster.yaml")];
        let run = run(
            &[
                "preview",
                "-",
                "--settings",
                &paths[0],
                "--cluster",
                &paths[1],
                "-o",
                "summary",
            ],
            &pod("p"),
        );
        assert_eq!(run.status, status, "{name}: {run:?}");
        assert!(run.out.contains(message), "{name}: {run:?}");
        assert_eq!(
            run.out.contains("note: "),
            ["unknown", "the role is elsewhere"].contains(&name),
            "{run:?}"
        );
    }
}

#[test]
fn a_policy_brings_its_settings_its_grants_and_its_conditions() {
    let base = POLICY.to_owned();
    let verify = base.replace("- type: kubernetes", "- type: kubernetes\n        verify: true");
    let ungranted = verify.replace(
        "  contextAwareResources:\n    - apiVersion: v1\n      kind: Secret\n",
        "",
    );
    assert!(ungranted != verify);
    let labelled = base.replace(
        "  settings:",
        "  objectSelector: {matchLabels: {inject: \"yes\"}}\n  settings:",
    );
    let team = base.replace("  settings:", "  objectSelector: {}\n  settings:").replace(
        "      - key: kubernetes.io/metadata.name\n        operator: NotIn\n        values: [kube-system, kubewarden]",
        "      - {key: team, operator: Exists}",
    );
    let lost = base.replace(
        "    matchExpressions:\n",
        "    matchLabels: {team: a}\n    matchExpressions:\n",
    );
    let kept = lost.replace(
        "  settings:",
        "  allowInsideAdmissionControllerNamespace: true\n  settings:",
    );
    let namespaced = base
        .replace("kind: ClusterAdmissionPolicy", "kind: AdmissionPolicy")
        .replace("  name: 00-secret-injector\n", "  name: own\n  namespace: team-b\n");
    let server = format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: s}}\n---\n{verify}");
    let namespace =
        |labels: &str| format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: team-a, labels: {{{labels}}}}}}}");
    let secret =
        "{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: team-a}, data: {password: eA==}}\n---\n";
    let silent = "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a}]}\n";
    for (name, policy, cluster, pod, status, message) in [
        (
            "several documents",
            &server,
            secret.to_owned(),
            pod("p"),
            0,
            "db/password",
        ),
        (
            "an annotation with a name",
            &base,
            String::new(),
            pod("p").replace("secret-injector/requests", "secret-injector/requests-db"),
            0,
            "db/password",
        ),
        ("no grant", &ungranted, secret.to_owned(), pod("p"), 1, "code 503"),
        (
            "label",
            &labelled,
            String::new(),
            pod("p"),
            0,
            "its objectSelector asks for the label inject: \"yes\", which the Pod",
        ),
        (
            "namespace unknown",
            &team,
            String::new(),
            pod("p"),
            0,
            "note: the policy's namespaceSelector asks for the label team; add the",
        ),
        (
            "labels of the selector, which Kubewarden leaves out",
            &lost,
            namespace("team: b"),
            pod("p"),
            0,
            "note: spec.namespaceSelector.matchLabels of the policy are left out by Kubewarden 1.36",
        ),
        (
            "labels of the selector, which Kubewarden keeps",
            &kept,
            namespace("team: b"),
            pod("p"),
            0,
            "its namespaceSelector asks for the label team: \"a\"",
        ),
        (
            "namespace without label",
            &team,
            namespace(""),
            pod("p"),
            0,
            "which the namespace \"team-a\" does not have",
        ),
        (
            "namespace with label",
            &team,
            namespace("team: a"),
            pod("p"),
            0,
            "SECRET ",
        ),
        (
            "kube-system",
            &base,
            String::new(),
            pod("p").replace("team-a", "kube-system"),
            0,
            "does not reach the policy clusterwide-00-secret-injector: its namespaceSelector asks for the label \
             kubernetes.io/metadata.name absent or with a value other than kube-system, kubewarden, which the namespace \
             \"kube-system\" does not have\nIt asks for secrets, and would start without them.",
        ),
        (
            "no annotation",
            &base,
            String::new(),
            silent.to_owned(),
            0,
            "its matchCondition \"asks-for-secrets\" does not hold: ",
        ),
        (
            "another namespace",
            &namespaced,
            String::new(),
            pod("p"),
            0,
            "it is an AdmissionPolicy of the namespace \"team-b\"",
        ),
        (
            "monitor",
            &base.replace("mode: protect", "mode: monitor"),
            String::new(),
            pod("p"),
            0,
            "its mode is monitor",
        ),
        (
            "not mutating",
            &base.replace("mutating: true", "mutating: false"),
            String::new(),
            pod("p"),
            0,
            "mutating: true",
        ),
        (
            "updates",
            &base.replace("[CREATE]", "[UPDATE]"),
            String::new(),
            pod("p"),
            0,
            "none of its rules has the operation CREATE on pods",
        ),
    ] {
        let files = Files::new(
            &name.replace(' ', "-"),
            &[("policy.yaml", policy), ("cluster.yaml", &cluster), ("pod.yaml", &pod)],
        );
        let paths = [
            files.path("pod.yaml"),
            files.path("policy.yaml"),
            files.path("cluster.yaml"),
        ];
        let run = run(
            &[
                "preview",
                &paths[0],
                "--policy",
                &paths[1],
                "--cluster",
                &paths[2],
                "-o",
                "summary",
            ],
            "",
        );
        assert_eq!(run.status, status, "{name}: {run:?}");
        assert!(run.out.contains(message), "{name}: {run:?}");
    }
}

#[test]
fn check_warns_of_what_is_legal_and_unwise() {
    let base = POLICY.to_owned();
    for (settings, warnings) in [
        ("access: [{secrets: [\"db/*\"]}]\nmanagers: [{type: kubernetes}]\n".to_owned(), vec![]),
        (
            "{apiVersion: policies.kubewarden.io/v1, kind: ClusterAdmissionPolicy, metadata: {name: patch}, spec: {settings: {access: [], \
             managers: [{type: flyte}]}}}"
                .to_owned(),
            vec![],
        ),
        ("{}".to_owned(), vec!["access is absent"]),
        (
            "{access: [], onUnserved: warn, managers: [{type: global, namespace: g, authorize: none}, {type: vault}, {type: flyte, literal: true, organization: any}]}"
                .to_owned(),
            vec![
                "onUnserved is warn",
                "managers[0] (global).authorize is none",
                "managers[0] (global) puts values into the Pod",
                "managers[1] (vault).role is absent: the agent logs in to Vault with the role flyte",
                "managers[1] (vault) has no match, and does not look",
                "managers[2] (flyte).literal puts values into the Pod",
                "managers[2] (flyte).organization is any",
            ],
        ),
        (
            "{access: [], managers: [{type: flyte, literal: true}]}".to_owned(),
            vec![
                "managers[0] (flyte).literal puts values into the Pod",
                "managers[0] (flyte).organization is absent, and podNamespace does not name it",
            ],
        ),
        (
            "{access: [], managers: [{type: flyte, podNamespace: \"{organization}-{project}-{domain}\"}]}".to_owned(),
            vec![],
        ),
        ("{access: [], dryRun: true}".to_owned(), vec!["dryRun is true: no Pod gets a secret"]),
        ("{access: [], dryRun: false}".to_owned(), vec![]),
        (
            "{access: [], defaults: [{labels: {a: b}, requests: [{key: k}]}, {namespaces: [a], labels: {a: b}, requests: [{key: k}]}]}".to_owned(),
            vec!["defaults[0].labels is the only condition"],
        ),
        (
            base.replace("mode: protect", "mode: monitor")
                .replace("failurePolicy: Fail", "failurePolicy: Ignore")
                .replace("key: kubernetes.io/metadata.name", "key: secrets"),
            vec![
                "access is absent",
                "spec.namespaceSelector is the only guard: whoever may write the label secrets",
                "spec.mode is monitor",
                "spec.failurePolicy is Ignore",
            ],
        ),
        (
            base.replace("key.startsWith('secret-injector/requests')", "key == 'secret-injector/requests'")
                .replace("  settings:\n", "  settings:\n    access: []\n"),
            vec!["spec.matchConditions do not let Pods through that ask with secret-injector/requests-NAME"],
        ),
        (
            base.replace(
                "  settings:\n",
                "  objectSelector: {matchLabels: {inject-flyte-secrets: \"true\"}}\n  settings:\n    access: []\n",
            ),
            vec!["spec.objectSelector asks for Flyte's label"],
        ),
        (
            base.replace("    matchExpressions:\n", "    matchLabels: {team: a}\n    matchExpressions:\n")
                .replace("  settings:\n", "  settings:\n    access: []\n"),
            vec!["spec.namespaceSelector.matchLabels are left out by Kubewarden 1.36, so that Pods of all namespaces reach the policy"],
        ),
        (
            base.replace(
                "    matchExpressions:\n",
                "    matchLabels: {kubernetes.io/metadata.name: a}\n    matchExpressions:\n",
            )
            .replace("  settings:\n", "  allowInsideAdmissionControllerNamespace: true\n  settings:\n    access: []\n"),
            vec![],
        ),
    ] {
        let run = run(&["check", "-"], &settings);
        assert_eq!(run.status, 0, "{run:?}");
        let found: Vec<&str> = run.out.lines().filter(|line| line.starts_with("warning: ")).collect();
        assert_eq!(found.len(), warnings.len(), "{found:#?}");
        for (line, start) in found.iter().zip(&warnings) {
            assert!(line.starts_with(&format!("warning: {start}")), "{line}");
        }
        assert!(run.out.ends_with(if warnings.is_empty() { "valid\n" } else { "valid, with warnings\n" }));
        let strict = self::run(&["check", "-", "--strict"], &settings);
        assert_eq!(strict.status, i32::from(!warnings.is_empty()));
    }
}

#[test]
fn settings_from_flyte_are_settings_that_the_policy_takes() {
    for (webhook, place) in [
        (
            "{secretEnvVarPrefix: \"\", secretManagerTypes: [K8s]}",
            "envPrefix is empty",
        ),
        (
            "{secretManagerTypes: [Vault], vaultSecretManager: {role: \"\"}}",
            "managers[0] (vault).role is empty",
        ),
        (
            "{secretManagerTypes: [GCP], gcpSecretManager: {resources: {requests: {cpu: 2}, limits: {cpu: 1}}}}",
            "managers[0] (gcp).resources.requests.cpu is above limits.cpu",
        ),
    ] {
        let run = run(
            &["from-flyte", "-", "--flyte-version", "2"],
            &format!("webhook: {webhook}"),
        );
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{run:?}");
        assert!(run.err.contains(place), "{run:?}");
    }
}
