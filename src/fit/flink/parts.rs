//! What a process size is divided into. Must not know histories.
//!
//! Source: Flink's configuration reference, "Memory Configuration", with its defaults; sizes in MiB.

/// `jobmanager.memory.jvm-metaspace.size`, `taskmanager.memory.jvm-metaspace.size`.
const METASPACE_MIB: u64 = 256;
/// `….memory.jvm-overhead.fraction` of the process, `.min` and `.max`.
const OVERHEAD: (f64, u64, u64) = (0.1, 192, 1024);
/// `jobmanager.memory.off-heap.size`.
const JOBMANAGER_OFF_HEAP_MIB: u64 = 128;
/// `taskmanager.memory.framework.heap.size`, and the same for `.off-heap`.
const FRAMEWORK_MIB: u64 = 128;
/// `taskmanager.memory.network.fraction` of Flink's part, and `.min`.
const NETWORK: (f64, u64) = (0.1, 64);
/// `taskmanager.memory.managed.fraction` of Flink's part.
const MANAGED: f64 = 0.4;

/// Which of Flink's two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// The job manager.
    JobManager,
    /// A task manager.
    TaskManager,
}

impl Component {
    /// Both.
    pub const ALL: [Self; 2] = [Self::JobManager, Self::TaskManager];
}

/// What a process size is divided into, in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// `-Xmx`: the framework's and the tasks' heap.
    pub heap_mib: u64,
    /// Managed memory, off the heap.
    pub managed_mib: u64,
    /// Network buffers, which are direct memory.
    pub network_mib: u64,
    /// Other direct memory.
    pub direct_mib: u64,
    /// Metaspace.
    pub metaspace_mib: u64,
    /// What the JVM needs beside.
    pub overhead_mib: u64,
}

/// The parts of a process with default settings; `None` for one that is too small to start.
pub fn parts(component: Component, process_mib: u64) -> Option<Parts> {
    let (fraction, least, most) = OVERHEAD;
    let overhead_mib = share(fraction, process_mib).clamp(least, most);
    let flink = process_mib.checked_sub(METASPACE_MIB)?.checked_sub(overhead_mib)?;
    let (managed_mib, network_mib, direct_mib) = match component {
        Component::JobManager => (0, 0, JOBMANAGER_OFF_HEAP_MIB),
        Component::TaskManager => (share(MANAGED, flink), share(NETWORK.0, flink).max(NETWORK.1), FRAMEWORK_MIB),
    };
    let heap_mib = flink.checked_sub(managed_mib)?.checked_sub(network_mib)?.checked_sub(direct_mib)?;
    let least_heap = if component == Component::TaskManager { FRAMEWORK_MIB } else { 1 };
    let parts = Parts { heap_mib, managed_mib, network_mib, direct_mib, metaspace_mib: METASPACE_MIB, overhead_mib };
    (heap_mib >= least_heap).then_some(parts)
}

fn share(fraction: f64, of: u64) -> u64 {
    (fraction * of as f64) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// The example of Flink's own documentation for a task manager, and its defaults in `config.yaml`: 1728m and 1600m.
    #[rstest]
    #[case(Component::TaskManager, 1728, Some((512, 512, 256, 192)))]
    #[case(Component::JobManager, 1600, Some((1024, 0, 128, 192)))]
    #[case(Component::TaskManager, 16_384, Some((7425, 6041, 1638, 1024)))]
    #[case(Component::TaskManager, 500, None)]
    #[case(Component::JobManager, 0, None)]
    fn a_process_is_divided(
        #[case] component: Component,
        #[case] process: u64,
        #[case] expected: Option<(u64, u64, u64, u64)>,
    ) {
        let made = parts(component, process);
        assert_eq!(made.map(|p| (p.heap_mib, p.managed_mib, p.network_mib + p.direct_mib, p.overhead_mib)), expected);
    }

    proptest! {
        #[test]
        fn the_parts_are_the_whole(process in 1_000_u64..1_000_000, of in 0_usize..2) {
            let made = parts(Component::ALL[of], process).unwrap();
            let direct = made.network_mib + made.direct_mib;
            prop_assert_eq!(made.heap_mib + made.managed_mib + direct + made.metaspace_mib + made.overhead_mib, process);
        }
    }
}
