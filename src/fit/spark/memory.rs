//! The parts of a Spark pod's memory, forward from settings and back from a pod.
//! Must not know which of them a history asks for.

use super::settings::{Application, Conf, ConfError, Role, Version, cores, factor, size};
use super::{LEAST_OVERHEAD_MIB, NON_JVM_OVERHEAD_FACTOR, OVERHEAD_FACTOR};
use crate::quantity::MIB;
use crate::quantity::Quantity;

/// Heap where no setting says otherwise, in MiB (`spark.executor.memory`, `spark.driver.memory`: 1g).
const HEAP_MIB: u64 = 1024;
/// The factor of both roles, deprecated since 3.3 and still read.
const COMMON_FACTOR: &str = "spark.kubernetes.memoryOverheadFactor";
/// People write heaps in whole quarters of a GiB; the heap that a pod's total hides is believed only where it is one.
const ROUND_HEAP_MIB: u64 = 256;

/// What a pod's memory is made of, in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// `-Xmx`.
    pub heap_mib: u64,
    /// What the JVM needs beside its heap, and everything that is not the JVM.
    pub overhead_mib: u64,
    /// `spark.memory.offHeap.size`, of executors.
    pub off_heap_mib: u64,
    /// `spark.executor.pyspark.memory`.
    pub pyspark_mib: u64,
}

impl Parts {
    /// Request and limit of the pod's container, in MiB.
    pub const fn total_mib(self) -> u64 {
        self.heap_mib
            .saturating_add(self.overhead_mib)
            .saturating_add(self.off_heap_mib)
            .saturating_add(self.pyspark_mib)
    }

    /// The same pod with another total: the overhead takes the difference, the heap stays. `None` where the heap and
    /// the parts beside it leave nothing for the overhead.
    #[must_use]
    pub fn with_total(self, total_mib: u64) -> Option<Self> {
        let fixed = self.heap_mib.checked_add(self.off_heap_mib)?.checked_add(self.pyspark_mib)?;
        let overhead_mib = total_mib.checked_sub(fixed).filter(|overhead| *overhead > 0)?;
        Some(Self { overhead_mib, ..self })
    }
}

/// What a Spark pod asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodSize {
    /// Memory request and limit.
    pub memory: Parts,
    /// CPU request.
    pub cpu_request: Quantity,
    /// CPU limit; there is none unless a setting says so.
    pub cpu_limit: Option<Quantity>,
}

/// A resource profile other than the default one; what it does not say, the settings do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Heap, in MiB.
    pub heap_mib: Option<u64>,
    /// Overhead, in MiB. Without one it is computed from the *default* profile's heap.
    pub overhead_mib: Option<u64>,
    /// Off-heap memory, in MiB; counts only where `spark.memory.offHeap.enabled`.
    pub off_heap_mib: Option<u64>,
    /// Python workers' memory, in MiB.
    pub pyspark_mib: Option<u64>,
    /// Cores.
    pub cores: Option<u64>,
}

/// The driver's pod in cluster mode.
///
/// # Errors
/// A setting that Spark would refuse.
pub fn driver(conf: &Conf, version: Version, application: Application) -> Result<PodSize, ConfError> {
    let role = Role::Driver;
    let heap_mib = mib(conf, &role.memory())?.unwrap_or(HEAP_MIB);
    let overhead_mib = overhead(conf, role, version, application, heap_mib)?;
    let own = cores(conf, "spark.driver.cores")?.unwrap_or(Quantity::from_units(1));
    Ok(PodSize {
        memory: Parts { heap_mib, overhead_mib, ..Parts::default() },
        cpu_request: cores(conf, &role.request_cores())?.unwrap_or(own),
        cpu_limit: cores(conf, "spark.kubernetes.driver.limit.cores")?,
    })
}

/// An executor's pod, of the default profile or of another one.
///
/// # Errors
/// A setting that Spark would refuse.
pub fn executor(
    conf: &Conf,
    version: Version,
    application: Application,
    profile: Option<&Profile>,
) -> Result<PodSize, ConfError> {
    let role = Role::Executor;
    let heap_mib = mib(conf, &role.memory())?.unwrap_or(HEAP_MIB);
    let overhead_mib = overhead(conf, role, version, application, heap_mib)?;
    let off_heap = off_heap_mib(conf)?;
    let pyspark = mib(conf, "spark.executor.pyspark.memory")?.unwrap_or(0);
    let own = cores(conf, "spark.executor.cores")?.unwrap_or(Quantity::from_units(1));
    let counted = |mib: u64| if application == Application::Python { mib } else { 0 };
    if let Some(profile) = profile {
        return Ok(PodSize {
            memory: Parts {
                heap_mib: profile.heap_mib.unwrap_or(heap_mib),
                overhead_mib: profile.overhead_mib.unwrap_or(overhead_mib),
                off_heap_mib: off_heap.map_or(0, |own| profile.off_heap_mib.unwrap_or(own)),
                pyspark_mib: counted(profile.pyspark_mib.unwrap_or(pyspark)),
            },
            // The settings of Kubernetes are the default profile's alone.
            cpu_request: profile.cores.map_or(own, Quantity::from_units),
            cpu_limit: None,
        });
    }
    Ok(PodSize {
        memory: Parts { heap_mib, overhead_mib, off_heap_mib: off_heap.unwrap_or(0), pyspark_mib: counted(pyspark) },
        cpu_request: cores(conf, &role.request_cores())?.unwrap_or(own),
        cpu_limit: cores(conf, "spark.kubernetes.executor.limit.cores")?,
    })
}

fn mib(conf: &Conf, key: &str) -> Result<Option<u64>, ConfError> {
    Ok(size(conf, key, MIB)?.map(|bytes| bytes / MIB))
}

/// The overhead that is given, else the computed one, cut to whole MiB.
fn overhead(
    conf: &Conf,
    role: Role,
    version: Version,
    application: Application,
    heap_mib: u64,
) -> Result<u64, ConfError> {
    if let Some(given) = mib(conf, &role.overhead())? {
        return Ok(given);
    }
    let by_role = format!("spark.{}.memoryOverheadFactor", role.as_str());
    let of_role = if version.has_role_factor() { factor(conf, &by_role)? } else { None };
    let by_kind = if application == Application::Jvm { OVERHEAD_FACTOR } else { NON_JVM_OVERHEAD_FACTOR };
    let factor = match of_role {
        Some(factor) => factor,
        None => factor(conf, COMMON_FACTOR)?.unwrap_or(by_kind),
    };
    let least = format!("spark.{}.minMemoryOverhead", role.as_str());
    let least = if version.has_least_overhead() { mib(conf, &least)? } else { None };
    Ok(computed(heap_mib, factor, least.unwrap_or(LEAST_OVERHEAD_MIB)))
}

fn computed(heap_mib: u64, factor: f64, least_mib: u64) -> u64 {
    ((factor * heap_mib as f64) as u64).max(least_mib)
}

/// `None` where off-heap memory is switched off.
fn off_heap_mib(conf: &Conf) -> Result<Option<u64>, ConfError> {
    const KEY: &str = "spark.memory.offHeap.size";
    if conf.get("spark.memory.offHeap.enabled").is_none_or(|value| !value.trim().eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    match size(conf, KEY, 1)?.map(|bytes| bytes / MIB) {
        Some(mib) if mib > 0 => Ok(Some(mib)),
        _ => Err(ConfError {
            key: KEY.to_owned(),
            problem: "it should be above 0 where spark.memory.offHeap.enabled is true, such as 1g".to_owned(),
        }),
    }
}

/// The heap, in MiB, of a pod whose overhead Spark computed and that has nothing beside: the only one that makes this
/// total. `None` where none does.
pub fn default_heap_of(total_mib: u64, factor: f64, least_mib: u64) -> Option<u64> {
    // The total grows with every MiB of heap, so that the heap can be found by halving.
    let (mut low, mut high) = (0, total_mib);
    while low < high {
        let heap = low + (high - low) / 2;
        if heap.saturating_add(computed(heap, factor, least_mib)) < total_mib {
            low = heap + 1;
        } else {
            high = heap;
        }
    }
    (low > 0 && low.saturating_add(computed(low, factor, least_mib)) == total_mib).then_some(low)
}

/// The heap, in MiB, that a pod of this total most likely has: a whole quarter of a GiB whose own default overhead
/// makes exactly this total. `None` where there is none, or one for each kind of application.
pub fn likely_heap(total_mib: u64) -> Option<u64> {
    let round = |factor| {
        default_heap_of(total_mib, factor, LEAST_OVERHEAD_MIB).filter(|heap| heap.is_multiple_of(ROUND_HEAP_MIB))
    };
    match (round(OVERHEAD_FACTOR), round(NON_JVM_OVERHEAD_FACTOR)) {
        (Some(one), Some(other)) if one != other => None,
        (one, other) => one.or(other),
    }
}
