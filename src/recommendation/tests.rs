//! Every number is the sum of its parts, and where it is not what was wanted, that is a field.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::fit::spark::KnownHeaps;
use crate::fit::{Cause, Constraints, ContainerResources, LimitRanges};
use crate::history::{CpuUse, History, MemoryUse, Outcome, PeakSource, Resources, Run};
use crate::quantity::{GIB, MIB, Quantity};
use crate::sizing::SizingPolicy;
use crate::workload::{Workload, WorkloadKey};

fn run(day: i64, peak_mib: u64) -> Run {
    Run {
        pod: format!("a-{day}"),
        uid: None,
        started_ms: day * 86_400_000,
        ended_ms: day * 86_400_000 + 1_200_000,
        memory: Some(MemoryUse { peak_bytes: peak_mib * MIB, source: PeakSource::Sampled, samples: 60 }),
        cpu: Some(CpuUse { mean_cores: 0.7, peak_cores: None, throttled_share: None }),
        resources: Resources {
            cpu_request_millis: Some(4000),
            cpu_limit_millis: None,
            memory_request_bytes: Some(16 * GIB),
            memory_limit_bytes: Some(16 * GIB),
        },
        outcome: Outcome::Completed,
        attempt: None,
        input_bytes: None,
        jvm: None,
        day: None,
        observation: None,
    }
}

fn line(runs: i64, limit_range: &Value) -> Line {
    let mut history = History::default();
    history.add_all((0..runs).map(|day| run(day, 3000 + 37 * day.unsigned_abs())));
    let key =
        WorkloadKey { workload: Workload::parse("etl", "cronjob/nightly").unwrap(), container: "main".to_owned() };
    let limit_ranges = LimitRanges::of_objects([&json!({"spec": {"limits": [limit_range]}})]);
    let constraints = Constraints { limit_ranges, ..Constraints::default() };
    Line::new(&key, &history, None, &SizingPolicy::default(), &constraints, &KnownHeaps::default(), |_| None)
}

fn sum(parts: &[Part]) -> Option<u64> {
    (!parts.is_empty()).then(|| u64::try_from(parts.iter().map(|part| part.amount).sum::<i64>()).unwrap())
}

#[rstest]
#[case::free(21, json!({"type": "Container"}), None)]
#[case::lowered(21, json!({"type": "Container", "max": {"memory": "3Gi", "cpu": "500m"}}), Some(Cause::LimitRange))]
#[case::raised(21, json!({"type": "Container", "min": {"memory": "10Gi", "cpu": "3"}}), Some(Cause::LimitRange))]
#[case::left(21, json!({"type": "Container", "min": {"memory": "3Gi"}, "max": {"memory": "1Gi"}}), Some(Cause::Skipped))]
#[case::unknown(1, json!({"type": "Container", "max": {"memory": "3Gi"}}), None)]
#[case::held(4, json!({"type": "Container"}), None)]
fn a_number_is_the_sum_of_its_parts(#[case] runs: i64, #[case] limit_range: Value, #[case] cause: Option<Cause>) {
    let line = line(runs, &limit_range);
    let ContainerResources { memory_limit, cpu_request, .. } = line.recommended;
    assert_eq!(sum(&line.explanation.memory), memory_limit.map(Quantity::bytes_rounded_up), "{line:#?}");
    assert_eq!(sum(&line.explanation.cpu), cpu_request.map(Quantity::millis_rounded_up), "{line:#?}");
    assert_eq!(line.differences.iter().map(|d| d.cause).next(), cause, "{line:#?}");
    for difference in &line.differences {
        assert!(difference.wanted != difference.recommended && !difference.why.is_empty(), "{difference:?}");
    }
}
