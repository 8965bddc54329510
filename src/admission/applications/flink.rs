//! Flink deployments: the process size of each component. It is lowered only where the JVMs have shown that less is
//! enough, and Flink divides it by its default fractions. Where the operator tunes by itself, nothing is touched.
//! Source: the Flink operator's custom resource reference; Flink's configuration.

use serde_json::{Number, Value, json};

use super::{Part, PartSize, Write, labels, mib, name, setting};
use crate::fit::flink::{Component, Configuration, parts as divided};
use crate::fit::spark::java_size;
use crate::fit::{ContainerResources, MemoryRule, SizeRules};
use crate::quantity::Quantity;

/// Switches of the operator's own sizing, today's key and the one before.
const AUTOSCALER: [&str; 2] = ["job.autoscaler.enabled", "kubernetes.operator.job.autoscaler.enabled"];

pub(super) fn is_ours(object: &Value) -> bool {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    text("apiVersion").starts_with("flink.apache.org/") && text("kind") == "FlinkDeployment"
}

/// Job manager and task managers.
///
/// # Errors
/// Why none of it is touched, in one word.
pub(super) fn parts(object: &Value) -> Result<Vec<Part>, &'static str> {
    let configuration = configuration(object);
    if AUTOSCALER.iter().any(|key| configuration.is_on(key)) {
        return Err("autoscaler");
    }
    Ok(Component::ALL.into_iter().map(|component| part(object, component)).collect())
}

fn part(object: &Value, component: Component) -> Part {
    let field = field(component);
    let mut pod_labels = labels(object, "/metadata/labels");
    pod_labels.extend([
        ("app".to_owned(), name(object).unwrap_or_default().to_owned()),
        ("component".to_owned(), field.to_ascii_lowercase()),
        ("type".to_owned(), "flink-native-kubernetes".to_owned()),
    ]);
    Part { name: field, labels: pod_labels, container: "flink-main-container", size: size(object, component) }
}

const fn field(component: Component) -> &'static str {
    match component {
        Component::JobManager => "jobManager",
        Component::TaskManager => "taskManager",
    }
}

fn configuration(object: &Value) -> Configuration<'_> {
    Configuration::new(object.pointer("/spec/flinkConfiguration"))
}

fn size(object: &Value, component: Component) -> Result<PartSize, String> {
    let field = field(component);
    let at = |place: &str| object.pointer(&format!("/spec/{field}{place}")).filter(|value| !value.is_null());
    if at("/resources").is_some() {
        return Err("its size is in resources, and not in resource".to_owned());
    }
    let key = format!("{}.memory.process.size", field.to_ascii_lowercase());
    let configuration = configuration(object);
    let given = at("/resource/memory").and_then(setting).or_else(|| configuration.text(&key));
    let process = given.as_deref().and_then(memory).ok_or("its process size is not given")?;
    let memory = Some(Quantity::from_bytes_mib_rounded_up(process.bytes_rounded_up()));
    let current = ContainerResources {
        cpu_request: at("/resource/cpu").and_then(|cpu| Quantity::from_json(cpu).ok()),
        cpu_limit: None,
        memory_request: memory,
        memory_limit: memory,
    };
    let is_process = !has_own_parts(&configuration, &field.to_ascii_lowercase());
    let why =
        if is_process { "what Flink's heap needs is not known" } else { "Flink's memory is divided by own settings" };
    let place = SizeRules { memory: MemoryRule::NeverLower { why }, ..SizeRules::default() };
    let edit = move |to: &ContainerResources, _| edit(component, &current, to);
    Ok(PartSize { current, place, is_process, heap: None, edit: Box::new(edit) })
}

/// Whether settings say more of a component's memory than its process size.
fn has_own_parts(configuration: &Configuration<'_>, component: &str) -> bool {
    let memory = format!("{component}.memory.");
    let (size, factor) = (format!("{memory}process.size"), format!("kubernetes.{component}.memory.limit-factor"));
    configuration.iter().any(|set| (set.key.starts_with(&memory) && set.key != size) || set.key == factor)
}

/// A size as Flink writes it, `2048m` or `2 gb`, or as Kubernetes does.
fn memory(text: &str) -> Option<Quantity> {
    let joined: String = text.split_whitespace().collect();
    java_size(&joined).or_else(|| joined.parse().ok()).filter(|size| *size > Quantity::ZERO)
}

fn edit(component: Component, current: &ContainerResources, to: &ContainerResources) -> Option<Vec<Write>> {
    let below = |key: &str| vec![field(component).to_owned(), "resource".to_owned(), key.to_owned()];
    let mut writes = Vec::new();
    if let Some(memory) = to.memory_limit.filter(|memory| Some(*memory) != current.memory_limit) {
        // Flink refuses to start in less than its parts need.
        divided(component, mib(memory))?;
        writes.push(("/spec".to_owned(), below("memory"), json!(format!("{}m", mib(memory)))));
    }
    if let Some(cpu) = to.cpu_request.filter(|cpu| Some(*cpu) != current.cpu_request) {
        let cores = Number::from_f64(cpu.millis_rounded_up() as f64 / 1000.0)?;
        writes.push(("/spec".to_owned(), below("cpu"), Value::Number(cores)));
    }
    Some(writes)
}
