//! The permissions of files, and the users that read them.

use serde_json::Value;

use super::document::{Pod, Users, name_of};
use super::error::PodError;
use super::our_names::is_named_as_ours;
use super::work::Work;
use crate::injection::{Addition, FileOrigin};
use crate::json::{Node, WrongType};
use crate::requests::Containers;
use crate::sort::has;

/// The users of the containers that a request reaches.
pub(crate) struct Readers {
    /// The one user that all of them run as, where the Pod says it.
    pub user: Option<i64>,
    /// Whether they have a group in common, which owns the Pod's volumes.
    pub has_group: bool,
}

/// What lets a container read a file whose mode is narrow.
pub(crate) const WAYS_TO_READ: &str = "let securityContext.runAsUser be the same in the Pod's containers that the request reaches \
    (name them in the field containers), or set the Pod's securityContext.fsGroup with a mode such as \"0440\", or choose a \
    mode such as \"0444\"";

impl Readers {
    /// Returns whether a file of this mode, which an init container writes, needs the readers' own user as its owner.
    pub(crate) fn need_owner(&self, mode: u16) -> bool {
        mode & 0o004 == 0 && !(self.has_group && mode & 0o040 != 0)
    }
}

impl Pod<'_> {
    /// Looks at the containers that a request for `containers` reaches, but for the init containers `ours` and others with a
    /// name of ours or of an agent.
    pub(crate) fn readers(&self, containers: &Containers, ours: &[String]) -> Readers {
        let users = self.users.get_or_init(|| self.read_users());
        let reached = users
            .containers
            .iter()
            .filter(|(is_init, name, _)| containers.includes(name) && !(*is_init && has(ours, name)));
        let mut reached = reached.map(|(_, _, user)| *user);
        let first = reached.next().flatten();
        Readers {
            user: first.filter(|first| reached.all(|other| other == Some(*first))),
            has_group: users.has_group,
        }
    }

    /// Reads the users, which may be long to read and is done once.
    fn read_users(&self) -> Users {
        let context = |node: Option<&Node<'_>>| node.map(Node::to_value).unwrap_or_default();
        let user = |context: &Value| context.get("runAsUser").and_then(Value::as_i64);
        let of_pod = context(self.field("securityContext"));
        let containers = self.containers(&[]).map(|(is_init, container)| {
            let own = user(&context(container.get("securityContext")));
            (is_init, name_of(container).to_owned(), own.or_else(|| user(&of_pod)))
        });
        let is_own = |is_init: bool, name: &str| name != "vault-agent" && !(is_init && is_named_as_ours(name));
        Users {
            containers: containers.filter(|(is_init, name, _)| is_own(*is_init, name)).collect(),
            has_group: of_pod.get("fsGroup").is_some_and(|group| !group.is_null()),
        }
    }
}

/// Returns the user that the init containers of a manager have to run as, so that readers can open the files that these
/// containers write.
///
/// # Errors
/// Where no user is right for all files.
pub(super) fn fetching_user(
    pod: &Pod<'_>,
    ours: &[String],
    work: &Work<'_>,
    manager: usize,
) -> Result<Option<i64>, PodError> {
    let mut found: Option<(i64, &Addition<'_>)> = None;
    for addition in work.additions.iter().filter(|addition| addition.position == manager) {
        let (Some(mode), Some(_)) = (addition.request.mode, addition.injection.fetched()) else {
            continue;
        };
        let readers = pod.readers(&addition.request.containers, ours);
        if !readers.need_owner(mode) {
            continue;
        }
        let Some(user) = readers.user else {
            let message = format!(
                "{addition} asks for the mode \"{mode:04o}\", with which the Pod's containers may not be able to read the \
                 file: {WAYS_TO_READ}"
            );
            return Err(PodError::about(&[addition], message));
        };
        match found {
            Some((other, first)) if other != user => {
                let message = format!(
                    "{first} and {addition} are fetched by one init container, and their modes let only the users {other} and \
                     {user} read them: let both have one runAsUser, or choose a mode such as \"0444\""
                );
                return Err(PodError::about(&[first, addition], message));
            }
            _ => found = Some((user, addition)),
        }
    }
    Ok(found.map(|(user, _)| user))
}

/// Lets an init container run as `user`, where one is needed.
pub(super) fn run_as(spec: &mut Node<'_>, user: Option<i64>) -> Result<(), WrongType> {
    let Some(user) = user else {
        return Ok(());
    };
    let field = spec.field_mut("securityContext", || Node::Object(Vec::new()))?;
    let mut context = field.to_value();
    if let Value::Object(context) = &mut context {
        context.insert("runAsUser".to_owned(), user.into());
        if user == 0 {
            context.remove("runAsNonRoot");
        }
    }
    *field = Node::made(&context);
    Ok(())
}

/// Checks that containers can read the files of Secret volumes, which belong to root.
pub(super) fn check_modes(pod: &Pod<'_>, ours: &[String], work: &mut Work<'_>) -> Result<(), PodError> {
    for addition in work.additions {
        let origin = addition.injection.file.as_ref().map(|file| &file.origin);
        let (Some(mode), Some(FileOrigin::Secret { .. })) = (addition.request.mode, origin) else {
            continue;
        };
        let Readers { user, has_group } = pod.readers(&addition.request.containers, ours);
        if has_group {
            // The kubelet adds this for the group, whatever the mode (https://github.com/kubernetes/kubernetes/issues/81089).
            if mode & 0o440 != 0o440 {
                let given = mode | 0o440;
                work.warnings.push(format!(
                    "{addition} asks for the mode \"{mode:04o}\"; the kubelet makes it \"{given:04o}\", because the Pod has \
                     securityContext.fsGroup"
                ));
            }
        } else if mode & 0o004 == 0 && user != Some(0) {
            if user.is_some() {
                let message = format!(
                    "{addition} asks for the mode \"{mode:04o}\", but the file belongs to root, and the Pod's containers run as \
                     another user: set the Pod's securityContext.fsGroup, or choose a mode such as \"0444\""
                );
                return Err(PodError::about(&[addition], message));
            }
            work.warnings.push(format!(
                "{addition} asks for the mode \"{mode:04o}\": the file belongs to root, so that only images that run as root can \
                 read it; for others set the Pod's securityContext.fsGroup, or choose a mode such as \"0444\""
            ));
        }
    }
    Ok(())
}
