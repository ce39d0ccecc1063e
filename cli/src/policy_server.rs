//! The policy server's own rights: what it may not read, the policy cannot read.

use crate::{
    capabilities::{Answer, HostRequest},
    cluster::Cluster,
    protocol::{ResourceAttributes, SubjectAccessReview},
    rbac::{Bound, service_account_groups, service_account_user},
};

/// Where Kubewarden runs its policy servers.
pub const NAMESPACE: &str = "kubewarden";

/// A cluster, asked by a policy server.
#[derive(Debug)]
pub struct PolicyServer {
    cluster: Cluster,
    service_account: String,
}

impl PolicyServer {
    /// Lets the policy server that runs as `service_account` ask the cluster.
    pub fn new(cluster: Cluster, service_account: &str) -> Self {
        Self {
            cluster,
            service_account: service_account.to_owned(),
        }
    }

    /// Returns what to tell where the cluster's files do not say what the policy server may read.
    pub fn unchecked(&self) -> Option<String> {
        let missing = match self.cluster.rbac().bound(NAMESPACE, &self.service_account) {
            Bound::Known => return None,
            Bound::Nowhere => format!(
                "no RoleBinding of the service account {NAMESPACE}/{} is",
                self.service_account
            ),
            Bound::To(role) => format!("the {} {}, which a binding of it names, is not", role.kind, role.name),
        };
        Some(format!(
            "whether the policy server may read these Secrets was not checked: {missing} in the files of --cluster"
        ))
    }

    /// Returns the API server's refusal to read a Secret, if it would refuse.
    fn refusal(&self, namespace: &str, name: &str) -> Option<String> {
        if !matches!(
            self.cluster.rbac().bound(NAMESPACE, &self.service_account),
            Bound::Known
        ) {
            return None;
        }
        let user = service_account_user(NAMESPACE, &self.service_account);
        let review = SubjectAccessReview {
            groups: Some(service_account_groups(NAMESPACE)),
            resource_attributes: ResourceAttributes::get_secret(namespace, name),
            user: user.clone(),
        };
        (!self.cluster.can_i(&review).allowed).then(|| {
            format!(
                "ApiError: secrets {name:?} is forbidden: User {user:?} cannot get resource \"secrets\" in API group \"\" in the \
                 namespace {namespace:?}"
            )
        })
    }
}

impl Answer for PolicyServer {
    fn answer(&self, request: &HostRequest) -> Result<String, String> {
        if let HostRequest::KubernetesGetResource {
            kind,
            name,
            namespace: Some(namespace),
            ..
        } = request
            && kind == "Secret"
            && let Some(refusal) = self.refusal(namespace, name)
        {
            return Err(refusal);
        }
        self.cluster.answer(request)
    }
}
