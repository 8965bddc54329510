//! Tekton's tasks as the pods that run them: the steps are containers of one pod. Must not know rules.
//! Source: tektoncd/pipeline pkg/apis/pipeline/v1. What a run adds to a task (its account, its resources) is judged in
//! the pod that it makes.

use serde_json::{Value, json};

use super::Found;
use super::shape::Shape;

const RULES: &[&str] = &["latest-tag", "run-as-root", "hardcoded-credential", "host-path-data"];

/// The pods of a Task, a Pipeline or a run of either.
pub(super) fn pods(object: &Value, base: &str, found: &mut Found) {
    let spec = "/spec".to_owned();
    let mut pipelines = Vec::new();
    match object.get("kind").and_then(Value::as_str).unwrap_or_default() {
        "Task" | "ClusterTask" => task(object, base, &spec, "", found),
        "StepAction" => step_action(object, base, found),
        "TaskRun" => task(object, base, "/spec/taskSpec", "", found),
        "Pipeline" => pipelines.push(spec),
        "PipelineRun" => pipelines.push("/spec/pipelineSpec".to_owned()),
        _ => {}
    }
    for pipeline in pipelines {
        for list in ["tasks", "finally"] {
            let path = format!("{pipeline}/{list}");
            let tasks = object.pointer(&path).and_then(Value::as_array).map_or(0, Vec::len);
            for index in 0..tasks {
                let at = format!("{path}/{index}");
                let name = object.pointer(&format!("{at}/name")).and_then(Value::as_str).unwrap_or_default();
                task(object, base, &format!("{at}/taskSpec"), &format!("task {name}"), found);
            }
        }
    }
}

fn task(object: &Value, base: &str, path: &str, role: &str, found: &mut Found) {
    const LIST: &str = "/spec/containers";
    let get = |at: &str| object.pointer(&format!("{path}{at}")).filter(|value| !value.is_null());
    let from = |at: &str| format!("{base}{path}{at}");
    if get("/steps").is_none() && get("/sidecars").is_none() {
        return;
    }
    let mut shape = Shape::new(&from(""));
    // Of a TaskRun and of a PipelineRun, today's place and the one before.
    for run in ["/spec/podTemplate", "/spec/taskRunTemplate/podTemplate"] {
        for field in ["securityContext", "hostUsers", "os"] {
            let at = format!("{run}/{field}");
            shape.put(&format!("/spec/{field}"), object.pointer(&at), &format!("{base}{at}"));
        }
    }
    let steps = get("/steps").and_then(Value::as_array);
    for (index, step) in steps.into_iter().flatten().enumerate() {
        let at = format!("/steps/{index}");
        let main = shape.push(LIST, json!({"name": format!("step-{index}")}), &from(&at));
        shape.merge(&main, get("/stepTemplate"), &from("/stepTemplate"));
        shape.merge(&main, Some(step), &from(&at));
        if let Some(script) = step.get("script") {
            shape.push(&format!("{main}/args"), script.clone(), &from(&format!("{at}/script")));
        }
    }
    shape.append(LIST, get("/sidecars"), &from("/sidecars"));
    shape.append("/spec/volumes", get("/volumes"), &from("/volumes"));
    found.pods.push(shape.done(object, role).judged_by(RULES));
}

/// A step that tasks refer to.
fn step_action(object: &Value, base: &str, found: &mut Found) {
    let mut shape = Shape::new(&format!("{base}/spec"));
    let main = shape.push("/spec/containers", json!({"name": "step"}), &format!("{base}/spec"));
    shape.merge(&main, object.get("spec"), &format!("{base}/spec"));
    found.pods.push(shape.done(object, "").judged_by(RULES));
}
