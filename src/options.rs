//! What managers and the Pod need to know of the settings.

use crate::json::fields::{Fields, SettingsError};
use crate::names::{self, is_mount_path, taken_path};

/// The settings that say how secrets appear in a Pod, whichever manager serves them.
pub(crate) struct Options {
    /// `envPrefix`: what the names of injected variables begin with, in upper case as the rest of them.
    pub env_prefix: String,
    /// `mountPath`: the directory in which secret files appear.
    pub mount_path: String,
    /// `initContainers: first`: whether the containers that we add stand before the Pod's own, which then find the files. Flyte
    /// puts them last.
    pub init_containers_first: bool,
    /// `envFiles`: whether variables may come from files that our init containers write.
    pub env_files: bool,
    /// `clientVariables`: whether containers get the variables that tell Flyte's clients where secrets are.
    pub client_variables: bool,
    /// `statusAnnotation`: whether the Pod says what was injected into it.
    pub status_annotation: bool,
    /// `dryRun`: whether every Pod is admitted as it is, and told what would be injected.
    pub dry_run: bool,
}

impl Options {
    /// Reads the options among the settings.
    pub(crate) fn from_fields(fields: &mut Fields<'_>) -> Result<Self, SettingsError> {
        let env_prefix = env_prefix(fields)?;
        let mount_path = mount_path(fields)?;
        let init_containers_first = fields.choice("initContainers", true, &[("first", true), ("last", false)])?;
        let env_files = fields.take("envFiles")?.unwrap_or(false);
        if env_files && !init_containers_first {
            return Err(fields.invalid(
                "envFiles",
                "needs initContainers: first: an init container of a Pod would wait without end for a variable whose file \
                 is written after it",
            ));
        }
        Ok(Self {
            env_prefix,
            mount_path,
            init_containers_first,
            env_files,
            client_variables: fields.choice("clientVariables", true, &[("flyte", true), ("none", false)])?,
            status_annotation: fields.take("statusAnnotation")?.unwrap_or(true),
            dry_run: fields.take("dryRun")?.unwrap_or(false),
        })
    }
}

/// Reads `envPrefix`. Variables are named in upper case, so that a client that is told the prefix as it is written would
/// look for another name.
fn env_prefix(fields: &mut Fields<'_>) -> Result<String, SettingsError> {
    let prefix = fields
        .take::<String>("envPrefix")?
        .unwrap_or_else(|| "_UNION_".to_owned());
    if prefix.is_empty() {
        return Err(fields.invalid(
            "envPrefix",
            "is empty, which Flyte's clients take for no prefix at all: they would look for _FSEC_…; give one such as \
             _UNION_, and let requests name a variable without it in envVar (Flyte: env_var)",
        ));
    }
    if !fields.is_checked() && !names::is_variable(&prefix) {
        return Err(fields.invalid(
            "envPrefix",
            "cannot begin an environment variable name: use letters, digits, '_', '-' and '.', and no digit at the front",
        ));
    }
    Ok(prefix.to_ascii_uppercase())
}

fn mount_path(fields: &mut Fields<'_>) -> Result<String, SettingsError> {
    let path = fields.valid(
        "mountPath",
        "/etc/flyte/secrets",
        is_mount_path,
        "has to be an absolute path other than /, without ':', empty parts, '.' and '..', such as /etc/flyte/secrets",
    )?;
    if !fields.is_checked()
        && let Some((taken, what)) = taken_path(&path)
    {
        return Err(fields.invalid(
            "mountPath",
            &format!(
                "would lie in the way of {taken}, {what}: containers would not start; choose a directory of its own, \
                 such as /etc/flyte/secrets"
            ),
        ));
    }
    Ok(path)
}

/// Returns whether a mount at `path` would hide the service account's token, or be hidden by it.
pub(crate) fn is_over_token(path: &str) -> bool {
    taken_path(path.trim_end_matches('/')).is_some_and(|(taken, _)| taken.ends_with("/serviceaccount"))
}
