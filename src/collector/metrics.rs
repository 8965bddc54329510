//! Which series are asked for, and how a missing one is got.
//! Names only; sends nothing.

use super::names::NAMESPACE;
use crate::prometheus::{MatchOp, Matcher, Selector};

/// Raw samples of every container: the measurements.
pub const MEMORY: &str = "container_memory_working_set_bytes";
/// Raw samples of every container's CPU counter.
pub const CPU: &str = "container_cpu_usage_seconds_total";

/// When a pod started.
pub const POD_START: &str = "kube_pod_start_time";

/// Which workload a `HorizontalPodAutoscaler` scales.
pub const AUTOSCALER: &str = "kube_horizontalpodautoscaler_info";
/// What it scales on.
pub const AUTOSCALER_TARGET: &str = "kube_horizontalpodautoscaler_spec_target_metric";

/// Of these cAdvisor series the last sample of an instance says all: they only grow, never change, or their last value
/// counts.
pub const LAST_OF_CONTAINERS: [&str; 7] = [
    "container_memory_max_usage_bytes",
    "container_start_time_seconds",
    "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_oom_events_total",
    "container_spec_memory_limit_bytes",
    "container_memory_cache",
];

/// Of kube-state-metrics' series the last sample says what an object is. Those with most to say come first: they are
/// read in this order, some at a time, and a long one at the end would be waited for alone.
pub const LAST_OF_OBJECTS: [&str; 22] = [
    "kube_pod_container_resource_requests",
    "kube_pod_container_resource_limits",
    "kube_pod_labels",
    "kube_pod_annotations",
    "kube_pod_owner",
    "kube_pod_container_status_terminated_reason",
    POD_START,
    "kube_pod_completion_time",
    "kube_job_owner",
    "kube_replicaset_owner",
    "kube_pod_container_status_last_terminated_reason",
    "kube_pod_container_status_last_terminated_exitcode",
    "kube_pod_status_phase",
    "kube_pod_status_reason",
    "kube_job_status_succeeded",
    "kube_job_complete",
    "kube_pod_init_container_resource_requests",
    "kube_pod_init_container_resource_limits",
    "kube_pod_init_container_status_terminated_reason",
    "kube_pod_init_container_status_last_terminated_reason",
    AUTOSCALER,
    AUTOSCALER_TARGET,
];

/// Which series belong to what is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Namespaces; empty = all.
    pub namespaces: Vec<String>,
    /// Further matchers, such as `cluster="prod"` on a server that holds several clusters.
    pub matchers: Vec<Matcher>,
    /// Scrape jobs whose cAdvisor series count; empty = all.
    pub cadvisor_jobs: Vec<String>,
    /// Scrape jobs whose kube-state-metrics series count; empty = all.
    pub kube_state_metrics_jobs: Vec<String>,
}

impl Scope {
    /// Series of containers in scope, without pods as a whole and pause containers.
    pub fn containers(&self, metric: &str) -> Selector {
        let selector = self.in_namespaces(metric).with("container", MatchOp::NotEqual, "").with(
            "container",
            MatchOp::NotEqual,
            "POD",
        );
        of_jobs(selector, &self.cadvisor_jobs)
    }

    /// Series of a metric of cAdvisor or kube-state-metrics in scope.
    pub(super) fn of(&self, metric: &str) -> Selector {
        if metric.starts_with("container_") { self.containers(metric) } else { self.objects(metric) }
    }

    /// Series of a metric in scope, whatever their labels say of containers.
    pub fn anything(&self, metric: &str) -> Selector {
        self.in_namespaces(metric)
    }

    /// Series of objects in scope.
    pub fn objects(&self, metric: &str) -> Selector {
        let selector = of_jobs(self.in_namespaces(metric), &self.kube_state_metrics_jobs);
        // Reasons that a container does not have are exported too, as 0, by older versions.
        if ["_resource_requests", "_resource_limits", "_allocatable"].iter().any(|of| metric.ends_with(of)) {
            return selector.with("resource", MatchOp::Regex, "cpu|memory");
        }
        // Every pod has a series for each phase and each reason, most of them 0.
        match metric {
            "kube_pod_status_phase" => selector.with("phase", MatchOp::Regex, "Succeeded|Failed"),
            "kube_pod_status_reason" => selector.equal("reason", "Evicted"),
            "kube_job_complete" => selector.equal("condition", "true"),
            _ => selector,
        }
    }

    fn in_namespaces(&self, metric: &str) -> Selector {
        let mut selector = Selector::metric(metric);
        match self.namespaces.as_slice() {
            [] => {}
            [one] => selector = selector.equal(NAMESPACE, one.clone()),
            many => selector = selector.one_of(NAMESPACE, many),
        }
        selector.matchers.extend(self.matchers.iter().cloned());
        selector
    }

    /// In words, for messages.
    pub fn describe(&self) -> String {
        let namespaces = match self.namespaces.as_slice() {
            [] => "all namespaces".to_owned(),
            [one] => format!("namespace {one}"),
            many => format!("namespaces {}", many.join(", ")),
        };
        let labels = self.labels_in_words();
        if labels.is_empty() { namespaces } else { format!("{namespaces} {labels}") }
    }

    /// The part of it that is not about namespaces; empty where there is none.
    pub(super) fn labels_in_words(&self) -> String {
        let jobs = |who: &str, jobs: &[String]| {
            let only = Selector::metric("").one_of(format!("{who} job"), jobs);
            (!jobs.is_empty()).then(|| only.matchers_only())
        };
        let only = |m: &Matcher| Selector { metric: String::new(), matchers: vec![m.clone()] }.matchers_only();
        let mut words: Vec<String> = self.matchers.iter().map(only).collect();
        words.extend(jobs("cAdvisor", &self.cadvisor_jobs));
        words.extend(jobs("kube-state-metrics", &self.kube_state_metrics_jobs));
        for word in &mut words {
            word.insert_str(0, WITH);
        }
        words.join(" ")
    }

    /// The same part of a text that ends with what [`Self::describe`] says.
    pub(super) fn labels_of(described: &str) -> &str {
        described.find(&format!(" {WITH}{{")).map_or("", |at| &described[at + 1..])
    }
}

/// Begins the words for a matcher.
const WITH: &str = "with ";

/// Only of these scrape jobs; empty = of all.
fn of_jobs(selector: Selector, jobs: &[String]) -> Selector {
    match jobs {
        [] => selector,
        [one] => selector.equal("job", one.clone()),
        many => selector.one_of("job", many),
    }
}
