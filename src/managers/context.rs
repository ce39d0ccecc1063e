//! What managers may know of the Pod, the settings and the cluster.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use crate::access::{self, PodRules};
use crate::cluster::Cluster;
use crate::managers::vault::orders::AgentOrders;
use crate::options::Options;

/// What managers may know of the Pod and the settings.
pub(crate) struct Context<'a> {
    /// The settings that all managers share.
    pub options: &'a Options,
    /// Whether a reason may suggest another key. Where a Pod goes without what nobody serves, a suggestion would be made
    /// for each of its requests.
    pub suggests: bool,
    /// The namespace of the admission request.
    pub namespace: &'a str,
    pub service_account: &'a str,
    /// Who asked for the Pod.
    pub user: User<'a>,
    /// The Pod's labels, those that a manager asks for ([`reads_label`](crate::managers::reads_label)): a Pod may have
    /// thousands.
    pub labels: &'a [(Cow<'a, str>, Cow<'a, str>)],
    /// What the Pod says to the Vault Agent injector itself.
    pub agent_orders: &'a AgentOrders<'a>,
    /// The cluster, as far as the host lets the policy see it.
    pub cluster: &'a dyn Cluster,
    /// What the settings' `access` says of this Pod.
    pub rules: &'a PodRules<'a>,
}

/// Who made the admission request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct User<'a> {
    pub name: &'a str,
    pub groups: &'a [&'a str],
}

impl<'a> Context<'a> {
    /// Returns whether the settings' `access` lets the Pod ask for the key `key` of `group`, see
    /// [`Manager::selects`](crate::managers::manager::Manager::selects).
    pub(crate) fn may_ask(&self, group: &str, key: &str) -> bool {
        self.rules.allow(&access::name(group, key))
    }

    /// Returns the value of the Pod's label `key`, see [`reads_label`](crate::managers::reads_label).
    pub(crate) fn label(&self, key: &str) -> Option<&'a str> {
        self.labels
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.as_ref())
    }
}
