//! Kubernetes RBAC over the Roles and bindings of a cluster file.

mod objects;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::protocol::{ResourceAttributes, SubjectAccessReview};

pub use objects::{Binding, PolicyRule, Role, RoleRef, Subject};

/// What bindings give to a service account.
#[derive(Debug)]
pub(crate) enum Bound<'r> {
    /// No binding names it.
    Nowhere,
    /// Roles that are known.
    Known,
    /// A role that is not known, among others.
    To(&'r RoleRef),
}

/// Everything that RBAC decides by.
#[derive(Debug, Default)]
pub struct Rbac {
    /// All Roles.
    pub roles: Vec<Role>,
    /// All ClusterRoles.
    pub cluster_roles: Vec<Role>,
    /// All RoleBindings.
    pub role_bindings: Vec<Binding>,
    /// All ClusterRoleBindings.
    pub cluster_role_bindings: Vec<Binding>,
}

/// `authorization.k8s.io/v1` SubjectAccessReviewStatus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AccessReviewStatus {
    /// Whether the user may do it.
    pub allowed: bool,
    /// Which binding allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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

    /// Returns whether bindings give roles to the service account, and whether these roles are known.
    pub(crate) fn bound(&self, namespace: &str, name: &str) -> Bound<'_> {
        let is = |binding: &Binding, subject: &Subject| {
            let own = subject.namespace.as_deref().or(binding.metadata.namespace.as_deref());
            subject.kind == "ServiceAccount" && subject.name == name && own == Some(namespace)
        };
        let bindings = self.role_bindings.iter().chain(&self.cluster_role_bindings);
        let own: Vec<&Binding> = bindings
            .filter(|binding| binding.subjects.iter().flatten().any(|subject| is(binding, subject)))
            .collect();
        let unknown = own.iter().find(|binding| {
            self.role(&binding.role_ref, binding.metadata.namespace.as_deref())
                .is_none()
        });
        match (own.is_empty(), unknown) {
            (true, _) => Bound::Nowhere,
            (_, Some(binding)) => Bound::To(&binding.role_ref),
            (_, None) => Bound::Known,
        }
    }

    /// Returns the role that a binding refers to. A Role is looked for in the binding's own namespace only.
    fn role(&self, role: &RoleRef, namespace: Option<&str>) -> Option<&Role> {
        let of_kind: &[Role] = match role.kind.as_str() {
            "ClusterRole" => &self.cluster_roles,
            "Role" => &self.roles,
            _ => &[],
        };
        of_kind.iter().find(|candidate| {
            candidate.metadata.name == role.name
                && (role.kind == "ClusterRole" || candidate.metadata.namespace.as_deref() == namespace)
        })
    }

    fn by_cluster_role_binding(&self, user: &User, wanted: &ResourceAttributes) -> Option<Reason> {
        let binding = self.cluster_role_bindings.iter().find(|binding| {
            user.is_any_of(binding.subjects.as_deref(), None)
                && self.rules(&binding.role_ref, None).any(|rule| covers(rule, wanted))
        })?;
        let name = binding.metadata.name.as_str();
        Some(reason("ClusterRoleBinding", name, &binding.role_ref, user))
    }

    fn by_role_binding(&self, user: &User, wanted: &ResourceAttributes) -> Option<Reason> {
        let namespace = wanted.namespace.as_deref().filter(|name| !name.is_empty())?;
        let binding = self.role_bindings.iter().find(|binding| {
            binding.metadata.namespace.as_deref() == Some(namespace)
                && user.is_any_of(binding.subjects.as_deref(), Some(namespace))
                && self
                    .rules(&binding.role_ref, Some(namespace))
                    .any(|rule| covers(rule, wanted))
        })?;
        let name = format!("{}/{namespace}", binding.metadata.name);
        Some(reason("RoleBinding", &name, &binding.role_ref, user))
    }

    /// The rules of the role that a binding refers to.
    fn rules<'a>(&'a self, role: &'a RoleRef, namespace: Option<&'a str>) -> impl Iterator<Item = &'a PolicyRule> {
        let found = self.role(role, namespace);
        let mut roles = Vec::new();
        found
            .into_iter()
            .for_each(|found| self.add_aggregated(found, &mut roles));
        // The controller replaces the own rules of a role that aggregates.
        let own = roles.into_iter().filter(|role| role.aggregation_rule.is_none());
        own.flat_map(|role| role.rules.iter().flatten())
    }

    /// Adds `role` to `roles`, and the ClusterRoles that it aggregates, which may aggregate others in turn.
    fn add_aggregated<'a>(&'a self, role: &'a Role, roles: &mut Vec<&'a Role>) {
        if roles.iter().any(|known| std::ptr::eq(*known, role)) {
            return;
        }
        roles.push(role);
        let Some(rule) = &role.aggregation_rule else {
            return;
        };
        let none = BTreeMap::new();
        for other in &self.cluster_roles {
            let labels = other.metadata.labels.as_ref().unwrap_or(&none);
            if rule
                .cluster_role_selectors
                .iter()
                .any(|selector| selector.matches(labels))
            {
                self.add_aggregated(other, roles);
            }
        }
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
    has(rule.verbs.as_ref(), &wanted.verb)
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

#[cfg(test)]
mod tests {
    use crate::cluster::Cluster;

    use super::*;

    #[test]
    fn aggregated_cluster_roles_have_the_rules_of_others() {
        let cluster = Cluster::from_yaml(
            r#"{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: all},
 aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: all}}]},
 rules: [{apiGroups: [""], resources: [secrets], verbs: [delete]}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: part, labels: {to: all}}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {to: part}}, {matchLabels: {to: all}}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: smallest, labels: {to: part}}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b, namespace: team-a}
roleRef: {kind: ClusterRole, name: all}
subjects: [{kind: User, name: alice}]
"#,
        )
        .unwrap();
        let may = |verb: &str| {
            let review = SubjectAccessReview {
                user: "alice".to_owned(),
                groups: None,
                resource_attributes: ResourceAttributes {
                    namespace: Some("team-a".to_owned()),
                    resource: "secrets".to_owned(),
                    verb: verb.to_owned(),
                    ..ResourceAttributes::default()
                },
            };
            cluster.can_i(&review).allowed
        };
        assert!(may("get"));
        assert!(!may("delete"), "the controller replaces the rules of its own");
    }
}
