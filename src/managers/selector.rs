//! Which requests a manager is asked for.

use std::borrow::Cow;

use crate::json::fields::{Fields, SettingsError};
use crate::managers::manager::{NotServed, not_found};
use crate::names::Glob;
use crate::patterns;
use crate::requests::{MountRequirement, SecretRequest};

/// Which requests a manager is asked for.
pub(crate) struct Selector {
    /// The group has to fit one of these; all do when there are none.
    pub groups: Vec<Glob>,
    /// Whether it is asked for variables.
    pub env: bool,
    /// Whether it is asked for files.
    pub file: bool,
}

impl Selector {
    pub(super) fn from_fields(fields: Option<Fields<'_>>) -> Result<Self, SettingsError> {
        let mut fields = fields.unwrap_or_default();
        let groups = patterns::read(&mut fields, "groups", patterns::anything)?;
        if groups.as_ref().is_some_and(Vec::is_empty) {
            return Err(fields.invalid(
                "groups",
                "is empty: the manager would never be asked; leave the field out for all groups",
            ));
        }
        let mounts = fields.take::<Vec<String>>("mounts")?;
        let (mut env, mut file) = (mounts.is_none(), mounts.is_none());
        for mount in mounts.iter().flatten() {
            match mount.as_str() {
                "env" => env = true,
                "file" => file = true,
                _ => return Err(fields.invalid("mounts", "holds something else than env and file")),
            }
        }
        if !env && !file {
            return Err(fields.invalid(
                "mounts",
                "is empty: the manager would never be asked; leave the field out",
            ));
        }
        fields.finish()?;
        Ok(Self {
            groups: groups.unwrap_or_default(),
            env,
            file,
        })
    }

    /// Checks that the manager is to be asked for `request`.
    pub(super) fn check(&self, request: &SecretRequest) -> Result<(), NotServed> {
        if !self.groups.is_empty() && !self.groups.iter().any(|glob| glob.fits(&request.group)) {
            return Err(not_found!("the settings' match.groups leaves this group to others"));
        }
        let mount = request.mount;
        if mount == MountRequirement::EnvVar && !self.env || mount == MountRequirement::File && !self.file {
            return Err(not_found!(
                "the settings' match.mounts leaves this way to mount to others"
            ));
        }
        Ok(())
    }

    /// Replaces [`MountRequirement::Any`] with the only mount type that `match.mounts` allows.
    pub(super) fn narrowed<'r>(&self, request: &'r SecretRequest) -> Cow<'r, SecretRequest> {
        let mount = match (request.mount, self.env, self.file) {
            (MountRequirement::Any, true, false) => MountRequirement::EnvVar,
            (MountRequirement::Any, false, true) => MountRequirement::File,
            _ => return Cow::Borrowed(request),
        };
        Cow::Owned(SecretRequest {
            mount,
            ..request.clone()
        })
    }
}
