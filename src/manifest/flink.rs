//! A Flink deployment as its job manager's and its task managers' pods. Must not know rules.
//! Source: apache/flink-kubernetes-operator, whose pod templates are merged, the component's over the common one, lists
//! by position or, where the configuration says so, by name; and Flink's own Kubernetes options.

use serde_json::{Value, json};

use super::shape::{PodOf, Shape};
use crate::fit::flink::Configuration;

const MAIN: &str = "flink-main-container";
const BY_NAME: &str = "kubernetes.operator.pod-template.merge-arrays-by-name";
/// Its image in Flink's configuration, today's key and the one before.
const IMAGES: [&str; 2] = ["kubernetes.container.image.ref", "kubernetes.container.image"];

/// The pods of a deployment whose spec stands at `path` of the object.
pub(super) fn pods(object: &Value, base: &str, path: &str) -> Vec<PodOf> {
    let get = |at: &str| object.pointer(&format!("{path}{at}")).filter(|value| !value.is_null());
    let from = |at: &str| format!("{base}{path}{at}");
    let configuration = Configuration::new(get("/flinkConfiguration"));
    let by_name = configuration.is_on(BY_NAME);
    let of_setting = |pointer: &str| from(&format!("/flinkConfiguration{pointer}"));
    [("jobManager", "containerized.master.env."), ("taskManager", "containerized.taskmanager.env.")]
        .iter()
        .map(|&(component, environment)| {
            let mut shape = Shape::new(&from(""));
            for template in ["/podTemplate/spec".to_owned(), format!("/{component}/podTemplate/spec")] {
                shape.merge_lists("/spec", get(&template), &from(&template), by_name);
            }
            let main = shape.container(MAIN, false, &from(""));
            // What is configured counts over the template, and the object's own field over both.
            let component_key = component.to_ascii_lowercase();
            let account = [
                "kubernetes.service-account".to_owned(),
                "serviceAccount".to_owned(),
                format!("kubernetes.{component_key}.service-account"),
            ];
            for key in &account {
                match configuration.get(key) {
                    Some(set) => shape.put("/spec/serviceAccountName", Some(set.value), &of_setting(&set.pointer)),
                    None if key == "serviceAccount" => {
                        let at = "/serviceAccount";
                        shape.put("/spec/serviceAccountName", get(at), &from(at));
                    }
                    None => {}
                }
            }
            let image = format!("{main}/image");
            if let Some(set) = IMAGES.iter().find_map(|key| configuration.get(key)) {
                shape.put(&image, Some(set.value), &of_setting(&set.pointer));
            }
            shape.put(&image, get("/image"), &from("/image"));
            // Flink gives its container a cpu and a memory request and limit from the configuration, and has defaults.
            let set = json!({"cpu": "flink", "memory": "flink"});
            for list in ["requests", "limits"] {
                shape.put(&format!("{main}/resources/{list}"), Some(&set), &from(&format!("/{component}")));
            }
            for set in configuration.iter() {
                let Some(value) = set.text() else { continue };
                if let Some(name) = set.key.strip_prefix(environment) {
                    let variable = json!({"name": name, "value": value});
                    shape.push(&format!("{main}/env"), variable, &of_setting(&set.pointer));
                } else if component == "jobManager" && !set.key.starts_with("containerized.") {
                    let argument = json!(format!("{}={value}", set.key));
                    shape.push(&format!("{main}/args"), argument, &of_setting(&set.pointer));
                }
                if set.key.starts_with("kubernetes.pod-template-file") {
                    shape.note(
                        "the pod template file of flinkConfiguration is not judged: it is not part of the object",
                    );
                }
            }
            if component == "jobManager" {
                shape.append(&format!("{main}/args"), get("/job/args"), &from("/job/args"));
            }
            shape.done(object, component)
        })
        .collect()
}
