//! Patches, kustomizations and values are handed to kubectl, Helm and the API server.

use std::path::{Path, PathBuf};
use std::process::Command;

use rstest::rstest;
use serde_json::{Value, json};

use super::support::cli::podfit;
use super::support::cluster::{Cluster, cluster, operator, until};
use super::support::prometheus_server::skipped;
use super::{CPU, entry, exported, recommended, resources};

/// A program on the PATH, or where the tests of charts keep theirs.
fn tool(name: &str, test: &str) -> Option<PathBuf> {
    let on_path =
        std::env::var_os("PATH").into_iter().flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let kept = cache.and_then(|cache| std::fs::read_dir(cache.join("podfit-tools")).ok());
    let kept = kept.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let found = on_path.chain(kept).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skipped(test, &format!("{name} is not on the PATH"));
    }
    found
}

fn run(command: &mut Command) -> String {
    let answer = command.output().unwrap();
    assert!(answer.status.success(), "{command:?}: {}", String::from_utf8_lossy(&answer.stderr));
    String::from_utf8(answer.stdout).unwrap()
}

fn container() -> Value {
    json!({"name": "main", "image": "registry.example/a:1", "env": [{"name": "A", "value": "b"}],
        "resources": {"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"memory": "8Gi"}}})
}

fn object(kind: &str, name: &str) -> Value {
    let labels = json!({"app": "a"});
    let sidecar = json!({"name": "sidecar", "image": "registry.example/b:1"});
    let pod = json!({"metadata": {"labels": labels}, "spec": {"restartPolicy": "Never", "containers": [sidecar, container()]}});
    let mut always = pod.clone();
    always["spec"]["restartPolicy"] = json!("Always");
    let (version, spec) = match kind {
        "CronJob" => ("batch/v1", json!({"schedule": "0 2 * * *", "jobTemplate": {"spec": {"template": pod}}})),
        kind => {
            let mut spec = json!({"selector": {"matchLabels": labels}, "template": always});
            if kind == "StatefulSet" {
                spec["serviceName"] = json!("a");
            }
            ("apps/v1", spec)
        }
    };
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn containers(object: &Value) -> &Vec<Value> {
    let places = ["/spec/jobTemplate/spec/template/spec/containers", "/spec/template/spec/containers"];
    places.iter().find_map(|place| object.pointer(place)).unwrap().as_array().unwrap()
}

/// Only the resources of the one container differ.
fn assert_sized(object: &Value) {
    let found = containers(object);
    assert_eq!(found.len(), 2, "{object:#}");
    let main = found.iter().find(|c| c["name"] == "main").unwrap();
    assert_eq!(main["resources"], resources());
    assert_eq!((&main["image"], &main["env"]), (&container()["image"], &container()["env"]));
    assert!(found.iter().find(|c| c["name"] == "sidecar").unwrap().get("resources").is_none_or(|r| r == &json!({})));
}

#[rstest]
#[case::cronjob("CronJob", "cronjob")]
#[case::deployment("Deployment", "deployment")]
#[case::statefulset("StatefulSet", "statefulset")]
#[case::daemonset("DaemonSet", "daemonset")]
fn kubectl_kustomize_sizes_the_container(#[case] kind: &str, #[case] of: &str) {
    let Some(kubectl) = tool("kubectl", "kubectl_kustomize_sizes_the_container") else { return };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("base.yaml", &object(kind, "nightly").to_string());
    let kustomization = exported(&entry("jobs", &format!("{of}/nightly"), "main"), "kustomize");
    write("kustomization.yaml", &format!("resources: [base.yaml]\nnamespace: elsewhere\n{kustomization}"));
    let made = run(Command::new(kubectl).arg("kustomize").arg(folder.path()));
    assert_sized(&serde_saphyr::from_str(&made).unwrap());
}

#[test]
fn the_api_server_takes_the_patch() {
    const TEST: &str = "the_api_server_takes_the_patch";
    let Some(cluster) = cluster(TEST) else { return };
    let Some(kubectl) = tool("kubectl", TEST) else { return };
    let namespace = cluster.namespace("patch");
    let folder = tempfile::tempdir().unwrap();
    for (kind, of, api, plural) in [
        ("CronJob", "cronjob", "/apis/batch/v1", "cronjobs"),
        ("Deployment", "deployment", "/apis/apps/v1", "deployments"),
    ] {
        namespace.create(api, plural, &object(kind, "nightly"));
        let file = folder.path().join(format!("{of}.yaml"));
        std::fs::write(&file, exported(&entry(&namespace.name, &format!("{of}/nightly"), "main"), "patch")).unwrap();
        let mut patch = kubectl_of(&kubectl, cluster.kubeconfig());
        run(patch.args(["-n", &namespace.name, "patch", of, "nightly", "--patch-file"]).arg(&file));
        assert_sized(&namespace.find(api, &format!("{plural}/nightly")).unwrap());
    }
}

fn kubectl_of(kubectl: &Path, kubeconfig: &Path) -> Command {
    let mut command = Command::new(kubectl);
    command.arg("--kubeconfig").arg(kubeconfig);
    command
}

#[test]
fn helm_gives_the_container_the_values() {
    let Some(helm) = tool("helm", "helm_gives_the_container_the_values") else { return };
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("chart");
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    std::fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: chart\nversion: 1.0.0\n").unwrap();
    let template = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: main\n    image: \
                    registry.example/a:1\n    resources:\n      {{- toYaml .Values.resources | nindent 6 }}\n";
    std::fs::write(chart.join("templates/pod.yaml"), template).unwrap();
    std::fs::write(chart.join("values.yaml"), "resources: {requests: {cpu: 2, memory: 8Gi}, limits: {memory: 8Gi}}\n")
        .unwrap();
    let values = folder.path().join("values.yaml");
    std::fs::write(&values, exported(&entry("jobs", "cronjob/nightly", "main"), "helm-values")).unwrap();
    let made = run(Command::new(helm).arg("template").arg(&chart).arg("--values").arg(&values));
    let pod: Value = serde_saphyr::from_str(made.trim_start_matches("---\n")).unwrap();
    assert_eq!(pod["spec"]["containers"][0]["resources"], resources());
}

/// A chart whose one template passes its values on to the spec of an engine's object.
fn rendered(helm: &Path, template: &str, values: &str, snippet: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("chart");
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    std::fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: chart\nversion: 1.0.0\n").unwrap();
    std::fs::write(chart.join("templates/object.yaml"), template).unwrap();
    std::fs::write(chart.join("values.yaml"), values).unwrap();
    let file = folder.path().join("values.yaml");
    std::fs::write(&file, snippet).unwrap();
    let made = run(Command::new(helm).arg("template").arg(&chart).arg("--values").arg(&file));
    serde_saphyr::from_str(made.trim_start_matches("---\n")).unwrap()
}

/// The values of both parts of an application, as one snippet.
fn values_of(entries: &[Value]) -> String {
    let (_folder, file) = recommended(entries);
    let ran = podfit(["export", "--recommendations", file.to_str().unwrap(), "--format", "helm-values"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    ran.stdout
}

#[test]
fn helm_gives_a_spark_application_the_values() {
    const TEST: &str = "helm_gives_a_spark_application_the_values";
    let Some(helm) = tool("helm", TEST) else { return };
    let part = |role: &str, heap_mib: u64, total: &str| {
        let mut entry = entry("jobs", &format!("spark-{role}/basket"), &format!("spark-kubernetes-{role}"));
        entry["recommended"] = json!({"cpuRequest": CPU, "memoryRequest": total, "memoryLimit": total});
        entry["spark"] = json!({"heapBytes": heap_mib << 20});
        entry
    };
    let snippet = values_of(&[part("driver", 1024, "1524Mi"), part("executor", 1804, "2213Mi")]);
    assert!(snippet.contains("# 21 finished runs\n"), "{snippet}");
    let template = "apiVersion: sparkoperator.k8s.io/v1beta2\nkind: SparkApplication\nmetadata: {name: basket}\nspec:\n  \
                    type: Scala\n  mode: cluster\n  sparkVersion: 3.5.7\n  image: registry.example/spark:3.5.7\n  \
                    mainClass: org.example.Main\n  mainApplicationFile: local:///opt/spark/app.jar\n  \
                    driver:\n    {{- toYaml .Values.driver | nindent 4 }}\n  \
                    executor:\n    {{- toYaml .Values.executor | nindent 4 }}\n";
    let values = "driver: {cores: 1, memory: 1g}\nexecutor: {instances: 2, cores: 2, memory: 4g}\n";
    let made = rendered(&helm, template, values, &snippet);
    assert_eq!(
        made["spec"]["driver"],
        json!({"cores": 1, "coreRequest": CPU, "memory": "1024m", "memoryOverhead": "500m"})
    );
    assert_eq!(
        made["spec"]["executor"],
        json!({"instances": 2, "cores": 2, "coreRequest": CPU, "memory": "1804m", "memoryOverhead": "409m"})
    );
    // The operator's own definition takes it, without a field that it does not know.
    let Some(cluster) = cluster(TEST) else { return };
    let crds = match operator("spark-operator") {
        Ok(program) => program.with_file_name("spark-operator-crds"),
        Err(reason) => return skipped(TEST, &reason),
    };
    define(cluster, &crds);
    let namespace = cluster.namespace("values");
    let path = format!(
        "/apis/sparkoperator.k8s.io/v1beta2/namespaces/{}/sparkapplications?dryRun=All&fieldValidation=Strict",
        namespace.name
    );
    let taken =
        until("the API server serves the operator's kinds", || match cluster.request("POST", &path, Some(&made)) {
            Err((404, _)) => None,
            answer => Some(answer),
        });
    assert_eq!(taken.unwrap()["spec"]["executor"]["memoryOverhead"], "409m");
    let mut wrong = made;
    wrong["spec"]["executor"]["memoryOverheat"] = json!("409m");
    assert!(cluster.request("POST", &path, Some(&wrong)).is_err(), "the definition is asked");
}

/// Tells the cluster of the kinds in a folder; one that is there stays.
fn define(cluster: &Cluster, folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let definition: Value = serde_saphyr::from_str(text.trim_start_matches("---\n")).unwrap();
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        match cluster.request("POST", path, Some(&definition)) {
            Ok(_) | Err((409, _)) => {}
            Err(refused) => panic!("{refused:?}"),
        }
    }
}

#[test]
fn helm_gives_a_flink_deployment_the_values() {
    let Some(helm) = tool("helm", "helm_gives_a_flink_deployment_the_values") else { return };
    let part = |component: &str| entry("jobs", &format!("flink-{component}/clicks"), "flink-main-container");
    let snippet = values_of(&[part("jobmanager"), part("taskmanager")]);
    let template = "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {name: clicks}\nspec:\n  \
                    flinkVersion: v2_0\n  \
                    jobManager:\n    {{- toYaml .Values.jobManager | nindent 4 }}\n  \
                    taskManager:\n    {{- toYaml .Values.taskManager | nindent 4 }}\n";
    let values = "jobManager: {replicas: 1, resource: {cpu: 1, memory: 2048m}}\n\
                  taskManager: {resource: {cpu: 2, memory: 8g, ephemeralStorage: 2g}}\n";
    let made = rendered(&helm, template, values, &snippet);
    assert_eq!(made["spec"]["jobManager"], json!({"replicas": 1, "resource": {"cpu": 0.775, "memory": "1397m"}}));
    let worker = json!({"resource": {"cpu": 0.775, "memory": "1397m", "ephemeralStorage": "2g"}});
    assert_eq!(made["spec"]["taskManager"], worker);
}
