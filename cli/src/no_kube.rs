//! In the place of the client for clusters, in a build that has none: says so.

use std::path::PathBuf;

use clap::Args;

use crate::{
    capabilities::{Answer, HostRequest, unanswered},
    failure::Failure,
};

const ABSENT: &str = "this build of the tool cannot ask a cluster: take a released one, or `make install`; or put the objects into files for \
                      --cluster";

/// Which cluster to ask.
#[derive(Debug, Default, Args)]
pub struct Options {
    #[arg(long, value_name = "FILE", hide = true)]
    kubeconfig: Option<PathBuf>,
    #[arg(long, value_name = "NAME", hide = true)]
    context: Option<String>,
}

impl Options {
    /// Returns true if a cluster is to be asked.
    pub fn is_given(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }

    /// Fails.
    ///
    /// # Errors
    /// Always.
    pub fn connect(&self) -> Result<KubeCluster, Failure> {
        Err(Failure::new(ABSENT))
    }
}

/// The cluster of a kubeconfig, which this build cannot make.
#[derive(Debug)]
pub struct KubeCluster;

impl Answer for KubeCluster {
    fn answer(&self, _: &HostRequest) -> Result<String, String> {
        Err(unanswered(ABSENT))
    }
}
