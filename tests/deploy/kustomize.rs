//! The Kustomize base says what the chart says, and the example builds on it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::staged::{Staged, called, documents, find};

/// Labels and annotations that only Helm knows, of everything that has metadata.
fn without_helm(object: &mut Value) {
    match object {
        Value::Object(map) => {
            if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
                for place in ["labels", "annotations"] {
                    let Some(Value::Object(pairs)) = metadata.get_mut(place) else { continue };
                    let helm = ["app.kubernetes.io/managed-by", "app.kubernetes.io/version"];
                    pairs.retain(|key, _| !key.starts_with("helm.sh/") && !helm.contains(&key.as_str()));
                    if pairs.is_empty() {
                        metadata.remove(place);
                    }
                }
            }
            map.values_mut().for_each(without_helm);
        }
        Value::Array(items) => items.iter_mut().for_each(without_helm),
        _ => {}
    }
}

fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    objects
        .into_iter()
        .map(|mut object| {
            without_helm(&mut object);
            (called(&object), object)
        })
        .collect()
}

#[test]
fn the_base_and_the_chart_install_the_same() {
    let Some(staged) = Staged::new("the_base_and_the_chart_install_the_same") else { return };
    let values = ["prometheus.url=http://prometheus.monitoring:9090", "crds.install=false"];
    let mut chart = by_name(staged.template(&values));
    let mut base = by_name(documents(&staged.must("kubectl", None, &["kustomize", "deploy/kustomize/base"])));
    // The policy is made once and by itself; to begin with it is the chart's.
    let mut policy = by_name(documents(&std::fs::read_to_string(staged.path("deploy/policy.yaml")).unwrap()));
    let mut of_chart = chart.remove("RightsizingPolicy/default").unwrap();
    let skipped = of_chart["metadata"].as_object_mut().unwrap().remove("annotations").unwrap();
    assert_eq!(skipped, json!({"argocd.argoproj.io/hook": "Skip"}));
    assert_eq!(policy.remove("RightsizingPolicy/default"), Some(of_chart));
    // Helm makes the namespace itself.
    let namespace = base.remove("Namespace/podfit").unwrap();
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    assert_eq!(chart.keys().collect::<Vec<_>>(), base.keys().collect::<Vec<_>>());
    for (name, object) in &chart {
        assert_eq!(object, &base[name], "{name}: the chart's first, then the base's");
    }
}

#[test]
fn the_definitions_are_the_same_and_apart_from_the_base() {
    let Some(staged) = Staged::new("the_definitions_are_the_same_and_apart_from_the_base") else { return };
    let of_kustomize = documents(&staged.must("kubectl", None, &["kustomize", "deploy/crds"]));
    let is_definition = |o: &Value| o["kind"] == "CustomResourceDefinition";
    let mut kept: Vec<Value> = staged.template(&[]).into_iter().filter(is_definition).collect();
    assert_eq!(kept.len(), 2);
    for definition in &kept {
        assert_eq!(definition["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    }
    kept.iter_mut().for_each(without_helm);
    let expected: BTreeMap<_, _> = of_kustomize.into_iter().map(|o| (called(&o), o)).collect();
    assert_eq!(kept.into_iter().map(|o| (called(&o), o)).collect::<BTreeMap<_, _>>(), expected);
    // Who asks for it gets them deleted with the release.
    let deleted: Vec<Value> = staged.template(&["crds.keep=false"]).into_iter().filter(is_definition).collect();
    assert!(deleted.iter().all(|d| d["metadata"]["annotations"].get("helm.sh/resource-policy").is_none()));
    let base = documents(&staged.must("kubectl", None, &["kustomize", "deploy/kustomize/base"]));
    assert!(!base.iter().any(is_definition), "deleting the base would delete every recommendation");
}

#[test]
fn the_example_changes_what_it_says() {
    let Some(staged) = Staged::new("the_example_changes_what_it_says") else { return };
    let objects = documents(&staged.must("kubectl", None, &["kustomize", "deploy/kustomize/overlays/canary"]));
    let pods = [
        &find(&objects, "Deployment/podfit")["spec"]["template"]["spec"],
        &find(&objects, "CronJob/podfit-report")["spec"]["jobTemplate"]["spec"]["template"]["spec"],
    ];
    for pod in pods {
        let container = &pod["containers"][0];
        assert_eq!(container["image"], "registry.example/data/podfit:0.1.0");
        let env = container["env"].as_array().unwrap();
        let url = env.iter().find(|e| e["name"] == "PODFIT_PROMETHEUS_URL").unwrap();
        assert_eq!(url["value"], "https://thanos-query.monitoring:10902");
    }
    assert!(
        objects.iter().all(|object| object["kind"] != "RightsizingPolicy"),
        "applied again, it would undo decisions"
    );
    let policy = std::fs::read_to_string(staged.path("deploy/kustomize/overlays/canary/policy.yaml")).unwrap();
    let policy = &documents(&policy)[0];
    assert_eq!(podfit::controller::watch::policy_of(policy).unwrap().rollout.namespaces[0].canary_percent, Some(10));
    for name in ["NetworkPolicy/podfit", "NetworkPolicy/podfit-report"] {
        let ports = find(&objects, name)["spec"]["egress"][1]["ports"].as_array().unwrap();
        assert!(ports.contains(&json!({"protocol": "TCP", "port": 10902})), "{name}: {ports:?}");
    }
}

#[test]
fn in_another_namespace_podfit_spares_that_one() {
    let Some(staged) = Staged::new("in_another_namespace_podfit_spares_that_one") else { return };
    let text = staged.must("kubectl", None, &["kustomize", "deploy/kustomize/overlays/namespace"]);
    let objects = documents(&text);
    let never = json!(["kube-node-lease", "kube-public", "kube-system", "data-tools"]);
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        for entry in find(&objects, &format!("{kind}/podfit-webhook"))["webhooks"].as_array().unwrap() {
            assert_eq!(entry["namespaceSelector"]["matchExpressions"][0]["values"], never);
            assert_eq!(entry["clientConfig"]["service"]["namespace"], "data-tools");
        }
    }
    let fence = find(&objects, "ValidatingAdmissionPolicy/podfit-ca-bundle");
    let who = fence["spec"]["matchConditions"][0]["expression"].as_str().unwrap();
    assert_eq!(who, "request.userInfo.username == 'system:serviceaccount:data-tools:podfit'");
    let binding = find(&objects, "ClusterRoleBinding/podfit");
    assert_eq!(binding["subjects"][0]["namespace"], "data-tools");
}

#[test]
fn the_other_example_delivers_the_report() {
    let Some(staged) = Staged::new("the_other_example_delivers_the_report") else { return };
    let objects = documents(&staged.must("kubectl", None, &["kustomize", "deploy/kustomize/overlays/delivery"]));
    let pod = &find(&objects, "CronJob/podfit-report")["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let arguments = pod["containers"][0]["args"].as_array().unwrap();
    assert!(arguments.contains(&json!("--deliver=/etc/podfit/report/delivery.yaml")), "{arguments:?}");
    let volumes = pod["volumes"].as_array().unwrap();
    assert!(volumes.iter().any(|v| v["configMap"]["name"] == "podfit-report"), "{volumes:?}");
    let rights = find(&objects, "Role/podfit")["rules"].to_string();
    assert!(rights.contains("[\"podfit\",\"podfit-report\"]"), "{rights}");
    let file = find(&objects, "ConfigMap/podfit-report")["data"]["delivery.yaml"].as_str().unwrap();
    assert_eq!(podfit::delivery::Plan::parse(file).unwrap().destinations.len(), 2);
}
