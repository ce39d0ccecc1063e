//! The form for the settings.

use e2e_tests::capabilities::Host;
use e2e_tests::review::Review;
use secret_injector_policy::requests::JSON_ANNOTATION;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{FLYTE_TASK, GENERIC_POD, document, parse, policy, problem};

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
