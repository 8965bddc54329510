//! What `HorizontalPodAutoscaler`s scale, and on what.
//! Labels in, facts out; knows no pods.

use std::collections::HashMap;

use super::metrics::AUTOSCALER;
use super::names::get;
use crate::history::ScaledOn;
use crate::prometheus::Labels;
use crate::workload::recurring_name::recurring_name;
use crate::workload::{Kind, Workload};

/// A `HorizontalPodAutoscaler`.
#[derive(Debug, Default)]
struct Autoscaler {
    target: Option<(String, String)>,
    scaled_on: ScaledOn,
}

/// The autoscalers of the selected namespaces, by namespace and name.
#[derive(Debug, Default)]
pub struct Autoscalers(HashMap<(String, String), Autoscaler>);

impl Autoscalers {
    /// Takes in a series of one of its two metrics. An autoscaler that scales on an average value, not on a share of the request, does not mind another request.
    pub fn take(&mut self, metric: &str, labels: &Labels) {
        self.taken(metric, labels);
    }

    fn taken(&mut self, metric: &str, labels: &Labels) -> Option<()> {
        let key = (get(labels, "namespace")?.to_owned(), get(labels, "horizontalpodautoscaler")?.to_owned());
        let autoscaler = self.0.entry(key).or_default();
        if metric == AUTOSCALER {
            let (kind, name) = (labels.get("scaletargetref_kind")?, labels.get("scaletargetref_name")?);
            autoscaler.target = Some((kind.to_owned(), name.to_owned()));
        } else if labels.get("metric_target_type")? == "utilization" {
            match labels.get("metric_name")? {
                "cpu" => autoscaler.scaled_on.cpu = true,
                "memory" => autoscaler.scaled_on.memory = true,
                _ => {}
            }
        }
        Some(())
    }

    /// What an autoscaler scales a workload on as a share of its requests.
    pub fn scaled_on(&self, workload: &Workload) -> ScaledOn {
        let scales = |((namespace, _), autoscaler): &(&(String, String), &Autoscaler)| {
            *namespace == workload.namespace
                && autoscaler.target.as_ref().is_some_and(|(kind, name)| is_scaled(workload, kind, name))
        };
        self.0.iter().filter(scales).fold(ScaledOn::default(), |all, (_, one)| all.or(one.scaled_on))
    }
}

/// Whether an autoscaler's target is this workload.
pub fn is_scaled(workload: &Workload, kind: &str, name: &str) -> bool {
    match (workload.kind, workload.names.as_slice()) {
        (Kind::Deployment, [own]) => kind == "Deployment" && own == name,
        (Kind::Statefulset, [own]) => kind == "StatefulSet" && own == name,
        (Kind::Custom, [own_kind, own]) => kind.to_lowercase() == *own_kind && recurring_name(name) == *own,
        _ => false,
    }
}
