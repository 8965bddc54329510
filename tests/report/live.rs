//! A report that looked at a cluster: findings of pods and of the namespace, and room in quotas.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::cli::{command, run};
use super::sinks::HttpSink;

/// An API server that knows one namespace and may be read by whom it does not let see budgets.
fn api_server(path: &str, _: usize) -> Option<Response> {
    let rest = path.split("/namespaces/file").nth(1)?;
    let items = match rest {
        "" => return Some(axum::Json(json!({"metadata": {"name": "file"}})).into_response()),
        "/pods" => json!([{
            "metadata": {
                "name": "nightly-1", "namespace": "file", "uid": "u", "creationTimestamp": "2026-11-22T00:00:00Z",
                "ownerReferences": [{"kind": "Job", "name": "nightly-29", "controller": true, "apiVersion": "batch/v1"}],
            },
            "spec": {"containers": [{"name": "main", "image": "reg.example/etl:latest"}]},
            "status": {"phase": "Running"},
        }]),
        "/jobs" => json!([{"metadata": {
            "name": "nightly-29",
            "ownerReferences": [{"kind": "CronJob", "name": "nightly", "controller": true, "apiVersion": "batch/v1"}],
        }}]),
        "/resourcequotas" => json!([{
            "metadata": {"name": "team"},
            "spec": {"hard": {"requests.memory": "64Gi"}},
            "status": {"used": {"requests.memory": "48Gi"}},
        }]),
        "/statefulsets" => json!([{"metadata": {"name": "metastore"}, "spec": {"replicas": 2}}]),
        "/poddisruptionbudgets" => {
            let status = json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"});
            return Some((StatusCode::FORBIDDEN, axum::Json(status)).into_response());
        }
        _ => json!([]),
    };
    Some(axum::Json(json!({"kind": "List", "metadata": {}, "items": items})).into_response())
}

#[test]
fn findings_and_quotas_come_from_the_cluster() {
    let server = HttpSink::start(|path, before| {
        api_server(path, before).or_else(|| Some(axum::Json(json!({"metadata": {}, "items": []})).into_response()))
    });
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = dir.path().join("config");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "c", "cluster": {"server": server.url("")}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "file"}}],
    });
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let runs = dir.path().join("runs.csv");
    let rows: String = (0..14)
        .map(|i| format!("etl,load,r{i},{},3600,1073741824,8589934592,1,0.5\n", 1_794_200_000 + i * 86_400))
        .collect();
    let header = "workflow,task,run_id,start_ts,runtime_s,peak_mem_bytes,req_mem_bytes,req_cpu,avg_cpu_cores\n";
    std::fs::write(&runs, format!("{header}{rows}")).unwrap();
    let report = |form: &str| {
        let mut command = command();
        command.args(["report", "--live", "-o", form, "--kubeconfig"]).arg(&kubeconfig).arg("--runs").arg(&runs);
        let ran = run(&mut command);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        ran.stdout
    };
    let json: Value = serde_json::from_str(&report("json")).unwrap();
    let found: Vec<(&str, &str)> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["rule"].as_str().unwrap(), f["workload"].as_str().unwrap()))
        .collect();
    for expected in [
        ("latest-tag", "cronjob/nightly"),
        ("no-limit-range", ""),
        ("data-without-volume-claim", "statefulset/metastore"),
    ] {
        assert!(found.contains(&expected), "{expected:?} is not in {found:?}");
    }
    assert!(
        !found.iter().any(|(rule, _)| *rule == "no-disruption-budget" || *rule == "no-resource-quota"),
        "{found:?}"
    );
    assert_eq!(json["quotas"][0]["usedShare"], 0.75);
    let notes = json["notes"].to_string();
    assert!(notes.contains("you may not list poddisruptionbudgets in file"), "{notes}");
    for form in ["html", "markdown", "text"] {
        let page = report(form);
        for said in ["latest-tag", "data-without-volume-claim", "48Gi", "75 %"] {
            assert!(page.contains(said), "{said} is not in the {form}");
        }
    }
}
