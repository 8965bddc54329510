//! Kinds of operators, templates, placeholders and odd files: what is judged, what is said not to be, and that nothing
//! is lost in silence.

use rstest::rstest;
use serde_json::{Value, json};

use super::{Ran, folder, json as parsed, review};

const BAD: &str = "{securityContext: {runAsUser: 0}, containers: [{name: main, image: 'r.example/x:latest'}]}";
const GOOD: &str = "{serviceAccountName: s, securityContext: {runAsNonRoot: true}, containers: [{name: a, image: 'r/a:1', \
                    resources: {requests: {cpu: 1, memory: 1Gi}, limits: {memory: 1Gi}}}]}";

/// A review of one file, with the rules that were breached.
fn one(text: &str) -> (Ran, Vec<String>) {
    let folder = folder(&[("a.yaml", text)]);
    let ran = review(folder.path(), &["-o", "json", "a.yaml"]);
    let report = parsed(&ran);
    let rules = report["findings"].as_array().unwrap().iter().map(|f| f["rule"].as_str().unwrap().to_owned()).collect();
    (ran, rules)
}

fn told(ran: &Ran, section: &str) -> Vec<String> {
    let report = parsed(ran);
    report[section].as_array().unwrap().iter().map(|f| f["message"].as_str().unwrap().to_owned()).collect()
}

#[rstest]
#[case("ray.io/v1", "RayCluster", "headGroupSpec: {template: {spec: POD}}")]
#[case("ray.io/v1", "RayCluster", "workerGroupSpecs: [{groupName: w, template: {spec: POD}}]")]
#[case("ray.io/v1", "RayJob", "rayClusterSpec: {headGroupSpec: {template: {spec: POD}}}")]
#[case("ray.io/v1alpha1", "RayService", "rayClusterConfig: {headGroupSpec: {template: {spec: POD}}}")]
#[case("kubeflow.org/v1", "PyTorchJob", "pytorchReplicaSpecs: {Master: {template: {spec: POD}}}")]
#[case("kubeflow.org/v2beta1", "MPIJob", "mpiReplicaSpecs: {Launcher: {template: {spec: POD}}}")]
#[case("kubeflow.org/v1", "Notebook", "template: {spec: POD}")]
#[case("jobset.x-k8s.io/v1alpha2", "JobSet", "replicatedJobs: [{name: w, template: {spec: {template: {spec: POD}}}}]")]
#[case("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "leaderWorkerTemplate: {workerTemplate: {spec: POD}}")]
#[case("batch.volcano.sh/v1alpha1", "Job", "tasks: [{name: t, template: {spec: POD}}]")]
#[case("argoproj.io/v1alpha1", "Rollout", "template: {spec: POD}")]
#[case("argoproj.io/v1alpha1", "AnalysisTemplate", "metrics: [{provider: {job: {spec: {template: {spec: POD}}}}}]")]
#[case("serving.knative.dev/v1", "Service", "template: {spec: POD}")]
#[case("keda.sh/v1alpha1", "ScaledJob", "jobTargetRef: {template: {spec: POD}}")]
#[case("apps.kruise.io/v1alpha1", "CloneSet", "template: {spec: POD}")]
#[case("apps.kruise.io/v1alpha1", "AdvancedCronJob", "template: {jobTemplate: {spec: {template: {spec: POD}}}}")]
#[case("actions.github.com/v1alpha1", "AutoscalingRunnerSet", "template: {spec: POD}")]
#[case("apps.openshift.io/v1", "DeploymentConfig", "template: {spec: POD}")]
#[case("kubernetes.dask.org/v1", "DaskCluster", "worker: {spec: POD}")]
#[case("spark.apache.org/v1", "SparkCluster", "workerSpec: {statefulSetSpec: {template: {spec: POD}}}")]
#[case("flink.apache.org/v1beta1", "FlinkBlueGreenDeployment", "template: {spec: {podTemplate: {spec: POD}}}")]
#[case("acme.example/v1", "Pump", "somewhere: {deep: [{inside: POD}]}")]
#[case(
    "kubernetes.crossplane.io/v1alpha2",
    "Object",
    "forProvider: {manifest: {apiVersion: batch/v1, kind: Job, spec: {template: {spec: POD}}}}"
)]
fn pods_of_operators_are_judged(#[case] version: &str, #[case] kind: &str, #[case] spec: &str) {
    let object = |pod: &str| {
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\nspec: {{{}}}\n", spec.replace("POD", pod))
    };
    let (ran, rules) = one(&object(BAD));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for rule in ["latest-tag", "run-as-root"] {
        assert!(rules.iter().any(|found| found == rule), "{rules:?}");
    }
    let (ran, rules) = one(&object(GOOD));
    let of_pod: Vec<_> = rules.iter().filter(|rule| *rule != "default-service-account").collect();
    assert!(of_pod.is_empty() && ran.code == Some(0), "{ran:?}");
    let is_unknown =
        told(&ran, "notes").iter().any(|note| note.contains("kind Pump is not known: what looks like a pod"));
    assert_eq!(is_unknown, kind == "Pump", "{ran:?}");
}

#[rstest]
#[case("tekton.dev/v1", "Task", "steps: [{name: s, image: IMAGE}]")]
#[case("tekton.dev/v1", "TaskRun", "taskSpec: {steps: [{image: IMAGE}]}")]
#[case("tekton.dev/v1", "Pipeline", "tasks: [{name: t, taskSpec: {steps: [{image: IMAGE}]}}]")]
#[case(
    "tekton.dev/v1beta1",
    "PipelineRun",
    "pipelineSpec: {finally: [{taskSpec: {stepTemplate: {image: IMAGE}, steps: [{name: s}]}}]}"
)]
#[case("tekton.dev/v1beta1", "StepAction", "image: IMAGE")]
#[case("argoproj.io/v1alpha1", "Sensor", "template: {container: {image: IMAGE}}")]
#[case("numaflow.numaproj.io/v1alpha1", "Pipeline", "vertices: [{source: {udsource: {container: {image: IMAGE}}}}]")]
#[case("trainer.kubeflow.org/v1alpha1", "TrainJob", "trainer: {image: IMAGE}")]
#[case("sparkoperator.k8s.io/v1alpha1", "SparkConnect", "image: IMAGE")]
#[case("spark.apache.org/v1", "SparkCluster", "sparkConf: {spark.kubernetes.container.image: IMAGE}")]
#[case("flinkoperator.k8s.io/v1beta1", "FlinkCluster", "image: {name: IMAGE}")]
#[case("actions.summerwind.dev/v1alpha1", "RunnerDeployment", "template: {spec: {image: IMAGE}}")]
#[case("postgresql.cnpg.io/v1", "Cluster", "imageName: IMAGE")]
#[case("kafka.strimzi.io/v1beta2", "KafkaConnect", "image: IMAGE")]
fn images_of_operators_are_judged(#[case] version: &str, #[case] kind: &str, #[case] spec: &str) {
    let object = |image: &str| {
        format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\nspec: {{{}}}\n",
            spec.replace("IMAGE", image)
        )
    };
    let (ran, rules) = one(&object("'r.example/x:latest'"));
    assert_eq!((ran.code, rules), (Some(1), vec!["latest-tag".to_owned()]), "{}", ran.stdout);
    let place = parsed(&ran)["findings"][0].clone();
    assert_eq!(place["line"], 4, "{place}");
    let (ran, rules) = one(&object("'r.example/x:1'"));
    assert_eq!((ran.code, rules.len()), (Some(0), 0), "{ran:?}");
}

#[test]
fn what_was_not_looked_at_is_said_in_every_form() {
    let text = format!(
        "apiVersion: acme.example/v1\nkind: Pump\nmetadata: {{name: x}}\nspec:\n  oil: {{container: {{image: 'a:latest'}}}}\n  \
         water: [{{image: b, command: [x]}}]\n---\nkind: Pod\nspec: {GOOD}\n"
    );
    let folder = folder(&[("a.yaml", text.as_str())]);
    let ran = review(folder.path(), &["a.yaml"]);
    let said = "a.yaml:5:20: not looked at: kind Pump holds containers at /spec/oil/container, and this kind is not known: \
                judge the pods that it makes";
    assert_eq!((ran.code, ran.lines()), (Some(2), vec![format!("podfit: {said}").as_str()]), "{ran:?}");
    let ran = review(folder.path(), &["-o", "sarif", "a.yaml"]);
    let invocation = parsed(&ran)["runs"][0]["invocations"][0].clone();
    assert_eq!((ran.code, &invocation["executionSuccessful"]), (Some(2), &json!(false)));
    assert!(
        invocation["toolExecutionNotifications"][0]["message"]["text"].as_str().unwrap().starts_with("not looked at")
    );
}

#[rstest]
#[case("v1", "ConfigMap", "data: {x: y}")]
#[case("apiextensions.k8s.io/v1", "CustomResourceDefinition", "spec: {schema: {containers: [{name: a, image: b}]}}")]
#[case(
    "kyverno.io/v1",
    "ClusterPolicy",
    "spec: {rules: [{validate: {pattern: {spec: {containers: [{name: a, image: '!*:latest'}]}}}}]}"
)]
#[case("metrics.k8s.io/v1beta1", "PodMetrics", "containers: [{name: a, usage: {cpu: 1}}]")]
#[case("keda.sh/v1alpha1", "ScaledObject", "spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: x}}")]
#[case("image.toolkit.fluxcd.io/v1", "ImageRepository", "spec: {image: r.example/x}")]
fn what_makes_no_pods_is_passed_over(#[case] version: &str, #[case] kind: &str, #[case] rest: &str) {
    let (ran, rules) = one(&format!("apiVersion: {version}\nkind: {kind}\n{rest}\n"));
    assert_eq!((ran.code, rules.len(), told(&ran, "notes").len()), (Some(0), 0, 0), "{ran:?}");
}

#[test]
fn manifests_inside_others_are_judged() {
    let inside = format!("apiVersion: v1\\nkind: Pod\\nmetadata: {{name: p}}\\nspec: {BAD}\\n");
    for text in [
        format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  pod_template_file.yaml: \"{inside}\"\n"),
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  templates: [{{name: r, resource: {{manifest: \"{inside}\"}}}}]\n"
        ),
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Sensor\nspec:\n  triggers: [{{template: {{k8s: {{source: {{resource: {{apiVersion: v1, kind: Pod, spec: {BAD}}}}}}}}}}}]\n"
        ),
        format!(
            "apiVersion: template.openshift.io/v1\nkind: Template\nobjects: [{{apiVersion: v1, kind: Pod, spec: {BAD}}}]\n"
        ),
        format!("kind: PodList\napiVersion: v1\nitems: [{{metadata: {{name: x}}, spec: {BAD}}}]\n"),
        format!("kind: DeploymentList\napiVersion: apps/v1\nitems: [{{spec: {{template: {{spec: {BAD}}}}}}}]\n"),
        format!("[{{kind: Pod, spec: {BAD}}}]\n"),
    ] {
        let (ran, rules) = one(&text);
        assert_eq!(ran.code, Some(1), "{text}{ran:?}");
        assert!(
            rules.contains(&"latest-tag".to_owned()) && rules.contains(&"run-as-root".to_owned()),
            "{text}{rules:?}"
        );
    }
    let unread = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  templates: [{name: r, resource: {manifest: '{{inputs.parameters.m}}: ['}}]\n";
    let (ran, _) = one(unread);
    assert!(told(&ran, "notes")[0].starts_with("not looked at: the object that this template creates"), "{ran:?}");
}

#[test]
fn braces_make_a_template_only_where_they_are_judged() {
    let judged = GOOD.replace("r/a:1", "r/a:latest");
    for elsewhere in [
        "annotations: {t: '{{- with secret \"a\" -}}{{ .Data.x }}{{- end }}'}",
        "annotations: {t: 'x  # see {{ .Values.x }}'}",
        "labels: {}  # rendered from {{ .Chart.Name }}",
    ] {
        let (ran, rules) = one(&format!("kind: Pod\nmetadata:\n  {elsewhere}\nspec: {judged}\n"));
        assert_eq!((ran.code, rules), (Some(1), vec!["latest-tag".to_owned()]), "{ran:?}");
        assert!(told(&ran, "errors").is_empty());
    }
    let shell = GOOD.replace("name: a,", "name: a, args: [\"docker ps --format '{{.Names}}' {% if x %}\"],");
    let (ran, rules) = one(&format!("kind: Pod\nspec: {shell}\n"));
    assert_eq!((ran.code, rules.len()), (Some(0), 0), "{ran:?}");
    for text in [
        format!("kind: Pod\nspec: {}\n", GOOD.replace("r/a:1", "r/a:{{ .Values.tag }}")),
        "kind: Pod\nspec:\n  containers:\n  {{- range .Values.x }}\n  - name: a\n  {{- end }}\n".to_owned(),
        "kind: Pod\nspec:\n  {% for x in y %}\n  containers: []\n".to_owned(),
    ] {
        let (ran, _) = one(&text);
        let said = told(&ran, "errors");
        assert!(ran.code == Some(2) && said[0].contains("template: render it first"), "{ran:?}");
    }
}

#[rstest]
#[case("my/image:${TAG}")]
#[case("my/image:${TAG:-latest}")]
#[case("my/image:%TAG%")]
#[case("IMAGE_PLACEHOLDER")]
#[case("@@IMAGE@@")]
#[case("dummy_image")]
#[case("a:{{ tag }}")]
#[case("my/image:$(Build.BuildId)")]
fn a_placeholder_is_said_to_be_one(#[case] image: &str) {
    let (ran, rules) = one(&format!("kind: Pod\nspec: {}\n", GOOD.replace("r/a:1", image)));
    assert_eq!((ran.code, rules.len()), (Some(0), 0), "{ran:?}");
    let said = format!("container a: image {image} is a placeholder, and not judged: it is known when it is filled in");
    assert_eq!(told(&ran, "notes"), [said]);
}

#[rstest]
#[case("$(TAG)", "no image reference")]
#[case("my/image:$(TAG)", "no image reference")]
#[case("${REGISTRY}/app:latest", "pin a version")]
#[case("{{ .Values.registry }}/app", "has no tag")]
#[case("reg.example/placeholder:latest", "pin a version")]
#[case("me/todo", "has no tag")]
fn what_is_written_beside_a_placeholder_is_judged_where_it_decides(#[case] image: &str, #[case] why: &str) {
    let (ran, rules) = one(&format!("kind: Pod\nspec: {}\n", GOOD.replace("r/a:1", image)));
    assert_eq!((ran.code, rules), (Some(1), vec!["latest-tag".to_owned()]), "{ran:?}");
    let said = told(&ran, "findings").remove(0);
    assert!(said.starts_with(&format!("container a: image {image}")) && said.contains(why), "{said}");
    let pinned = GOOD.replace("r/a:1", "${REGISTRY}/app:1.2");
    let (ran, rules) = one(&format!("kind: Pod\nspec: {pinned}\n"));
    assert_eq!((ran.code, rules.len(), told(&ran, "notes").len()), (Some(0), 0, 0), "{ran:?}");
}

/// What an operator makes of them is not known; they are named all the same.
#[rstest]
#[case("apiVersion: acme.example/v1\nkind: Pump\nspec: {image: 'a:latest'}\n", "names an image at /spec/image")]
#[case(
    "apiVersion: acme.example/v1\nkind: Pump\nspec: {web: {image: {repository: a, tag: latest}}}\n",
    "at /spec/web/image"
)]
#[case(
    "apiVersion: v1\nkind: ConfigMap\ndata:\n  pod.yaml: |\n    spec: {containers: [{name: base, image: a}]}\n",
    "has no kind"
)]
fn images_of_what_is_not_known_are_named(#[case] text: &str, #[case] said: &str) {
    let (ran, rules) = one(text);
    assert_eq!((ran.code, rules.len()), (Some(0), 0), "{ran:?}");
    assert!(told(&ran, "notes")[0].contains(said), "{ran:?}");
}

#[test]
fn kinds_that_kubernetes_does_not_have_are_judged_by_their_shape() {
    for head in ["apiVersion: v1\nkind: pod", "apiVersion: apps/v2\nkind: Deployment2"] {
        let (ran, rules) = one(&format!("{head}\nspec: {BAD}\n"));
        assert!(ran.code == Some(1) && rules.iter().any(|rule| rule == "run-as-root"), "{ran:?}");
        assert!(told(&ran, "notes")[0].contains("is not known: what looks like a pod"), "{ran:?}");
    }
    let (ran, rules) = one(&format!("apiVersion: apps/v1\nkind: ControllerRevision\ndata: {{spec: {BAD}}}\n"));
    assert_eq!((ran.code, rules.len()), (Some(0), 0), "what a controller remembers is nothing to mend: {ran:?}");
}

#[test]
fn files_of_windows_are_read() {
    let text = format!("\u{feff}kind: Pod\r\nspec: {BAD}\r\n");
    for big in [false, true] {
        let bytes: Vec<u8> =
            text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
        let folder = folder(&[]);
        std::fs::write(folder.path().join("a.yaml"), &bytes).unwrap();
        let ran = review(folder.path(), &["a.yaml"]);
        assert!(ran.code == Some(1) && ran.stdout.contains("a.yaml:2:"), "{ran:?}");
        std::fs::write(folder.path().join("a.yaml"), &bytes[..bytes.len() - 1]).unwrap();
        let ran = review(folder.path(), &["a.yaml"]);
        assert!(ran.code == Some(2) && ran.lines()[0].contains("neither UTF-8 nor UTF-16"), "{ran:?}");
    }
}

#[test]
fn trees_that_a_tool_puts_together_are_not_taken_for_manifests() {
    let patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec: {replicas: 3}\n";
    let base = format!("kind: Pod\nspec: {}\n", GOOD.replace("r/a:1", "r/a"));
    let folder = folder(&[
        ("k/overlay/kustomization.yaml", "resources: [../base]\npatches: [{path: replicas.yaml}]\n"),
        ("k/overlay/replicas.yaml", patch),
        ("k/base/kustomization.yml", "resources: [pod.yaml]\nimages: [{name: r/a, newTag: '1'}]\n"),
        ("k/base/pod.yaml", &base),
        ("c/Chart.yaml", "name: c\n"),
        ("c/templates/a.yaml", "kind: {{ .Values.kind }}\n"),
        ("plain/a.yaml", &base),
    ]);
    let ran = review(folder.path(), &["."]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    assert!(ran.stdout.starts_with("./plain/a.yaml:2:"), "{}", ran.stdout);
    for said in [
        "helm template ./c | podfit review -",
        "kustomize build ./k/base | podfit review -",
        "kustomize build ./k/overlay | podfit review -",
    ] {
        assert!(
            ran.lines().iter().any(|line| line.contains("not looked at") && line.ends_with(said)),
            "{:?}",
            ran.lines()
        );
    }
    let ran = review(folder.path(), &["k/overlay/kustomization.yaml"]);
    assert!(ran.code == Some(2) && ran.lines()[0].ends_with("kustomize build k/overlay | podfit review -"), "{ran:?}");
    let ran = review(folder.path(), &["k/overlay/replicas.yaml"]);
    assert!(ran.code == Some(2) && ran.lines()[0].contains("kustomize build"), "{ran:?}");
}

#[test]
fn an_account_that_mounts_no_token_is_no_finding() {
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default, namespace: etl}\nautomountServiceAccountToken: false\n";
    let pod = |namespace: &str| {
        format!(
            "kind: Pod\nmetadata: {{namespace: {namespace}}}\nspec: {}\n",
            GOOD.replace("serviceAccountName: s, ", "")
        )
    };
    for text in [format!("{account}---\n{}", pod("etl")), format!("{}---\n{account}", pod("etl"))] {
        let (ran, rules) = one(&text);
        assert!(rules.is_empty(), "{ran:?}");
    }
    let (_, rules) = one(&format!("{account}---\n{}", pod("other")));
    assert_eq!(rules, ["default-service-account"]);
    let own = pod("etl").replace("spec: {", "spec: {automountServiceAccountToken: true, ");
    let (_, rules) = one(&format!("{account}---\n{own}"));
    assert_eq!(rules, ["default-service-account"], "the pod's own word counts");
}

#[test]
fn what_is_no_object_of_kubernetes_is_no_failure() {
    let (ran, rules) =
        one("services: {web: {image: 'nginx:latest', command: [x]}}\nextra: {containers: [{name: a, image: b}]}\n");
    assert_eq!((ran.code, rules.len()), (Some(0), 0), "{ran:?}");
    assert!(told(&ran, "notes")[0].contains("no object of Kubernetes"), "{ran:?}");
}

#[test]
fn odd_files_lose_nothing() {
    let pod = |name: &str, image: &str| {
        format!(
            "{{\"kind\": \"Pod\", \"metadata\": {{\"name\": \"{name}\"}}, \"spec\": {{\"containers\": [{{\"name\": \"{name}\", \"image\": \"{image}\"}}]}}}}\n"
        )
    };
    let (a, b) = (pod("a", "x"), pod("b", "y"));
    for (text, errors) in [
        (format!("{a}{b}"), 0),
        (format!("\u{feff}{a}---\n\u{feff}{b}"), 0),
        (format!("%YAML 1.2\n---\n{a}...\n%YAML 1.2\n---\n{b}"), 0),
        (format!("{a}...\n{b}"), 0),
        (format!("{a}---\r\n{b}").replace("\r\n", "\n").replace('\n', "\r"), 0),
        (format!("{}---\n{b}", a.replace("\"image\"", "\"image\": \"x:1\", \"image\"")), 1),
    ] {
        let (ran, _) = one(&text);
        let report = parsed(&ran);
        let images: Vec<&Value> =
            report["findings"].as_array().unwrap().iter().filter(|f| f["rule"] == "latest-tag").collect();
        assert_eq!(images.len(), 2, "{text:?} {ran:?}");
        let said = told(&ran, "errors");
        assert_eq!(said.len(), errors, "{text:?} {said:?}");
        assert!(said.iter().all(|said| said.contains("a duplicate key") && !said.contains("Policy")), "{said:?}");
    }
    let (ran, _) = one(&format!("{a}{b}"));
    assert_eq!(parsed(&ran)["findings"][4]["line"], 2, "{}", ran.stdout);
}

#[test]
fn flinks_configuration_is_read_as_flink_reads_it() {
    let flink = |rest: &str| {
        format!(
            "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {{name: f}}\nspec:\n{rest}  jobManager: {{}}\n  taskManager: {{}}\n"
        )
    };
    let pods = "  podTemplate: {spec: {securityContext: {runAsNonRoot: true}}}\n";
    for image in [
        "  serviceAccount: s\n  flinkConfiguration: {kubernetes.container.image.ref: 'r/f:latest'}\n",
        "  serviceAccount: s\n  flinkConfiguration: {kubernetes: {container: {image.ref: 'r/f:latest'}}}\n",
        "  flinkConfiguration: {kubernetes.container.image: 'r/f:latest', kubernetes: {jobmanager.service-account: s, taskmanager: {service-account: s}}}\n",
    ] {
        let (ran, rules) = one(&flink(&format!("{image}{pods}")));
        assert_eq!((ran.code, rules), (Some(1), vec!["latest-tag".to_owned()]), "{image} {}", ran.stdout);
    }
    let over =
        "  image: r/f:1\n  serviceAccount: s\n  flinkConfiguration: {kubernetes.container.image.ref: 'r/f:latest'}\n";
    assert_eq!(one(&flink(&format!("{over}{pods}"))).1, Vec::<String>::new());
    let nested = "  image: r/f:1\n  serviceAccount: s\n  flinkConfiguration: {s3: {secret-key: wJalrXUtnFEMIK7MDENGbPxRfiCYzzzzKEY}}\n";
    assert_eq!(one(&flink(&format!("{nested}{pods}"))).1, ["hardcoded-credential"]);
    let by_name = "  image: r/f:1\n  serviceAccount: s\n  flinkConfiguration: {kubernetes.operator.pod-template.merge-arrays-by-name: 'true'}\n  \
                   podTemplate: {spec: {securityContext: {runAsNonRoot: true}, containers: [{name: flink-main-container}, {name: log, image: 'l:1', \
                   securityContext: {runAsUser: 0}, resources: {requests: {cpu: 1, memory: 1Gi}, limits: {memory: 1Gi}}}]}}\n";
    let task_manager =
        "  taskManager: {podTemplate: {spec: {containers: [{name: log, securityContext: {runAsUser: 7}}]}}}\n";
    let text = flink(by_name).replace("  taskManager: {}\n", task_manager);
    let (ran, _) = one(&text);
    let report = parsed(&ran);
    let roots: Vec<_> =
        report["findings"].as_array().unwrap().iter().map(|f| (f["rule"].clone(), f["role"].clone())).collect();
    assert_eq!(roots, [(json!("run-as-root"), json!("jobManager"))], "{}", ran.stdout);
}
