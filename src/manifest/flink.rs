//! A Flink deployment as its job manager's and its task managers' pods. Must not know rules.
//! Source: apache/flink-kubernetes-operator, whose pod templates are merged, the component's over the common one, lists
//! by position.

use serde_json::{Value, json};

use super::shape::{PodOf, Shape, escape};

const MAIN: &str = "flink-main-container";

pub(super) fn pods(object: &Value, base: &str) -> Vec<PodOf> {
    ["jobManager", "taskManager"]
        .iter()
        .map(|component| {
            let mut shape = Shape::new(&format!("{base}/spec"));
            for path in ["/spec/podTemplate/spec".to_owned(), format!("/spec/{component}/podTemplate/spec")] {
                shape.merge("/spec", object.pointer(&path), &format!("{base}{path}"));
            }
            let main = shape.container(MAIN, false, &format!("{base}/spec"));
            let get = |path: &str| object.pointer(path).filter(|value| !value.is_null());
            shape.put(&format!("{main}/image"), get("/spec/image"), &format!("{base}/spec/image"));
            shape.put("/spec/serviceAccountName", get("/spec/serviceAccount"), &format!("{base}/spec/serviceAccount"));
            // Flink gives its container a cpu and a memory request and limit from the configuration, and has defaults.
            let set = json!({"cpu": "flink", "memory": "flink"});
            for list in ["requests", "limits"] {
                shape.put(&format!("{main}/resources/{list}"), Some(&set), &format!("{base}/spec/{component}"));
            }
            if *component == "jobManager" {
                shape.append(&format!("{main}/args"), get("/spec/job/args"), &format!("{base}/spec/job/args"));
                let settings = get("/spec/flinkConfiguration").and_then(Value::as_object).into_iter().flatten();
                for (key, value) in settings.filter_map(|(key, value)| Some((key, value.as_str()?))) {
                    let from = format!("{base}/spec/flinkConfiguration/{}", escape(key));
                    shape.push(&format!("{main}/args"), json!(format!("{key}={value}")), &from);
                }
            }
            shape.done(object, component)
        })
        .collect()
}
