//! Files: the volumes that hold them, their mounts, and the init containers that fetch them.
//!
//! A container finds the files of those requests that reach it and no others. Containers with the same files share
//! volumes; as a rule that is all of them, and there is one memory volume for what is fetched and one volume for each
//! group of a Kubernetes Secret.

#![forbid(unsafe_code)]

use super::mounts::mount_clash;
use super::plan::Plan;
use super::{Addition, CONTAINER_LISTS, INIT_CONTAINERS, Pod, PodError, Room, described, template};
use crate::injection::{EnvValue, EnvVar, FileOrigin};
use crate::json::Node;
use crate::settings::Settings;

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

/// Fails where a container mounts something at `path`, where the agent of `addition` is going to mount a volume. The Vault
/// Agent injector's own may be there, where it was called before
/// ([container_env.go](https://github.com/hashicorp/vault-k8s/tree/main/agent-inject/agent)).
fn keep_free(pod: &Pod<'_>, path: &str, addition: Option<&Addition<'_>>) -> Result<(), PodError> {
    let in_the_way = |own: &&Node<'_>| {
        own.text("mountPath").map(|own| own.trim_end_matches('/')) == Some(path)
            && !own.text("name").is_some_and(|name| name.starts_with("vault-secrets"))
    };
    for container in CONTAINER_LISTS.iter().flat_map(|list| pod.spec_items(list)) {
        if let Some(own) = container.items("volumeMounts").iter().find(in_the_way) {
            let name = container.text("name").unwrap_or_default().to_owned();
            return Err(mount_clash(name, own, addition));
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
