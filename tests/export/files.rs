//! Files for a pull request: where they are written, what is never touched, what is said.

use std::path::Path;

use serde_json::json;

use super::support::cli::{Ran, podfit};
use super::{entry, recommended};

fn write(file: &Path, into: &Path, more: &[&str]) -> Ran {
    let mut args = vec!["export", "--recommendations", file.to_str().unwrap(), "--write", into.to_str().unwrap()];
    args.extend(more);
    podfit(args)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn each_workload_is_a_file_and_a_second_time_changes_nothing() {
    let unknown =
        json!({"namespace": "sales", "workload": "cronjob/new", "container": "c", "notes": ["memory unknown"]});
    let all =
        [entry("sales", "cronjob/nightly", "main"), entry("sales", "airflow-task/orders/extract", "base"), unknown];
    let (folder, file) = recommended(&all);
    let into = folder.path().join("pull/request");
    for _ in 0..2 {
        let ran = write(&file, &into, &[]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(
            ran.lines(),
            ["podfit: 1 without a number were not written: without --write their reasons are printed"]
        );
        let expected =
            ["sales--airflow-task--orders--extract--airflow-pod-override.py", "sales--cronjob--nightly--patch.yaml"];
        assert_eq!(names(&into), expected);
        let printed: Vec<String> = expected.iter().map(|name| into.join(name).display().to_string()).collect();
        assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), printed);
    }
}

#[test]
fn what_is_there_is_replaced_by_force_alone() {
    let (folder, file) = recommended(&[entry("a", "cronjob/a", "main"), entry("b", "cronjob/b", "main")]);
    let into = folder.path().join("out");
    std::fs::create_dir(&into).unwrap();
    let mine = into.join("b--cronjob--b--patch.yaml");
    std::fs::write(&mine, "mine").unwrap();
    write(&file, &into, &[]).refused_with(&["b--cronjob--b--patch.yaml is there and differs: --force replaces it"]);
    assert_eq!(names(&into), ["b--cronjob--b--patch.yaml"], "none is written where one is in the way");
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
    assert_eq!(write(&file, &into, &["--force"]).code, Some(0));
    assert!(std::fs::read_to_string(&mine).unwrap().contains("kind: CronJob"));
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let hostile = ["cronjob/../../../../escaped", "cronjob/..", "cronjob/a\u{0}b", "cronjob/-rf", "cronjob/a\nb: c"];
    let entries: Vec<_> = hostile.iter().map(|workload| entry("../../up", workload, "../c")).collect();
    let (folder, file) = recommended(&entries);
    let into = folder.path().join("out");
    let ran = write(&file, &into, &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(names(&into).len(), hostile.len());
    assert_eq!(names(folder.path()), ["out", "recommendations.json"]);
}

/// A link that waits under the name of a snippet is replaced, what it leads to is not.
#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    let (folder, file) = recommended(&[entry("a", "cronjob/a", "main")]);
    let (into, outside) = (folder.path().join("out"), folder.path().join("outside"));
    std::fs::create_dir(&into).unwrap();
    std::fs::write(&outside, "mine").unwrap();
    let link = into.join("a--cronjob--a--patch.yaml");
    std::os::unix::fs::symlink(&outside, &link).unwrap();
    write(&file, &into, &[]).refused_with(&["is there and differs"]);
    assert_eq!(write(&file, &into, &["--force"]).code, Some(0));
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "mine");
    assert!(std::fs::symlink_metadata(&link).unwrap().is_file());
}

#[test]
fn what_cannot_be_done_is_said() {
    let (folder, file) = recommended(&[entry("a", "cronjob/nightly", "main")]);
    let file = file.to_str().unwrap();
    let export = |args: &[&str]| podfit(["export", "--recommendations", file].iter().chain(args));
    export(&["cronjob/nihtly"]).refused_with(&["no recommendation for \"cronjob/nihtly\"", "podfit recommend"]);
    export(&["cronjob/nightly", "--format", "argo-template"])
        .refused_with(&["argo-template is no form of cronjob/nightly", "patch, kustomize, helm-values"]);
    export(&["--format", "argo-template"]).refused_with(&["nothing to export as argo-template"]);
    export(&["--format", "xml"]).refused_with(&["invalid value 'xml'", "airflow-pod-override"]);
    export(&["--force"]).refused_with(&["--write"]);
    let missing = folder.path().join("missing");
    podfit(["export", "--recommendations", missing.to_str().unwrap()]).refused_with(&["cannot read", "missing"]);
    std::fs::write(&missing, "{\"workloads\": [{\"namespace\": \"n\", \"workload\": \"x\", \"container\": \"c\"}]}")
        .unwrap();
    podfit(["export", "--recommendations", missing.to_str().unwrap()])
        .refused_with(&["workloads[0].workload: \"x\" is no workload", "podfit recommend -o json"]);
    let found = export(&["a/cronjob/nightly:main"]);
    assert_eq!(found.code, Some(0));
    assert!(
        found.stdout.starts_with("# cronjob/nightly in a, container main\n# memory 8Gi -> 1397Mi"),
        "{}",
        found.stdout
    );
}
