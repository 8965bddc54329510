//! Spark on Kubernetes: spark-submit, the kubeflow and the Apache operator, Spark Connect, standalone clusters.
//! Application names often hold the date of the run; a run's own random prefix is never part of the key.

use std::sync::LazyLock;

use regex::Regex;

use super::Kind;
use super::facts::PodFacts;
use super::identity::{ALLOW_LABELS, Identity, Unidentified};
use super::recurring_name::{recurring_name, without_generated_suffix, without_stamps};

/// `<application>-<14 to 16 hex digits>-driver` or `-exec-<n>` (Spark's `getResourceNamePrefix`).
static POD_NAME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?P<app>.+?)(?:-[0-9a-f]{14,16})?-(?P<role>driver|exec-\d+)$").ok());

const DRIVER: &str = "spark-kubernetes-driver";
const EXECUTOR: &str = "spark-kubernetes-executor";

pub(super) fn identify(pod: &PodFacts) -> Option<Result<Identity, Unidentified>> {
    let role = role(pod)?;
    let Some(application) = application(pod) else {
        return Some(Err(Unidentified::Incomplete {
            engine: "Spark",
            missing: "its application's name (label spark-app-name) is".into(),
            remedy: ALLOW_LABELS,
        }));
    };
    let mut names = vec![application];
    let kind = match role {
        Role::Driver => Kind::SparkDriver,
        Role::Executor => {
            names.extend(profile_shape(pod));
            Kind::SparkExecutor
        }
        Role::Connect => Kind::SparkConnect,
        Role::Master => Kind::SparkMaster,
        Role::Worker => Kind::SparkWorker,
    };
    let unit = pod.label("spark-app-selector").map(str::to_owned);
    let identity = Identity::new(pod, kind, names).unit(unit).attempt(attempt(pod));
    Some(Ok(with_main_container(identity, pod)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Driver,
    Executor,
    Connect,
    Master,
    Worker,
}

fn role(pod: &PodFacts) -> Option<Role> {
    match pod.label("spark-role") {
        Some("driver") => return Some(Role::Driver),
        Some("executor") => return Some(Role::Executor),
        Some("connect-server") => return Some(Role::Connect),
        Some("master") => return Some(Role::Master),
        Some("worker") => return Some(Role::Worker),
        _ => {}
    }
    // Without labels (series) the container's name tells; a pod template may rename it, then nothing does.
    if pod.has_container(DRIVER) {
        Some(Role::Driver)
    } else if pod.has_container(EXECUTOR) {
        Some(Role::Executor)
    } else {
        None
    }
}

/// The application's recurring name: the operator's schedule first, then its application, then Spark's own label,
/// then the pod's name.
fn application(pod: &PodFacts) -> Option<String> {
    if let Some(scheduled) = pod.label("sparkoperator.k8s.io/scheduled-app-name") {
        return Some(scheduled.to_owned());
    }
    // The Apache operator puts its attempt counter or a generated suffix behind the application's own name only.
    let operator = [
        "sparkoperator.k8s.io/connect-name",
        "sparkoperator.k8s.io/app-name",
        "spark.operator/spark-app-name",
        "spark.operator/spark-cluster-name",
    ];
    if let Some(name) = operator.iter().find_map(|k| pod.label(k)) {
        return Some(recurring_name(name));
    }
    if let Some(name) = pod.label("spark-app-name") {
        return Some(without_stamps(without_generated_suffix(name).unwrap_or(name)));
    }
    let name = pod.name.as_deref()?;
    if name.starts_with("spark-s-") || name.starts_with("spark-d-") {
        return None; // the StatefulSet and Deployment allocators put only the run's id into the name
    }
    let found = POD_NAME.as_ref()?.captures(name)?;
    let app = found.name("app")?.as_str();
    Some(without_stamps(without_generated_suffix(app).unwrap_or(app)))
}

/// The Apache operator's application id is `<application>-<attempt>`, counted from 0. Nothing else tells: a replaced
/// executor only gets the next id, and so does one that dynamic allocation adds.
fn attempt(pod: &PodFacts) -> Option<u32> {
    let id = pod.label("spark-app-selector").or_else(|| pod.env("SPARK_APPLICATION_ID"))?;
    let number = id.strip_prefix(pod.label("spark.operator/spark-app-name")?)?.strip_prefix('-')?;
    number.parse::<u32>().ok().map(|n| n.saturating_add(1))
}

/// What sets executors of another resource profile apart. Profile ids are given out at run time, so the same profile
/// may have another id next time; its size stays. The default profile (id 0) has none.
pub(super) fn profile_shape(pod: &PodFacts) -> Option<String> {
    let id = pod.label("spark-exec-resourceprofile-id").or_else(|| pod.env("SPARK_RESOURCE_PROFILE_ID"))?;
    if id == "0" {
        return None;
    }
    let executor = pod
        .containers
        .iter()
        .find(|c| c.name == EXECUTOR)
        .or_else(|| pod.containers.iter().find(|c| c.env.contains_key("SPARK_EXECUTOR_ID")))
        .or_else(|| pod.containers.first());
    match executor.and_then(|c| Some((c.cpu_request_millis?, c.memory_request_bytes?))) {
        Some((cpu, memory)) => Some(format!("profile-{cpu}m-{}Mi", memory.div_ceil(1 << 20))),
        None => Some(format!("profile-{id}")),
    }
}

pub(super) fn with_main_container(identity: Identity, pod: &PodFacts) -> Identity {
    let named = identity.main_container_of(pod, &[EXECUTOR, DRIVER]);
    if named.main_container.is_some() && !pod.containers.is_empty() {
        return named;
    }
    // A pod template names the container as it likes; Spark's own environment tells which one is Spark's.
    let own = pod
        .containers
        .iter()
        .find(|c| c.env.contains_key("SPARK_EXECUTOR_ID") || c.env.contains_key("SPARK_APPLICATION_ID"))
        .or_else(|| pod.containers.first());
    Identity { main_container: own.map(|c| c.name.clone()), ..named }
}
