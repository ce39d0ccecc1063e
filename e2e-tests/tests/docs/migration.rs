//! `docs/reference/flyte-configuration.md` says what becomes of every field of Flyte's configuration.

use std::collections::BTreeSet;
use std::fs;

use e2e_tests::modules;
use serde_json::{Map, Value};

use super::markdown::{Document, code, rows};

/// The fields of both versions, as their defaults have them: those of `webhook`, and the fields of their objects.
#[test]
fn every_field_of_flyte_has_a_row() {
    let document = Document::read("docs/reference/flyte-configuration.md");
    let rows = rows(&document.text, "Flyte's field");
    let named: BTreeSet<&str> = rows.iter().flat_map(|row| code(row[0])).collect();
    for version in ["v1", "v2"] {
        let path = modules::repository().join(format!("e2e-tests/golden/defaults_{version}.json"));
        let defaults: Map<String, Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        for (field, value) in &defaults {
            let whole = named.contains(field.as_str());
            let first = format!("{field}.");
            let parts = value.is_object() && named.iter().any(|name| name.starts_with(&first));
            assert!(whole || parts, "{version}: {field} has no row");
        }
    }
    for field in ["secrets.secrets-prefix", "secrets.env-prefix"] {
        assert!(named.contains(field), "{field} has no row");
    }
}
