//! `podfit review` and `podfit policy export` as their user runs them: what is printed, where, and the exit status.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers too")]

#[path = "review/kinds.rs"]
mod kinds;
#[path = "support/mod.rs"]
mod support;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use support::cli::{Ran, SECRET, command, run};

const DEPLOYMENT: &str = "# Source: chart/templates/api.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  namespace: web
spec:
  template:
    spec:
      serviceAccountName: api
      securityContext:
        runAsUser: 0
      containers:
      - name: api
        image: reg.example/api
        env:
        - name: DB_PASSWORD
          value: hunter2
        resources:
          requests: {cpu: 100m, memory: 64Mi}
---
apiVersion: v1
kind: Service
metadata:
  name: api
---
apiVersion: sparkoperator.k8s.io/v1beta2
kind: SparkApplication
metadata: {name: orders}
spec:
  image: reg.example/spark:latest
  volumes:
  - {name: scratch, hostPath: {path: /mnt/nvme}}
  driver:
    serviceAccount: spark
    securityContext: {runAsNonRoot: true}
  executor:
    image: reg.example/spark:4.0.1
    securityContext: {runAsNonRoot: true}
    volumeMounts:
    - {name: scratch, mountPath: /scratch}
";

const GOLDEN: &str = "\
app.yaml:15:16: latest-tag: container api: image reg.example/api has no tag (latest): pin a version or a digest
app.yaml:12:20: run-as-root: container api: runs as root (runAsUser 0): set runAsUser to the image's own user
app.yaml:20:11: missing-resources: container api: no memory limit: set it in resources
app.yaml:18:18: hardcoded-credential: container api: env DB_PASSWORD holds a literal credential: use a Secret
app.yaml:31:10: latest-tag: container spark-kubernetes-driver: image reg.example/spark:latest: pin a version or a digest
app.yaml:41:7: host-path-data: container spark-kubernetes-executor: writes to the node (hostPath scratch): use a volume claim or emptyDir
";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn review(folder: &Path, args: &[&str]) -> Ran {
    let ran = run(command().current_dir(folder).arg("review").args(args));
    assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET), "{ran:?}");
    ran
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn text_has_a_line_per_finding() {
    let folder = folder(&[("app.yaml", DEPLOYMENT)]);
    let ran = review(folder.path(), &["app.yaml"]);
    assert_eq!(ran.stdout, GOLDEN);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
}

#[test]
fn json_says_the_same() {
    let folder = folder(&[("app.yaml", DEPLOYMENT)]);
    let ran = review(folder.path(), &["-o", "json", "app.yaml"]);
    let report = json(&ran);
    let lines: String = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            let text = |key: &str| f[key].as_str().unwrap();
            format!("{}:{}:{}: {}: {}\n", text("file"), f["line"], f["column"], text("rule"), text("message"))
        })
        .collect();
    assert_eq!(lines, GOLDEN);
    let last = &report["findings"][5];
    let expected = serde_json::json!({
        "file": "app.yaml", "line": 41, "column": 7, "kind": "SparkApplication", "namespace": "default",
        "name": "orders", "role": "executor", "rule": "host-path-data", "reason": "writable", "severity": "breach",
        "mode": "warn", "container": "spark-kubernetes-executor", "path": "/spec/executor/volumeMounts/0",
        "message": "container spark-kubernetes-executor: writes to the node (hostPath scratch): use a volume claim or \
                    emptyDir",
    });
    assert_eq!(last, &expected);
    assert_eq!(report["errors"], serde_json::json!([]));
    assert_eq!(report["pods"], 3);
}

#[test]
fn sarif_says_the_same() {
    let folder = folder(&[("app.yaml", DEPLOYMENT)]);
    let ran = review(folder.path(), &["-o", "sarif", "--fail-on", "enforce", "app.yaml"]);
    assert_eq!(ran.code, Some(1));
    let run = json(&ran)["runs"][0].clone();
    let lines: String = run["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            let place = &r["locations"][0]["physicalLocation"];
            let (file, region) = (place["artifactLocation"]["uri"].as_str().unwrap(), &place["region"]);
            let rule = r["ruleId"].as_str().unwrap();
            let message = r["message"]["text"].as_str().unwrap();
            format!("{file}:{}:{}: {rule}: {message}\n", region["startLine"], region["startColumn"])
        })
        .collect();
    assert_eq!(lines, GOLDEN);
    let levels: Vec<_> = run["results"].as_array().unwrap().iter().map(|r| r["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["error", "error", "warning", "warning", "error", "warning"]);
}

#[test]
fn the_exit_status_follows_the_worst_mode() {
    let warning = "kind: Pod\nspec: {serviceAccountName: a, securityContext: {runAsNonRoot: true}, containers: [{name: a, image: b:1}]}\n";
    let folder = folder(&[
        ("warning.yaml", warning),
        ("audit.yaml", "rules: {modes: {missing-resources: audit}}"),
        ("off.yaml", "rules: {modes: {missing-resources: off}}"),
    ]);
    for (args, expected) in [
        (vec!["warning.yaml"], 0),
        (vec!["--fail-on", "warn", "warning.yaml"], 1),
        (vec!["--fail-on", "warn", "--policy", "audit.yaml", "warning.yaml"], 0),
        (vec!["--fail-on", "audit", "--policy", "audit.yaml", "warning.yaml"], 1),
        (vec!["--fail-on", "audit", "--policy", "off.yaml", "warning.yaml"], 0),
    ] {
        assert_eq!(review(folder.path(), &args).code, Some(expected), "{args:?}");
    }
}

#[test]
fn folders_are_searched_and_one_bad_file_hides_no_other() {
    let folder = folder(&[
        ("a/app.yaml", DEPLOYMENT),
        ("a/b/pod.json", r#"{"kind": "Pod", "spec": {"containers": [{"name": "x", "image": "y"}]}}"#),
        ("a/notes.txt", "image: latest"),
        ("a/.git/x.yaml", "kind: Pod\nspec: {containers: [{name: hidden, image: x}]}\n"),
        ("a/c.yml", "kind: Pod\nspec: {\n"),
        ("a/d.yaml", "kind: Pod\nimage: {{ .Values.image }}\n"),
    ]);
    let ran = review(folder.path(), &["a", "missing.yaml"]);
    assert_eq!(ran.code, Some(2));
    let lines = ran.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("podfit: a/c.yml:"), "{lines:?}");
    assert!(lines[1].ends_with("this is a template: render it first (helm template … | podfit review -)"), "{lines:?}");
    assert!(lines[1].starts_with("podfit: a/d.yaml:2:"), "{lines:?}");
    assert!(lines[2].starts_with("podfit: missing.yaml:1:1: cannot be read: "), "{lines:?}");
    assert!(ran.stdout.contains("a/b/pod.json:1:64: latest-tag: container x: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("a/app.yaml:15:16: latest-tag"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("hidden") && !ran.stdout.contains("notes"), "{}", ran.stdout);
}

#[test]
fn standard_input_is_read() {
    let mut child = command()
        .args(["review", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(DEPLOYMENT.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), GOLDEN.replace("app.yaml", "stdin"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn nothing_to_judge_is_said() {
    let folder = folder(&[("a.yaml", "kind: ConfigMap\n")]);
    let ran = review(folder.path(), &["."]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    assert_eq!(ran.lines(), ["podfit: nothing to judge: no object with pods in 1 files"]);
}

#[test]
fn bad_settings_are_refused_with_the_place() {
    let folder = folder(&[("p.yaml", "rules: {modes: {latest-tags: warn}}"), ("a.yaml", "kind: Pod\n")]);
    let ran = review(folder.path(), &["--policy", "p.yaml", "a.yaml"]);
    ran.refused_with(&[
        "the policy p.yaml cannot be used: rules.modes: there is no rule \"latest-tags\"; the rules are latest-tag",
    ]);
    review(folder.path(), &["--policy", "none.yaml", "a.yaml"]).refused_with(&["cannot read the policy none.yaml"]);
}

#[test]
fn the_export_is_yaml_of_the_modes() {
    let folder = folder(&[(
        "p.yaml",
        "rules:\n  modes: {latest-tag: audit, run-as-root: off}\n  namespaces: [{names: [dev-*], modes: {latest-tag: off}}]\n",
    )]);
    let ran = run(command().current_dir(folder.path()).args([
        "policy",
        "export",
        "--policy",
        "p.yaml",
        "--name-prefix",
        "acme",
    ]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&ran.stdout).unwrap();
    let seen: Vec<_> = objects
        .iter()
        .filter(|o| o["kind"] == "ValidatingAdmissionPolicyBinding")
        .map(|o| (o["metadata"]["name"].as_str().unwrap(), o["spec"]["validationActions"][0].as_str().unwrap()))
        .collect();
    assert_eq!(
        seen,
        [
            ("acme-latest-tag-audit", "Audit"),
            ("acme-unproven-non-root", "Warn"),
            ("acme-root-group", "Audit"),
            ("acme-missing-resources", "Warn"),
            ("acme-default-service-account", "Warn"),
            ("acme-host-path-data", "Warn"),
        ]
    );
    assert!(ran.lines()[0].contains("hardcoded-credential is not exported: "), "{:?}", ran.stderr);
}

#[test]
fn the_readme_has_every_rule_with_its_default() {
    for rule in podfit::policy::RULES {
        let row = format!("| `{}` | {} | ", rule.id(), rule.default_mode());
        assert!(include_str!("../README.md").contains(&row), "{row}");
    }
}
