//! The one function that says which workload a pod belongs to; every engine's own rules are in its own file.
//! The same for pods and for series, so both get the same key.

use super::facts::PodFacts;
use super::identity::{Identity, Unidentified};
use super::{Kind, airflow, argo, controllers, dagster, flink, labelled, prefect, spark};

/// The user's own say in identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityRules {
    /// Label keys whose values together name a workload, wherever a pod has all of them. Comes before every engine.
    pub label_keys: Vec<String>,
}

/// One engine's rules: `None` when the pod is not the engine's.
type Engine = fn(&PodFacts) -> Option<Result<Identity, Unidentified>>;

/// Every engine, in the order they are asked: Airflow first, as it starts pods of others.
const ENGINES: [Engine; 7] = [
    airflow::identify,
    spark::identify,
    dagster::identify,
    prefect::identify,
    argo::identify,
    flink::identify,
    labelled::identify,
];

/// Says which workload a pod belongs to.
///
/// # Errors
/// [`Unidentified`] says why there is no answer; that is an answer too, never a fault.
pub fn identify(pod: &PodFacts, rules: &IdentityRules) -> Result<Identity, Unidentified> {
    if let Some(identity) = by_user_labels(pod, rules) {
        return Ok(identity);
    }
    ENGINES.iter().find_map(|engine| engine(pod)).unwrap_or_else(|| controllers::identify(pod))
}

fn by_user_labels(pod: &PodFacts, rules: &IdentityRules) -> Option<Identity> {
    if rules.label_keys.is_empty() {
        return None;
    }
    let values: Option<Vec<&str>> = rules.label_keys.iter().map(|k| pod.label(k)).collect();
    values.map(|v| Identity::new(pod, Kind::Labels, v))
}
