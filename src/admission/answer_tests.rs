//! Reviews as an API server sends them, and what is sent back: one sentence each.
#![allow(clippy::needless_pass_by_value)] // rstest hands its cases over

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::admission::Rules;
use crate::policy::{Mode, Settings};
use crate::workload::{Kind, Owner, Workload};

const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";
/// Of the Job that the pods below belong to.
pub(super) const JOB_UID: &str = "7d3f1c52-0a52-4e0c-9b67-0c1d5a1f9c11";

/// A pod as the API server writes it: defaults filled in, its name still to be made, its namespace not written yet.
pub(super) fn pod() -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "generateName": "load-7k2-", "creationTimestamp": null, "labels": {"team": "sales"},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "load-7k2", "uid": JOB_UID,
                "controller": true, "blockOwnerDeletion": true}],
            "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:spec": {}}}],
        },
        "spec": {
            "containers": [{"name": "main", "image": "registry.example/load:1.4",
                "resources": {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "4Gi"}},
                "securityContext": {"runAsNonRoot": true}, "futureField": {"a": [1, 2.50]}}],
            "restartPolicy": "Never", "schedulerName": "default-scheduler",
        },
        "status": {},
    })
}

fn image(pod: &mut Value, image: &str) {
    pod["spec"]["containers"][0]["image"] = json!(image);
}

/// A request about pods; `more` replaces what a case is about.
fn request(operation: &str, object: &Value, old: &Value, more: Value) -> Value {
    let mut request = json!({
        "uid": UID,
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "requestResource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "sales", "operation": operation,
        "userInfo": {"username": "system:serviceaccount:kube-system:job-controller",
            "groups": ["system:serviceaccounts", "system:authenticated"], "extra": {"a/b": ["c"]}},
        "object": object, "oldObject": old, "dryRun": false,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

pub(super) fn create(object: &Value) -> Value {
    request("CREATE", object, &Value::Null, json!({}))
}

fn update(old: &Value, object: &Value) -> Value {
    request("UPDATE", object, old, json!({}))
}

fn sub(mut request: Value, resource: &str) -> Value {
    request["subResource"] = json!(resource);
    request
}

fn body(request: Value) -> Vec<u8> {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string().into_bytes()
}

/// A CronJob `load` with a recommendation, whose Job's name does not tell that it is the CronJob's.
/// Rules that these pods are not about.
const OTHERS: [&str; 4] = ["missing-resources", "hardcoded-credential", "default-service-account", "host-path-data"];

/// The rules that these pods are about, in other modes than their own where `modes` says so.
fn rules(modes: &[(&str, &str)]) -> Arc<Rules> {
    let off = OTHERS.map(|rule| (rule, "off"));
    let modes: Vec<_> = modes.iter().chain(&off).map(|(rule, mode)| format!("{rule}: {mode}")).collect();
    Arc::new(Rules::new(Settings::from_yaml(&format!("modes: {{{}}}", modes.join(", "))).unwrap()))
}

pub(super) fn known() -> Snapshot {
    let mut known = Snapshot { rules: rules(&[]), ..Snapshot::default() };
    let namespace = known.namespace_mut("sales");
    let by = Owner::new("CronJob", "load");
    namespace.owners =
        Arc::new([(Owner::new("Job", "load-7k2"), Owned { uid: JOB_UID.to_owned(), by })].into_iter().collect());
    let size = serde_json::from_value(json!({"memoryRequest": "1Gi", "memoryLimit": "1Gi"})).unwrap();
    let containers = [("main".to_owned(), size)].into_iter().collect();
    let recommended = Arc::new(Recommended { id: "r7".to_owned(), containers, ..Recommended::default() });
    Arc::make_mut(&mut namespace.recommendations).insert(Workload::new("sales", Kind::Cronjob, ["load"]), recommended);
    known
}

pub(super) fn replied(entry: Entry, request: Value, known: &Snapshot) -> (Value, Seen) {
    let reply = answer(entry, &body(request), known);
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let review: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((&review["apiVersion"], &review["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
    assert_eq!(review["response"]["uid"], UID);
    for line in warnings(&review["response"]) {
        assert!(line.chars().count() <= 120 && !line.contains(char::is_control), "{line:?}");
    }
    assert_eq!(review["response"].get("patch").is_some(), review["response"].get("patchType").is_some());
    (review["response"].clone(), reply.seen)
}

fn mutated(request: Value) -> (Value, Seen) {
    replied(Entry::Mutate, request, &known())
}

fn validated(request: Value) -> (Value, Seen) {
    replied(Entry::Validate, request, &known())
}

pub(super) fn warnings(response: &Value) -> Vec<&str> {
    response.get("warnings").and_then(Value::as_array).into_iter().flatten().map(|w| w.as_str().unwrap()).collect()
}

pub(super) fn ops(response: &Value) -> Vec<Op> {
    let patch = base64::engine::general_purpose::STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&patch).unwrap()
}

/// Nothing is said but that it may pass.
fn plainly_allowed() -> Value {
    json!({"uid": UID, "allowed": true})
}

#[test]
fn a_new_pod_of_a_cronjob_is_resized_although_it_has_no_name_and_its_namespace_is_only_in_the_request() {
    let (response, seen) = mutated(create(&pod()));
    assert_eq!((&response["allowed"], &response["patchType"]), (&json!(true), &json!("JSONPatch")));
    assert_eq!(warnings(&response), ["podfit: main: memory 4Gi → 1Gi; past runs of cronjob/load"]);
    assert_eq!(response["auditAnnotations"], json!({"resized": "main"}));
    let expected = Seen {
        uid: UID.to_owned(),
        namespace: "sales".to_owned(),
        workload: Some("cronjob/load".to_owned()),
        outcome: Outcome::Resized,
        findings: BTreeMap::new(),
    };
    assert_eq!(seen, expected);
}

#[test]
fn the_patch_applies_to_the_object_as_the_api_server_has_it() {
    let (before, (response, _)) = (pod(), mutated(create(&pod())));
    let mut after = before.clone();
    apply(&mut after, &ops(&response)).unwrap();
    let resources = json!({"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "1Gi"}});
    assert_eq!(after["spec"]["containers"][0]["resources"], resources);
    assert_eq!(after["metadata"]["managedFields"], before["metadata"]["managedFields"]);
    assert_eq!(after["spec"]["containers"][0]["futureField"], before["spec"]["containers"][0]["futureField"]);
    let again = mutated(create(&after)).0;
    assert_eq!(again.get("patch"), None, "its own answer needs no change");
}

#[test]
fn where_there_is_nothing_to_change_neither_patch_nor_patch_type_is_sent() {
    let mut bare = pod();
    bare["metadata"].as_object_mut().unwrap().remove("ownerReferences");
    assert_eq!(mutated(create(&bare)).0, plainly_allowed());
}

#[test]
fn a_dry_run_is_answered_as_the_real_one_would_be() {
    let dry = |request: Value| {
        let mut dry = request;
        dry["dryRun"] = json!(true);
        dry
    };
    assert_eq!(mutated(dry(create(&pod()))), mutated(create(&pod())));
    let mut bad = pod();
    image(&mut bad, "load:latest");
    assert_eq!(validated(dry(create(&bad))), validated(create(&bad)));
}

#[test]
fn an_owner_with_another_uid_is_not_believed_to_be_the_cronjobs_job() {
    let mut forged = pod();
    forged["metadata"]["ownerReferences"][0]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    let (response, seen) = mutated(create(&forged));
    assert_eq!(seen.workload.as_deref(), Some("job/load-7k2"));
    assert!(!ops(&response).iter().any(|op| op.path.contains("resources")), "{response:#}");
    assert!(warnings(&response).is_empty());
}

#[test]
fn a_recommendation_of_another_namespace_is_not_used_whatever_the_pod_says() {
    let mut elsewhere = pod();
    elsewhere["metadata"]["namespace"] = json!("sales");
    let request = request("CREATE", &elsewhere, &Value::Null, json!({"namespace": "other"}));
    let (response, seen) = mutated(request);
    assert_eq!((seen.namespace.as_str(), seen.outcome), ("other", Outcome::Allowed));
    assert!(warnings(&response).is_empty());
}

#[test]
fn while_resizing_is_stopped_nothing_is_patched_and_rules_hold_all_the_same() {
    let stopped = Snapshot { resizing_stopped: true, ..known() };
    let (response, seen) = replied(Entry::Mutate, create(&pod()), &stopped);
    assert_eq!((response, seen.outcome), (plainly_allowed(), Outcome::Skipped("stopped")));
    let mut bad = pod();
    image(&mut bad, "load:latest");
    let (response, seen) = replied(Entry::Validate, create(&bad), &stopped);
    assert_eq!((&response["allowed"], seen.outcome), (&json!(false), Outcome::Denied));
}

#[test]
fn where_bounds_are_not_known_a_pod_goes_as_it_came_and_its_author_is_told_why() {
    let mut unsure = known();
    let limit_ranges = crate::fit::LimitRanges::unknown("podfit may not list them");
    unsure.namespace_mut("sales").constraints =
        Arc::new(crate::fit::Constraints { limit_ranges, ..Default::default() });
    let (response, seen) = replied(Entry::Mutate, create(&pod()), &unsure);
    assert_eq!(seen.outcome, Outcome::Skipped("unreadable-limit-range"));
    assert!(!ops(&response).iter().any(|op| op.path.contains("resources")));
    let told = "podfit: main: not resized: a LimitRange of the namespace cannot be read: podfit may not list them";
    assert_eq!(warnings(&response), [told]);
}

#[test]
fn where_quotas_are_not_known_nothing_is_raised() {
    let mut unsure = known();
    let quotas = vec![crate::fit::Quota::unknown("podfit may not list them")];
    unsure.namespace_mut("sales").constraints = Arc::new(crate::fit::Constraints { quotas, ..Default::default() });
    let mut small = pod();
    small["spec"]["containers"][0]["resources"] =
        json!({"requests": {"memory": "512Mi"}, "limits": {"memory": "512Mi"}});
    let (response, _) = replied(Entry::Mutate, create(&small), &unsure);
    assert!(!ops(&response).iter().any(|op| op.path.contains("resources")), "{response:#}");
    let (response, _) = replied(Entry::Mutate, create(&pod()), &unsure);
    assert_eq!(warnings(&response), ["podfit: main: memory 4Gi → 1Gi; past runs of cronjob/load"], "less is less");
}

#[rstest]
#[case::latest("load:latest", "podfit: latest-tag: container main: image load:latest: pin a version or a digest")]
#[case::no_tag("load", "podfit: latest-tag: container main: image load has no tag (latest): pin a version or a digest")]
fn a_breach_is_denied_with_403_and_a_sentence_that_says_how_to_fix_it(#[case] written: &str, #[case] message: &str) {
    let mut bad = pod();
    image(&mut bad, written);
    let (response, seen) = validated(create(&bad));
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"], json!({"code": 403, "reason": "Forbidden", "message": message}));
    assert!(response.get("patch").is_none() && warnings(&response).is_empty());
    assert_eq!(response["auditAnnotations"].as_object().unwrap().keys().collect::<Vec<_>>(), ["latest-tag"]);
    assert_eq!((seen.outcome, seen.findings), (Outcome::Denied, [(("latest-tag", Mode::Enforce), 1)].into()));
}

#[test]
fn a_clean_pod_is_allowed_without_a_word() {
    assert_eq!(validated(create(&pod())).0, plainly_allowed());
}

#[test]
fn the_mutating_entry_never_denies() {
    let mut bad = pod();
    image(&mut bad, "load:latest");
    assert_eq!(mutated(create(&bad)).0["allowed"], true);
}

#[test]
fn an_update_that_leaves_an_old_breach_as_it_is_passes() {
    let mut old = pod();
    image(&mut old, "load:latest");
    let mut new = old.clone();
    new["metadata"]["finalizers"] = json!([]);
    new["metadata"]["deletionTimestamp"] = json!("2026-11-22T10:00:00Z");
    assert_eq!(validated(update(&old, &new)).0, plainly_allowed());
}

#[rstest]
#[case::of_a_clean_pod("load:1.4")]
#[case::of_one_that_had_another("other:latest")]
fn an_update_to_a_latest_image_is_denied(#[case] before: &str) {
    let (mut old, mut new) = (pod(), pod());
    image(&mut old, before);
    image(&mut new, "load:latest");
    new["metadata"]["deletionTimestamp"] = json!("2026-11-22T10:00:00Z");
    assert_eq!(validated(update(&old, &new)).0["status"]["code"], 403);
}

#[test]
fn an_update_whose_old_object_cannot_be_read_is_judged_as_if_all_were_new() {
    let mut new = pod();
    image(&mut new, "load:latest");
    for old in [Value::Null, json!({"spec": {"containers": 7}}), json!("x")] {
        assert_eq!(validated(update(&old, &new)).0["allowed"], false, "{old}");
    }
}

#[test]
fn an_ephemeral_container_that_runs_as_root_is_denied() {
    let (old, mut new) = (pod(), pod());
    let debug = json!({"name": "debug", "image": "tools:1", "securityContext": {"runAsUser": 0}});
    new["spec"]["ephemeralContainers"] = json!([debug]);
    let (response, _) = validated(sub(update(&old, &new), "ephemeralcontainers"));
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("podfit: run-as-root: container debug: runs as root"), "{message}");
}

#[test]
fn an_ephemeral_container_that_inherits_root_from_an_old_pod_is_denied() {
    let mut old = pod();
    old["spec"]["securityContext"] = json!({"runAsUser": 0});
    old["spec"]["containers"][0]["securityContext"] = json!({});
    let mut new = old.clone();
    new["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": "tools:1"}]);
    let (response, _) = validated(sub(update(&old, &new), "ephemeralcontainers"));
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("container debug: runs as root") && !message.contains("container main"), "{message}");
}

#[rstest]
#[case("resize")]
#[case("status")]
#[case("binding")]
fn other_subresources_pass_untouched(#[case] resource: &str) {
    let mut bad = pod();
    image(&mut bad, "load:latest");
    for entry in [Entry::Mutate, Entry::Validate] {
        assert_eq!(replied(entry, sub(update(&pod(), &bad), resource), &known()).0, plainly_allowed());
        assert_eq!(replied(entry, sub(create(&bad), resource), &known()).0, plainly_allowed());
    }
}

#[test]
fn what_is_deleted_or_connected_to_passes() {
    let mut bad = pod();
    image(&mut bad, "load:latest");
    let options = json!({"kind": "PodExecOptions", "apiVersion": "v1", "command": ["sh"]});
    for entry in [Entry::Mutate, Entry::Validate] {
        let deleted = request("DELETE", &Value::Null, &bad, json!({"name": "load-7k2-x"}));
        assert_eq!(replied(entry, deleted, &known()).0, plainly_allowed());
        let connected = sub(request("CONNECT", &options, &Value::Null, json!({})), "exec");
        assert_eq!(replied(entry, connected, &known()).0, plainly_allowed());
    }
}

#[test]
fn a_template_with_a_latest_image_passes_with_a_warning() {
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [
        {"name": "web", "image": "nginx:latest", "securityContext": {"runAsUser": 101}}]}});
    let deployment = json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "a"}, "spec": {"template": template}});
    let resource = json!({"resource": {"group": "apps", "version": "v1", "resource": "deployments"}});
    let (response, seen) = validated(request("CREATE", &deployment, &Value::Null, resource.clone()));
    assert_eq!(response["allowed"], true);
    assert_eq!(warnings(&response), ["podfit: container web: image nginx:latest: pin a version or a digest"]);
    assert_eq!(seen.findings, [(("latest-tag", Mode::Warn), 1)].into());
    assert_eq!(mutated(request("CREATE", &deployment, &Value::Null, resource)).0, plainly_allowed());
}

#[rstest]
#[case::kubelet("system:node:worker-1", "system:nodes", true)]
#[case::user("jane", "system:authenticated", false)]
#[case::a_name_alone("system:node:worker-1", "system:authenticated", false)]
#[case::a_group_alone("jane", "system:nodes", false)]
fn a_mirror_pod_is_believed_of_a_kubelet_alone(#[case] user: &str, #[case] group: &str, #[case] allowed: bool) {
    let mut mirror = pod();
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "5f3a"});
    image(&mut mirror, "load:latest");
    let who = json!({"userInfo": {"username": user, "groups": [group]}});
    let (response, seen) = validated(request("CREATE", &mirror, &Value::Null, who.clone()));
    assert_eq!(response["allowed"], allowed);
    let mode = if allowed { Mode::Audit } else { Mode::Enforce };
    assert_eq!(seen.findings, [(("latest-tag", mode), 1)].into());
    let (response, seen) = mutated(request("CREATE", &mirror, &Value::Null, who));
    assert_eq!((response.get("patch"), seen.outcome), (None, Outcome::Skipped("mirror-pod")));
}

#[rstest]
#[case::no_containers(json!({"kind": "Pod", "metadata": {}, "spec": {"containers": {"a": 1}}}))]
#[case::no_spec(json!({"kind": "Pod", "metadata": {}}))]
#[case::no_kind(json!({"metadata": {}, "spec": {"containers": [7]}}))]
#[case::no_object(json!(null))]
#[case::a_text(json!("pod"))]
fn an_object_that_cannot_be_read_passes_the_mutating_entry_and_is_turned_away_where_a_rule_enforces(
    #[case] object: Value,
) {
    let (response, seen) = mutated(create(&object));
    assert_eq!((&response["allowed"], response.get("patch")), (&json!(true), None));
    assert!(warnings(&response)[0].starts_with("podfit: not resized: "), "{response}");
    assert_eq!(seen.outcome, Outcome::Failed("unreadable-object"));
    let (response, seen) = validated(create(&object));
    assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(403)));
    let said = response["status"]["message"].as_str().unwrap();
    let begin = "podfit: the pod cannot be judged, and latest-tag, run-as-root hold in this namespace: ";
    assert!(said.starts_with(begin) && !said.contains(char::is_control), "{said:?}");
    assert_eq!(seen.outcome, Outcome::Failed("unreadable-object"));
    let mut soft = known();
    soft.rules = rules(&[("latest-tag", "warn"), ("run-as-root", "audit")]);
    let (response, _) = replied(Entry::Validate, create(&object), &soft);
    assert_eq!(response["allowed"], true, "nothing enforces");
    assert!(warnings(&response)[0].starts_with("podfit: not judged: "), "{response}");
}

/// What its author decides must not be a way past a rule.
#[rstest]
#[case::findings(json!((0..300).map(|n| json!({"name": format!("c{n}"), "image": "ok/agent"})).chain([
    json!({"name": "last", "image": "evil:latest"})]).collect::<Vec<_>>()))]
#[case::values(json!([{"name": "a", "image": "a:1", "new": vec![json!({}); 50_000]}]))]
fn a_pod_that_is_too_much_to_judge_is_turned_away_where_a_rule_enforces(#[case] containers: Value) {
    let mut much = pod();
    much["spec"]["containers"] = containers;
    let mut exempt = known();
    let settings = "modes: {run-as-root: warn, unproven-non-root: off, missing-resources: off}\nexemptions: \
        [{reason: r, rules: [latest-tag], namespaces: [sales], images: [ok/agent]}]";
    exempt.rules = Arc::new(Rules::new(Settings::from_yaml(settings).unwrap()));
    let (response, _) = replied(Entry::Validate, create(&much), &exempt);
    let said = response["status"]["message"].as_str().unwrap();
    assert!(said.starts_with("podfit: the pod cannot be judged, and latest-tag holds in this namespace: "), "{said}");
    // One that is there loses its finalizers all the same.
    let mut going = much.clone();
    going["metadata"]["finalizers"] = json!([]);
    assert_eq!(replied(Entry::Validate, update(&much, &going), &exempt).0, plainly_allowed());
    exempt.rules = rules(&[("latest-tag", "warn"), ("run-as-root", "warn"), ("unproven-non-root", "warn")]);
    assert_eq!(replied(Entry::Validate, create(&much), &exempt).0["allowed"], true);
}

#[test]
fn findings_that_are_not_written_down_are_counted() {
    let mut many = pod();
    many["spec"]["containers"] = (0..2_000).map(|n| json!({"name": format!("c{n}"), "image": "a:latest"})).collect();
    let (response, seen) = validated(create(&many));
    assert_eq!((&response["allowed"], seen.outcome), (&json!(false), Outcome::Denied));
    assert_eq!(seen.findings[&("latest-tag", Mode::Enforce)], 2_000);
    assert!(response.to_string().len() < 20_000);
}

#[test]
fn a_pod_is_judged_as_one_whatever_kind_it_says_it_is() {
    let mut bad = pod();
    image(&mut bad, "load:latest");
    for kind in [json!(null), json!("ConfigMap"), json!(7)] {
        bad["kind"] = kind;
        assert_eq!(validated(create(&bad)).0["allowed"], false);
    }
}

#[rstest]
#[case::other_version(json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1", "request": create(&pod())}))]
#[case::other_kind(json!({"kind": "ConversionReview", "apiVersion": "admission.k8s.io/v1", "request": create(&pod())}))]
#[case::an_answer(json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": {"uid": "x"}}))]
#[case::no_uid(json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "", "operation": "CREATE"}}))]
#[case::an_unknown_operation(json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "x", "operation": "PATCH"}}))]
#[case::a_list(json!([]))]
fn what_is_no_review_is_answered_with_400_and_one_line(#[case] body: Value) {
    for entry in [Entry::Mutate, Entry::Validate] {
        let reply = answer(entry, body.to_string().as_bytes(), &known());
        assert_eq!((reply.status, reply.seen.outcome), (400, Outcome::Failed("bad-review")));
        let text = String::from_utf8(reply.body).unwrap();
        assert!(text.starts_with("podfit: ") && text.lines().count() == 1 && !text.contains("load"), "{text:?}");
    }
}

#[test]
fn a_uid_with_escapes_is_echoed_as_it_was_meant() {
    let text = String::from_utf8(body(create(&pod()))).unwrap().replace(UID, "a\\u0062\\\"\\n\\u00e9/c");
    let reply = answer(Entry::Mutate, text.as_bytes(), &known());
    let review: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(review["response"]["uid"], "ab\"\n\u{e9}/c");
    let passed = undecided(Entry::Mutate, text.as_bytes(), &known(), "no time").unwrap();
    let passed: Value = serde_json::from_slice(&passed).unwrap();
    assert_eq!(passed["response"]["uid"], "ab\"\n\u{e9}/c");
    assert_eq!(warnings(&passed["response"]), ["podfit: not resized: no time"]);
    assert_eq!(undecided(Entry::Mutate, b"{}", &known(), "no time"), None);
}

/// The order in which Go writes the fields; the objects may be cut off.
#[rstest]
#[case::pods("pods", "", "CREATE", "jane", false)]
#[case::ephemeral_containers("pods", "ephemeralcontainers", "UPDATE", "jane", false)]
#[case::sizes("pods", "resize", "UPDATE", "jane", true)]
#[case::templates("jobs", "", "CREATE", "jane", true)]
#[case::deletions("pods", "", "DELETE", "jane", true)]
#[case::kubelets("pods", "", "CREATE", "system:node:a", true)]
fn a_review_whose_end_is_missing_is_answered_by_its_beginning(
    #[case] resource: &str,
    #[case] sub: &str,
    #[case] operation: &str,
    #[case] user: &str,
    #[case] allowed: bool,
) {
    let text = format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u7","kind":{{"kind":"Pod"}},
        "resource":{{"group":"","version":"v1","resource":"{resource}"}},"subResource":"{sub}","name":"x",
        "namespace":"sales","operation":"{operation}","userInfo":{{"username":"{user}","groups":["system:nodes"]}},
        "object":{{"kind":"Pod","metadata":{{"annotations":{{"a":"xxxxxxxxxx"#
    );
    let answered = |entry| {
        let answer = undecided(entry, text.as_bytes(), &known(), "too large").unwrap();
        serde_json::from_slice::<Value>(&answer).unwrap()["response"].clone()
    };
    let judged = answered(Entry::Validate);
    assert_eq!((&judged["uid"], &judged["allowed"]), (&json!("u7"), &json!(allowed)));
    assert_eq!(answered(Entry::Mutate)["allowed"], true);
    assert_eq!(undecided(Entry::Validate, &text.as_bytes()[..80], &known(), "too large"), None, "no uid yet");
}

#[test]
fn what_a_pod_says_of_itself_cannot_break_a_line_or_fill_the_answer() {
    let mut odd = pod();
    image(&mut odd, &format!("evil\r\n{}:latest", "x".repeat(5000)));
    odd["spec"]["containers"][0]["name"] = json!(format!("a\nb{}", "n".repeat(5000)));
    let (response, _) = validated(create(&odd));
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.chars().count() <= 1000 && !message.contains(char::is_control), "{message:?}");
    let mut warning = known();
    warning.rules = rules(&[("latest-tag", "warn")]);
    assert_eq!(warnings(&replied(Entry::Validate, create(&odd), &warning).0).len(), 1);
}

#[test]
fn no_more_warnings_are_sent_than_the_api_server_passes_on() {
    let containers: Vec<_> =
        (0..30).map(|n| json!({"name": format!("c{n}"), "image": "a", "securityContext": {"runAsUser": 5}})).collect();
    let mut many = pod();
    many["spec"]["containers"] = json!(containers);
    let mut soft = known();
    soft.rules = rules(&["latest-tag", "run-as-root", "unproven-non-root", "root-group"].map(|rule| (rule, "warn")));
    let response = replied(Entry::Validate, create(&many), &soft).0;
    assert_eq!((warnings(&response).len(), warnings(&response)[9]), (10, "podfit: and 21 more warnings"));
}

#[test]
fn a_pod_that_is_told_apart_by_its_size_is_still_the_same_after_a_resize() {
    let mut executor = pod();
    executor["metadata"] = json!({"name": "daily-exec-1", "labels": {
        "spark-role": "executor", "spark-app-name": "daily", "spark-exec-resourceprofile-id": "5"}});
    executor["spec"]["containers"][0]["name"] = json!("spark-kubernetes-executor");
    let mut known = Snapshot::default();
    let size =
        serde_json::from_value(json!({"cpuRequest": "3", "memoryRequest": "6Gi", "memoryLimit": "6Gi"})).unwrap();
    let containers = [("spark-kubernetes-executor".to_owned(), size)].into_iter().collect();
    let workload = Workload::new("sales", Kind::SparkExecutor, ["daily", "profile-2000m-4096Mi"]);
    let recommended = Arc::new(Recommended { id: "r7".to_owned(), containers, ..Recommended::default() });
    Arc::make_mut(&mut known.namespace_mut("sales").recommendations).insert(workload, recommended);

    let (response, first) = replied(Entry::Mutate, create(&executor), &known);
    assert_eq!(first.outcome, Outcome::Resized);
    let mut resized = executor.clone();
    apply(&mut resized, &ops(&response)).unwrap();
    let (response, second) = replied(Entry::Mutate, create(&resized), &known);
    assert_eq!((second.workload, response.get("patch")), (first.workload, None));

    // A record that does not say what the pod has counts for nothing.
    resized["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("1");
    let (_, other) = replied(Entry::Mutate, create(&resized), &known);
    assert_eq!(other.workload.as_deref(), Some("spark-executor/daily/profile-1000m-6144Mi"));
}
