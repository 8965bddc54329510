//! The tenant of one namespace, with a service account that may do there what it likes, tries every way past the rules
//! that we know of, on a webhook as the chart registers it: `failurePolicy: Ignore`, podfit's own modes.
//! Whatever makes podfit fail would let a pod pass here.

use serde_json::{Value, json};

use super::support::cluster::{Account, cluster};
use super::support::webhook::{Setup, Webhook};
use super::{plain_pod, refused};

struct Tenant {
    webhook: Webhook,
    account: Account,
}

impl Tenant {
    fn new(test: &str) -> Option<Self> {
        Self::with_patience(test, Setup::default().timeout_seconds)
    }

    fn with_patience(test: &str, timeout_seconds: u64) -> Option<Self> {
        let cluster = cluster(test)?;
        let setup = Setup { failure_policy: "Ignore", timeout_seconds, ..Setup::default() };
        let webhook = Webhook::start(cluster, "tenant", &setup);
        let all = json!([{"apiGroups": ["", "apps", "batch"], "resources": ["*"], "verbs": ["*"]}]);
        let kubeconfig = webhook.namespace.account("tenant", &all, &json!([]), webhook.dir());
        let account = cluster.account(&kubeconfig);
        Some(Self { webhook, account })
    }

    fn send(&self, method: &str, rest: &str, body: &Value) -> Result<Value, (u16, String)> {
        let path = format!("/api/v1/namespaces/{}/{rest}", self.webhook.namespace.name);
        self.account.request(method, &path, Some(body))
    }

    fn create(&self, pod: &Value) -> Result<Value, (u16, String)> {
        self.send("POST", "pods", pod)
    }
}

/// A pod with another first container.
fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = plain_pod("a");
    change(&mut pod);
    pod
}

fn latest(pod: &mut Value) {
    pod["spec"]["containers"][0]["image"] = json!("reg.example/app:latest");
}

fn root(pod: &mut Value) {
    pod["spec"]["containers"][0]["securityContext"] = json!({"runAsUser": 0});
}

/// Ways to write a pod that should be turned away.
fn attempts() -> Vec<(&'static str, Value)> {
    let env = |count: usize, value: &str| {
        (0..count).map(|n| json!({"name": format!("V{n}"), "value": value})).collect::<Vec<_>>()
    };
    vec![
        ("latest", with(latest)),
        ("root", with(root)),
        (
            "a Windows user over root on Linux",
            with(|pod| {
                let user = json!({"runAsUserName": "ContainerUser"});
                pod["spec"]["containers"][0]["securityContext"] =
                    json!({"runAsNonRoot": false, "windowsOptions": user});
            }),
        ),
        (
            "a Windows administrator where the system is not said",
            with(|pod| {
                let user = json!({"runAsUserName": "ContainerAdministrator"});
                pod["spec"]["nodeSelector"] = json!({"kubernetes.io/os": "windows"});
                pod["spec"]["containers"][0]["securityContext"] = json!({"windowsOptions": user});
            }),
        ),
        (
            "what a kubelet writes on a mirror pod",
            with(|pod| {
                latest(pod);
                pod["spec"]["nodeName"] = json!("kwok-0");
                pod["metadata"]["annotations"] =
                    json!({"kubernetes.io/config.mirror": "x", "kubernetes.io/config.source": "file"});
            }),
        ),
        (
            "every switch there is",
            with(|pod| {
                root(pod);
                pod["metadata"]["annotations"] = json!({"podfit.dev/resize": "off", "podfit.dev/rules": "off"});
                pod["metadata"]["labels"] = json!({"podfit.dev/ignore": "true"});
            }),
        ),
        (
            "1.3 MB that Go writes in 7.8",
            with(|pod| {
                root(pod);
                pod["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "<".repeat(1_300_000)}]);
            }),
        ),
        (
            "tens of thousands of variables",
            with(|pod| {
                latest(pod);
                pod["spec"]["containers"][0]["env"] = json!(env(45_000, "v"));
            }),
        ),
        (
            "a hundred thousand arguments",
            with(|pod| {
                latest(pod);
                pod["spec"]["containers"][0]["args"] = vec!["<"; 300_000].into();
            }),
        ),
        (
            "two thousand containers",
            with(|pod| {
                let one = |n| json!({"name": format!("c{n}"), "image": "reg.example/app:1", "securityContext": {"runAsUser": 1000}});
                pod["spec"]["containers"] = (0..2_000).map(one).collect();
                pod["spec"]["containers"][1_999]["image"] = json!("evil");
            }),
        ),
        (
            "two thousand findings before it",
            with(|pod| {
                let secrets = (0..2_000).map(|n| json!({"name": format!("PASSWORD_{n}"), "value": "correct-horse"}));
                pod["spec"]["containers"][0]["env"] = secrets.collect();
                latest(pod);
            }),
        ),
    ]
}

#[test]
fn no_pod_of_a_tenant_gets_past_a_rule() {
    let Some(tenant) = Tenant::new("no_pod_of_a_tenant_gets_past_a_rule") else { return };
    for (what, pod) in attempts() {
        let answer = tenant.create(&pod);
        let turned_away = matches!(&answer, Err((403, why)) if why.contains("podfit: "));
        let shown =
            answer.as_ref().map(|_| "stored").map_err(|(code, why)| (code, why.chars().take(300).collect::<String>()));
        assert!(turned_away, "{what}: {shown:?}");
    }
    tenant.create(&plain_pod("a")).unwrap();
    let no_call_failed = tenant.webhook.counted_by_the_api_server("apiserver_admission_webhook_fail_open_count");
    assert_eq!(no_call_failed, 0.0, "podfit answered all of them itself");
}

#[test]
fn forty_large_pods_at_once_are_turned_away_all_the_same() {
    // A build for tests reads ten times slower than a release does: what it lacks in speed it gets in patience.
    const PATIENCE_SECONDS: u64 = 30;
    let test = "forty_large_pods_at_once_are_turned_away_all_the_same";
    let Some(tenant) = Tenant::with_patience(test, PATIENCE_SECONDS) else { return };
    let large = with(|pod| {
        root(pod);
        pod["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "<".repeat(1_300_000)}]);
    });
    let answers: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..40).map(|_| scope.spawn(|| tenant.create(&large))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let stored = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(stored, 0, "of {}", answers.len());
    assert_eq!(tenant.webhook.counted_by_the_api_server("apiserver_admission_webhook_fail_open_count"), 0.0);
}

#[test]
fn a_pod_that_is_there_is_not_changed_into_one_that_may_not_be() {
    let Some(tenant) = Tenant::new("a_pod_that_is_there_is_not_changed_into_one_that_may_not_be") else { return };
    let pod = tenant.create(&plain_pod("a")).unwrap();
    let mut containers = pod["spec"]["containers"].clone();
    containers[0]["image"] = json!("reg.example/app:latest");
    let change = json!({"spec": {"containers": containers}});
    assert!(refused(tenant.send("PATCH", "pods/a", &change)).contains("latest-tag"));
    let debug = |context: Value| {
        json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox:1.36", "securityContext": context,
            "terminationMessagePolicy": "File"}]}})
    };
    let rest = "pods/a/ephemeralcontainers";
    let hidden = json!({"runAsNonRoot": false, "windowsOptions": {"runAsUserName": "ContainerUser"}});
    for context in [json!({"runAsUser": 0}), hidden] {
        assert!(refused(tenant.send("PATCH", rest, &debug(context))).contains("run-as-root"));
    }
    tenant.send("PATCH", rest, &debug(json!({"runAsUser": 1000}))).unwrap();
}
