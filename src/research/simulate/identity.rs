//! Names, labels, annotations and owners of pods, as each engine forms them.
//! Knows nothing of what a container uses; text in, text out.

use super::calendar::{date_text, date_time_text};
use super::model::{Engine, WorkloadModel};
use super::pod::{Owner, ParentKind};
use super::random::Names;

mod airflow;
mod dagster;
mod job;
mod spark;
mod steps;

/// Where in its model's flow a pod stands.
pub(super) struct RunPosition<'a> {
    pub(super) model: &'a WorkloadModel,
    /// Index into the model's parts.
    pub(super) part: usize,
    /// Scheduled time of the run, milliseconds since the epoch.
    pub(super) tick_ms: i64,
    /// Random names shared by all pods of one run.
    pub(super) run: Names,
    /// Random names of this pod.
    pub(super) own: Names,
    /// The n-th try, from 1.
    pub(super) attempt: u32,
    /// Executor id, task manager index or replica, from 1.
    pub(super) index: u32,
}

/// Who a pod is.
#[derive(Default)]
pub(super) struct Identity {
    pub(super) pod: String,
    pub(super) container: &'static str,
    /// The workload in its text form, without namespace.
    pub(super) workload: String,
    pub(super) owner: Option<Owner>,
    /// The Job or ReplicaSet above, and its owner.
    pub(super) parent: Option<(ParentKind, String, Option<Owner>)>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) annotations: Vec<(String, String)>,
    pub(super) sidecar: Option<&'static str>,
}

impl RunPosition<'_> {
    fn name(&self) -> &str {
        &self.model.name
    }

    fn part_name(&self) -> &str {
        self.model.parts.get(self.part).map_or("", |p| p.name.as_str())
    }

    /// The driver, run worker or job manager.
    const fn leads(&self) -> bool {
        self.part == 0
    }

    fn date(&self) -> String {
        date_text(self.tick_ms)
    }

    fn date_time(&self) -> String {
        date_time_text(self.tick_ms)
    }
}

/// Names and labels of a pod.
pub(super) fn identify(place: &RunPosition<'_>) -> Identity {
    match &place.model.engine {
        Engine::CronJob { .. } => job::cron_job(place),
        Engine::Job => job::plain_job(place),
        Engine::AirflowTask => airflow::worker(place),
        Engine::AirflowPod => airflow::operator_pod(place),
        Engine::SparkNative => spark::native(place),
        Engine::SparkScheduled => spark::scheduled(place),
        Engine::Dagster { location } => dagster::pod(place, location),
        Engine::Prefect { deployment, work_pool } => steps::prefect(place, deployment, work_pool),
        Engine::Argo => steps::argo(place),
        Engine::Flink => steps::flink(place),
        Engine::Deployment => job::deployment(place),
        Engine::StatefulSet => job::stateful_set(place),
    }
}

/// Pairs as owned text.
fn pairs<const N: usize>(list: [(&str, &str); N]) -> Vec<(String, String)> {
    list.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// Lower case, and a dash for everything else.
fn slug(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}
