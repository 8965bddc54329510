//! Reviews of admission: whatever comes, the answer is one that an API server takes; sizing never denies, its patch
//! applies, touches sizes and podfit's own marks alone, and leaves nothing to do for a second turn.
//! Knows nothing of where the bytes come from.

use std::sync::{Arc, LazyLock};

use base64::Engine;
use podfit::admission::object::read_object;
use podfit::admission::review::Review;
use podfit::admission::{Entry, Op, Outcome, Recommended, Reply, Rules, Snapshot, answer, apply, undecided};
use podfit::fit::{Allocatable, Constraints, ContainerResources, LimitRanges, Quota};
use podfit::policy::{PodSpec, Settings};
use podfit::workload::{IdentityRules, identify, pod_facts};
use serde_json::{Value, json};

/// The first byte chooses what is known of the namespace; the second: `b` and the rest is a whole body, else it is the
/// object of a review that is made here.
pub fn run(data: &[u8]) {
    let Some(([seed, how], rest)) = data.split_first_chunk::<2>() else { return };
    if *how == b'b' {
        return body(rest, *seed);
    }
    let Ok(object) = std::str::from_utf8(rest) else { return };
    if serde_json::from_str::<&serde_json::value::RawValue>(object).is_ok() {
        body(asked(object, "CREATE").as_bytes(), *seed);
        body(asked(object, "UPDATE").as_bytes(), *seed);
    }
}

fn asked(object: &str, operation: &str) -> String {
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u-1","namespace":"jobs",
        "resource":{{"group":"","version":"v1","resource":"pods"}},"operation":"{operation}",
        "userInfo":{{"username":"system:serviceaccount:kube-system:job-controller"}},"object":{object}}}}}"#
    )
}

fn body(body: &[u8], seed: u8) {
    let review = Review::read(body).ok();
    let object = review.as_ref().and_then(|review| read_object(review.object?).ok());
    let namespace = review.as_ref().map_or("", |review| review.namespace.as_ref());
    let known = knowledge(object.as_ref(), namespace, seed);
    let uid = review.as_ref().map(|review| review.uid.as_ref());

    // The head alone is looked at, so that what is no review after all may be answered too.
    for (entry, beginning) in
        [(Entry::Mutate, body), (Entry::Validate, body), (Entry::Validate, &body[..body.len() / 2])]
    {
        let answered = undecided(entry, beginning, &known, "busy");
        assert!(answered.is_some() || uid.is_none() || beginning.len() < body.len());
        if let (Some(uid), Some(answered), true) = (uid, answered, beginning.len() == body.len()) {
            assert!(response(&answered, uid)["allowed"] == true || entry == Entry::Validate);
        }
    }

    let validated = answer(Entry::Validate, body, &known);
    if let Some(response) = checked(&validated, uid) {
        assert!(response.get("patch").is_none(), "rules change nothing");
        match validated.seen.outcome {
            Outcome::Denied => assert_eq!(response["allowed"], false),
            // What cannot be judged is turned away where a rule enforces.
            Outcome::Failed(_) => {}
            _ => assert_eq!(response["allowed"], true),
        }
    }

    let mutated = answer(Entry::Mutate, body, &known);
    let Some(response) = checked(&mutated, uid) else { return };
    assert_eq!(response["allowed"], true, "sizing never denies");
    if let (Some(patch), Some(mut object)) = (response.get("patch"), object) {
        let before = object.clone();
        patched(patch, &mut object);
        assert!(object != before, "a patch changes something");
        // Where it comes a second time, as after another webhook, nothing is left to do.
        let known = knowledge(Some(&before), namespace, seed);
        let again = answer(Entry::Mutate, second(&object, namespace).as_bytes(), &known);
        let again = checked(&again, Some("u-2")).unwrap();
        assert!(again.get("patch").is_none(), "once {before} twice {object} then {again}");
    }
}

fn second(object: &Value, namespace: &str) -> String {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u-2",
        "namespace": namespace, "resource": {"group": "", "version": "v1", "resource": "pods"}, "operation": "CREATE",
        "object": object}})
    .to_string()
}

/// What holds for every reply; the response, where it has one.
fn checked(reply: &Reply, uid: Option<&str>) -> Option<Value> {
    if reply.status != 200 {
        assert_eq!(reply.status, 400);
        let line = std::str::from_utf8(&reply.body).unwrap().strip_suffix('\n').unwrap();
        assert!(!line.contains(char::is_control) && line.chars().count() < 500, "{line:?}");
        return None;
    }
    Some(response(&reply.body, uid.unwrap()))
}

fn response(body: &[u8], uid: &str) -> Value {
    let mut review: Value = serde_json::from_slice(body).unwrap();
    assert_eq!((&review["apiVersion"], &review["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
    let response = review["response"].take();
    assert_eq!(response["uid"], uid);
    for line in response.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        let line = line.as_str().unwrap();
        assert!(line.chars().count() <= 120 && !line.contains(char::is_control), "{line:?}");
    }
    for (key, note) in response.get("auditAnnotations").and_then(Value::as_object).into_iter().flatten() {
        let note = note.as_str().unwrap();
        assert!(!key.contains('/') && !note.contains(char::is_control) && note.len() < 8192, "{key}: {note:?}");
    }
    if response["allowed"] == false {
        let said = response["status"]["message"].as_str().unwrap();
        assert!(!said.is_empty() && !said.contains(char::is_control), "{said:?}");
    }
    assert_eq!(response.get("patch").is_some(), response.get("patchType").is_some());
    response
}

fn patched(patch: &Value, object: &mut Value) {
    let patch = base64::engine::general_purpose::STANDARD.decode(patch.as_str().unwrap()).unwrap();
    let ops: Vec<Op> = serde_json::from_slice(&patch).unwrap();
    assert!(!ops.is_empty());
    for op in &ops {
        let mut parts = op.path.split('/').skip(1);
        let own = match (parts.next(), parts.next()) {
            (Some("spec"), Some("containers" | "initContainers")) => parts.nth(1) == Some("resources"),
            (Some("metadata"), Some("labels" | "annotations")) => parts
                .next()
                .map_or(op.value.as_object().is_some_and(|o| o.keys().all(|k| k.starts_with("podfit.dev/"))), |key| {
                    key.starts_with("podfit.dev~1")
                }),
            (Some("metadata"), None) => true,
            _ => false,
        };
        assert!(own, "{}", op.path);
    }
    apply(object, &ops).unwrap();
}

static SIZES: LazyLock<Vec<ContainerResources>> = LazyLock::new(|| {
    serde_json::from_value(json!([
        {"cpuRequest": "500m", "memoryRequest": "1536Mi", "memoryLimit": "1536Mi"},
        {"memoryRequest": "64Mi"},
        {"cpuRequest": "3", "cpuLimit": "4", "memoryRequest": "20Gi", "memoryLimit": "32Gi"},
        {"cpuRequest": "1m", "memoryLimit": "1"},
        {"cpuRequest": "10u", "memoryRequest": "9223372036854775807", "memoryLimit": "9E"},
    ]))
    .unwrap()
});

static SURROUNDINGS: LazyLock<Vec<Arc<Constraints>>> = LazyLock::new(|| {
    let ranges = LimitRanges::of_objects(&[json!({"spec": {"limits": [
        {"type": "Container", "min": {"cpu": "100m", "memory": "128Mi"}, "max": {"cpu": "2", "memory": "4Gi"},
         "default": {"cpu": "1", "memory": "1Gi"}, "maxLimitRequestRatio": {"memory": "2"}},
        {"type": "Pod", "max": {"cpu": "3", "memory": "6Gi"}}]}})]);
    let quota = Quota::of_object(&json!({"metadata": {"name": "team"}, "spec": {"hard": {"requests.cpu": "10", "limits.memory": "8Gi",
        "requests.memory": "8Gi"}}, "status": {"hard": {"requests.cpu": "10", "limits.memory": "8Gi", "requests.memory": "8Gi"},
        "used": {"requests.cpu": "9", "limits.memory": "5Gi", "requests.memory": "1Gi"}}}))
    .unwrap();
    let node = Allocatable { cpu: "4".parse().ok(), memory: "16Gi".parse().ok() };
    let bounded = Constraints { limit_ranges: ranges, quotas: vec![quota.clone()], ..Constraints::default() };
    [
        Constraints::default(),
        bounded.clone(),
        Constraints { quotas: vec![quota], ..Constraints::default() }.with_largest_node(node),
        bounded.with_largest_node(node),
    ]
    .map(Arc::new)
    .to_vec()
});

static RULES: LazyLock<Vec<Arc<Rules>>> = LazyLock::new(|| {
    [
        "{}",
        "modes: {latest-tag: enforce, run-as-root: enforce, hardcoded-credential: enforce, missing-resources: enforce}",
        "modes: {latest-tag: warn, run-as-root: warn, unproven-non-root: warn, root-group: warn, hardcoded-credential: warn,
                 missing-resources: warn, default-service-account: warn, host-path-data: warn}",
    ]
    .map(|settings| Arc::new(Rules::new(Settings::from_yaml(settings).unwrap())))
    .to_vec()
});

/// A recommendation for every container of the very pod, so that there is always something to decide.
fn knowledge(object: Option<&Value>, namespace: &str, seed: u8) -> Snapshot {
    let seed = usize::from(seed);
    let mut known = Snapshot { rules: Arc::clone(&RULES[seed % RULES.len()]), ..Snapshot::default() };
    let here = known.namespace_mut(namespace);
    here.constraints = Arc::clone(&SURROUNDINGS[seed / 3 % SURROUNDINGS.len()]);
    let identity = object.and_then(|object| {
        let mut facts = pod_facts(object, namespace).ok()?;
        namespace.clone_into(&mut facts.namespace);
        identify(&facts, &IdentityRules::default()).ok()
    });
    let pod = object.and_then(|object| PodSpec::of_pod(object).ok());
    if let (Some(identity), Some(pod)) = (identity, pod) {
        let size = |at: usize| SIZES[(seed / 12 + at) % SIZES.len()];
        let containers =
            pod.containers().enumerate().map(|(at, container)| (container.name.to_owned(), size(at))).collect();
        let recommended = Arc::new(Recommended { id: "r1".to_owned(), containers, ..Recommended::default() });
        Arc::make_mut(&mut here.recommendations).insert(identity.workload, recommended);
    }
    known
}
