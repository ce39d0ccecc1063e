//! Volumes as directories, and what a container mounts of them.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::{Mount, ResolveError, Resolver, Unresolved, expansion, items};

/// The permissions of a volume's files where neither the volume nor its items have any.
const DEFAULT_MODE: u32 = 0o644;

/// A file of a volume that comes from a Secret or ConfigMap.
struct File {
    path: String,
    mode: u32,
    content: Vec<u8>,
}

/// What a volume is made of.
enum Content {
    Files(Vec<File>),
    Empty,
    Unknown,
}

impl Resolver<'_> {
    /// The container's mounts, its volumes written.
    pub(super) fn mounts(
        &self,
        container: &Value,
        env: &BTreeMap<String, String>,
    ) -> Result<(Vec<Mount>, Vec<Unresolved>), ResolveError> {
        let (mut mounts, mut unresolved) = (Vec::new(), Vec::new());
        for mount in items(&container["volumeMounts"]) {
            let name = mount["name"].as_str().unwrap_or_default();
            let failed = |reason: String| ResolveError::Volume {
                volume: name.to_owned(),
                reason,
            };
            let mount_path = PathBuf::from(mount["mountPath"].as_str().unwrap_or_default());
            let volume = self
                .volume(name)
                .ok_or_else(|| failed("the Pod has no such volume".to_owned()))?;
            let content = self.content(volume).map_err(failed)?;
            let fixed = matches!(content, Content::Files(_));
            let directory = self.directory(name).map_err(failed)?;
            match content {
                Content::Files(files) => write(&directory, &files)?,
                Content::Empty => make_directory(&directory, 0o777)?,
                Content::Unknown => {
                    let volume = name.to_owned();
                    unresolved.push(Unresolved { mount_path, volume });
                    continue;
                }
            }
            let source = match sub_path(mount, env) {
                None => directory,
                Some(path) => {
                    let source = inside(&directory, &path)
                        .ok_or_else(|| failed(format!("the subPath {path:?} leads out of the volume")))?;
                    if !source.exists() && fixed {
                        return Err(failed(format!("it has nothing at the subPath {path:?}")));
                    }
                    if !source.exists() {
                        make_directory(&source, 0o750)?;
                    }
                    source
                }
            };
            let read_only = fixed || mount["readOnly"] == true;
            mounts.push(Mount {
                mount_path,
                source,
                read_only,
            });
        }
        mounts.sort_by_key(|mount| mount.mount_path.components().count());
        Ok((mounts, unresolved))
    }

    /// Where the volume `name` is.
    pub(super) fn directory(&self, name: &str) -> Result<PathBuf, String> {
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        match plain {
            true => Ok(self.volumes.join(name)),
            false => Err("Kubernetes does not take its name".to_owned()),
        }
    }

    fn content(&self, volume: &Value) -> Result<Content, String> {
        let (secret, map, projected) = (&volume["secret"], &volume["configMap"], &volume["projected"]);
        if !volume["emptyDir"].is_null() {
            return Ok(Content::Empty);
        }
        let files = if !secret.is_null() {
            self.files("Secret", &secret["secretName"], secret, mode(secret, "defaultMode"))?
        } else if !map.is_null() {
            self.files("ConfigMap", &map["name"], map, mode(map, "defaultMode"))?
        } else if !projected.is_null() {
            let default = mode(projected, "defaultMode");
            let mut files = Vec::new();
            for source in items(&projected["sources"]) {
                let (secret, map) = (&source["secret"], &source["configMap"]);
                if !secret.is_null() {
                    files.extend(self.files("Secret", &secret["name"], secret, default)?);
                } else if !map.is_null() {
                    files.extend(self.files("ConfigMap", &map["name"], map, default)?);
                } else {
                    return Ok(Content::Unknown);
                }
            }
            files
        } else {
            return Ok(Content::Unknown);
        };
        Ok(Content::Files(files))
    }

    /// The files that a Secret or ConfigMap gives: those of `items`, or one for each key.
    fn files(&self, kind: &str, name: &Value, source: &Value, default: Option<u32>) -> Result<Vec<File>, String> {
        let name = name.as_str().unwrap_or_default();
        let optional = source["optional"] == true;
        let default = default.unwrap_or(DEFAULT_MODE);
        let Some(data) = self.data(kind, name) else {
            return match optional {
                true => Ok(Vec::new()),
                false => Err(format!("{} {name:?} not found", kind.to_lowercase())),
            };
        };
        if source["items"].is_null() {
            let file = |(path, content)| File {
                path,
                mode: default,
                content,
            };
            return Ok(data.into_iter().map(file).collect());
        }
        let mut files = Vec::new();
        for item in items(&source["items"]) {
            let key = item["key"].as_str().unwrap_or_default();
            let Some((_, content)) = data.iter().find(|(known, _)| known == key) else {
                match optional {
                    true => continue,
                    false => return Err(format!("references non-existent key {key} of the {kind} {name:?}")),
                }
            };
            files.push(File {
                path: item["path"].as_str().unwrap_or_default().to_owned(),
                mode: mode(item, "mode").unwrap_or(default),
                content: content.clone(),
            });
        }
        Ok(files)
    }
}

/// `path` below `directory`, unless it leads out of it.
pub(super) fn inside(directory: &Path, path: &str) -> Option<PathBuf> {
    let normal = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    Path::new(path).components().all(normal).then(|| directory.join(path))
}

fn sub_path(mount: &Value, env: &BTreeMap<String, String>) -> Option<String> {
    let plain = mount["subPath"].as_str().map(str::to_owned);
    let path = plain.or_else(|| mount["subPathExpr"].as_str().map(|path| expansion::expand(path, env)));
    path.filter(|path| !path.is_empty())
}

fn mode(object: &Value, field: &str) -> Option<u32> {
    object[field].as_u64().and_then(|mode| u32::try_from(mode).ok())
}

fn write(directory: &Path, files: &[File]) -> Result<(), ResolveError> {
    if directory.exists() {
        written(directory, fs::remove_dir_all(directory))?;
    }
    make_directory(directory, 0o755)?;
    for file in files {
        let path = inside(directory, &file.path).ok_or_else(|| ResolveError::Volume {
            volume: directory.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            reason: format!("the path {:?} leads out of it", file.path),
        })?;
        if let Some(parent) = path.parent() {
            make_directory(parent, 0o755)?;
        }
        written(&path, fs::write(&path, &file.content))?;
        written(&path, fs::set_permissions(&path, Permissions::from_mode(file.mode)))?;
    }
    Ok(())
}

/// Makes `directory`, with these permissions whatever the umask says; one that is there stays as it is.
fn make_directory(directory: &Path, mode: u32) -> Result<(), ResolveError> {
    if directory.is_dir() {
        return Ok(());
    }
    written(directory, fs::create_dir_all(directory))?;
    written(directory, fs::set_permissions(directory, Permissions::from_mode(mode)))
}

fn written<T>(path: &Path, result: std::io::Result<T>) -> Result<T, ResolveError> {
    result.map_err(|source| ResolveError::Write {
        path: path.to_owned(),
        source,
    })
}
