//! What a live cluster adds to `podfit report`: pods and their findings, constraints, quotas. Reads only.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cluster_args::ClusterArgs;
use crate::cluster::{ClusterError, ClusterSnapshot, Reader};
use crate::collector::KnownPods;
use crate::report::weekly::{Live, Objects};
use crate::workload::IdentityRules;

/// Arguments that say whether and where to look.
#[derive(clap::Args)]
pub struct LiveArgs {
    /// Look at the live namespaces too, as podfit dry-run does: rule findings, free quota, and sizes that fit their
    /// LimitRanges and quotas
    #[arg(long, conflicts_with = "demo", help_heading = "Cluster")]
    live: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// What was seen.
pub struct Seen {
    /// Namespaces that were looked at.
    pub snapshots: BTreeMap<String, ClusterSnapshot>,
    /// Their quotas and habits.
    pub live: Live,
}

impl LiveArgs {
    /// Looks at the namespaces, or at the context's own where none is named; `None` where nobody asked for it.
    ///
    /// # Errors
    /// A namespace whose pods cannot be listed.
    pub async fn look(
        &self,
        namespaces: &mut Vec<String>,
        known: &mut KnownPods,
        rules: &IdentityRules,
    ) -> anyhow::Result<Option<Seen>> {
        if !self.live {
            return Ok(None);
        }
        let reader = Reader::connect(&self.cluster.access()).await?;
        if namespaces.is_empty() {
            namespaces.push(reader.default_namespace().to_owned());
        }
        let mut seen = Seen { snapshots: BTreeMap::new(), live: Live::default() };
        for namespace in namespaces.iter() {
            let mut snapshot = ClusterSnapshot::read(&reader, namespace, rules).await?;
            known.extend(std::mem::take(&mut snapshot.known));
            let objects = objects(&reader, namespace, &mut snapshot.notes).await?;
            seen.live.add(namespace, &objects);
            seen.snapshots.insert(namespace.clone(), snapshot);
        }
        Ok(Some(seen))
    }
}

async fn objects(reader: &Reader, namespace: &str, notes: &mut Vec<String>) -> Result<Objects, ClusterError> {
    let mut list = async |group: &str, plural: &str| -> Result<Option<Vec<Value>>, ClusterError> {
        match reader.list(&format!("/{group}/namespaces/{namespace}/{plural}"), &format!("list {plural}"), |_| {}).await
        {
            Ok(objects) => Ok(Some(objects)),
            Err(ClusterError::Forbidden { .. }) => {
                let note = format!("you may not list {plural} in {namespace}: nothing is said of them");
                if !notes.iter().any(|n| n.starts_with(&format!("you may not list {plural} in {namespace}"))) {
                    notes.push(note);
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    };
    Ok(Objects {
        quotas: list("api/v1", "resourcequotas").await?,
        limit_ranges: list("api/v1", "limitranges").await?,
        budgets: list("apis/policy/v1", "poddisruptionbudgets").await?,
        deployments: list("apis/apps/v1", "deployments").await?,
        stateful_sets: list("apis/apps/v1", "statefulsets").await?,
    })
}
