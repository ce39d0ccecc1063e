//! The files of containers that see the same ones: in which volumes they are, and where these are mounted.

use super::at_paths::{Place, mount_at_paths, path_clash};
use super::error::PodError;
use super::path::is_below;
use super::plan::{Mount, OwnedFile, Plan, memory};
use super::volumes::directory_volume;
use super::work::Work;
use crate::injection::{Addition, FetchTarget, FileOrigin, SecretFile};
use crate::sort::sort_by;

/// What a copy of a secret in a memory volume counts as: an init container may be needed for each.
const COPY_BYTES: usize = 1024;

/// What a file takes at least, in a volume's list or an init container's arguments, beside its path.
const FILE_BYTES: usize = 24;

impl OwnedFile<'_> {
    fn first(&self) -> &str {
        self.file.path.first()
    }
}

/// The files of a set, by how they get into a container.
#[derive(Default)]
struct SetFiles<'p> {
    /// From volumes that the kubelet fills, by directory.
    directories: Vec<(&'p str, Vec<OwnedFile<'p>>)>,
    /// Written by our init containers.
    fetched: Vec<OwnedFile<'p>>,
    /// Written by agents.
    by_agents: Vec<OwnedFile<'p>>,
    /// Whether an agent mounts a volume where all files appear.
    has_agent: bool,
}

impl<'p> SetFiles<'p> {
    fn new(files: Vec<OwnedFile<'p>>) -> Self {
        let mut sorted = Self::default();
        for file in files {
            match &file.file.origin {
                FileOrigin::Fetched(_) => sorted.fetched.push(file),
                FileOrigin::Agent { .. } => sorted.by_agents.push(file),
                FileOrigin::Secret { .. } | FileOrigin::Csi { .. } => {
                    let directory = file.file.volume_directory();
                    match sorted.directories.iter_mut().find(|(known, _)| *known == directory) {
                        Some((_, files)) => files.push(file),
                        None => sorted.directories.push((directory, vec![file])),
                    }
                }
            }
        }
        sorted
    }

    /// Returns where `file` is, if it is in the volume `fetched` or in one of those for directories.
    fn place_of(file: &SecretFile<'_>, fetched: Option<usize>, directories: &[(&str, usize)]) -> Option<Place> {
        let path = file.path.as_str();
        match &file.origin {
            FileOrigin::Fetched(_) => Some((fetched?, path.to_owned())),
            FileOrigin::Agent { .. } => None,
            FileOrigin::Secret { .. } | FileOrigin::Csi { .. } => {
                let directory = file.volume_directory();
                let (_, volume) = directories.iter().find(|(known, _)| *known == directory)?;
                let part = path.strip_prefix(directory)?.trim_start_matches('/');
                Some((*volume, part.to_owned()))
            }
        }
    }
}

impl<'p> Plan<'p> {
    /// Plans the volumes and mounts for the containers that see exactly the files of these additions.
    pub(super) fn plan_mounts(&mut self, set: &[usize], work: &Work<'p>) -> Result<Vec<Mount<'p>>, PodError> {
        let mount_path = work.options.mount_path.as_str();
        let owned = |index: &usize| {
            let owner = work.additions.get(*index)?;
            Some(OwnedFile {
                index: *index,
                owner,
                file: owner.injection.file.as_ref()?,
            })
        };
        let files: Vec<OwnedFile<'_>> = set.iter().filter_map(owned).collect();
        let bytes = files.iter().map(|file| file.file.path.as_str().len() + FILE_BYTES);
        self.budget.spend(bytes.sum())?;
        let wanted = files.iter().filter(|file| !file.owner.request.path.is_empty());
        let wanted: Vec<OwnedFile<'_>> = wanted.copied().collect();
        let mut files = SetFiles::new(without_copies(files, mount_path)?);
        files.has_agent = !files.by_agents.is_empty() || work.agent().is_some();
        let mut mounts = Vec::new();
        let fetched = self.mount_fetched(&files, mount_path, &mut mounts)?;
        let directories = self.mount_directories(&files, mount_path, &mut mounts)?;
        let place = |file: OwnedFile<'p>| (file, SetFiles::place_of(file.file, fetched, &directories));
        mount_at_paths(wanted.into_iter().map(place), mount_path, &mut mounts)?;
        Ok(mounts)
    }

    /// Plans the memory volume for the files that our init containers write, and returns its number.
    fn mount_fetched(
        &mut self,
        files: &SetFiles<'p>,
        mount_path: &str,
        mounts: &mut Vec<Mount<'p>>,
    ) -> Result<Option<usize>, PodError> {
        let first = files.fetched.first();
        let (Some(first), Some(fetched)) = (first, first.and_then(|file| file.owner.injection.fetched())) else {
            return Ok(None);
        };
        let volume = self.volume(fetched.volume, memory())?;
        for file in &files.fetched {
            self.budget.spend(COPY_BYTES)?;
            if let Some(targets) = self.targets.get_mut(file.index) {
                targets.push(FetchTarget {
                    volume,
                    path: file.file.path.as_str().to_owned(),
                    variable: None,
                    mode: file.owner.request.mode,
                });
            }
        }
        if files.directories.is_empty() && !files.has_agent {
            mounts.push(mount_of_directory(volume, mount_path.to_owned(), first.owner));
            return Ok(Some(volume));
        }
        self.budget.compare(files.fetched.len(), files.by_agents.len())?;
        for file in &files.fetched {
            let is_below =
                |other: &&OwnedFile<'_>| other.owner.injection.agent.is_some() && other.first() == file.first();
            if let Some(other) = files.by_agents.iter().find(is_below) {
                let path = format!("{mount_path}/{}", file.first());
                return Err(path_clash(&path, file.owner, other.owner));
            }
        }
        // A mount inside of a read-only volume fails where its directory is not there, and an agent's files may
        // be in a volume at the same path: each part of the memory volume is mounted beside the others instead.
        mount_parts(&files.fetched, volume, mount_path, mounts);
        Ok(Some(volume))
    }

    /// Plans the volumes that the kubelet fills, and returns their directories and numbers.
    fn mount_directories(
        &mut self,
        files: &SetFiles<'p>,
        mount_path: &str,
        mounts: &mut Vec<Mount<'p>>,
    ) -> Result<Vec<(&'p str, usize)>, PodError> {
        let mut volumes = Vec::new();
        let alone = files.directories.len() == 1 && files.fetched.is_empty() && !files.has_agent;
        for (directory, in_directory) in &files.directories {
            let Some(first) = in_directory.first() else {
                continue;
            };
            let path = [mount_path, "/", directory].concat();
            let mut others = files.fetched.iter().chain(&files.by_agents);
            if let Some(hidden) = others.find(|file| file.first() == *directory) {
                return Err(path_clash(&path, hidden.owner, first.owner));
            }
            // Many sets want the same file.
            let known = self.alone.get(first.index).copied().flatten();
            let volume = match known.filter(|_| in_directory.len() == 1) {
                Some(volume) => volume,
                None => {
                    let (name, source) =
                        directory_volume(in_directory, first).map_err(|(one, other)| path_clash(&path, one, other))?;
                    self.volume(&name, source)?
                }
            };
            if in_directory.len() == 1
                && let Some(alone) = self.alone.get_mut(first.index)
            {
                *alone = Some(volume);
            }
            volumes.push((*directory, volume));
            if !directory.is_empty() {
                mounts.push(mount_of_directory(volume, path, first.owner));
            } else if alone {
                mounts.push(mount_of_directory(volume, mount_path.to_owned(), first.owner));
            } else {
                // As with the memory volume: nothing can be mounted inside of this one.
                mount_parts(in_directory, volume, mount_path, mounts);
            }
        }
        Ok(volumes)
    }
}

fn mount_of_directory<'p>(volume: usize, path: String, owner: &'p Addition<'p>) -> Mount<'p> {
    Mount {
        volume,
        path,
        sub_path: None,
        is_file: false,
        owner,
    }
}

/// Adds one mount for each first part of the paths in a volume.
fn mount_parts<'p>(files: &[OwnedFile<'p>], volume: usize, mount_path: &str, mounts: &mut Vec<Mount<'p>>) {
    let mut parts: Vec<&str> = Vec::new();
    for file in files {
        let part = file.first();
        if !parts.contains(&part) {
            parts.push(part);
            mounts.push(Mount {
                volume,
                path: [mount_path, "/", part].concat(),
                sub_path: Some(part.to_owned()),
                is_file: file.file.path.as_str() == part,
                owner: file.owner,
            });
        }
    }
}

/// Removes files that are there twice. Fails where two files are in each other's way.
fn without_copies<'p>(files: Vec<OwnedFile<'p>>, mount_path: &str) -> Result<Vec<OwnedFile<'p>>, PodError> {
    // Compared part by part, a directory stands right before the files in it.
    let mut order = files.clone();
    sort_by(&mut order, |file, other| {
        file.file
            .path
            .compare_parts(&other.file.path)
            .then(file.index.cmp(&other.index))
    });
    let mut copies = Vec::new();
    for pair in order.windows(2) {
        let [file, other] = pair else {
            continue;
        };
        let (path, other_path) = (&file.file.path, &other.file.path);
        let is_same = is_same(file.file, other.file) && file.owner.request.mode == other.owner.request.mode;
        let is_at_path = other_path == path;
        if is_at_path && is_same && file.owner.position == other.owner.position {
            copies.push(other.index);
        } else if is_at_path || is_below(other_path.as_str(), path.as_str()) {
            let path = format!("{mount_path}/{}", path.as_str());
            return Err(path_clash(&path, file.owner, other.owner));
        }
    }
    Ok(files.into_iter().filter(|file| !copies.contains(&file.index)).collect())
}

/// Returns whether two files hold the same. A Secret has no versions: that of the group names the volume alone.
fn is_same(file: &SecretFile<'_>, other: &SecretFile<'_>) -> bool {
    match (&file.origin, &other.origin) {
        (
            FileOrigin::Secret {
                volume: _,
                secret,
                key,
                optional,
            },
            FileOrigin::Secret {
                volume: _,
                secret: other_secret,
                key: other_key,
                optional: other_optional,
            },
        ) => (secret, key, optional) == (other_secret, other_key, other_optional),
        (one, other) => one == other,
    }
}
