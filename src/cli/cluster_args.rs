//! Arguments that say which cluster and which namespaces, as kubectl has them.

use std::path::PathBuf;

use crate::cluster::Access;

/// Which kubeconfig and context.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ClusterArgs {
    /// Path of the kubeconfig (else KUBECONFIG, ~/.kube/config or the pod's service account)
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    context: Option<String>,
}

impl ClusterArgs {
    /// For [`crate::cluster::Reader::connect`].
    pub fn access(&self) -> Access {
        Access { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() }
    }
}

/// A namespace's name: it becomes part of a path and of PromQL, so nothing else gets through.
pub fn namespace(text: &str) -> Result<String, String> {
    let ok = !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if ok {
        Ok(text.to_owned())
    } else {
        Err("a namespace has 1 to 63 lower-case letters, digits and inner hyphens".to_owned())
    }
}
