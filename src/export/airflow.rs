//! Airflow: Python for a DAG file. Source: the `cncf.kubernetes` provider's documentation; an override's `resources`
//! replace the template's as a whole, containers are merged by position, the first is `base`.

use super::literal::python;
use super::{Body, Item};

const IMPORT: &str = "from kubernetes.client import models as k8s\n\n";

/// `executor_config` of a task.
pub(super) fn pod_override(item: &Item) -> Body {
    let code = format!(
        "{IMPORT}executor_config = {{\n    \
             \"pod_override\": k8s.V1Pod(\n        \
                 spec=k8s.V1PodSpec(\n            \
                     containers=[\n                \
                         k8s.V1Container(\n                    \
                             name={},\n                    \
                             resources={},\n                \
                         )\n            \
                     ]\n        \
                 )\n    \
             )\n\
         }}\n",
        python(&item.container),
        requirements(item, 20)
    );
    let task = format!("task {} of DAG {}: executor_config=executor_config", item.name(1), item.name(0));
    Body::new([task], code)
}

/// `container_resources` of a `KubernetesPodOperator`.
pub(super) fn container_resources(item: &Item) -> Body {
    let code = format!("{IMPORT}container_resources = {}\n", requirements(item, 0));
    let task = format!("task {} of DAG {}: container_resources=container_resources", item.name(1), item.name(0));
    Body::new([task], code)
}

fn requirements(item: &Item, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let mut code = "k8s.V1ResourceRequirements(\n".to_owned();
    for (section, values) in item.sections() {
        if !values.is_empty() {
            code.push_str(&format!("{pad}    {section}={},\n", dict(&values)));
        }
    }
    code + &pad + ")"
}

/// `{"cpu": "775m", "memory": "1397Mi"}`
pub(super) fn dict(values: &[(&'static str, String)]) -> String {
    let entries: Vec<String> =
        values.iter().map(|(key, value)| format!("{}: {}", python(key), python(value))).collect();
    format!("{{{}}}", entries.join(", "))
}
