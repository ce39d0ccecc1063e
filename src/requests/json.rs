//! The readable form of requests: the annotation `secret-injector/requests`.
//!
//! ```json
//! [
//!   {"group": "db", "key": "password", "mountRequirement": "ENV_VAR", "envVar": "PGPASSWORD"},
//!   {"group": "tls", "key": "ca.crt", "mountRequirement": "FILE", "containers": ["proxy"]}
//! ]
//! ```
//!
//! Each object is Flyte's message in [protobuf's JSON form](https://protobuf.dev/programming-guides/json/): a field may
//! be in `camelCase` or in `snake_case`, an enum by name or by number, and `null` is as good as nothing. `containers`
//! is the policy's own: the names of the containers and init containers that get the secret; all when it is absent. So are
//! `field`, one field of a secret that is a JSON object; `path`, a further place for the file; `mode`, the file's permissions
//! in octal; and `optional`, whether the Pod starts without the secret.

use serde_json::value::RawValue;

use crate::json::fields::{Fields, NOT_UNICODE, SettingsError, kind};
use crate::json::without_position;
use crate::names::{DNS_LABEL_LENGTH, excerpt, is_mount_path, taken_path};

use super::model::{Containers, MAX_CONTAINERS, MAX_FIELD_LENGTH, MountRequirement, Origin, SecretRequest, too_long};

const ALIASES: &[(&str, &str)] = &[
    ("group_version", "groupVersion"),
    ("mount_requirement", "mountRequirement"),
    ("env_var", "envVar"),
];

/// Reads the value `text` of the annotation `annotation`. The requests are in the list's order.
///
/// # Errors
/// The value is not JSON, not a list, or one of its items is no request.
pub(super) fn decode(annotation: &str, text: &str) -> Result<Vec<SecretRequest>, String> {
    let items = list(text).map_err(|problem| format!("annotation {} {problem}", excerpt(annotation)))?;
    let request = |(index, item): (usize, &RawValue)| {
        let annotation = annotation.to_owned();
        decode_item(Origin::Json { annotation, index }, item.get())
    };
    items.into_iter().enumerate().map(request).collect()
}

fn list(text: &str) -> Result<Vec<&RawValue>, String> {
    let kind = kind(text);
    let example = r#"must be a list of requests, such as [{"group": "db", "key": "password"}]"#;
    if kind == "empty" {
        return Err(format!("{example}, not empty"));
    }
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!(
            "is not JSON: line {line}, column {column}: {}",
            without_position(&error)
        )
    })?;
    serde_json::from_str(whole.get()).map_err(|_| format!("{example}, not {kind}"))
}

fn decode_item(origin: Origin, text: &str) -> Result<SecretRequest, String> {
    let place = format!("{origin}:");
    if kind(text) != "an object" {
        let kind = kind(text);
        return Err(format!(
            r#"{place} a request is an object, such as {{"group": "db", "key": "password"}}, not {kind}"#
        ));
    }
    let read = || {
        let mut fields = Fields::parse(text, &place)?;
        let request = read(&mut fields, origin)?;
        Ok((fields, request))
    };
    let (fields, request) = read().map_err(|error: SettingsError| error.to_string())?;
    match fields.unknown() {
        None => Ok(request),
        Some(name) => Err(format!(
            "{place} there is no field {}; the fields are {}",
            excerpt(name),
            fields.known()
        )),
    }
}

/// Reads a request of the object `fields`, and leaves the fields that no request has.
pub(crate) fn read(fields: &mut Fields<'_>, origin: Origin) -> Result<SecretRequest, SettingsError> {
    fields.normalize(ALIASES)?;
    let mut request = SecretRequest {
        group: string(fields, "group")?,
        group_version: string(fields, "groupVersion")?,
        key: string(fields, "key")?,
        field: string(fields, "field")?,
        mount: mount_requirement(fields)?,
        env_var: string(fields, "envVar")?,
        path: path(fields)?,
        mode: mode(fields)?,
        containers: containers(fields)?,
        optional: optional(fields)?,
        ..SecretRequest::new(origin)
    };
    let placed = [("path", !request.path.is_empty()), ("mode", request.mode.is_some())];
    if let Some((name, _)) = placed.iter().find(|(_, given)| *given) {
        if request.mount == MountRequirement::EnvVar {
            return Err(fields.invalid(name, "is about a file, but mountRequirement is ENV_VAR: ask for a FILE"));
        }
        request.mount = MountRequirement::File;
    }
    Ok(request)
}

/// Reads where else the file is to appear.
fn path(fields: &mut Fields<'_>) -> Result<String, SettingsError> {
    let path = string(fields, "path")?;
    let problem = if path.is_empty() {
        return Ok(path);
    } else if !is_mount_path(&path) {
        "has to be the absolute path of a file, without ':', empty parts, '.' and '..', such as /home/app/.ssh/id_ed25519"
            .to_owned()
    } else if let Some((taken, what)) = taken_path(&path) {
        format!("would lie in the way of {taken}, {what}: choose another path")
    } else {
        return Ok(path);
    };
    Err(fields.invalid("path", &problem))
}

/// Reads the permissions of the file: as text, since JSON has no octal numbers.
fn mode(fields: &mut Fields<'_>) -> Result<Option<u16>, SettingsError> {
    let Some(raw) = fields.take_raw("mode")? else {
        return Ok(None);
    };
    let text = serde_json::from_str::<String>(raw.get()).unwrap_or_default();
    let digits = matches!(text.len(), 3 | 4) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u16::from_str_radix(&text, 8)
        .ok()
        .filter(|mode| digits && *mode <= 0o777);
    match mode {
        Some(mode) if mode & 0o400 != 0 => Ok(Some(mode)),
        Some(_) => Err(fields.invalid("mode", "lets not even the file's owner read it: write 0400 or more")),
        None => Err(fields.invalid("mode", "must be octal digits in quotes, from \"0400\" to \"0777\"")),
    }
}

fn string(fields: &mut Fields<'_>, name: &'static str) -> Result<String, SettingsError> {
    let text = fields.text(name)?.unwrap_or_default();
    if text.len() > MAX_FIELD_LENGTH {
        return Err(fields.invalid(name, &too_long()));
    }
    Ok(text)
}

fn mount_requirement(fields: &mut Fields<'_>) -> Result<MountRequirement, SettingsError> {
    const NAME: &str = "mountRequirement";
    let Some(raw) = fields.take_raw(NAME)? else {
        return Ok(MountRequirement::Any);
    };
    let text = raw.get();
    let (known, shown) = match (serde_json::from_str::<String>(text), kind(text)) {
        (Ok(name), _) => (MountRequirement::from_name(&name), format!("\"{}\"", excerpt(&name))),
        (_, "a number") => (
            text.parse().ok().and_then(MountRequirement::from_number),
            excerpt(text).into_owned(),
        ),
        (_, "a string") => return Err(fields.invalid(NAME, NOT_UNICODE)),
        (_, kind) => (None, kind.to_owned()),
    };
    known.ok_or_else(|| {
        let problem = format!("must be \"ANY\", \"ENV_VAR\" or \"FILE\" (or 0, 1 or 2), not {shown}");
        fields.invalid(NAME, &problem)
    })
}

fn optional(fields: &mut Fields<'_>) -> Result<Option<bool>, SettingsError> {
    const NAME: &str = "optional";
    match fields.take_raw(NAME)?.map(RawValue::get) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => Err(fields.invalid(NAME, &format!("must be true or false, not {}", kind(other)))),
    }
}

/// Reads the list of names in the field `containers`.
pub(crate) fn containers(fields: &mut Fields<'_>) -> Result<Containers, SettingsError> {
    const NAME: &str = "containers";
    let Some(raw) = fields.take_raw(NAME)? else {
        return Ok(Containers::All);
    };
    let invalid = |problem: &str| Err(fields.invalid(NAME, problem));
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
        return invalid(&format!("must be a list of names, not {}", kind(raw.get())));
    };
    if items.is_empty() {
        return invalid("is empty, so no container would get the secret; leave it out for all of them");
    }
    if items.len() > MAX_CONTAINERS {
        return invalid(&format!(
            "has more than {MAX_CONTAINERS} names; leave it out for all containers"
        ));
    }
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        match serde_json::from_str::<String>(item.get()) {
            Ok(name) if name.is_empty() => return invalid("has an empty name"),
            Ok(name) if name.len() > DNS_LABEL_LENGTH => {
                return invalid(&format!(
                    "has a name of more than {DNS_LABEL_LENGTH} bytes, which no container can have"
                ));
            }
            Ok(name) => names.push(name),
            Err(_) if kind(item.get()) == "a string" => return invalid(NOT_UNICODE),
            Err(_) => return invalid(&format!("must be a list of names, not {}", kind(item.get()))),
        }
    }
    Ok(Containers::named(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(index: usize) -> SecretRequest {
        let annotation = "a".to_owned();
        SecretRequest::new(Origin::Json { annotation, index })
    }

    #[test]
    fn requests() {
        let full = SecretRequest {
            group: "g".to_owned(),
            group_version: "v".to_owned(),
            key: "k".to_owned(),
            field: "f".to_owned(),
            mount: MountRequirement::File,
            env_var: "E".to_owned(),
            containers: Containers::Named(vec!["a".to_owned(), "b".to_owned()]),
            optional: Some(false),
            ..request(0)
        };
        let mounted = |mount| vec![SecretRequest { mount, ..request(0) }];
        let table = [
            ("[]", vec![]),
            (" \r\n[ ]\t", vec![]),
            ("[{}]", vec![request(0)]),
            ("[{},{ }]", vec![request(0), request(1)]),
            (
                r#"[{"group":"g","groupVersion":"v","key":"k","field":"f","mountRequirement":"FILE","envVar":"E","containers":["b","a"],"optional":false}]"#,
                vec![full.clone()],
            ),
            (
                r#"[ { "containers" : [ "b" , "a" , "b" ] , "env_var":"E","mount_requirement":2,"field":"f","key":"\u006b","group_version":"v","gro\u0075p":"g","optional":false}]"#,
                vec![full],
            ),
            (
                r#"[{"group":null,"group_version":null,"key":null,"field":null,"mountRequirement":null,"envVar":null,"containers":null,"optional":null}]"#,
                vec![request(0)],
            ),
            (r#"[{"mountRequirement":"ANY"}]"#, mounted(MountRequirement::Any)),
            (r#"[{"mountRequirement":"ENV_VAR"}]"#, mounted(MountRequirement::EnvVar)),
            (r#"[{"mountRequirement":0}]"#, mounted(MountRequirement::Any)),
            (r#"[{"mountRequirement":1}]"#, mounted(MountRequirement::EnvVar)),
        ];
        for (text, expected) in table {
            assert_eq!(decode("a", text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn errors() {
        let fields = "the fields are group, groupVersion, key, field, mountRequirement, envVar, path, mode, containers, optional";
        let list = r#"must be a list of requests, such as [{"group": "db", "key": "password"}], not "#;
        let object = r#"item 1: a request is an object, such as {"group": "db", "key": "password"}, not "#;
        let mount = r#"item 1: the field mountRequirement must be "ANY", "ENV_VAR" or "FILE" (or 0, 1 or 2), not "#;
        let twice = "is given twice (camelCase and snake_case are the same field)";
        let table = [
            ("", format!("{list}empty")),
            (" \n", format!("{list}empty")),
            ("{}", format!("{list}an object")),
            ("null", format!("{list}null")),
            ("\"s\"", format!("{list}a string")),
            ("hello", "is not JSON: line 1, column 1: expected value".to_owned()),
            (
                "[\n{]",
                "is not JSON: line 2, column 2: key must be a string".to_owned(),
            ),
            (
                "[{}] x",
                "is not JSON: line 1, column 6: trailing characters".to_owned(),
            ),
            ("[{},]", "is not JSON: line 1, column 5: expected value".to_owned()),
            ("[nul]", "is not JSON: line 1, column 5: expected ident".to_owned()),
            ("[1]", format!("{object}a number")),
            ("[[\"g\",\"v\",\"k\"]]", format!("{object}a list")),
            ("[null]", format!("{object}null")),
            ("[true]", format!("{object}a boolean")),
            (
                r#"[{},{"name":1}]"#,
                format!("item 2: there is no field name; {fields}"),
            ),
            (r#"[{"GROUP":1}]"#, format!("item 1: there is no field GROUP; {fields}")),
            (
                r#"[{"a\u202e\n":1}]"#,
                format!(r"item 1: there is no field a\u{{202e}}\n; {fields}"),
            ),
            (r#"[{"key":"a","key":"a"}]"#, "item 1: the field key is given twice".to_owned()),
            (
                r#"[{"envVar":"a","env_var":"a"}]"#,
                format!("item 1: the field envVar {twice}"),
            ),
            (
                r#"[{"envVar":null,"env_var":"a"}]"#,
                format!("item 1: the field envVar {twice}"),
            ),
            (
                r#"[{"key":1}]"#,
                "item 1: the field key must be a string, not a number".to_owned(),
            ),
            (
                r#"[{"group_version":1}]"#,
                "item 1: the field groupVersion must be a string, not a number".to_owned(),
            ),
            (r#"[{"mountRequirement":"file"}]"#, format!("{mount}\"file\"")),
            (r#"[{"mountRequirement":"1"}]"#, format!("{mount}\"1\"")),
            (r#"[{"mountRequirement":3}]"#, format!("{mount}3")),
            (r#"[{"mountRequirement":-1}]"#, format!("{mount}-1")),
            (r#"[{"mountRequirement":1.0}]"#, format!("{mount}1.0")),
            (
                r#"[{"mountRequirement":[]}]"#,
                format!("{mount}a list"),
            ),
            (
                r#"[{"containers":[]}]"#,
                "item 1: the field containers is empty, so no container would get the secret; leave it out for all of them"
                    .to_owned(),
            ),
            (
                r#"[{"containers":[""]}]"#,
                "item 1: the field containers has an empty name".to_owned(),
            ),
            (
                r#"[{"containers":"a"}]"#,
                "item 1: the field containers must be a list of names, not a string".to_owned(),
            ),
            (
                r#"[{"containers":["a",null]}]"#,
                "item 1: the field containers must be a list of names, not null".to_owned(),
            ),
            (
                r#"[{"optional":"true"}]"#,
                "item 1: the field optional must be true or false, not a string".to_owned(),
            ),
            (
                r#"[{"key":"\ud800"}]"#,
                "item 1: the field key has a \\u escape that is no character".to_owned(),
            ),
            (
                r#"[{"\ud800":1}]"#,
                "item 1: has a name with a \\u escape that is no character".to_owned(),
            ),
        ];
        for (text, expected) in table {
            let error = decode("a", text).unwrap_err();
            let problem = error
                .strip_prefix("annotation a")
                .map(|rest| rest.trim_start_matches([',', ' ']));
            assert_eq!(problem, Some(expected.as_str()), "{text}");
        }
    }

    #[test]
    fn depth_and_length_cost_no_stack() {
        for part in ["[", "{\"a\":", "[{\"key\":[", "[{},", "\"", "[{\"containers\":[["] {
            assert!(decode("a", &part.repeat(100_000)).is_err());
        }
        let nested = format!("[{{\"containers\":[{}{}]}}]", "[".repeat(100_000), "]".repeat(100_000));
        assert!(decode("a", &nested).is_err());
        assert_eq!(
            decode("a", &format!("[{}{{}}]", "{},".repeat(9_999))).map(|list| list.len()),
            Ok(10_000)
        );
    }
}
