//! Volumes of Secrets that are left of an earlier injection, and init containers of one that nothing asks for any more.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use serde_json::Value;

use super::document::{Addition, CONTAINER_LISTS, INIT_CONTAINERS, Pod, read};
use super::error::PodError;
use super::mounts::with_paths;
use super::path;
use super::plan::{Mount, Plan, Volume, visible_files};
use super::room::Room;
use super::same::{same, same_mount};
use super::volumes::{has_source, shortened};
use crate::json::{Node, tree};

/// The names of the init containers that this policy and Flyte add; a number may follow.
const INIT_CONTAINER_NAMES: [&str; 5] = [
    "aws-pull-secret",
    "azure-pull-secret",
    "confidant-pull-secrets",
    "gcp-pull-secret",
    "init-embedded-secret",
];

/// A volume of the Pod that has a name and a source of ours, but not what is planned now.
struct OldVolume {
    value: Value,
    /// The name that was wanted for it.
    wanted: String,
    /// The clean path at which ours are mounted.
    path: String,
}

impl OldVolume {
    fn name(&self) -> &str {
        self.value.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns whether `planned` takes its place.
    fn is_replaced_by(&self, planned: &Volume) -> bool {
        planned.wanted == self.wanted && !has_source(&self.value, &planned.source)
    }
}

/// Takes out volumes of Secrets that an earlier injection has added with other keys, or with another `optional`, and their
/// mounts where the plan has others. `ours` holds the positions of the init containers that we have added.
///
/// A volume that a container mounts in any other way than we do stays as it is.
pub(super) fn take_out_secrets(
    pod: &mut Pod<'_>,
    plan: &Plan,
    additions: &[Addition<'_>],
    ours: &[usize],
    room: &mut Room,
    warnings: &mut Vec<String>,
) -> Result<(), PodError> {
    let mut old = old_volumes(pod, plan, room)?;
    if old.is_empty() {
        return Ok(());
    }
    for mount in CONTAINER_LISTS
        .iter()
        .flat_map(|list| pod.spec_items(list))
        .flat_map(|container| container.items("volumeMounts"))
    {
        room.compare(old.len())?;
        old.retain(|volume| mount.text("name") != Some(volume.name()) || is_mounted_by_us(mount, volume));
    }
    let (replaced, used) = replace_mounts(pod, plan, additions, (&old, ours), room)?;
    if replaced.is_empty() {
        return Ok(());
    }
    pod.spec_list("volumes")?.retain(|volume| {
        let name = volume.text("name").unwrap_or_default();
        !replaced.contains(name) || used.contains(name)
    });
    warnings.extend(replaced.iter().map(|name| {
        format!(
            "the volume {name:?} of a Secret is left of an earlier injection: it was replaced, with its mounts, by what the Pod \
             asks for now"
        )
    }));
    Ok(())
}

/// Takes out the mounts of old volumes in whose place a container gets others. Returns the names of the volumes whose mounts
/// were taken out, and of those that a container still mounts.
fn replace_mounts(
    pod: &mut Pod<'_>,
    plan: &Plan,
    additions: &[Addition<'_>],
    (old, ours): (&[OldVolume], &[usize]),
    room: &mut Room,
) -> Result<(BTreeSet<String>, BTreeSet<String>), PodError> {
    let mut used: BTreeSet<String> = BTreeSet::new();
    let mut replaced: BTreeSet<String> = BTreeSet::new();
    for list in CONTAINER_LISTS {
        if pod.spec_items(list).is_empty() {
            continue;
        }
        for (index, container) in pod.spec_list(list)?.iter_mut().enumerate() {
            if list == INIT_CONTAINERS && ours.contains(&index) || container.items("volumeMounts").is_empty() {
                continue;
            }
            let wanted = visible_files(additions, container.text("name").unwrap_or_default());
            room.compare(plan.sets.len())?;
            let set = plan.sets.iter().find(|(set, _)| *set == wanted);
            let planned: &[Mount] = set.map_or(&[], |(_, mounts)| mounts);
            let mounts = container.list_mut("volumeMounts")?;
            room.compare(mounts.len().saturating_mul(planned.len().saturating_add(old.len())))?;
            mounts.retain(|mount| {
                let Some(volume) = old.iter().find(|volume| mount.text("name") == Some(volume.name())) else {
                    return true;
                };
                let mut planned = planned.iter().filter_map(|mount| plan.volumes.get(mount.volume));
                let is_replaced = planned.any(|planned| volume.is_replaced_by(planned));
                let names = if is_replaced { &mut replaced } else { &mut used };
                names.insert(volume.name().to_owned());
                !is_replaced
            });
        }
    }
    Ok((replaced, used))
}

/// Returns the Pod's volumes that show, under a name of ours, the Secret that a planned volume shows.
fn old_volumes(pod: &Pod<'_>, plan: &Plan, room: &mut Room) -> Result<Vec<OldVolume>, PodError> {
    let mut old = Vec::new();
    let planned = plan
        .volumes
        .iter()
        .filter(|volume| volume.source.get("secret").is_some());
    let planned: Vec<&Volume> = planned.collect();
    room.compare(pod.spec_items("volumes").len().saturating_mul(planned.len()))?;
    for existing in pod.spec_items("volumes") {
        let name = existing.text("name").unwrap_or_default();
        let Some(volume) = planned.iter().find(|volume| is_given_to(&volume.wanted, name)) else {
            continue;
        };
        let value = read(existing, room)?;
        if !is_of_secret(&value, &volume.source) {
            continue;
        }
        let mut mounts = plan.sets.iter().flat_map(|(_, mounts)| mounts);
        let is_of_volume = |mount: &&Mount| {
            let of = plan.volumes.get(mount.volume);
            mount.sub_path.is_none() && of.is_some_and(|of| of.wanted == volume.wanted)
        };
        if let Some(mount) = mounts.find(is_of_volume) {
            old.push(OldVolume {
                value,
                wanted: volume.wanted.clone(),
                path: path::clean(&mount.path).into_owned(),
            });
        }
    }
    Ok(old)
}

/// Returns whether we may have given `name` to a volume for which we wanted the name `wanted`.
fn is_given_to(wanted: &str, name: &str) -> bool {
    let number = name.strip_prefix(wanted).and_then(|rest| rest.strip_prefix('-'));
    name == wanted
        || name == shortened(wanted)
        || number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns whether a volume is one that we or Flyte make of the Secret in `source`: some of its keys, each in the file of its
/// name in lower case.
fn is_of_secret(existing: &Value, source: &Value) -> bool {
    let secret = |volume: &Value, field: &str| volume.pointer(&format!("/secret/{field}")).cloned();
    let (Some(name), Some(items)) = (secret(source, "secretName"), secret(existing, "items")) else {
        return false;
    };
    let is_ours = |item: &Value| {
        let key = item.get("key").and_then(Value::as_str).unwrap_or_default();
        same(
            item,
            &tree([("key", key.into()), ("path", key.to_ascii_lowercase().into())]),
        )
    };
    if !items
        .as_array()
        .is_some_and(|items| !items.is_empty() && items.iter().all(is_ours))
    {
        return false;
    }
    let optional = secret(existing, "optional").map(|optional| ("optional", optional));
    let fields = [("secretName", name), ("items", items)];
    has_source(existing, &tree([("secret", tree(fields.into_iter().chain(optional)))]))
}

/// Returns whether a mount of an old volume is as we make it.
fn is_mounted_by_us(mount: &Node<'_>, volume: &OldVolume) -> bool {
    let ours = tree([("name", volume.name().into()), ("readOnly", true.into())]);
    let path = mount.text("mountPath").unwrap_or_default();
    path::clean(path) == volume.path && same_mount(&mount.to_value(), &ours)
}

/// Warns of init containers that look like those of an earlier injection and that nothing asks for now. `ours` holds the
/// positions of those that something asks for.
pub(super) fn warn_of_left(pod: &mut Pod<'_>, ours: &[usize], warnings: &mut Vec<String>) -> Result<(), PodError> {
    let is_named = |name: &str| INIT_CONTAINER_NAMES.iter().any(|ours| is_given_to(ours, name));
    let containers = pod.spec_items(INIT_CONTAINERS).iter().enumerate();
    let left: Vec<usize> = containers
        .filter(|(index, container)| !ours.contains(index) && container.text("name").is_some_and(is_named))
        .map(|(index, _)| index)
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    pod.open_volumes()?;
    let is_memory = |volume: &&Node<'_>| {
        let source = volume.get("emptyDir").map(Node::to_value).unwrap_or_default();
        source.get("medium").and_then(Value::as_str) == Some("Memory")
    };
    let volumes = pod.spec_items("volumes").iter().filter(is_memory);
    let memory: BTreeSet<&str> = volumes.filter_map(|volume| volume.text("name")).collect();
    for container in left
        .iter()
        .filter_map(|index| pod.spec_items(INIT_CONTAINERS).get(*index))
    {
        let written = with_paths(container.items("volumeMounts"))
            .into_iter()
            .find_map(|(_, mount)| {
                let is_writable = mount.get("readOnly").map(Node::to_value) != Some(Value::Bool(true));
                mount.text("name").filter(|name| is_writable && memory.contains(name))
            });
        if let Some(volume) = written {
            warnings.push(format!(
                "the init container {:?} looks as if it is left of an earlier injection: nothing that the Pod asks for now needs \
                 it, and it brings secrets as they were then; take it out of the Pod's manifest, with the volume {volume:?}, its \
                 mounts, and the variables for it",
                container.text("name").unwrap_or_default()
            ));
        }
    }
    Ok(())
}
