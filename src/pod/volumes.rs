//! Volumes.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::document::{INIT_CONTAINERS, Pod, read};
use super::error::PodError;
use super::plan::Plan;
use super::room::Room;
use super::same::same;
use crate::injection::{FileOrigin, SecretFile};
use crate::json::{Node, tree};
use crate::names::{DNS_LABEL_LENGTH, short_hash};
use crate::order::sort_and_dedup;
use serde_json::Value;

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

/// Returns the name and the source of the volume for the files of one directory: a Secret, several of them together, or a
/// CSI volume. `clash` makes the error for a file that cannot be in one volume with the first.
pub(super) fn directory_volume(
    files: &[(usize, &SecretFile<'_>)],
    first: &SecretFile<'_>,
    clash: impl Fn(usize) -> PodError,
) -> Result<(String, Value), PodError> {
    match &first.origin {
        FileOrigin::Csi { volume, source } => {
            let stranger = files.iter().find(|(_, file)| match &file.origin {
                FileOrigin::Csi { source: other, .. } => other != source,
                _ => true,
            });
            match stranger {
                Some((other, _)) => Err(clash(*other)),
                None => Ok((volume.clone(), tree([("csi", source.clone())]))),
            }
        }
        FileOrigin::Secret { volume, .. } => Ok((volume.clone(), secret_source(secrets(files, clash)?))),
        FileOrigin::Fetched(_) | FileOrigin::Agent { .. } => Ok((String::new(), secret_source(secrets(files, clash)?))),
    }
}

/// A Secret in a volume: its name, whether it is optional, and its items.
type VolumeSecret<'f> = (&'f str, bool, Vec<Value>);

/// Returns the Secrets that hold `files`.
fn secrets<'f>(
    files: &[(usize, &'f SecretFile<'_>)],
    clash: impl Fn(usize) -> PodError,
) -> Result<Vec<VolumeSecret<'f>>, PodError> {
    let mut secrets: Vec<VolumeSecret<'_>> = Vec::new();
    for (index, file) in files {
        let FileOrigin::Secret {
            volume: _,
            secret,
            key,
            optional,
        } = &file.origin
        else {
            return Err(clash(*index));
        };
        let item = tree([("key", key.as_str().into()), ("path", file.path.file_name().into())]);
        // Of a Secret with optional keys and others, the volume shows two parts.
        match secrets
            .iter_mut()
            .find(|(known, is_optional, _)| *known == secret && is_optional == optional)
        {
            Some((_, _, items)) => items.push(item),
            None => secrets.push((secret, *optional, vec![item])),
        }
    }
    Ok(secrets)
}

/// Returns the source of a volume that shows these Secrets.
fn secret_source(mut secrets: Vec<VolumeSecret<'_>>) -> Value {
    // A volume of one Secret calls it differently than one of several.
    let secret = |name: &str, (secret, optional, items): VolumeSecret<'_>| {
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
