//! Manifests: where things stand in a file, and which pods the kinds lead to.
#![allow(clippy::needless_pass_by_value)] // rstest hands its cases over

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn one(text: &str) -> Document {
    let mut documents = read(text);
    assert_eq!(documents.len(), 1, "{documents:?}");
    documents.remove(0).unwrap()
}

fn at(document: &Document, pointer: &str) -> (u64, u64) {
    let place = document.place(pointer);
    (place.line, place.column)
}

#[test]
fn values_have_places() {
    let text = "# head\nkind: Pod\nspec:\n  containers:\n  - name: a\n    image: b:1\n  - {name: c, image: \"d:2\"}\n";
    let document = one(text);
    assert_eq!(document.value["spec"]["containers"][1], json!({"name": "c", "image": "d:2"}));
    assert_eq!(at(&document, "/kind"), (2, 7));
    assert_eq!(at(&document, "/spec/containers/0/image"), (6, 12));
    assert_eq!(at(&document, "/spec/containers/1/image"), (7, 22));
    assert_eq!(at(&document, "/spec/containers/0/resources/limits"), (5, 5), "what is missing is where it should be");
    assert_eq!(at(&document, "/nothing"), (2, 1));
}

#[test]
fn json_is_read_with_places() {
    let text = "{\n\t\"kind\": \"Pod\",\n  \"spec\": {\"a/b\": [1, 2.5, true, null, \"\\u00e9\\/\"]}\n}\n";
    let document = one(text);
    assert_eq!(document.value, json!({"kind": "Pod", "spec": {"a/b": [1, 2.5, true, null, "é/"]}}));
    assert_eq!(at(&document, "/spec/a~1b/1"), (3, 23));
}

#[test]
fn documents_are_read_apart() {
    let text = "a: 1\n---\n# Source: chart/x.yaml\n---\nb: [\n---\nc: 3\n--- # more\nd: |\n  ---\n  x\n...\n---\n";
    let documents = read(text);
    let seen: Vec<_> =
        documents.iter().map(|d| d.as_ref().map(|d| d.value.clone()).map_err(|e| e.place.line)).collect();
    assert_eq!(seen.len(), 4, "{documents:?}");
    assert_eq!(seen[0], Ok(json!({"a": 1})));
    assert!(seen[1].as_ref().is_err_and(|line| (4..=6).contains(line)), "{documents:?}");
    assert_eq!(seen[2], Ok(json!({"c": 3})));
    assert_eq!(seen[3], Ok(json!({"d": "---\nx\n"})));
    assert_eq!(at(documents[2].as_ref().unwrap(), "/c"), (7, 4));
}

#[test]
fn anchors_aliases_and_merges_work() {
    let text = "base: &base\n  image: a:1\n  name: x\nuse: *base\nmore:\n  <<: *base\n  name: z\n";
    let document = one(text);
    assert_eq!(document.value["use"], json!({"image": "a:1", "name": "x"}));
    assert_eq!(document.value["more"], json!({"image": "a:1", "name": "z"}));
    assert_eq!(at(&document, "/more/name"), (7, 9));
    assert_eq!(at(&document, "/use").0, 4);
}

#[test]
fn bombs_are_refused_in_bounded_time() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(read(&text)[0].is_err());
    assert!(read(&"[".repeat(100_000))[0].is_err());
    assert!(read(&"- ".repeat(100_000))[0].is_err());
}

#[rstest]
#[case("a: b: c\n", "neither YAML nor JSON")]
#[case("a: 1\na: 2\n", "uplicate")]
#[case("a:\n\t- b\n", "neither YAML nor JSON")]
#[case("{{- if .Values.x }}\nkind: Pod\n{{- end }}\n", "render it first (helm template … | podfit review -)")]
#[case("kind: Pod\nimage: {{ .Values.image }}\n", "render it first")]
fn what_cannot_be_read_is_said(#[case] text: &str, #[case] said: &str) {
    let error = read(text).remove(0).unwrap_err();
    assert!(error.message.contains(said), "{}", error.message);
    assert!(!error.message.contains('\n'), "{}", error.message);
    assert!(error.place.line > 0 && error.place.line < 4, "{error:?}");
}

#[test]
fn an_error_never_repeats_the_text() {
    for text in
        ["password: hunter2: x\n", "[hunter2\n", "hunter2: 1\nhunter2: 2\n", "? {hunter2: 1}\n: x\n", "a: *hunter2\n"]
    {
        for error in read(text).into_iter().filter_map(Result::err) {
            assert!(
                !error.message.contains("hunter2") || text.starts_with("hunter2") || text.contains('*'),
                "{}",
                error.message
            );
        }
    }
}

/// Role, images by container, service account.
fn seen(object: &Value) -> Vec<(String, String, String)> {
    pods(object, "")
        .into_iter()
        .map(|pod| {
            let list = |field: &str| pod.pod["spec"][field].as_array().cloned().unwrap_or_default();
            let all: Vec<_> = list("initContainers").into_iter().chain(list("containers")).collect();
            let images: Vec<_> = all
                .iter()
                .map(|c| format!("{}={}", c["name"].as_str().unwrap_or_default(), c["image"].as_str().unwrap_or("-")))
                .collect();
            let account = pod.pod["spec"]["serviceAccountName"].as_str().unwrap_or("-").to_owned();
            (pod.role.clone(), images.join(" "), account)
        })
        .collect()
}

fn expected(pods: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    pods.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect()
}

#[rstest]
#[case("v1", "Pod", json!({"spec": {"containers": [{"name": "a", "image": "b"}]}}))]
#[case("v1", "PodTemplate", json!({"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}}))]
#[case("batch/v1", "CronJob", json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}}}}}))]
#[case("batch/v1", "Job", json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}}}))]
#[case("apps/v1", "Deployment", json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}}}))]
#[case("apps/v1", "StatefulSet", json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}}}))]
#[case("apps/v1", "DaemonSet", json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}}}))]
#[case("apps/v1", "ReplicaSet", json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}}}))]
#[case("v1", "ReplicationController", json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}}}))]
fn built_in_kinds(#[case] version: &str, #[case] kind: &str, #[case] object: Value) {
    let mut object = object;
    object["apiVersion"] = json!(version);
    object["kind"] = json!(kind);
    assert_eq!(seen(&object), expected(&[("", "a=b", "-")]));
    let list = json!({"kind": "List", "items": [{"kind": "ConfigMap"}, {"kind": "PodList", "items": [object]}]});
    let found = pods(&list, "");
    let path = found[0].origin("/spec/containers/0/image");
    assert_eq!(list.pointer(&path), Some(&json!("b")), "{path}");
}

#[test]
fn other_kinds_have_no_pods() {
    for (version, kind) in
        [("v1", "ConfigMap"), ("batch.volcano.sh/v1alpha1", "Job"), ("serving.knative.dev/v1", "Service")]
    {
        let object = json!({"apiVersion": version, "kind": kind, "spec": {"template": {"spec": {"containers": [{}]}}}});
        assert!(pods(&object, "").is_empty(), "{kind}");
    }
    assert!(pods(&json!(7), "").is_empty());
}

/// Every place of a shaped pod leads to a place of the object.
fn leads_back(object: &Value) {
    fn walk(value: &Value, at: &str, pod: &PodOf, object: &Value) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    walk(value, &format!("{at}/{}", escape(key)), pod, object);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    walk(value, &format!("{at}/{index}"), pod, object);
                }
            }
            Value::String(text) if at.ends_with("/image") && !text.is_empty() => {
                let origin = pod.origin(at);
                assert_eq!(object.pointer(&origin), Some(value), "{at} → {origin}");
            }
            _ => {}
        }
    }
    for pod in pods(object, "") {
        walk(&pod.pod, "", &pod, object);
    }
}

#[test]
fn kubeflow_spark() {
    let spec = json!({
        "image": "spark:latest", "arguments": ["--token=abc"],
        "sparkConf": {"spark.hadoop.fs.s3a.secret.key": "abcdef", "spark.executorEnv.A": "b",
            "spark.kubernetes.executor.volumes.hostPath.scratch.mount.path": "/scratch",
            "spark.kubernetes.executor.volumes.hostPath.scratch.options.path": "/mnt/nvme"},
        "volumes": [{"name": "v", "hostPath": {"path": "/x"}}],
        "driver": {"serviceAccount": "spark", "env": [{"name": "A", "value": "b"}], "envVars": {"PASSWORD": "s3cr3t"},
            "podSecurityContext": {"runAsUser": 0}, "securityContext": {"runAsNonRoot": false},
            "volumeMounts": [{"name": "v", "mountPath": "/x"}],
            "sidecars": [{"name": "side", "image": "s:1"}], "initContainers": [{"name": "init", "image": "i:1"}]},
        "executor": {"image": "exec:1", "template": {"spec": {"nodeSelector": {"a": "b"},
            "containers": [{"name": "mine", "image": "template:1"}]}}},
    });
    let object = json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "spec": spec});
    let both = [
        ("driver", "init=i:1 spark-kubernetes-driver=spark:latest side=s:1", "spark"),
        ("executor", "mine=exec:1", "spark"),
    ];
    assert_eq!(seen(&object), expected(&both));
    let scheduled = json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "ScheduledSparkApplication",
        "spec": {"schedule": "@daily", "template": spec}});
    assert_eq!(seen(&scheduled), expected(&both));
    leads_back(&object);
    leads_back(&scheduled);
    let found = pods(&object, "");
    let (driver, executor) = (&found[0], &found[1]);
    let origin = |pod: &PodOf, at: &str| object.pointer(&pod.origin(at)).cloned();
    assert_eq!(origin(driver, "/spec/securityContext/runAsUser"), Some(json!(0)));
    assert_eq!(driver.pod["spec"]["containers"][0]["securityContext"], json!({"runAsNonRoot": false}));
    assert_eq!(origin(driver, "/spec/containers/0/env/1/value"), None);
    assert_eq!(driver.origin("/spec/containers/0/env/1"), "/spec/driver/envVars/PASSWORD");
    assert_eq!(driver.pod["spec"]["volumes"][0]["name"], "v");
    assert_eq!(executor.pod["spec"]["containers"][0]["env"], json!([{"name": "A", "value": "b"}]));
    assert_eq!(executor.pod["spec"]["volumes"][1], json!({"name": "scratch", "hostPath": {"path": "/mnt/nvme"}}));
    assert_eq!(executor.pod["spec"]["nodeSelector"], json!({"a": "b"}));
    let arguments = driver.pod["spec"]["containers"][0]["args"].to_string();
    assert!(
        arguments.contains("spark.hadoop.fs.s3a.secret.key=abcdef") && arguments.contains("--token=abc"),
        "{arguments}"
    );
}

#[test]
fn apache_spark() {
    let object = json!({"apiVersion": "spark.apache.org/v1", "kind": "SparkApplication", "spec": {
        "sparkConf": {"spark.kubernetes.container.image": "apache/spark:4.0.0",
            "spark.kubernetes.executor.container.image": "apache/spark:latest",
            "spark.kubernetes.authenticate.driver.serviceAccountName": "spark"},
        "driverSpec": {"podTemplateSpec": {"spec": {"initContainers": [{"name": "i", "image": "i:1"}],
            "containers": [{"name": "spark-kubernetes-driver", "securityContext": {"runAsUser": 0}}]}}},
        "executorSpec": {"podTemplateSpec": {"spec": {"securityContext": {"runAsNonRoot": true}}}}}});
    assert_eq!(
        seen(&object),
        expected(&[
            ("driver", "i=i:1 spark-kubernetes-driver=apache/spark:4.0.0", "spark"),
            ("executor", "spark-kubernetes-executor=apache/spark:latest", "spark"),
        ])
    );
    leads_back(&object);
}

#[test]
fn flink() {
    let object = json!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "spec": {
        "image": "flink:1.20", "serviceAccount": "flink",
        "flinkConfiguration": {"s3.secret-key": "abc"},
        "podTemplate": {"kind": "Pod", "spec": {"securityContext": {"runAsUser": 0}, "containers": [
            {"name": "flink-main-container", "image": "ignored:1", "env": [{"name": "A", "value": "b"}]},
            {"name": "log", "image": "log"}]}},
        "jobManager": {"podTemplate": {"spec": {"securityContext": {"runAsUser": 9999}}}},
        "taskManager": {"podTemplate": {"spec": {"containers": [{"name": "flink-main-container",
            "env": [{"name": "A", "value": "c"}]}, {"name": "log", "image": "log:2"}]}}}}});
    assert_eq!(
        seen(&object),
        expected(&[
            ("jobManager", "flink-main-container=flink:1.20 log=log", "flink"),
            ("taskManager", "flink-main-container=flink:1.20 log=log:2", "flink"),
        ])
    );
    leads_back(&object);
    let found = pods(&object, "");
    assert_eq!(found[0].pod["spec"]["securityContext"]["runAsUser"], 9999);
    assert_eq!(found[1].pod["spec"]["securityContext"]["runAsUser"], 0);
    assert_eq!(found[1].origin("/spec/securityContext/runAsUser"), "/spec/podTemplate/spec/securityContext/runAsUser");
    assert_eq!(found[1].pod["spec"]["containers"][0]["env"][0]["value"], "c");
}

#[rstest]
#[case("Workflow", "/spec")]
#[case("WorkflowTemplate", "/spec")]
#[case("ClusterWorkflowTemplate", "/spec")]
#[case("CronWorkflow", "/spec/workflowSpec")]
fn argo(#[case] kind: &str, #[case] path: &str) {
    let spec = json!({
        "serviceAccountName": "argo", "securityContext": {"runAsUser": 0}, "podSpecPatch": "{}",
        "volumes": [{"name": "v", "hostPath": {"path": "/x"}}],
        "templateDefaults": {"container": {"securityContext": {"runAsNonRoot": true}}},
        "templates": [
            {"name": "main", "steps": [[{"name": "s", "template": "extract"}],
                [{"name": "t", "inline": {"container": {"image": "inline:1"}}}]]},
            {"name": "extract", "container": {"image": "e:latest", "args": ["{{inputs.parameters.x}}"]},
                "initContainers": [{"name": "i", "image": "i:1"}], "sidecars": [{"name": "s", "image": "s:1"}],
                "securityContext": {"runAsUser": 1000}},
            {"name": "script", "script": {"image": "python:3.12", "command": ["python"], "source": "password = 'hunter2'"},
                "serviceAccountName": "own"},
            {"name": "set", "containerSet": {"volumeMounts": [{"name": "v", "mountPath": "/x"}],
                "containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "{{inputs.parameters.image}}"}]}},
            {"name": "wait", "suspend": {}},
        ],
    });
    let inner = if path == "/spec" { spec } else { json!({"schedule": "@daily", "workflowSpec": spec}) };
    let object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "spec": inner});
    assert_eq!(
        seen(&object),
        expected(&[
            ("template ", "main=inline:1", "argo"),
            ("template extract", "i=i:1 main=e:latest s=s:1", "argo"),
            ("template script", "main=python:3.12", "own"),
            ("template set", "a=a:1 b=", "argo"),
        ])
    );
    leads_back(&object);
    let found = pods(&object, "");
    assert_eq!(found[1].pod["spec"]["securityContext"]["runAsUser"], 1000);
    assert_eq!(found[2].pod["spec"]["securityContext"]["runAsUser"], 0);
    assert_eq!(found[1].pod["spec"]["containers"][0]["securityContext"], json!({"runAsNonRoot": true}));
    assert_eq!(object.pointer(&found[2].origin("/spec/containers/0/args/0")), Some(&json!("password = 'hunter2'")));
    assert_eq!(found[3].pod["spec"]["containers"][1]["volumeMounts"][0]["name"], "v");
    assert!(found.iter().all(|pod| pod.notes.iter().any(|note| note.starts_with("podSpecPatch"))));
}

#[test]
fn a_pod_that_is_missing_or_odd_is_no_pass() {
    for object in [json!({"kind": "Job", "spec": {}}), json!({"kind": "Job", "spec": {"template": {"spec": [1]}}})] {
        let found = pods(&object, "");
        assert!(crate::policy::PodSpec::of_pod(&found[0].pod).is_err());
    }
}
