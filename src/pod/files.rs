//! Files: the volumes that hold them, their mounts, and the init containers that fetch them.
//!
//! A container finds the files of those requests that reach it and no others. Containers with the same files share
//! volumes; as a rule that is all of them, and there is one memory volume for what is fetched and one volume for each
//! group of a Kubernetes Secret.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use super::{Addition, CONTAINER_LISTS, MOUNT_BYTES, Pod, PodError, Room, described, object, says, template};
use crate::injection::{AgentMounts, EnvValue, EnvVar, FileOrigin, SecretFile};
use crate::json::{Node, tree};
use crate::managers::{ContainerName, Copy, Fetch, FetchContainer, FetchItem, FetchVolume};
use crate::names::{DNS_LABEL_LENGTH, short_hash};
use crate::order::sort_by;
use crate::settings::Settings;

/// How much a memory volume may hold: more than all Secrets that fit one Pod, which the API server limits to
/// [1 MiB each](https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size).
const MEMORY_LIMIT: &str = "64Mi";

/// What a file takes at least, in a volume's list or an init container's arguments, beside its path.
const FILE_BYTES: usize = 24;

/// What a copy of a secret in a memory volume counts as: an init container may be needed for each.
const COPY_BYTES: usize = 1024;

/// What a volume counts as: this bounds their number to 2,048, as each is compared with each.
const VOLUME_BYTES: usize = 2048;

/// The field of a Pod's spec that holds the containers that run first.
const INIT_CONTAINERS: &str = "initContainers";

/// What [`super::env`] needs to know of the files.
#[derive(Default)]
pub(super) struct Files {
    /// By additions, of those whose value comes through a file of variables: the volume, and the path in it.
    env_files: Vec<Option<(String, String)>>,
    /// The positions of our init containers.
    ours: Vec<usize>,
}

impl Files {
    /// Whether the container is one of those that fetch secrets for the Pod's own.
    pub(super) fn is_ours(&self, list: &str, index: usize) -> bool {
        list == INIT_CONTAINERS && self.ours.contains(&index)
    }

    /// The variable, its file filled in.
    pub(super) fn resolve(&self, addition: usize, variable: &EnvVar) -> EnvVar {
        let value = match (&variable.value, self.env_files.get(addition)) {
            (EnvValue::Fetched { key }, Some(Some((volume, path)))) => EnvValue::FileKey {
                volume: volume.clone(),
                path: path.clone(),
                key: key.clone(),
            },
            (other, _) => other.clone(),
        };
        EnvVar {
            name: variable.name.clone(),
            value,
        }
    }
}

/// A volume that is to be added.
struct Volume {
    name: String,
    source: Value,
    /// The name that was wanted for it.
    wanted: String,
}

/// A mount that a container gets.
#[derive(Clone, PartialEq, Eq)]
struct Mount {
    volume: usize,
    path: String,
    sub_path: Option<String>,
    /// The addition that needs it, for messages.
    owner: usize,
}

/// What is to be added, before anything is.
struct Plan {
    /// What the files in volumes and the arguments of init containers may still take.
    room: Room,
    volumes: Vec<Volume>,
    /// Which mounts the containers of a set get.
    sets: Vec<(Vec<usize>, Vec<Mount>)>,
    /// The init containers, with mounts by volume.
    containers: Vec<FetchContainer>,
    /// By additions: the volume and the path in it.
    env_files: Vec<Option<(usize, String)>>,
    /// The first addition whose agent mounts a volume of its own where files appear.
    agent: Option<usize>,
}

/// Adds the files of all additions.
pub(super) fn add(
    pod: &mut Pod<'_>,
    additions: &[Addition<'_>],
    settings: &Settings,
    room: &mut Room,
) -> Result<Files, PodError> {
    let templates = additions.iter().any(|addition| {
        let injection = &addition.injection;
        !injection.volumes.is_empty() || !injection.mounts.is_empty() || !injection.init_containers.is_empty()
    });
    if !templates && additions.iter().all(|addition| addition.injection.file.is_none()) {
        return Ok(Files::default());
    }
    pod.open_volumes()?;
    // A Pod that has been through here has our init containers already; they must not count as its own.
    let mut ours = template::recognised(pod, additions);
    let mut plan = Plan::new(pod, additions, settings, &ours)?;
    if !plan.containers.is_empty() {
        check_system(pod, additions)?;
        let fetching = plan.recognised(pod);
        if !fetching.is_empty() {
            let templates = ours.len();
            ours.extend(&fetching);
            plan = Plan::new(pod, additions, settings, &ours)?;
            // One of the Pod's own may look like ours and fetch something else.
            room.compare(fetching.len().saturating_mul(plan.containers.len()))?;
            let running = plan.running(pod, &fetching);
            if running.len() < fetching.len() {
                ours.truncate(templates);
                ours.extend(&running);
                plan = Plan::new(pod, additions, settings, &ours)?;
            }
        }
    }
    let agent = plan.agent;
    let names = plan.add_volumes(pod, room)?;
    plan.add_mounts(pod, additions, settings, &names, &ours, room)?;
    let ours = plan.add_containers(pod, settings, &names, ours, room)?;
    let env_files = plan
        .env_files
        .into_iter()
        .map(|file| file.and_then(|(volume, path)| Some((names.get(volume)?.clone(), path))))
        .collect();
    let mut files = Files { env_files, ours };
    template::add(
        pod,
        additions,
        &mut files.ours,
        settings.init_containers.stand_first(),
        room,
    )?;
    if let Some(agent) = agent {
        keep_free(pod, &settings.mount_path, additions.get(agent))?;
    }
    Ok(files)
}

/// Returns whether an agent brings the file in a volume of its own, which it mounts whatever containers the request names.
fn is_mounted_by_agent(file: &SecretFile) -> bool {
    matches!(&file.origin, FileOrigin::Agent { mounts, .. } if *mounts != AgentMounts::Nowhere)
}

/// Fails where a container mounts something at `path`, where the agent of `addition` is going to mount a volume. The Vault
/// Agent injector's own may be there, where it was called before
/// ([container_env.go](https://github.com/hashicorp/vault-k8s/tree/main/agent-inject/agent)).
fn keep_free(pod: &Pod<'_>, path: &str, addition: Option<&Addition<'_>>) -> Result<(), PodError> {
    let in_the_way = |own: &&Node<'_>| {
        own.text("mountPath").map(|own| own.trim_end_matches('/')) == Some(path)
            && !own.text("name").is_some_and(|name| name.starts_with("vault-secrets"))
    };
    let served: Option<BTreeSet<&str>> = match addition.and_then(|addition| addition.injection.file.as_ref()) {
        Some(SecretFile {
            origin: FileOrigin::Agent {
                mounts: AgentMounts::In(names),
                ..
            },
            ..
        }) => Some(names.split(',').collect()),
        _ => None,
    };
    for list in CONTAINER_LISTS {
        for container in pod.spec_items(list) {
            let name = container.text("name").unwrap_or_default();
            let is_served = list == INIT_CONTAINERS || served.as_ref().is_none_or(|names| names.contains(name));
            let own = container.items("volumeMounts").iter().find(in_the_way);
            if let Some(own) = own.filter(|_| is_served) {
                return Err(mount_clash(name.to_owned(), own, addition));
            }
        }
    }
    Ok(())
}

/// Fails for a Pod that cannot run the init containers that fetch secrets.
fn check_system(pod: &Pod<'_>, additions: &[Addition<'_>]) -> Result<(), PodError> {
    if pod.field("os").and_then(|os| os.text("name")) != Some("windows") {
        return Ok(());
    }
    let fetched = additions.iter().find(|addition| {
        let file = addition.injection.file.as_ref();
        file.is_some_and(|file| matches!(file.origin, FileOrigin::Fetched { .. }))
    });
    Err(PodError::Windows {
        request: fetched.map_or_else(String::new, |addition| described(addition.request)),
    })
}

impl Plan {
    fn new(pod: &Pod<'_>, additions: &[Addition<'_>], settings: &Settings, ours: &[usize]) -> Result<Self, PodError> {
        let mut plan = Self {
            room: Room::new(),
            volumes: Vec::new(),
            sets: Vec::new(),
            containers: Vec::new(),
            env_files: vec![None; additions.len()],
            agent: additions.iter().position(|addition| {
                let file = addition.injection.file.as_ref();
                file.is_some_and(is_mounted_by_agent)
            }),
        };
        for list in CONTAINER_LISTS {
            for (index, container) in pod.spec_items(list).iter().enumerate() {
                if list == INIT_CONTAINERS && ours.contains(&index) {
                    continue;
                }
                let wanted = visible_files(additions, container.text("name").unwrap_or_default());
                plan.room.compare(plan.sets.len())?;
                if !wanted.is_empty() && !plan.sets.iter().any(|(set, _)| *set == wanted) {
                    plan.sets.push((wanted, Vec::new()));
                }
            }
        }
        let mut copies: Vec<Vec<Copy>> = vec![Vec::new(); additions.len()];
        for number in 0..plan.sets.len() {
            plan.add_set(number, additions, settings, &mut copies)?;
        }
        plan.add_env_files(additions, settings, &mut copies);
        plan.fetch(additions, settings, &copies)?;
        Ok(plan)
    }

    /// Plans the volumes and mounts for the containers that see exactly the files of the set `number`.
    fn add_set(
        &mut self,
        number: usize,
        additions: &[Addition<'_>],
        settings: &Settings,
        copies: &mut [Vec<Copy>],
    ) -> Result<(), PodError> {
        let Some((set, _)) = self.sets.get(number) else {
            return Ok(());
        };
        let files: Vec<(usize, &SecretFile)> = set
            .iter()
            .filter_map(|index| Some((*index, additions.get(*index)?.injection.file.as_ref()?)))
            .collect();
        let bytes = files
            .iter()
            .map(|(_, file)| file.path.as_str().len().saturating_add(FILE_BYTES));
        self.room.take(bytes.sum())?;
        let files = without_copies(files, additions, settings)?;
        let mount_path = &settings.mount_path;
        let mut mounts = Vec::new();
        let mut directories: Vec<(&str, Vec<(usize, &SecretFile)>)> = Vec::new();
        let mut fetched: Vec<(usize, &SecretFile)> = Vec::new();
        let mut by_agents: Vec<(usize, &SecretFile)> = Vec::new();
        for (index, file) in &files {
            match &file.origin {
                FileOrigin::Fetched { .. } => fetched.push((*index, file)),
                FileOrigin::Agent { .. } => by_agents.push((*index, file)),
                FileOrigin::Secret { .. } | FileOrigin::Csi { .. } => {
                    let directory = file.volume_directory();
                    match directories.iter_mut().find(|(known, _)| *known == directory) {
                        Some((_, files)) => files.push((*index, file)),
                        None => directories.push((directory, vec![(*index, file)])),
                    }
                }
            }
        }
        if let Some((owner, _)) = fetched.first() {
            let name = additions
                .get(*owner)
                .and_then(|addition| settings.managers.get(addition.manager))
                .map_or("secrets", |entry| entry.manager.files_volume());
            let volume = self.volume(name, memory())?;
            for (index, file) in &fetched {
                self.room.take(COPY_BYTES)?;
                let copy = Copy {
                    volume,
                    path: file.path.as_str().to_owned(),
                    variable: None,
                };
                if let Some(copies) = copies.get_mut(*index) {
                    copies.push(copy);
                }
            }
            if directories.is_empty() && by_agents.is_empty() {
                mounts.push(Mount {
                    volume,
                    path: mount_path.clone(),
                    sub_path: None,
                    owner: *owner,
                });
            } else {
                // A mount inside of a read-only volume fails where its directory is not there, and an agent's files may
                // be in a volume at the same path: each part of the memory volume is mounted beside the others instead.
                mount_parts(&fetched, volume, mount_path, &mut mounts);
            }
        }
        let alone = directories.len() == 1 && fetched.is_empty() && by_agents.is_empty();
        for (directory, files) in directories {
            let Some((owner, first)) = files.first() else {
                continue;
            };
            let hidden = |(_, file): &&(usize, &SecretFile)| file.path.first() == directory;
            if let Some((other, _)) = fetched.iter().chain(&by_agents).find(hidden) {
                return Err(path_clash(
                    &format!("{mount_path}/{directory}"),
                    *other,
                    *owner,
                    additions,
                ));
            }
            let (name, source) = directory_volume(directory, &files, first, mount_path, additions)?;
            let volume = self.volume(&name, source)?;
            if directory.is_empty() && !alone {
                // As with the memory volume: nothing can be mounted inside of this one.
                mount_parts(&files, volume, mount_path, &mut mounts);
                continue;
            }
            let path = if directory.is_empty() {
                mount_path.clone()
            } else {
                format!("{mount_path}/{directory}")
            };
            mounts.push(Mount {
                volume,
                path,
                sub_path: None,
                owner: *owner,
            });
        }
        if let Some((_, set_mounts)) = self.sets.get_mut(number) {
            *set_mounts = mounts;
        }
        Ok(())
    }

    /// Plans the files of variables: one for each secret, so that the limit of
    /// [64 KiB a file](https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/3721-support-for-env-files)
    /// is for one value, in a volume of their own that no container mounts.
    fn add_env_files(&mut self, additions: &[Addition<'_>], settings: &Settings, copies: &mut [Vec<Copy>]) {
        let mut volume = None;
        let mut known: Vec<(usize, &FileOrigin, usize)> = Vec::new();
        for (index, addition) in additions.iter().enumerate() {
            let Some(SecretFile {
                path: _,
                origin:
                    origin @ FileOrigin::Fetched {
                        variable: Some(variable),
                        ..
                    },
            }) = &addition.injection.file
            else {
                continue;
            };
            // The same secret may be wanted under several names.
            let same = known
                .iter()
                .find(|(manager, other, _)| *manager == addition.manager && *other == origin);
            if let Some((_, _, first)) = same {
                let shared = self.env_files.get(*first).cloned().flatten();
                if let Some(file) = self.env_files.get_mut(index) {
                    *file = shared;
                }
                continue;
            }
            known.push((addition.manager, origin, index));
            let volume = *volume.get_or_insert_with(|| {
                let files = settings
                    .managers
                    .get(addition.manager)
                    .map_or("secrets", |entry| entry.manager.files_volume());
                self.volumes.push(Volume {
                    name: format!("{files}-env"),
                    source: memory(),
                    wanted: String::new(),
                });
                self.volumes.len() - 1
            });
            let path = format!("{index}.env");
            if let (Some(copies), Some(file)) = (copies.get_mut(index), self.env_files.get_mut(index)) {
                copies.push(Copy {
                    volume,
                    path: path.clone(),
                    variable: Some(variable.clone()),
                });
                *file = Some((volume, path));
            }
        }
    }

    /// Lets each manager make its init containers.
    fn fetch(&mut self, additions: &[Addition<'_>], settings: &Settings, copies: &[Vec<Copy>]) -> Result<(), PodError> {
        let mount_path = &settings.mount_path;
        let directory = match self.agent {
            Some(_) => format!("{mount_path}-fetch"),
            None => mount_path.clone(),
        };
        for (position, entry) in settings.managers.iter().enumerate() {
            let items: Vec<FetchItem<'_>> = additions
                .iter()
                .enumerate()
                .filter(|(_, addition)| addition.manager == position)
                .filter_map(|(index, addition)| match &addition.injection.file.as_ref()?.origin {
                    FileOrigin::Fetched { arguments, .. } => Some(FetchItem {
                        arguments,
                        copies: copies.get(index)?.clone(),
                    }),
                    _ => None,
                })
                .collect();
            if !items.is_empty() {
                let fetch = Fetch {
                    items: &items,
                    directory: &directory,
                };
                for container in entry.manager.fetch(&fetch) {
                    for volume in &container.volumes {
                        self.volume(volume.name, volume.source.clone())?;
                    }
                    self.containers.push(container);
                }
            }
        }
        Ok(())
    }

    /// The container's spec with the mounts of its volumes.
    fn with_mounts(&self, container: &FetchContainer, names: &[String]) -> Value {
        let memory = container.mounts.iter().filter_map(|(volume, path)| {
            Some(tree([
                ("name", names.get(*volume)?.as_str().into()),
                ("mountPath", path.as_str().into()),
            ]))
        });
        let further = container.volumes.iter().filter_map(|volume| {
            Some(tree([
                ("name", self.further_volume(volume, names)?.into()),
                ("readOnly", true.into()),
                ("mountPath", volume.path.into()),
            ]))
        });
        let mounts = memory.chain(further).collect();
        let mut spec = container.spec.clone();
        if let Value::Object(fields) = &mut spec {
            fields.insert("volumeMounts".to_owned(), Value::Array(mounts));
        }
        spec
    }

    /// Returns the name of a further volume of an init container, among the `names` of all volumes.
    fn further_volume<'n>(&self, volume: &FetchVolume, names: &'n [String]) -> Option<&'n str> {
        let same = |known: &Volume| known.wanted == volume.name && known.source == volume.source;
        names.get(self.volumes.iter().position(same)?).map(String::as_str)
    }

    /// The number of a volume, one that is there already where it is the same.
    fn volume(&mut self, name: &str, source: Value) -> Result<usize, PodError> {
        let shared = |volume: &Volume| {
            // Memory volumes of different sets hold different files.
            volume.wanted == name && volume.source.get("emptyDir").is_none() && volume.source == source
        };
        if let Some(position) = self.volumes.iter().position(shared) {
            return Ok(position);
        }
        self.room.take(VOLUME_BYTES)?;
        let mut unique = name.to_owned();
        // Sets mostly want the same names.
        let mut number = self
            .volumes
            .iter()
            .filter(|volume| volume.wanted == name)
            .count()
            .max(1);
        while self.volumes.iter().any(|volume| volume.name == unique) {
            number = number.saturating_add(1);
            unique = format!("{name}-{number}");
        }
        self.volumes.push(Volume {
            name: unique,
            source,
            wanted: name.to_owned(),
        });
        Ok(self.volumes.len().saturating_sub(1))
    }

    /// The positions of init containers that look like ours.
    fn recognised(&self, pod: &Pod<'_>) -> Vec<usize> {
        let same = |container: &Node<'_>| {
            let name = container.text("name").unwrap_or_default();
            // A container of the Pod's may be large: it is read once, and only if it has such a name.
            let mut fitting = self.containers.iter().filter(|ours| ours.name.fits(name)).peekable();
            if fitting.peek().is_none() {
                return false;
            }
            let existing = container.to_value();
            fitting.any(|ours| {
                ["image", "command"].iter().all(|field| match ours.spec.get(field) {
                    Some(wanted) => existing.get(field) == Some(wanted),
                    None => true,
                })
            })
        };
        pod.spec_items(INIT_CONTAINERS)
            .iter()
            .enumerate()
            .filter(|(_, container)| same(container))
            .map(|(index, _)| index)
            .collect()
    }

    /// Those of the init containers at `positions` that run what ours run.
    fn running(&self, pod: &Pod<'_>, positions: &[usize]) -> Vec<usize> {
        let containers = pod.spec_items(INIT_CONTAINERS);
        let runs = |position: &usize| {
            let existing = containers.get(*position).map(Node::to_value).unwrap_or_default();
            self.containers.iter().any(|ours| template::runs(&existing, &ours.spec))
        };
        positions.iter().copied().filter(runs).collect()
    }

    /// Adds the volumes and returns their names, by their numbers.
    fn add_volumes(&self, pod: &mut Pod<'_>, room: &mut Room) -> Result<Vec<String>, PodError> {
        let mut names = Vec::with_capacity(self.volumes.len());
        if self.volumes.is_empty() {
            return Ok(names);
        }
        let volumes = pod.spec_list("volumes")?;
        for volume in &self.volumes {
            let mut name = shortened(&volume.name);
            let mut number = 1_u32;
            let add = loop {
                room.compare(volumes.len())?;
                let taken = names.contains(&name);
                match volumes.iter().find(|existing| existing.text("name") == Some(&name)) {
                    None if !taken => break true,
                    Some(existing) if !taken && says(existing, &volume.source) => break false,
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

    fn add_mounts(
        &self,
        pod: &mut Pod<'_>,
        additions: &[Addition<'_>],
        settings: &Settings,
        names: &[String],
        ours: &[usize],
        room: &mut Room,
    ) -> Result<(), PodError> {
        for list in CONTAINER_LISTS {
            if pod.spec_items(list).is_empty() {
                continue;
            }
            for (index, container) in pod.spec_list(list)?.iter_mut().enumerate() {
                if list == INIT_CONTAINERS && ours.contains(&index) {
                    continue;
                }
                let container_name = container.text("name").unwrap_or_default().to_owned();
                let wanted = visible_files(additions, &container_name);
                room.compare(self.sets.len())?;
                let Some((_, mounts)) = self.sets.iter().find(|(set, _)| *set == wanted) else {
                    continue;
                };
                let too_early = list == INIT_CONTAINERS && !settings.init_containers.stand_first();
                let in_time = |mount: &&Mount| !(too_early && self.is_part_of_memory(mount));
                let mounts: Vec<&Mount> = mounts.iter().filter(in_time).collect();
                if mounts.is_empty() {
                    continue;
                }
                for mount in &mounts {
                    room.take(mount.path.len().saturating_add(MOUNT_BYTES))?;
                }
                let container_mounts = container.list_mut("volumeMounts")?;
                room.compare(mounts.len().saturating_mul(container_mounts.len()))?;
                let mut added = Vec::with_capacity(mounts.len());
                for mount in mounts {
                    let Some(volume) = names.get(mount.volume) else {
                        continue;
                    };
                    match missing(container_mounts, mount, volume) {
                        Ok(false) => {}
                        Ok(true) => added.push(mount_node(mount, volume)),
                        Err(own) => return Err(mount_clash(container_name, own, additions.get(mount.owner))),
                    }
                }
                container_mounts.append(&mut added);
            }
        }
        Ok(())
    }

    /// Whether the mount is of a part of a memory volume. Where nobody has written that part yet, the kubelet makes a
    /// directory in its place, in which no file of that name can be.
    fn is_part_of_memory(&self, mount: &Mount) -> bool {
        let volume = self.volumes.get(mount.volume);
        mount.sub_path.is_some() && volume.is_some_and(|volume| volume.source.get("emptyDir").is_some())
    }

    /// Adds the init containers that are not there yet and returns the positions of all of ours.
    fn add_containers(
        &self,
        pod: &mut Pod<'_>,
        settings: &Settings,
        names: &[String],
        recognised: Vec<usize>,
        room: &mut Room,
    ) -> Result<Vec<usize>, PodError> {
        if self.containers.is_empty() {
            return Ok(recognised);
        }
        let app_containers: Vec<String> = pod
            .spec_items("containers")
            .iter()
            .filter_map(|item| Some(item.text("name")?.to_owned()))
            .collect();
        // Containers without amounts of their own share those of the Pod, and may not ask for more.
        let shares = pod.field("resources").is_some_and(|amounts| {
            amounts
                .to_value()
                .as_object()
                .is_some_and(|amounts| !amounts.is_empty())
        });
        let existing = pod.spec_list(INIT_CONTAINERS)?;
        // Each is read once, however many it is compared with.
        let mut known: Vec<Value> = recognised
            .iter()
            .filter_map(|index| Some(existing.get(*index)?.to_value()))
            .collect();
        let mut added: Vec<Node<'_>> = Vec::new();
        let mut number = existing.len().saturating_sub(recognised.len());
        for container in &self.containers {
            let mut spec = self.with_mounts(container, names);
            if shares && let Value::Object(fields) = &mut spec {
                fields.remove("resources");
            }
            room.compare(known.len())?;
            if let Some(there) = known.iter().position(|existing| template::runs(existing, &spec)) {
                known.remove(there);
                continue;
            }
            let others = existing
                .len()
                .saturating_add(added.len())
                .saturating_add(app_containers.len());
            let first = number;
            let taken = |name: &str| {
                existing
                    .iter()
                    .chain(&added)
                    .any(|item| item.text("name") == Some(name))
                    || app_containers.iter().any(|known| known == name)
            };
            let name = container.name.free(&mut number, taken)?;
            let tries = number.saturating_sub(first).max(1);
            room.compare(others.saturating_mul(tries))?;
            added.push(container_node(&name, spec));
        }
        let count = added.len();
        if settings.init_containers.stand_first() {
            existing.splice(0..0, added);
            Ok((0..count)
                .chain(recognised.into_iter().map(|index| index + count))
                .collect())
        } else {
            let first = existing.len();
            existing.extend(added);
            Ok(recognised.into_iter().chain(first..first + count).collect())
        }
    }
}

impl ContainerName {
    fn fits(self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name.starts_with(exact),
            Self::Numbered(prefix) => name.starts_with(prefix),
        }
    }

    fn free(self, number: &mut usize, taken: impl Fn(&str) -> bool) -> Result<String, PodError> {
        if let Self::Exact(name) = self
            && !taken(name)
        {
            return Ok(name.to_owned());
        }
        let mut tries = 1;
        let (Self::Exact(prefix) | Self::Numbered(prefix)) = self;
        loop {
            let name = format!("{prefix}-{number}");
            *number = number.saturating_add(1);
            if !taken(&name) {
                return Ok(name);
            }
            tries = another(tries, prefix)?;
        }
    }
}

/// The additions whose files a container sees.
fn visible_files(additions: &[Addition<'_>], container: &str) -> Vec<usize> {
    additions
        .iter()
        .enumerate()
        .filter(|(_, addition)| match &addition.injection.file {
            None
            | Some(SecretFile {
                origin: FileOrigin::Fetched { variable: Some(_), .. },
                ..
            }) => false,
            Some(file) => addition.reaches(container) || is_mounted_by_agent(file),
        })
        .map(|(index, _)| index)
        .collect()
}

/// The files without those that are there twice, when no two of them are in each other's way.
fn without_copies<'f>(
    files: Vec<(usize, &'f SecretFile)>,
    additions: &[Addition<'_>],
    settings: &Settings,
) -> Result<Vec<(usize, &'f SecretFile)>, PodError> {
    let mount_path = &settings.mount_path;
    let manager = |index: usize| additions.get(index).map(|addition| addition.manager);
    // Compared part by part, a directory stands right before the files in it.
    let mut order: Vec<(Vec<&str>, usize, &SecretFile)> = files
        .iter()
        .map(|(index, file)| (file.path.as_str().split('/').collect(), *index, *file))
        .collect();
    sort_by(&mut order, |(parts, index, _), (others, other, _)| {
        parts.cmp(others).then(index.cmp(other))
    });
    let mut copies = Vec::new();
    for pair in order.windows(2) {
        let [(parts, index, file), (others, other, other_file)] = pair else {
            continue;
        };
        if parts == others && is_same(file, other_file) && manager(*index) == manager(*other) {
            copies.push(*other);
        } else if others.starts_with(parts) {
            return Err(path_clash(
                &format!("{mount_path}/{}", file.path.as_str()),
                *index,
                *other,
                additions,
            ));
        }
    }
    Ok(files.into_iter().filter(|(index, _)| !copies.contains(index)).collect())
}

/// Whether two files hold the same. A Secret has no versions: that of the group names the volume alone.
fn is_same(file: &SecretFile, other: &SecretFile) -> bool {
    match (&file.origin, &other.origin) {
        (
            FileOrigin::Secret {
                secret, key, optional, ..
            },
            FileOrigin::Secret {
                secret: other_secret,
                key: other_key,
                optional: other_optional,
                ..
            },
        ) => (secret, key, optional) == (other_secret, other_key, other_optional),
        (origin, other) => origin == other,
    }
}

fn path_clash(path: &str, first: usize, second: usize, additions: &[Addition<'_>]) -> PodError {
    let request = |index: usize| {
        additions
            .get(index)
            .map_or_else(String::new, |addition| described(addition.request))
    };
    PodError::PathClash {
        path: path.to_owned(),
        first: request(first),
        second: request(second),
    }
}

/// One mount for each first part of the paths in the memory volume.
fn mount_parts(files: &[(usize, &SecretFile)], volume: usize, mount_path: &str, mounts: &mut Vec<Mount>) {
    let mut parts: Vec<&str> = Vec::new();
    for (owner, file) in files {
        let part = file.path.first();
        if !parts.contains(&part) {
            parts.push(part);
            mounts.push(Mount {
                volume,
                path: format!("{mount_path}/{part}"),
                sub_path: Some(part.to_owned()),
                owner: *owner,
            });
        }
    }
}

fn memory() -> Value {
    let source = [("medium", "Memory".into()), ("sizeLimit", MEMORY_LIMIT.into())];
    tree([("emptyDir", tree(source))])
}

/// The volume for the files of one directory: a Secret, several of them together, or a CSI volume.
fn directory_volume(
    directory: &str,
    files: &[(usize, &SecretFile)],
    first: &SecretFile,
    mount_path: &str,
    additions: &[Addition<'_>],
) -> Result<(String, Value), PodError> {
    if let FileOrigin::Csi { volume, source } = &first.origin {
        let stranger = files.iter().find(|(_, file)| match &file.origin {
            FileOrigin::Csi { source: other, .. } => other != source,
            _ => true,
        });
        return match (stranger, files.first()) {
            (Some((other, _)), Some((owner, _))) => Err(path_clash(
                &format!("{mount_path}/{directory}"),
                *owner,
                *other,
                additions,
            )),
            _ => Ok((volume.clone(), tree([("csi", source.clone())]))),
        };
    }
    let mut secrets: Vec<(&str, bool, Vec<Value>)> = Vec::new();
    let mut name = String::new();
    for (index, file) in files {
        let FileOrigin::Secret {
            volume,
            secret,
            key,
            optional,
        } = &file.origin
        else {
            let owner = files.first().map_or(*index, |(owner, _)| *owner);
            return Err(path_clash(
                &format!("{mount_path}/{directory}"),
                owner,
                *index,
                additions,
            ));
        };
        if name.is_empty() {
            name.clone_from(volume);
        }
        let item = tree([("key", key.as_str().into()), ("path", file.path.file_name().into())]);
        match secrets.iter_mut().find(|(known, _, _)| known == secret) {
            Some((_, every, items)) => {
                *every &= optional;
                items.push(item);
            }
            None => secrets.push((secret, *optional, vec![item])),
        }
    }
    // A volume of one Secret calls it differently than one of several.
    let secret = |name: &str, (secret, optional, items): (&str, bool, Vec<Value>)| {
        let fields = [(name, secret.into()), ("items", items.into())];
        let optional = optional.then_some(("optional", true.into()));
        tree([("secret", tree(fields.into_iter().chain(optional)))])
    };
    let source = if secrets.len() == 1 {
        secrets.pop().map_or(Value::Null, |only| secret("secretName", only))
    } else {
        let sources: Vec<Value> = secrets.into_iter().map(|one| secret("name", one)).collect();
        tree([("projected", tree([("sources", sources.into())]))])
    };
    Ok((name, source))
}

/// The number of the next try to find a free name.
fn another(number: u32, name: &str) -> Result<u32, PodError> {
    const MOST: u32 = 1_000;
    if number == MOST {
        return Err(PodError::NoFreeName { name: name.to_owned() });
    }
    Ok(number.saturating_add(1))
}

/// A name of at most 63 characters: itself, or one that stands for it.
fn shortened(name: &str) -> String {
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

/// Whether a container has still to get `mount`.
///
/// # Errors
/// The mount of its own that is in the way: at the same path, or, where ours is new, below it. That would hide files,
/// and its directory cannot be made in a read-only volume.
fn missing<'m, 'a>(existing: &'m [Node<'a>], mount: &Mount, volume: &str) -> Result<bool, &'m Node<'a>> {
    let (mut there, mut below) = (false, None);
    for own in existing {
        let path = own.text("mountPath").unwrap_or_default().trim_end_matches('/');
        let Some(rest) = path.strip_prefix(&mount.path) else {
            continue;
        };
        if rest.starts_with('/') {
            below = Some(own);
        } else if rest.is_empty() {
            let sub_path = own.get("subPath").map(Node::to_value);
            let same = own.text("name") == Some(volume)
                && sub_path.as_ref().and_then(Value::as_str) == mount.sub_path.as_deref()
                && own.get("subPathExpr").is_none();
            if !same {
                return Err(own);
            }
            there = true;
        }
    }
    match below {
        Some(own) if !there => Err(own),
        _ => Ok(!there),
    }
}

fn mount_clash(container: String, own: &Node<'_>, addition: Option<&Addition<'_>>) -> PodError {
    PodError::MountClash {
        container,
        volume: own.text("name").unwrap_or_default().to_owned(),
        path: own.text("mountPath").unwrap_or_default().to_owned(),
        request: addition.map_or_else(String::new, |addition| described(addition.request)),
    }
}

fn mount_node<'a>(mount: &Mount, volume: &str) -> Node<'a> {
    let mut fields = vec![
        (Cow::Borrowed("name"), Node::Text(Cow::Owned(volume.to_owned()))),
        (Cow::Borrowed("readOnly"), Node::made(&Value::Bool(true))),
        (Cow::Borrowed("mountPath"), Node::Text(Cow::Owned(mount.path.clone()))),
    ];
    if let Some(sub_path) = &mount.sub_path {
        fields.push((Cow::Borrowed("subPath"), Node::Text(Cow::Owned(sub_path.clone()))));
    }
    Node::Object(fields)
}

/// An init container of ours. Its name and mounts are opened, as those of the Pod's own are.
fn container_node<'a>(name: &str, spec: Value) -> Node<'a> {
    let mut node = object([("name", Node::Text(Cow::Owned(name.to_owned())))]);
    if let (Node::Object(fields), Value::Object(spec)) = (&mut node, spec) {
        for (field, value) in spec {
            fields.push((Cow::Owned(field), Node::made(&value)));
        }
    }
    node
}
