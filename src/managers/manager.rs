//! What every manager does.

use std::fmt;

use crate::access;
use crate::injection::Injection;
use crate::managers::context::Context;
use crate::requests::SecretRequest;

/// The texts of the setting `names`, each for a part of a name.
pub(crate) type Texts = [(&'static str, String)];

/// A system that keeps secrets, as an operator has set it up.
pub(crate) trait Manager {
    /// Returns what this manager adds to the Pod for `request`.
    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection<'_>, NotServed>;

    /// Returns the name that the settings give to this manager, if any.
    fn name(&self) -> Option<&str> {
        None
    }

    /// Returns the role with which secrets are read, in which the placeholders of the setting `names` may stand.
    fn role(&self) -> Option<&str> {
        None
    }

    /// Returns where it looks for what its settings name.
    fn scope(&self) -> Scope {
        Scope::Everywhere
    }

    /// Returns whether the part `part` of a name plays a part for this manager.
    fn finds_by(&self, _part: &str) -> bool {
        true
    }

    /// Returns a text of its settings that becomes the same for different Pods, where `names` are what parts of a name are made
    /// of, and may hold `allowed` besides letters, digits and a few more.
    fn confused_text(&self, _names: &Texts, _allowed: &str) -> Option<&str> {
        None
    }

    /// Returns whether this manager gives one field of a secret, see [`SecretRequest::field`].
    fn gives_fields(&self) -> bool {
        false
    }

    /// Returns whether the key `*` stands for all keys of a group.
    fn gives_whole(&self) -> bool {
        false
    }

    /// Returns the group and key that identify the secret of `request` for this manager. Parts that the manager ignores are
    /// empty, so that they cannot match a rule of the settings' `access`.
    fn access_key<'r>(&self, request: &'r SecretRequest) -> (&'r str, &'r str) {
        (&request.group, &request.key)
    }

    /// Returns why the manager might find another secret for `request` than the one that a rule of the settings' `access` is
    /// about: it joins group and key to one name, which another group and key would make as well. `names` are the texts of the
    /// setting `names`, which made the request's.
    fn ambiguity(&self, _request: &SecretRequest, _names: &Texts, _context: &Context<'_>) -> Option<String> {
        None
    }

    /// Returns whether a Pod starts without a secret of this manager where the request says `optional: true`.
    fn takes_optional(&self) -> bool {
        true
    }

    /// Returns the text that the patterns of the settings' `access` are matched with: the [access key](Self::access_key) with
    /// `/` inside, or the secret's own name where group and key make one name together.
    fn access_name(&self, request: &SecretRequest) -> String {
        let (group, key) = self.access_key(request);
        access::name(group, key)
    }

    /// Returns the [name](Self::access_name) of a second secret that the request may lead to, where the manager changes the
    /// case of letters.
    fn other_access_name(&self, _request: &SecretRequest) -> Option<String> {
        None
    }
}

/// Where the Kubernetes object or the secret that a text names is looked for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Scope {
    /// In the Pod's namespace, so that the same name in another namespace is another object.
    Namespace,
    /// Anywhere.
    Everywhere,
}

/// Why a whole secret that is a directory has neither path nor mode.
pub(super) const FOR_ONE_FILE: &str = "path and mode are for one file: ask for one key, or leave both out";

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotServed {
    pub kind: NotServedKind,
    /// The reason for the Pod's author; it holds no value of a secret.
    pub reason: String,
}

/// What a request that is not served means for the Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotServedKind {
    /// The manager has no such secret, or cannot give it in this way: the next manager is asked.
    NotFound,
    /// The Pod may not have the secret: the Pod is rejected.
    Denied,
    /// The manager could not find out: the Pod is rejected.
    Unavailable,
}

impl NotServed {
    pub(super) fn new(kind: NotServedKind, reason: fmt::Arguments<'_>) -> Self {
        let reason = reason.to_string();
        Self { kind, reason }
    }
}

/// Makes a [`NotServed`] of the kind `NotFound`. The arguments are those of `format!`.
macro_rules! not_found {
    ($($reason:tt)*) => {
        $crate::managers::manager::NotServed::new(
            $crate::managers::manager::NotServedKind::NotFound,
            format_args!($($reason)*),
        )
    };
}

/// Makes a [`NotServed`] of the kind `Denied`. The arguments are those of `format!`.
macro_rules! denied {
    ($($reason:tt)*) => {
        $crate::managers::manager::NotServed::new(
            $crate::managers::manager::NotServedKind::Denied,
            format_args!($($reason)*),
        )
    };
}

/// Makes a [`NotServed`] of the kind `Unavailable`. The arguments are those of `format!`.
macro_rules! unavailable {
    ($($reason:tt)*) => {
        $crate::managers::manager::NotServed::new(
            $crate::managers::manager::NotServedKind::Unavailable,
            format_args!($($reason)*),
        )
    };
}

pub(super) use {denied, not_found, unavailable};
