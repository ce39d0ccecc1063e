//! What is to be added for files, before anything is.

#![forbid(unsafe_code)]

use super::mounts::{Mount, mount_parts};
use super::volumes::{Volume, directory_volume, memory};
use super::{Addition, CONTAINER_LISTS, INIT_CONTAINERS, Pod, PodError, Room, described};
use crate::injection::{FileOrigin, SecretFile};
use crate::managers::{Copy, Fetch, FetchContainer, FetchItem};
use crate::order::sort_by;
use crate::settings::Settings;
use serde_json::Value;

/// What a file takes at least, in a volume's list or an init container's arguments, beside its path.
const FILE_BYTES: usize = 24;

/// What a copy of a secret in a memory volume counts as: an init container may be needed for each.
const COPY_BYTES: usize = 1024;

/// What a volume counts as: this bounds their number to 2,048, as each is compared with each.
const VOLUME_BYTES: usize = 2048;

/// What is to be added, before anything is.
pub(super) struct Plan {
    /// What the files in volumes and the arguments of init containers may still take.
    pub(super) room: Room,
    pub(super) volumes: Vec<Volume>,
    /// Which mounts the containers of a set get.
    pub(super) sets: Vec<(Vec<usize>, Vec<Mount>)>,
    /// The init containers, with mounts by volume.
    pub(super) containers: Vec<FetchContainer>,
    /// By additions: the volume and the path in it.
    pub(super) env_files: Vec<Option<(usize, String)>>,
    /// The first addition whose agent mounts a volume of its own where files appear.
    pub(super) agent: Option<usize>,
}

impl Plan {
    pub(super) fn new(
        pod: &Pod<'_>,
        additions: &[Addition<'_>],
        settings: &Settings,
        ours: &[usize],
    ) -> Result<Self, PodError> {
        let mut plan = Self {
            room: Room::new(),
            volumes: Vec::new(),
            sets: Vec::new(),
            containers: Vec::new(),
            env_files: vec![None; additions.len()],
            agent: additions.iter().position(|addition| {
                let file = addition.injection.file.as_ref();
                file.is_some_and(|file| matches!(file.origin, FileOrigin::Agent { mounts: true, .. }))
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
        plan.fetch(additions, settings, &copies);
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
                    let directory = file.path.directory();
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
    fn fetch(&mut self, additions: &[Addition<'_>], settings: &Settings, copies: &[Vec<Copy>]) {
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
                self.containers.extend(entry.manager.fetch(&fetch));
            }
        }
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
}

/// The additions whose files a container sees.
pub(super) fn visible_files(additions: &[Addition<'_>], container: &str) -> Vec<usize> {
    additions
        .iter()
        .enumerate()
        .filter(|(_, addition)| match &addition.injection.file {
            None
            | Some(SecretFile {
                origin: FileOrigin::Fetched { variable: Some(_), .. },
                ..
            }) => false,
            Some(_) => addition.reaches(container),
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

pub(super) fn path_clash(path: &str, first: usize, second: usize, additions: &[Addition<'_>]) -> PodError {
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
