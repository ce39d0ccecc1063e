//! A real cluster, asked what the policy asks and nothing else.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use http::Request;
use kube::{
    Client, Config, Error,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::{
    capabilities::{Answer, HostRequest, unanswered},
    cluster::prune,
    failure::Failure,
    field_mask::FieldMask,
};

/// How long the cluster may take to answer one question.
const DEADLINE: Duration = Duration::from_secs(10);

/// Which cluster to ask.
#[derive(Debug, Default, Args)]
pub struct Options {
    /// Asks the cluster of a kubeconfig what the policy asks: Secrets by name, and SubjectAccessReviews
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cluster", "replay"])]
    kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["cluster", "replay"])]
    context: Option<String>,
}

impl Options {
    /// Returns true if a cluster is to be asked.
    pub fn is_given(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }

    /// Reads the kubeconfig. The cluster is asked when the policy asks.
    ///
    /// # Errors
    /// A kubeconfig that cannot be read or used, or has no such context.
    pub fn connect(&self) -> Result<KubeCluster, Failure> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let client = runtime.block_on(async {
            let kubeconfig = match &self.kubeconfig {
                Some(path) => Kubeconfig::read_from(path),
                None => Kubeconfig::read(),
            };
            let mut config = Config::from_custom_kubeconfig(kubeconfig?, &options).await?;
            config.connect_timeout = Some(DEADLINE);
            config.read_timeout = Some(DEADLINE);
            let server = config
                .cluster_url
                .authority()
                .map_or("", |authority| authority.as_str());
            let server = server.rsplit('@').next().unwrap_or_default().to_owned();
            Client::try_from(config)
                .map(|client| (client, server))
                .map_err(Failure::from)
        });
        let (client, server) = client.map_err(|failure| Failure::at("cannot use the kubeconfig", failure))?;
        Ok(KubeCluster {
            runtime,
            client,
            server,
        })
    }
}

/// The cluster of a kubeconfig.
pub struct KubeCluster {
    runtime: Runtime,
    client: Client,
    /// The host and the port, for messages.
    server: String,
}

impl KubeCluster {
    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Error> {
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(Error::HttpError)?;
        self.runtime.block_on(self.client.request(request))
    }

    fn secret(&self, namespace: &str, name: &str) -> Result<Value, String> {
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
        let mut secret = self.ask("GET", &path, &Value::Null).map_err(|error| match error {
            Error::Api(status) if status.code == 404 => {
                format!(
                    "Cannot find v1/Secret named '{name}' inside of namespace '{:?}'",
                    Some(namespace)
                )
            }
            error => self.refused(error, "get this Secret"),
        })?;
        secret["apiVersion"] = json!("v1");
        secret["kind"] = json!("Secret");
        Ok(secret)
    }

    /// The policy is not told what its user may not do: the policy server may do something else.
    fn refused(&self, error: Error, right: &str) -> String {
        unanswered(&match error {
            Error::Api(status) if matches!(status.code, 401 | 403) => {
                format!(
                    "the cluster refuses that to the account of the kubeconfig, which needs the right to {right}: {}",
                    status.message
                )
            }
            Error::Api(status) => format!("the cluster answers with the code {}: {}", status.code, status.message),
            error => format!("the cluster at {} does not answer: {}", self.server, root(&error)),
        })
    }
}

/// Returns the cause of all causes: those in front of it only say that a connection failed.
fn root(error: &dyn std::error::Error) -> &dyn std::error::Error {
    error.source().map_or(error, root)
}

impl Answer for KubeCluster {
    fn answer(&self, request: &HostRequest) -> Result<String, String> {
        match request {
            HostRequest::KubernetesGetResource {
                api_version,
                kind,
                name,
                namespace: Some(namespace),
                field_masks,
                ..
            } if api_version == "v1" && kind == "Secret" => {
                let mut secret = self.secret(namespace, name)?;
                if let Some(masks) = field_masks {
                    prune(&mut secret, &FieldMask::new(masks));
                }
                Ok(secret.to_string())
            }
            HostRequest::KubernetesGetResource { api_version, kind, .. } => {
                Err(format!("{api_version}/{kind} is nothing that the policy reads"))
            }
            HostRequest::KubernetesCanI { request, .. } => {
                let action = &request.resource_attributes;
                let review = json!({
                    "apiVersion": "authorization.k8s.io/v1",
                    "kind": "SubjectAccessReview",
                    "spec": {"user": request.user, "groups": request.groups, "resourceAttributes": action},
                });
                let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
                let review = self
                    .ask("POST", path, &review)
                    .map_err(|error| self.refused(error, "create SubjectAccessReviews"))?;
                Ok(review["status"].to_string())
            }
        }
    }
}
