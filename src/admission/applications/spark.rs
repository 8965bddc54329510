//! Spark applications of both operators: settings in, `memory` and `memoryOverhead` together out. The heap is the one
//! that the JVMs have proven, else it stays; the overhead takes the difference.
//! Sources: the kubeflow operator's API reference (v1beta2; fields win over `sparkConf`), the Apache operator's, and
//! Spark's own configuration.

use serde_json::{Value, json};

use super::{HEAP_AND_OVERHEAD, Heap, MIB, Part, PartSize, Write, labels, mib, name, quantity, setting};
use crate::fit::spark::{
    Application, Conf, LEAST_OVERHEAD_MIB, Parts, PodSize, Role, Version, driver, executor, lines,
};
use crate::fit::{ContainerResources, MemoryRule, SizeRules};
use crate::quantity::Quantity;

/// Where the operator keeps an application's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    /// `sparkoperator.k8s.io`; the application stands at this place.
    Kubeflow(&'static str),
    /// `spark.apache.org`.
    Apache,
}

fn operator(object: &Value) -> Option<Operator> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    match (text("apiVersion"), text("kind")) {
        ("sparkoperator.k8s.io/v1beta2", "SparkApplication") => Some(Operator::Kubeflow("/spec")),
        ("sparkoperator.k8s.io/v1beta2", "ScheduledSparkApplication") => Some(Operator::Kubeflow("/spec/template")),
        (version, "SparkApplication") if version.starts_with("spark.apache.org/") => Some(Operator::Apache),
        _ => None,
    }
}

pub(super) fn is_ours(object: &Value) -> bool {
    operator(object).is_some()
}

pub(super) fn parts(object: &Value) -> Vec<Part> {
    let Some(operator) = operator(object) else { return Vec::new() };
    Role::ALL.into_iter().map(|role| part(object, operator, role)).collect()
}

fn part(object: &Value, operator: Operator, role: Role) -> Part {
    let mut pod_labels = labels(object, "/metadata/labels");
    let own = name(object).unwrap_or_default().to_owned();
    match operator {
        Operator::Kubeflow(spec) => {
            pod_labels.extend(labels(object, &format!("{spec}/{}/labels", role.as_str())));
            // The runs of a schedule are told by its name.
            let key = if spec == "/spec" { "app-name" } else { "scheduled-app-name" };
            pod_labels.insert(format!("sparkoperator.k8s.io/{key}"), own);
        }
        Operator::Apache => {
            pod_labels.insert("spark.operator/spark-app-name".to_owned(), own);
        }
    }
    pod_labels.insert("spark-role".to_owned(), role.as_str().to_owned());
    let container = match role {
        Role::Driver => "spark-kubernetes-driver",
        Role::Executor => "spark-kubernetes-executor",
    };
    Part { name: role.as_str(), labels: pod_labels, container, size: size(object, operator, role) }
}

fn size(object: &Value, operator: Operator, role: Role) -> Result<PartSize, String> {
    let (conf, version, kind) = settings(object, operator, role);
    if let Operator::Kubeflow(spec) = operator
        && object.pointer(&format!("{spec}/{}/memoryLimit", role.as_str())).is_some_and(|limit| !limit.is_null())
    {
        return Err("its memoryLimit is set by hand".to_owned());
    }
    let made = match role {
        Role::Driver => driver(&conf, version, kind),
        Role::Executor => executor(&conf, version, kind, None),
    };
    let made = made.map_err(|error| error.to_string())?;
    let memory = Some(Quantity::from_bytes_mib_rounded_up(made.memory.total_mib().saturating_mul(MIB)));
    let current = ContainerResources {
        cpu_request: Some(made.cpu_request),
        cpu_limit: made.cpu_limit,
        memory_request: memory,
        memory_limit: memory,
    };
    let beside = made.memory.off_heap_mib.saturating_add(made.memory.pyspark_mib);
    let least = move |heap: u64| heap.saturating_add(beside).saturating_add(LEAST_OVERHEAD_MIB.max(heap.div_ceil(10)));
    let floor = quantity(least(made.memory.heap_mib));
    let place = SizeRules { memory: MemoryRule::AtLeast { floor, why: HEAP_AND_OVERHEAD }, ..SizeRules::default() };
    let heap = Some(Heap { mib: made.memory.heap_mib, least: Box::new(least) });
    let edit = move |to: &ContainerResources, heap: Option<u64>| {
        let heap_mib = heap.unwrap_or(made.memory.heap_mib);
        edit(operator, role, &made, &Parts { heap_mib, ..made.memory }, to)
    };
    Ok(PartSize { current, place, is_process: false, heap, edit: Box::new(edit) })
}

/// The settings that Spark will see, its version, and what the main resource is.
fn settings(object: &Value, operator: Operator, role: Role) -> (Conf, Version, Application) {
    let base = match operator {
        Operator::Kubeflow(spec) => spec,
        Operator::Apache => "/spec",
    };
    let at = |place: &str| object.pointer(&format!("{base}{place}")).filter(|value| !value.is_null());
    let mut conf: Conf = at("/sparkConf")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), setting(value)?)))
        .collect();
    let (version, kind) = match operator {
        Operator::Kubeflow(_) => {
            let by_role = role.as_str();
            for (field, key) in [
                (format!("/{by_role}/cores"), format!("spark.{by_role}.cores")),
                (format!("/{by_role}/coreRequest"), role.request_cores()),
                (format!("/{by_role}/coreLimit"), format!("spark.kubernetes.{by_role}.limit.cores")),
                (format!("/{by_role}/memory"), role.memory()),
                (format!("/{by_role}/memoryOverhead"), role.overhead()),
                ("/memoryOverheadFactor".to_owned(), "spark.kubernetes.memoryOverheadFactor".to_owned()),
            ] {
                if let Some(value) = at(&field).and_then(setting) {
                    conf.insert(key, value);
                }
            }
            let kind = match at("/type").and_then(Value::as_str) {
                Some("Python") => Application::Python,
                Some("R") => Application::R,
                _ => Application::Jvm,
            };
            (at("/sparkVersion"), kind)
        }
        Operator::Apache => {
            let given = |place: &str| at(place).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
            let kind = match (given("/mainClass"), given("/pyFiles"), given("/sparkRFiles")) {
                (false, true, _) => Application::Python,
                (false, false, true) => Application::R,
                _ => Application::Jvm,
            };
            (at("/runtimeVersions/sparkVersion"), kind)
        }
    };
    let version = version.and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or(Version::NEWEST);
    (conf, version, kind)
}

fn edit(
    operator: Operator,
    role: Role,
    made: &PodSize,
    with_heap: &Parts,
    to: &ContainerResources,
) -> Option<Vec<Write>> {
    let total = to.memory_limit.map_or(made.memory.total_mib(), mib);
    let parts = with_heap.with_total(total)?;
    let (heap, overhead) =
        if total == made.memory.total_mib() { (None, None) } else { (Some(parts.heap_mib), Some(parts.overhead_mib)) };
    let cpu = to.cpu_request.filter(|cpu| *cpu != made.cpu_request);
    let writes = lines(role, heap, overhead, cpu).into_iter().map(|(key, value)| match operator {
        Operator::Apache => ("/spec".to_owned(), vec!["sparkConf".to_owned(), key], json!(value)),
        Operator::Kubeflow(spec) => {
            let field = match key {
                key if key == role.memory() => "memory",
                key if key == role.overhead() => "memoryOverhead",
                _ => "coreRequest",
            };
            (spec.to_owned(), vec![role.as_str().to_owned(), field.to_owned()], json!(value))
        }
    });
    Some(writes.collect())
}
