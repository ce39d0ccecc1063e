//! What is to be added for files, before anything is.

#![forbid(unsafe_code)]

use super::mounts::Mount;
use super::volumes::{Volume, memory};
use super::{Addition, CONTAINER_LISTS, INIT_CONTAINERS, Pod, PodError, Room, described};
use crate::injection::{AgentMounts, FileOrigin, SecretFile};
use crate::managers::{Copy, Fetch, FetchContainer, FetchItem, FetchVolume};
use crate::settings::Settings;
use serde_json::Value;

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

    /// Returns the name of a further volume of an init container, among the `names` of all volumes.
    pub(super) fn further_volume<'n>(&self, volume: &FetchVolume, names: &'n [String]) -> Option<&'n str> {
        let same = |known: &Volume| known.wanted == volume.name && known.source == volume.source;
        names.get(self.volumes.iter().position(same)?).map(String::as_str)
    }

    /// The number of a volume, one that is there already where it is the same.
    pub(super) fn volume(&mut self, name: &str, source: Value) -> Result<usize, PodError> {
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

/// Returns whether an agent brings the file in a volume of its own, which it mounts whatever containers the request names.
pub(super) fn is_mounted_by_agent(file: &SecretFile) -> bool {
    matches!(&file.origin, FileOrigin::Agent { mounts, .. } if *mounts != AgentMounts::Nowhere)
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
            Some(file) => addition.reaches(container) || is_mounted_by_agent(file),
        })
        .map(|(index, _)| index)
        .collect()
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
