//! The built-in CA on a real API server: made by whoever comes first, mended, replaced, and always in `caBundle`.
//! Everything is looked for until it is there; nothing waits for a time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers too")]

#[path = "support/mod.rs"]
mod support;

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::cli;
use support::cluster::{Cluster, Namespace, cluster, until};
use support::webhook::{Serve, get, write_recommendations};

const CORE: &str = "/api/v1";
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
const KINDS: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
const SECRET: &str = "podfit-webhook-tls";

/// A namespace with an account that has the rights the built-in CA asks for, and nothing installed yet.
struct Scene {
    namespace: Namespace,
    dir: tempfile::TempDir,
    kubeconfig: PathBuf,
}

impl Scene {
    fn new(cluster: &'static Cluster) -> Self {
        Self::with_rights(cluster, &["get", "patch"])
    }

    fn with_rights(cluster: &'static Cluster, configurations: &[&str]) -> Self {
        let (namespace, dir) = (cluster.namespace("ca"), tempfile::tempdir().unwrap());
        std::fs::write(dir.path().join("policy.yaml"), "{}\n").unwrap();
        write_recommendations(dir.path(), &namespace.name, &[]);
        let secrets = json!([
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [SECRET], "verbs": ["get", "patch"]},
        ]);
        let rules = cluster_rules(&namespace.name, configurations);
        let kubeconfig = namespace.account("podfit", &secrets, &rules, dir.path());
        Self { namespace, dir, kubeconfig }
    }

    /// The name of its webhook configurations.
    fn name(&self) -> String {
        configuration(&self.namespace.name)
    }

    fn serve(&self) -> Serve {
        let secret = format!("{}/{SECRET}", self.namespace.name);
        let arguments = ["--built-in-ca", &secret, "--webhook-configuration", &self.name(), "--tls-ip", "127.0.0.1"]
            .map(str::to_owned);
        Serve::start(self.dir.path(), Some(&self.kubeconfig), &arguments)
    }

    fn data(&self, key: &str) -> Option<Vec<u8>> {
        let secret = self.namespace.find(CORE, &format!("secrets/{SECRET}"))?;
        STANDARD.decode(secret["data"][key].as_str()?).ok()
    }

    /// Installs both configurations for what listens there, each with what stands for no bundle.
    fn register(&self, serve: &Serve) {
        let selector = json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [self.namespace.name]}]});
        for (kind, path, bundle) in [(KINDS[0], "mutate", None), (KINDS[1], "validate", Some("Cg=="))] {
            let url = format!("https://{}/{path}", serve.address);
            let entry = json!({"name": format!("{path}.{}.podfit.dev", self.namespace.name),
                "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 5, "failurePolicy": "Fail",
                "namespaceSelector": selector, "clientConfig": {"url": url, "caBundle": bundle},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]});
            // Somebody else's entry, which podfit must leave alone.
            let other = json!({"name": "other.example.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Ignore", "objectSelector": {"matchLabels": {"never": "there"}},
                "clientConfig": {"url": "https://other.example/"}, "rules": entry["rules"]});
            let object = json!({"metadata": {"name": self.name()}, "webhooks": [other, entry]});
            self.namespace.cluster.create(&format!("{ADMISSION}/{kind}"), &object);
        }
    }

    fn bundles(&self, entry: usize) -> [Value; 2] {
        KINDS.map(|kind| {
            let object = self.namespace.cluster.get(&format!("{ADMISSION}/{kind}/{}", self.name()));
            object["webhooks"][entry]["clientConfig"]["caBundle"].clone()
        })
    }

    /// Until both configurations hold what the Secret does.
    fn until_published(&self) {
        until("the Secret's CA in both configurations", || {
            let bundle = json!(STANDARD.encode(self.data("ca.crt")?));
            self.bundles(1).iter().all(|b| *b == bundle).then_some(())
        });
        assert_eq!(self.bundles(0), [Value::Null, Value::Null], "somebody else's entry was changed");
    }

    /// Until a pod is admitted through both entries, which fail closed.
    fn until_admitted(&self, serve: &Serve) {
        let pod = json!({"metadata": {"name": "probe"}, "spec": {"containers": [
            {"name": "main", "image": "reg.example/probe:1", "securityContext": {"runAsUser": 1000}}]}});
        until("a pod is admitted", || self.namespace.try_create(CORE, "pods", &pod).ok());
        let metrics = get(&serve.metrics_address, "/metrics").unwrap();
        for entry in ["mutate", "validate"] {
            let count = metrics.lines().filter(|l| l.starts_with("podfit_admission_reviews_total{"));
            let count = count.filter(|l| l.contains(&format!("entry=\"{entry}\"")) && !l.ends_with(" 0")).count();
            assert!(count > 0, "no review of {entry}");
        }
    }

    /// What `podfit certs check` says of what is served, by the bundle in the Secret.
    fn verifies(&self, serve: &Serve) -> Option<()> {
        let ca = self.dir.path().join("ca.crt");
        std::fs::write(&ca, self.data("ca.crt")?).unwrap();
        let (url, name) = (format!("https://{}", serve.address), format!("podfit-webhook.{}.svc", self.namespace.name));
        let mut command = cli::command();
        command.args(["certs", "check", "--url", &url, "--dns", &name, "--ca"]).arg(ca);
        (cli::run(&mut command).code == Some(0)).then_some(())
    }

    fn patch_secret(&self, data: &Value) {
        let path = format!("{CORE}/namespaces/{}/secrets/{SECRET}", self.namespace.name);
        self.namespace.cluster.request("PATCH", &path, Some(&json!({"data": data}))).unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for kind in KINDS {
            let path = format!("{ADMISSION}/{kind}/{}", self.name());
            let _ = self.namespace.cluster.request("DELETE", &path, None);
        }
    }
}

fn configuration(namespace: &str) -> String {
    format!("podfit-{namespace}")
}

fn cluster_rules(namespace: &str, verbs: &[&str]) -> Value {
    let watched = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["list", "watch"]});
    let mut rules = vec![
        watched("", &["limitranges", "resourcequotas", "nodes", "pods"]),
        watched("batch", &["jobs"]),
        watched("apps", &["replicasets"]),
    ];
    if !verbs.is_empty() {
        rules.push(json!({"apiGroups": ["admissionregistration.k8s.io"], "resources": KINDS,
            "resourceNames": [configuration(namespace)], "verbs": verbs}));
    }
    rules.into()
}

fn ready(serve: &Serve) {
    until("podfit serve is ready", || get(&serve.metrics_address, "/readyz"));
}

fn metric(serve: &Serve, name: &str) -> Option<f64> {
    let text = get(&serve.metrics_address, "/metrics")?;
    let line = text.lines().find(|l| l.starts_with(&format!("{name}{{input=\"certificate\"}}")))?.to_owned();
    line.rsplit_once(' ')?.1.parse().ok()
}

fn loaded(serve: &Serve) -> f64 {
    metric(serve, "podfit_reload_last_success_timestamp_seconds").unwrap_or_default()
}

fn no_key_in(log: &str) {
    assert!(!log.contains("PRIVATE") && !log.contains("LS0tLS1"), "{log}");
}

#[test]
fn without_a_secret_a_ca_is_made_and_pods_are_admitted_through_it() {
    let Some(cluster) = cluster("without_a_secret_a_ca_is_made_and_pods_are_admitted_through_it") else { return };
    let scene = Scene::new(cluster);
    let serve = scene.serve();
    ready(&serve);
    let secret = scene.namespace.find(CORE, &format!("secrets/{SECRET}")).unwrap();
    assert_eq!(secret["type"], "kubernetes.io/tls");
    // Installed when podfit is there already.
    scene.register(&serve);
    scene.until_published();
    scene.until_admitted(&serve);
    scene.verifies(&serve).unwrap();
    // And applied once more from a manifest that knows no bundle.
    for kind in KINDS {
        let path = format!("{ADMISSION}/{kind}/{}", scene.name());
        let mut object = cluster.get(&path);
        object["webhooks"][1]["clientConfig"]["caBundle"] = Value::Null;
        cluster.request("PUT", &path, Some(&object)).unwrap();
    }
    scene.until_published();
    scene.until_admitted(&serve);
    no_key_in(&serve.log());
}

/// The policy that comes with podfit, for this scene's account and configurations; taken away when dropped.
struct Fence(&'static Cluster, Vec<String>);

impl Fence {
    fn new(scene: &Scene) -> Self {
        let (cluster, name) = (scene.namespace.cluster, scene.name());
        let text = include_str!("../deploy/kustomize/base/fence.yaml");
        let text =
            text.replace("serviceaccount:podfit:podfit", &format!("serviceaccount:{}:podfit", scene.namespace.name));
        let text =
            text.replace("'podfit-webhook'", &format!("'{name}'")).replace("podfit-ca-bundle", &format!("{name}-ca"));
        let mut paths = Vec::new();
        for document in text.split("\n---\n") {
            let object: Value = serde_saphyr::from_str(document).unwrap();
            let is_binding = object["kind"] == "ValidatingAdmissionPolicyBinding";
            let plural = if is_binding { "validatingadmissionpolicybindings" } else { "validatingadmissionpolicies" };
            cluster.create(&format!("{ADMISSION}/{plural}"), &object);
            paths.push(format!("{ADMISSION}/{plural}/{name}-ca"));
        }
        Self(cluster, paths)
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        for path in &self.1 {
            let _ = self.0.request("DELETE", path, None);
        }
    }
}

/// What is changed, and how.
type Change<'a> = (&'a str, &'a dyn Fn(&mut Value));

#[test]
fn with_podfits_token_nothing_but_the_bundle_of_its_own_configurations_can_be_changed() {
    let test = "with_podfits_token_nothing_but_the_bundle_of_its_own_configurations_can_be_changed";
    let Some(cluster) = cluster(test) else { return };
    let scene = Scene::new(cluster);
    let _fence = Fence::new(&scene);
    let serve = scene.serve();
    ready(&serve);
    scene.register(&serve);
    // podfit itself gets on with it.
    scene.until_published();
    scene.until_admitted(&serve);
    let thief = cluster.account(&scene.kubeconfig);
    for kind in KINDS {
        let path = format!("{ADMISSION}/{kind}/{}", scene.name());
        let change = |change: &dyn Fn(&mut Value)| {
            let mut webhooks = cluster.get(&path)["webhooks"].clone();
            change(&mut webhooks);
            thief.request("PATCH", &format!("{path}?dryRun=All"), Some(&json!({"webhooks": webhooks})))
        };
        let refusal = |answer: Result<Value, (u16, String)>, what: &str| {
            let (code, why) = answer.map(|_| panic!("{kind}: {what} was let through")).unwrap_err();
            assert!(why.contains("podfit may change"), "{kind}: {what}: {code} {why}");
        };
        // Until it is in force, and told apart from what the API server refuses by itself.
        until("the fence", || change(&|w| w[1]["timeoutSeconds"] = json!(29)).err());
        change(&|w| w[1]["clientConfig"]["caBundle"] = w[1]["clientConfig"]["caBundle"].clone()).unwrap();
        let changes: [Change<'_>; 10] = [
            ("timeout", &|w| w[1]["timeoutSeconds"] = json!(29)),
            ("failure policy", &|w| w[1]["failurePolicy"] = json!("Ignore")),
            ("address", &|w| w[1]["clientConfig"]["url"] = json!("https://evil.example/x")),
            ("rules", &|w| w[1]["rules"][0]["resources"] = json!(["secrets"])),
            ("operations", &|w| w[1]["rules"][0]["operations"] = json!(["*"])),
            ("namespaces", &|w| w[1]["namespaceSelector"] = json!({})),
            ("objects", &|w| w[1]["objectSelector"] = json!({"matchLabels": {"a": "b"}})),
            ("conditions", &|w| w[1]["matchConditions"] = json!([{"name": "never", "expression": "false"}])),
            ("an entry less", &|w| drop(w.as_array_mut().unwrap().remove(0))),
            ("an entry more", &|w| {
                let mut more = w[1].clone();
                more["name"] = json!("more.example.dev");
                w.as_array_mut().unwrap().push(more);
            }),
        ];
        for (what, apply) in changes {
            refusal(change(apply), what);
        }
        for metadata in
            [json!({"labels": {"a": "b"}}), json!({"annotations": {"a": "b"}}), json!({"finalizers": ["a.b/c"]})]
        {
            let body = json!({"metadata": metadata});
            refusal(thief.request("PATCH", &format!("{path}?dryRun=All"), Some(&body)), &metadata.to_string());
        }
        // The admin is not bound by it.
        cluster
            .request("PATCH", &format!("{path}?dryRun=All"), Some(&json!({"metadata": {"labels": {"a": "b"}}})))
            .unwrap();
    }
}

#[test]
fn two_that_begin_at_once_agree_on_one_ca() {
    let Some(cluster) = cluster("two_that_begin_at_once_agree_on_one_ca") else { return };
    let scene = Scene::new(cluster);
    let both = std::thread::scope(|s| [(); 2].map(|()| s.spawn(|| scene.serve())).map(|t| t.join().unwrap()));
    both.iter().for_each(ready);
    let bundle = scene.data("ca.crt").unwrap();
    assert_eq!(String::from_utf8(bundle.clone()).unwrap().matches("BEGIN CERTIFICATE").count(), 1);
    for serve in &both {
        scene.verifies(serve).unwrap();
        no_key_in(&serve.log());
    }
    // Pods reach each of them with the bundle that both write.
    scene.register(&both[0]);
    scene.until_published();
    scene.until_admitted(&both[0]);
    assert_eq!(scene.data("ca.crt").unwrap(), bundle);
}

#[test]
fn a_garbled_certificate_is_mended_with_the_same_ca_and_no_restart() {
    let Some(cluster) = cluster("a_garbled_certificate_is_mended_with_the_same_ca_and_no_restart") else { return };
    let scene = Scene::new(cluster);
    let serve = scene.serve();
    ready(&serve);
    let (bundle, certificate, before) = (scene.data("ca.crt"), scene.data("tls.crt"), loaded(&serve));
    scene.patch_secret(&json!({"tls.crt": STANDARD.encode("garbled")}));
    until("the new certificate is served", || (loaded(&serve) > before).then_some(()));
    assert_eq!(scene.data("ca.crt"), bundle);
    let mended = scene.data("tls.crt").unwrap();
    assert!(mended.starts_with(b"-----BEGIN CERTIFICATE") && Some(mended) != certificate);
    scene.verifies(&serve).unwrap();
    no_key_in(&serve.log());
}

#[test]
fn a_deleted_secret_is_made_anew_and_the_bundle_follows() {
    let Some(cluster) = cluster("a_deleted_secret_is_made_anew_and_the_bundle_follows") else { return };
    let scene = Scene::new(cluster);
    let serve = scene.serve();
    ready(&serve);
    scene.register(&serve);
    scene.until_published();
    scene.until_admitted(&serve);
    let bundle = scene.data("ca.crt").unwrap();
    let path = format!("{CORE}/namespaces/{}/secrets/{SECRET}", scene.namespace.name);
    cluster.request("DELETE", &path, None).unwrap();
    until("another CA", || scene.data("ca.crt").filter(|b| *b != bundle));
    until("a certificate of the other CA is served", || scene.verifies(&serve));
    scene.until_published();
    scene.until_admitted(&serve);
}

#[test]
fn a_missing_right_is_named_once_and_costs_nothing_but_the_bundle() {
    let Some(cluster) = cluster("a_missing_right_is_named_once_and_costs_nothing_but_the_bundle") else { return };
    let scene = Scene::with_rights(cluster, &[]);
    let serve = scene.serve();
    ready(&serve);
    scene.verifies(&serve).unwrap();
    let failed = || metric(&serve, "podfit_reload_failed");
    until("the metric of failure", || failed().filter(|f| *f == 1.0));
    scene.register(&serve);
    // What happens to the Secret is seen to all the same.
    let certificate = scene.data("tls.crt");
    scene.patch_secret(&json!({"tls.crt": STANDARD.encode("garbled")}));
    until("another certificate", || {
        scene.data("tls.crt").filter(|c| c.starts_with(b"-----BEGIN") && Some(c) != certificate.as_ref())
    });
    let role = format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/{}-podfit", scene.namespace.name);
    let rules = json!({"rules": cluster_rules(&scene.namespace.name, &["get", "patch"])});
    cluster.request("PATCH", &role, Some(&rules)).unwrap();
    scene.until_published();
    until("the metric of success", || failed().filter(|f| *f == 0.0));
    let log = serve.log();
    let said: Vec<&str> = log.lines().filter(|l| l.contains("(403)")).collect();
    assert_eq!(said.len(), 1, "{log}");
    let grant = "grant its service account the verbs get and patch on mutatingwebhookconfigurations (admissionregistration.k8s.io)";
    assert!(said[0].contains(grant), "{log}");
    no_key_in(&log);
}
