//! What a Spark pod, as the API server has it, tells of its JVM: the heap that it is given, and that it was full.
//! A pod as raw JSON in, facts out; sends nothing.

use jiff::Timestamp;
use serde_json::Value;

use super::outcome::SPARK_HEAP_EXHAUSTED;
use super::quiet::SILENCE_MS;
use crate::fit::spark_executor_heap;
use crate::history::{JvmSeen, Run};
use crate::quantity::Quantity;
use crate::workload::containers::does_the_work;
use crate::workload::{Identity, Kind};

/// Whether it is a driver or an executor.
pub const fn is_spark(kind: Kind) -> bool {
    matches!(kind, Kind::SparkDriver | Kind::SparkExecutor | Kind::AirflowSparkDriver | Kind::AirflowSparkExecutor)
}

/// What a pod tells; nothing where it is no Spark pod.
pub fn seen(pod: &Value, identity: &Identity) -> JvmSeen {
    let kind = identity.workload.kind;
    if !is_spark(kind) {
        return JvmSeen::default();
    }
    let named = |list: &str| {
        let all = pod.pointer(list).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(|of| Some((of.get("name")?.as_str()?, of)))
            .find(|(name, _)| does_the_work(kind, name) && identity.is_main(name))
            .map(|(_, of)| of)
    };
    let is_executor = matches!(kind, Kind::SparkExecutor | Kind::AirflowSparkExecutor);
    let heap = named("/spec/containers").filter(|_| is_executor).and_then(spark_executor_heap);
    let exhausted_ms = named("/status/containerStatuses").and_then(|status| {
        let ended = ["state", "lastState"].into_iter().find_map(|key| {
            let ended = status.get(key)?.get("terminated")?;
            (ended.get("exitCode").and_then(Value::as_i64) == Some(i64::from(SPARK_HEAP_EXHAUSTED))).then_some(ended)
        })?;
        let at: Timestamp = ended.get("finishedAt")?.as_str()?.parse().ok()?;
        Some(at.as_millisecond())
    });
    JvmSeen { heap_bytes: heap.map(Quantity::bytes_rounded_up), exhausted_ms }
}

/// Adds it to a run of the pod. A container that was started again has several runs: the heap was full in the one that
/// ended then.
pub(super) fn note(run: &mut Run, seen: JvmSeen) {
    let ended = |at: i64| run.started_ms <= at && at <= run.ended_ms.saturating_add(SILENCE_MS);
    let is_exhausted = seen.exhausted_ms.is_some_and(ended);
    if seen.heap_bytes.is_none() && !is_exhausted {
        return;
    }
    let jvm = run.jvm.get_or_insert_default();
    jvm.heap_bytes = seen.heap_bytes.or(jvm.heap_bytes);
    jvm.heap_exhausted |= is_exhausted;
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::history::{Outcome, Resources};
    use crate::workload::{IdentityRules, identify, pod_facts};

    fn pod(role: &str, state: &Value, last: &Value) -> Value {
        let name = format!("spark-kubernetes-{role}");
        json!({
            "metadata": {"name": "join-1", "namespace": "etl", "labels": {
                "spark-role": role, "spark-app-name": "join", "spark-app-selector": "spark-1", "spark-exec-id": "1"}},
            "spec": {"containers": [
                {"name": "sidecar", "env": [{"name": "SPARK_EXECUTOR_MEMORY", "value": "9g"}]},
                {"name": name, "env": [{"name": "SPARK_EXECUTOR_MEMORY", "value": "3g"}]}]},
            "status": {"containerStatuses": [
                {"name": "sidecar", "state": {"terminated": {"exitCode": 52, "finishedAt": "2026-11-22T09:00:00Z"}}},
                {"name": name, "state": state, "lastState": last}]},
        })
    }

    fn of(pod: &Value) -> JvmSeen {
        let identity = identify(&pod_facts(pod, "etl").unwrap(), &IdentityRules::default()).unwrap();
        seen(pod, &identity)
    }

    fn ended(code: i64) -> Value {
        json!({"terminated": {"exitCode": code, "reason": "Error", "finishedAt": "2026-11-22T10:00:00Z"}})
    }

    #[rstest]
    #[case::full(ended(52), json!({}), true)]
    #[case::full_and_started_again(json!({"running": {}}), ended(52), true)]
    #[case::failed(ended(1), json!({}), false)]
    #[case::killed(ended(137), json!({}), false)]
    #[case::running(json!({"running": {}}), json!({}), false)]
    #[case::no_time(json!({"terminated": {"exitCode": 52}}), json!({}), false)]
    #[case::nonsense(json!([]), json!(7), false)]
    fn a_full_heap_is_told_by_the_exit_code(#[case] state: Value, #[case] last: Value, #[case] full: bool) {
        for role in ["driver", "executor"] {
            let seen = of(&pod(role, &state, &last));
            assert_eq!(seen.exhausted_ms, full.then_some(1_795_341_600_000), "{role}");
            assert_eq!(seen.heap_bytes, (role == "executor").then_some(3 << 30), "a driver's is not in its pod");
        }
    }

    #[test]
    fn it_is_noted_in_the_run_that_ended_then() {
        let seen = JvmSeen { heap_bytes: Some(7), exhausted_ms: Some(1000) };
        let noted = |started_ms, ended_ms| {
            let mut run = Run {
                pod: "a".to_owned(),
                uid: None,
                started_ms,
                ended_ms,
                memory: None,
                cpu: None,
                resources: Resources::default(),
                outcome: Outcome::Failed,
                attempt: None,
                input_bytes: None,
                jvm: None,
                day: None,
                observation: None,
            };
            note(&mut run, seen);
            let jvm = run.jvm.unwrap();
            (jvm.heap_bytes, jvm.heap_exhausted)
        };
        assert_eq!(noted(0, 990), (Some(7), true), "the last sample is older than the end");
        assert_eq!(noted(1001, 9000), (Some(7), false), "it was started again");
        assert_eq!(noted(-9_000_000, -8_000_000), (Some(7), false), "an earlier instance");
    }
}
