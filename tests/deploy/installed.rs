//! The chart and the base on a real API server with RBAC: installed, changed by hand, upgraded, removed; and podfit
//! running with the chart's account, rights and arguments. There is no kubelet: kwok writes the pods' phases, and
//! nothing listens behind the Service.

use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use serde_json::{Value, json};

use crate::staged::{Staged, documents, find};
use crate::support::cli;
use crate::support::cluster::{Cluster, Namespace, cluster, until};
use crate::support::prometheus_server::skipped;
use crate::support::webhook::get;

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const POLICY: &str = "/apis/podfit.dev/v1alpha1/rightsizingpolicies/default";
const CONFIGURATIONS: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
const DELETE_BASE: [&str; 5] = ["delete", "--wait=false", "--ignore-not-found", "-k", "deploy/kustomize/base"];
const PROMETHEUS: &str = "prometheus.url=http://prometheus.monitoring:9090";

/// What is installed is there for the whole cluster: one at a time.
static ONE: Mutex<()> = Mutex::new(());

/// The chart in a namespace of its own.
struct Release {
    staged: Staged,
    namespace: Namespace,
    /// Definitions that were there before it.
    kept: Vec<String>,
    /// The base is in the cluster.
    has_base: Cell<bool>,
    _alone: MutexGuard<'static, ()>,
}

impl Release {
    fn new(test: &str) -> Option<Self> {
        let (staged, cluster) = (Staged::new(test)?, cluster(test)?);
        let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let release = Self {
            staged,
            namespace: cluster.namespace("chart"),
            kept: definitions(cluster),
            has_base: Cell::new(false),
            _alone: alone,
        };
        Some(release)
    }

    fn cluster(&self) -> &'static Cluster {
        self.namespace.cluster
    }

    #[track_caller]
    fn helm(&self, args: &[&str]) -> String {
        let all = [args, &["-n", &self.namespace.name]].concat();
        self.staged.must("helm", Some(self.cluster().kubeconfig()), &all)
    }

    #[track_caller]
    fn kubectl(&self, args: &[&str]) -> String {
        self.staged.must("kubectl", Some(self.cluster().kubeconfig()), args)
    }

    fn install(&self, values: &[&str]) -> String {
        let mut args = vec!["install", "podfit", "deploy/helm/podfit", "--take-ownership"];
        args.extend(values.iter().flat_map(|v| ["--set", v]));
        self.helm(&args)
    }

    fn find(&self, path: &str) -> Option<Value> {
        self.cluster().request("GET", path, None).ok()
    }

    /// A kubeconfig of the service account that the chart has made.
    fn account(&self) -> PathBuf {
        let token = self.namespace.create("/api/v1", "serviceaccounts/podfit/token", &json!({"spec": {}}));
        let admin = std::fs::read_to_string(self.cluster().kubeconfig()).unwrap();
        let mut config: Value = serde_saphyr::from_str(&admin).unwrap();
        config["users"][0]["user"] = json!({"token": token["status"]["token"]});
        let file = self.staged.path("account.kubeconfig");
        std::fs::write(&file, config.to_string()).unwrap();
        file
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let cluster = self.cluster();
        let _ = self.staged.run(
            "helm",
            Some(cluster.kubeconfig()),
            &["uninstall", "podfit", "--ignore-not-found", "-n", &self.namespace.name],
        );
        if self.has_base.get() {
            let _ = self.staged.run("kubectl", Some(cluster.kubeconfig()), &DELETE_BASE);
        }
        let _ = cluster.request("DELETE", POLICY, None);
        let added = || definitions(cluster).into_iter().filter(|n| !self.kept.contains(n)).collect::<Vec<_>>();
        for name in added() {
            let _ = cluster.request("DELETE", &format!("{DEFINITIONS}/{name}"), None);
        }
        // The API server first deletes their objects: the next one must not take what is going for what was there.
        if !std::thread::panicking() {
            until("the definitions are gone", || added().is_empty().then_some(()));
        }
    }
}

/// podfit's definitions that are there.
fn definitions(cluster: &Cluster) -> Vec<String> {
    let all = cluster.get(DEFINITIONS);
    let names = all["items"].as_array().unwrap().iter().map(|d| d["metadata"]["name"].as_str().unwrap());
    names.filter(|n| n.ends_with(".podfit.dev")).map(str::to_owned).collect()
}

/// `podfit serve` with the arguments and the environment of the chart's Deployment, on free ports of loopback.
struct Serve {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// `127.0.0.1:PORT` of health and metrics.
    metrics: String,
    /// `https://127.0.0.1:PORT` of the webhook.
    webhook: String,
}

impl Serve {
    fn start(release: &Release, pod: &Value, kubeconfig: &Path) -> Self {
        let namespace = &release.namespace.name;
        let help = cli::podfit(["serve", "--help"]).stdout;
        let offered = |arg: &str| {
            let flag = arg.split('=').next().unwrap_or(arg);
            help.split(|c: char| c.is_whitespace() || c == ',').any(|word| word == flag)
        };
        let container = &pod["containers"][0];
        let mut command = cli::command();
        for entry in container["env"].as_array().unwrap() {
            let value = match entry["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
                Some("metadata.name") => "podfit-0",
                Some("metadata.namespace") => namespace,
                _ => entry["value"].as_str().unwrap(),
            };
            command.env(entry["name"].as_str().unwrap(), value);
        }
        let store = release.staged.path("store");
        std::fs::create_dir_all(&store).unwrap();
        command.args(["-v", "serve"]);
        for arg in container["args"].as_array().unwrap()[1..].iter().map(|a| a.as_str().unwrap()) {
            if offered(arg) {
                let arg = arg.replace("$(POD_NAMESPACE)", namespace);
                command.arg(arg.replace("/var/lib/podfit", store.to_str().unwrap()));
            }
        }
        command.args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--reload-seconds", "0.05"]);
        command.arg("--kubeconfig").arg(kubeconfig);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (kept, lines) = (Arc::clone(&log), BufReader::new(child.stderr.take().unwrap()).lines());
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line)));
        let mut serve = Self { child, log, metrics: String::new(), webhook: String::new() };
        (serve.webhook, serve.metrics) = until("podfit serve says where it listens", || {
            let log = serve.log();
            let ended = serve.child.try_wait().unwrap().is_some();
            assert!(!ended, "podfit serve ended: {log}");
            let line = log.lines().find(|l| l.contains("serving webhook="))?.to_owned();
            let (webhook, metrics) = line.split_once("webhook=")?.1.split_once(" metrics=http://")?;
            Some((webhook.to_owned(), metrics.trim().to_owned()))
        });
        serve
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn with_the_charts_account_podfit_becomes_ready_and_nothing_is_forbidden() {
    let Some(release) = Release::new("with_the_charts_account_podfit_becomes_ready_and_nothing_is_forbidden") else {
        return;
    };
    release.install(&[PROMETHEUS]);
    let manifest = documents(&release.helm(&["get", "manifest", "podfit"]));
    let pod = &find(&manifest, "Deployment/podfit")["spec"]["template"]["spec"];
    let account = release.account();
    let serve = Serve::start(&release, pod, &account);
    until("podfit serve is ready", || get(&serve.metrics, "/readyz"));
    // The Secret that came with the chart is filled, and its CA in both configurations.
    let bundle = until("a CA in the Secret", || {
        let secret = release.namespace.find("/api/v1", "secrets/podfit-webhook-tls")?;
        secret["data"]["ca.crt"].as_str().map(str::to_owned)
    });
    until("the CA in every entry", || {
        let has = |kind| {
            let object = release.find(&format!("{ADMISSION}/{kind}/podfit-webhook")).unwrap();
            let entries = object["webhooks"].as_array().unwrap().clone();
            entries.iter().all(|e| e["clientConfig"]["caBundle"] == bundle)
        };
        CONFIGURATIONS.into_iter().all(has).then_some(())
    });
    let log = serve.log();
    assert!(!log.contains("(403)") && !log.to_lowercase().contains("forbidden"), "{log}");
    // It is the account that was asked for, not the admin.
    let user = format!("system:serviceaccount:{}:podfit", release.namespace.name);
    let audited = release.cluster().audit_log();
    let of_podfit: Vec<&Value> = audited.iter().filter(|e| e["user"]["username"] == *user).collect();
    assert!(of_podfit.len() >= 10, "{}", of_podfit.len());
    let refused: Vec<_> = of_podfit.iter().filter(|e| e["responseStatus"]["code"] == 403).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// What `podfit doctor` says of each check, the worst first, and its exit status.
fn doctor(release: &Release, kubeconfig: &Path, more: &[&str]) -> (Vec<Value>, Option<i32>) {
    let mut command = cli::command();
    command.args(["doctor", "-o", "json", "-n", &release.namespace.name]).args(more);
    command.arg("--kubeconfig").arg(kubeconfig);
    let ran = cli::run(&mut command);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    (answer["checks"].as_array().unwrap().clone(), ran.code)
}

/// Checks in a state.
fn in_state(checks: &[Value], state: &str) -> Vec<String> {
    let of_state = checks.iter().filter(|c| c["state"] == state);
    of_state.map(|c| format!("{}: {}", c["check"].as_str().unwrap(), c["seen"].as_str().unwrap())).collect()
}

#[test]
fn the_doctor_sees_what_is_right_and_what_was_broken() {
    let Some(release) = Release::new("the_doctor_sees_what_is_right_and_what_was_broken") else { return };
    let admin = release.cluster().kubeconfig();
    let (checks, code) = doctor(&release, admin, &[]);
    assert_eq!((in_state(&checks, "fail"), code), (vec![], Some(0)), "{checks:?}");
    assert!(in_state(&checks, "ok").iter().any(|c| c.contains("this is about making one")), "{checks:?}");

    release.install(&[PROMETHEUS]);
    let manifest = documents(&release.helm(&["get", "manifest", "podfit"]));
    let pod = &find(&manifest, "Deployment/podfit")["spec"]["template"]["spec"];
    let account = release.account();
    let serve = Serve::start(&release, pod, &account);
    until("podfit serve is ready", || get(&serve.metrics, "/readyz"));
    let healthy = until("a healthy installation", || {
        let (checks, code) = doctor(&release, admin, &["--webhook-url", &serve.webhook]);
        (code == Some(0)).then_some(checks)
    });
    assert_eq!(in_state(&healthy, "warn"), [""; 0]);
    let unknown = in_state(&healthy, "unknown");
    let of_deployment = "Prometheus: http://prometheus.monitoring:9090, which the Deployment names, does not answer";
    assert!(unknown.len() == 1 && unknown[0].starts_with(of_deployment), "{unknown:?}");
    let ok = in_state(&healthy, "ok");
    for seen in [
        "replicas: 2 of 2 ready",
        "caBundle: all 3 entries trust the certificate",
        "policy: mode recommend",
        "leader: podfit-0",
        "last learning: none yet: podfit has just been installed",
        "admission calls:",
        "days left, served at 127.0.0.1",
    ] {
        assert!(ok.iter().any(|c| c.contains(seen)), "{seen}: {ok:?}");
    }
    // The account itself may ask less, and says so instead of guessing.
    let (own, code) = doctor(&release, &account, &[]);
    assert!(in_state(&own, "ok").contains(&"rights: lease: all 3 of podfit's account".to_owned()), "{own:?}");
    assert!(in_state(&own, "unknown").iter().any(|c| c.starts_with("definition of")), "{own:?}");
    assert_eq!(code, Some(0), "{own:?}");

    // What people do by mistake, all at once.
    let patch = json!([{"op": "remove", "path": "/rules/0"}]).to_string();
    release.kubectl(&["patch", "clusterrole", "podfit", "--type", "json", "-p", &patch]);
    release.kubectl(&["delete", CONFIGURATIONS[1], "podfit-webhook"]);
    let closed = json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Fail"},
        {"op": "replace", "path": "/webhooks/0/namespaceSelector", "value": {}}]);
    let configuration =
        ["patch", CONFIGURATIONS[0], "podfit-webhook", "--type", "json", "-p", &closed.to_string()].map(str::to_owned);
    release.kubectl(&configuration.each_ref().map(String::as_str));
    release.kubectl(&[
        "patch",
        "rightsizingpolicy",
        "default",
        "--type",
        "merge",
        "-p",
        r#"{"spec":{"resizing":"stopped"}}"#,
    ]);
    let (broken, code) = doctor(&release, admin, &["--webhook-url", &serve.webhook]);
    // Put back at once: it reaches every namespace of this cluster.
    release.kubectl(&["delete", CONFIGURATIONS[0], "podfit-webhook"]);
    assert_eq!(code, Some(1));
    let (fail, warn) = (in_state(&broken, "fail"), in_state(&broken, "warn"));
    for seen in
        ["may not list limitranges, watch limitranges", "list pods, watch pods", "fails closed and reaches kube-system"]
    {
        assert!(fail.iter().any(|c| c.contains(seen)), "{seen}: {fail:?}");
    }
    for seen in [
        "resizing is stopped",
        "there is no validatingwebhookconfigurations podfit-webhook",
        "while podfit is away no pod is created",
    ] {
        assert!(warn.iter().any(|c| c.contains(seen)), "{seen}: {warn:?}");
    }
    assert!(broken.iter().all(|c| c["state"] == "ok" || c["state"] == "unknown" || c["do"].is_string()), "{broken:?}");
}

/// What keeps podfit's work from reaching pods although podfit itself is well.
#[test]
fn the_doctor_sees_what_does_not_reach_pods() {
    let Some(release) = Release::new("the_doctor_sees_what_does_not_reach_pods") else { return };
    let (admin, cluster) = (release.cluster().kubeconfig(), release.cluster());
    release.install(&[]);
    let (without, _) = doctor(&release, admin, &[]);
    let said = |checks: &[Value], state: &str, words: &str| {
        let found = in_state(checks, state);
        assert!(found.iter().any(|check| check.contains(words)), "{words}: {found:#?}");
    };
    said(&without, "fail", "history: the Deployment names no Prometheus");
    said(&without, "fail", "leader: nobody holds Lease podfit");

    release.helm(&["upgrade", "podfit", "deploy/helm/podfit", "--reuse-values", "--set", PROMETHEUS]);
    // Recommendations where nobody asks; a policy of another name, which an older definition let in; a configuration that
    // was left behind, one that asks twice, one of another release; a leader that has not learned for long.
    let elsewhere = cluster.namespace("never-asked");
    let recommendation = json!({"apiVersion": "podfit.dev/v1alpha1", "kind": "Recommendation", "metadata": {"name": "a"},
        "spec": {"workload": "job/a"}});
    elsewhere.create("/apis/podfit.dev/v1alpha1", "recommendations", &recommendation);
    let only = json!([{"op": "replace", "path": "/webhooks/0/namespaceSelector",
        "value": {"matchLabels": {"kubernetes.io/metadata.name": "none"}}}]);
    release.kubectl(&["patch", CONFIGURATIONS[0], "podfit-webhook", "--type", "json", "-p", &only.to_string()]);
    let own = release.namespace.name.clone();
    let configuration = |name: &str, service: &str, namespace: &str| {
        let entry = json!({"name": "size.podfit.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Ignore", "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "none"}},
            "clientConfig": {"service": {"name": service, "namespace": namespace, "path": "/mutate"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]});
        let object = json!({"metadata": {"name": name, "labels": {"podfit.test/left": own}}, "webhooks": [entry]});
        cluster.create(&format!("{ADMISSION}/{}", CONFIGURATIONS[0]), &object);
    };
    configuration(&format!("{own}-twice"), "podfit-webhook", &own);
    configuration(&format!("{own}-left"), "podfit-webhook", "gone");
    let service = json!({"metadata": {"name": "other"}, "spec": {"ports": [{"port": 443}]}});
    elsewhere.create("/api/v1", "services", &service);
    configuration(&format!("{own}-second"), "other", &elsewhere.name);
    let lease = format!("/apis/coordination.k8s.io/v1/namespaces/{own}/leases/podfit");
    let now = jiff::Timestamp::now();
    let ago =
        |hours: i64| (now - jiff::SignedDuration::from_hours(hours)).strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string();
    let held = json!({"metadata": {"annotations": {"podfit.dev/learned": ago(9)}},
        "spec": {"holderIdentity": "podfit-0", "renewTime": ago(0)}});
    cluster.request("PATCH", &lease, Some(&held)).unwrap();

    let (broken, _) = doctor(&release, admin, &[]);
    let label = format!("podfit.test/left={own}");
    release.kubectl(&["delete", CONFIGURATIONS[0], "-l", &label]);
    said(&broken, "warn", "1 of 1 recommendations are in namespaces that API servers never ask about");
    said(&broken, "warn", "API servers ask about each pod twice");
    said(&broken, "warn", "lead to Service gone/podfit-webhook, which is not there");
    said(&broken, "warn", "a second podfit sizes pods and writes recommendations");
    said(&broken, "fail", "last learning: 9 h ago, and there should be one every 60 min");
    let advised = broken.iter().filter(|check| check["state"] == "warn" || check["state"] == "fail");
    assert!(advised.clone().count() >= 5 && advised.clone().all(|check| check["do"].is_string()), "{broken:#?}");
}

#[test]
fn the_charts_account_may_do_no_more() {
    let Some(release) = Release::new("the_charts_account_may_do_no_more") else { return };
    release.install(&[PROMETHEUS]);
    let own = release.namespace.name.as_str();
    let may = |verb: &str, group: &str, resource: &str, name: &str, namespace: &str| {
        let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
        let attributes = json!({"verb": verb, "group": group, "resource": resource, "subresource": sub, "name": name, "namespace": namespace});
        let review = json!({"spec": {"user": format!("system:serviceaccount:{own}:podfit"),
            "groups": ["system:serviceaccounts", "system:authenticated"], "resourceAttributes": attributes}});
        let answer = release.cluster().create("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review);
        answer["status"]["allowed"] == true
    };
    // What it has, so that the rest is known to be asked rightly.
    assert!(may("get", "", "secrets", "podfit-webhook-tls", own));
    assert!(may("watch", "", "pods", "", ""));
    assert!(may("update", "coordination.k8s.io", "leases", "podfit", own));
    assert!(may("patch", "podfit.dev", "recommendations/status", "", "default"));
    let admission = "admissionregistration.k8s.io";
    for (verb, group, resource, name, namespace) in [
        ("get", "", "secrets", "another", own),
        ("get", "", "secrets", "podfit-webhook-tls", "default"),
        ("list", "", "secrets", "", own),
        ("delete", "", "secrets", "podfit-webhook-tls", own),
        ("list", "", "configmaps", "", own),
        ("create", "", "pods", "", own),
        ("delete", "", "pods", "", "default"),
        ("patch", "", "pods", "", "default"),
        ("create", "", "pods/exec", "", "default"),
        ("get", "", "nodes", "", ""),
        ("patch", "", "nodes", "", ""),
        ("create", "", "serviceaccounts/token", "", own),
        ("patch", admission, CONFIGURATIONS[0], "another", ""),
        ("create", admission, CONFIGURATIONS[0], "", ""),
        ("delete", admission, CONFIGURATIONS[1], "podfit-webhook", ""),
        ("update", "coordination.k8s.io", "leases", "another", own),
        ("update", "coordination.k8s.io", "leases", "podfit", "kube-system"),
        ("patch", "podfit.dev", "rightsizingpolicies", "default", ""),
        ("bind", "rbac.authorization.k8s.io", "clusterroles", "", ""),
        ("patch", "apps", "deployments", "", "default"),
    ] {
        assert!(!may(verb, group, resource, name, namespace), "it may {verb} {resource} {name} in {namespace:?}");
    }
}

#[test]
fn what_people_change_survives_an_upgrade_and_nothing_survives_an_uninstallation() {
    let name = "what_people_change_survives_an_upgrade_and_nothing_survives_an_uninstallation";
    let Some(release) = Release::new(name) else { return };
    let notes = release.install(&[PROMETHEUS]);
    for next in ["podfit doctor", "kubectl get recommendations", "canaryPercent", "\"resizing\":\"stopped\""] {
        assert!(notes.contains(next), "{next}: {notes}");
    }
    let (own, cluster) = (release.namespace.name.clone(), release.cluster());
    until("both replicas", || {
        let deployment = release.namespace.find("/apis/apps/v1", "deployments/podfit")?;
        (deployment["status"]["availableReplicas"] == 2).then_some(())
    });
    let policy = release.find(POLICY).unwrap();
    assert_eq!(policy["spec"], json!({"resizing": "active", "rollout": {"mode": "recommend"}}));

    // Nothing listens behind the Service, and pods are created all the same.
    let elsewhere = cluster.namespace("elsewhere");
    let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "main", "image": "a:1"}]}});
    elsewhere.create("/api/v1", "pods", &pod);

    // The kill switch; what podfit itself writes; then an upgrade.
    release.kubectl(&[
        "patch",
        "rightsizingpolicy",
        "default",
        "--type",
        "merge",
        "-p",
        r#"{"spec":{"resizing":"stopped"}}"#,
    ]);
    let secret = format!("/api/v1/namespaces/{own}/secrets/podfit-webhook-tls");
    cluster.request("PATCH", &secret, Some(&json!({"data": {"ca.key": "a2V5"}}))).unwrap();
    let bundle = base64::engine::general_purpose::STANDARD.encode(a_certificate());
    let configuration = format!("{ADMISSION}/{}/podfit-webhook", CONFIGURATIONS[0]);
    let patch = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]).to_string();
    let patched = ["patch", CONFIGURATIONS[0], "podfit-webhook", "--type", "json", "-p", &patch];
    release.kubectl(&patched);
    let file = release.staged.path("deploy/crds/recommendations.yaml");
    let next = std::fs::read_to_string(&file).unwrap().replacen(
        "metadata:",
        "metadata:\n  annotations: {podfit.test/next: version}",
        1,
    );
    std::fs::write(&file, next).unwrap();
    release.helm(&[
        "upgrade",
        "podfit",
        "deploy/helm/podfit",
        "--reuse-values",
        "--set",
        "replicas=3",
        "--set",
        "policy.spec.rollout.mode=apply",
    ]);
    let deployment = release.namespace.find("/apis/apps/v1", "deployments/podfit").unwrap();
    assert_eq!(deployment["spec"]["replicas"], 3);
    let policy = release.find(POLICY).unwrap();
    assert_eq!(
        policy["spec"],
        json!({"resizing": "stopped", "rollout": {"mode": "recommend"}}),
        "the policy is its owner's"
    );
    assert_eq!(release.find(&secret).unwrap()["data"]["ca.key"], "a2V5");
    assert_eq!(release.find(&configuration).unwrap()["webhooks"][0]["clientConfig"]["caBundle"], bundle);
    let definition = release.find(&format!("{DEFINITIONS}/recommendations.podfit.dev")).unwrap();
    assert_eq!(definition["metadata"]["annotations"]["podfit.test/next"], "version", "definitions are upgraded too");

    release.helm(&["uninstall", "podfit"]);
    for kind in CONFIGURATIONS {
        assert_eq!(release.find(&format!("{ADMISSION}/{kind}/podfit-webhook")), None, "a webhook is left");
    }
    until("nothing is left", || {
        let kinds = "deployments,replicasets,pods,services,secrets,serviceaccounts,roles,rolebindings,cronjobs,poddisruptionbudgets,networkpolicies,leases";
        let left =
            release.kubectl(&["get", kinds, "-n", &own, "-l", "app.kubernetes.io/instance=podfit", "-o", "name"]);
        let global = "clusterroles,clusterrolebindings";
        let global = release.kubectl(&["get", global, "-l", "app.kubernetes.io/instance=podfit", "-o", "name"]);
        (left.is_empty() && global.is_empty()).then_some(())
    });
    assert_eq!(release.find(&secret), None);
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{own}/leases");
    assert_eq!(release.find(&leases).unwrap()["items"], json!([]), "whoever recommended has left");
    assert_eq!(definitions(cluster).len(), 2, "they hold the recommendations");
    // And back again, over what was kept.
    release.install(&[PROMETHEUS]);
    assert!(release.find(&configuration).is_some());
}

/// The kill switch, thrown by hand.
fn stop(release: &Release) -> Value {
    let patch = r#"{"spec":{"resizing":"stopped","rollout":{"mode":"canary"}}}"#;
    release.kubectl(&["patch", "rightsizingpolicy", "default", "--type", "merge", "-p", patch]);
    release.find(POLICY).unwrap()["spec"].clone()
}

#[test]
fn no_installation_changes_the_policy_that_is_there() {
    let Some(release) = Release::new("no_installation_changes_the_policy_that_is_there") else { return };
    release.install(&[PROMETHEUS]);
    let stopped = stop(&release);
    let policy = || {
        let found = release.find(POLICY).unwrap();
        (found["metadata"]["uid"].clone(), found["spec"].clone())
    };
    let before = policy();
    assert_eq!(before.1, stopped);
    let other = ["policy.spec.rollout.mode=apply"];

    release.helm(&["upgrade", "podfit", "deploy/helm/podfit", "--reuse-values", "--set", other[0]]);
    assert_eq!(policy(), before, "upgraded");
    release.helm(&["rollback", "podfit", "1"]);
    assert_eq!(policy(), before, "rolled back");
    release.helm(&["uninstall", "podfit"]);
    release.install(&other);
    assert_eq!(policy(), before, "installed anew");

    // A second one: it is told of the first, and where it is wanted all the same, there is one policy.
    let elsewhere = release.cluster().namespace("second");
    let kubeconfig = Some(release.cluster().kubeconfig());
    let second = |values: &[&str]| {
        let mut args =
            vec!["install", "second", "deploy/helm/podfit", "-n", &elsewhere.name, "--set", "crds.install=false"];
        args.extend(values.iter().flat_map(|v| ["--set", v]));
        release.staged.run("helm", kubeconfig, &args)
    };
    let refused = second(&[]);
    assert!(!refused.ok && refused.err.contains("podfit runs in this cluster already"), "{refused:?}");
    assert!(refused.err.contains(&release.namespace.name), "{refused:?}");
    let taken = second(&["allowOtherReleases=true", "namespaces.include={none-of-them}", other[0]]);
    assert!(taken.ok, "{taken:?}");
    assert_eq!(policy(), before, "a second release");
    release.staged.must("helm", kubeconfig, &["uninstall", "second", "-n", &elsewhere.name]);
    assert_eq!(policy(), before, "its end");
    // The first is still its own.
    release.helm(&["upgrade", "podfit", "deploy/helm/podfit", "--reuse-values"]);
}

#[test]
fn definitions_go_with_the_release_only_where_a_value_says_so() {
    let Some(release) = Release::new("definitions_go_with_the_release_only_where_a_value_says_so") else { return };
    if !release.kept.is_empty() {
        let test = "definitions_go_with_the_release_only_where_a_value_says_so";
        return skipped(test, "podfit's definitions are somebody else's on this cluster");
    }
    release.install(&["crds.keep=false"]);
    assert_eq!(definitions(release.cluster()).len(), 2);
    release.helm(&["uninstall", "podfit"]);
    until("no definition is left", || definitions(release.cluster()).is_empty().then_some(()));
}

#[test]
fn the_base_is_applied_and_taken_away() {
    let Some(release) = Release::new("the_base_is_applied_and_taken_away") else { return };
    release.kubectl(&["apply", "--server-side", "--force-conflicts", "-k", "deploy/crds"]);
    release.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd",
        "recommendations.podfit.dev",
        "rightsizingpolicies.podfit.dev",
    ]);
    release.has_base.set(true);
    // The API server that has a new kind tells of it a moment later.
    let kubeconfig = release.cluster().kubeconfig();
    until("the base is applied", || {
        let ran = release.staged.run("kubectl", Some(kubeconfig), &["apply", "-k", "deploy/kustomize/base"]);
        assert!(ran.ok || ran.err.contains("no matches for kind"), "{}{}", ran.out, ran.err);
        ran.ok.then_some(())
    });
    release.kubectl(&["create", "-f", "deploy/policy.yaml"]);
    let stopped = stop(&release);
    release.kubectl(&["apply", "-k", "deploy/kustomize/base"]);
    release.kubectl(&["apply", "-k", "deploy/kustomize/overlays/canary"]);
    release.kubectl(&["apply", "-k", "deploy/kustomize/base"]);
    assert_eq!(release.find(POLICY).unwrap()["spec"], stopped, "applied again");
    let again = release.staged.run("kubectl", Some(kubeconfig), &["create", "-f", "deploy/policy.yaml"]);
    assert!(again.err.contains("already exists"), "{again:?}");
    // Again, and nothing would change: no field fights with the API server's defaults.
    let again = release.staged.run("kubectl", Some(kubeconfig), &["diff", "-k", "deploy/kustomize/base"]);
    assert!(again.ok, "{}{}", again.out, again.err);
    // The namespace lets in nothing but restricted pods: podfit's own are.
    until("both replicas", || {
        let deployment = release.find("/apis/apps/v1/namespaces/podfit/deployments/podfit")?;
        (deployment["status"]["availableReplicas"] == 2).then_some(())
    });
    release.kubectl(&DELETE_BASE);
    assert_eq!(release.find(POLICY).unwrap()["spec"], stopped, "podfit is gone, the decision is not");
    for kind in CONFIGURATIONS {
        assert_eq!(release.find(&format!("{ADMISSION}/{kind}/podfit-webhook")), None, "a webhook is left");
    }
    assert_eq!(definitions(release.cluster()).len(), 2);
}

/// Something that an API server takes as a bundle.
fn a_certificate() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certs/ec.crt")).unwrap()
}
