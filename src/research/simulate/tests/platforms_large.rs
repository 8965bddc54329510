//! The platform of the benches and the platform of the demo with its stories.
//! Numbers are spelled out here, not taken from the platforms.

use super::*;
use crate::research::simulate::platforms::*;

#[test]
fn five_hundred_cron_jobs_have_the_published_size() {
    let sim = five_hundred_cronjobs().simulate(NOON, 1);
    assert_eq!(sim.pods(), 7000);
    let sizes = sizes(&sim);
    let (series, samples) = sizes["container_memory_working_set_bytes"];
    assert_eq!(series, 7000);
    assert!((213_000..=215_000).contains(&samples), "{samples}");
    assert_eq!(sizes["container_cpu_usage_seconds_total"], (series, samples));
    assert_eq!((sizes["kube_pod_owner"].0, sizes["kube_job_owner"].0), (7000, 7000));
    assert_eq!(sizes["kube_pod_container_resource_limits"].0, 7000);
    let workloads: std::collections::BTreeSet<String> = sim.truth().into_iter().map(|r| r.workload).collect();
    assert_eq!(workloads.len(), 500);
}

/// The runs of one workload of the demo, text form without namespace.
fn runs(truth: &[TrueRun], workload: &str) -> Vec<TrueRun> {
    let runs: Vec<TrueRun> = truth.iter().filter(|r| r.workload == workload).cloned().collect();
    assert!(!runs.is_empty(), "no runs of {workload}");
    runs
}

fn highest(runs: &[TrueRun]) -> u64 {
    runs.iter().map(|r| r.true_peak_bytes).max().unwrap() / MIB
}

#[test]
fn the_demo_tells_the_same_stories_whatever_the_seed() {
    for seed in [1, 2, 3, 42] {
        let sim = data_platform().simulate(NOON, seed);
        let truth = sim.truth();
        let over = runs(&truth, "airflow-task/orders_daily/extract_orders");
        assert!((1000..1500).contains(&highest(&over)), "asks for 8 GiB, uses {} MiB", highest(&over));
        assert_eq!(over.len(), 21);
        let killed = runs(&truth, "spark-executor/basket-affinity");
        let ooms = killed.iter().filter(|r| r.oom).count();
        assert!((1..=15).contains(&ooms) && killed.len() >= 126, "{ooms} of {}", killed.len());
        let drift = runs(&truth, "prefect/markdown-optimiser/nightly");
        let (first, last) = (drift.first().unwrap(), drift.last().unwrap());
        assert!(last.true_peak_bytes as f64 > first.true_peak_bytes as f64 * 1.3);
        assert!(drift.iter().all(|r| !r.oom) && (3600..4000).contains(&highest(&drift)), "{}", highest(&drift));
        let few = runs(&truth, "cronjob/sku-embeddings-rebuild");
        assert!(few.len() <= 2, "{}", few.len());
        let mut modes: Vec<TrueRun> = runs(&truth, "airflow-pod/dbt_marts/fct_sales");
        modes.retain(|r| r.container == "base");
        let large = modes.iter().filter(|r| r.true_peak_bytes > 2500 * MIB).count();
        assert!((1..=12).contains(&large) && large < modes.len(), "{large} of {}", modes.len());
        assert!(modes.iter().all(|r| !(1900..2900).contains(&(r.true_peak_bytes / MIB))));
        let tight = runs(&truth, "job/reprice-store");
        assert!(tight.iter().all(|r| (r.mean_cores - 0.5).abs() < 0.01), "held at its CPU limit");
        let kinds: std::collections::BTreeSet<&str> =
            truth.iter().filter_map(|r| r.workload.split('/').next()).collect();
        assert_eq!(kinds.len(), 14, "{kinds:?}");
        for run in &truth {
            let text = &run.workload;
            assert_eq!(crate::workload::Workload::parse(&run.namespace, text).unwrap().to_string(), *text);
        }
    }
}

#[test]
fn every_run_that_failed_is_followed_by_another_try() {
    let sim = data_platform().simulate(NOON, 1);
    let truth = sim.truth();
    let mut retried = 0;
    for run in truth.iter().filter(|r| matches!(r.end, End::OomKilled | End::Failed)) {
        let next = truth.iter().find(|r| {
            r.workload == run.workload
                && r.container == run.container
                && r.attempt == run.attempt + 1
                && (run.ended_ms..run.ended_ms + 120_000).contains(&r.started_ms)
        });
        assert!(next.is_some() || run.attempt == 3, "{run:?}");
        retried += usize::from(next.is_some());
    }
    assert!(retried > 20, "{retried}");
}

#[test]
fn a_lost_executor_is_replaced_under_the_next_id() {
    let sim = data_platform().simulate(NOON, 1);
    let truth = sim.truth();
    let lost = truth.iter().find(|r| r.oom && r.workload == "spark-executor/basket-affinity").unwrap();
    let prefix = lost.pod.rsplit_once('-').unwrap().0;
    let siblings = truth.iter().filter(|r| r.pod.rsplit_once('-').is_some_and(|(p, _)| p == prefix));
    let mut ids: Vec<u32> = siblings.map(|r| r.pod.rsplit_once('-').unwrap().1.parse().unwrap()).collect();
    ids.sort_unstable();
    assert!(ids.len() > 6 && ids.iter().enumerate().all(|(i, id)| *id == i as u32 + 1), "{ids:?}");
    let mut reasons = 0;
    sim.for_each_series_of(Metric::TerminatedReason, |labels, _| {
        reasons += usize::from(labels.get("pod").is_some_and(|p| p.contains("-exec-")));
    });
    assert!(reasons < 20, "executors are deleted at once, so their end is rarely seen: {reasons}");
}

#[test]
fn a_failed_airflow_task_is_a_new_pod_with_the_next_try_number() {
    let mut platform = data_platform();
    platform.models.retain(|m| m.engine == Engine::AirflowTask);
    platform.models[0].parts[0].asks.memory_limit_bytes = Some(1190 * MIB);
    let sim = platform.simulate(NOON, 1);
    let truth = sim.truth();
    let retry = truth.iter().find(|r| r.attempt == 2).unwrap();
    assert!(truth.iter().any(|r| r.oom && r.attempt == 1 && r.ended_ms < retry.started_ms && r.pod != retry.pod));
    let mut seen = false;
    sim.for_each_series_of(Metric::PodLabels, |labels, _| {
        if labels.get("pod") == Some(&retry.pod) {
            assert_eq!(labels.get("label_try_number"), Some("2"));
            assert_eq!(labels.get("label_dag_id"), Some("orders_daily"));
            seen = true;
        }
    });
    assert!(seen);
}

#[test]
fn labels_of_engines_are_written_as_kube_state_metrics_does() {
    let sim = data_platform().simulate(NOON, 1);
    let mut names = std::collections::BTreeSet::new();
    for metric in [Metric::PodLabels, Metric::PodAnnotations] {
        sim.for_each_series_of(metric, |labels, _| names.extend(labels.iter().map(|(n, _)| n.to_owned())));
    }
    for name in [
        "label_dag_id",
        "label_spark_app_name",
        "label_sparkoperator_k8s_io_scheduled_app_name",
        "label_dagster_op",
        "label_prefect_io_flow_name",
        "label_workflows_argoproj_io_workflow",
        "label_batch_kubernetes_io_job_name",
        "annotation_workflows_argoproj_io_node_name",
        "annotation_task_id",
    ] {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    let few = data_platform().scraped(|s| s.pod_labels = Allowlist::Keys(vec!["dag_id".to_owned()]));
    few.simulate(NOON, 1).for_each_series_of(Metric::PodLabels, |labels, _| {
        assert!(labels.iter().all(|(n, _)| !n.starts_with("label_") || n == "label_dag_id"));
    });
}

#[test]
fn truth_and_samples_agree_on_the_demo() {
    let sim = data_platform().simulate(NOON, 1);
    consistent(&sim);
    let mut out = Digest::new();
    write!(out, "{:?}", sim.truth()).unwrap();
    assert_eq!(out.0, 3_866_879_244_094_660_215, "what happens in the demo changed: do it on purpose");
    let (series, samples) = sizes(&sim).values().fold((0, 0), |a, s| (a.0 + s.0, a.1 + s.1));
    assert_eq!((sim.pods(), series, samples), (3500, 82_918, 6_169_678), "the demo's size changed: do it on purpose");
}

#[test]
fn a_kubelet_that_is_scraped_twice_gives_every_metric_twice() {
    let plain = sizes(&nightly_three().scraped(|s| s.pod_level = false).simulate(NOON, 1));
    let twice = nightly_three().scraped(|s| {
        s.pod_level = false;
        s.resource_endpoint = true;
    });
    let twice = sizes(&twice.simulate(NOON, 1));
    for metric in ["container_cpu_usage_seconds_total", "container_memory_working_set_bytes"] {
        assert_eq!(twice[metric], (2 * plain[metric].0, 2 * plain[metric].1));
    }
    assert_eq!(twice["container_memory_rss"], plain["container_memory_rss"]);
}

#[test]
fn the_demo_pods_belong_to_workloads_of_the_demo() {
    for which in DemoPod::ALL {
        let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(demo_pod(which)).unwrap();
        let labels = pod.metadata.labels.unwrap();
        let spec = pod.spec.unwrap();
        let main = spec.containers.iter().find(|c| c.name == "base" || c.name == "main").unwrap();
        match which {
            DemoPod::LatestTag => assert!(main.image.as_ref().unwrap().ends_with(":latest")),
            DemoPod::ExplicitRoot => {
                assert_eq!(main.security_context.as_ref().unwrap().run_as_user, Some(0));
            }
            DemoPod::Resized => {
                assert_eq!((labels["dag_id"].as_str(), labels["task_id"].as_str()), ("orders_daily", "extract_orders"));
            }
        }
    }
}
