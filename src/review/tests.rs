//! A review of texts: what is found, where, and how it stays the same when lines move.

use super::*;
use crate::policy::RULES;

const JOB: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: load, namespace: jobs}
spec:
  template:
    spec:
      serviceAccountName: loader
      securityContext: {runAsNonRoot: true}
      containers:
      - name: main
        image: reg.example/load
        resources: {requests: {cpu: 1, memory: 1Gi}, limits: {memory: 1Gi}}
        env:
        - name: DB_PASSWORD
          value: hunter2
";

fn review(text: &str, settings: &str) -> Review {
    let mut review = Review::default();
    review.add("job.yaml", text, &Settings::from_yaml(settings).unwrap(), "default");
    review
}

#[test]
fn findings_have_lines() {
    let review = review(JOB, "");
    let seen: Vec<_> = review.findings.iter().map(|f| (f.finding.rule, f.line, f.column, f.finding.mode)).collect();
    assert_eq!(seen, [("latest-tag", 11, 16, Mode::Enforce), ("hardcoded-credential", 15, 18, Mode::Warn)]);
    assert!(!serde_json::to_string(&review).unwrap().contains("hunter2"));
    assert_eq!((review.pods, review.worst()), (1, Some(Mode::Enforce)));
}

#[test]
fn settings_hold_by_namespace() {
    let settings = "
namespaces: [{names: [jobs], modes: {latest-tag: audit}}]
exemptions: [{reason: moves to a Secret next week, rules: [hardcoded-credential], namespaces: [jobs], images: [reg.example/load]}]
";
    assert_eq!(review(JOB, settings).worst(), Some(Mode::Audit));
    let elsewhere = review(&JOB.replace(", namespace: jobs", ""), settings);
    assert_eq!(elsewhere.worst(), Some(Mode::Enforce));
}

#[test]
fn one_bad_document_leaves_the_others() {
    let text = format!("{JOB}---\na: [\n---\nkind: Job\nspec: {{}}\n---\nkind: ConfigMap\n---\n{JOB}");
    let review = review(&text, "");
    assert_eq!(review.findings.len(), 4);
    assert_eq!(review.errors.len(), 2, "{:?}", review.errors);
    assert!(review.errors[1].message.contains("cannot be judged"), "{:?}", review.errors);
    let lines = JOB.lines().count() as u64;
    assert!((lines + 2..=lines + 4).contains(&review.errors[0].line), "{:?}", review.errors);
    assert_eq!(review.findings[2].line, lines + 8 + 11);
}

#[test]
fn what_is_shared_is_said_once() {
    let text = "apiVersion: sparkoperator.k8s.io/v1beta2\nkind: SparkApplication\nmetadata: {name: a}\nspec:\n  image: spark\n  driver: {serviceAccount: spark}\n";
    let images: Vec<_> = review(text, "").findings.into_iter().filter(|f| f.finding.rule == "latest-tag").collect();
    assert_eq!(images.iter().map(|f| (f.line, f.column)).collect::<Vec<_>>(), [(5, 10), (5, 10)], "a container each");
    assert_ne!(images[0].finding.message, images[1].finding.message);
}

#[test]
fn fingerprints_do_not_move_with_lines() {
    let prints = |text: &str| -> Vec<String> {
        let log = sarif(&review(text, ""));
        let results = log["runs"][0]["results"].as_array().unwrap().clone();
        results.iter().map(|r| r["partialFingerprints"]["podfit/v1"].as_str().unwrap().to_owned()).collect()
    };
    let moved = JOB.replace("        env:\n", "        env:\n        - {name: A, value: b}\n");
    assert_eq!(prints(JOB), prints(&format!("# a line above\n{moved}")));
    assert_ne!(prints(JOB), prints(&JOB.replace("name: load,", "name: other,")));
    let twice = prints(&format!("{JOB}---\n{JOB}"));
    assert_eq!(twice.iter().collect::<BTreeSet<_>>().len(), twice.len());
}

#[test]
fn sarif_has_what_viewers_need() {
    let mut review = review(JOB, "");
    review.add("/abs/a b.yaml", "a: [", &Settings::default(), "default");
    let log = sarif(&review);
    let run = &log["runs"][0];
    assert_eq!(log["version"], "2.1.0");
    assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), RULES.len());
    for rule in run["tool"]["driver"]["rules"].as_array().unwrap() {
        for text in ["/shortDescription/text", "/fullDescription/text", "/help/text", "/defaultConfiguration/level"] {
            assert!(rule.pointer(text).unwrap().as_str().unwrap().len() > 3, "{rule}");
        }
    }
    let first = &run["results"][0];
    assert_eq!(first["ruleId"], run["tool"]["driver"]["rules"][first["ruleIndex"].as_u64().unwrap() as usize]["id"]);
    assert_eq!(first["level"], "error");
    let place = &first["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "job.yaml");
    assert_eq!(place["region"]["startLine"], 11);
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    let told = &run["invocations"][0]["toolExecutionNotifications"][0]["locations"][0]["physicalLocation"];
    assert_eq!(told["artifactLocation"]["uri"], "file:///abs/a%20b.yaml");
}
