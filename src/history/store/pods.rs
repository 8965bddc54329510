//! The store's record of pods: whose pod was it, after the pod is gone.
//! Knows nothing of how a pod is identified.

use redb::ReadableTable;

use super::records::{PodSeen, open_pod, seal_pod};
use super::tables::PODS;
use super::{Failure, Store, StoreError};

impl Store {
    /// Remembers pods, in one transaction; a pod already known is overwritten, but its last sight never goes back.
    pub fn remember_pods(&self, pods: impl IntoIterator<Item = PodSeen>) -> Result<(), StoreError> {
        self.write("write to", |txn| {
            let mut table = txn.open_table(PODS)?;
            for mut pod in pods {
                let namespace = pod.workload.namespace.clone();
                let (name, uid) = (pod.pod.clone(), pod.uid.clone());
                let key = (namespace.as_str(), name.as_str(), uid.as_str());
                let before = table.get(key)?.and_then(|v| open_pod(key.0, key.1, key.2, v.value()).ok());
                if let Some(before) = before {
                    pod.last_seen_ms = pod.last_seen_ms.max(before.last_seen_ms);
                    pod.jvm = pod.jvm.after(before.jvm);
                    if pod == before {
                        continue;
                    }
                }
                table.insert(key, seal_pod(&pod).map_err(|e| Failure::encoding(&e))?.as_slice())?;
            }
            Ok(())
        })
    }

    /// All pods remembered under this name in this namespace (one, unless the name was used again), by uid: for series
    /// that do not carry the uid.
    pub fn pods_named(&self, namespace: &str, pod: &str) -> Result<Vec<PodSeen>, StoreError> {
        self.read("read", |txn| {
            let table = txn.open_table(PODS)?;
            let mut found = Vec::new();
            for entry in table.range((namespace, pod, "")..)? {
                let (key, value) = entry?;
                let (ns, name, uid) = key.value();
                if (ns, name) != (namespace, pod) {
                    break;
                }
                found.extend(open_pod(ns, name, uid, value.value()));
            }
            Ok(found)
        })
    }

    /// Forgets pods last seen before `older_than_ms` (milliseconds since the epoch), and records that cannot be read.
    /// Returns how many.
    pub fn prune_pods(&self, older_than_ms: i64) -> Result<usize, StoreError> {
        self.write("write to", |txn| {
            let mut pruned = 0;
            txn.open_table(PODS)?.retain(|(namespace, pod, uid), value| {
                let keep = open_pod(namespace, pod, uid, value).is_ok_and(|p| p.last_seen_ms >= older_than_ms);
                pruned += usize::from(!keep);
                keep
            })?;
            Ok(pruned)
        })
    }
}
