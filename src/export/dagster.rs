//! Dagster: tags and run config that `dagster-k8s` reads. Source: its documentation ("Customizing your Kubernetes
//! deployment"). Tags of a job reach its run worker alone, tags of an op or asset its step worker.

use super::airflow::dict;
use super::literal::Node;
use super::{Body, Item};
use crate::workload::Kind;

/// `tags` of a job, op or asset.
pub(super) fn tags(item: &Item) -> Result<Body, String> {
    let (what, name) = match item.workload.kind {
        Kind::DagsterRun => ("@job(tags=tags), or define_asset_job(tags=tags), of the job", last(item)),
        Kind::DagsterStep => ("@op(tags=tags), or @asset(op_tags=tags), of", last(item)),
        _ => return Err(format!("{} makes its own pod: give container_config to k8s_job_op", last(item))),
    };
    let mut sections = String::new();
    for (section, values) in item.sections() {
        if !values.is_empty() {
            sections.push_str(&format!("                \"{section}\": {},\n", dict(&values)));
        }
    }
    let code = format!(
        "tags = {{\n    \
             \"dagster-k8s/config\": {{\n        \
                 \"container_config\": {{\n            \
                     \"resources\": {{\n{sections}            \
                     }}\n        \
                 }}\n    \
             }}\n\
         }}\n"
    );
    Ok(Body::new([format!("{what} {name}")], code))
}

/// Run config: `execution.config.per_step_k8s_config`.
pub(super) fn run_config(item: &Item) -> Body {
    let op = last(item);
    let container = item.resources().below(&["container_config", "resources"]);
    let steps = Node::Map(vec![(op.to_owned(), container)]);
    let node = steps.below(&["execution", "config", "per_step_k8s_config"]);
    Body::yaml([format!("run config of the job {}, whose executor is k8s_job_executor", item.name(0))], &node)
}

/// The job of a run, the op of a step.
fn last(item: &Item) -> &str {
    item.workload.names.last().map_or("", String::as_str)
}
