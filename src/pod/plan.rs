//! What is to be added for files, before anything is.

#![forbid(unsafe_code)]

use serde_json::Value;

use super::document::{Addition, CONTAINER_LISTS, INIT_CONTAINERS, Pod, described};
use super::error::PodError;
use super::room::Room;
use crate::injection::{
    AgentMounts, EnvFile, Fetch, FetchContainer, FetchItem, FetchTarget, FetchVolume, FileOrigin, SecretFile,
};
use crate::json::tree;
use crate::options::Options;
use crate::order::sort_and_dedup;

/// How much a memory volume may hold: more than all Secrets that fit one Pod, which the API server limits to
/// [1 MiB each](https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size).
const MEMORY_LIMIT: &str = "64Mi";

/// What a volume counts as: this bounds their number to 2,048, as each is compared with each.
const VOLUME_BYTES: usize = 2048;

/// A volume that is to be added.
pub(super) struct Volume {
    pub(super) name: String,
    pub(super) source: Value,
    /// The name that was wanted for it.
    pub(super) wanted: String,
}

/// A mount that a container gets.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) volume: usize,
    pub(super) path: String,
    pub(super) sub_path: Option<String>,
    /// Whether it shows a file, not a directory.
    pub(super) is_file: bool,
    /// The addition that needs it, for messages.
    pub(super) owner: usize,
}

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
        options: &Options,
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
        let mut targets: Vec<Vec<FetchTarget>> = vec![Vec::new(); additions.len()];
        for number in 0..plan.sets.len() {
            plan.add_set(number, additions, options, &mut targets)?;
        }
        plan.add_env_files(additions, &mut targets);
        plan.fetch(additions, &options.mount_path, &targets)?;
        Ok(plan)
    }

    /// Plans the files of variables: one for each secret, so that the limit of
    /// [64 KiB a file](https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/3721-support-for-env-files)
    /// is for one value, in a volume of their own that no container mounts.
    fn add_env_files(&mut self, additions: &[Addition<'_>], targets: &mut [Vec<FetchTarget>]) {
        let mut volume = None;
        let mut known: Vec<(&EnvFile<'_>, usize)> = Vec::new();
        for (index, addition) in additions.iter().enumerate() {
            let Some(env_file) = &addition.injection.env_file else {
                continue;
            };
            // The same secret may be wanted under several names.
            if let Some((_, first)) = known.iter().find(|(other, _)| *other == env_file) {
                let shared = self.env_files.get(*first).cloned().flatten();
                if let Some(file) = self.env_files.get_mut(index) {
                    *file = shared;
                }
                continue;
            }
            known.push((env_file, index));
            let volume = *volume.get_or_insert_with(|| {
                self.volumes.push(Volume {
                    name: format!("{}-env", env_file.fetched.fetcher.files_volume()),
                    source: memory(),
                    wanted: String::new(),
                });
                self.volumes.len() - 1
            });
            let path = format!("{index}.env");
            if let (Some(targets), Some(file)) = (targets.get_mut(index), self.env_files.get_mut(index)) {
                targets.push(FetchTarget {
                    volume,
                    path: path.clone(),
                    variable: Some(env_file.key.clone()),
                });
                *file = Some((volume, path));
            }
        }
    }

    /// Lets each fetcher make its init containers, in the order of the managers.
    fn fetch(
        &mut self,
        additions: &[Addition<'_>],
        mount_path: &str,
        targets: &[Vec<FetchTarget>],
    ) -> Result<(), PodError> {
        let directory = match self.agent {
            Some(_) => format!("{mount_path}-fetch"),
            None => mount_path.to_owned(),
        };
        let fetched = additions.iter().zip(targets).filter_map(|(addition, targets)| {
            let fetched = addition.injection.fetched()?;
            Some((addition.position, fetched, targets))
        });
        let mut managers: Vec<usize> = fetched.clone().map(|(position, _, _)| position).collect();
        sort_and_dedup(&mut managers);
        for manager in managers {
            let own = || fetched.clone().filter(|(position, _, _)| *position == manager);
            let Some((_, first, _)) = own().next() else {
                continue;
            };
            let items: Vec<FetchItem<'_>> = own()
                .map(|(_, fetched, targets)| FetchItem {
                    arguments: &fetched.arguments,
                    optional: fetched.optional,
                    targets: targets.clone(),
                })
                .collect();
            let fetch = Fetch {
                items: &items,
                directory: &directory,
            };
            for container in first.fetcher.fetch(&fetch) {
                for volume in &container.volumes {
                    self.volume(volume.name, volume.source.clone())?;
                }
                self.containers.push(container);
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

/// Returns the source of a memory volume.
pub(super) fn memory() -> Value {
    let source = [("medium", "Memory".into()), ("sizeLimit", MEMORY_LIMIT.into())];
    tree([("emptyDir", tree(source))])
}

/// Returns whether an agent brings the file in a volume of its own, which it mounts whatever containers the request names.
pub(super) fn is_mounted_by_agent(file: &SecretFile<'_>) -> bool {
    matches!(&file.origin, FileOrigin::Agent { mounts, .. } if *mounts != AgentMounts::Nowhere)
}

/// The additions whose files a container sees.
pub(super) fn visible_files(additions: &[Addition<'_>], container: &str) -> Vec<usize> {
    additions
        .iter()
        .enumerate()
        .filter(|(_, addition)| match &addition.injection.file {
            None => false,
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
