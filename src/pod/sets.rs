//! The files of containers that see the same ones: in which volumes they are, and where these are mounted.

#![forbid(unsafe_code)]

use super::document::Addition;
use super::error::PodError;
use super::mounts::mount_parts;
use super::plan::{Mount, Plan, is_mounted_by_agent, memory, path_clash};
use super::volumes::directory_volume;
use crate::injection::{FetchTarget, Fetcher, FileOrigin, SecretFile};
use crate::options::Options;
use crate::order::sort_by;

/// What a copy of a secret in a memory volume counts as: an init container may be needed for each.
const COPY_BYTES: usize = 1024;

/// What a file takes at least, in a volume's list or an init container's arguments, beside its path.
const FILE_BYTES: usize = 24;

/// A file, and the position of the addition that asks for it.
type OwnedFile<'f> = (usize, &'f SecretFile<'f>);

/// The files of a set, by how they get into a container.
#[derive(Default)]
struct SetFiles<'f> {
    /// From volumes that the kubelet fills, by directory.
    directories: Vec<(&'f str, Vec<OwnedFile<'f>>)>,
    /// Written by our init containers.
    fetched: Vec<OwnedFile<'f>>,
    /// Writes the first of them, and names their volume.
    fetcher: Option<&'f dyn Fetcher>,
    /// Written by agents.
    by_agents: Vec<OwnedFile<'f>>,
}

impl<'f> SetFiles<'f> {
    fn new(files: &[OwnedFile<'f>]) -> Self {
        let mut sorted = Self::default();
        for (index, file) in files {
            match &file.origin {
                FileOrigin::Fetched(fetched) => {
                    sorted.fetcher.get_or_insert(fetched.fetcher);
                    sorted.fetched.push((*index, file));
                }
                FileOrigin::Agent { .. } => sorted.by_agents.push((*index, file)),
                FileOrigin::Secret { .. } | FileOrigin::Csi { .. } => {
                    let directory = file.volume_directory();
                    match sorted.directories.iter_mut().find(|(known, _)| *known == directory) {
                        Some((_, files)) => files.push((*index, file)),
                        None => sorted.directories.push((directory, vec![(*index, file)])),
                    }
                }
            }
        }
        sorted
    }

    /// The file of a memory volume or an agent that a volume mounted at `directory` would hide.
    fn hidden_by(&self, directory: &str) -> Option<usize> {
        let mut others = self.fetched.iter().chain(&self.by_agents);
        others
            .find(|(_, file)| file.path.first() == directory)
            .map(|(owner, _)| *owner)
    }
}

impl Plan {
    /// Plans the volumes and mounts for the containers that see exactly the files of the set `number`.
    pub(super) fn add_set(
        &mut self,
        number: usize,
        additions: &[Addition<'_>],
        options: &Options,
        targets: &mut [Vec<FetchTarget>],
    ) -> Result<(), PodError> {
        let Some((set, _)) = self.sets.get(number) else {
            return Ok(());
        };
        let files: Vec<OwnedFile<'_>> = set
            .iter()
            .filter_map(|index| Some((*index, additions.get(*index)?.injection.file.as_ref()?)))
            .collect();
        let bytes = files
            .iter()
            .map(|(_, file)| file.path.as_str().len().saturating_add(FILE_BYTES));
        self.room.take(bytes.sum())?;
        let files = SetFiles::new(&without_copies(files, additions, options)?);
        let mut mounts = Vec::new();
        self.mount_fetched(&files, (additions, options), targets, &mut mounts)?;
        self.mount_directories(&files, additions, options, &mut mounts)?;
        if let Some((_, set_mounts)) = self.sets.get_mut(number) {
            *set_mounts = mounts;
        }
        Ok(())
    }

    /// Plans the memory volume for the files that our init containers write.
    fn mount_fetched(
        &mut self,
        files: &SetFiles<'_>,
        (additions, options): (&[Addition<'_>], &Options),
        targets: &mut [Vec<FetchTarget>],
        mounts: &mut Vec<Mount>,
    ) -> Result<(), PodError> {
        let (Some((owner, _)), Some(fetcher)) = (files.fetched.first(), files.fetcher) else {
            return Ok(());
        };
        let volume = self.volume(fetcher.files_volume(), memory())?;
        for (index, file) in &files.fetched {
            self.room.take(COPY_BYTES)?;
            let target = FetchTarget {
                volume,
                path: file.path.as_str().to_owned(),
                variable: None,
            };
            if let Some(targets) = targets.get_mut(*index) {
                targets.push(target);
            }
        }
        if files.directories.is_empty() && files.by_agents.is_empty() {
            mounts.push(Mount {
                volume,
                path: options.mount_path.clone(),
                sub_path: None,
                is_file: false,
                owner: *owner,
            });
        } else {
            self.check_parts(&files.fetched, &files.by_agents, options, additions)?;
            // A mount inside of a read-only volume fails where its directory is not there, and an agent's files may
            // be in a volume at the same path: each part of the memory volume is mounted beside the others instead.
            mount_parts(&files.fetched, volume, &options.mount_path, mounts);
        }
        Ok(())
    }

    /// Fails where a part of the memory volume would be mounted over the directory of an agent's file.
    fn check_parts(
        &mut self,
        fetched: &[OwnedFile<'_>],
        by_agents: &[OwnedFile<'_>],
        options: &Options,
        additions: &[Addition<'_>],
    ) -> Result<(), PodError> {
        self.room.compare(fetched.len().saturating_mul(by_agents.len()))?;
        for (owner, file) in fetched {
            let part = file.path.first();
            let is_over = |(_, other): &&OwnedFile<'_>| is_mounted_by_agent(other) && other.path.first() == part;
            if let Some((other, _)) = by_agents.iter().find(is_over) {
                let path = format!("{}/{part}", options.mount_path);
                return Err(path_clash(&path, *owner, *other, additions));
            }
        }
        Ok(())
    }

    /// Plans the volumes that the kubelet fills, one for each directory.
    fn mount_directories(
        &mut self,
        files: &SetFiles<'_>,
        additions: &[Addition<'_>],
        options: &Options,
        mounts: &mut Vec<Mount>,
    ) -> Result<(), PodError> {
        let mount_path = &options.mount_path;
        let alone = files.directories.len() == 1 && files.fetched.is_empty() && files.by_agents.is_empty();
        for (directory, in_directory) in &files.directories {
            let Some((owner, first)) = in_directory.first() else {
                continue;
            };
            if let Some(other) = files.hidden_by(directory) {
                return Err(path_clash(
                    &format!("{mount_path}/{directory}"),
                    other,
                    *owner,
                    additions,
                ));
            }
            let clash = |other: usize| path_clash(&format!("{mount_path}/{directory}"), *owner, other, additions);
            let (name, source) = directory_volume(in_directory, first, clash)?;
            let volume = self.volume(&name, source)?;
            if directory.is_empty() && !alone {
                // As with the memory volume: nothing can be mounted inside of this one.
                mount_parts(in_directory, volume, mount_path, mounts);
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
                is_file: false,
                owner: *owner,
            });
        }
        Ok(())
    }
}

/// The files without those that are there twice, when no two of them are in each other's way.
fn without_copies<'f>(
    files: Vec<OwnedFile<'f>>,
    additions: &[Addition<'_>],
    options: &Options,
) -> Result<Vec<OwnedFile<'f>>, PodError> {
    let mount_path = &options.mount_path;
    let manager = |index: usize| additions.get(index).map(|addition| addition.position);
    // Compared part by part, a directory stands right before the files in it.
    let mut order: Vec<(Vec<&str>, usize, &SecretFile<'_>)> = files
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
fn is_same(file: &SecretFile<'_>, other: &SecretFile<'_>) -> bool {
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
