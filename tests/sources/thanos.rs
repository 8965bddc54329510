//! Through Thanos: a query in front of sidecars, also where one of them is away.

use crate::same_answer::{AT, ask, from_file, histories, same};
use crate::support::prometheus_server::{PrometheusServer, skipped};
use crate::support::thanos::Thanos;
use crate::support::tools::tool;
use crate::{in_steps, json, notes};

const REPLICA: &str = "replica";

#[test]
fn the_same_as_from_the_file() {
    let program = match tool("thanos", true) {
        Ok(program) => program,
        Err(reason) => return skipped("thanos::the_same_as_from_the_file", &reason),
    };
    for (name, history) in histories() {
        let Some(server) = PrometheusServer::start_labelled(&history.text(), (REPLICA, "a")) else {
            return skipped("thanos::the_same_as_from_the_file", "prometheus or promtool is not on the PATH");
        };
        let servers = [server];
        let thanos = Thanos::start(&program, &servers, REPLICA);
        let source = ["--prometheus-url", &thanos.url(), "--prometheus-read", "query"];
        same(&from_file(&history), &ask(&source, AT, &[]), name);
    }
}

/// Half of the pods are in another Prometheus.
#[test]
fn a_sidecar_that_is_away_is_said() {
    let program = match tool("thanos", true) {
        Ok(program) => program,
        Err(reason) => return skipped("thanos::a_sidecar_that_is_away_is_said", &reason),
    };
    let (_, history) = histories().swap_remove(0);
    let (half, other) = in_steps::halves(&history);
    let servers = [(half, "a"), (other, "b")].map(|(text, of)| PrometheusServer::start_labelled(&text, ("shard", of)));
    let [Some(half), Some(other)] = servers else {
        return skipped("thanos::a_sidecar_that_is_away_is_said", "prometheus or promtool is not on the PATH");
    };
    let servers = [half, other];
    let mut thanos = Thanos::start(&program, &servers, "shard");
    let url = thanos.url();
    let source = ["--prometheus-url", &url, "--prometheus-read", "query"];
    same(&from_file(&history), &ask(&source, AT, &[]), "both");
    thanos.stop_sidecar(1);
    let part = json(&ask(&source, AT, &[]));
    assert!(notes(&part).contains("not complete"), "{}", notes(&part));
}
