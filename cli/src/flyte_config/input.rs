//! Flyte's configuration, from where people have it: files, ConfigMaps, the values of Helm charts.

use serde_json::{Map, Value};

use super::{FlyteConfigError, FlyteVersion, fields::mapping};
use crate::{input, yaml};

/// Sections that the programs of one version of Flyte read.
const SECTIONS_V1: [&str; 7] = [
    "propeller",
    "flyteadmin",
    "admin",
    "datacatalog",
    "manager",
    "namespace_mapping",
    "task_resources",
];
const SECTIONS_V2: [&str; 4] = ["actions", "runs", "dataproxy", "secret"];
/// Where the configuration is in the values of charts, and the version of Flyte that has the chart; flyte-binary is a chart of both.
const VALUES: [(&[&str], Option<FlyteVersion>); 4] = [
    (&["configmap", "core"], Some(FlyteVersion::V1)),
    (&["flyte", "configmap", "core"], Some(FlyteVersion::V1)),
    (&["flyte-core-components"], None),
    (&["configuration", "inline"], None),
];

/// The configuration, and the version of Flyte, as far as it is told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The sections, each merged from all files.
    pub config: Map<String, Value>,
    version: Option<FlyteVersion>,
    /// The ConfigMaps that were read, with their names.
    config_maps: Vec<(String, Map<String, Value>)>,
    /// True if the values of a chart were read: what they leave out has a default.
    values: bool,
    /// The objects that have no configuration.
    passed_over: Vec<String>,
}

impl Found {
    /// Adds a text: its documents, in their order. What comes later counts, field by field, as in Flyte.
    ///
    /// # Errors
    /// [`FlyteConfigError`]
    pub fn add(&mut self, text: &str) -> Result<(), FlyteConfigError> {
        for document in yaml::documents(text)? {
            self.add_document(yaml::to_json(&document)?)?;
        }
        Ok(())
    }

    /// Returns true if what was read are the values of a chart, which do not tell the namespace of the release.
    pub fn is_values(&self) -> bool {
        self.values
    }

    /// Ends the reading, and returns the configuration with the version of Flyte.
    ///
    /// # Errors
    /// No section `webhook`, or several ConfigMaps with one, or nothing that tells the version.
    pub fn finish(
        mut self,
        version: Option<FlyteVersion>,
    ) -> Result<(Map<String, Value>, FlyteVersion), FlyteConfigError> {
        let (with, without): (Vec<_>, Vec<_>) = std::mem::take(&mut self.config_maps)
            .into_iter()
            .partition(|(_, config)| has_webhook(config));
        if with.len() > 1 {
            let names: Vec<&str> = with.iter().map(|(name, _)| name.as_str()).collect();
            return Err(FlyteConfigError::NotFound(format!(
                "several ConfigMaps have a section webhook ({}): give the one that Flyte's webhook reads",
                names.join(", ")
            )));
        }
        self.passed_over
            .extend(without.into_iter().map(|(name, _)| format!("ConfigMap {name}")));
        for (name, config) in with {
            if name.contains("flyte-propeller") {
                self.version = self.version.or(Some(FlyteVersion::V1));
            }
            merge(&mut self.config, config);
        }
        if !has_webhook(&self.config) && !self.values {
            let found = match self.passed_over.as_slice() {
                [] => String::new(),
                found => format!(", but {}", input::few(found)),
            };
            return Err(FlyteConfigError::NotFound(format!(
                "found no section webhook in Flyte's configuration{found}; it is in the ConfigMap flyte-propeller-config (chart \
                 flyte-core) or NAME-config (chart flyte-binary)"
            )));
        }
        let version = version
            .or(self.version)
            .or_else(|| tell(&self.config))
            .ok_or(FlyteConfigError::Version)?;
        Ok((self.config, version))
    }

    /// Adds a document: see [`Found::add`].
    ///
    /// # Errors
    /// [`FlyteConfigError`]
    pub fn add_document(&mut self, document: Value) -> Result<(), FlyteConfigError> {
        let kind = document["kind"].as_str().unwrap_or_default().to_owned();
        let name = document["metadata"]["name"]
            .as_str()
            .unwrap_or("without a name")
            .to_owned();
        match (kind.as_str(), document) {
            ("List" | "ConfigMapList", Value::Object(mut list)) => {
                if let Some(Value::Array(items)) = list.remove("items") {
                    items.into_iter().try_for_each(|item| self.add_document(item))?;
                }
                Ok(())
            }
            ("ConfigMap", config_map) => {
                let config = config_map_files(&config_map)?;
                self.config_maps.push((name, config));
                Ok(())
            }
            (_, document) if document["apiVersion"].is_string() && !kind.is_empty() => {
                self.passed_over.push(format!("{kind} {name}"));
                Ok(())
            }
            (_, document) => self.add_sections(mapping(document, "the configuration")?),
        }
    }

    /// Adds the sections of a file, or of a chart's values.
    fn add_sections(&mut self, sections: Map<String, Value>) -> Result<(), FlyteConfigError> {
        let values = Value::Object(sections.clone());
        let mut is_values = false;
        for (path, version) in VALUES {
            let Some(Value::Object(inner)) = path.iter().try_fold(&values, |value, part| value.get(part)) else {
                continue;
            };
            is_values = true;
            self.version = self.version.or(version);
            let mut inner = inner.clone();
            without_templates(&mut inner);
            merge(&mut self.config, inner);
        }
        self.values |= is_values;
        if !is_values {
            merge(&mut self.config, sections);
        }
        Ok(())
    }
}

/// The files of a ConfigMap, merged in the order of their names, as Flyte merges them.
fn config_map_files(config_map: &Value) -> Result<Map<String, Value>, FlyteConfigError> {
    let data = config_map["data"].as_object();
    let files = || data.into_iter().flatten();
    let text = |file: &Value| file.as_str().unwrap_or_default().to_owned();
    // Other ConfigMaps may hold anything, such as Flyte's templates of namespaces.
    let is_flytes = files().any(|(_, file)| text(file).to_ascii_lowercase().contains("webhook"));
    let mut config = Map::new();
    for (name, file) in files() {
        let sections = match sections(&text(file)) {
            Ok(sections) => sections,
            Err(error) if is_flytes && (name.ends_with(".yaml") || name.ends_with(".yml")) => {
                return Err(FlyteConfigError::NotFound(format!("its file {name} is {error}")));
            }
            Err(_) => continue,
        };
        sections.into_iter().for_each(|sections| merge(&mut config, sections));
    }
    Ok(config)
}

/// The mappings among the documents of a file.
fn sections(file: &str) -> Result<Vec<Map<String, Value>>, yaml::YamlError> {
    let mut found = Vec::new();
    for document in yaml::documents(file)? {
        if let Value::Object(sections) = yaml::to_json(&document)? {
            found.push(sections);
        }
    }
    Ok(found)
}

/// Merges a later file into the earlier ones as viper's MergeConfig does: mappings field by field, in any case, everything else as
/// a whole; a null changes nothing.
fn merge(earlier: &mut Map<String, Value>, later: Map<String, Value>) {
    for (key, value) in later {
        let known = earlier.keys().find(|known| known.eq_ignore_ascii_case(&key)).cloned();
        match (known.and_then(|known| earlier.get_mut(&known)), value) {
            (Some(_), Value::Null) => {}
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (Some(old), new) => *old = new,
            (None, new) => _ = earlier.insert(key, new),
        }
    }
}

/// Leaves out the texts that Helm fills in.
fn without_templates(fields: &mut Map<String, Value>) {
    fields.retain(|_, value| match value {
        Value::String(text) => !text.contains("{{") || !text.contains("Release"),
        Value::Object(inner) => {
            without_templates(inner);
            true
        }
        _ => true,
    });
}

fn has_webhook(config: &Map<String, Value>) -> bool {
    config
        .keys()
        .any(|key| key.eq_ignore_ascii_case("webhook") || is_webhook_field(key))
}

/// The version that the sections tell, or the fields of the webhook's section.
fn tell(config: &Map<String, Value>) -> Option<FlyteVersion> {
    let has = |names: &[&str]| {
        config
            .keys()
            .any(|key| names.iter().any(|name| key.eq_ignore_ascii_case(name)))
    };
    match (has(&SECTIONS_V1), has(&SECTIONS_V2)) {
        (true, false) => return Some(FlyteVersion::V1),
        (false, true) => return Some(FlyteVersion::V2),
        _ => {}
    }
    let webhook = config
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case("webhook"))
        .map(|(_, value)| value);
    let fields = webhook.and_then(Value::as_object).unwrap_or(config);
    let only_v2 = fields
        .keys()
        .any(|field| is_field_of(FlyteVersion::V2, field) && !is_field_of(FlyteVersion::V1, field));
    only_v2.then_some(FlyteVersion::V2)
}

/// Returns true if either version of Flyte has such a field in the section `webhook`.
pub(super) fn is_webhook_field(field: &str) -> bool {
    is_field_of(FlyteVersion::V2, field)
}

fn is_field_of(version: FlyteVersion, field: &str) -> bool {
    version.defaults().keys().any(|known| known.eq_ignore_ascii_case(field))
}
