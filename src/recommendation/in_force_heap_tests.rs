//! Heaps of Spark's executors and process sizes of Flink, from cycle to cycle.

use super::{History, MIB, Outcome, Run, Status, World, memory, run};
use crate::history::JvmUse;

/// Executors of 4 GiB of heap in 4505 MiB, which never use two fifths of it.
fn executors() -> World {
    let mut history = History::default();
    for number in 0..12 {
        history.add(executor(number, 4505, 4096));
    }
    World { workload: "spark-executor/join", ..World::new(history) }
}

fn executor(number: i64, total_mib: u64, heap_mib: u64) -> Run {
    let jvm = JvmUse {
        heap_bytes: Some(heap_mib * MIB),
        heap_peak_bytes: Some(1600 * MIB),
        others_peak_bytes: Some(0),
        gc_share: Some(0.01),
        ..JvmUse::default()
    };
    let run = run(number, (total_mib - 200) * MIB, total_mib * MIB, Outcome::Completed);
    Run { jvm: Some(Box::new(jvm)), ..run }
}

/// Heap, overhead, and the sum that is recommended.
fn parts(status: &Status) -> (u64, u64, u64) {
    let divided = status.containers[0].spark.unwrap().divided().unwrap();
    (divided.heap_mib, divided.overhead_mib, memory(status).bytes_rounded_up() / MIB)
}

#[test]
fn a_heap_and_its_pod_shrink_together() {
    let mut world = executors();
    let (heap, overhead, total) = parts(&world.cycle());
    assert!((1700..2000).contains(&heap), "{heap}");
    assert_eq!((overhead, total), (409, heap + 409));
    assert!(world.previous.containers[0].spark.unwrap().heap_is_proven);

    let mut world = executors();
    world.policy("rollout: {largestShrink: 0.25}");
    assert_eq!(parts(&world.cycle()), (3072, 409, 3481), "three quarters of the heap, and all that is beside it");
    assert_eq!(parts(&world.cycle()), (3072, 409, 3481), "no run has been seen with it");
    world.history.add(executor(13, 3481, 3072));
    assert_eq!(parts(&world.cycle()), (2304, 409, 2713));
}

/// Job managers of 1600 MiB, a heap of 1024, which never use two fifths of it.
fn job_managers() -> World {
    let mut history = History::default();
    for number in 0..12 {
        let jvm = JvmUse {
            heap_bytes: Some(1024 * MIB),
            heap_peak_bytes: Some(400 * MIB),
            gc_share: Some(0.01),
            ..JvmUse::default()
        };
        let run = run(number, 700 * MIB, 1600 * MIB, Outcome::Completed);
        history.add(Run { jvm: Some(Box::new(jvm)), ..run });
    }
    World { workload: "flink-jobmanager/clicks", ..World::new(history) }
}

#[test]
fn a_flink_process_shrinks_by_steps_and_is_proven_until_it_is_killed() {
    let proven = |status: &Status| status.containers[0].flink.unwrap().process_is_proven;
    let mut world = job_managers();
    let status = world.cycle();
    let needed = memory(&status);
    assert!(proven(&status) && needed.bytes_rounded_up() < 1100 * MIB, "{needed}");

    let mut world = job_managers();
    world.policy("rollout: {largestShrink: 0.25}");
    let status = world.cycle();
    assert_eq!((memory(&status).bytes_rounded_up() / MIB, proven(&status)), (1200, true));

    world.kill("1200Mi", "2026-11-30T02:10:00Z", Some("1600Mi"));
    let status = world.restate();
    assert!(memory(&status).bytes_rounded_up() >= 1600 * MIB && !proven(&status), "{status:#?}");
}

#[test]
fn what_kills_a_container_leaves_its_heap_and_goes_beside_it() {
    let mut world = executors();
    world.cycle();
    world.kill("4505Mi", "2026-11-30T02:10:00Z", None);
    let (heap, overhead, total) = parts(&world.restate());
    assert_eq!((heap, total), (4096, heap + overhead));
    assert!(total > 4505, "{total}");
    assert!(!world.previous.containers[0].spark.unwrap().heap_is_proven, "an application keeps the heap it asks for");
}
