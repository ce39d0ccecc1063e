//! What Flyte's own code decodes, against what this does.

use std::{collections::BTreeMap, fs};

use serde::{Deserialize, de::DeserializeOwned};

use super::{MountRequirement, base32, flyte, from_annotations};

const NOT_UTF8: &str = "strings that are not UTF-8 are refused: no field of a Pod can hold them";
const UNKNOWN_MOUNT: &str = "numbers of mount_requirement without a meaning are refused";
const NO_NUMBER: &str = "only a number after the prefix makes a request, other keys are warned about";
const DROPPED_TAIL: &str = "Go drops a last group of 1, 3 or 6 letters without an error";

/// Every vector whose outcome is another one than Flyte's, and why.
const DEVIATIONS: [(&str, &str); 14] = [
    ("unmarshal/text/080", NOT_UTF8),
    ("unmarshal/text/121", NOT_UTF8),
    ("unmarshal/text/122", NOT_UTF8),
    ("unmarshal/keys/flyte-test/mutate", NOT_UTF8),
    ("unmarshal/text/146", UNKNOWN_MOUNT),
    ("unmarshal/text/156", UNKNOWN_MOUNT),
    ("unmarshal/text/158", UNKNOWN_MOUNT),
    ("unmarshal/keys/any-suffix", NO_NUMBER),
    ("unmarshal/keys/not-a-number", NO_NUMBER),
    ("unmarshal/keys/negative", NO_NUMBER),
    ("unmarshal/keys/not-a-number-bad-value", NO_NUMBER),
    ("base32/truncated/01", DROPPED_TAIL),
    ("base32/dropped-tail/3", DROPPED_TAIL),
    ("base32/dropped-tail/6", DROPPED_TAIL),
];

#[derive(Deserialize)]
struct Decoding {
    name: String,
    annotations: BTreeMap<String, String>,
    result: Outcome,
}

#[derive(Deserialize)]
struct Outcome {
    secrets: Option<Vec<Secret>>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Encoding {
    name: String,
    secrets: Vec<Secret>,
    result: Encoded,
    round_trips: bool,
    key_repeat: Option<usize>,
}

#[derive(Deserialize)]
struct Encoded {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    texts: BTreeMap<String, String>,
    annotation_length: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Secret {
    group: String,
    group_version: String,
    key: String,
    mount_requirement: Mount,
    env_var: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(untagged)]
enum Mount {
    Named(String),
    Numbered(i64),
}

impl From<MountRequirement> for Mount {
    fn from(mount: MountRequirement) -> Self {
        Self::Named(mount.name().to_owned())
    }
}

impl From<flyte::DecodedSecret> for Secret {
    fn from(secret: flyte::DecodedSecret) -> Self {
        Self {
            group: secret.group,
            group_version: secret.group_version,
            key: secret.key,
            mount_requirement: secret.mount.into(),
            env_var: secret.env_var,
        }
    }
}

fn read<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let path = format!("{}/e2e-tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// None for an error. Sorted: Flyte walks a Go map, whose order is random.
fn decoded(annotations: &BTreeMap<String, String>) -> Option<Vec<Secret>> {
    let pairs = annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let read = match from_annotations(pairs) {
        Ok(read) => read,
        Err(error) => {
            let message = error.to_string();
            assert!(message.chars().count() < 300, "{message}");
            return None;
        }
    };
    let mut secrets: Vec<Secret> = read
        .requests
        .into_iter()
        .map(|request| Secret {
            group: request.group,
            group_version: request.group_version,
            key: request.key,
            mount_requirement: request.mount.into(),
            env_var: request.env_var,
        })
        .collect();
    secrets.sort();
    Some(secrets)
}

#[test]
fn decodes_as_flyte_does() {
    let mut vectors: Vec<Decoding> = read("marshal_decode.json");
    vectors.extend(read("marshal_base32.json"));
    let mut different = Vec::new();
    for vector in &vectors {
        let mut expected = if vector.result.error.is_some() {
            None
        } else {
            vector.result.secrets.clone()
        };
        expected.iter_mut().for_each(|secrets| secrets.sort());
        if decoded(&vector.annotations) != expected {
            different.push(vector.name.as_str());
        }
    }
    let mut listed = DEVIATIONS.map(|(name, _)| name);
    listed.sort_unstable();
    different.sort_unstable();
    assert_eq!(different, listed);
    assert_eq!(vectors.len(), 225, "all vectors were read");
}

#[test]
fn decodes_what_flyte_encodes() {
    let mut round_trips = 0;
    for vector in read::<Encoding>("marshal_encode.json") {
        if !vector.round_trips {
            continue;
        }
        round_trips += 1;
        if let Some(repeat) = vector.key_repeat {
            let value = base32::encode(format!("key: \"{}\"\n", "x".repeat(repeat)).as_bytes());
            assert_eq!(Some(value.len()), vector.result.annotation_length, "{}", vector.name);
            let message = flyte::decode(&value).unwrap_err().to_string();
            assert!(
                message.contains("key is longer than 1024 bytes"),
                "{}: {message}",
                vector.name
            );
            continue;
        }
        let values = &vector.result.annotations;
        let mut secrets: Vec<Secret> = values
            .values()
            .map(|value| flyte::decode(value).unwrap().into())
            .collect();
        let mut expected = vector.secrets;
        secrets.sort();
        expected.sort();
        assert_eq!(secrets, expected, "{}", vector.name);
        for (key, text) in &vector.result.texts {
            assert_eq!(
                Some(&base32::encode(text.as_bytes())),
                values.get(key),
                "{}",
                vector.name
            );
        }
    }
    assert_eq!(round_trips, 61, "all vectors were read");
}
