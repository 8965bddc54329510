//! Spark's operators: manifests of an application, to be merged into the one there is. Sources: the kubeflow operator's
//! API reference (v1beta2), the Apache operator's. Sizes are in Java's units, where `m` is a mebibyte.

use super::literal::Node;
use super::spark::settings;
use super::{Body, Item};
use crate::fit::spark::Conf;

/// `sparkoperator.k8s.io` `SparkApplication`.
pub(super) fn kubeflow(items: &[&Item]) -> Result<Body, Vec<String>> {
    let (said, by_role) = settings(items)?;
    Ok(Body::yaml(said, &object(items, "sparkoperator.k8s.io/v1beta2", "SparkApplication", roles(&by_role))))
}

/// `sparkoperator.k8s.io` `ScheduledSparkApplication`.
pub(super) fn scheduled(items: &[&Item]) -> Result<Body, Vec<String>> {
    let (said, by_role) = settings(items)?;
    let spec = roles(&by_role).below(&["template"]);
    Ok(Body::yaml(said, &object(items, "sparkoperator.k8s.io/v1beta2", "ScheduledSparkApplication", spec)))
}

/// `spark.apache.org` `SparkApplication`.
pub(super) fn apache(items: &[&Item]) -> Result<Body, Vec<String>> {
    let (said, by_role) = settings(items)?;
    let conf = by_role.into_iter().flat_map(|(_, conf)| conf).map(|(key, value)| (key, Node::Text(value))).collect();
    let spec = Node::Map(conf).below(&["sparkConf"]);
    Ok(Body::yaml(said, &object(items, "spark.apache.org/v1", "SparkApplication", spec)))
}

/// Values for a chart that makes a `SparkApplication`.
pub(super) fn helm_values(items: &[&Item]) -> Result<Body, Vec<String>> {
    let (mut said, by_role) = settings(items)?;
    said.push(
        "where the chart passes driver and executor on to the SparkApplication; `helm show values` tells".to_owned(),
    );
    Ok(Body::yaml(said, &roles(&by_role)))
}

fn object(items: &[&Item], version: &str, kind: &str, spec: Node) -> Node {
    let mut node = Node::map([("apiVersion", Node::text(version)), ("kind", Node::text(kind))]);
    // Airflow makes up a name for each run.
    if let Some(item) = items.first().filter(|item| !item.is_airflow_spark()) {
        node.put("metadata", super::kubernetes::metadata(item));
    }
    node.put("spec", spec);
    node
}

/// `driver: {memory, memoryOverhead, coreRequest}`, and the same of executors.
fn roles(by_role: &[(String, Conf)]) -> Node {
    let field = |key: &str| {
        if key.ends_with(".memory") {
            "memory"
        } else if key.ends_with(".memoryOverhead") {
            "memoryOverhead"
        } else {
            "coreRequest"
        }
    };
    let of =
        |conf: &Conf| Node::Map(conf.iter().map(|(key, value)| (field(key).to_owned(), Node::text(value))).collect());
    Node::Map(by_role.iter().map(|(role, conf)| (role.clone(), of(conf))).collect())
}
