//! Several scrape jobs, and exporters whose labels were renamed by the scrape.

use crate::pods::{BEGIN, DAY};
use crate::series::{History, Labels, labels};
use crate::support::cli::podfit;
use crate::{json, nightly, notes, only_row, recommend, said};

/// What Prometheus does to an exporter's labels without `honor_labels`, where the target has labels of these names.
fn rename(labels: &mut Labels, target: &[(&str, &str)]) {
    for (name, value) in target {
        if let Some(own) = labels.insert((*name).to_owned(), (*value).to_owned()) {
            labels.insert(format!("exported_{name}"), own);
        }
    }
}

const OF_OBJECTS: [(&str, &str); 3] =
    [("namespace", "monitoring"), ("pod", "ksm-0"), ("container", "kube-state-metrics")];

fn plain() -> History {
    let mut history = History::default();
    nightly(&mut history, "nightly", 13, 0, 800.0, &Labels::new());
    history
}

#[test]
fn renamed_labels_are_found_by_namespace() {
    let honored = recommend(&plain(), &["-n", "etl"]);
    assert_eq!(only_row(&json(&honored)), (13, 812.0));
    let namespace = [("namespace", "kube-system")];
    let whole = [("namespace", "monitoring"), ("pod", "cadvisor-x7z"), ("container", "cadvisor")];
    for of_containers in [&namespace[..], &whole, &[]] {
        for of_objects in [&OF_OBJECTS[..], &[]] {
            let mut history = plain();
            history.relabel("container_", |labels, _| rename(labels, of_containers));
            history.relabel("kube_", |labels, _| rename(labels, of_objects));
            for more in [&["-n", "etl"][..], &[]] {
                let answer = recommend(&history, more);
                assert_eq!(said(&answer), said(&honored), "{of_containers:?} {of_objects:?} {more:?}");
            }
        }
    }
}

#[test]
fn the_setting_may_change_half_way() {
    let honored = recommend(&plain(), &["-n", "etl"]);
    for prefix in ["kube_", "container_", ""] {
        let mut history = plain();
        history.relabel(prefix, |labels, samples| {
            if *samples.first_key_value().unwrap().0 < BEGIN + 6 * DAY {
                rename(labels, &OF_OBJECTS);
            }
        });
        assert_eq!(said(&recommend(&history, &["-n", "etl"])), said(&honored), "{prefix}");
    }
}

#[test]
fn pods_and_nodes_do_not_become_the_scrapers_container() {
    let mut history = plain();
    let (start, end) = (BEGIN + 2 * 3600, BEGIN + 2 * 3600 + 1800);
    let node = labels([("id", "/")]);
    let pod = labels([
        ("id", "/kubepods.slice/kubepods-pod6a1f3c58_0d1e_4c8a_9a53_51c2a6f4b0aa.slice"),
        ("namespace", "etl"),
        ("pod", "nightly-29913240-bcx7k"),
    ]);
    for whole in [node, pod] {
        history.say_all("container_memory_working_set_bytes", &whole, (start, end, 30), 6e10);
        history.say_all("container_cpu_usage_seconds_total", &whole, (start, end, 30), 5.0);
    }
    let target = [("namespace", "monitoring"), ("pod", "cadvisor-x7z"), ("container", "cadvisor")];
    history.relabel("container_", |labels, _| rename(labels, &target));
    let answer = json(&recommend(&history, &[]));
    assert_eq!(only_row(&answer), (13, 812.0));
    assert_eq!(notes(&answer), "");
}

#[test]
fn labels_that_name_no_pod_are_named_with_the_relabelling() {
    let mut history = plain();
    history.relabel("container_", |labels, _| {
        for (name, other) in [("namespace", "kubernetes_namespace"), ("pod", "kubernetes_pod_name")] {
            let value = labels.remove(name).unwrap();
            labels.insert(other.to_owned(), value);
        }
    });
    for more in [&["-n", "etl"][..], &[]] {
        let ran = recommend(&history, more);
        // Of the runs that kube-state-metrics tells of nothing was measured.
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!said.contains("allowlist") && !said.contains("peakMaxBytes\": 8"), "{said}");
        for words in [
            "kubernetes_namespace, kubernetes_pod_name",
            "{source_labels: [kubernetes_namespace], target_label: namespace}",
            "{source_labels: [kubernetes_pod_name], target_label: pod}",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
}

#[test]
fn several_jobs_tell_of_the_same_and_one_can_be_chosen() {
    let mut history = History::default();
    for job in ["cadvisor", "kubelet"] {
        nightly(&mut history, "nightly", 13, 0, 800.0, &labels([("job", job)]));
    }
    let both = json(&recommend(&history, &[]));
    assert_eq!(only_row(&both), (13, 812.0));
    let notes_of_both = notes(&both);
    for words in ["cadvisor, kubelet", "--cadvisor-job kubelet", "--kube-state-metrics-job kubelet"] {
        assert!(notes_of_both.contains(words), "{words}: {notes_of_both}");
    }
    let chosen = ["--cadvisor-job", "kubelet", "--kube-state-metrics-job", "cadvisor"];
    let one = json(&recommend(&history, &chosen));
    assert_eq!((only_row(&one), notes(&one)), ((13, 812.0), String::new()));
    let none = json(&recommend(&history, &["--cadvisor-job", "absent"]));
    let said = notes(&none);
    assert!(said.contains("absent") && said.contains("check --cadvisor-job"), "{said}");
}

/// Rows have no place for what is true of all of them.
#[test]
fn csv_leaves_no_note_unsaid() {
    let mut history = History::default();
    for job in ["cadvisor", "kubelet"] {
        nightly(&mut history, "nightly", 13, 0, 800.0, &labels([("job", job)]));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.om");
    history.write(&file);
    let ran = podfit(["recommend", "-o", "csv", "--openmetrics", file.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.lines().iter().any(|line| line.contains("--cadvisor-job kubelet")), "{}", ran.stderr);
    assert!(!ran.stdout.contains("--cadvisor-job"), "{}", ran.stdout);
}
