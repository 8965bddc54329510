//! Dashboards against Grafana's own schema, by the SDK that Grafana generates from it. There is no Grafana here: its
//! server comes from no package registry.

use std::process::Command;

use rstest::rstest;

use super::files::{dashboards, dir};
use super::support::prometheus_server::skipped;
use super::support::python::python_with;

/// The SDK's releases carry the number of Grafana's behind their own; the last has the newest schema, of 12.
#[rstest]
#[case::grafana_11_0("grafana-11.0", "grafana-foundation-sdk==1769699734!11.0.0")]
#[case::grafana_11_6("grafana-11.6", "grafana-foundation-sdk==1769699379!11.6.0")]
#[case::grafana_12("grafana-12", "grafana-foundation-sdk==1769699241")]
fn dashboards_are_of_grafanas_schema(#[case] name: &str, #[case] package: &str) {
    let python = match python_with(name, package, "import grafana_foundation_sdk.models.dashboard") {
        Ok(python) => python,
        Err(reason) => return skipped("dashboards_are_of_grafanas_schema", &reason),
    };
    let files = dashboards().into_iter().map(|(name, _)| dir().join(format!("{name}.json")));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dashboards/schema.py");
    let out = Command::new(python).arg(script).args(files).output().unwrap();
    let (said, trouble) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && said.is_empty(), "{package}:\n{said}{trouble}");
}
