//! What is stored of a pod that has a recommendation: sizes within everything that the namespace asks for.

use serde_json::{Value, json};

use super::support::cluster::{cluster, until};
use super::support::webhook::{Setup, Webhook};
use super::{nightly_pod, sizes};

fn nightly(sizes: Value) -> Setup {
    Setup { recommended: vec![("cronjob/nightly", "main", sizes)], ..Setup::default() }
}

fn recommended() -> Value {
    json!({"cpuRequest": "500m", "memoryRequest": "1536Mi", "memoryLimit": "1536Mi"})
}

fn asked() -> Value {
    json!({"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "4Gi"}})
}

fn given() -> Value {
    json!({"requests": {"cpu": "500m", "memory": "1536Mi"}, "limits": {"memory": "1536Mi"}})
}

#[test]
fn a_cronjobs_pod_is_stored_with_the_recommended_sizes_and_a_record() {
    let Some(cluster) = cluster("a_cronjobs_pod_is_stored_with_the_recommended_sizes_and_a_record") else { return };
    let webhook = Webhook::start(cluster, "sized", &nightly(recommended()));
    let template = json!({"metadata": {"labels": {"team": "a"}}, "spec": {"restartPolicy": "Never", "containers": [{
        "name": "main", "image": "reg.example/report:7", "resources": asked(), "securityContext": {"runAsUser": 1000}}]}});
    let cronjob = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"}, "spec": {
        "schedule": "* * * * *", "suspend": true, "jobTemplate": {"spec": {"template": template}}}});
    let cronjob = webhook.namespace.create("/apis/batch/v1", "cronjobs", &cronjob);
    // As `kubectl create job --from=cronjob/nightly` does, under a name that does not tell the CronJob's.
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "by-hand", "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": cronjob["metadata"]["uid"],
            "controller": true}]},
        "spec": {"template": template}});
    webhook.namespace.create("/apis/batch/v1", "jobs", &job);
    let pod = until("the Job's pod", || webhook.namespace.list("/api/v1", "pods").into_iter().next());
    // The Job may be newer than what the webhook has heard of; its next pod is then known.
    let pod = if sizes(&pod, "main") == given() {
        pod
    } else {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        cluster.request("DELETE", &format!("/api/v1/namespaces/{}/pods/{name}", webhook.namespace.name), None).unwrap();
        until("the Job's next pod", || {
            webhook.namespace.list("/api/v1", "pods").into_iter().find(|p| p["metadata"]["name"] != json!(name))
        })
    };
    assert_eq!(sizes(&pod, "main"), given(), "{pod:#}");
    let record: Value =
        serde_json::from_str(pod["metadata"]["annotations"]["podfit.dev/resized"].as_str().unwrap()).unwrap();
    assert_eq!(record["workload"], "cronjob/nightly");
    assert_eq!(record["containers"]["main"]["from"]["memoryLimit"], "4Gi");
    assert_eq!(record["containers"]["main"]["to"]["memoryLimit"], "1536Mi");
    assert!(pod["metadata"]["labels"]["podfit.dev/workload"].as_str().unwrap().starts_with("cronjob.nightly-"));
    assert_eq!(webhook.counted_by_the_api_server("apiserver_admission_webhook_rejection_count"), 0.0);
    assert_eq!(webhook.counted_by_the_api_server("apiserver_admission_webhook_fail_open_count"), 0.0);
}

#[test]
fn the_author_is_told_in_one_line() {
    let Some(cluster) = cluster("the_author_is_told_in_one_line") else { return };
    let webhook = Webhook::start(cluster, "told", &nightly(recommended()));
    let path = format!("/api/v1/namespaces/{}/pods", webhook.namespace.name);
    let (_, warnings) = cluster.request_with_warnings("POST", &path, &nightly_pod(&asked())).unwrap();
    assert_eq!(warnings, ["podfit: main: memory 4Gi → 1536Mi, cpu request 2 → 500m; past runs of cronjob/nightly"]);
}

#[test]
fn a_dry_run_is_sized_and_nothing_is_stored() {
    let Some(cluster) = cluster("a_dry_run_is_sized_and_nothing_is_stored") else { return };
    let webhook = Webhook::start(cluster, "dry", &nightly(recommended()));
    let pod = webhook.namespace.try_create("/api/v1", "pods", &nightly_pod(&asked())).unwrap();
    assert_eq!(sizes(&pod, "main"), given());
    assert!(webhook.namespace.list("/api/v1", "pods").is_empty());
}

#[test]
fn what_a_limit_range_put_in_is_replaced_within_its_bounds() {
    let Some(cluster) = cluster("what_a_limit_range_put_in_is_replaced_within_its_bounds") else { return };
    let webhook = Webhook::start(cluster, "range", &nightly(recommended()));
    let range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "range"}, "spec": {"limits": [{
        "type": "Container", "default": {"memory": "8Gi", "cpu": "4"}, "defaultRequest": {"memory": "8Gi", "cpu": "1"},
        "min": {"memory": "2Gi"}, "max": {"memory": "16Gi", "cpu": "4"}}]}});
    webhook.namespace.create("/api/v1", "limitranges", &range);
    // The pod asks for nothing: LimitRanger runs before webhooks, and once more after a change of ours. It refuses
    // what is out of the range's bounds, so a size given in the moment before podfit has heard of the range is too.
    let pod = until("the bound is known", || {
        let pod = webhook.namespace.try_create("/api/v1", "pods", &nightly_pod(&json!({}))).ok()?;
        (sizes(&pod, "main")["limits"]["memory"] == "2Gi").then_some(pod)
    });
    assert_eq!(
        sizes(&pod, "main"),
        json!({"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"cpu": "4", "memory": "2Gi"}})
    );
}

#[test]
fn a_nearly_full_quota_never_turns_a_pod_away_that_would_have_run() {
    let Some(cluster) = cluster("a_nearly_full_quota_never_turns_a_pod_away_that_would_have_run") else { return };
    let grown = json!({"cpuRequest": "3", "memoryRequest": "6Gi", "memoryLimit": "6Gi"});
    let webhook = Webhook::start(cluster, "quota", &nightly(grown));
    let hard = json!({"requests.memory": "10Gi", "limits.memory": "10Gi", "requests.cpu": "10"});
    let quota =
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}, "spec": {"hard": hard}});
    webhook.namespace.create("/api/v1", "resourcequotas", &quota);
    let path = "resourcequotas/team";
    until("the quota is counted", || {
        webhook.namespace.find("/api/v1", path).filter(|q| q["status"]["used"]["requests.memory"] == "0")
    });
    // Each of five pods asks for 2 GiB and would run without us; grown to 6 GiB only the first would.
    let small = json!({"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "2Gi"}});
    let mut stored = Vec::new();
    for _ in 0..2 {
        stored.push(webhook.create(&nightly_pod(&small)).unwrap());
    }
    let used: u64 = stored
        .iter()
        .map(|p| {
            sizes(p, "main")["requests"]["memory"].as_str().unwrap().parse::<podfit::quantity::Quantity>().unwrap()
        })
        .map(podfit::quantity::Quantity::bytes_rounded_up)
        .sum();
    assert!(used <= 10 << 30, "{stored:#?}");
    assert_eq!(webhook.counted_by_the_api_server("apiserver_admission_webhook_rejection_count"), 0.0);
}

#[test]
fn init_containers_and_sidecars_get_sizes_of_their_own() {
    let Some(cluster) = cluster("init_containers_and_sidecars_get_sizes_of_their_own") else { return };
    let setup = Setup {
        recommended: vec![
            ("cronjob/nightly", "main", recommended()),
            ("cronjob/nightly", "fetch", json!({"memoryRequest": "256Mi", "memoryLimit": "256Mi"})),
            ("cronjob/nightly", "proxy", json!({"memoryRequest": "96Mi", "memoryLimit": "96Mi"})),
        ],
        ..Setup::default()
    };
    let webhook = Webhook::start(cluster, "init", &setup);
    let mut pod = nightly_pod(&asked());
    let init = |name: &str| {
        json!({"name": name, "image": "reg.example/init:1", "securityContext": {"runAsUser": 1000},
        "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}}})
    };
    let mut sidecar = init("proxy");
    sidecar["restartPolicy"] = json!("Always");
    pod["spec"]["initContainers"] = json!([init("fetch"), sidecar, init("unknown")]);
    let pod = webhook.create(&pod).unwrap();
    assert_eq!(sizes(&pod, "fetch")["limits"]["memory"], "256Mi");
    assert_eq!(sizes(&pod, "proxy")["limits"]["memory"], "96Mi");
    assert_eq!(sizes(&pod, "unknown")["limits"]["memory"], "1Gi");
    assert_eq!(sizes(&pod, "main"), given());
}

#[test]
fn a_guaranteed_pod_stays_guaranteed() {
    let Some(cluster) = cluster("a_guaranteed_pod_stays_guaranteed") else { return };
    let webhook = Webhook::start(cluster, "qos", &nightly(recommended()));
    let equal = json!({"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}});
    let pod = webhook.create(&nightly_pod(&equal)).unwrap();
    assert_eq!(pod["status"]["qosClass"], "Guaranteed", "{pod:#}");
    // A CPU limit is left as it is, so the request stays equal to it.
    assert_eq!(sizes(&pod, "main")["requests"]["cpu"], "2");
    assert_eq!(sizes(&pod, "main")["limits"]["cpu"], "2");
    assert_eq!(sizes(&pod, "main")["limits"]["memory"], "1536Mi");
}

#[test]
fn resources_at_pod_level_are_left_alone() {
    let Some(cluster) = cluster("resources_at_pod_level_are_left_alone") else { return };
    let webhook = Webhook::start(cluster, "podlevel", &nightly(recommended()));
    let mut pod = nightly_pod(&asked());
    pod["spec"]["resources"] = json!({"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "4Gi"}});
    let path = format!("/api/v1/namespaces/{}/pods", webhook.namespace.name);
    let (pod, warnings) = cluster.request_with_warnings("POST", &path, &pod).unwrap();
    assert_eq!(sizes(&pod, "main"), asked());
    assert_eq!(warnings, ["podfit: not resized: the pod sets resources at pod level"]);
}

#[test]
fn gpus_and_other_resources_are_not_touched() {
    let Some(cluster) = cluster("gpus_and_other_resources_are_not_touched") else { return };
    let webhook = Webhook::start(cluster, "gpu", &nightly(recommended()));
    let with_gpu = json!({"requests": {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1", "ephemeral-storage": "1Gi"},
        "limits": {"memory": "4Gi", "nvidia.com/gpu": "1"}});
    let pod = webhook.create(&nightly_pod(&with_gpu)).unwrap();
    assert_eq!(
        sizes(&pod, "main"),
        json!({"requests": {"cpu": "500m", "memory": "1536Mi", "nvidia.com/gpu": "1", "ephemeral-storage": "1Gi"},
            "limits": {"memory": "1536Mi", "nvidia.com/gpu": "1"}})
    );
}

#[test]
fn a_windows_pod_is_sized_and_given_no_user() {
    let Some(cluster) = cluster("a_windows_pod_is_sized_and_given_no_user") else { return };
    let webhook = Webhook::start(cluster, "windows", &nightly(recommended()));
    let mut pod = nightly_pod(&asked());
    pod["spec"]["os"] = json!({"name": "windows"});
    pod["spec"]["containers"][0]["securityContext"] = json!({"windowsOptions": {"runAsUserName": "ContainerUser"}});
    let stored = webhook.create(&pod).unwrap();
    assert_eq!(sizes(&stored, "main"), given());
    pod["spec"]["containers"][0]["securityContext"] =
        json!({"windowsOptions": {"runAsUserName": "ContainerAdministrator"}});
    let said = super::refused(webhook.create(&pod));
    assert!(said.contains("run-as-root") && said.contains("Windows administrator"), "{said}");
}

#[test]
fn sizing_is_opted_out_of_by_the_author_and_stopped_by_the_administrator() {
    let Some(cluster) = cluster("sizing_is_opted_out_of_by_the_author_and_stopped_by_the_administrator") else {
        return;
    };
    let webhook = Webhook::start(cluster, "stop", &nightly(recommended()));
    let mut out = nightly_pod(&asked());
    out["metadata"]["annotations"] = json!({"podfit.dev/resize": "off"});
    assert_eq!(sizes(&webhook.create(&out).unwrap(), "main"), asked());
    assert_eq!(sizes(&webhook.create(&nightly_pod(&asked())).unwrap(), "main"), given());
    webhook.set_policy("resizing: stopped\n");
    let pod = webhook.create(&nightly_pod(&asked())).unwrap();
    assert_eq!(sizes(&pod, "main"), asked());
    assert!(pod["metadata"].get("annotations").is_none(), "{pod:#}");
    webhook.set_policy("resizing: active\n");
    assert_eq!(sizes(&webhook.create(&nightly_pod(&asked())).unwrap(), "main"), given());
}

#[test]
fn a_pod_that_came_with_a_name_and_with_fields_nobody_knows_keeps_them() {
    let Some(cluster) = cluster("a_pod_that_came_with_a_name_and_with_fields_nobody_knows_keeps_them") else { return };
    let webhook = Webhook::start(cluster, "fields", &nightly(recommended()));
    let mut pod = nightly_pod(&asked());
    pod["metadata"] = json!({"name": "nightly-29400000-abcde", "labels": pod["metadata"]["labels"],
        "annotations": {"a/b": "c~d"}});
    pod["spec"]["tolerations"] = json!([{"key": "k", "operator": "Exists"}]);
    let stored = webhook.create(&pod).unwrap();
    assert_eq!(stored["metadata"]["annotations"]["a/b"], "c~d");
    assert_eq!(stored["spec"]["tolerations"][0], pod["spec"]["tolerations"][0]);
    assert_eq!(sizes(&stored, "main"), given());
}
