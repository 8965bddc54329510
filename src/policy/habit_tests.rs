//! `missing-resources`, `default-service-account` and `host-path-data` on pods, as tables.
#![allow(clippy::needless_pass_by_value)] // rstest hands its cases over

use rstest::rstest;
use serde_json::{Value, json};

use super::tests::found;
use super::*;

fn only(rule: &str, pod: &Value) -> Vec<Finding> {
    let mut modes = Modes::all(Mode::Off);
    modes.set(rule, Mode::Enforce).unwrap();
    check(&PodSpec::of_pod(pod).unwrap(), &modes, &Options::default())
}

/// Resources of the container, of the pod, what is missing.
#[rstest]
#[case::nothing(json!(null), json!(null), "cpu request, memory request or memory limit")]
#[case::empty(json!({"requests": {}, "limits": null}), json!(null), "cpu request, memory request or memory limit")]
#[case::whole(json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}), json!(null), "")]
#[case::no_limit(json!({"requests": {"cpu": "1", "memory": "1Gi"}}), json!(null), "memory limit")]
#[case::no_cpu(json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}}), json!(null), "cpu request")]
#[case::limits_become_requests(json!({"limits": {"cpu": "1", "memory": "1Gi"}}), json!(null), "")]
#[case::cpu_limit_is_not_asked_for(json!({"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}), json!(null), "")]
#[case::other_resources(json!({"limits": {"nvidia.com/gpu": 1}}), json!(null),
    "cpu request, memory request or memory limit")]
#[case::null_value(json!({"requests": {"cpu": null, "memory": "1Gi"}, "limits": {"memory": "1Gi"}}), json!(null),
    "cpu request")]
#[case::of_the_pod(json!(null), json!({"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "4Gi"}}), "")]
#[case::half_of_the_pod(json!(null), json!({"requests": {"cpu": "2", "memory": "4Gi"}}), "memory limit")]
#[case::together(json!({"limits": {"memory": "1Gi"}}), json!({"requests": {"cpu": "2"}}), "")]
fn resources(#[case] container: Value, #[case] pod: Value, #[case] missing: &str) {
    for (field, extra) in [("containers", None), ("initContainers", None), ("initContainers", Some("Always"))] {
        let pod = json!({"spec": {"resources": pod,
            field: [{"name": "a", "resources": container, "restartPolicy": extra}]}});
        let findings = only("missing-resources", &pod);
        let expected = (!missing.is_empty()).then(|| format!("container a: no {missing}: set it in resources"));
        assert_eq!(findings.iter().map(|f| f.message.clone()).collect::<Vec<_>>(), Vec::from_iter(expected), "{field}");
    }
    let ephemeral = json!({"ephemeralContainers": [{"name": "a", "resources": container}]});
    assert!(found(&ephemeral, "missing-resources", Options::default()).is_empty());
}

/// What a LimitRange filled in is there, and is not the author's.
#[rstest]
#[case(
    "cpu, memory request for container a; memory limit for container a",
    "cpu request, memory request and memory limit"
)]
#[case("cpu request for container a; cpu, memory limit for container a", "cpu request and memory limit")]
#[case("cpu limit for container a", "")]
#[case("memory limit for container b", "")]
#[case("memory limit for init container a", "")]
#[case("ephemeral-storage request for container a; memory request for container a", "memory request")]
fn defaults_of_the_namespace(#[case] note: &str, #[case] said: &str) {
    let pod = |resources: Value| {
        json!({
            "metadata": {"annotations": {"kubernetes.io/limit-ranger": format!("LimitRanger plugin set: {note}")}},
            "spec": {"containers": [{"name": "a", "resources": resources}]},
        })
    };
    let whole = pod(json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}));
    let findings = only("missing-resources", &whole);
    let expected =
        (!said.is_empty()).then(|| format!("container a: {said} from the namespace's defaults: set its own"));
    assert_eq!(findings.iter().map(|f| f.message.clone()).collect::<Vec<_>>(), Vec::from_iter(expected));
    assert!(findings.iter().all(|f| f.severity == Severity::Remark && f.mode == Mode::Warn));
    // A forged note makes nothing better.
    assert_eq!(only("missing-resources", &pod(json!({}))).iter().map(|f| f.reason).collect::<Vec<_>>(), ["missing"]);
}

#[rstest]
#[case(json!({}), Some(("unnamed", "/spec/serviceAccountName")))]
#[case(json!({"serviceAccountName": ""}), Some(("unnamed", "/spec/serviceAccountName")))]
#[case(json!({"serviceAccountName": "default"}), Some(("default", "/spec/serviceAccountName")))]
#[case(json!({"serviceAccount": "default"}), Some(("default", "/spec/serviceAccount")))]
#[case(json!({"serviceAccountName": "spark"}), None)]
#[case(json!({"serviceAccount": "spark"}), None)]
#[case(json!({"serviceAccountName": "", "serviceAccount": "spark"}), None)]
#[case(json!({"serviceAccountName": "default", "serviceAccount": "spark"}), Some(("default", "/spec/serviceAccountName")))]
#[case(json!({"automountServiceAccountToken": false}), None)]
#[case(json!({"serviceAccountName": "default", "automountServiceAccountToken": false}), None)]
#[case(json!({"automountServiceAccountToken": true}), Some(("unnamed", "/spec/serviceAccountName")))]
#[case(json!({"automountServiceAccountToken": false,
    "volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}),
    Some(("unnamed", "/spec/serviceAccountName")))]
#[case(json!({"automountServiceAccountToken": false,
    "volumes": [{"name": "t", "projected": {"sources": [{"configMap": {"name": "t"}}]}}]}), None)]
fn service_accounts(#[case] spec: Value, #[case] expected: Option<(&str, &str)>) {
    let findings = only("default-service-account", &json!({"spec": spec}));
    let seen: Vec<_> = findings.iter().map(|f| (f.reason, f.path.as_str())).collect();
    assert_eq!(seen, Vec::from_iter(expected));
}

/// The volume's source, its mounts in a container, what is found.
#[rstest]
#[case(json!({"hostPath": {"path": "/data"}}), json!([{"name": "v", "mountPath": "/d"}]), &["a:writable"])]
#[case(json!({"hostPath": {"path": "/data"}}), json!([{"name": "v", "mountPath": "/d", "readOnly": false}]), &["a:writable"])]
#[case(json!({"hostPath": {"path": "/data"}}), json!([{"name": "v", "mountPath": "/d", "readOnly": true}]), &["a:read-only"])]
#[case(json!({"hostPath": {"path": "/data"}}),
    json!([{"name": "v", "mountPath": "/d", "readOnly": true}, {"name": "v", "mountPath": "/e"}]), &["a:writable"])]
#[case(json!({"hostPath": {"path": "/data"}}), json!([{"name": "other", "mountPath": "/d"}]), &[])]
#[case(json!({"hostPath": {"path": "/data"}}), json!(null), &[])]
#[case(json!({"hostPath": {"path": "/etc/localtime"}}), json!([{"name": "v", "mountPath": "/etc/localtime", "readOnly": true}]), &[])]
#[case(json!({"hostPath": {"path": "/etc/localtime"}}), json!([{"name": "v", "mountPath": "/etc/localtime"}]), &["a:writable"])]
#[case(json!({"hostPath": {"path": "/etc/localtime/.."}}), json!([{"name": "v", "mountPath": "/x", "readOnly": true}]), &["a:read-only"])]
#[case(json!({"hostPath": {}}), json!([{"name": "v", "mountPath": "/x"}]), &["a:writable"])]
#[case(json!({"hostPath": null, "emptyDir": {}}), json!([{"name": "v", "mountPath": "/x"}]), &[])]
#[case(json!({"persistentVolumeClaim": {"claimName": "c"}}), json!([{"name": "v", "mountPath": "/x"}]), &[])]
#[case(json!({"hostPath": {"path": "/var/run/docker.sock", "type": "Socket"}}), json!([{"name": "v", "mountPath": "/s"}]), &["a:writable"])]
fn host_paths(#[case] source: Value, #[case] mounts: Value, #[case] expected: &[&str]) {
    let mut volume = source;
    volume["name"] = json!("v");
    for field in ["containers", "initContainers", "ephemeralContainers"] {
        let spec = json!({"volumes": [volume], field: [{"name": "a", "volumeMounts": mounts}, {"name": "b"}]});
        assert_eq!(found(&spec, "host-path-data", Options::default()), expected, "{field}");
        let findings = only("host-path-data", &json!({"spec": spec}));
        assert!(findings.iter().all(|f| json!({"spec": spec}).pointer(&f.path).is_some()), "{findings:?}");
    }
}

#[test]
fn messages_fit_whatever_the_names() {
    let long = "n".repeat(200);
    let pod = json!({"spec": {
        "volumes": [{"name": long, "hostPath": {"path": "/x"}}],
        "containers": [{"name": long, "volumeMounts": [{"name": long, "mountPath": "/x"}]},
            {"name": "b", "volumeMounts": [{"name": long, "mountPath": "/x", "readOnly": true}]}],
    }});
    for rule in ["missing-resources", "default-service-account", "host-path-data"] {
        let findings = only(rule, &pod);
        assert!(!findings.is_empty(), "{rule}");
        for finding in findings {
            assert!(finding.message.chars().count() <= text::MESSAGE_CHARS, "{}", finding.message);
            assert!(!finding.message.ends_with('…'), "{}", finding.message);
            assert!(finding.message.contains(": set ") || finding.message.contains(": use "), "{}", finding.message);
        }
    }
}
