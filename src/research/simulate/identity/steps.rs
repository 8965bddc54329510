//! Pods of Prefect flows, Argo workflows and Flink clusters.
//! Knows nothing of how long they live.

use super::job::of_job;
use super::{Identity, Owner, ParentKind, RunPosition, pairs};

pub(super) fn prefect(place: &RunPosition<'_>, deployment: &str, work_pool: &str) -> Identity {
    let run = place.run;
    let colour = run.pick("colour", &["amber", "crimson", "ivory", "jade", "ochre", "teal", "umber", "violet"]);
    let animal = run.pick("animal", &["badger", "civet", "finch", "heron", "lynx", "marten", "otter", "wombat"]);
    let flow_run = format!("{colour}-{animal}");
    let mut identity = of_job(place, format!("{flow_run}-{}", place.own.suffix("job", 5)), None);
    identity.container = "prefect-job";
    identity.workload = format!("prefect/{}/{deployment}", place.name());
    identity.labels.extend(pairs([
        ("app.kubernetes.io/name", deployment),
        ("prefect.io/deployment-name", deployment),
        ("prefect.io/flow-name", place.name()),
        ("prefect.io/flow-run-id", &run.uuid("flow run")),
        ("prefect.io/flow-run-name", &flow_run),
        ("prefect.io/version", "3.6.1"),
        ("prefect.io/work-pool-name", work_pool),
    ]));
    identity
}

/// 32-bit FNV-1a, which Argo appends to pod names.
fn fnv32a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

pub(super) fn argo(place: &RunPosition<'_>) -> Identity {
    let template = place.part_name();
    let workflow = format!("{}-{}", place.name(), place.tick_ms / 1000);
    let node = format!("{workflow}[{}].{template}({})", place.part, place.attempt - 1);
    Identity {
        pod: format!("{workflow}-{template}-{}", fnv32a(&node)),
        container: "main",
        workload: format!("argo/cron:{}/{template}", place.name()),
        owner: Some(Owner { kind: "Workflow", name: workflow.clone() }),
        labels: pairs([("workflows.argoproj.io/completed", "false"), ("workflows.argoproj.io/workflow", &workflow)]),
        annotations: pairs([
            ("kubectl.kubernetes.io/default-container", "main"),
            ("workflows.argoproj.io/node-id", &format!("{workflow}-{}", fnv32a(&node))),
            ("workflows.argoproj.io/node-name", &node),
        ]),
        sidecar: Some("wait"),
        ..Identity::default()
    }
}

pub(super) fn flink(place: &RunPosition<'_>) -> Identity {
    let cluster = place.name();
    let deployment = Owner { kind: "Deployment", name: cluster.to_owned() };
    let labels = |component| pairs([("app", cluster), ("component", component), ("type", "flink-native-kubernetes")]);
    if place.leads() {
        let hash = place.run.suffix("replicaset", 10);
        let set = format!("{cluster}-{hash}");
        let mut labels = labels("jobmanager");
        labels.push(("pod-template-hash".to_owned(), hash));
        return Identity {
            pod: format!("{set}-{}", place.own.suffix("pod", 5)),
            container: "flink-main-container",
            workload: format!("flink-jobmanager/{cluster}"),
            owner: Some(Owner { kind: "ReplicaSet", name: set.clone() }),
            parent: Some((ParentKind::ReplicaSet, set, Some(deployment))),
            labels,
            ..Identity::default()
        };
    }
    Identity {
        pod: format!("{cluster}-taskmanager-1-{}", place.index),
        container: "flink-main-container",
        workload: format!("flink-taskmanager/{cluster}"),
        owner: Some(deployment),
        labels: labels("taskmanager"),
        ..Identity::default()
    }
}
