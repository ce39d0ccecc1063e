//! Volumes of Secrets that are left of an earlier injection, and init containers of one that nothing asks for any more.

use serde_json::Value;

use super::document::{INIT_CONTAINERS, Pod, is_true, name_of, read};
use super::error::PodError;
use super::mounts::path_of;
use super::our_names::is_fetching_name;
use super::path;
use super::plan::{Plan, Volume};
use super::same::{same, same_mount};
use super::volumes::{has_source, is_given};
use super::work::Work;
use crate::json::{Node, text_in, tree};
use crate::sort::{has, sorted_set};

/// A volume of the Pod that has a name and a source of ours, but not what is planned now.
struct OldVolume<'p> {
    value: Value,
    /// The name that was wanted for it.
    wanted: &'p str,
    /// The clean path at which ours are mounted.
    path: String,
}

impl OldVolume<'_> {
    fn name(&self) -> &str {
        text_in(&self.value, "name")
    }

    /// Returns whether `planned` takes its place.
    fn is_replaced_by(&self, planned: &Volume) -> bool {
        planned.wanted == self.wanted && !has_source(&self.value, &planned.source.to_value())
    }

    /// Returns whether a mount is as we make those of this volume.
    fn is_mounted_by(&self, mount: &Node<'_>) -> bool {
        let ours = tree([("name", self.name().into()), ("readOnly", true.into())]);
        path_of(mount) == self.path && same_mount(&mount.to_value(), &ours)
    }
}

/// Takes out volumes of Secrets that an earlier injection has added with other keys, or with another `optional`, and their
/// mounts where the plan has others. `ours` are the init containers that we have added.
///
/// A volume that a container mounts in any other way than we do stays as it is.
pub(super) fn take_out_secrets(
    pod: &mut Pod<'_>,
    plan: &Plan<'_>,
    ours: &[String],
    work: &mut Work<'_>,
) -> Result<(), PodError> {
    let mut old = old_volumes(pod, plan, work)?;
    if old.is_empty() {
        return Ok(());
    }
    let containers = pod.containers(&[]);
    for mount in containers.flat_map(|(_, container)| container.items("volumeMounts")) {
        work.budget.compare(1, old.len())?;
        old.retain(|volume| name_of(mount) != volume.name() || volume.is_mounted_by(mount));
    }
    let (replaced, used) = replace_mounts(pod, plan, (&old, ours), work)?;
    if replaced.is_empty() {
        return Ok(());
    }
    pod.spec_list("volumes")?
        .retain(|volume| !has(&replaced, name_of(volume)) || has(&used, name_of(volume)));
    work.warnings.extend(replaced.iter().map(|name| {
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
    plan: &Plan<'_>,
    (old, ours): (&[OldVolume<'_>], &[String]),
    work: &mut Work<'_>,
) -> Result<(Vec<String>, Vec<String>), PodError> {
    let (mut used, mut replaced) = (Vec::new(), Vec::new());
    for (_, container) in pod.containers_mut(ours) {
        if container.items("volumeMounts").is_empty() {
            continue;
        }
        let planned = plan.mounts_of(container, work)?;
        let mounts = container.list_mut("volumeMounts")?;
        let others = planned.len().saturating_add(old.len());
        work.budget.compare(mounts.len(), others)?;
        mounts.retain(|mount| {
            let Some(volume) = old.iter().find(|volume| mount.text("name") == Some(volume.name())) else {
                return true;
            };
            let mut planned = planned.iter().filter_map(|mount| plan.volumes.get(mount.volume));
            let is_replaced = planned.any(|planned| volume.is_replaced_by(planned));
            let names = if is_replaced { &mut replaced } else { &mut used };
            names.push(volume.name().to_owned());
            !is_replaced
        });
    }
    Ok((sorted_set(replaced), sorted_set(used)))
}

/// Returns the Pod's volumes that show, under a name of ours, the Secret that a planned volume shows.
fn old_volumes<'p>(pod: &Pod<'_>, plan: &'p Plan<'_>, work: &mut Work<'_>) -> Result<Vec<OldVolume<'p>>, PodError> {
    let mut old = Vec::new();
    let planned = plan.volumes.iter();
    let planned: Vec<&Volume> = planned.filter(|volume| volume.source.kind == "secret").collect();
    let existing = pod.spec_items("volumes");
    work.budget.compare(existing.len(), planned.len())?;
    for existing in existing {
        let name = name_of(existing);
        let Some(volume) = planned.iter().find(|volume| is_given(name, &volume.wanted)) else {
            continue;
        };
        let value = read(existing, &mut work.budget)?;
        if !is_of_secret(&value, &volume.source.to_value()) {
            continue;
        }
        let mut mounts = plan.sets.iter().flat_map(|(_, mounts)| mounts);
        let mount = mounts.find(|mount| {
            let of = plan.volumes.get(mount.volume);
            mount.sub_path.is_none() && of.is_some_and(|of| of.wanted == volume.wanted)
        });
        old.extend(mount.map(|mount| OldVolume {
            value,
            wanted: &volume.wanted,
            path: path::clean(&mount.path).into_owned(),
        }));
    }
    Ok(old)
}

/// Returns whether a volume is one that we or Flyte make of the Secret in `source`: some of its keys, each in the file of its
/// name in lower case.
fn is_of_secret(existing: &Value, source: &Value) -> bool {
    let secret = |volume: &Value, field: &str| volume.get("secret")?.get(field).cloned();
    let (Some(name), Some(Value::Array(items))) = (secret(source, "secretName"), secret(existing, "items")) else {
        return false;
    };
    let is_ours = |item: &Value| {
        let key = text_in(item, "key");
        let path = key.to_ascii_lowercase();
        let mode = item.get("mode").map(|mode| ("mode", mode.clone()));
        let fields = [("key", key.into()), ("path", path.into())];
        same(item, &tree(fields.into_iter().chain(mode)))
    };
    if items.is_empty() || !items.iter().all(is_ours) {
        return false;
    }
    let optional = secret(existing, "optional").map(|optional| ("optional", optional));
    let fields = [("secretName", name), ("items", items.into())];
    has_source(existing, &tree([("secret", tree(fields.into_iter().chain(optional)))]))
}

/// Warns of init containers that look like those of an earlier injection and that nothing asks for now. `ours` are those
/// that something asks for.
pub(super) fn warn_of_left(pod: &mut Pod<'_>, ours: &[String], warnings: &mut Vec<String>) -> Result<(), PodError> {
    let is_left = |container: &&Node<'_>| !has(ours, name_of(container)) && is_fetching_name(name_of(container));
    let mut containers = pod.spec_items(INIT_CONTAINERS).iter();
    if !containers.any(|container| is_left(&container)) {
        return Ok(());
    }
    pod.open_volumes()?;
    let is_memory = |volume: &&Node<'_>| {
        let source = volume.get("emptyDir").map(Node::to_value).unwrap_or_default();
        text_in(&source, "medium") == "Memory"
    };
    let memory = sorted_set(pod.spec_items("volumes").iter().filter(is_memory).map(name_of));
    for container in pod.spec_items(INIT_CONTAINERS).iter().filter(is_left) {
        let mut mounts = container.items("volumeMounts").iter();
        if let Some(mount) = mounts.find(|mount| !is_true(mount, "readOnly") && has(&memory, name_of(mount))) {
            warnings.push(format!(
                "the init container {:?} looks as if it is left of an earlier injection: nothing that the Pod asks for now needs \
                 it, and it brings secrets as they were then; take it out of the Pod's manifest, with the volume {:?}, its \
                 mounts, and the variables for it",
                name_of(container),
                name_of(mount)
            ));
        }
    }
    Ok(())
}
