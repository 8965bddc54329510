//! Prefect: one Job per flow run, named after the flow run. The key is flow and deployment.
//! Deployment names such as `prod` recur across flows, so the flow is always part of the key.

use super::Kind;
use super::facts::PodFacts;
use super::identity::{ALLOW_LABELS, Identity, Unidentified};

pub(super) fn identify(pod: &PodFacts) -> Option<Result<Identity, Unidentified>> {
    let flow = named(pod, "prefect.io/flow-name", "PREFECT__FLOW_NAME");
    let deployment = named(pod, "prefect.io/deployment-name", "PREFECT__DEPLOYMENT_NAME");
    let unit = pod.label("prefect.io/flow-run-id").or_else(|| pod.env("PREFECT__FLOW_RUN_ID")).map(str::to_owned);
    let names: Vec<String> = flow.into_iter().chain(deployment).collect();
    if names.is_empty() {
        let by_prefect = unit.is_some() || (pod.has_container("prefect-job") && pod.job_name().is_some());
        return by_prefect.then_some(Err(Unidentified::Incomplete {
            engine: "Prefect",
            missing: "its flow and deployment (labels prefect.io/flow-name, prefect.io/deployment-name) are".into(),
            remedy: ALLOW_LABELS,
        }));
    }
    Some(Ok(Identity::new(pod, Kind::Prefect, names).unit(unit).main_container_of(pod, &["prefect-job"])))
}

fn named(pod: &PodFacts, label: &str, env: &str) -> Option<String> {
    pod.label(label).map(str::to_owned).or_else(|| pod.env(env).map(as_label_value))
}

/// A raw name as Prefect slugs it into a label value: everything outside `[A-Za-z0-9_.-]` becomes `-`, at most 63
/// characters, alphanumeric at both ends.
fn as_label_value(raw: &str) -> String {
    let slug: String =
        raw.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' }).collect();
    let cut: String = slug.trim_matches(|c: char| !c.is_ascii_alphanumeric()).chars().take(63).collect();
    cut.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}
