//! The objects of RBAC, as far as they decide anything.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::selector::LabelSelector;

/// Names an object.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Metadata {
    /// The name.
    pub name: String,
    /// The namespace, of a kind that has one.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The labels, by which ClusterRoles are aggregated.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
}

/// A Role or a ClusterRole.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    /// Name, namespace and labels.
    pub metadata: Metadata,
    /// What the role allows.
    #[serde(default)]
    pub rules: Option<Vec<PolicyRule>>,
    /// The ClusterRoles whose rules make up this one.
    #[serde(default)]
    pub aggregation_rule: Option<AggregationRule>,
}

/// Selects the ClusterRoles whose rules make up another.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AggregationRule {
    /// A ClusterRole counts if one of them selects its labels.
    #[serde(default)]
    pub cluster_role_selectors: Vec<LabelSelector>,
}

/// One rule of a role.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    /// The API groups; `*` is all.
    #[serde(default)]
    pub api_groups: Option<Vec<String>>,
    /// The resources; `*` is all.
    #[serde(default)]
    pub resources: Option<Vec<String>>,
    /// The names of objects; none is all.
    #[serde(default)]
    pub resource_names: Option<Vec<String>>,
    /// The verbs; `*` is all.
    #[serde(default)]
    pub verbs: Option<Vec<String>>,
}

/// A RoleBinding or a ClusterRoleBinding.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// Name and namespace.
    pub metadata: Metadata,
    /// The role that it gives.
    pub role_ref: RoleRef,
    /// Those who get it.
    #[serde(default)]
    pub subjects: Option<Vec<Subject>>,
}

/// Names a role.
#[derive(Debug, Clone, Deserialize)]
pub struct RoleRef {
    /// `Role` or `ClusterRole`.
    pub kind: String,
    /// The role's name.
    pub name: String,
}

/// Names a user, a group or a service account.
#[derive(Debug, Clone, Deserialize)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace of a service account.
    #[serde(default)]
    pub namespace: Option<String>,
}
