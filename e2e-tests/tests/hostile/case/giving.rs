//! Settings that give Pods what they do not ask for: `defaults` and `imagePullSecrets`.

use arbitrary::{Result, Unstructured};
use secret_injector_policy::requests::{JSON_ANNOTATION, PRIMARY_ANNOTATION, from_annotations};
use serde_json::{Value, json};

use super::{many, request};

/// The namespaces of a rule: the first ones are the Pod's.
const NAMESPACES: [&[&str]; 4] = [&["*"], &["flytesnacks-*"], &["other", "?l*-development"], &["other"]];

/// Adds such settings in half of the cases, and what a Pod says of them.
pub fn add(source: &mut Unstructured<'_>, settings: &mut Value, pod: &mut Value) -> Result<()> {
    // A source that has run dry says yes.
    if !source.ratio(1, 2)? {
        settings["defaults"] = json!(some(source, 2, default_rule)?);
        for (key, value) in [
            (PRIMARY_ANNOTATION, "main"),
            ("secret-injector/defaults", *source.choose(&["false", "true", "no"])?),
        ] {
            if !source.ratio(2, 3)? {
                pod["metadata"]["annotations"][key] = json!(value);
            }
        }
    }
    if !source.ratio(1, 2)? {
        settings["imagePullSecrets"] = json!(some(source, 3, pull_secret)?);
    }
    Ok(())
}

/// From one to `most` items.
fn some<T>(
    source: &mut Unstructured<'_>,
    most: usize,
    item: impl Fn(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut items = many(source, most - 1, &item)?;
    items.push(item(source)?);
    Ok(items)
}

fn default_rule(source: &mut Unstructured<'_>) -> Result<Value> {
    let mut rule = json!({"namespaces": source.choose(&NAMESPACES)?, "requests": some(source, 2, default_request)?});
    let accounts = [json!(["*"]), json!(["def*"]), json!(["robot"])];
    let labels = [json!({"project": "flytesnacks"}), json!({"domain": "production"})];
    for (field, values) in [
        ("serviceAccounts", &accounts[..]),
        ("labels", &labels),
        ("containers", &containers()),
    ] {
        if source.ratio(1, 4)? {
            rule[field] = source.choose(values)?.clone();
        }
    }
    Ok(rule)
}

fn default_request(source: &mut Unstructured<'_>) -> Result<Value> {
    let mut request = request(source)?;
    let is_empty = request["group"] == "" && request["key"] == "";
    let text = json!([request]).to_string();
    if is_empty || from_annotations([(JSON_ANNOTATION, text.as_str())]).is_err() {
        // In the settings, such a request is an error.
        request = json!({"group": "db", "key": "password"});
    }
    if source.ratio(1, 4)? {
        request["containers"] = source.choose(&containers())?.clone();
    }
    if source.ratio(1, 4)? {
        let field = source.choose(&["required", "optional"])?;
        request[*field] = json!(true);
    }
    Ok(request)
}

fn containers() -> [Value; 4] {
    [
        json!(["main"]),
        json!(["$primary"]),
        json!(["proxy", "$primary", "main"]),
        json!(["aws-pull-secret-0"]),
    ]
}

fn pull_secret(source: &mut Unstructured<'_>) -> Result<Value> {
    let images = [
        json!(["*"]),
        json!(["busybox"]),
        json!(["docker.io/library/*"]),
        json!(["registry.example.com/*", "*aws-cli*"]),
        json!(["registry.example.com/*"]),
    ];
    let mut rule = json!({
        "name": source.choose(&["registry", "regcred", "db"])?,
        "images": source.choose(&images)?,
    });
    if source.ratio(1, 3)? {
        rule["namespaces"] = json!(source.choose(&NAMESPACES)?);
    }
    if source.ratio(1, 3)? {
        rule["verify"] = json!(true);
    }
    Ok(rule)
}
