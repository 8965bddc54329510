//! The report that the controller delivers: once for each due time, also when the leader is gone after it.

use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::scene::{NOON_TEXT, Policy, Scene};
use super::sinks::{HttpSink, ok};
use super::support::cluster::{cluster, until};
use super::support::webhook::{Serve, get};

const DUE: &str = "podfit_report_due_timestamp_seconds";

fn due_of(address: &str) -> Option<f64> {
    let metrics = get(address, "/metrics")?;
    let line = metrics.lines().find(|line| line.starts_with(&format!("{DUE} ")))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn a_report_is_delivered_once_whoever_leads() {
    let test = "a_report_is_delivered_once_whoever_leads";
    let Some(cluster) = cluster(test) else { return };
    let _policy = Policy::hold(cluster, &json!({}));
    let sink = HttpSink::start(|path, _| if path == "/broken" { Some(refused()) } else { ok() });
    let dir = tempfile::tempdir().unwrap();
    let destination = |name: &str, path: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, sink.url(path)).unwrap();
        json!({"name": name, "webhook": {"url": {"file": file}}})
    };
    let plan = json!({"destinations": [destination("hook", "/hook"), destination("broken", "/broken")]});
    let plan_file = dir.path().join("delivery.yaml");
    std::fs::write(&plan_file, plan.to_string()).unwrap();
    // It is due in the minute that has begun.
    let now = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let at = now.strftime("%a %H:%M").to_string();
    let due = now.with().second(0).subsec_nanosecond(0).build().unwrap().timestamp();
    let arguments = ["--deliver", plan_file.to_str().unwrap(), "--deliver-at", &at];

    let Some(mut scene) = Scene::start_with(test, &arguments, |namespace| {
        // The one before was delivered a week ago.
        let before = (due - (7 * 24).hours()).to_string();
        let lease = json!({"metadata": {"name": "podfit-report", "annotations": {"podfit.dev/report-due": before}}});
        namespace.create("/apis/coordination.k8s.io/v1", "leases", &lease);
    }) else {
        return;
    };
    let due = due.as_second() as f64;
    until("the report is dealt with", || (due_of(&scene.webhook.metrics_address)? == due).then_some(()));
    let report = sink.hits("/hook")[0].json();
    let period = &report["period"];
    assert_eq!(period["endMs"].as_f64().unwrap(), due * 1000.0);
    assert_eq!(period["startMs"].as_f64().unwrap(), (due - 7.0 * 86_400.0) * 1000.0);
    let record = record(&scene);
    assert_eq!(record["podfit.dev/report-result"], "sent to 1 of 2 destinations");
    assert_eq!(scene.webhook.metric("podfit_report_deliveries_total{result=\"failed\"}"), 1.0);

    // The leader is gone; the next one looks at what was due and finds it done.
    let name = scene.namespace().name.clone();
    let mut others: Vec<String> = ["--watch-namespaces", &name, "--lease", &format!("{name}/podfit")]
        .into_iter()
        .chain(["--recommend-every", "1s", "--at", NOON_TEXT, "--prometheus-url"])
        .map(str::to_owned)
        .collect();
    others.push(scene.prometheus.as_ref().unwrap().url());
    others.extend(arguments.map(str::to_owned));
    let other = Serve::start(scene.webhook.dir(), Some(cluster.kubeconfig()), &others);
    scene.webhook.serve.kill();
    until("the other replica has looked", || (due_of(&other.metrics_address)? == due).then_some(()));
    assert_eq!((sink.hits("/hook").len(), sink.hits("/broken").len()), (1, 1));
}

fn refused() -> axum::response::Response {
    axum::response::IntoResponse::into_response(http::StatusCode::FORBIDDEN)
}

fn record(scene: &Scene) -> Value {
    let lease = scene.namespace().find("/apis/coordination.k8s.io/v1", "leases/podfit-report").unwrap();
    lease["metadata"]["annotations"].clone()
}
