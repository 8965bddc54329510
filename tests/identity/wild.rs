//! Pods of operators and platforms as they come, small and made up: one workload's runs have one key, its roles have
//! one each, and what has no recurring name gets none. From series the same, as far as the printed allowlist lets
//! labels through.

use std::collections::{BTreeMap, BTreeSet};

use podfit::workload::{
    ContainerFacts, IdentityRules, Keys, PodFacts, Unidentified, allowlist, identify, kube_state_metrics_name,
    pod_facts,
};
use rstest::rstest;
use serde_json::{Value, json};

/// A pod: name, `API VERSION|KIND|NAME` of its owner or nothing, `label=value` and `annotation:value` separated by
/// blanks.
fn pod(name: &str, owner: &str, labels: &str) -> Value {
    let of = |mark: char| -> serde_json::Map<String, Value> {
        labels
            .split_whitespace()
            .filter_map(|pair| {
                let at = pair.find(['=', ':'])?;
                let (key, value) = pair.split_at(at);
                value.starts_with(mark).then(|| (key.to_owned(), json!(&value[1..])))
            })
            .collect()
    };
    let owners: Vec<Value> = owner
        .split_once('|')
        .map(|(version, rest)| {
            let (kind, name) = rest.split_once('|').unwrap();
            json!({"apiVersion": version, "kind": kind, "name": name, "uid": "u", "controller": true})
        })
        .into_iter()
        .collect();
    json!({"kind": "Pod", "metadata": {"name": name, "namespace": "n", "labels": of('='), "annotations": of(':'),
        "ownerReferences": owners}, "spec": {"containers": [{"name": "main", "image": "r/x:1"}]}})
}

fn facts(name: &str, owner: &str, labels: &str) -> PodFacts {
    pod_facts(&pod(name, owner, labels), "n").unwrap()
}

fn key(pod: &PodFacts) -> Result<String, Unidentified> {
    identify(pod, &IdentityRules::default()).map(|identity| identity.workload.to_string())
}

/// What series tell of a pod when kube-state-metrics exports what podfit asks for: no API group, no other label.
fn in_series(pod: &PodFacts, object: &Value) -> PodFacts {
    let of = |section: &str, allowed: &[&str]| {
        let entries = object["metadata"][section].as_object().cloned().unwrap_or_default();
        let seen: BTreeMap<String, String> = entries
            .into_iter()
            .filter(|(key, _)| allowed.contains(&key.as_str()))
            .map(|(key, value)| (kube_state_metrics_name(&key), value.as_str().unwrap().to_owned()))
            .collect();
        Keys::from_kube_state_metrics(seen)
    };
    PodFacts {
        labels: of("labels", &allowlist::labels()),
        annotations: of("annotations", &allowlist::ANNOTATIONS),
        owner_group: None,
        containers: vec![ContainerFacts { name: "main".into(), ..ContainerFacts::default() }],
        ..pod.clone()
    }
}

const TEKTON: &str = "tekton.dev/pipeline=nightly tekton.dev/pipelineTask=fetch tekton.dev/task=clone";

#[rstest]
#[case::tekton(
    "nightly-x7k2p-fetch-pod",
    "tekton.dev/v1|TaskRun|nightly-x7k2p-fetch",
    TEKTON,
    "custom/tekton/nightly/fetch"
)]
#[case::tekton_other_run(
    "nightly-9bq7x-fetch-pod",
    "tekton.dev/v1beta1|TaskRun|nightly-9bq7x-fetch",
    TEKTON,
    "custom/tekton/nightly/fetch"
)]
#[case::tekton_spec_in_the_run(
    "r-x7k2p-a-pod",
    "tekton.dev/v1|TaskRun|r-x7k2p-a",
    "tekton.dev/pipeline=r-x7k2p tekton.dev/pipelineTask=a",
    "custom/tekton/r/a"
)]
#[case::tekton_task_alone(
    "lint-run-kq2wz-pod",
    "tekton.dev/v1|TaskRun|lint-run-kq2wz",
    "tekton.dev/task=lint tekton.dev/taskRun=lint-run-kq2wz",
    "custom/taskrun/lint"
)]
#[case::tekton_no_task(
    "scan-kq2wz-pod",
    "tekton.dev/v1|TaskRun|scan-kq2wz",
    "tekton.dev/taskRun=scan-kq2wz",
    "custom/taskrun/scan"
)]
#[case::flyte(
    "f0a1b2-n0-0",
    "flyte.lyft.com/v1alpha1|flyteworkflow|f0a1b2",
    "execution-id=f0a1b2 node-id=n0 workflow-name=etl task-name=load",
    "custom/flyte/etl/load"
)]
#[case::flyte_without_task(
    "f9c3d4-n1-0",
    "",
    "execution-id=f9c3d4 node-id=n1 workflow-name=etl",
    "custom/flyte/etl/n1"
)]
#[case::metaflow(
    "t-1a2b3c4d-x7k2p-8kq2z",
    "batch/v1|Job|t-1a2b3c4d-x7k2p",
    "metaflow/flow_name:Train metaflow/step_name:fit",
    "custom/metaflow/Train/fit"
)]
#[case::kestra(
    "io-kestra-run-1",
    "",
    "kestra.io/namespace=co kestra.io/flow-id=sales kestra.io/task-id=load",
    "custom/kestra/co/sales/load"
)]
#[case::numaflow(
    "p-in-0-abcde",
    "numaflow.numaproj.io/v1alpha1|Vertex|p-in",
    "numaflow.numaproj.io/pipeline-name=p numaflow.numaproj.io/vertex-name=in",
    "custom/numaflow/p/in"
)]
#[case::ray_head(
    "fit-raycluster-8k2lm-head",
    "ray.io/v1|RayCluster|fit-raycluster-8k2lm",
    "ray.io/cluster=fit-raycluster-8k2lm ray.io/node-type=head ray.io/group=headgroup",
    "custom/raycluster/fit-raycluster/head/headgroup"
)]
#[case::ray_worker(
    "fit-raycluster-9bq7x-w-4kqzp",
    "ray.io/v1alpha1|RayCluster|fit-raycluster-9bq7x",
    "ray.io/cluster=fit-raycluster-9bq7x ray.io/node-type=worker ray.io/group=gpu",
    "custom/raycluster/fit-raycluster/worker/gpu"
)]
#[case::pytorch(
    "bert-20261122-master-0",
    "kubeflow.org/v1|PyTorchJob|bert-20261122",
    "training.kubeflow.org/job-name=bert-20261122 training.kubeflow.org/replica-type=master",
    "custom/pytorchjob/bert/master"
)]
#[case::tensorflow_old_labels(
    "cnn-20261122-ps-0",
    "kubeflow.org/v1|TFJob|cnn-20261122",
    "job-name=cnn-20261122 replica-type=PS",
    "custom/tfjob/cnn/ps"
)]
#[case::mpi_worker(
    "pi-worker-0",
    "kubeflow.org/v2beta1|MPIJob|pi",
    "training.kubeflow.org/job-name=pi training.kubeflow.org/job-role=worker training.kubeflow.org/operator-name=mpi-operator",
    "custom/mpijob/pi/worker"
)]
#[case::mpi_launcher(
    "pi-launcher-x7k2p",
    "batch/v1|Job|pi-launcher",
    "training.kubeflow.org/job-name=pi training.kubeflow.org/job-role=launcher",
    "custom/mpijob/pi/launcher"
)]
#[case::katib(
    "exp-x7k2p9qz-0",
    "batch/v1|Job|exp-x7k2p9qz",
    "katib.kubeflow.org/experiment=exp katib.kubeflow.org/trial=exp-x7k2p9qz",
    "custom/katib/exp/trial"
)]
#[case::volcano(
    "mnist-worker-0",
    "batch.volcano.sh/v1alpha1|Job|mnist",
    "volcano.sh/job-name=mnist volcano.sh/task-spec=worker",
    "custom/volcano/mnist/worker"
)]
#[case::volcano_cron(
    "mnist-29399880-ps-0",
    "batch.volcano.sh/v1alpha1|Job|mnist-29399880",
    "volcano.sh/job-name=mnist-29399880 volcano.sh/task-spec=ps",
    "custom/volcano/mnist/ps"
)]
#[case::jobset(
    "train-workers-0-0-abcde",
    "batch/v1|Job|train-workers-0",
    "jobset.sigs.k8s.io/jobset-name=train jobset.sigs.k8s.io/replicatedjob-name=workers job-name=train-workers-0",
    "custom/jobset/train/workers"
)]
#[case::leader(
    "vllm-0",
    "apps/v1|StatefulSet|vllm",
    "leaderworkerset.sigs.k8s.io/name=vllm leaderworkerset.sigs.k8s.io/worker-index=0",
    "custom/leaderworkerset/vllm/leader"
)]
#[case::worker(
    "vllm-0-1",
    "apps/v1|StatefulSet|vllm-0",
    "leaderworkerset.sigs.k8s.io/name=vllm",
    "custom/leaderworkerset/vllm/worker"
)]
#[case::dask_worker(
    "etl-1a2b3c4d5e-default-worker-9f8e7d6c5b",
    "kubernetes.dask.org/v1|DaskWorkerGroup|etl-1a2b3c4d5e-default",
    "dask.org/cluster-name=etl-1a2b3c4d5e dask.org/component=worker dask.org/workergroup-name=etl-1a2b3c4d5e-default",
    "custom/dask/etl/worker/default"
)]
#[case::dask_scheduler(
    "etl-scheduler-6d7f8b9c5-kq2wz",
    "apps/v1|ReplicaSet|etl-scheduler-6d7f8b9c5",
    "dask.org/cluster-name=etl dask.org/component=scheduler",
    "custom/dask/etl/scheduler"
)]
#[case::knative(
    "hello-00003-deployment-6f9d8b7c5-kq2wz",
    "apps/v1|ReplicaSet|hello-00003-deployment-6f9d8b7c5",
    "serving.knative.dev/service=hello serving.knative.dev/revision=hello-00003 pod-template-hash=6f9d8b7c5",
    "custom/knative/hello"
)]
#[case::deployment_config(
    "api-3-x2k4p",
    "v1|ReplicationController|api-3",
    "deployment=api-3 deploymentconfig=api",
    "custom/deploymentconfig/api"
)]
#[case::deployer(
    "api-3-deploy",
    "v1|ReplicationController|api-3",
    "openshift.io/deployer-pod-for.name=api-3",
    "custom/deploymentconfig/api/deployer"
)]
#[case::build(
    "app-12-build",
    "build.openshift.io/v1|Build|app-12",
    "openshift.io/build.name=app-12",
    "custom/buildconfig/app"
)]
#[case::rollout(
    "api-7d9f8c6b5-x2k4p",
    "apps/v1|ReplicaSet|api-7d9f8c6b5",
    "rollouts-pod-template-hash=7d9f8c6b5",
    "custom/rollout/api"
)]
#[case::github_runner(
    "set-7kq2c-runner-x8vzp",
    "actions.github.com/v1alpha1|EphemeralRunner|set-7kq2c-runner-x8vzp",
    "actions.github.com/scale-set-name=set actions-ephemeral-runner=True",
    "custom/runnerset/set/runner"
)]
#[case::github_job(
    "set-7kq2c-runner-x8vzp-workflow",
    "batch/v1|Job|set-7kq2c-runner-x8vzp-workflow",
    "runner-pod=set-7kq2c-runner-x8vzp",
    "custom/runnerset/set/workflow"
)]
#[case::github_runner_deployment(
    "rd-hj4kz-9bq7x",
    "actions.summerwind.dev/v1alpha1|Runner|rd-hj4kz-9bq7x",
    "runner-template-hash=abc",
    "custom/runner/rd"
)]
#[case::gitlab(
    "runner-abc-project-12-concurrent-0-x4k2p",
    "",
    "project.runner.gitlab.com/namespace=co project.runner.gitlab.com/name=etl job.runner.gitlab.com/name:test",
    "custom/gitlab/co/etl/test"
)]
#[case::prow("0a1b2c3d", "", "prow.k8s.io/job=nightly-e2e created-by-prow=true", "custom/prow/nightly-e2e")]
#[case::postgres("pg-1", "postgresql.cnpg.io/v1|Cluster|pg", "cnpg.io/cluster=pg", "custom/cluster/pg")]
#[case::postgres_job(
    "pg-1-initdb-x7k2p",
    "batch/v1|Job|pg-1-initdb",
    "cnpg.io/cluster=pg cnpg.io/jobRole=initdb",
    "custom/cluster/pg/initdb"
)]
#[case::kafka(
    "kafka-broker-0",
    "core.strimzi.io/v1beta2|StrimziPodSet|kafka-broker",
    "strimzi.io/cluster=kafka",
    "custom/strimzipodset/kafka-broker"
)]
#[case::clone_set("web-x2k4p", "apps.kruise.io/v1alpha1|CloneSet|web", "", "custom/cloneset/web")]
#[case::kruise_stateful_set("db-0", "apps.kruise.io/v1beta1|StatefulSet|db", "", "statefulset/db")]
#[case::broadcast_job("x", "apps.kruise.io/v1alpha1|BroadcastJob|pull-29399880", "", "custom/broadcastjob/pull")]
#[case::scaled_job("ingest-8kq2z-m4x7p", "batch/v1|Job|ingest-8kq2z", "scaledjob.keda.sh/name=ingest", "job/ingest")]
#[case::unknown_operator("x", "acme.example/v1|Pump|oil-20261122", "", "custom/pump/oil")]
#[case::unknown_operator_with_roles(
    "x",
    "acme.example/v1|Pump|oil",
    "acme.example/replica-type=Valve",
    "custom/pump/oil/valve"
)]
#[case::hook("migrate-x7k2p", "batch/v1|Job|app-migrate-v42", "", "job/app-migrate-v42")]
#[case::tpcds("x", "batch/v1|Job|tpcds-q14", "", "job/tpcds-q14")]
fn keys(#[case] name: &str, #[case] owner: &str, #[case] labels: &str, #[case] expected: &str) {
    let object = pod(name, owner, labels);
    let live = pod_facts(&object, "n").unwrap();
    assert_eq!(key(&live), Ok(expected.to_owned()));
    let series = key(&in_series(&live, &object));
    // A label outside the allowlist may be missing there, and with it the role; the name is the same.
    let same = series.as_deref().is_ok_and(|series| series == expected || expected.starts_with(&format!("{series}/")));
    assert!(same, "{series:?} from series");
}

#[rstest]
#[case::hub(
    "jupyter-jane",
    "",
    "app=jupyterhub component=singleuser-server hub.jupyter.org/username=jane",
    "--group-by-labels hub.jupyter.org/username"
)]
#[case::gitlab(
    "runner-abc123-project-12-concurrent-0-x4k2p",
    "",
    "pod=runner-abc123-project-12-concurrent-0",
    "--group-by-labels pod"
)]
#[case::jenkins(
    "etl-build-42-x4k2p-9qz7h",
    "",
    "jenkins=slave jenkins/label=etl-build_42-x4k2p",
    "--group-by-labels jenkins"
)]
#[case::dask_gateway(
    "dask-worker-abc-x2k",
    "",
    "gateway.dask.org/cluster=0a1b2c3d4e gateway.dask.org/instance=prod",
    "--group-by-labels gateway.dask.org/instance"
)]
#[case::kueue(
    "batch-x",
    "",
    "kueue.x-k8s.io/queue-name=q team=etl",
    "--group-by-labels kueue.x-k8s.io/queue-name,team"
)]
#[case::by_hand("x", "", "run=shell", "--group-by-labels run")]
#[case::nothing_stable("x", "", "id=x7k2p9qz", "--group-by-labels KEY")]
#[case::random_in_the_middle(
    "x",
    "acme.example/v1|Step|oil-x7k2p-fetch",
    "app.kubernetes.io/name=oil pod-template-hash=5f6d",
    "--group-by-labels app.kubernetes.io/name"
)]
#[case::long_random_end("x", "acme.example/v1|Step|oil-x7k2p9qz", "", "--group-by-labels KEY")]
#[case::numbered_runs("x", "acme.example/v1|PumpRun|oil-12", "app=oil", "--group-by-labels app")]
#[case::job_of_a_run("x", "batch/v1|Job|oil-x7k2p-fetch", "app=oil", "--group-by-labels app")]
fn what_has_no_recurring_name(#[case] name: &str, #[case] owner: &str, #[case] labels: &str, #[case] remedy: &str) {
    let reason = key(&facts(name, owner, labels)).unwrap_err();
    assert!(matches!(reason, Unidentified::NoRecurringName { .. }), "{reason:?}");
    let said = reason.to_string();
    assert!(said.starts_with("no recurring name; ") && said.ends_with(remedy), "{said}");
}

#[rstest]
#[case::ray("x", "ray.io/v1|RayCluster|fit", "label ray.io/node-type")]
#[case::training("x", "kubeflow.org/v1|PyTorchJob|bert", "label training.kubeflow.org/replica-type")]
#[case::volcano("x", "batch.volcano.sh/v1alpha1|Job|mnist", "label volcano.sh/task-spec")]
#[case::tekton("x", "tekton.dev/v1|TaskRun|nightly-fetch", "label tekton.dev/task")]
#[case::knative("x", "apps/v1|ReplicaSet|hello-00003-deployment-6f9d8b7c5", "serving.knative.dev/service")]
#[case::open_shift("x", "v1|ReplicationController|api-3", "label deploymentconfig")]
fn where_the_labels_that_name_it_are_not_visible_nothing_is_guessed(
    #[case] name: &str,
    #[case] owner: &str,
    #[case] label: &str,
) {
    let reason = key(&facts(name, owner, "")).unwrap_err().to_string();
    assert!(reason.contains(label) && reason.contains("metric-labels-allowlist"), "{reason}");
}

#[test]
fn a_kind_of_another_group_is_another_kind() {
    let of = |owner: &str| key(&facts("x", owner, "")).unwrap();
    assert_eq!(of("batch/v1|Job|load-29399880"), "cronjob/load");
    assert_eq!(of("acme.example/v1|Job|load-29399880"), "custom/job.acme.example/load");
    assert_eq!(of("acme.example/v1|StatefulSet|db"), "custom/statefulset.acme.example/db");
    assert_eq!(of("acme.example/v1|RayCluster|fit"), "custom/raycluster/fit");
    // Series have no group: the name of a Volcano pod tells that no Job of Kubernetes made it.
    let unlabelled = PodFacts { owner_group: None, ..facts("mnist-worker-0", "batch/v1|Job|mnist", "") };
    assert!(key(&unlabelled).unwrap_err().to_string().contains("volcano.sh/job-name"));
    for name in ["mnist-x7k2p", "mnist-0-x7k2p", "mnist-0-24567", "other"] {
        let pod = PodFacts { owner_group: None, ..facts(name, "batch/v1|Job|mnist", "") };
        assert_eq!(key(&pod), Ok("job/mnist".to_owned()), "{name}");
    }
}

#[test]
fn a_job_of_a_job_set_is_known_by_its_owner_too() {
    let pod = PodFacts {
        owner_of_owner: Some(podfit::workload::Owner::new("JobSet", "train-x7k2p")),
        owner_group: None,
        ..facts("train-x7k2p-workers-1-0-abcde", "batch/v1|Job|train-x7k2p-workers-1", "")
    };
    assert_eq!(key(&pod), Ok("custom/jobset/train/workers".to_owned()));
}

#[test]
fn components_of_a_kubeflow_pipeline_are_told_apart() {
    let of = |component: &str| {
        let labels = format!(
            "workflows.argoproj.io/workflow=pipe-4kq2z pipeline/runid=1 \
             workflows.argoproj.io/node-name:pipe-4kq2z.root.{component}.executor"
        );
        key(&facts("pipe-4kq2z-system-container-impl-123", "argoproj.io/v1alpha1|Workflow|pipe-4kq2z", &labels))
            .unwrap()
    };
    assert_eq!(of("train"), "argo/pipe/root.train.executor");
    assert_ne!(of("train"), of("score"));
}

#[test]
fn eight_runs_of_an_unknown_controller_are_one_workload_or_none() {
    let suffixes = ["x7k2p", "9bq7x", "kq2wz", "8k2lm", "hj4kz", "4kqzp", "m4x7p", "8vd2q"];
    for form in
        ["oil-{}", "oil-{}-fetch", "{}-oil", "oil-2026112{i}", "oil-2939988{i}", "oil-176369040{i}", "oil-{}9qz"]
    {
        let keys: BTreeSet<String> = suffixes
            .iter()
            .enumerate()
            .filter_map(|(i, suffix)| {
                let name = form.replace("{}", suffix).replace("{i}", &(i + 1).to_string());
                key(&facts("x", &format!("acme.example/v1|Pump|{name}"), "")).ok()
            })
            .collect();
        assert!(keys.len() <= 1, "{form}: {keys:?}");
    }
}

#[test]
fn the_allowlist_has_each_label_once() {
    let labels = allowlist::labels();
    assert_eq!(labels.iter().collect::<BTreeSet<_>>().len(), labels.len());
    for key in ["ray.io/group", "tekton.dev/pipelineTask", "volcano.sh/task-spec", "dag_id", "podfit.dev/workload"] {
        assert!(labels.contains(&key), "{key}");
    }
}

#[test]
fn the_readme_has_the_allowlists() {
    let readme = include_str!("../../README.md");
    for (option, keys) in [("labels", allowlist::labels()), ("annotations", allowlist::ANNOTATIONS.to_vec())] {
        let line = format!("--metric-{option}-allowlist=pods=[{}]", keys.join(","));
        assert!(readme.lines().any(|known| known == line), "{line}");
    }
}

#[test]
fn the_documentation_names_every_row() {
    let documented = include_str!("../../docs/workloads.md");
    for (engine, key, labels) in podfit::workload::operators() {
        let row = format!("| {engine} | `{key}` | {labels} |");
        assert!(documented.lines().any(|known| known == row), "{row}");
    }
    for (group, kinds) in podfit::manifest::kinds::judged() {
        let kinds = if kinds.is_empty() { "all".to_owned() } else { kinds.join(", ") };
        let row = format!("| `{group}` | {kinds} |");
        assert!(documented.lines().any(|known| known == row), "{row}");
    }
}
