//! Patches, kustomizations and values are handed to kubectl, Helm and the API server.

use std::path::{Path, PathBuf};
use std::process::Command;

use rstest::rstest;
use serde_json::{Value, json};

use super::support::cluster::cluster;
use super::support::prometheus_server::skipped;
use super::{entry, exported, resources};

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
