//! Kubernetes RBAC over the Roles and bindings of a cluster file.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kubewarden_policy_sdk::host_capabilities::kubernetes::{ResourceAttributes, SubjectAccessReview};

/// Everything that RBAC decides by.
#[derive(Debug, Default)]
pub struct Rbac {
    /// All Roles.
    pub roles: Vec<Role>,
    /// All ClusterRoles.
    pub cluster_roles: Vec<ClusterRole>,
    /// All RoleBindings.
    pub role_bindings: Vec<RoleBinding>,
    /// All ClusterRoleBindings.
    pub cluster_role_bindings: Vec<ClusterRoleBinding>,
}

/// Why RBAC allows a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(pub String);

impl Rbac {
    /// The reason to allow what `review` asks for, or nothing where no rule allows it: RBAC only ever adds.
    pub fn allows(&self, review: &SubjectAccessReview) -> Option<Reason> {
        let user = User::new(review);
        let wanted = &review.resource_attributes;
        self.by_cluster_role_binding(&user, wanted)
            .or_else(|| self.by_role_binding(&user, wanted))
    }

    fn by_cluster_role_binding(&self, user: &User, wanted: &ResourceAttributes) -> Option<Reason> {
        let binding = self.cluster_role_bindings.iter().find(|binding| {
            user.is_any_of(binding.subjects.as_deref(), None)
                && self
                    .rules(&binding.role_ref, None)
                    .iter()
                    .any(|rule| covers(rule, wanted))
        })?;
        let name = binding.metadata.name.as_deref().unwrap_or_default();
        Some(reason("ClusterRoleBinding", name, &binding.role_ref, user))
    }

    fn by_role_binding(&self, user: &User, wanted: &ResourceAttributes) -> Option<Reason> {
        let namespace = wanted.namespace.as_deref().filter(|name| !name.is_empty())?;
        let binding = self.role_bindings.iter().find(|binding| {
            binding.metadata.namespace.as_deref() == Some(namespace)
                && user.is_any_of(binding.subjects.as_deref(), Some(namespace))
                && self
                    .rules(&binding.role_ref, Some(namespace))
                    .iter()
                    .any(|rule| covers(rule, wanted))
        })?;
        let name = binding.metadata.name.as_deref().unwrap_or_default();
        let name = format!("{name}/{namespace}");
        Some(reason("RoleBinding", &name, &binding.role_ref, user))
    }

    /// The rules of the role that a binding refers to. A Role is looked for in the binding's own namespace only.
    fn rules(&self, role: &RoleRef, namespace: Option<&str>) -> &[PolicyRule] {
        let named = |name: &Option<String>| name.as_deref() == Some(role.name.as_str());
        let rules = match role.kind.as_str() {
            "ClusterRole" => self
                .cluster_roles
                .iter()
                .find(|candidate| named(&candidate.metadata.name))
                .and_then(|found| found.rules.as_deref()),
            "Role" => self
                .roles
                .iter()
                .find(|candidate| {
                    named(&candidate.metadata.name) && candidate.metadata.namespace.as_deref() == namespace
                })
                .and_then(|found| found.rules.as_deref()),
            _ => None,
        };
        rules.unwrap_or_default()
    }
}

/// Who asks. A SubjectAccessReview says the groups itself: the API server adds none, not even to a service account.
struct User<'r> {
    name: &'r str,
    groups: &'r [String],
}

impl<'r> User<'r> {
    fn new(review: &'r SubjectAccessReview) -> Self {
        Self {
            name: &review.user,
            groups: review.groups.as_deref().unwrap_or_default(),
        }
    }

    fn is_any_of(&self, subjects: Option<&[Subject]>, namespace: Option<&str>) -> bool {
        subjects
            .unwrap_or_default()
            .iter()
            .any(|subject| self.is(subject, namespace))
    }

    fn is(&self, subject: &Subject, namespace: Option<&str>) -> bool {
        match subject.kind.as_str() {
            "User" => subject.name == self.name,
            "Group" => self.groups.contains(&subject.name),
            "ServiceAccount" => match subject.namespace.as_deref().or(namespace) {
                Some(namespace) => self.name == service_account_user(namespace, &subject.name),
                None => false,
            },
            _ => false,
        }
    }
}

/// The user name of a service account.
pub fn service_account_user(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// The groups that the API server puts a service account of `namespace` into when it authenticates.
pub fn service_account_groups(namespace: &str) -> Vec<String> {
    vec![
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
        "system:authenticated".to_owned(),
    ]
}

fn covers(rule: &PolicyRule, wanted: &ResourceAttributes) -> bool {
    let group = wanted.group.as_deref().unwrap_or_default();
    has(Some(&rule.verbs), &wanted.verb)
        && has(rule.api_groups.as_ref(), group)
        && covers_resource(rule, wanted)
        && covers_name(rule, wanted.name.as_deref().unwrap_or_default())
}

fn has(allowed: Option<&Vec<String>>, wanted: &str) -> bool {
    allowed.is_some_and(|allowed| allowed.iter().any(|one| one == "*" || one == wanted))
}

fn covers_resource(rule: &PolicyRule, wanted: &ResourceAttributes) -> bool {
    let Some(subresource) = wanted.subresource.as_deref().filter(|name| !name.is_empty()) else {
        return has(rule.resources.as_ref(), &wanted.resource);
    };
    has(rule.resources.as_ref(), &format!("{}/{subresource}", wanted.resource))
        || has(rule.resources.as_ref(), &format!("*/{subresource}"))
}

fn covers_name(rule: &PolicyRule, wanted: &str) -> bool {
    match rule.resource_names.as_deref() {
        None | Some([]) => true,
        Some(names) => names.iter().any(|name| name == wanted),
    }
}

fn reason(kind: &str, name: &str, role: &RoleRef, user: &User) -> Reason {
    Reason(format!(
        "RBAC: allowed by {kind} \"{name}\" of {} \"{}\" to User \"{}\"",
        role.kind, role.name, user.name
    ))
}
