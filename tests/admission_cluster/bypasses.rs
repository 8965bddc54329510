//! The ways around a ban, or to somebody else's resources, that other webhooks left open: each is closed here, by the
//! number that it has in our list of such holes. Those that an API server does not show are tested elsewhere:
//!
//! | hole | test |
//! |---|---|
//! | 5, an error is taken for "no finding" | `answer_tests`:
//! `an_object_that_cannot_be_read_passes_the_mutating_entry_and_fails_…` |
//! | 12, containers that a later webhook adds | `second_webhook`: `hole_12_…` |
//! | 13, anybody may call the webhook | `tests/webhook`: `with_a_client_ca_only_its_clients_are_served` |
//! | 16, the old object decides | `answer_tests`:
//! `an_update_whose_old_object_cannot_be_read_is_judged_as_if_all_were_new` |
//! | 18, floods, slow headers, deep JSON | `tests/webhook/faults.rs` |
//! | 20, static pods | `answer_tests`: `a_mirror_pod_is_believed_of_a_kubelet_alone` |
//! | 21, secrets in the log | below, with hole 15 |

use serde_json::{Value, json};

use super::support::cluster::{cluster, until};
use super::support::webhook::{Serve, Setup, Webhook};
use super::{nightly_pod, plain_pod, refused, sizes};

const LENIENT: &str = "rules: {modes: {latest-tag: audit, run-as-root: audit}}\n";

fn started(test: &str, prefix: &str) -> Option<Webhook> {
    Some(Webhook::start(cluster(test)?, prefix, &Setup::default()))
}

fn patch(webhook: &Webhook, rest: &str, patch: &Value) -> Result<Value, (u16, String)> {
    let path = format!("/api/v1/namespaces/{}/pods/{rest}", webhook.namespace.name);
    webhook.namespace.cluster.request("PATCH", &path, Some(patch))
}

/// A container list for a merge patch: lists are replaced whole.
fn with_image(pod: &Value, image: &str) -> Value {
    let mut containers = pod["spec"]["containers"].clone();
    containers[0]["image"] = json!(image);
    json!({"spec": {"containers": containers}})
}

#[test]
fn latest_and_root_are_turned_away_with_a_way_out() {
    let Some(webhook) = started("latest_and_root_are_turned_away_with_a_way_out", "bans") else { return };
    let mut latest = plain_pod("a");
    latest["spec"]["containers"][0]["image"] = json!("reg.example:5000/app");
    let said = refused(webhook.create(&latest));
    assert!(said.contains("latest-tag") && said.contains("reg.example:5000/app"), "{said}");
    let mut root = plain_pod("a");
    root["spec"]["containers"][0]["securityContext"]["runAsUser"] = json!(0);
    let said = refused(webhook.create(&root));
    assert!(said.contains("run-as-root") && said.contains("runAsUser"), "{said}");
    webhook.create(&plain_pod("a")).unwrap();
}

#[test]
fn hole_1_an_image_changed_after_a_clean_start_is_judged() {
    let Some(webhook) = started("hole_1_an_image_changed_after_a_clean_start_is_judged", "update") else { return };
    let pod = webhook.create(&plain_pod("a")).unwrap();
    assert!(refused(patch(&webhook, "a", &with_image(&pod, "reg.example/app:latest"))).contains("latest-tag"));
    patch(&webhook, "a", &with_image(&pod, "reg.example/app:2")).unwrap();
}

#[test]
fn hole_2_a_pod_from_before_the_ban_can_still_lose_its_finalizer() {
    let Some(cluster) = cluster("hole_2_a_pod_from_before_the_ban_can_still_lose_its_finalizer") else { return };
    let setup = Setup { policy: LENIENT.to_owned(), ..Setup::default() };
    let webhook = Webhook::start(cluster, "old", &setup);
    let mut old = plain_pod("a");
    old["metadata"]["finalizers"] = json!(["example.com/hold"]);
    old["spec"]["containers"][0]["image"] = json!("reg.example/app:latest");
    let pod = webhook.create(&old).unwrap();
    webhook.set_policy("{}\n");
    // Another breach is one too many; the old one is not held against an update of something else.
    assert!(refused(patch(&webhook, "a", &with_image(&pod, "reg.example/other:latest"))).contains("latest-tag"));
    patch(&webhook, "a", &json!({"metadata": {"labels": {"a": "b"}}})).unwrap();
    patch(&webhook, "a", &json!({"metadata": {"finalizers": null}})).unwrap();
}

#[test]
fn hole_3_ephemeral_containers_are_judged() {
    let Some(webhook) = started("hole_3_ephemeral_containers_are_judged", "debug") else { return };
    webhook.create(&plain_pod("a")).unwrap();
    let debug = |image: &str, user: u32| {
        json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": image,
            "securityContext": {"runAsUser": user}, "terminationMessagePolicy": "File"}]}})
    };
    let rest = "a/ephemeralcontainers";
    assert!(refused(patch(&webhook, rest, &debug("busybox", 1000))).contains("latest-tag"));
    assert!(refused(patch(&webhook, rest, &debug("busybox:1.36", 0))).contains("run-as-root"));
    patch(&webhook, rest, &debug("busybox:1.36", 1000)).unwrap();
}

#[test]
fn hole_4_a_pod_that_is_being_deleted_is_judged_all_the_same() {
    let Some(webhook) = started("hole_4_a_pod_that_is_being_deleted_is_judged_all_the_same", "deleted") else { return };
    let mut pod = plain_pod("a");
    pod["metadata"]["finalizers"] = json!(["example.com/hold"]);
    webhook.create(&pod).unwrap();
    let path = format!("/api/v1/namespaces/{}/pods/a", webhook.namespace.name);
    webhook.namespace.cluster.request("DELETE", &path, None).unwrap();
    let going = webhook.namespace.cluster.get(&path);
    assert!(going["metadata"]["deletionTimestamp"].is_string());
    assert!(refused(patch(&webhook, "a", &with_image(&going, "reg.example/app:latest"))).contains("latest-tag"));
    patch(&webhook, "a", &json!({"metadata": {"finalizers": null}})).unwrap();
}

#[test]
fn holes_6_7_8_nothing_that_users_write_relaxes_a_ban() {
    let Some(webhook) = started("holes_6_7_8_nothing_that_users_write_relaxes_a_ban", "optout") else { return };
    let labels = json!({"metadata": {"labels": {"podfit.dev/ignore": "true", "admission.podfit.dev/ignore": "true"}}});
    let path = format!("/api/v1/namespaces/{}", webhook.namespace.name);
    webhook.namespace.cluster.request("PATCH", &path, Some(&labels)).unwrap();
    let mut pod = plain_pod("a");
    pod["metadata"]["annotations"] =
        json!({"podfit.dev/resize": "off", "podfit.dev/rules": "off", "kubernetes.io/config.source": "file"});
    pod["metadata"]["labels"] = labels["metadata"]["labels"].clone();
    pod["spec"]["containers"][0]["image"] = json!("reg.example/app:latest");
    assert!(refused(webhook.create(&pod)).contains("latest-tag"));
}

#[test]
fn hole_9_an_exempt_user_does_not_exempt_the_pods_of_controllers() {
    let Some(cluster) = cluster("hole_9_an_exempt_user_does_not_exempt_the_pods_of_controllers") else { return };
    let policy = "rules:\n  exemptions:\n  - reason: the platform team's own pods\n    rules: [latest-tag]\n    namespaces: ['exempt-*']\n    users: [podfit-test-admin]\n";
    let setup = Setup { policy: policy.to_owned(), ..Setup::default() };
    let webhook = Webhook::start(cluster, "exempt", &setup);
    let mut pod = plain_pod("a");
    pod["spec"]["containers"][0]["image"] = json!("reg.example/app:latest");
    webhook.create(&pod).unwrap();
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
        "spec": {"template": {"spec": pod["spec"]}}});
    webhook.namespace.create("/apis/batch/v1", "jobs", &job);
    let event = until("the Job controller says why there is no pod", || {
        webhook
            .namespace
            .list("/api/v1", "events")
            .into_iter()
            .find(|e| e["involvedObject"]["name"] == "j" && e["reason"] == "FailedCreate")
    });
    assert!(event["message"].as_str().unwrap().contains("latest-tag"), "{event:#}");
}

#[test]
fn holes_10_11_forged_owners_and_labels_relax_nothing_and_reach_no_other_namespace() {
    let Some(cluster) = cluster("holes_10_11_forged_owners_and_labels_relax_nothing_and_reach_no_other_namespace")
    else {
        return;
    };
    let huge = json!({"memoryRequest": "64Gi", "memoryLimit": "64Gi"});
    let other = Setup { recommended: vec![("cronjob/nightly", "main", huge)], ..Setup::default() };
    let rich = Webhook::start(cluster, "rich", &other);
    let poor = Webhook::start(cluster, "poor", &Setup::default());
    // A name of the other namespace in every place where a pod can write one.
    let mut pod = nightly_pod(&json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}}));
    pod["metadata"]["labels"]["podfit.dev/workload"] = json!(format!("{}.cronjob.nightly", rich.namespace.name));
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "batch/v1", "kind": "CronJob", "controller": true,
        "name": format!("../{}/nightly", rich.namespace.name), "uid": "00000000-0000-0000-0000-000000000000"}]);
    let stored = poor.namespace.try_create("/api/v1", "pods", &pod);
    let stored = stored.unwrap_or_else(|refused| panic!("{refused:?}"));
    assert_eq!(sizes(&stored, "main")["limits"]["memory"], "1Gi");
    pod["spec"]["containers"][0]["image"] = json!("reg.example/app:latest");
    assert!(refused(poor.namespace.try_create("/api/v1", "pods", &pod)).contains("latest-tag"));
}

/// A webhook that fetches what an object names, or evaluates what stands in it, does so with its own rights.
#[test]
fn hole_14_nothing_that_a_pod_names_is_fetched_or_looked_up() {
    let Some(cluster) = cluster("hole_14_nothing_that_a_pod_names_is_fetched_or_looked_up") else { return };
    let size = json!({"memoryRequest": "1536Mi", "memoryLimit": "1536Mi"});
    let setup = Setup { recommended: vec![("cronjob/nightly", "main", size)], ..Setup::default() };
    let webhook = Webhook::start(cluster, "deputy", &setup);
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let at = trap.local_addr().unwrap();
    let (url, lookup) = (format!("http://{at}/bait"), "bait-of-hole-14");

    let mut pod = nightly_pod(&json!({"requests": {"memory": "4Gi"}, "limits": {"memory": "4Gi"}}));
    pod["metadata"]["annotations"] = json!({"url": url, "podfit.dev/input-bytes": url, "podfit.dev/resized": url,
        "expression": "{{ request.object.metadata.name }} ${jndi:ldap://127.0.0.1} $(id) object.spec == 1",
        "dag_id": url, "task_id": "{{ lookup('v1', 'Secret', 'kube-system', 'bait-of-hole-14') }}"});
    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "bait.example/v1", "kind": "Secret", "name": lookup,
        "uid": "0b5f7a53-2f2c-4d53-8a53-1d9a4a2c0e14"}]);
    let container = &mut pod["spec"]["containers"][0];
    container["image"] = json!(format!("{at}/bait:1"));
    container["env"] = json!([{"name": "ARGO_TEMPLATE", "value": format!("{{\"name\":\"{url}\"}}")},
        {"name": "BAIT", "valueFrom": {"configMapKeyRef": {"name": lookup, "key": "a"}}}]);
    container["envFrom"] = json!([{"secretRef": {"name": lookup}}]);
    pod["spec"]["volumes"] = json!([{"name": "a", "image": {"reference": format!("{at}/volume:1")}},
        {"name": "b", "persistentVolumeClaim": {"claimName": lookup}}]);
    pod["spec"]["priorityClassName"] = json!("system-node-critical");

    let stored = webhook.namespace.try_create("/api/v1", "pods", &pod).unwrap();
    assert_eq!(stored["metadata"]["annotations"]["url"], json!(url), "it went through the webhook as it was");
    assert!(webhook.metrics().contains("podfit_admission_reviews_total"));
    let knock = trap.accept().map(|(_, from)| from);
    assert_eq!(knock.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody came");
    let ours = |line: &&Value| line["userAgent"].as_str().is_some_and(|agent| agent.starts_with("podfit"));
    let asked: Vec<Value> = cluster.audit_log().iter().filter(ours).map(|line| line["requestURI"].clone()).collect();
    assert!(!asked.is_empty(), "podfit's own requests are in the log");
    assert!(!asked.iter().any(|uri| uri.as_str().unwrap().contains(lookup)), "{asked:?}");
}

#[test]
fn hole_15_credentials_are_looked_for_in_every_container_and_never_repeated() {
    let Some(cluster) = cluster("hole_15_credentials_are_looked_for_in_every_container_and_never_repeated") else {
        return;
    };
    let setup = Setup { policy: "rules: {modes: {hardcoded-credential: enforce}}\n".to_owned(), ..Setup::default() };
    let webhook = Webhook::start(cluster, "secret", &setup);
    let secret = json!([{"name": "DB_PASSWORD", "value": "correct-horse-battery"}]);
    let mut pod = plain_pod("a");
    let mut init = pod["spec"]["containers"][0].clone();
    init["name"] = json!("init");
    init["env"] = secret.clone();
    pod["spec"]["initContainers"] = json!([init]);
    let said = refused(webhook.create(&pod));
    assert!(said.contains("DB_PASSWORD") && !said.contains("correct-horse"), "{said}");
    webhook.create(&plain_pod("b")).unwrap();
    let debug = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox:1.36", "env": secret,
        "securityContext": {"runAsUser": 1000}, "terminationMessagePolicy": "File"}]}});
    assert!(refused(patch(&webhook, "b/ephemeralcontainers", &debug)).contains("DB_PASSWORD"));
    // Hole 21: neither does it stand in the log or in the metrics.
    assert!(!webhook.serve.log().contains("correct-horse") && !webhook.metrics().contains("correct-horse"));
    assert!(webhook.serve.log().contains("hardcoded-credential"), "{}", webhook.serve.log());
}

#[test]
fn hole_17_an_exempt_image_is_compared_by_its_parts() {
    let Some(cluster) = cluster("hole_17_an_exempt_image_is_compared_by_its_parts") else { return };
    let policy = "rules:\n  exemptions:\n  - reason: not ours to tag\n    rules: [latest-tag]\n    namespaces: ['images-*']\n    images: [reg.example/vendor/tool]\n";
    let setup = Setup { policy: policy.to_owned(), ..Setup::default() };
    let webhook = Webhook::start(cluster, "images", &setup);
    let with = |image: &str| {
        let mut pod = plain_pod("a");
        pod["spec"]["containers"][0]["image"] = json!(image);
        webhook.namespace.try_create("/api/v1", "pods", &pod)
    };
    with("reg.example/vendor/tool:latest").unwrap();
    for image in [
        "reg.example/vendor/tool-evil",
        "reg.example/vendor/tool/sub",
        "reg.example.evil.org/vendor/tool",
        "evil.org/reg.example/vendor/tool",
        "vendor/tool",
    ] {
        assert!(refused(with(image)).contains("latest-tag"), "{image}");
    }
}

#[test]
fn hole_19_a_template_is_stored_and_its_author_told() {
    let Some(webhook) = started("hole_19_a_template_is_stored_and_its_author_told", "template") else { return };
    let mut template = json!({"metadata": {"labels": {"app": "a"}}, "spec": plain_pod("a")["spec"]});
    template["spec"]["restartPolicy"] = json!("Always");
    template["spec"]["containers"][0]["image"] = json!("reg.example/app:latest");
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "a"}}, "template": template}});
    let path = format!("/apis/apps/v1/namespaces/{}/deployments", webhook.namespace.name);
    let (_, warnings) = webhook.namespace.cluster.request_with_warnings("POST", &path, &deployment).unwrap();
    assert!(warnings.iter().any(|w| w.starts_with("podfit: ") && w.contains("latest")), "{warnings:?}");
}

#[test]
fn hole_22_every_replica_gives_the_same_answer() {
    let Some(cluster) = cluster("hole_22_every_replica_gives_the_same_answer") else { return };
    let size = json!({"memoryRequest": "1536Mi", "memoryLimit": "1536Mi"});
    let setup = Setup { recommended: vec![("cronjob/nightly", "main", size)], ..Setup::default() };
    let mut webhook = Webhook::start(cluster, "replicas", &setup);
    // The second one has seen no traffic at all.
    let other = Serve::start(webhook.dir(), Some(cluster.kubeconfig()), &[]);
    until("the second replica is ready", || super::support::webhook::get(&other.metrics_address, "/readyz"));
    let asked = json!({"requests": {"memory": "4Gi"}, "limits": {"memory": "4Gi"}});
    let first = webhook.namespace.try_create("/api/v1", "pods", &nightly_pod(&asked)).unwrap();
    webhook.address.clone_from(&other.address);
    webhook.metrics_address.clone_from(&other.metrics_address);
    webhook.register();
    let second = webhook.namespace.try_create("/api/v1", "pods", &nightly_pod(&asked)).unwrap();
    assert_eq!(sizes(&first, "main"), sizes(&second, "main"));
    assert_eq!(sizes(&first, "main")["limits"]["memory"], "1536Mi");
    assert_eq!(first["metadata"]["annotations"], second["metadata"]["annotations"]);
    assert_eq!(first["metadata"]["labels"], second["metadata"]["labels"]);
}

#[test]
fn hole_24_bad_numbers_are_held_by_bounds_and_stopped_by_a_switch() {
    let Some(cluster) = cluster("hole_24_bad_numbers_are_held_by_bounds_and_stopped_by_a_switch") else { return };
    let tiny = json!({"cpuRequest": "1m", "memoryRequest": "1Mi", "memoryLimit": "1Mi"});
    let policy = "bounds: {memory: {floor: 512Mi}, cpu: {floor: 100m}}\n";
    let setup =
        Setup { policy: policy.to_owned(), recommended: vec![("cronjob/nightly", "main", tiny)], ..Setup::default() };
    let webhook = Webhook::start(cluster, "bounds", &setup);
    let asked = json!({"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "4Gi"}});
    let stored = || sizes(&webhook.namespace.try_create("/api/v1", "pods", &nightly_pod(&asked)).unwrap(), "main");
    assert_eq!(stored(), json!({"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "512Mi"}}));
    webhook.set_policy("resizing: stopped\n");
    assert_eq!(stored(), asked);
}

#[test]
fn hole_23_registering_again_leaves_no_gap() {
    let Some(webhook) = started("hole_23_registering_again_leaves_no_gap", "again") else { return };
    let path = format!("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{}", webhook.name());
    let uid = |()| webhook.namespace.cluster.get(&path)["metadata"]["uid"].clone();
    let before = uid(());
    webhook.register();
    assert_eq!(uid(()), before, "it is changed in place, never deleted and made anew");
}
