//! Laws of histories, on random data.
//! Knows nothing of files; those are in `tests/history_store`.

mod codec;
mod history;

use proptest::prelude::*;

use super::{
    CpuUse, Day, Doubt, Doubts, HeldUntil, JvmUse, MemoryUse, Observation, Outcome, PeakSource, Resources, Run,
    ScaledOn,
};

/// Any outcome.
fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Completed),
        Just(Outcome::OomKilled),
        Just(Outcome::Failed),
        Just(Outcome::Running),
        Just(Outcome::Unknown),
        Just(Outcome::GoesOn),
    ]
}

fn source() -> impl Strategy<Value = PeakSource> {
    prop_oneof![Just(PeakSource::Sampled), Just(PeakSource::Cgroup), Just(PeakSource::Reported)]
}

fn memory() -> impl Strategy<Value = MemoryUse> {
    (any::<u64>(), source(), any::<u32>()).prop_map(|(peak_bytes, source, samples)| MemoryUse {
        peak_bytes,
        source,
        samples,
    })
}

fn cpu() -> impl Strategy<Value = CpuUse> {
    (0.0..64.0, proptest::option::of(0.0..64.0), proptest::option::of(0.0..1.0))
        .prop_map(|(mean_cores, peak_cores, throttled_share)| CpuUse { mean_cores, peak_cores, throttled_share })
}

fn resources() -> impl Strategy<Value = Resources> {
    let size = || proptest::option::of(any::<u64>());
    (size(), size(), size(), size()).prop_map(
        |(cpu_request_millis, cpu_limit_millis, memory_request_bytes, memory_limit_bytes)| Resources {
            cpu_request_millis,
            cpu_limit_millis,
            memory_request_bytes,
            memory_limit_bytes,
        },
    )
}

fn jvm() -> impl Strategy<Value = JvmUse> {
    let size = || proptest::option::of(any::<u64>());
    let of_flink = proptest::option::of((size(), size(), size()));
    let of_all = (size(), size(), size(), size(), size(), proptest::option::of(0.0..1.0), any::<bool>());
    (of_all, of_flink).prop_map(
        |((heap, heap_peak, non_heap_peak, process_peak, others_peak, gc_share, full), flink)| {
            let (managed_bytes, managed_peak_bytes, network_peak_bytes) = flink.unwrap_or_default();
            JvmUse {
                heap_bytes: heap,
                heap_peak_bytes: heap_peak,
                non_heap_peak_bytes: non_heap_peak,
                process_peak_bytes: process_peak,
                others_peak_bytes: others_peak,
                managed_bytes,
                managed_peak_bytes,
                network_peak_bytes,
                gc_share,
                heap_exhausted: full,
            }
        },
    )
}

fn day() -> impl Strategy<Value = Day> {
    (proptest::option::of(0.0..64.0), any::<bool>(), any::<bool>())
        .prop_map(|(busy_cores, cpu, memory)| Day { busy_cores, scaled_on: ScaledOn { cpu, memory } })
}

fn observation() -> impl Strategy<Value = Observation> {
    let held = (any::<i64>(), resources()).prop_map(|(until_ms, resources)| HeldUntil { until_ms, resources });
    let parts = (any::<u16>(), proptest::option::of(any::<i32>()), any::<u32>(), any::<bool>());
    (parts, proptest::collection::vec(held, 0..4)).prop_map(|((bits, exit_code, killed_children, succeeded), held)| {
        Observation { doubts: Doubts::from_bits(bits), exit_code, killed_children, succeeded, held }
    })
}

/// Anything that fits the type.
fn any_run() -> impl Strategy<Value = Run> {
    (
        (
            "\\PC{0,40}|nightly-report-[0-9]{6}-[a-z0-9]{5}",
            proptest::option::of("\\PC{0,40}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
        ),
        (any::<i64>(), any::<i64>()),
        (proptest::option::of(memory()), proptest::option::of(cpu()), resources()),
        (outcome(), proptest::option::of(any::<u32>()), proptest::option::of(0.0..1e15)),
        (proptest::option::of(jvm()), proptest::option::of(day()), proptest::option::of(observation())),
    )
        .prop_map(
            |(
                (pod, uid),
                (started_ms, ended_ms),
                (memory, cpu, resources),
                (outcome, attempt, input_bytes),
                (jvm, day, observation),
            )| {
                let mut observation: Observation = observation.unwrap_or_default();
                if memory.is_some() {
                    observation.doubts.remove(Doubt::NeverSampled);
                    observation.doubts.remove(Doubt::ZeroMemory);
                }
                Run {
                    pod,
                    uid,
                    started_ms,
                    ended_ms,
                    memory,
                    cpu,
                    resources,
                    outcome,
                    attempt,
                    input_bytes,
                    jvm: jvm.map(Box::new),
                    day: day.map(Box::new),
                    observation: (observation != Observation::default()).then(|| Box::new(observation)),
                }
            },
        )
}
