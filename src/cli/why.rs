//! `podfit why`: reads a pod, who made it, and its workload's Recommendation, and prints what `report::why` makes of
//! them. Changes nothing.

use std::io::Write;

use anyhow::bail;
use serde_json::Value;

use super::Outcome;
use super::cluster_args::{ClusterArgs, namespace};
use crate::admission::identity::{identity_of, owner_uid};
use crate::admission::{Owned, Owners};
use crate::cluster::Reader;
use crate::controller::crds::{GROUP, RECOMMENDATIONS, VERSION};
use crate::controller::recommend::object::{Recommendation, name_of};
use crate::controller::watch::killed_by_status;
use crate::report::why::{Facts, Why};
use crate::workload::{IdentityRules, controller_of};

/// Arguments of `podfit why`.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the pod
    pod: String,
    /// Namespace of the pod (else the context's)
    #[arg(short, long, value_parser = namespace)]
    namespace: Option<String>,
    /// Pod labels whose value names the workload, as podfit serve has them
    #[arg(long, value_name = "KEY,…", value_delimiter = ',')]
    group_by_labels: Vec<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
///
/// # Errors
/// A pod that is not there, or cannot be read.
pub async fn run(args: Args) -> anyhow::Result<Outcome> {
    let reader = Reader::connect(&args.cluster.access()).await?;
    let namespace = args.namespace.unwrap_or_else(|| reader.default_namespace().to_owned());
    let name = crate::text::percent_encoded(&args.pod, b"");
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
    let Some(pod) = reader.get(&path, "read the pod").await? else {
        let shown = crate::text::name(&args.pod);
        bail!(
            "there is no pod {shown} in namespace {namespace}; kubectl get events -n {namespace} may tell of one that is gone"
        );
    };
    let rules = IdentityRules { label_keys: args.group_by_labels };
    let owners = owners(&reader, &namespace, &pod).await;
    let identity = identity_of(&pod, &namespace, &owners, &rules);
    let recommendation = match &identity {
        None => None,
        Some(identity) => {
            let name = name_of(&identity.workload);
            let path = format!("/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{RECOMMENDATIONS}/{name}");
            let object = reader.get(&path, "read the recommendation").await?;
            object.and_then(|object| Recommendation::read(&object).ok())
        }
    };
    let kills = killed_by_status(&pod);
    let why = Why::of(&Facts {
        pod: &pod,
        identity: identity.as_ref(),
        status: recommendation.as_ref().map(|recommendation| &recommendation.status),
        kills: &kills,
    });
    let text = if args.json { serde_json::to_string_pretty(&why)? + "\n" } else { why.text() };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Outcome::Fine)
}

/// The controller above the pod's own, where that can be read: without it the name of a Job stands in for its CronJob.
async fn owners(reader: &Reader, namespace: &str, pod: &Value) -> Owners {
    let mut owners = Owners::default();
    let Some(owner) = controller_of(pod) else { return owners };
    let plural = match owner.kind.as_str() {
        "Job" => "apis/batch/v1/namespaces/NAMESPACE/jobs",
        "ReplicaSet" => "apis/apps/v1/namespaces/NAMESPACE/replicasets",
        _ => return owners,
    };
    let path = format!("/{}/{}", plural.replace("NAMESPACE", namespace), owner.name);
    let above = reader.get(&path, "read who made the pod").await.ok().flatten();
    if let (Some(by), Some(uid)) = (above.as_ref().and_then(controller_of), owner_uid(pod, &owner)) {
        let uid = uid.to_owned();
        owners.insert(owner, Owned { uid, by });
    }
    owners
}
