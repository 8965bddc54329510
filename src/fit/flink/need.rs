//! Which process size a Flink component needs: one number, whose parts follow Flink's default fractions, from what its
//! JVMs said of each part and from how its containers ended.
//! Must not guess a smaller process: without a word of the JVMs on every part that shrinks with it, it stays.
//!
//! The gauges are not peaks: what lies between two scrapes is not seen, and a heap in use holds garbage. So a heap that
//! was never seen near full is proof that less is enough, and a full one proves nothing.

use super::parts::{Component, Parts, parts};
use crate::fit::heap::{self, HEADROOM, NEAR, recommended};
use crate::history::{History, Run};
use crate::quantity::MIB;
use crate::sizing::{End, SizingPolicy};

/// The smallest heap that Flink starts with without a warning, in MiB.
const LEAST_HEAP_MIB: u64 = 128;
/// From this share of managed memory on, it is used in full: `RocksDB` sets aside all that it is given, whatever its
/// state would do with.
const WHOLE_SHARE: f64 = 0.9;
/// Network buffers in use are fewer than those that a job insists on at its start.
const NETWORK_FACTOR: f64 = 2.0;
/// A JVM tells a heap smaller than the one that it was given by a survivor space, up to a twenty-fourth of it, or
/// larger by a part of one of G1's regions.
const HEAP_TOLD: (f64, f64) = (0.95, 1.02);
/// Fractions are cut to whole bytes; here they are whole MiB.
const MANAGED_TOLD: (f64, f64) = (0.98, 1.02);

/// A process size, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// What the process should have in all, in MiB.
    pub process_mib: u64,
    /// The JVMs have shown that it is enough. Without, it is only raised.
    pub is_proven: bool,
    /// The heap of the process as it is, in MiB.
    pub heap_now_mib: u64,
    /// The heap of the process as it should be, in MiB.
    pub heap_mib: u64,
    /// Why, one sentence each.
    pub notes: Vec<String>,
}

/// From a history of job managers or of task managers. `process_mib` is what a process has now, `sized_mib` what sizing
/// wants for the container as a whole. `None` where sizing or the JVMs say nothing, or no process can have this size.
pub fn need(
    component: Component,
    history: &History,
    process_mib: u64,
    sized_mib: Option<u64>,
    policy: &SizingPolicy,
) -> Option<Need> {
    let (now, sized) = (parts(component, process_mib)?, sized_mib?);
    let newest = history.runs().rev().find(|run| heap_of(run).is_some())?;
    let made = |process_mib: u64, is_proven, why: Option<String>| {
        let heap_mib = parts(component, process_mib)?.heap_mib;
        let notes = why.into_iter().collect();
        Some(Need { process_mib, is_proven, heap_now_mib: now.heap_mib, heap_mib, notes })
    };
    let larger = process_mib.max(sized);
    let stays = |why: String| made(larger, false, Some(format!("the process size is not lowered: {why}")));
    if !is_divided_by_default(component, newest) {
        return stays("its parts are not those of Flink's default fractions".to_owned());
    }
    if history.runs().any(|run| was_killed(run, process_mib)) {
        let why = format!(
            "a JVM's heap takes its part of {process_mib}m and no more: what is beside the heap was too little"
        );
        return made(larger, false, Some(why));
    }
    let seen = heap::of_runs(history, heap_of);
    let wanted = recommended(&seen, now.heap_mib, LEAST_HEAP_MIB, policy)?.bytes.div_ceil(MIB);
    let full = heap::full(&seen);
    if wanted > now.heap_mib && full > 0 {
        let grown = smallest(component, process_mib, |parts| parts.heap_mib >= wanted)?.max(larger);
        return made(
            grown,
            false,
            Some(format!("{full} spent more than a tenth of their time on collecting garbage in a full heap")),
        );
    }
    let collecting = history.runs().filter(|run| heap::is_collecting(run)).count();
    if collecting > 0 {
        return stays(format!("{collecting} spent more than a tenth of their time on garbage"));
    }
    let beside = match beside_the_heap(component, history) {
        Ok(beside) => beside,
        Err(why) => return stays(why),
    };
    let least_heap = ((wanted as f64 * HEADROOM).ceil() as u64).max(LEAST_HEAP_MIB);
    let is_enough = |parts: Parts| {
        parts.heap_mib >= least_heap.min(now.heap_mib)
            && parts.managed_mib >= beside.managed.min(now.managed_mib)
            && parts.network_mib >= beside.network.min(now.network_mib)
    };
    // Native memory is seen in the container alone: no share of its runs is left to a retry, as sizing may.
    let floor_mib = policy.memory_floor_bytes.div_ceil(MIB);
    let held = recommended(history, process_mib, floor_mib, policy)?.bytes.div_ceil(MIB).max(sized);
    let lower = smallest(component, 0, is_enough)?.max(held);
    if lower as f64 >= process_mib as f64 * (1.0 - NEAR) {
        return made(larger, sized <= process_mib, None);
    }
    let (runs, peak) = (seen.runs().len(), heap::peak_mib(&seen));
    let mut why = format!("the heap of {runs} JVMs never held more than {peak}m of its {}m", now.heap_mib);
    if component == Component::TaskManager {
        why.push_str(&format!(", managed memory {}m of {}m", beside.managed_peak, now.managed_mib));
    }
    if lower == held {
        why.push_str(&format!("; the container as a whole needs {held}m"));
    }
    made(lower, true, Some(why))
}

/// The heap that a run's JVM had, in MiB.
fn heap_of(run: &Run) -> Option<u64> {
    let jvm = run.jvm.as_ref()?;
    jvm.heap_peak_bytes?;
    Some(jvm.heap_bytes?.div_ceil(MIB))
}

/// Whether what a run's JVM said of its parts is what the defaults make of its size.
fn is_divided_by_default(component: Component, run: &Run) -> bool {
    let near = |told: Option<u64>, (least, most): (f64, f64), mib: u64| {
        let by_default = (mib * MIB) as f64;
        told.is_some_and(|told| (least * by_default..=most * by_default).contains(&(told as f64)))
    };
    let Some(limit) =
        run.resources.memory_limit_bytes.filter(|limit| Some(*limit) == run.resources.memory_request_bytes)
    else {
        return false;
    };
    let (Some(parts), Some(jvm)) = (parts(component, limit / MIB), run.jvm.as_ref()) else { return false };
    // A task manager that tells nothing of managed memory is looked at further on.
    let managed = parts.managed_mib == 0 || jvm.managed_bytes.is_none();
    near(jvm.heap_bytes, HEAP_TOLD, parts.heap_mib)
        && (managed || near(jvm.managed_bytes, MANAGED_TOLD, parts.managed_mib))
}

/// Whether a run outgrew the size that a process has now.
fn was_killed(run: &Run, process_mib: u64) -> bool {
    run.resources.memory_limit_bytes.is_some_and(|limit| limit.div_ceil(MIB) == process_mib)
        && matches!(End::of(run), End::Killed | End::Suspected)
}

/// What a task manager's other parts need, in MiB.
#[derive(Clone, Copy, Debug, Default)]
struct Beside {
    managed: u64,
    managed_peak: u64,
    network: u64,
}

/// What the parts beside the heap need that shrink with the process; or why that is not known.
fn beside_the_heap(component: Component, history: &History) -> Result<Beside, String> {
    if component == Component::JobManager {
        return Ok(Beside::default());
    }
    let mut beside = Beside::default();
    for run in history.runs().filter(|run| heap_of(run).is_some()) {
        let Some(jvm) = run.jvm.as_ref() else { continue };
        let (Some(used), Some(total)) = (jvm.managed_peak_bytes, jvm.managed_bytes) else {
            return Err("flink_taskmanager_Status_Flink_Memory_Managed_Used and _Total are not scraped".to_owned());
        };
        if total > 0 && used as f64 >= WHOLE_SHARE * total as f64 {
            return Err(format!(
                "managed memory is used in full, {}m of {}m: a state backend such as RocksDB takes what it is given",
                used.div_ceil(MIB),
                total.div_ceil(MIB)
            ));
        }
        let Some(buffers) = jvm.network_peak_bytes else {
            return Err("flink_taskmanager_Status_Shuffle_Netty_UsedMemory is not scraped".to_owned());
        };
        let with = |bytes: u64, factor: f64| (bytes as f64 * factor / MIB as f64).ceil() as u64;
        beside.managed = beside.managed.max(with(used, HEADROOM));
        beside.managed_peak = beside.managed_peak.max(used.div_ceil(MIB));
        beside.network = beside.network.max(with(buffers, NETWORK_FACTOR));
    }
    Ok(beside)
}

/// The smallest process from `least_mib` on whose parts are enough; they grow with the process.
fn smallest(component: Component, least_mib: u64, is_enough: impl Fn(Parts) -> bool) -> Option<u64> {
    /// 64 TiB.
    const MOST_MIB: u64 = 1 << 26;
    let fits = |process: u64| parts(component, process).is_some_and(&is_enough);
    let (mut low, mut high) = (least_mib, MOST_MIB);
    while low < high {
        let middle = low + (high - low) / 2;
        if fits(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    // Cutting each part to whole MiB makes it waver by one.
    (low..=low.saturating_add(8)).find(|process| fits(*process))
}

#[cfg(test)]
mod tests;
