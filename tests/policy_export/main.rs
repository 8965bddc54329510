//! The exported policies on a real API server: what its CEL says of a pod is what podfit's own rules say of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers too")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use podfit::admission::{Entry, Snapshot, answer};
use podfit::policy::export::export;
use podfit::policy::{Mode, Modes, Options, PodSpec, Policy, RULES, Settings, Severity, check};
use podfit::review::Review;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use support::cluster::{Cluster, Namespace, cluster, until};

const API: &str = "/apis/admissionregistration.k8s.io/v1";
/// The rules that CEL can say.
const EXPORTED: [&str; 7] = [
    "latest-tag",
    "run-as-root",
    "unproven-non-root",
    "root-group",
    "missing-resources",
    "default-service-account",
    "host-path-data",
];

/// What an export has put on the server; taken away at the end.
struct Applied {
    cluster: &'static Cluster,
    paths: Vec<String>,
}

impl Applied {
    fn new(cluster: &'static Cluster, settings: &Settings, prefix: &str, namespaces: &[String]) -> Self {
        let mut paths = Vec::new();
        for object in export(settings, prefix, namespaces).objects {
            // As a user applies it: through YAML.
            let text = serde_saphyr::to_string(&object).unwrap();
            let object: Value = serde_saphyr::from_str(&text).unwrap();
            let policy = object["kind"] == "ValidatingAdmissionPolicy";
            let plural = if policy { "validatingadmissionpolicies" } else { "validatingadmissionpolicybindings" };
            cluster.create(&format!("{API}/{plural}"), &object);
            paths.push(format!("{API}/{plural}/{}", object["metadata"]["name"].as_str().unwrap()));
        }
        Self { cluster, paths }
    }
}

impl Drop for Applied {
    fn drop(&mut self) {
        for path in &self.paths {
            let _ = self.cluster.request("DELETE", path, None);
        }
    }
}

/// Settings in which one rule turns pods away and no other says anything.
fn only(rule: &str) -> Settings {
    let modes = RULES.iter().map(|r| (r.id().to_owned(), if r.id() == rule { Mode::Enforce } else { Mode::Off }));
    Settings { modes: modes.collect(), ..Settings::default() }
}

fn pod(spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-"}, "spec": spec})
}

/// A pod that breaks every exported rule.
fn worst() -> Value {
    pod(&json!({"volumes": [{"name": "v", "hostPath": {"path": "/data"}}],
        "initContainers": [{"name": "silent", "image": "a:1"}],
        "containers": [{"name": "a", "image": "a", "securityContext": {"runAsUser": 0, "runAsGroup": 0},
            "volumeMounts": [{"name": "v", "mountPath": "/d"}]}]}))
}

/// Whether a rule has a breach to report.
fn breaks(rule: &str, pod: &Value, options: Options) -> bool {
    let mut modes = Modes::all(Mode::Off);
    modes.set(rule, Mode::Enforce).unwrap();
    check(&PodSpec::of_pod(pod).unwrap(), &modes, &options).iter().any(|f| f.severity == Severity::Breach)
}

/// A namespace in which a rule is in force.
fn ruled(cluster: &'static Cluster, rule: &str, settings: &Settings) -> (Namespace, Applied) {
    let namespace = cluster.namespace("vap");
    namespace.create("/api/v1", "serviceaccounts", &json!({"metadata": {"name": "loader"}}));
    let prefix = format!("{}-{rule}", namespace.name);
    let applied = Applied::new(cluster, settings, &prefix, std::slice::from_ref(&namespace.name));
    until(&format!("{rule} in force"), || namespace.try_create("/api/v1", "pods", &worst()).err());
    (namespace, applied)
}

#[test]
fn the_api_server_says_what_the_rules_say() {
    let Some(cluster) = cluster("the_api_server_says_what_the_rules_say") else { return };
    let rows: BTreeMap<String, Value> = serde_json::from_str(include_str!("pods.json")).unwrap();
    assert!(rows.len() >= 20);
    let free = cluster.namespace("free");
    free.create("/api/v1", "serviceaccounts", &json!({"metadata": {"name": "loader"}}));
    // As it is after defaults and the server's own admission: what a webhook sees, too.
    let admitted: BTreeMap<&String, Value> = rows
        .iter()
        .map(|(name, spec)| {
            let refused = |refused| panic!("{name} is no pod: {refused:?}");
            (name, free.try_create("/api/v1", "pods", &pod(spec)).unwrap_or_else(refused))
        })
        .collect();
    let mut wrong = Vec::new();
    for rule in EXPORTED {
        let (namespace, _applied) = ruled(cluster, rule, &only(rule));
        let mut denied = 0;
        for (name, spec) in &rows {
            let ours = breaks(rule, &admitted[name], Options::default());
            match namespace.try_create("/api/v1", "pods", &pod(spec)) {
                Ok(_) if ours => wrong.push(format!("{rule}: {name}: let through, the rule would not")),
                Err((_, why)) if !why.contains("podfit: ") => wrong.push(format!("{rule}: {name}: {why}")),
                Err((_, why)) if !ours => wrong.push(format!("{rule}: {name}: the rule would let it through: {why}")),
                Ok(_) => {}
                Err((code, _)) => {
                    assert_eq!(code, 403, "{rule}: {name}");
                    denied += 1;
                }
            }
        }
        assert!(denied > 0 && denied < rows.len(), "{rule}: {denied} of {}", rows.len());
        eprintln!("{rule}: {denied} of {} pods turned away", rows.len());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A security context of a container or a pod.
fn context() -> impl Strategy<Value = Value> {
    let user = prop_oneof![Just(None), Just(Some(0)), Just(Some(1000))];
    let windows_user = prop_oneof![3 => Just(None), 1 => Just(Some("ContainerUser")), 1 => Just(Some("ContainerAdministrator")),
            1 => Just(Some("NT AUTHORITY\\SYSTEM"))];
    (user.clone(), user, proptest::option::of(any::<bool>()), windows_user).prop_map(|(user, group, flag, windows)| {
        let mut context = json!({});
        let fields = [("runAsUser", json!(user)), ("runAsGroup", json!(group)), ("runAsNonRoot", json!(flag))];
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_null()) {
            context[name] = value;
        }
        if let Some(name) = windows {
            context["windowsOptions"] = json!({"runAsUserName": name});
        }
        context
    })
}

/// Specs whose only difference is who they run as, at every level; what the API refuses for another system is left out.
fn identities(count: usize) -> Vec<Value> {
    let os = prop_oneof![2 => Just(None), 1 => Just(Some("linux")), 2 => Just(Some("windows"))];
    let container = |name: &'static str| {
        context().prop_map(move |context| json!({"name": name, "image": "reg.example/a:1", "securityContext": context}))
    };
    let init = proptest::option::of(container("init"));
    let specs = (os, context(), container("main"), container("side"), init, any::<bool>(), any::<bool>());
    let specs = specs.prop_map(|(os, pod, main, side, init, has_side, own_users)| {
        let mut spec = json!({"securityContext": pod, "containers": [main]});
        if has_side {
            spec["containers"].as_array_mut().unwrap().push(side);
        }
        if let Some(init) = init {
            spec["initContainers"] = json!([init]);
        }
        if let Some(os) = os {
            spec["os"] = json!({"name": os});
        }
        if own_users && os != Some("windows") {
            spec["hostUsers"] = json!(false);
        }
        let forbidden: &[&str] = match os {
            Some("windows") => &["runAsUser", "runAsGroup"],
            Some(_) => &["windowsOptions"],
            None => &[],
        };
        let lists = ["containers", "initContainers"];
        for field in forbidden {
            spec["securityContext"].as_object_mut().unwrap().remove(*field);
            for list in lists {
                for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                    container["securityContext"].as_object_mut().unwrap().remove(*field);
                }
            }
        }
        spec
    });
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| specs.new_tree(&mut runner).unwrap().current()).collect()
}

/// Whether the webhook turns an object away, with one rule in force.
fn webhook_denies(rule: &str, object: &Value, old: &Value, sub: &str) -> bool {
    let mut known = Snapshot::default();
    known.set_policy(Policy { rules: only(rule), ..Policy::default() });
    let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "u",
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": sub, "namespace": "n",
        "operation": if old.is_null() { "CREATE" } else { "UPDATE" }, "userInfo": {"username": "jane"},
        "object": object, "oldObject": old}});
    let reply = answer(Entry::Validate, review.to_string().as_bytes(), &known);
    serde_json::from_slice::<Value>(&reply.body).unwrap()["response"]["allowed"] == false
}

/// Whether `podfit review` finds what admission would turn away.
fn review_denies(rule: &str, object: &Value) -> bool {
    let mut review = Review::default();
    review.add("pod.json", &object.to_string(), &only(rule), "n");
    assert!(review.errors.is_empty() && review.pods == 1, "{review:?}");
    review.worst() == Some(Mode::Enforce)
}

#[test]
fn webhook_review_and_export_agree_on_who_a_pod_runs_as() {
    let Some(cluster) = cluster("webhook_review_and_export_agree_on_who_a_pod_runs_as") else { return };
    let free = cluster.namespace("free");
    let admitted: Vec<Value> =
        identities(80).iter().filter_map(|spec| free.try_create("/api/v1", "pods", &pod(spec)).ok()).collect();
    assert!(admitted.len() > 50, "the API server takes {}", admitted.len());
    for rule in ["run-as-root", "unproven-non-root", "root-group"] {
        // One for each: a policy that is gone is in force a little longer.
        let namespace = cluster.namespace("vap");
        // Of ephemeral containers too: added to a pod that is there before any rule.
        let mut base = pod(&json!({"containers": [{"name": "main", "image": "reg.example/a:1"}]}));
        base["metadata"] = json!({"name": "base"});
        let base = namespace.create("/api/v1", "pods", &base);
        let prefix = format!("{}-{rule}", namespace.name);
        let _applied = Applied::new(cluster, &only(rule), &prefix, std::slice::from_ref(&namespace.name));
        until(&format!("{rule} in force"), || namespace.try_create("/api/v1", "pods", &worst()).err());
        let mut denied = 0;
        for object in &admitted {
            let ours = (webhook_denies(rule, object, &Value::Null, ""), review_denies(rule, object));
            let theirs = namespace.try_create("/api/v1", "pods", &pod(&object["spec"])).is_err();
            assert_eq!(
                ours,
                (theirs, theirs),
                "{rule}: webhook, review; the API server: {theirs}: {:#}",
                object["spec"]
            );
            denied += usize::from(theirs);
        }
        assert!(denied > 0 && denied < admitted.len(), "{rule}: {denied} of {}", admitted.len());
        for object in admitted.iter().filter(|object| object["spec"].get("os").is_none()).take(20) {
            let mut debugged = base.clone();
            debugged["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": "reg.example/d:1",
                "terminationMessagePolicy": "File",
                "securityContext": object["spec"]["containers"][0]["securityContext"]}]);
            // What the cluster has made of the pod since is no conflict.
            debugged["metadata"].as_object_mut().unwrap().remove("resourceVersion");
            let path = format!("/api/v1/namespaces/{}/pods/base/ephemeralcontainers?dryRun=All", namespace.name);
            let answer = cluster.request("PUT", &path, Some(&debugged));
            let theirs = matches!(&answer, Err((_, why)) if why.contains("podfit"));
            assert!(theirs || answer.is_ok(), "{answer:?}");
            let ours = webhook_denies(rule, &debugged, &base, "ephemeralcontainers");
            assert_eq!(ours, theirs, "{rule}: {:#}", debugged["spec"]["ephemeralContainers"]);
        }
        eprintln!("{rule}: {denied} of {} generated pods turned away by all three", admitted.len());
    }
}

#[test]
fn a_mirror_pod_of_a_kubelet_passes_and_no_other() {
    let Some(cluster) = cluster("a_mirror_pod_of_a_kubelet_passes_and_no_other") else { return };
    let (namespace, _applied) = ruled(cluster, "latest-tag", &only("latest-tag"));
    let mut mirror = worst();
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    mirror["spec"]["nodeName"] = json!("kwok-0");
    let refused = namespace.try_create("/api/v1", "pods", &mirror).unwrap_err();
    assert!(refused.1.contains("podfit: "), "{refused:?}");
    for (user, group, passes) in [
        ("system:node:a", "system:nodes", true),
        ("system:node:a", "system:masters", false),
        ("x", "system:nodes", false),
    ] {
        let path = format!("/api/v1/namespaces/{}/pods?dryRun=All", namespace.name);
        let answer = cluster.request_as(user, &[group, "system:masters"], "POST", &path, &mirror);
        assert_eq!(answer.is_ok(), passes, "{user} of {group}: {answer:?}");
    }
}

#[test]
fn user_namespaces_are_accepted_when_asked_for() {
    let Some(cluster) = cluster("user_namespaces_are_accepted_when_asked_for") else { return };
    let settings = Settings { accept_user_namespaces: true, ..only("run-as-root") };
    let (namespace, _applied) = ruled(cluster, "run-as-root", &settings);
    let root = json!({"containers": [{"name": "a", "image": "a:1", "securityContext": {"runAsUser": 0}}]});
    let mut inside = root.clone();
    inside["hostUsers"] = json!(false);
    assert!(namespace.try_create("/api/v1", "pods", &pod(&root)).is_err());
    assert!(namespace.try_create("/api/v1", "pods", &pod(&inside)).is_ok());
}

#[test]
fn updates_and_ephemeral_containers_are_judged_by_what_they_change() {
    let Some(cluster) = cluster("updates_and_ephemeral_containers_are_judged_by_what_they_change") else { return };
    let namespace = cluster.namespace("vap");
    let old = |name: &str, image: &str| {
        let mut object = pod(&json!({"containers": [{"name": "a", "image": image}]}));
        object["metadata"] = json!({"name": name});
        namespace.create("/api/v1", "pods", &object)
    };
    let (_bad, good) = (old("bad", "a:latest"), old("good", "a:1"));
    let prefix = format!("{}-tag", namespace.name);
    let _applied = Applied::new(cluster, &only("latest-tag"), &prefix, std::slice::from_ref(&namespace.name));
    until("latest-tag in force", || namespace.try_create("/api/v1", "pods", &worst()).err());
    let patch = |name: &str, patch: Value| {
        let path = format!("/api/v1/namespaces/{}/pods/{name}?dryRun=All", namespace.name);
        cluster.request("PATCH", &path, Some(&patch))
    };
    // The whole list, as the server keeps it: nothing but an image may change in it.
    let image = |image: &str| {
        let mut containers = good["spec"]["containers"].clone();
        containers[0]["image"] = json!(image);
        json!({"spec": {"containers": containers}})
    };
    assert!(patch("bad", json!({"metadata": {"labels": {"x": "y"}}})).is_ok(), "an old pod may lose its finalizers");
    assert!(patch("good", image("a:2")).is_ok());
    assert!(patch("good", image("b")).unwrap_err().1.contains("container a: pin the image"));
    let debug = |image: &str| {
        let mut object = good.clone();
        object["metadata"]["resourceVersion"] = Value::Null;
        object["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": image}]);
        let path = format!("/api/v1/namespaces/{}/pods/good/ephemeralcontainers?dryRun=All", namespace.name);
        cluster.request("PUT", &path, Some(&object))
    };
    assert!(debug("busybox:1.36").is_ok(), "{:?}", debug("busybox:1.36"));
    assert!(debug("busybox").unwrap_err().1.contains("container debug: pin the image"));
}

#[test]
fn modes_and_exemptions_hold_by_namespace() {
    let Some(cluster) = cluster("modes_and_exemptions_hold_by_namespace") else { return };
    let (strict, free) = (cluster.namespace("strict"), cluster.namespace("free"));
    for namespace in [&strict, &free] {
        namespace.create("/api/v1", "serviceaccounts", &json!({"metadata": {"name": "agent"}}));
    }
    let mut settings = only("latest-tag");
    let text = format!(
        "namespaces: [{{names: [{free}*], modes: {{latest-tag: warn}}}}]
exemptions:
- {{reason: r, rules: [latest-tag], namespaces: ['strict-*'], images: [reg.example/vendor/agent, nginx]}}
- {{reason: r, rules: [latest-tag], namespaces: [{strict}], serviceAccounts: [agent]}}
- {{reason: r, rules: [latest-tag], namespaces: ['*'], users: [nobody]}}
",
        free = free.name,
        strict = strict.name,
    );
    let read = Settings::from_yaml(&text).unwrap();
    (settings.namespaces, settings.exemptions) = (read.namespaces, read.exemptions);
    let both = [strict.name.clone(), free.name.clone()];
    let _applied = Applied::new(cluster, &settings, &format!("{}-modes", strict.name), &both);
    until("latest-tag in force", || strict.try_create("/api/v1", "pods", &worst()).err());
    let allowed = |namespace: &Namespace, image: &str, account: &str| {
        let spec = json!({"serviceAccountName": account, "containers": [{"name": "a", "image": image}]});
        namespace.try_create("/api/v1", "pods", &pod(&spec)).is_ok()
    };
    assert!(allowed(&free, "x", "default"), "a warning lets it through");
    for (image, account, expected) in [
        ("x", "default", false),
        ("x:1", "default", true),
        ("x", "agent", true),
        ("reg.example/vendor/agent", "default", true),
        ("reg.example/vendor/agent:latest", "default", true),
        ("reg.example/vendor/agent-evil", "default", false),
        ("reg.example/vendor/agent/x", "default", false),
        ("regxexample/vendor/agent", "default", false),
        ("evil.io/reg.example/vendor/agent", "default", false),
        ("nginx", "default", true),
        ("docker.io/library/nginx:latest", "default", true),
        ("evil/nginx", "default", false),
        ("evil.io/nginx", "default", false),
    ] {
        assert_eq!(allowed(&strict, image, account), expected, "{image} as {account}");
    }
}
