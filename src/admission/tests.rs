//! The decision on whole pods: what is told, what is patched, and what holds for any pod.
#![allow(clippy::needless_pass_by_value)] // rstest hands its cases over

use std::collections::BTreeMap;

use rstest::rstest;
use serde_json::{Value, json};

use super::decide::{Decision, Request, decide};
use super::*;
use crate::fit::{Constraints, ContainerResources, LimitRanges, Quota};
use crate::policy::{Mode, Modes, RULES, Settings};
use crate::text;
use crate::workload::Kind;

fn size(json: Value) -> ContainerResources {
    serde_json::from_value(json).unwrap()
}

/// What is known of the pods of these tests; a table changes what it is about.
pub(super) struct Known {
    pub(super) kind: Option<Kind>,
    pub(super) recommended: BTreeMap<String, ContainerResources>,
    pub(super) provenance: Option<Provenance>,
    pub(super) constraints: Constraints,
    pub(super) modes: Modes,
    pub(super) from_kubelet: bool,
}

/// The rules on images and users alone: these tests' pods are about other things than the rest.
fn of_images_and_users() -> Modes {
    let mut modes = Modes::default();
    for rule in ["missing-resources", "default-service-account"] {
        modes.set(rule, Mode::Off).unwrap();
    }
    modes
}

pub(super) fn known(recommended: Value) -> Known {
    Known {
        kind: None,
        recommended: serde_json::from_value(recommended).unwrap(),
        provenance: Some(Provenance { workload: "cronjob/nightly".into(), recommendation: "r1".into() }),
        constraints: Constraints::default(),
        modes: of_images_and_users(),
        from_kubelet: false,
    }
}

impl Known {
    /// The modes as settings.
    fn rules(&self) -> Rules {
        let modes = RULES.iter().map(|rule| (rule.id().to_owned(), self.modes.of(*rule)));
        Rules::new(Settings { modes: modes.collect(), ..Settings::default() })
    }

    pub(super) fn decide(&self, pod: &Value) -> Decision {
        decide(&Request {
            sizing: Sizing {
                pod,
                kind: self.kind,
                recommended: &self.recommended,
                killed_at: &BTreeMap::new(),
                provenance: self.provenance.as_ref(),
                constraints: &self.constraints,
                bounds: &crate::policy::Bounds::default(),
            },
            namespace: "jobs",
            user: None,
            rules: &self.rules(),
            from_kubelet: self.from_kubelet,
        })
        .unwrap()
    }
}

fn patched(pod: &Value, decision: &Decision) -> Value {
    let mut after = pod.clone();
    apply(&mut after, &decision.ops).unwrap();
    after
}

fn pod(resources: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "nightly-29399880-", "namespace": "jobs", "labels": {"job-name": "nightly-29399880"}},
        "spec": {"futureField": {"x": 1.50}, "containers": [
            {"name": "main", "image": "reg.example/report:7", "resources": resources, "alsoNew": [null, 1e2],
             "securityContext": {"runAsNonRoot": true}}]},
        "status": {}
    })
}

const LABEL: &str = "cronjob.nightly-77044c2ba9902262";

#[test]
fn the_patch_is_minimal_and_recorded() {
    let before = pod(json!({"requests": {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"},
        "limits": {"memory": "4Gi", "nvidia.com/gpu": "1"}}));
    let known = known(json!({"main": {"cpuRequest": "500m", "memoryRequest": "1536Mi", "memoryLimit": "1.5Gi"}}));
    let decision = known.decide(&before);
    let record = json!({"workload": "cronjob/nightly", "recommendation": "r1", "containers": {"main": {
        "from": {"cpuRequest": "2", "memoryRequest": "4Gi", "memoryLimit": "4Gi"},
        "to": {"cpuRequest": "500m", "memoryRequest": "1536Mi", "memoryLimit": "1536Mi"}}}});
    let mut ops = serde_json::to_value(&decision.ops).unwrap();
    let annotations = ops.as_array_mut().unwrap().pop().unwrap();
    assert_eq!(
        ops,
        json!([
            {"op": "replace", "path": "/spec/containers/0/resources/requests/cpu", "value": "500m"},
            {"op": "replace", "path": "/spec/containers/0/resources/requests/memory", "value": "1536Mi"},
            {"op": "replace", "path": "/spec/containers/0/resources/limits/memory", "value": "1536Mi"},
            {"op": "add", "path": "/metadata/labels/podfit.dev~1workload", "value": LABEL},
        ])
    );
    assert_eq!(annotations["path"], "/metadata/annotations");
    let written = annotations["value"]["podfit.dev/resized"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(written).unwrap(), record);
    assert_eq!(
        decision.warnings,
        ["podfit: main: memory 4Gi → 1536Mi, cpu request 2 → 500m; past runs of cronjob/nightly"]
    );
    let after = patched(&before, &decision);
    assert_eq!(after["spec"]["futureField"], before["spec"]["futureField"]);
    assert_eq!(after["spec"]["containers"][0]["alsoNew"], before["spec"]["containers"][0]["alsoNew"]);
    assert!(known.decide(&after).ops.is_empty());
}

#[test]
fn resources_are_made_where_there_are_none() {
    let mut before = pod(json!(null));
    before["spec"]["containers"][0].as_object_mut().unwrap().remove("resources");
    let decision = known(json!({"main": {"memoryRequest": "1Gi", "memoryLimit": "1Gi"}})).decide(&before);
    assert_eq!(
        patched(&before, &decision)["spec"]["containers"][0]["resources"],
        json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}})
    );
    assert_eq!(decision.warnings, ["podfit: main: memory unset → 1Gi; past runs of cronjob/nightly"]);
}

#[test]
fn init_containers_and_sidecars_are_sized_by_name_and_others_are_not() {
    let mut before = pod(json!({"requests": {"memory": "4Gi"}}));
    before["spec"]["initContainers"] = json!([
        {"name": "fetch", "image": "a:1", "resources": {"requests": {"memory": "4Gi"}}},
        {"name": "logs", "image": "a:1", "restartPolicy": "Always", "resources": {"requests": {"memory": "4Gi"}}}]);
    before["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": "a:1"}]);
    let small = json!({"memoryRequest": "1Gi"});
    let decision = known(json!({"fetch": small, "logs": small, "debug": small, "gone": small})).decide(&before);
    let paths: Vec<_> = decision.ops.iter().map(|op| op.path.as_str()).filter(|p| p.starts_with("/spec")).collect();
    assert_eq!(
        paths,
        ["/spec/initContainers/0/resources/requests/memory", "/spec/initContainers/1/resources/requests/memory"]
    );
}

#[rstest]
#[case::off("off", Some("opted-out"))]
#[case::on("on", None)]
fn the_author_can_opt_out_of_sizing(#[case] value: &str, #[case] skipped: Option<&str>) {
    let mut before = pod(json!({"requests": {"cpu": "2"}}));
    before["metadata"]["annotations"] = json!({"podfit.dev/resize": value});
    let decision = known(json!({"main": {"cpuRequest": "1"}})).decide(&before);
    assert_eq!(decision.skipped, skipped);
    assert_eq!(decision.changes.is_empty(), skipped.is_some());
    assert_eq!(patched(&before, &decision)["metadata"]["labels"]["podfit.dev/workload"], LABEL);
}

#[test]
fn nobody_opts_out_of_a_ban() {
    let mut before = pod(json!({}));
    before["metadata"]["annotations"] = json!({"podfit.dev/resize": "off", "kubernetes.io/config.mirror": "x"});
    before["spec"]["containers"][0]["image"] = json!("nginx");
    before["spec"]["containers"][0]["securityContext"] = json!({"runAsUser": 0});
    let decision = known(json!({"main": {"cpuRequest": "1"}})).decide(&before);
    assert!(!decision.allowed);
    assert_eq!(
        decision.denial.unwrap(),
        "podfit: latest-tag: container main: image nginx has no tag (latest): pin a version or a digest; \
         run-as-root: container main: runs as root (runAsUser 0): set runAsUser to the image's own user"
    );
    assert!(decision.ops.is_empty() && decision.warnings.is_empty());
    assert_eq!(decision.audit_annotations.keys().collect::<Vec<_>>(), ["latest-tag", "run-as-root"]);
}

#[rstest]
#[case(Mode::Enforce, false, 0, 1)]
#[case(Mode::Warn, true, 1, 1)]
#[case(Mode::Audit, true, 0, 1)]
#[case(Mode::Off, true, 0, 0)]
fn modes_decide_what_a_breach_leads_to(
    #[case] mode: Mode,
    #[case] allowed: bool,
    #[case] warnings: usize,
    #[case] notes: usize,
) {
    let mut before = pod(json!({}));
    before["spec"]["containers"][0]["image"] = json!("nginx:latest");
    let mut known = known(json!({}));
    known.modes.set("latest-tag", mode).unwrap();
    let decision = known.decide(&before);
    assert_eq!(
        (decision.allowed, decision.warnings.len(), decision.audit_annotations.len()),
        (allowed, warnings, notes)
    );
    assert!(
        decision.warnings.iter().all(|w| w == "podfit: container main: image nginx:latest: pin a version or a digest")
    );
}

#[test]
fn a_kubelets_mirror_pod_is_left_alone() {
    let mut before = pod(json!({"requests": {"cpu": "2"}}));
    before["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    before["spec"]["containers"][0]["image"] = json!("nginx");
    let known = Known { from_kubelet: true, ..known(json!({"main": {"cpuRequest": "1"}})) };
    let decision = known.decide(&before);
    assert!(decision.allowed && decision.ops.is_empty() && decision.warnings.is_empty());
    assert_eq!((decision.skipped, decision.audit_annotations.len()), (Some("mirror-pod"), 1));
    before["metadata"]["annotations"] = json!({});
    assert!(!known.decide(&before).allowed, "the kubelet's other pods are judged");
}

#[test]
fn a_pod_of_no_workload_is_not_changed() {
    let known = Known { provenance: None, ..known(json!({"main": {"cpuRequest": "1"}})) };
    let decision = known.decide(&pod(json!({"requests": {"cpu": "2"}})));
    assert!(decision.allowed && decision.ops.is_empty() && decision.warnings.is_empty());
}

#[rstest]
#[case::pod_level(json!({"resources": {"limits": {"memory": "8Gi"}}}), "podfit: not resized: the pod sets resources at pod level")]
#[case::unreadable(json!({"initContainers": [{"name": "i", "image": "a:1", "resources": {"limits": {"cpu": "x"}}}]}),
    "podfit: not resized: /spec/initContainers/0/resources/limits/cpu cannot be read: \"x\" is not a Kubernetes quantity: it h…")]
fn what_cannot_be_sized_goes_as_it_came(#[case] more: Value, #[case] warning: &str) {
    let mut before = pod(json!({"requests": {"cpu": "2"}}));
    before["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    if let Some(init) = before["spec"].get_mut("initContainers") {
        init[0]["securityContext"] = json!({"runAsUser": 5});
    }
    let decision = known(json!({"main": {"cpuRequest": "1"}})).decide(&before);
    assert!(decision.allowed && decision.changes.is_empty());
    assert_eq!(decision.warnings, [warning]);
}

#[test]
fn a_patch_that_would_not_apply_is_not_sent() {
    let mut before = pod(json!({"requests": {"cpu": "2"}}));
    before["metadata"]["labels"] = json!("odd");
    let decision = known(json!({"main": {"cpuRequest": "1"}})).decide(&before);
    assert!(decision.allowed && decision.ops.is_empty());
    assert_eq!(decision.skipped, Some("patch-failed"));
    assert_eq!(decision.warnings, ["podfit: not resized: cannot set /metadata/labels: it is no object"]);
}

#[test]
fn a_spec_that_cannot_be_walked_is_an_error() {
    let known = known(json!({}));
    let request = Request {
        sizing: Sizing {
            pod: &json!({"spec": {"containers": {}}}),
            kind: None,
            recommended: &known.recommended,
            killed_at: &BTreeMap::new(),
            provenance: None,
            constraints: &known.constraints,
            bounds: &crate::policy::Bounds::default(),
        },
        namespace: "jobs",
        user: None,
        rules: &known.rules(),
        from_kubelet: false,
    };
    assert_eq!(decide(&request).unwrap_err().path, "/spec/containers");
}

#[test]
fn the_namespace_is_heard_and_told() {
    let quota = json!({"metadata": {"name": "team"}, "spec": {"hard": {"requests.cpu": "10"}},
        "status": {"used": {"requests.cpu": "10"}}});
    let mut known = known(json!({"main": {"cpuRequest": "3", "memoryRequest": "64Mi"}}));
    known.constraints.quotas = vec![Quota::of_object(&quota).unwrap()];
    let range = json!({"spec": {"limits": [{"type": "Container", "min": {"memory": "128Mi"}}]}});
    known.constraints.limit_ranges = LimitRanges::of_objects([&range]);
    let decision = known.decide(&pod(json!({"requests": {"cpu": "2", "memory": "4Gi"}})));
    assert_eq!(
        decision.warnings,
        [
            "podfit: main: memory request 4Gi → 128Mi; past runs of cronjob/nightly",
            "podfit: main: cpu left as it was: quota team, requests.cpu: 0 is left of 10",
        ]
    );
}

#[test]
fn a_second_turn_keeps_what_was_asked_at_first() {
    let before = pod(json!({"requests": {"cpu": "2"}}));
    let known = known(json!({"main": {"cpuRequest": "1"}, "extra": {"cpuRequest": "1"}}));
    let mut after = patched(&before, &known.decide(&before));
    after["spec"]["containers"].as_array_mut().unwrap().push(
        json!({"name": "extra", "image": "a:1", "securityContext": {"runAsUser": 5}, "resources": {"requests": {"cpu": "3"}}}));
    let again = patched(&after, &known.decide(&after));
    let record: Record = serde_json::from_str(provenance::annotation(&again, provenance::RESIZED).unwrap()).unwrap();
    let from = |name: &str| record.containers[name].from.cpu_request.unwrap().to_string();
    assert_eq!((from("main"), from("extra")), ("2".to_owned(), "3".to_owned()));
}

#[test]
fn a_forged_record_or_label_does_not_stay() {
    let mut before = pod(json!({"requests": {"cpu": "2"}}));
    let forged = json!({"workload": "x", "recommendation": "r1", "containers": {"main": {"from": {"cpuRequest": "9"}, "to": {"cpuRequest": "1"}}}});
    before["metadata"]["annotations"] = json!({"podfit.dev/resized": forged.to_string()});
    before["metadata"]["labels"]["podfit.dev/workload"] = json!("other");
    let after = patched(&before, &known(json!({"main": {"cpuRequest": "1"}})).decide(&before));
    assert_eq!(after["metadata"]["labels"]["podfit.dev/workload"], LABEL);
    let record: Record = serde_json::from_str(provenance::annotation(&after, provenance::RESIZED).unwrap()).unwrap();
    assert_eq!(record.containers["main"].from, size(json!({"cpuRequest": "2"})));
    assert_eq!(record.workload, "cronjob/nightly");
}

#[test]
fn spark_pods_keep_room_for_the_heap() {
    let mut before = pod(json!({"requests": {"cpu": "1", "memory": "3456Mi"}, "limits": {"memory": "3456Mi"}}));
    before["spec"]["containers"][0]["env"] = json!([{"name": "SPARK_EXECUTOR_MEMORY", "value": "2g"}]);
    let mut known = known(json!({"main": {"memoryRequest": "1Gi", "memoryLimit": "1Gi"}}));
    known.kind = Some(Kind::SparkExecutor);
    let limit = |known: &Known| {
        patched(&before, &known.decide(&before))["spec"]["containers"][0]["resources"]["limits"].clone()
    };
    assert_eq!(limit(&known), json!({"memory": "2432Mi"}));
    known.kind = Some(Kind::SparkDriver);
    assert_eq!(limit(&known), json!({"memory": "3456Mi"}));
}

#[test]
fn many_long_names_stay_within_the_budget() {
    let long = |i: usize| format!("{i}{}", "n".repeat(61));
    let containers: Vec<_> = (0..40)
        .map(|i| {
            json!({"name": long(i), "image": "a:1", "resources": {
        "requests": {"cpu": "1234567n", "memory": "123456789"}, "limits": {"cpu": "9", "memory": "987654321"}}})
        })
        .collect();
    let before = json!({"spec": {"containers": containers}});
    let wanted =
        json!({"cpuRequest": "1111111n", "cpuLimit": "2222222n", "memoryRequest": "123456", "memoryLimit": "654321"});
    let recommended: serde_json::Map<_, _> = (0..40).map(|i| (long(i), wanted.clone())).collect();
    let decision = known(Value::Object(recommended)).decide(&before);
    assert_eq!(decision.changes.len(), 40);
    assert_eq!(decision.warnings.len(), 10);
    assert!(decision.warnings.iter().all(|w| w.chars().count() <= text::LINE_CHARS));
    assert_eq!(decision.warnings[9], "podfit: and 71 more warnings");
}
