//! A pod that says how large its input is gets what runs with such inputs needed: from annotations that
//! kube-state-metrics has shown, through the Recommendation, to the next pod.

use podfit::research::simulate::{
    Asks, Engine, MIB, Part, Platform, Schedule, ScrapeOptions, TrueRun, Usage, WorkloadModel,
};
use serde_json::json;

use super::scene::{ASKED_MIB, NOON, Policy, Scene, limit_mib};
use super::support::cluster::{Namespace, cluster};
use super::support::prometheus_server::{PrometheusServer, skipped};

/// Each run needs a tenth of its input, so much that inputs tell the runs apart.
const BYTES_OF_INPUT: u64 = 10;

#[test]
fn a_pod_that_says_how_large_its_input_is_gets_what_such_inputs_needed() {
    let test = "a_pod_that_says_how_large_its_input_is_gets_what_such_inputs_needed";
    let Some(cluster) = cluster(test) else { return };
    let _policy = Policy::hold(cluster, &json!({"rollout": {"mode": "apply"}}));
    let mut runs = Vec::new();
    let Some(scene) = Scene::start_on(test, &[], |namespace| history(namespace, &mut runs, test)) else { return };

    let any = scene.until_next_limit("the recommendation reaches admission", |mib| mib < ASKED_MIB);
    let peaks = || runs.iter().map(|run| run.true_peak_bytes / MIB);
    let (least, most) = (peaks().min().unwrap(), peaks().max().unwrap());
    assert!(any > most && most > 2 * least, "{any} MiB for runs of {least} to {most}");
    let said = scene.recommendation_that("sizes by input", |found| {
        found["status"]["containers"][0]["memoryByInput"].as_array().is_some_and(|sizes| sizes.len() > 1)
    });

    let with = |peak_mib: u64| {
        let input = (peak_mib * MIB * BYTES_OF_INPUT).to_string();
        scene.next_pod(&json!({"podfit.dev/input-bytes": input}))
    };
    let small = with(least);
    let given = limit_mib(&small);
    assert!(least < given && given < u64::midpoint(least, any), "{given} MiB for one of {least}\n{said:#}");
    assert!(small["metadata"]["annotations"]["podfit.dev/resized"].is_string(), "{small:#}");
    assert!(limit_mib(&with(most)) > most);
    assert_eq!(limit_mib(&with(10 * most)), any, "nothing is known of such an input");
}

/// Three runs a day, for twelve days; leaves what they really needed in `runs`.
fn history(namespace: &Namespace, runs: &mut Vec<TrueRun>, test: &str) -> Option<PrometheusServer> {
    let mut usage = Usage::lively(1500.0, 0.2, 100 * MIB, 600 * MIB);
    usage.memory.spread = 0.35;
    let bytes = Some(ASKED_MIB * MIB);
    let asks = Asks { memory_request_bytes: bytes, memory_limit_bytes: bytes, ..Asks::default() };
    let part = Part::new("main", "registry.example/data/work:3.2.1", usage, asks);
    let (engine, when) = (Engine::CronJob { restart_in_place: false }, Schedule::Every { minutes: 480, offset: 120 });
    let models = vec![WorkloadModel::new(&namespace.name, "nightly", engine, when, vec![part])];
    let scrape = ScrapeOptions { interval_ms: 60_000, state_interval_ms: 600_000, ..ScrapeOptions::default() };
    let simulation = Platform { days: 12, nodes: 1, models, scrape }.simulate(NOON, 5);
    *runs = simulation.truth();
    let server = PrometheusServer::start_with_writer(
        |out| {
            let mut text = Vec::new();
            simulation.write_openmetrics(&mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            let series = text.strip_suffix("# EOF\n").unwrap();
            writeln!(out, "{series}# TYPE kube_pod_annotations gauge").unwrap();
            for TrueRun { namespace, pod, uid, started_ms, ended_ms, true_peak_bytes, .. } in runs.iter() {
                let input = true_peak_bytes * BYTES_OF_INPUT;
                for at_ms in (*started_ms..*ended_ms).step_by(600_000) {
                    writeln!(
                        out,
                        "kube_pod_annotations{{namespace=\"{namespace}\",pod=\"{pod}\",uid=\"{uid}\",\
                         annotation_podfit_dev_input_bytes=\"{input}\"}} 1 {}",
                        at_ms / 1000
                    )
                    .unwrap();
                }
            }
            writeln!(out, "# EOF").unwrap();
        },
        &[],
    );
    if server.is_none() {
        skipped(test, "prometheus or promtool is not on PATH");
    }
    server
}
