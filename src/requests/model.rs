//! One secret that a Pod asks for.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use crate::names::excerpt;
use crate::sort::{has, sort_and_dedup};

/// What the keys of Flyte's annotations start with; a decimal number follows.
///
/// [Flyte's own constant](https://github.com/flyteorg/flyte/blob/master/flyteplugins/go/tasks/pluginmachinery/utils/secrets/marshaler.go)
/// is the same, but Flyte takes any key that starts so.
pub const FLYTE_PREFIX: &str = "flyte.secrets/s";

/// The key of the readable annotation, see [`json`](super::json).
pub const JSON_ANNOTATION: &str = "secret-injector/requests";

/// What a request writes in its `containers` for the container that Flyte's annotation [`PRIMARY_ANNOTATION`] names: no
/// container can be called so.
pub const PRIMARY_CONTAINER: &str = "$primary";

/// The annotation with which Flyte names the container that runs the task
/// ([pod_helper.go](https://github.com/flyteorg/flyte/blob/master/flyteplugins/go/tasks/pluginmachinery/flytek8s/pod_helper.go)).
pub const PRIMARY_ANNOTATION: &str = "primary_container_name";
/// The key that stands for all keys of a group.
pub const WHOLE: &str = "*";

/// The most bytes that a group, a version, a key or a variable's name may have: names are shorter everywhere, and longer ones
/// would go into each message, annotation and rule.
pub const MAX_FIELD_LENGTH: usize = 1024;

/// Says that the field is longer than [`MAX_FIELD_LENGTH`].
pub(super) fn too_long() -> String {
    format!("is longer than {MAX_FIELD_LENGTH} bytes, the most that a request's field may have")
}

/// The most containers that one request may name.
pub const MAX_CONTAINERS: usize = 1_000;

/// One secret that a Pod asks for.
///
/// The fields are those of Flyte's
/// [`core.Secret`](https://github.com/flyteorg/flyte/blob/master/flyteidl/protos/flyteidl/core/security.proto),
/// which part of it is wanted, and which containers get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRequest {
    /// Where the Pod asks for it; messages name it.
    pub origin: Origin,
    /// The secret's group: for a Kubernetes Secret its name. May be empty where a manager allows it.
    pub group: String,
    /// The version of the group; its meaning depends on the manager. Empty: none given.
    pub group_version: String,
    /// The key within the group. May be empty where a manager allows it.
    pub key: String,
    /// The field that is wanted of a secret that is a JSON object. Empty: the whole secret.
    pub field: String,
    /// How the secret is to reach the container.
    pub mount: MountRequirement,
    /// A further variable that is to hold the value, or the file's path. Empty: none asked for.
    pub env_var: String,
    /// A further place for the file: an absolute path. Empty: none asked for.
    pub path: String,
    /// The permissions of the file. Absent: those that the manager gives.
    pub mode: Option<u16>,
    /// The containers, init containers included, that get the secret.
    pub containers: Containers,
    /// Whether the Pod starts without the secret; absent where the settings decide.
    pub optional: Option<bool>,
    /// What the Pod asks for, where group, version and key are the names by which a manager finds it.
    pub asked: Option<Rc<Asked>>,
}

/// What was made into other names, see [`SecretRequest::asked`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The request as the Pod has it: variables and files have its names.
    pub request: SecretRequest,
    /// The role with which the manager finds it. Empty: the manager's own.
    pub role: String,
}

impl SecretRequest {
    /// Makes a request for nothing yet.
    #[must_use]
    pub const fn new(origin: Origin) -> Self {
        Self {
            origin,
            group: String::new(),
            group_version: String::new(),
            key: String::new(),
            field: String::new(),
            mount: MountRequirement::Any,
            env_var: String::new(),
            path: String::new(),
            mode: None,
            containers: Containers::All,
            optional: None,
            asked: None,
        }
    }

    /// Returns the request as the Pod has it: variables and files have its names.
    pub(crate) fn asked(&self) -> &Self {
        self.asked.as_deref().map_or(self, |asked| &asked.request)
    }

    /// Returns `group@version/key/field`, without what is empty.
    pub(crate) fn secret_name(&self) -> String {
        let parts = [&self.group, &self.group_version, &self.key, &self.field];
        let length = parts
            .iter()
            .fold(parts.len(), |sum, part| sum.saturating_add(part.len()));
        let mut name = String::with_capacity(length);
        name.push_str(&self.group);
        for (before, part) in [('@', &self.group_version), ('/', &self.key), ('/', &self.field)] {
            if !part.is_empty() {
                if !name.is_empty() || before == '@' {
                    name.push(before);
                }
                name.push_str(part);
            }
        }
        name
    }

    /// Returns whether the policy's settings ask for it, and not the Pod.
    pub(crate) const fn is_default(&self) -> bool {
        matches!(self.origin, Origin::Default { .. })
    }

    /// Returns whether the request itself says that the Pod starts without the secret.
    pub(crate) fn is_optional(&self) -> bool {
        self.optional == Some(true)
    }

    /// Returns the group, its version and the key.
    pub(super) fn secret(&self) -> (&str, &str, &str) {
        (&self.group, &self.group_version, &self.key)
    }

    /// Returns what tells one secret from another.
    pub(crate) fn identity(&self) -> (&str, &str, &str, &str, MountRequirement, &str, &str, Option<u16>) {
        (
            &self.group,
            &self.group_version,
            &self.key,
            &self.field,
            self.mount,
            &self.env_var,
            &self.path,
            self.mode,
        )
    }
}

/// How a secret is to reach the container: Flyte's `Secret.MountType`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MountRequirement {
    /// `ANY`: the manager chooses.
    #[default]
    Any,
    /// `ENV_VAR`: as an environment variable.
    EnvVar,
    /// `FILE`: as a file.
    File,
}

impl MountRequirement {
    /// The name in Flyte's protobuf enum.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "ANY",
            Self::EnvVar => "ENV_VAR",
            Self::File => "FILE",
        }
    }

    /// The value that Flyte's enum calls `name`, in this spelling only.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Any, Self::EnvVar, Self::File]
            .into_iter()
            .find(|mount| mount.name() == name)
    }

    /// The value with this number in Flyte's enum.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Any),
            1 => Some(Self::EnvVar),
            2 => Some(Self::File),
            _ => None,
        }
    }
}

/// Which containers of the Pod get a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Containers {
    /// Every container and init container.
    #[default]
    All,
    /// The containers and init containers of these names: sorted, each once, as [`Self::named`] makes it.
    Named(Vec<String>),
}

impl Containers {
    /// Whether the container called `name` gets the secret.
    #[must_use]
    pub fn includes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => has(names, name),
        }
    }

    /// `names`, sorted and each once, so that equal sets compare as equal.
    #[must_use]
    pub fn named(mut names: Vec<String>) -> Self {
        sort_and_dedup(&mut names);
        Self::Named(names)
    }

    /// Returns the place of [`PRIMARY_CONTAINER`] among the names.
    pub(crate) fn primary(&mut self) -> Option<&mut String> {
        match self {
            Self::All => None,
            Self::Named(names) => names.iter_mut().find(|name| *name == PRIMARY_CONTAINER),
        }
    }

    pub(super) fn absorb(&mut self, other: &mut Self) {
        match (&mut *self, other) {
            (Self::All, _) => {}
            (_, Self::All) => *self = Self::All,
            (Self::Named(names), Self::Named(more)) => names.append(more),
        }
    }

    /// Returns the names sorted, each once.
    #[inline(never)] // Few requests need it, and it is large.
    pub(crate) fn normalised(self) -> Self {
        match self {
            Self::All => Self::All,
            Self::Named(names) => Self::named(names),
        }
    }
}

/// Where somebody asks for a secret: a Pod, or the policy's settings for it.
///
/// ```text
/// annotation flyte.secrets/s0
/// annotation secret-injector/requests, item 2
/// setting defaults[0].requests[1]
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In an annotation of Flyte's.
    Flyte {
        /// The annotation's key, such as `flyte.secrets/s0`.
        key: String,
    },
    /// In the list of [`JSON_ANNOTATION`], or of an annotation whose key goes on with `-` and a name.
    Json {
        /// The annotation's key.
        annotation: String,
        /// The place in the list, from 0. Messages count from 1: "item 1" is the first.
        index: usize,
    },
    /// In the policy's setting `defaults`.
    Default {
        /// The place in the settings, such as `defaults[0].requests[1]`.
        place: String,
        /// Whether the Pod may not start without it.
        required: bool,
    },
}

impl Origin {
    /// The place among the annotations, or in the settings.
    #[must_use]
    pub fn place(&self) -> Cow<'_, str> {
        match self {
            Self::Flyte { key } => excerpt(key),
            Self::Json { annotation, index } => {
                format!("{}, item {}", excerpt(annotation), index.saturating_add(1)).into()
            }
            Self::Default { place, .. } => place.into(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Default { .. } => "setting",
            _ => "annotation",
        };
        write!(formatter, "{kind} {}", self.place())
    }
}
