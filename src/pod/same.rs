//! Whether the Pod has already what is to be added.
//!
//! A field that the Pod's own object has beyond ours mostly changes what it means: `optional`, `items`, `readOnly`,
//! `subPath`. Only what the API server fills in or leaves out by itself makes no difference.

use serde_json::{Map, Value};

use super::path;
use crate::json::text_in;
use crate::quantity;

/// What the API server fills in where it is absent: the field that holds the object ("probe" for those of probes), the object's
/// field, and the value
/// ([defaults.go](https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/core/v1/defaults.go), and the
/// `+default` markers of [types.go](https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/api/core/v1/types.go)).
const FILLED_IN: &[(&str, &str, &str)] = &[
    ("secret", "defaultMode", "420"),
    ("configMap", "defaultMode", "420"),
    ("downwardAPI", "defaultMode", "420"),
    ("projected", "defaultMode", "420"),
    ("serviceAccountToken", "expirationSeconds", "3600"),
    ("podCertificate", "maxExpirationSeconds", "86400"),
    ("fieldRef", "apiVersion", "v1"),
    ("resourceFieldRef", "divisor", "0"),
    ("image", "pullPolicy", "IfNotPresent"),
    ("image", "pullPolicy", "Always"),
    ("spec", "volumeMode", "Filesystem"),
    ("iscsi", "iscsiInterface", "default"),
    ("rbd", "pool", "rbd"),
    ("rbd", "user", "admin"),
    ("rbd", "keyring", "/etc/ceph/keyring"),
    ("azureDisk", "cachingMode", "ReadWrite"),
    ("azureDisk", "fsType", "ext4"),
    ("azureDisk", "kind", "Shared"),
    ("scaleIO", "storageMode", "ThinProvisioned"),
    ("scaleIO", "fsType", "xfs"),
    ("ports", "protocol", "TCP"),
    ("httpGet", "path", "/"),
    ("httpGet", "scheme", "HTTP"),
    ("probe", "timeoutSeconds", "1"),
    ("probe", "periodSeconds", "10"),
    ("probe", "successThreshold", "1"),
    ("probe", "failureThreshold", "3"),
];

/// Strings that mean something else when they are empty than when they are absent.
const EMPTY_IS_A_VALUE: [&str; 2] = ["storageClassName", "volumeAttributesClassName"];

/// Numbers that the API server leaves out where they are 0.
const ZERO_IS_ABSENT: [&str; 4] = ["hostPort", "partition", "initialDelaySeconds", "weight"];

/// Objects that the API server writes or leaves out where nothing is in them.
const EMPTY_IS_ABSENT: [&str; 9] = [
    "metadata",
    "resources",
    "status",
    "labels",
    "annotations",
    "limits",
    "requests",
    "volumeAttributes",
    "options",
];

/// The fields of a container that others may set without changing what it runs: the API server, a LimitRange,
/// AlwaysPullImages, OpenShift's constraints.
const SET_BY_OTHERS: [&str; 6] = [
    "name",
    "imagePullPolicy",
    "resources",
    "securityContext",
    "terminationMessagePath",
    "terminationMessagePolicy",
];

/// The lists of a container that other webhooks add to.
const ADDED_TO: [&str; 3] = ["env", "envFrom", "volumeMounts"];

/// Returns whether `existing` means the same as `ours`.
pub(super) fn same(existing: &Value, ours: &Value) -> bool {
    same_in("", existing, ours)
}

/// Returns whether two mounts at the same path show the same.
pub(super) fn same_mount(existing: &Value, ours: &Value) -> bool {
    let (Value::Object(existing), Value::Object(ours)) = (existing, ours) else {
        return false;
    };
    // The path is compared as the container runtime does, not letter by letter.
    same_fields("volumeMounts", existing, ours, |name| name != "mountPath")
}

/// Returns whether an init container of the Pod does what ours does.
pub(super) fn runs_the_same(existing: &Value, ours: &Value) -> bool {
    let (Value::Object(existing), Value::Object(ours)) = (existing, ours) else {
        return false;
    };
    let counts = |name: &str| !SET_BY_OTHERS.contains(&name) && !ADDED_TO.contains(&name);
    same_fields("initContainers", existing, ours, counts)
        && has_variables(list(existing, "env"), list(ours, "env"))
        && has_sources(list(existing, "envFrom"), list(ours, "envFrom"))
        && has_mounts(list(existing, "volumeMounts"), list(ours, "volumeMounts"))
}

/// Returns `ours`, an init container, as the API server writes it in a Pod on its host's network: there each port is one of
/// the host
/// ([defaults.go](https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/core/v1/defaults.go), `defaultHostNetworkPorts`).
pub(super) fn with_host_ports(ours: &Value) -> Value {
    let mut container = ours.clone();
    let ports = container.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        let is_absent = port
            .get("hostPort")
            .is_none_or(|port| is_absent("ports", "hostPort", port));
        let same = port.get("containerPort").cloned();
        if let (true, Some(same), Value::Object(port)) = (is_absent, same, port) {
            port.insert("hostPort".to_owned(), same);
        }
    }
    container
}

fn list<'v>(container: &'v Map<String, Value>, field: &str) -> &'v [Value] {
    container
        .get(field)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn has_sources(existing: &[Value], ours: &[Value]) -> bool {
    ours.iter().all(|item| existing.iter().any(|other| same(other, item)))
}

/// Returns whether all of our variables count: of two with the same name, the last one does.
fn has_variables(existing: &[Value], ours: &[Value]) -> bool {
    ours.iter().all(|variable| {
        let mut named = existing
            .iter()
            .rev()
            .filter(|other| other.get("name") == variable.get("name"));
        named.next().is_some_and(|other| same_in("env", other, variable))
    })
}

/// Returns whether all of our mounts are there, and nothing is mounted over them.
fn has_mounts(existing: &[Value], ours: &[Value]) -> bool {
    let shows = |mount: &Value, other: &Value| path_of(mount) == path_of(other) && same_mount(mount, other);
    let hides = |mount: &Value, other: &Value| path::is_below(&path_of(mount), &path_of(other));
    let is_there = |ours: &Value| existing.iter().any(|mount| shows(mount, ours));
    let hides_none =
        |mount: &Value| ours.iter().any(|ours| shows(mount, ours)) || !ours.iter().any(|ours| hides(mount, ours));
    ours.iter().all(is_there) && existing.iter().all(hides_none)
}

fn path_of(mount: &Value) -> std::borrow::Cow<'_, str> {
    path::clean(text_in(mount, "mountPath"))
}

fn same_in(place: &str, existing: &Value, ours: &Value) -> bool {
    match (existing, ours) {
        (Value::Object(existing), Value::Object(ours)) => same_fields(place, existing, ours, |_| true),
        (Value::Array(existing), Value::Array(ours)) => {
            existing.len() == ours.len()
                && existing
                    .iter()
                    .zip(ours)
                    .all(|(existing, ours)| same_in(place, existing, ours))
        }
        _ => existing == ours,
    }
}

/// Compares those fields of two objects that count; `place` is the field that holds the objects.
fn same_fields(
    place: &str,
    existing: &Map<String, Value>,
    ours: &Map<String, Value>,
    counts: impl Fn(&str) -> bool,
) -> bool {
    let is_amount = |name: &str| matches!(name, "sizeLimit" | "divisor") || matches!(place, "limits" | "requests");
    let same = |name: &str, value: &Value, other: &Value| {
        same_in(name, value, other)
            || is_amount(name) && quantity::is_same(value, other)
            || is_absent(place, name, value) && is_absent(place, name, other)
    };
    existing
        .iter()
        .filter(|(name, _)| counts(name))
        .all(|(name, value)| match ours.get(name) {
            Some(other) => same(name, value, other),
            None => is_absent(place, name, value),
        })
        && ours
            .iter()
            .filter(|(name, _)| counts(name) && !existing.contains_key(*name))
            .all(|(name, value)| is_absent(place, name, value))
}

/// Returns whether a field with this value means the same as none.
fn is_absent(place: &str, name: &str, value: &Value) -> bool {
    let place = if place.ends_with("Probe") { "probe" } else { place };
    let filled_in = |text: &str| FILLED_IN.contains(&(place, name, text));
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::String(text) => text.is_empty() && !EMPTY_IS_A_VALUE.contains(&name) || filled_in(text),
        Value::Array(items) => items.is_empty(),
        Value::Number(number) => {
            ZERO_IS_ABSENT.contains(&name) && number.as_u64() == Some(0) || filled_in(&number.to_string())
        }
        Value::Object(fields) => {
            EMPTY_IS_ABSENT.contains(&name) && fields.iter().all(|(inner, value)| is_absent(name, inner, value))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_defaults_make_no_difference() {
        let secret = |more: Value| {
            let mut source = json!({"secretName": "db", "items": [{"key": "k", "path": "k"}]});
            source
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            json!({"name": "v", "secret": source})
        };
        let claim = |spec: Value| json!({"ephemeral": {"volumeClaimTemplate": {"spec": spec}}});
        for (existing, ours, expected) in [
            (secret(json!({"defaultMode": 420})), secret(json!({})), true),
            (
                secret(json!({"defaultMode": null, "optional": false})),
                secret(json!({})),
                true,
            ),
            (secret(json!({"defaultMode": 256})), secret(json!({})), false),
            (secret(json!({"optional": true})), secret(json!({})), false),
            (secret(json!({})), secret(json!({"optional": true})), false),
            (
                secret(json!({"defaultMode": 420})),
                secret(json!({"defaultMode": null})),
                true,
            ),
            (
                json!({"name": "v", "secret": {"secretName": "db"}}),
                secret(json!({})),
                false,
            ),
            (
                secret(json!({})),
                json!({"name": "v", "secret": {"secretName": "db"}}),
                false,
            ),
            (
                json!({"emptyDir": {"sizeLimit": "1Gi"}}),
                json!({"emptyDir": {"sizeLimit": "1024Mi"}}),
                true,
            ),
            (
                json!({"emptyDir": {"sizeLimit": "1Gi"}}),
                json!({"emptyDir": {"sizeLimit": "1Mi"}}),
                false,
            ),
            (
                claim(json!({"volumeMode": "Filesystem", "resources": {"requests": {"storage": "1Gi"}}})),
                claim(json!({"resources": {"requests": {"storage": "1024Mi"}}})),
                true,
            ),
            (claim(json!({"resources": {}})), claim(json!({})), true),
            (claim(json!({"storageClassName": ""})), claim(json!({})), false),
            (
                json!({"valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}),
                json!({"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
                true,
            ),
            (
                json!({"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}}}),
                json!({"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}),
                true,
            ),
            (
                json!({"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}}}),
                json!({"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1000m"}}}),
                true,
            ),
            (json!({"name": "A", "value": ""}), json!({"name": "A"}), true),
            (
                json!({"name": "A", "value": "1Gi"}),
                json!({"name": "A", "value": "1024Mi"}),
                false,
            ),
            (
                json!({"name": "A", "valueFrom": {"configMapKeyRef": {}}}),
                json!({"name": "A"}),
                false,
            ),
            (json!({"a": [1, 2]}), json!({"a": [1]}), false),
        ] {
            assert_eq!(same(&existing, &ours), expected, "{existing} {ours}");
        }
    }

    #[test]
    fn a_container_runs_the_same_whatever_others_add() {
        let ours = json!({"name": "a", "image": "i", "env": [{"name": "A", "value": "1"}],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}]});
        let with = |more: Value| {
            let mut container = ours.clone();
            container
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            container
        };
        let (a, v) = (
            json!({"name": "A", "value": "1"}),
            json!({"name": "v", "mountPath": "/v/"}),
        );
        for (existing, expected) in [
            (
                json!({"name": "b", "imagePullPolicy": "Always", "resources": {"limits": {"cpu": 1}}}),
                true,
            ),
            (
                json!({"securityContext": {"runAsUser": 7}, "terminationMessagePath": "/dev/termination-log"}),
                true,
            ),
            (json!({"env": [a, {"name": "B", "value": "2"}]}), true),
            (json!({"env": [a, {"name": "A", "value": "2"}]}), false),
            (json!({"envFrom": [{"secretRef": {"name": "s"}}]}), true),
            (
                json!({"volumeMounts": [v, {"name": "t", "mountPath": "/var/run/secrets/x"}]}),
                true,
            ),
            (json!({"volumeMounts": [v, {"name": "t", "mountPath": "/v/x"}]}), false),
            (
                json!({"volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true}]}),
                false,
            ),
            (json!({"command": []}), true),
            (json!({"command": ["true"]}), false),
            (json!({"args": ["x"]}), false),
            (json!({"restartPolicy": "Always"}), false),
            (json!({"workingDir": "/x"}), false),
            (json!({"image": "j"}), false),
        ] {
            assert_eq!(runs_the_same(&with(existing.clone()), &ours), expected, "{existing}");
        }
    }
}
