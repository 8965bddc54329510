//! What the source did not have, each as one line that names the metric or label, and how to get it.
//! Decides nothing about runs.

use std::collections::BTreeSet;

use super::metrics::{CPU, MEMORY, Scope};
use super::scrapers::Scrapers;
use crate::prometheus::{Error, Matcher, SeriesSource, TimeRange};

/// What kube-state-metrics says of every pod.
const OWNER: &str = "kube_pod_owner";

/// Pods seen in kube-state-metrics' series.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) pods: u64,
    pub(super) with_labels: u64,
}

/// Adds what the window holds beside what was read of it now: what an earlier collection read is not missing.
///
/// # Errors
/// The source failed.
pub(super) async fn look_back<S: SeriesSource>(
    source: &S,
    scope: &Scope,
    window: TimeRange,
    seen: &mut BTreeSet<&'static str>,
    counts: &mut Counts,
) -> Result<(), Error> {
    let wanted = [
        MEMORY,
        CPU,
        OWNER,
        "kube_pod_container_resource_requests",
        "kube_pod_container_resource_limits",
        "kube_pod_container_status_terminated_reason",
        "kube_pod_container_status_last_terminated_reason",
    ];
    for metric in wanted {
        if !seen.contains(metric) && !source.label_names(&scope.of(metric), window).await?.is_empty() {
            seen.insert(metric);
        }
    }
    if counts.pods == 0 {
        counts.pods = u64::from(seen.contains(OWNER));
    }
    if counts.with_labels == 0 {
        let names = source.label_names(&scope.objects("kube_pod_labels"), window).await?;
        counts.with_labels = u64::from(names.iter().any(|name| name.starts_with("label_")));
    }
    Ok(())
}

/// What is missing beside the measurements; `None` when there are no measurements either.
pub(super) fn of(seen: &BTreeSet<&'static str>, counts: &Counts, scope: &Scope) -> Option<Vec<String>> {
    let mut gaps = Vec::new();
    let scope = scope.describe();
    let any = |metrics: &[&'static str]| metrics.iter().any(|m| seen.contains(m));
    if !any(&[MEMORY, CPU]) {
        return None;
    }
    for metric in [MEMORY, CPU] {
        if !any(&[metric]) {
            gaps.push(format!("no {metric} for {scope}: let Prometheus keep it (metric_relabel_configs may drop it)"));
        }
    }
    if counts.pods == 0 {
        gaps.push(format!(
            "no kube_pod_owner for {scope}: install kube-state-metrics and scrape it; without it most pods cannot be \
             told apart"
        ));
        return Some(gaps);
    }
    if !any(&[OWNER]) {
        gaps.push(format!(
            "no kube_pod_owner for {scope}: pods of Jobs are known by their names, those of other controllers are not; let \
             kube-state-metrics export it and Prometheus keep it"
        ));
    }
    if counts.with_labels == 0 {
        gaps.push(format!(
            "no pod labels in Prometheus for {scope}: start kube-state-metrics with --metric-labels-allowlist=pods=[…] \
             (keys in the README), or Airflow, Dagster and Prefect pods of the past cannot be told apart"
        ));
    }
    if !any(&["kube_pod_container_resource_requests", "kube_pod_container_resource_limits"]) {
        gaps.push(format!(
            "no kube_pod_container_resource_limits for {scope}: what runs asked for is unknown; let kube-state-metrics \
             export it and Prometheus keep it"
        ));
    }
    if !any(&["kube_pod_container_status_terminated_reason", "kube_pod_container_status_last_terminated_reason"]) {
        gaps.push(format!(
            "no kube_pod_container_status_terminated_reason for {scope}: OOM kills of the past are not seen; let \
             kube-state-metrics export it and Prometheus keep it"
        ));
    }
    Some(gaps)
}

/// Which of label, namespace, series label and metric is missing where nothing was measured. Questions that the source
/// does not answer count as answered with no.
pub(super) async fn nothing<S: SeriesSource>(source: &S, scope: &Scope, window: TimeRange) -> String {
    let asked = scope.describe();
    let any_job = Scope { cadvisor_jobs: Vec::new(), ..scope.clone() };
    if !scope.cadvisor_jobs.is_empty()
        && let Ok(mut series) = source.last(&any_job.containers(MEMORY), window).await
        && let Some(Ok(_)) = series.recv().await
    {
        return format!("no {MEMORY} and no {CPU} for {asked}, only of other scrape jobs: check --cadvisor-job");
    }
    if let Some(unnamed) = unnamed(source, scope, window).await {
        return unnamed;
    }
    if has_without_container(source, scope, window).await {
        return format!(
            "{MEMORY} and {CPU} of {asked} have no label container: let Prometheus keep that label (a relabelling or a \
             recording rule drops it)"
        );
    }
    if !scope.namespaces.is_empty() && has(source, &scope.matchers, window).await {
        return format!(
            "no {MEMORY} and no {CPU} for {asked}, only for other namespaces: check the name after -n, or give a longer \
             --history if nothing ran there lately"
        );
    }
    if !scope.matchers.is_empty() && has(source, &[], window).await {
        return format!("no {MEMORY} and no {CPU} for {asked}, only without that label: check --series-label");
    }
    format!(
        "no {MEMORY} and no {CPU} at all in {}: let it scrape the kubelets' /metrics/cadvisor and keep both, name the \
         server that does, or give a longer --history",
        source.describe()
    )
}

/// Where a namespace is asked for and series of containers have no label for one.
async fn unnamed<S: SeriesSource>(source: &S, scope: &Scope, window: TimeRange) -> Option<String> {
    if scope.namespaces.is_empty() {
        return None;
    }
    let everywhere = Scope { namespaces: Vec::new(), ..scope.clone() };
    let mut scrapers = Scrapers::default();
    let mut series = source.last(&everywhere.containers(MEMORY), window).await.ok()?;
    while let Some(Ok(chunk)) = series.recv().await {
        scrapers.container(&chunk.labels);
    }
    scrapers.found().unnamed()
}

async fn has<S: SeriesSource>(source: &S, matchers: &[Matcher], window: TimeRange) -> bool {
    source.metric_names_present(&[MEMORY, CPU], window, matchers).await.is_ok_and(|names| !names.is_empty())
}

async fn has_without_container<S: SeriesSource>(source: &S, scope: &Scope, window: TimeRange) -> bool {
    for metric in [MEMORY, CPU] {
        let Ok(mut series) = source.last(&scope.anything(metric), window).await else { continue };
        if let Some(Ok(_)) = series.recv().await {
            return true;
        }
    }
    false
}
