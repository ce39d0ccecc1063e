//! Asking Kubernetes who may read a Secret that a manager hands out.

use crate::cluster::{self, Cluster};
use crate::json::fields::{Fields, SettingsError};
use crate::managers::context::{Context, User};
use crate::managers::manager::{NotServed, denied, unavailable};

/// What the names of users begin with that are the cluster's own: service accounts, nodes and components.
const SYSTEM: &str = "system:";

/// Who has to be allowed to read a Secret that a manager hands out.
#[derive(Clone, Copy)]
pub(crate) enum Authorize {
    /// The Pod's service account.
    ServiceAccount,
    /// The person who asks for the Pod.
    User,
    /// The Pod's service account and the person.
    Both,
    /// Nobody, as in Flyte.
    None,
}

impl Authorize {
    /// Reads the setting `authorize`.
    ///
    /// # Errors
    /// When it is none of the choices.
    pub(crate) fn from_fields(fields: &mut Fields<'_>, default: Self) -> Result<Self, SettingsError> {
        let choices = [
            ("serviceAccount", Self::ServiceAccount),
            ("user", Self::User),
            ("both", Self::Both),
            ("none", Self::None),
        ];
        fields.choice("authorize", default, &choices)
    }

    /// Asks Kubernetes whether the Pod's service account, the person who creates the Pod, or both, may `get` the Secret.
    pub(crate) fn check(self, namespace: &str, secret: &str, context: &Context<'_>) -> Result<(), NotServed> {
        if matches!(self, Self::User | Self::Both) {
            check_person(context.user.name)?;
        }
        if matches!(self, Self::ServiceAccount | Self::Both) {
            let account = context.service_account;
            let own = context.namespace;
            let user = User {
                name: &format!("system:serviceaccount:{own}:{account}"),
                groups: &[
                    "system:serviceaccounts",
                    &format!("system:serviceaccounts:{own}"),
                    "system:authenticated",
                ],
            };
            let who = format!("the service account {account:?} in the namespace {own:?}");
            check_user(user, &who, (namespace, secret), context)?;
        }
        if matches!(self, Self::User | Self::Both) {
            let who = format!("the user {:?}", context.user.name);
            check_user(context.user, &who, (namespace, secret), context)?;
        }
        Ok(())
    }
}

/// Refuses a user that is not a person. A controller creates Pods for whoever writes a Deployment or a Git repository: its
/// permissions say nothing about the author, and a grant to it would be one to all of them.
fn check_person(user: &str) -> Result<(), NotServed> {
    let who = if user.is_empty() {
        "nobody that the admission request names".to_owned()
    } else if user.starts_with(SYSTEM) {
        format!("{user:?}, which is no person and may act for many")
    } else {
        return Ok(());
    };
    Err(denied!(
        "this manager's setting authorize asks what the person who creates the Pod may read, but the Pod is created by {who}; \
         its permissions do not count, and no grant would change that: create the Pod as a person, or ask the cluster's \
         operator for authorize: serviceAccount"
    ))
}

/// Checks that `user`, whom messages call `who`, may get a Secret.
fn check_user(
    user: User<'_>,
    who: &str,
    (namespace, secret): (&str, &str),
    context: &Context<'_>,
) -> Result<(), NotServed> {
    match context
        .cluster
        .may_get_secret(user.name, user.groups, namespace, secret)
    {
        Ok(true) => Ok(()),
        Ok(false) => Err(denied!(
            "{who} may not get the Secret {secret:?} in the namespace {namespace:?}. This would allow it, 5 s after it \
             is applied, for the policy server remembers a refusal as long:\n\
             apiVersion: rbac.authorization.k8s.io/v1\n\
             kind: Role\n\
             metadata: {{name: read-{secret}, namespace: {namespace:?}}}\n\
             rules: [{{apiGroups: [\"\"], resources: [secrets], resourceNames: [{secret:?}], verbs: [get]}}]\n\
             ---\n\
             apiVersion: rbac.authorization.k8s.io/v1\n\
             kind: RoleBinding\n\
             metadata: {{name: read-{secret}, namespace: {namespace:?}}}\n\
             roleRef: {{kind: Role, name: read-{secret}, apiGroup: rbac.authorization.k8s.io}}\n\
             subjects: [{}]",
            cluster::subject(user.name)
        )),
        Err(error) => Err(unavailable!(
            "whether {who} may get the Secret {secret:?} is unknown: {error}"
        )),
    }
}
