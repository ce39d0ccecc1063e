//! The settings that one would deploy: without what is a default anyway, and without what nobody needs.

use serde_json::{Map, Value, json};

use super::{Conversion, Note, notes};

/// What open-source Flyte 2 calls the organization of everything.
const ORGANIZATION: &str = "flyte";
/// The namespace of the policy's manager flyte, and of Flyte 2's Pods, where nobody says anything.
const FLYTE_NAMESPACE: &str = "flyte";
impl Conversion {
    /// Returns the settings to deploy.
    ///
    /// `config` is Flyte's configuration. `global_secrets` says whether there are secrets in the variables and files of Flyte's
    /// webhook.
    pub fn lean(mut self, config: &Map<String, Value>, global_secrets: bool) -> Self {
        let defaults = self.version.defaults();
        let only_global = self.settings["managers"]
            .as_array()
            .is_none_or(|managers| managers.len() < 2);
        let global = global_secrets || only_global || self.names_global;
        self.notes.retain(|note| global || note.field != "secrets");
        if self.settings["envPrefix"] == "_UNION_"
            && let Some(settings) = self.settings.as_object_mut()
        {
            settings.remove("envPrefix");
        }
        let mut managers = match self.settings["managers"].take() {
            Value::Array(managers) => managers,
            _ => Vec::new(),
        };
        managers.retain(|manager| global || manager["type"] != "global");
        for manager in managers.iter_mut().filter_map(Value::as_object_mut) {
            match manager.get("type").and_then(Value::as_str).unwrap_or_default() {
                "aws" => without_defaults(manager, &defaults["awsSecretManager"], "sidecarImage"),
                "gcp" => without_defaults(manager, &defaults["gcpSecretManager"], "sidecarImage"),
                "azure" => without_defaults(manager, &defaults["azureSecretManager"], "sidecarImage"),
                "vault" if manager["kvVersion"] == 2 => _ = manager.remove("kvVersion"),
                "flyte" => {
                    let container = &defaults["embeddedSecretManagerConfig"]["fileMountInitContainer"];
                    without_defaults(manager, container, "image");
                    self.notes.extend(bound(manager, &pods(config)));
                }
                _ => {}
            }
        }
        self.settings["managers"] = Value::Array(managers);
        self
    }

    /// Adds what the values of a chart do not tell: Flyte 2 keeps its secrets in the namespace of its release.
    pub fn of_values(mut self) -> Self {
        let managers = self.settings["managers"].as_array().into_iter().flatten();
        let mut flytes = managers.filter(|manager| manager["type"] == "flyte" && manager["store"].is_null());
        if let Some(manager) = flytes.next() {
            let namespace = manager["namespace"].as_str().unwrap_or(FLYTE_NAMESPACE);
            self.notes.push(notes::release_namespace(namespace));
        }
        self
    }
}

/// Removes the image and the resources that nobody chose: the policy has its own, of pinned versions.
fn without_defaults(manager: &mut Map<String, Value>, defaults: &Value, image: &str) {
    if manager.get("image") == Some(&defaults[image]) {
        manager.remove("image");
    }
    if manager.get("resources") == Some(&defaults["resources"]) {
        manager.remove("resources");
    }
}

/// The namespace of Flyte 2's Pods, as the policy writes templates.
fn pods(config: &Map<String, Value>) -> String {
    let actions = config.iter().find(|(key, _)| key.eq_ignore_ascii_case("actions"));
    let namespace = actions.and_then(|(_, actions)| actions["kubernetes"]["namespace"].as_str());
    let namespace = namespace.filter(|name| !name.is_empty()).unwrap_or(FLYTE_NAMESPACE);
    let mut template = namespace.to_owned();
    for name in ["project", "domain", "org"] {
        let ours = if name == "org" {
            "{organization}"
        } else {
            &format!("{{{name}}}")
        };
        for theirs in [format!("{{{{ {name} }}}}"), format!("{{{{{name}}}}}")] {
            template = template.replace(&theirs, ours);
        }
    }
    template
}

/// Binds the manager flyte to the namespace of Flyte's Pods and to its organization. The secrets are referred to where they are in
/// that namespace; their values are put into the Pod only where they are not.
fn bound(manager: &mut Map<String, Value>, pods: &str) -> Vec<Note> {
    let secrets = manager
        .get("namespace")
        .and_then(Value::as_str)
        .unwrap_or(FLYTE_NAMESPACE)
        .to_owned();
    manager.insert("podNamespace".to_owned(), json!(pods));
    manager.insert("organization".to_owned(), json!(ORGANIZATION));
    if secrets == FLYTE_NAMESPACE {
        manager.remove("namespace");
    }
    let mut notes = Vec::new();
    if secrets == pods {
        manager.remove("literal");
    } else if !manager.contains_key("store") {
        notes.push(notes::literal(&secrets, pods));
    }
    if !pods.contains('{') {
        notes.push(notes::one_namespace(pods));
    }
    notes
}
