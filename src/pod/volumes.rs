//! Volumes.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::plan::{Plan, path_clash};
use super::same::same;
use super::{Addition, INIT_CONTAINERS, Pod, PodError, Room, read};
use crate::injection::{FileOrigin, SecretFile};
use crate::json::{Node, tree};
use crate::names::{DNS_LABEL_LENGTH, short_hash};
use crate::order::sort_and_dedup;
use serde_json::Value;

/// How much a memory volume may hold: more than all Secrets that fit one Pod, which the API server limits to
/// [1 MiB each](https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size).
const MEMORY_LIMIT: &str = "64Mi";

/// A volume that is to be added.
pub(super) struct Volume {
    pub(super) name: String,
    pub(super) source: Value,
    /// The name that was wanted for it.
    pub(super) wanted: String,
}

impl Plan {
    /// Adds the volumes and returns their names, by their numbers.
    /// `ours` holds the positions of the init containers that we have added before.
    pub(super) fn add_volumes(
        &self,
        pod: &mut Pod<'_>,
        ours: &[usize],
        room: &mut Room,
    ) -> Result<Vec<String>, PodError> {
        let mut names = Vec::with_capacity(self.volumes.len());
        if self.volumes.is_empty() {
            return Ok(names);
        }
        let written = written_by_others(pod, ours);
        let volumes = pod.spec_list("volumes")?;
        for volume in &self.volumes {
            let is_memory = volume.source.get("emptyDir").is_some();
            let mut name = shortened(&volume.name);
            let mut number = 1_u32;
            let add = loop {
                room.compare(volumes.len())?;
                let taken = names.contains(&name);
                match volumes.iter().find(|existing| existing.text("name") == Some(&name)) {
                    None if !taken => break true,
                    // What others write there would stand in for the secrets.
                    Some(_) if is_memory && written.binary_search(&name).is_ok() => {}
                    Some(existing) if !taken && has_source(&read(existing, room)?, &volume.source) => break false,
                    _ => {}
                }
                name = shortened(&format!("{}-{number}", volume.name));
                number = another(number, &volume.name)?;
            };
            if add {
                volumes.push(volume_node(&name, &volume.source));
            }
            names.push(name);
        }
        Ok(names)
    }
}

/// Returns the names of volumes into which init containers write that are not ours, in order.
fn written_by_others(pod: &Pod<'_>, ours: &[usize]) -> Vec<String> {
    let others = pod.spec_items(INIT_CONTAINERS).iter().enumerate();
    let others = others.filter(|(index, _)| !ours.contains(index));
    let mounts = others.flat_map(|(_, container)| container.items("volumeMounts"));
    let writable = |mount: &&Node<'_>| mount.get("readOnly").map(Node::to_value) != Some(Value::Bool(true));
    let mut names: Vec<String> = mounts
        .filter(writable)
        .filter_map(|mount| Some(mount.text("name")?.to_owned()))
        .collect();
    sort_and_dedup(&mut names);
    names
}

/// Returns whether a volume of the Pod, whose name is right, has the same source.
pub(super) fn has_source(existing: &Value, source: &Value) -> bool {
    let mut source = source.clone();
    if let (Value::Object(source), Some(name)) = (&mut source, existing.get("name")) {
        source.insert("name".to_owned(), name.clone());
    }
    same(existing, &source)
}

pub(super) fn memory() -> Value {
    let source = [("medium", "Memory".into()), ("sizeLimit", MEMORY_LIMIT.into())];
    tree([("emptyDir", tree(source))])
}

/// The volume for the files of one directory: a Secret, several of them together, or a CSI volume.
pub(super) fn directory_volume(
    directory: &str,
    files: &[(usize, &SecretFile)],
    first: &SecretFile,
    mount_path: &str,
    additions: &[Addition<'_>],
) -> Result<(String, Value), PodError> {
    let owner = files.first().map_or(0, |(owner, _)| *owner);
    let clash = |other: usize| {
        Err(path_clash(
            &format!("{mount_path}/{directory}"),
            owner,
            other,
            additions,
        ))
    };
    if let FileOrigin::Csi { volume, source } = &first.origin {
        let stranger = files.iter().find(|(_, file)| match &file.origin {
            FileOrigin::Csi { source: other, .. } => other != source,
            _ => true,
        });
        return match stranger {
            Some((other, _)) => clash(*other),
            None => Ok((volume.clone(), tree([("csi", source.clone())]))),
        };
    }
    let mut secrets: Vec<(&str, bool, Vec<Value>)> = Vec::new();
    for (index, file) in files {
        let FileOrigin::Secret {
            volume: _,
            secret,
            key,
            optional,
        } = &file.origin
        else {
            return clash(*index);
        };
        let item = tree([("key", key.as_str().into()), ("path", file.path.file_name().into())]);
        match secrets.iter_mut().find(|(known, _, _)| known == secret) {
            Some((_, every, items)) => {
                *every &= optional;
                items.push(item);
            }
            None => secrets.push((secret, *optional, vec![item])),
        }
    }
    let name = match &first.origin {
        FileOrigin::Secret { volume, .. } => volume.as_str(),
        _ => "",
    };
    Ok((name.to_owned(), secret_source(secrets)))
}

/// The source of a volume that shows these Secrets: the name, whether it is optional, and the items of each.
fn secret_source(mut secrets: Vec<(&str, bool, Vec<Value>)>) -> Value {
    // A volume of one Secret calls it differently than one of several.
    let secret = |name: &str, (secret, optional, items): (&str, bool, Vec<Value>)| {
        let fields = [(name, secret.into()), ("items", items.into())];
        let optional = optional.then_some(("optional", true.into()));
        tree([("secret", tree(fields.into_iter().chain(optional)))])
    };
    if secrets.len() == 1 {
        secrets.pop().map_or(Value::Null, |only| secret("secretName", only))
    } else {
        let sources: Vec<Value> = secrets.into_iter().map(|one| secret("name", one)).collect();
        tree([("projected", tree([("sources", sources.into())]))])
    }
}

/// The number of the next try to find a free name.
pub(super) fn another(number: u32, name: &str) -> Result<u32, PodError> {
    const MOST: u32 = 1_000;
    if number == MOST {
        return Err(PodError::NoFreeName { name: name.to_owned() });
    }
    Ok(number.saturating_add(1))
}

/// A name of at most 63 characters: itself, or one that stands for it.
pub(super) fn shortened(name: &str) -> String {
    if name.len() <= DNS_LABEL_LENGTH {
        name.to_owned()
    } else {
        format!("secret-{}", short_hash(name.as_bytes()))
    }
}

fn volume_node<'a>(name: &str, source: &Value) -> Node<'a> {
    let mut fields = vec![(Cow::Borrowed("name"), Node::Text(Cow::Owned(name.to_owned())))];
    for (field, value) in source.as_object().into_iter().flatten() {
        fields.push((Cow::Owned(field.clone()), Node::made(value)));
    }
    Node::Object(fields)
}
