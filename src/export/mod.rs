//! The way back into code: a recommendation as the engine's own snippet, ready to paste, with its evidence as a
//! comment. A file per engine. Must not know where recommendations come from, files or the command line.
//!
//! Names come from a cluster and are not trusted: what reaches code goes through [`literal`], what reaches a comment
//! through [`item::comment`], what becomes a file's name through [`file_name`].

mod airflow;
mod argo;
mod dagster;
mod file_name;
mod flink;
mod form;
mod item;
mod kubernetes;
pub mod literal;
mod prefect;
mod spark;
mod spark_application;
#[cfg(test)]
mod tests;

pub use file_name::file_name;
pub use form::{Form, Language, UnknownForm};
pub use item::{Item, SparkParts, read};

use std::collections::BTreeMap;

use literal::Node;

use crate::workload::Kind;

/// What one form says of one workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// Namespace of the workload.
    pub namespace: String,
    /// The workloads it holds numbers of, in their text form.
    pub workloads: Vec<String>,
    /// Which form.
    pub form: Form,
    /// The text, ending in a new line; comments alone where there is no number.
    pub text: String,
    /// Whether it holds a number.
    pub has_number: bool,
}

/// The snippets of some containers: those of one workload together, and those of one application or cluster where the
/// form is its manifest. `form` `None` = each workload's usual one. What a form cannot say is left out.
pub fn export(items: &[Item], form: Option<Form>) -> Vec<Snippet> {
    let mut groups: BTreeMap<(String, Form, String), Vec<&Item>> = BTreeMap::new();
    for item in items {
        let kind = item.workload.kind;
        let Some(form) = form.map_or_else(|| Form::usual(kind), |form| form.says(kind).then_some(form)) else {
            continue;
        };
        let together = if form.is_of_whole_application(kind) {
            format!("{} {}", family(kind), item.application().join("/"))
        } else {
            item.workload.to_string()
        };
        groups.entry((item.workload.namespace.clone(), form, together)).or_default().push(item);
    }
    let write = |((namespace, form, _), mut items): (_, Vec<&Item>)| {
        items.sort_by(|a, b| (&a.workload, &a.container).cmp(&(&b.workload, &b.container)));
        snippet(namespace, form, &items)
    };
    groups.into_iter().map(write).collect()
}

/// Kinds whose pods one manifest makes.
fn family(kind: Kind) -> Kind {
    match kind {
        Kind::SparkExecutor => Kind::SparkDriver,
        Kind::AirflowSparkExecutor => Kind::AirflowSparkDriver,
        Kind::FlinkTaskmanager => Kind::FlinkJobmanager,
        kind => kind,
    }
}

fn snippet(namespace: String, form: Form, items: &[&Item]) -> Snippet {
    let mut workloads: Vec<String> = items.iter().map(|item| item.workload.to_string()).collect();
    workloads.dedup();
    let mut comments: Vec<String> = items.iter().flat_map(|item| item.comments()).collect();
    let known: Vec<&Item> = items.iter().copied().filter(|item| item.has_number()).collect();
    let body = if known.is_empty() { Err(Vec::new()) } else { body(form, &known) };
    let (code, has_number) = match body {
        Ok(Body { comments: more, code }) => {
            comments.extend(more);
            (code, true)
        }
        Err(reasons) => {
            comments.extend(reasons);
            (String::new(), false)
        }
    };
    let mut text: String = comments.iter().map(|line| format!("# {}\n", item::comment(line))).collect();
    text.push_str(&code);
    Snippet { namespace, workloads, form, text, has_number }
}

/// The code, and what is to be said of it above.
struct Body {
    comments: Vec<String>,
    code: String,
}

impl Body {
    fn new<S: Into<String>>(comments: impl IntoIterator<Item = S>, code: String) -> Self {
        Self { comments: comments.into_iter().map(Into::into).collect(), code }
    }

    fn yaml<S: Into<String>>(comments: impl IntoIterator<Item = S>, node: &Node) -> Self {
        Self::new(comments, node.to_yaml())
    }
}

/// The body of a form, or why there is none: one sentence per reason.
fn body(form: Form, items: &[&Item]) -> Result<Body, Vec<String>> {
    match form {
        Form::AirflowPodOverride => one(items, |item| Ok(airflow::pod_override(item))),
        Form::AirflowContainerResources => one(items, |item| Ok(airflow::container_resources(item))),
        Form::SparkConf => spark::conf(items, spark::defaults_file),
        Form::SparkSubmit => spark::conf(items, spark::arguments),
        Form::SparkResourceProfile => one(items, spark::resource_profile),
        Form::SparkApplication => spark_application::kubeflow(items),
        Form::ScheduledSparkApplication => spark_application::scheduled(items),
        Form::ApacheSparkApplication => spark_application::apache(items),
        Form::DagsterTags => one(items, dagster::tags),
        Form::DagsterRunConfig => one(items, |item| Ok(dagster::run_config(item))),
        Form::PrefectJobVariables => one(items, |item| Ok(prefect::job_variables(item))),
        Form::ArgoTemplate => argo::template(items),
        Form::ArgoPodSpecPatch => argo::pod_spec_patch(items),
        Form::FlinkDeployment => flink::deployment(items),
        Form::FlinkConfiguration => Ok(flink::configuration(items)),
        Form::Patch => kubernetes::patch(items),
        Form::Kustomize => kubernetes::kustomize(items),
        Form::HelmValues => match items.first().map(|item| item.workload.kind) {
            Some(kind) if form::is_spark(kind) => spark_application::helm_values(items),
            Some(kind) if form::is_flink(kind) => Ok(flink::helm_values(items)),
            _ => Ok(kubernetes::helm_values(items)),
        },
    }
}

/// Forms that one container fills; of several the first is what the engine's own container is.
fn one(items: &[&Item], of: impl Fn(&Item) -> Result<Body, String>) -> Result<Body, Vec<String>> {
    match items {
        [item] => of(item).map_err(|reason| vec![reason]),
        [] => Err(Vec::new()),
        [first, ..] => {
            let mut body = of(first).map_err(|reason| vec![reason])?;
            body.comments.push(format!("of the container {} alone: this form has room for one", first.container));
            Ok(body)
        }
    }
}
