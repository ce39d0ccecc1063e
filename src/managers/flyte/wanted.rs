//! How one of Flyte 2's own secrets is to reach a container.

use crate::injection::RelativePath;
use crate::managers::manager::{NotServed, not_found};
use crate::managers::naming::{self, NO_VARIABLE};
use crate::names;
use crate::options::Options;
use crate::requests::{MountRequirement, SecretRequest};

/// The volume's name where it is free.
pub(super) const VOLUME: &str = "embedded-secret-vol";

/// How the secret is to reach the container.
pub(super) enum Wanted {
    Variable(String),
    File(RelativePath),
}

impl Wanted {
    pub(super) fn new(request: &SecretRequest, options: &Options) -> Result<Self, NotServed> {
        let key = request.key.as_str();
        if request.mount == MountRequirement::File {
            // Flyte keeps upper case here, and the kubelet takes no file whose name begins with "..".
            return RelativePath::new(&[key])
                .ok()
                .filter(|_| !key.starts_with(".."))
                .map(Self::File)
                .ok_or_else(|| {
                    not_found!(
                        "{key:?} cannot be a file's name: it is too long, '.', begins with '..', or holds '/' or a \
                         control character"
                    )
                });
        }
        if let Some(name) = naming::extra_env_var(request)? {
            return Ok(Self::Variable(name.to_owned()));
        }
        let name = format!("{}{}", options.env_prefix, key.to_ascii_uppercase());
        if names::is_variable(&name) {
            return Ok(Self::Variable(name));
        }
        Err(not_found!(
            "{name:?} {NO_VARIABLE}; name one with env_var, or ask for a file"
        ))
    }
}
