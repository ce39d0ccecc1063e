//! Volumes.

use super::document::{INIT_CONTAINERS, Pod, is_true, item, name_of, named, read};
use super::error::PodError;
use super::our_names::is_numbered;
use super::plan::{OwnedFile, Plan};
use super::same::same;
use super::work::Work;
use crate::injection::{Addition, FileOrigin, VolumeSource};
use crate::json::{Node, Writer, text_in};
use crate::names::{DNS_LABEL_LENGTH, short_hash};
use crate::requests::WHOLE;
use crate::sort::{has, sorted_set};
use serde_json::Value;

/// What the Pod has under the name that is wanted for a volume.
enum Existing {
    Nothing,
    Same,
    Other,
}

impl Plan<'_> {
    /// Adds the planned volumes, and gives them the names that they have in the Pod; then those of templates, which keep their
    /// names. `ours` are the init containers that we have added before.
    pub(super) fn add_volumes(
        &mut self,
        pod: &mut Pod<'_>,
        ours: &[String],
        work: &mut Work<'_>,
    ) -> Result<(), PodError> {
        let written = written_by_others(pod, ours);
        // By volume: a thousand secrets may each look for one.
        let volumes = pod.spec_items("volumes").iter();
        let mut taken: Vec<String> = volumes.map(|volume| name_of(volume).to_owned()).collect();
        let mut names: Vec<String> = Vec::with_capacity(self.volumes.len());
        for volume in &mut self.volumes {
            let volumes = pod.spec_list("volumes")?;
            let mut name = shortened(&volume.name);
            let mut number = 1_u32;
            let add = loop {
                let source = || volume.source.to_value();
                match look(volumes, &taken, &name, source, work)? {
                    _ if names.contains(&name) => {}
                    Existing::Nothing => break true,
                    // What others write there would stand in for the secrets.
                    Existing::Same if !(volume.is_memory() && has(&written, &name)) => break false,
                    _ => {}
                }
                name = shortened(&format!("{}-{number}", volume.name));
                number = next_number(number, &volume.name)?;
            };
            if add {
                let source = Node::Made(volume.source.json.clone());
                volumes.push(named(&name, Node::Object(vec![(volume.source.kind.into(), source)])));
                taken.push(name.clone());
            }
            volume.name.clone_from(&name);
            names.push(name);
        }
        add_given_volumes(pod, &mut taken, work)
    }

    /// Returns whether a planned volume may have the name `name`, in this Pod or in the one that came of it.
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.volumes.iter().any(|volume| is_given(name, &volume.wanted))
    }
}

/// Returns whether a volume for which the name `wanted` is wanted may be called `name`.
pub(super) fn is_given(name: &str, wanted: &str) -> bool {
    name == wanted || name == shortened(wanted) || is_numbered(name, wanted)
}

/// Adds the volumes that the injections give as they are.
fn add_given_volumes(pod: &mut Pod<'_>, taken: &mut Vec<String>, work: &mut Work<'_>) -> Result<(), PodError> {
    for addition in work.additions {
        for volume in &addition.injection.volumes {
            let volumes = pod.spec_list("volumes")?;
            let name = text_in(volume, "name");
            match look(volumes, taken, name, || volume.clone(), work)? {
                Existing::Nothing => {
                    volumes.push(item(name, volume));
                    taken.push(name.to_owned());
                }
                Existing::Same => {}
                Existing::Other => return Err(template_clash(addition, "the volume", name)),
            }
        }
    }
    Ok(())
}

/// Looks for the volume `name` among `volumes`, whose names are `taken`.
fn look(
    volumes: &[Node<'_>],
    taken: &[String],
    name: &str,
    source: impl Fn() -> Value,
    work: &mut Work<'_>,
) -> Result<Existing, PodError> {
    work.budget.compare(1, volumes.len())?;
    let position = taken.iter().position(|taken| taken == name);
    let Some(existing) = position.and_then(|position| volumes.get(position)) else {
        return Ok(Existing::Nothing);
    };
    let is_same = has_source(&read(existing, &mut work.budget)?, &source());
    Ok(if is_same { Existing::Same } else { Existing::Other })
}

/// Makes the error for what a template adds where the Pod has something else of that name.
pub(super) fn template_clash(addition: &Addition<'_>, what: &str, name: &str) -> PodError {
    let message = format!(
        "{addition} needs {what} {name:?}, but the Pod or another request has a different one of that name; take the Pod's \
         out if it is left of an earlier injection, rename it, or put {{id}} into the name in the policy's settings"
    );
    PodError::clash(&[addition], message)
}

/// Returns the names of volumes into which init containers write that are not ours, in order.
fn written_by_others(pod: &Pod<'_>, ours: &[String]) -> Vec<String> {
    let others = pod.spec_items(INIT_CONTAINERS).iter();
    let others = others.filter(|container| !has(ours, name_of(container)));
    let mounts = others.flat_map(|container| container.items("volumeMounts"));
    let writable = mounts.filter(|mount| !is_true(mount, "readOnly"));
    sorted_set(writable.map(|mount| name_of(mount).to_owned()))
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
/// CSI volume.
///
/// # Errors
/// Two additions whose files cannot be in one volume.
pub(super) fn directory_volume<'p>(
    files: &[OwnedFile<'p>],
    first: &OwnedFile<'p>,
) -> Result<(String, VolumeSource), Clashing<'p>> {
    match &first.file.origin {
        FileOrigin::Csi { volume, source } => {
            let is_same = |file: &&OwnedFile<'_>| matches!(&file.file.origin, FileOrigin::Csi { source: other, .. } if other == source);
            match files.iter().find(|file| !is_same(file)) {
                Some(other) => Err((first.owner, other.owner)),
                None => Ok((volume.clone(), VolumeSource::new("csi", Writer::text_of(source)))),
            }
        }
        FileOrigin::Secret { volume, .. } => Ok((volume.clone(), secret_source(&secrets(files, first)?))),
        FileOrigin::Fetched(_) | FileOrigin::Agent { .. } => Err((first.owner, first.owner)),
    }
}

/// Two additions that need one place for different things.
type Clashing<'p> = (&'p Addition<'p>, &'p Addition<'p>);

/// A Secret in a volume, all keys of it where it has no items.
struct VolumeSecret<'p> {
    name: &'p str,
    optional: bool,
    items: Vec<Item<'p>>,
}

/// A key of a Secret in a volume, the file for it, and the file's mode.
type Item<'p> = (&'p str, &'p str, Option<u16>);

/// Returns the Secrets that hold `files`.
fn secrets<'p>(files: &[OwnedFile<'p>], first: &OwnedFile<'p>) -> Result<Vec<VolumeSecret<'p>>, Clashing<'p>> {
    let mut secrets: Vec<VolumeSecret<'_>> = Vec::new();
    let mut whole: Vec<(&str, bool)> = Vec::new();
    for OwnedFile { owner, file, .. } in files {
        let FileOrigin::Secret {
            secret, key, optional, ..
        } = &file.origin
        else {
            return Err((first.owner, owner));
        };
        if let Some(hiding) = hidden_by(files, secret, key, file.path.file_name()) {
            return Err((owner, hiding.owner));
        }
        if key == WHOLE {
            if !whole.contains(&(secret, *optional)) {
                whole.push((secret, *optional));
            }
            continue;
        }
        let item = (key.as_str(), file.path.file_name(), owner.request.mode);
        // Of a Secret with optional keys and others, the volume shows two parts.
        let is_same = |known: &&mut VolumeSecret<'_>| known.name == secret && known.optional == *optional;
        match secrets.iter_mut().find(is_same) {
            Some(known) => known.items.push(item),
            None => secrets.push(VolumeSecret {
                name: secret,
                optional: *optional,
                items: vec![item],
            }),
        }
    }
    for secret in &mut secrets {
        if whole.contains(&(secret.name, secret.optional)) {
            secret.items.retain(|(_, _, mode)| mode.is_some());
        }
    }
    secrets.retain(|secret| !secret.items.is_empty());
    // The kubelet writes the parts in their order, so that a file with a mode of its own comes last.
    let whole = whole.into_iter().map(|(name, optional)| VolumeSecret {
        name,
        optional,
        items: Vec::new(),
    });
    Ok(whole.chain(secrets).collect())
}

/// Returns the file for all keys of a Secret in whose place a key may stand: of another Secret nobody knows the keys here, and
/// of the same one a file has the very name of its key.
fn hidden_by<'f, 'p>(files: &'f [OwnedFile<'p>], name: &str, key: &str, file_name: &str) -> Option<&'f OwnedFile<'p>> {
    files.iter().find(|other| match &other.file.origin {
        FileOrigin::Secret { secret, key: all, .. } if all == WHOLE => {
            secret != name || (key != WHOLE && key != file_name)
        }
        _ => false,
    })
}

/// Returns the source of a volume that shows these Secrets.
fn secret_source(secrets: &[VolumeSecret<'_>]) -> VolumeSource {
    let mut writer = Writer::with_capacity(160);
    // A volume of one Secret calls it differently than one of several.
    if let [only] = secrets {
        only.write("secretName", &mut writer);
        return VolumeSource::new("secret", writer.into_string());
    }
    writer.raw("{\"sources\":[");
    for secret in secrets {
        writer.item();
        writer.byte(b'{');
        writer.field("secret");
        secret.write("name", &mut writer);
        writer.byte(b'}');
    }
    writer.raw("]}");
    VolumeSource::new("projected", writer.into_string())
}

impl VolumeSecret<'_> {
    fn write(&self, name: &'static str, writer: &mut Writer) {
        writer.byte(b'{');
        writer.text_field(name, self.name);
        if !self.items.is_empty() {
            writer.field("items");
            writer.byte(b'[');
            for (key, path, mode) in &self.items {
                writer.item();
                writer.byte(b'{');
                writer.text_field("key", key);
                writer.text_field("path", path);
                if let Some(mode) = mode {
                    writer.raw_field("mode", &mode.to_string());
                }
                writer.byte(b'}');
            }
            writer.byte(b']');
        }
        if self.optional {
            writer.raw_field("optional", "true");
        }
        writer.byte(b'}');
    }
}

/// Returns the number of the next try to find a free name.
pub(super) fn next_number(number: u32, name: &str) -> Result<u32, PodError> {
    const MAX_TRIES: u32 = 1_000;
    if number == MAX_TRIES {
        return Err(format!(
            "{name:?} and a thousand names like it are taken in the Pod; rename its own volumes or containers"
        )
        .into());
    }
    Ok(number.saturating_add(1))
}

/// Returns a name of at most 63 characters: `name`, or one that stands for it.
pub(super) fn shortened(name: &str) -> String {
    if name.len() <= DNS_LABEL_LENGTH {
        name.to_owned()
    } else {
        format!("secret-{}", short_hash(name.as_bytes()))
    }
}
