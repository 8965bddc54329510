//! Prefect: variables of a deployment for a Kubernetes work pool. Source: the `prefect-kubernetes` documentation; the
//! four variables are in its default template since 0.7.6.

use super::literal::Node;
use super::{Body, Item};

/// `job_variables` of a deployment in `prefect.yaml`.
pub(super) fn job_variables(item: &Item) -> Body {
    let whole = item.whole();
    let mut variables = Node::Map(Vec::new());
    for (key, value) in [
        ("cpu_request", whole.cpu_request),
        ("cpu_limit", whole.cpu_limit),
        ("memory_request", whole.memory_request),
        ("memory_limit", whole.memory_limit),
    ] {
        if let Some(value) = value {
            variables.put(key, Node::text(value.to_string()));
        }
    }
    let name = item.workload.names.last().map_or("", String::as_str);
    let deployment = Node::map([("name", Node::text(name)), ("work_pool", variables.below(&["job_variables"]))]);
    let node = Node::List(vec![deployment]).below(&["deployments"]);
    let pool = "the work pool's base job template must have these variables; those made before prefect-kubernetes \
                0.7.6 have not";
    Body::yaml([format!("flow {}, in prefect.yaml", item.name(0)), pool.to_owned()], &node)
}
