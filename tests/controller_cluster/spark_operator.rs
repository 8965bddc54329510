//! With the Spark operator of Kubeflow running: applications are sized when they are created, and their pods have what
//! is recommended. The operator calls spark-submit, which makes the driver pods; a driver in client mode, run with the
//! settings of a driver pod, makes an executor. No container runs: kwok plays the kubelet.

use podfit::quantity::Quantity;
use serde_json::{Value, json};

use super::scene::{self, PODFIT, Policy, define};
use super::support::cluster::{Namespace, cluster, until};
use super::support::engine_client::Client;
use super::support::prometheus_server::skipped;
use super::support::webhook::{Setup, Webhook};

const OPERATOR: &str = "/apis/sparkoperator.k8s.io/v1beta2";
const IMAGE: &str = "registry.example/spark:3.5.7";

/// What is recommended to the applications of these tests, in MiB: a driver of 1 GiB of heap keeps it, an executor of
/// 4 GiB gets less, and both get other room beside it.
const DRIVER: (u64, u64) = (1024, 500);
const EXECUTOR: (u64, u64) = (1804, 409);

struct Scene {
    engine: Client,
    webhook: Webhook,
    _policy: Policy,
}

impl Scene {
    /// The operator and podfit, with recommendations for the applications of this name.
    fn start(test: &str, name: &str) -> Option<Self> {
        let cluster = cluster(test)?;
        let rules = json!({"modes": {"run-as-root": "off"}});
        let spec = json!({"applications": "sized-at-creation", "rollout": {"mode": "apply"}, "rules": rules});
        let policy = Policy::hold(cluster, &spec);
        define(cluster);
        let namespace = cluster.namespace("operator");
        let engine = match Client::of_running("spark-operator", &namespace, IMAGE) {
            Ok(engine) => engine,
            Err(reason) => {
                skipped(test, &reason);
                return None;
            }
        };
        for (role, (heap, overhead), (heap_now, proven)) in
            [("driver", DRIVER, (1024, false)), ("executor", EXECUTOR, (4096, true))]
        {
            recommend(&namespace, &format!("spark-{role}/{name}"), role, (heap, overhead), heap_now, proven);
        }
        let arguments = ["--watch-namespaces", "{namespace}", "--lease", "{namespace}/podfit"].map(str::to_owned);
        let setup = Setup { arguments: arguments.into(), applications: true, ..Setup::default() };
        let scene = Self { engine, webhook: Webhook::start_in(namespace, &setup), _policy: policy };
        until("the recommendations reach admission", || {
            let would_be = scene.namespace().try_create(OPERATOR, "sparkapplications", &application(name));
            would_be.ok().filter(|stored| stored["spec"]["executor"]["memoryOverhead"].is_string())
        });
        Some(scene)
    }

    fn namespace(&self) -> &Namespace {
        &self.webhook.namespace
    }

    /// The driver pod of an application, once there is one that is not `other`.
    fn driver_of(&self, application: &str, other: Option<&Value>) -> Value {
        let labels = format!("pods?labelSelector=spark-role=driver,sparkoperator.k8s.io/app-name={application}");
        until("the operator's driver pod", || {
            let pods = self.namespace().find("/api/v1", &labels)?;
            let new = |pod: &&Value| other.is_none_or(|other| other["metadata"]["uid"] != pod["metadata"]["uid"]);
            pods["items"].as_array()?.iter().find(new).cloned()
        })
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("podfit said:\n{}", self.webhook.serve.log());
            for plural in ["sparkapplications", "scheduledsparkapplications"] {
                eprintln!("{plural}: {:#?}", self.namespace().find(OPERATOR, plural));
            }
        }
    }
}

/// Writes a recommendation with the heap that belongs to it.
pub fn recommend(
    namespace: &Namespace,
    workload: &str,
    role: &str,
    (heap, overhead): (u64, u64),
    heap_now: u64,
    heap_is_proven: bool,
) {
    let mib = |mib: u64| format!("{mib}Mi");
    let total = mib(heap + overhead);
    let container = json!({
        "name": format!("spark-kubernetes-{role}"),
        "recommended": {"cpuRequest": "700m", "memoryRequest": total, "memoryLimit": total},
        "spark": {"heap": mib(heap), "heapIsProven": heap_is_proven, "overhead": mib(overhead),
            "heapNow": mib(heap_now), "totalNow": mib(heap_now + 409)},
    });
    scene::recommend(namespace, workload, &container);
}

fn application(name: &str) -> Value {
    json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": name},
        "spec": {"type": "Scala", "mode": "cluster", "sparkVersion": "3.5.7", "image": IMAGE,
            "mainClass": "org.example.Main", "mainApplicationFile": "local:///opt/spark/app.jar",
            "restartPolicy": {"type": "Never"},
            "driver": {"cores": 1, "memory": "1g", "serviceAccount": "default"},
            "executor": {"instances": 1, "cores": 1, "memory": "4g"}}})
}

/// Asserts that an application is stored with what is recommended, under `spec`.
fn is_sized(application: &Value, spec: &str) {
    for (role, (heap, overhead)) in [("driver", DRIVER), ("executor", EXECUTOR)] {
        let part = application.pointer(&format!("{spec}/{role}")).unwrap();
        let asked =
            [&part["memory"], &part["memoryOverhead"], &part["coreRequest"]].map(|value| value.as_str().unwrap());
        assert_eq!(asked, [format!("{heap}m").as_str(), &format!("{overhead}m"), "700m"], "{role}: {part:#}");
    }
}

/// Asserts that a pod asks for exactly that.
fn asks_for(pod: &Value, (heap, overhead): (u64, u64)) {
    assert_eq!(memory_mib(pod), [heap + overhead; 2], "{pod:#}");
    assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"], "700m");
}

/// Request and limit of its first container.
fn memory_mib(pod: &Value) -> [u64; 2] {
    let resources = &pod["spec"]["containers"][0]["resources"];
    ["requests", "limits"].map(|what| Quantity::from_json(&resources[what]["memory"]).unwrap().bytes_rounded_up() >> 20)
}

#[test]
fn an_application_is_sized_when_it_is_created_and_its_pods_have_that() {
    let Some(mut scene) = Scene::start("an_application_is_sized_when_it_is_created_and_its_pods_have_that", "basket")
    else {
        return;
    };
    let stored = scene.namespace().create(OPERATOR, "sparkapplications", &application("basket"));
    is_sized(&stored, "/spec");
    let driver = scene.driver_of("basket", None);
    asks_for(&driver, DRIVER);
    // The driver's own settings say it too, not only its pod: its JVM takes its heap from there.
    let executors = scene.engine.ask(driver["metadata"]["name"].as_str().unwrap());
    let executor = scene.namespace().find("/api/v1", &format!("pods/{}", executors[0])).unwrap();
    asks_for(&executor, EXECUTOR);
    let env = executor["spec"]["containers"][0]["env"].as_array().unwrap();
    let heap = env.iter().find(|variable| variable["name"] == "SPARK_EXECUTOR_MEMORY").unwrap();
    assert_eq!(heap["value"], format!("{}m", EXECUTOR.0));
    // While it runs it is left alone.
    let later = scene.namespace().find(OPERATOR, "sparkapplications/basket").unwrap();
    assert_eq!(later["spec"], stored["spec"]);
    for metric in ["apiserver_admission_webhook_rejection_count", "apiserver_admission_webhook_fail_open_count"] {
        assert_eq!(scene.webhook.counted_by_the_api_server(metric), 0.0, "{metric}");
    }
}

#[test]
fn a_driver_that_was_killed_is_started_again_with_more() {
    let Some(scene) = Scene::start("a_driver_that_was_killed_is_started_again_with_more", "doomed") else { return };
    let mut application = application("doomed");
    application["spec"]["restartPolicy"] =
        json!({"type": "OnFailure", "onFailureRetries": 3, "onFailureRetryInterval": 1});
    application["spec"]["driver"]["annotations"] = json!({"podfit.test/outcome": "oom", "podfit.test/after": "100ms"});
    scene.namespace().create(OPERATOR, "sparkapplications", &application);
    let first = scene.driver_of("doomed", None);
    asks_for(&first, DRIVER);
    let second = scene.driver_of("doomed", Some(&first));
    let [request, limit] = memory_mib(&second);
    assert_eq!(request, limit);
    assert!(limit >= 2 * (DRIVER.0 + DRIVER.1), "{limit} MiB after {}", DRIVER.0 + DRIVER.1);
    let said = until("the recommendation remembers the kill", || {
        let found = scene.namespace().find(PODFIT, "recommendations/spark-driver.doomed")?;
        found["status"]["containers"][0]["kill"].is_object().then_some(found)
    });
    let spark = &said["status"]["containers"][0]["spark"];
    assert_eq!(spark["heap"], "1Gi", "the heap stays, what is beside it grows: {spark:#}");
    let overhead = Quantity::from_json(&spark["overhead"]).unwrap().bytes_rounded_up() >> 20;
    assert!(overhead > DRIVER.1, "{spark:#}");
}

#[test]
fn the_runs_of_a_schedule_have_what_its_template_was_given() {
    let Some(scene) = Scene::start("the_runs_of_a_schedule_have_what_its_template_was_given", "nightly") else {
        return;
    };
    let scheduled = json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "ScheduledSparkApplication",
        "metadata": {"name": "nightly"}, "spec": {"schedule": "@every 1s", "concurrencyPolicy": "Forbid",
            "template": application("nightly")["spec"]}});
    let stored = scene.namespace().create(OPERATOR, "scheduledsparkapplications", &scheduled);
    is_sized(&stored, "/spec/template");
    let run = until("a run of the schedule", || {
        let runs = scene.namespace().find(OPERATOR, "sparkapplications")?;
        runs["items"].as_array()?.first().cloned()
    });
    is_sized(&run, "/spec");
    let recorded = &run["metadata"]["annotations"]["podfit.dev/resized"];
    assert!(recorded.is_null(), "what the template has needs no second change: {recorded}");
    asks_for(&scene.driver_of(run["metadata"]["name"].as_str().unwrap(), None), DRIVER);
}
