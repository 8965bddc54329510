//! What the sealed values of each table say.
//! Knows nothing of transactions or files.

use serde::{Deserialize, Serialize};

use super::tables::{seal, unseal};
use crate::history::codec;
use crate::history::workload_history::History;
use crate::workload::Workload;

/// How far a source has been collected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Everything up to here is in the histories, milliseconds since the epoch.
    pub watermark_ms: i64,
    /// What the collector wrote down about runs still open then; its own form.
    pub open: Vec<u8>,
}

/// A pod that was seen, and whose it is: what lets its series be told apart after it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSeen {
    /// Pod name; the namespace is that of `workload`.
    pub pod: String,
    /// Pod uid.
    pub uid: String,
    /// Whose pod it is.
    pub workload: Workload,
    /// 1 for the first try of its unit of work, `None` where the engine does not tell.
    pub attempt: Option<u32>,
    /// When it was last seen, milliseconds since the epoch.
    pub last_seen_ms: i64,
    /// Of its engine's JVM.
    pub jvm: JvmSeen,
}

/// What a pod itself tells of the JVM in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JvmSeen {
    /// The heap that it is given (`-Xmx`), in bytes.
    pub heap_bytes: Option<u64>,
    /// When it ended because its heap was full, milliseconds since the epoch.
    pub exhausted_ms: Option<i64>,
}

impl JvmSeen {
    /// With what was seen of the same pod before.
    #[must_use]
    pub fn after(self, before: Self) -> Self {
        Self {
            heap_bytes: self.heap_bytes.or(before.heap_bytes),
            exhausted_ms: self.exhausted_ms.max(before.exhausted_ms),
        }
    }
}

const PROGRESS_VERSION: u8 = 1;
/// A record is written in the oldest form that holds it, so that most are still read by the releases before.
const POD_VERSION: u8 = 2;
const POD_WITHOUT_JVM: u8 = 1;

#[derive(Serialize, Deserialize)]
struct PodV2 {
    pod: PodV1,
    heap_bytes: Option<u64>,
    exhausted_ms: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct PodV1 {
    workload: String,
    attempt: Option<u32>,
    last_seen_ms: i64,
}

pub(super) fn seal_history(key: &str, history: &History) -> Result<Vec<u8>, postcard::Error> {
    let (version, bytes) = codec::encode(history)?;
    Ok(seal(version, key, &bytes))
}

pub(super) fn open_history(key: &str, bytes: &[u8]) -> Result<History, String> {
    let (version, payload) = unseal(key, bytes)?;
    codec::decode(version, payload)
}

pub(super) fn seal_progress(source: &str, watermark_ms: i64, open: &[u8]) -> Vec<u8> {
    seal(PROGRESS_VERSION, source, &[&watermark_ms.to_le_bytes(), open].concat())
}

pub(super) fn open_progress(source: &str, bytes: &[u8]) -> Result<Progress, String> {
    match unseal(source, bytes)? {
        (PROGRESS_VERSION, payload) => {
            let (watermark, open) = payload.split_first_chunk::<8>().ok_or("too short")?;
            Ok(Progress { watermark_ms: i64::from_le_bytes(*watermark), open: open.to_vec() })
        }
        (version, _) => Err(format!("form {version} of a progress is not known to this version of podfit")),
    }
}

pub(super) fn seal_pod(pod: &PodSeen) -> Result<Vec<u8>, postcard::Error> {
    let key = pod_key(&pod.workload.namespace, &pod.pod, &pod.uid);
    let stored = PodV1 { workload: pod.workload.to_string(), attempt: pod.attempt, last_seen_ms: pod.last_seen_ms };
    if pod.jvm == JvmSeen::default() {
        return Ok(seal(POD_WITHOUT_JVM, &key, &postcard::to_stdvec(&stored)?));
    }
    let JvmSeen { heap_bytes, exhausted_ms } = pod.jvm;
    Ok(seal(POD_VERSION, &key, &postcard::to_stdvec(&PodV2 { pod: stored, heap_bytes, exhausted_ms })?))
}

/// A pod's key in the table, as one text.
fn pod_key(namespace: &str, pod: &str, uid: &str) -> String {
    format!("{namespace}/{pod}/{uid}")
}

pub(super) fn open_pod(namespace: &str, pod: &str, uid: &str, bytes: &[u8]) -> Result<PodSeen, String> {
    let PodV2 { pod: stored, heap_bytes, exhausted_ms } = match unseal(&pod_key(namespace, pod, uid), bytes)? {
        (POD_WITHOUT_JVM, payload) => PodV2 {
            pod: postcard::from_bytes(payload).map_err(|e| e.to_string())?,
            heap_bytes: None,
            exhausted_ms: None,
        },
        (POD_VERSION, payload) => postcard::from_bytes(payload).map_err(|e| e.to_string())?,
        (version, _) => return Err(format!("form {version} of a pod is not known to this version of podfit")),
    };
    Ok(PodSeen {
        pod: pod.to_owned(),
        uid: uid.to_owned(),
        workload: Workload::parse(namespace, &stored.workload).map_err(|e| e.to_string())?,
        attempt: stored.attempt,
        last_seen_ms: stored.last_seen_ms,
        jvm: JvmSeen { heap_bytes, exhausted_ms },
    })
}
