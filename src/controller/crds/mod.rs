//! The CustomResourceDefinitions of `RightsizingPolicy` and `Recommendation` (`podfit.dev/v1alpha1`). Knows no cluster.
//!
//! Schemas are written by hand and held to the types by tests, since a schema derived from types says too little:
//! bounds, patterns, what to write instead.

mod recommendation;
mod rightsizing_policy;
mod schema;

use serde_json::{Value, json};

pub use rightsizing_policy::IN_FORCE;

/// API group of both kinds.
pub const GROUP: &str = "podfit.dev";
/// Their version.
pub const VERSION: &str = "v1alpha1";
/// Plural of `RightsizingPolicy`.
pub const POLICIES: &str = "rightsizingpolicies";
/// Plural of `Recommendation`.
pub const RECOMMENDATIONS: &str = "recommendations";

/// Both definitions, in the order in which to create them.
pub fn definitions() -> [Value; 2] {
    [rightsizing_policy::definition(), recommendation::definition()]
}

/// A `CustomResourceDefinition` around what differs.
fn definition(names: &Value, scope: &str, schema: &Value, columns: &Value) -> Value {
    let plural = names.get("plural").and_then(Value::as_str).unwrap_or_default();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{GROUP}"),
            "labels": {"app.kubernetes.io/name": "podfit"},
        },
        "spec": {
            "group": GROUP,
            "names": names,
            "scope": scope,
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
}

#[cfg(test)]
mod tests;
