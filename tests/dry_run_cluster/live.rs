//! Today's pods of the workloads of `past.rs`, in the form in which each engine makes them; where a controller makes
//! them, the real one does. Names are of today, so that only what recurs can match.

use serde_json::{Map, Value, json};

use super::past::asks;
use super::support::cluster::{Namespace, until};

const BATCH: &str = "/apis/batch/v1";
const APPS: &str = "/apis/apps/v1";

/// What every container here must keep to; the sidecars, which say nothing, get the defaults.
pub fn limit_range() -> Value {
    json!({"metadata": {"name": "bounds"}, "spec": {"limits": [{
        "type": "Container",
        "min": {"cpu": "50m", "memory": "128Mi"},
        "max": {"memory": "5Gi"},
        "default": {"memory": "256Mi"},
        "defaultRequest": {"memory": "128Mi", "cpu": "50m"},
    }]}})
}

/// Room for all, but little for pods with a deadline.
pub fn quotas() -> [Value; 2] {
    let quota = |name, scope, memory| {
        let hard = json!({"requests.memory": memory, "limits.memory": memory});
        json!({"metadata": {"name": name}, "spec": {"scopes": [scope], "hard": hard}})
    };
    [quota("team", "NotTerminating", "96Gi"), quota("deadline", "Terminating", "2560Mi")]
}

/// Labels or annotations.
fn keys(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect::<Map<_, _>>().into()
}

/// A container that asks for what its workload asked for in the past.
fn container(name: &str, workload: &str, env: &[(&str, &str)]) -> Value {
    let (cpu, mib) = asks(workload);
    let env: Vec<Value> = env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({
        "name": name, "image": "registry.example/data/work:3.2.1", "env": env,
        "resources": {
            "requests": {"cpu": format!("{cpu}m"), "memory": format!("{mib}Mi")},
            "limits": {"memory": format!("{mib}Mi")},
        },
    })
}

fn sidecar(name: &str) -> Value {
    json!({"name": name, "image": "registry.example/base/sidecar:1.4.0"})
}

/// A pod, or the template of one, that runs until it is deleted.
fn pod(name: &str, labels: &[(&str, &str)], containers: &[Value]) -> Value {
    let annotations = keys(&[("podfit.test/outcome", "run")]);
    json!({
        "metadata": {"name": name, "labels": keys(labels), "annotations": annotations},
        "spec": {"restartPolicy": "Never", "containers": containers},
    })
}

fn owned_by(mut object: Value, api: &str, kind: &str, name: &str, uid: &Value) -> Value {
    object["metadata"]["ownerReferences"] =
        json!([{"apiVersion": api, "kind": kind, "name": name, "uid": uid, "controller": true}]);
    object
}

/// A Job as an engine creates it; the Job controller makes its pod.
fn job(namespace: &Namespace, metadata: &Value, template: Value) {
    let mut template = template;
    template["metadata"].as_object_mut().unwrap().remove("name");
    let spec = json!({"backoffLimit": 0, "template": template});
    namespace.create(BATCH, "jobs", &json!({"metadata": metadata, "spec": spec}));
}

/// Creates everything and waits until all of it runs and is counted.
pub fn create(namespace: &Namespace) {
    namespace.create("/api/v1", "limitranges", &limit_range());
    for quota in quotas() {
        namespace.create("/api/v1", "resourcequotas", &quota);
    }
    until("quotas with a status", || {
        let quotas = namespace.list("/api/v1", "resourcequotas");
        quotas.iter().all(|q| q["status"]["used"]["limits.memory"].is_string()).then_some(())
    });
    earlier_run(namespace);
    let mut pods = 1; // the one of nobody
    namespace.create("/api/v1", "pods", &pod("debug-shell", &[], &[container("sh", "", &[])]));
    pods += airflow(namespace);
    pods += spark(namespace, "orders-agg", "2048m");
    pods += spark(namespace, "customer-features", "2048m");
    pods += dagster(namespace);
    pods += prefect(namespace);
    pods += argo(namespace);
    pods += flink(namespace);
    pods += jobs(namespace);
    let counted = |quota: &Value| quota["status"]["used"]["requests.memory"] == json!("1Gi");
    until("all pods running and counted", || {
        let running = namespace.list("/api/v1", "pods").iter().filter(|p| p["status"]["phase"] == "Running").count();
        let quotas = namespace.list("/api/v1", "resourcequotas");
        let deadline = quotas.iter().find(|q| q["metadata"]["name"] == "deadline")?;
        (running == pods && counted(deadline)).then_some(())
    });
}

/// A task of yesterday's, done and kept: no live pod, and no longer what its workload asks for.
fn earlier_run(namespace: &Namespace) {
    let labels = [("kubernetes_executor", "True"), ("dag_id", "nightly_sales_etl"), ("task_id", "extract_orders")];
    let base = container("base", "airflow-task/nightly_sales_etl/extract_orders", &[]);
    let mut pod = pod("nightly-sales-etl-extract-orders-0zr4x1pd", &labels, &[base]);
    pod["metadata"]["annotations"] = keys(&[("podfit.test/outcome", "complete")]);
    namespace.create("/api/v1", "pods", &pod);
    // The others are younger by at least the second that it ran.
    let path = "pods/nightly-sales-etl-extract-orders-0zr4x1pd";
    until("yesterday's pod to end", || {
        namespace.find("/api/v1", path).filter(|pod| pod["status"]["phase"] == "Succeeded")
    });
}

fn airflow(namespace: &Namespace) -> usize {
    let task = |name: &str, dag: &str, task: &str, flag: &str, containers: &[Value]| {
        let labels = [
            ("airflow_version", "3.1.2"),
            ("dag_id", dag),
            ("task_id", task),
            ("run_id", "scheduled__2026-11-22T0200000000-959c4a0ac"),
            ("try_number", "1"),
            (flag, "True"),
        ];
        namespace.create("/api/v1", "pods", &pod(name, &labels, containers));
    };
    let etl = "nightly_sales_etl";
    let mut less = container("base", "airflow-task/nightly_sales_etl/extract_orders", &[]);
    // Somebody has halved it since the last run.
    less["resources"]["requests"]["memory"] = json!("2Gi");
    less["resources"]["limits"]["memory"] = json!("2Gi");
    let extract = [less, sidecar("git-sync")];
    task("nightly-sales-etl-extract-orders-1sp9i3sm", etl, "extract_orders", "kubernetes_executor", &extract);
    let load = [container("base", "airflow-task/nightly_sales_etl/load_warehouse", &[]), sidecar("git-sync")];
    task("nightly-sales-etl-load-warehouse-8dk2mzq1", etl, "load_warehouse", "kubernetes_executor", &load);
    let score = [container("base", "airflow-pod/churn_scoring/score_customers", &[]), sidecar("airflow-xcom-sidecar")];
    task("score-customers-4tq8w0ab", "churn_scoring", "score_customers", "kubernetes_pod_operator", &score);
    3
}

/// A driver that nobody owns and two executors that it owns, the application's name with today's date.
fn spark(namespace: &Namespace, application: &str, heap: &str) -> usize {
    let app = format!("{application}-2026-11-22");
    let selector = "spark-af7084fb6e164790bfe5a6d9bc1ed206";
    let env = [("SPARK_APPLICATION_ID", selector)];
    let own = container("spark-kubernetes-driver", &format!("spark-driver/{application}"), &env);
    let labels = |role| [("spark-app-name", app.as_str()), ("spark-app-selector", selector), ("spark-role", role)];
    let name = format!("{app}-b21a99a202581605-driver");
    let driver = namespace.create("/api/v1", "pods", &pod(&name, &labels("driver"), &[own]));
    for number in ["1", "2"] {
        let mut labels = labels("executor").to_vec();
        labels.extend([("spark-exec-id", number), ("spark-exec-resourceprofile-id", "0")]);
        let env = [("SPARK_EXECUTOR_ID", number), ("SPARK_EXECUTOR_CORES", "2"), ("SPARK_EXECUTOR_MEMORY", heap)];
        let own = container("spark-kubernetes-executor", &format!("spark-executor/{application}"), &env);
        let executor = pod(&format!("{app}-7c6282a202601188-exec-{number}"), &labels, &[own]);
        namespace.create("/api/v1", "pods", &owned_by(executor, "v1", "Pod", &name, &driver["metadata"]["uid"]));
    }
    3
}

fn dagster(namespace: &Namespace) -> usize {
    let made = |name: &str, component: &str, op: Option<&str>, workload: &str| {
        let mut labels = vec![
            ("app.kubernetes.io/component", component),
            ("app.kubernetes.io/name", "dagster"),
            ("dagster/code-location", "forecast"),
            ("dagster/job", "demand_forecast"),
            ("dagster/run-id", "f079c607-b3e8-49e0-835a-835a0c65e955"),
        ];
        labels.extend(op.map(|op| ("dagster/op", op)));
        job(namespace, &json!({"name": name}), pod("", &labels, &[container("dagster", workload, &[])]));
    };
    let run = "dagster-run-f079c607-b3e8-49e0-835a-835a0c65e955";
    made(run, "run_worker", None, "dagster-run/forecast/demand_forecast");
    let step = "dagster-step-8a577577ab69927d60fa8099fa778596";
    made(step, "step_worker", Some("train_model"), "dagster-step/demand_forecast/train_model");
    2
}

fn prefect(namespace: &Namespace) -> usize {
    let labels = [
        ("prefect.io/deployment-name", "prod"),
        ("prefect.io/flow-name", "sync-crm"),
        ("prefect.io/flow-run-id", "493a968f-d25b-42a4-91b1-f4491d8aceed"),
        ("prefect.io/flow-run-name", "functional-tarsier"),
    ];
    let mut flow = container("prefect-job", "prefect/sync-crm/prod", &[("PREFECT__FLOW_NAME", "sync-crm")]);
    flow["image"] = json!("registry.example/flows:latest");
    job(namespace, &json!({"generateName": "functional-tarsier-"}), pod("", &labels, &[flow]));
    1
}

/// The Workflow that owns the pods. Where the API server knows Workflows (other tests bring their definition), the
/// garbage collector deletes pods of one that is not there; where it does not, owners of unknown kinds are left alone.
fn workflow_uid(namespace: &Namespace, name: &str) -> Value {
    let workflow = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name},
        "spec": {"entrypoint": "extract", "templates": [{"name": "extract"}, {"name": "score"}]},
    });
    let path = format!("/apis/argoproj.io/v1alpha1/namespaces/{}/workflows", namespace.name);
    match namespace.cluster.request("POST", &path, Some(&workflow)) {
        Ok(made) => made["metadata"]["uid"].clone(),
        Err((404, _)) => json!("f4173991-990e-573e-9a46-207b676990d6"),
        Err(refused) => panic!("POST {path}: {refused:?}"),
    }
}

fn argo(namespace: &Namespace) -> usize {
    let workflow = "clickstream-1795334400";
    let uid = workflow_uid(namespace, workflow);
    for (template, hash, root) in [("extract", "38544216", false), ("score", "2017512394", true)] {
        let labels = [("workflows.argoproj.io/completed", "false"), ("workflows.argoproj.io/workflow", workflow)];
        let mut main = container("main", &format!("argo/clickstream/{template}"), &[]);
        if root {
            main["securityContext"] = json!({"runAsUser": 0});
        }
        let mut pod = pod(&format!("{workflow}-{template}-{hash}"), &labels, &[sidecar("wait"), main]);
        let node = format!("{workflow}[0].{template}");
        pod["metadata"]["annotations"]["workflows.argoproj.io/node-name"] = json!(node);
        namespace.create("/api/v1", "pods", &owned_by(pod, "argoproj.io/v1alpha1", "Workflow", workflow, &uid));
    }
    2
}

/// The job manager of a real Deployment, and two task managers that the Deployment owns too.
fn flink(namespace: &Namespace) -> usize {
    let labels = |component| [("app", "sessions"), ("component", component), ("type", "flink-native-kubernetes")];
    let own = |component: &str| container("flink-main-container", &format!("flink-{component}/sessions"), &[]);
    let mut template = pod("", &labels("jobmanager"), &[own("jobmanager")]);
    template["metadata"].as_object_mut().unwrap().remove("name");
    template["spec"]["restartPolicy"] = json!("Always");
    let selector = json!({"matchLabels": keys(&labels("jobmanager"))});
    let deployment = json!({"metadata": {"name": "sessions"}, "spec": {"selector": selector, "template": template}});
    let made = namespace.create(APPS, "deployments", &deployment);
    for number in 1..=2 {
        let manager = pod(&format!("sessions-taskmanager-1-{number}"), &labels("taskmanager"), &[own("taskmanager")]);
        let uid = &made["metadata"]["uid"];
        namespace.create("/api/v1", "pods", &owned_by(manager, "apps/v1", "Deployment", "sessions", uid));
    }
    3
}

/// CronJobs, two of which have no pod now, one run of the third, and a Job that a script makes.
fn jobs(namespace: &Namespace) -> usize {
    let of = |workload: &str| pod("", &[], &[container("main", workload, &[])]);
    let mut made = Vec::new();
    for name in ["nightly-report", "six-hourly-compact", "yearly-audit"] {
        let mut template = of(&format!("cronjob/{name}"));
        template["metadata"].as_object_mut().unwrap().remove("name");
        template["spec"]["activeDeadlineSeconds"] = json!(7200);
        let spec = json!({"schedule": "0 9 * * *", "suspend": true, "jobTemplate": {"spec": {"template": template}}});
        let cron = json!({"metadata": {"name": name}, "spec": spec});
        made.push(namespace.create(BATCH, "cronjobs", &cron));
    }
    // What the CronJob controller creates at nine o'clock.
    let run = owned_by(
        json!({"metadata": {"name": "nightly-report-29922300"}}),
        "batch/v1",
        "CronJob",
        "nightly-report",
        &made[0]["metadata"]["uid"],
    );
    job(namespace, &run["metadata"], made[0]["spec"]["jobTemplate"]["spec"]["template"].clone());
    job(namespace, &json!({"generateName": "backfill-"}), of("job/backfill"));
    2
}
