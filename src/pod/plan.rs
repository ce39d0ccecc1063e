//! What is to be added for files, before anything is.

use super::document::{Pod, name_of};
use super::error::PodError;
use super::modes::{fetching_user, run_as};
use super::work::{Budget, Work};
use crate::injection::{Addition, EnvFile, Fetch, FetchContainer, FetchItem, FetchTarget, SecretFile, VolumeSource};
use crate::json::Node;
use crate::sort::sorted_set;

/// What a memory volume is. It may hold more than all Secrets that fit one Pod, which the API server limits to
/// [1 MiB each](https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size).
const MEMORY: &str = r#"{"medium":"Memory","sizeLimit":"64Mi"}"#;

/// What a volume counts as: this bounds their number to 2,048, as each is compared with each.
const VOLUME_BYTES: usize = 2048;

/// A volume that is to be added.
pub(super) struct Volume {
    /// The name that the plan gives it, and then the name that it gets in the Pod.
    pub(super) name: String,
    pub(super) source: VolumeSource,
    /// The name that was wanted for it.
    pub(super) wanted: String,
}

impl Volume {
    pub(super) fn is_memory(&self) -> bool {
        self.source.kind == "emptyDir"
    }
}

/// A file, and the addition that asks for it.
#[derive(Clone, Copy)]
pub(super) struct OwnedFile<'p> {
    /// The position of the addition.
    pub(super) index: usize,
    pub(super) owner: &'p Addition<'p>,
    pub(super) file: &'p SecretFile<'p>,
}

/// A mount that a container gets.
pub(super) struct Mount<'p> {
    pub(super) volume: usize,
    pub(super) path: String,
    pub(super) sub_path: Option<String>,
    /// Whether it shows a file, not a directory.
    pub(super) is_file: bool,
    /// The addition that needs it, for messages.
    pub(super) owner: &'p Addition<'p>,
}

/// What is to be added, before anything is.
pub(super) struct Plan<'p> {
    /// What the files in volumes and the arguments of init containers may still take.
    pub(super) budget: Budget,
    pub(super) volumes: Vec<Volume>,
    /// Which mounts the containers of a set get.
    pub(super) sets: Vec<(Vec<usize>, Vec<Mount<'p>>)>,
    /// By containers of the Pod, in their order: the position of its set. A container that sees no file has none.
    set_of: Vec<Option<usize>>,
    /// By additions: the volume that shows its file alone.
    pub(super) alone: Vec<Option<usize>>,
    /// The init containers, with mounts by volume.
    pub(super) containers: Vec<FetchContainer>,
    /// By additions: where an init container writes the secret.
    pub(super) targets: Vec<Vec<FetchTarget>>,
    /// By additions: the volume and the path in it.
    pub(super) env_files: Vec<Option<(usize, String)>>,
}

impl<'p> Plan<'p> {
    /// Plans for a Pod that has already the init containers `ours`.
    pub(super) fn new(pod: &Pod<'_>, work: &Work<'p>, ours: &[String]) -> Result<Self, PodError> {
        let mut plan = Self {
            budget: Budget::new(),
            volumes: Vec::new(),
            sets: Vec::new(),
            set_of: Vec::new(),
            alone: vec![None; work.additions.len()],
            containers: Vec::new(),
            targets: vec![Vec::new(); work.additions.len()],
            env_files: Vec::new(),
        };
        let mut sets: Vec<Vec<usize>> = Vec::new();
        for (_, container) in pod.containers(ours) {
            let wanted = work.visible_files(name_of(container));
            plan.budget.compare(1, sets.len())?;
            let known = sets.iter().position(|set| *set == wanted);
            plan.set_of.push(known.or_else(|| {
                (!wanted.is_empty()).then(|| {
                    sets.push(wanted);
                    sets.len() - 1
                })
            }));
        }
        for set in sets {
            let mounts = plan.plan_mounts(&set, work)?;
            plan.sets.push((set, mounts));
        }
        plan.plan_env_files(work.additions);
        plan.plan_containers(pod, work, ours)?;
        Ok(plan)
    }

    /// Plans the files of variables: one for each secret, so that the limit of
    /// [64 KiB a file](https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/3721-support-for-env-files)
    /// is for one value, in a volume of their own that no container mounts.
    fn plan_env_files(&mut self, additions: &'p [Addition<'p>]) {
        let mut volume = None;
        let mut known: Vec<(&EnvFile<'_>, (usize, String))> = Vec::new();
        for (index, (addition, targets)) in additions.iter().zip(&mut self.targets).enumerate() {
            let file = addition.injection.env_file.as_ref().map(|env_file| {
                // The same secret may be wanted under several names.
                if let Some((_, file)) = known.iter().find(|(other, _)| *other == env_file) {
                    return file.clone();
                }
                let volume = *volume.get_or_insert_with(|| {
                    self.volumes.push(Volume {
                        name: format!("{}-env", env_file.fetched.volume),
                        source: memory(),
                        wanted: String::new(),
                    });
                    self.volumes.len() - 1
                });
                let path = format!("{index}.env");
                targets.push(FetchTarget {
                    volume,
                    path: path.clone(),
                    variable: Some(env_file.key.clone()),
                    mode: None,
                });
                known.push((env_file, (volume, path.clone())));
                (volume, path)
            });
            self.env_files.push(file);
        }
    }

    /// Lets each fetcher make its init containers, in the order of the managers.
    fn plan_containers(&mut self, pod: &Pod<'_>, work: &Work<'p>, ours: &[String]) -> Result<(), PodError> {
        let mut directory = work.options.mount_path.clone();
        if work.agent().is_some() {
            directory.push_str("-fetch");
        }
        let additions = work.additions.iter().enumerate();
        let fetched =
            additions.filter_map(|(index, addition)| Some((index, addition.position, addition.injection.fetched()?)));
        for manager in sorted_set(fetched.clone().map(|(_, position, _)| position)) {
            let (mut fetcher, mut items) = (None, Vec::new());
            for (index, _, fetched) in fetched.clone().filter(|(_, position, _)| *position == manager) {
                fetcher.get_or_insert(fetched.fetcher);
                items.push(FetchItem {
                    fetched,
                    targets: self.targets.get_mut(index).map(std::mem::take).unwrap_or_default(),
                });
            }
            let fetch = Fetch {
                items: &items,
                directory: &directory,
            };
            let user = fetching_user(pod, ours, work, manager)?;
            for mut container in fetcher.into_iter().flat_map(|fetcher| fetcher.fetch(&fetch)) {
                run_as(&mut container.spec, user)?;
                for volume in &container.volumes {
                    self.volume(volume.name, volume.source.clone())?;
                }
                self.containers.push(container);
            }
        }
        Ok(())
    }

    /// Returns the mounts that each container gets for which the plan was made, in their order.
    pub(super) fn mounts(&self) -> impl Iterator<Item = &[Mount<'p>]> {
        self.set_of.iter().map(|set| {
            let set = set.and_then(|set| self.sets.get(set));
            set.map_or(&[][..], |(_, mounts)| mounts)
        })
    }

    /// Returns the mounts that the container gets.
    pub(super) fn mounts_of(&self, container: &Node<'_>, work: &mut Work<'_>) -> Result<&[Mount<'p>], PodError> {
        work.budget.compare(1, self.sets.len())?;
        let wanted = work.visible_files(name_of(container));
        let set = self.sets.iter().find(|(set, _)| *set == wanted);
        Ok(set.map_or(&[], |(_, mounts)| mounts))
    }

    /// Returns the number of a volume: of one that is planned already, where it is the same.
    pub(super) fn volume(&mut self, name: &str, source: VolumeSource) -> Result<usize, PodError> {
        // Memory volumes of different sets hold different files.
        let mut same_name = 0;
        for (position, volume) in self.volumes.iter().enumerate() {
            if volume.wanted == name {
                if !volume.is_memory() && volume.source == source {
                    return Ok(position);
                }
                same_name += 1;
            }
        }
        self.budget.spend(VOLUME_BYTES)?;
        let mut unique = name.to_owned();
        // Sets mostly want the same names.
        let mut number = same_name.max(1_usize);
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
pub(super) fn memory() -> VolumeSource {
    VolumeSource::new("emptyDir", MEMORY.to_owned())
}
