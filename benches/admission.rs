//! What one admission decision costs: reviews of 8 and 20 KB against 100,000 recommendations, in microseconds and,
//! where valgrind is installed, in instructions, which do not depend on what else the machine does.
//! The row "as JSON" is what reading the same bytes into a JSON tree costs, without any decision.
//! Run with `cargo bench --bench admission`.

#![allow(clippy::expect_used, reason = "a bench may fail loudly")]

use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use podfit::admission::{Entry, Knowledge, Outcome, Recommended, answer};
use podfit::fit::ContainerResources;
use podfit::workload::{Kind, Workload};
use serde_json::{Value, json};

// As the binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NAMESPACES: usize = 100;
const WORKLOADS: usize = 1_000;
const SIZES: [usize; 2] = [8 << 10, 20 << 10];
/// Decisions per timed batch, and batches; the fastest batch counts: the others were disturbed.
const BATCH: usize = 500;
const BATCHES: usize = 40;
/// Decisions of the two runs under valgrind; their difference is free of start-up.
const COUNTED: [usize; 2] = [50, 250];

const WHAT: [&str; 4] = ["as JSON", "mutate", "mutate, nothing to do", "validate"];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    // `cargo test --benches` passes --test: nothing is measured then.
    if args.iter().any(|a| a == "--test") {
        return;
    }
    if let [_, _, what, size, times] = args.as_slice()
        && args[1] == "count"
    {
        let bench = Bench::new(size.parse().expect("a size"), if what == "as JSON" { 1 } else { NAMESPACES });
        (0..times.parse().expect("a number")).for_each(|_| bench.once(what));
        return;
    }
    println!("one thread, {} recommendations", NAMESPACES * WORKLOADS);
    println!("  {:<24} {:>8} {:>12} {:>16}", "", "review", "µs", "instructions");
    for size in SIZES {
        let bench = Bench::new(size, NAMESPACES);
        for what in WHAT {
            let best = (0..BATCHES).map(|_| bench.time(what)).fold(f64::INFINITY, f64::min);
            let counted = instructions(what, size).map_or_else(|| "no valgrind".to_owned(), |n| n.to_string());
            println!("  {what:<24} {:>5} KB {best:>12.1} {counted:>16}", size >> 10);
        }
    }
}

/// Instructions of one decision.
fn instructions(what: &str, size: usize) -> Option<u64> {
    let run = |times: usize| -> Option<u64> {
        let out = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe().ok()?)
            .args(["count", what, &size.to_string(), &times.to_string()])
            .output()
            .ok()?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        said.lines().find_map(|line| line.split_once("Collected :"))?.1.trim().parse().ok()
    };
    let [few, many] = COUNTED;
    Some((run(many)? - run(few)?) / (many - few) as u64)
}

struct Bench {
    known: Knowledge,
    review: Vec<u8>,
    sized: Vec<u8>,
}

impl Bench {
    fn new(size: usize, namespaces: usize) -> Self {
        let known = knowledge(namespaces);
        let review = review(size, "4Gi");
        let first = answer(Entry::Mutate, &review, &known);
        assert_eq!(first.seen.outcome, Outcome::Resized, "the bench measures a pod that is resized");
        let sized = self::review(size, "1536Mi");
        Self { known, review, sized }
    }

    fn once(&self, what: &str) {
        let (entry, body) = match what {
            "mutate" => (Entry::Mutate, &self.review),
            "mutate, nothing to do" => (Entry::Mutate, &self.sized),
            "validate" => (Entry::Validate, &self.review),
            _ => {
                black_box(serde_json::from_slice::<Value>(black_box(&self.review)).expect("JSON"));
                return;
            }
        };
        black_box(answer(entry, black_box(body), &self.known));
    }

    /// Microseconds of one.
    fn time(&self, what: &str) -> f64 {
        let started = Instant::now();
        (0..BATCH).for_each(|_| self.once(what));
        started.elapsed().as_secs_f64() / BATCH as f64 * 1e6
    }
}

fn knowledge(namespaces: usize) -> Knowledge {
    let mut known = Knowledge::default();
    let size: ContainerResources =
        serde_json::from_value(json!({"cpuRequest": "500m", "memoryRequest": "1536Mi", "memoryLimit": "1536Mi"}))
            .expect("sizes");
    for namespace in 0..namespaces {
        let name = format!("team-{namespace}");
        let recommendations = (0..WORKLOADS)
            .map(|number| {
                let task = format!("task_{number}");
                let workload = Workload::new(name.clone(), Kind::AirflowTask, ["orders", task.as_str()]);
                let containers = [("base".to_owned(), size)].into_iter().collect();
                (workload, Arc::new(Recommended { id: format!("r{number}"), containers }))
            })
            .collect();
        known.namespace_mut(&name).recommendations = Arc::new(recommendations);
    }
    known
}

/// A review of an Airflow task's pod, as an API server sends it; a third of it is bookkeeping of field managers, the
/// rest is filled up with environment variables.
fn review(bytes: usize, memory: &str) -> Vec<u8> {
    let mut env: Vec<Value> = vec![json!({"name": "AIRFLOW_IS_K8S_EXECUTOR_POD", "value": "True"})];
    let mut fields = Vec::new();
    loop {
        let review = json!({
            "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
            "request": {
                "uid": "3a9a2a2e-6f3a-4b0c-9a34-0c7a2f7e2c11",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
                "requestResource": {"group": "", "version": "v1", "resource": "pods"},
                "name": "orders-task-7-x2m4k", "namespace": "team-0", "operation": "CREATE",
                "userInfo": {"username": "system:serviceaccount:airflow:airflow-scheduler",
                    "groups": ["system:serviceaccounts", "system:authenticated"]},
                "object": {
                    "kind": "Pod", "apiVersion": "v1",
                    "metadata": {
                        "name": "orders-task-7-x2m4k", "namespace": "team-0", "creationTimestamp": null,
                        "labels": {"airflow-worker": "17", "airflow_version": "3.0.6", "component": "worker",
                            "dag_id": "orders", "kubernetes_executor": "True", "run_id": "scheduled__2026-11-22",
                            "task_id": "task_7", "tier": "airflow", "try_number": "1"},
                        "annotations": {"dag_id": "orders", "run_id": "scheduled__2026-11-22T00:00:00+00:00",
                            "task_id": "task_7", "try_number": "1"},
                        "managedFields": fields,
                    },
                    "spec": {
                        "serviceAccountName": "airflow-worker", "restartPolicy": "Never",
                        "securityContext": {"runAsUser": 50000, "runAsNonRoot": true, "fsGroup": 0},
                        "volumes": [{"name": "logs", "emptyDir": {}}, {"name": "config", "configMap": {"name": "airflow"}}],
                        "containers": [{
                            "name": "base", "image": "registry.example/airflow:3.0.6",
                            "args": ["python", "-m", "airflow.sdk.execution_time.execute_workload"],
                            "env": env,
                            "resources": {"requests": {"cpu": "2", "memory": memory}, "limits": {"memory": memory}},
                            "volumeMounts": [{"name": "logs", "mountPath": "/opt/airflow/logs"}],
                            "terminationMessagePath": "/dev/termination-log", "imagePullPolicy": "IfNotPresent",
                        }],
                        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists",
                            "effect": "NoExecute", "tolerationSeconds": 300}],
                        "schedulerName": "default-scheduler", "priority": 0, "enableServiceLinks": true,
                    },
                    "status": {},
                },
                "oldObject": null, "dryRun": false, "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
            },
        });
        let body = serde_json::to_vec(&review).expect("JSON");
        if body.len() >= bytes {
            return body;
        }
        let number = env.len();
        let value = if number.is_multiple_of(3) {
            json!({"name": format!("AIRFLOW__SECRET_{number}"),
                "valueFrom": {"secretKeyRef": {"name": "airflow-config", "key": format!("key-{number}")}}})
        } else {
            json!({"name": format!("AIRFLOW__CORE__SETTING_{number}"), "value": "a value of some thirty letters"})
        };
        env.push(value);
        fields.push(json!({"manager": "OpenAPI-Generator", "operation": "Update",
            format!("f:env-{number}"): {".": {}, "f:name": {}, "f:value": {}}}));
    }
}
