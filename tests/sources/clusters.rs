//! Several clusters in one server.

use crate::pods::{Asks, BEGIN, DAY, GIB, MIB, Pod};
use crate::series::{History, Labels, labels};
use crate::{json, nightly, notes, only_row, recommend};

/// Production at two o'clock with 7 GiB, development at four with 200 MiB.
fn two(of_prod: &Labels, of_dev: &Labels) -> History {
    let mut history = History::default();
    nightly(&mut history, "nightly", 13, 0, 7000.0, of_prod);
    nightly(&mut history, "nightly", 13, 2, 200.0, of_dev);
    history
}

#[track_caller]
fn refused(history: &History, more: &[&str], words: &[&str]) {
    let ran = recommend(history, more);
    assert!(ran.code != Some(0) && ran.stdout.is_empty(), "{ran:?}");
    for word in words {
        assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
    }
}

#[test]
fn the_same_names_in_two_clusters_are_refused_and_the_flag_is_named() {
    let by = |name, prod, dev| two(&labels([(name, prod)]), &labels([(name, dev)]));
    for name in ["cluster", "k8s_cluster", "kubernetes_cluster", "clusterName", "tenant"] {
        let history = by(name, "prod", "dev");
        refused(&history, &[], &["2 clusters", "namespace etl", &format!("{name}=dev, {name}=prod"), "--series-label"]);
        for (value, peak) in [("prod", 7012.0), ("dev", 212.0)] {
            let chosen = json(&recommend(&history, &["--series-label", &format!("{name}={value}")]));
            assert_eq!(only_row(&chosen), (13, peak));
        }
    }
}

#[test]
fn a_cluster_without_a_label_is_another_one() {
    let history = two(&labels([("cluster", "prod")]), &Labels::new());
    refused(&history, &[], &["2 clusters", "cluster=prod"]);
    assert_eq!(only_row(&json(&recommend(&history, &["--series-label", "cluster="]))), (13, 212.0));
}

#[test]
fn clusters_of_one_name_in_two_regions() {
    let history =
        two(&labels([("cluster", "main"), ("region", "eu")]), &labels([("cluster", "main"), ("region", "us")]));
    refused(&history, &[], &["region=eu, region=us", "--series-label region="]);
}

#[test]
fn pods_of_one_name_without_a_cgroup() {
    let mut history = History::default();
    for (cluster, peak) in [("prod", 7.0 * GIB), ("dev", 300.0 * MIB)] {
        let mut pod = Pod::new("etl", "worker-0", BEGIN, BEGIN + 3 * DAY);
        pod.uid = format!("{:08}-0000-4000-8000-000000000000", cluster.len());
        pod.owner = ("StatefulSet".to_owned(), "worker".to_owned());
        pod.on_cadvisor = labels([("cluster", cluster)]);
        pod.on_objects = pod.on_cadvisor.clone();
        pod.has_id = false;
        pod.interval = 300;
        pod.measure(&mut history, ("worker", 0), (pod.start, pod.end), |_| peak, 1.0);
        pod.exists(&mut history);
        pod.asks(&mut history, "worker", Asks::memory(8.0 * GIB), (pod.start, pod.end));
    }
    refused(&history, &[], &["2 clusters", "--series-label cluster="]);
}

#[test]
fn namespaces_that_only_one_cluster_has_are_no_reason() {
    let mut history = two(&labels([("cluster", "prod")]), &labels([("cluster", "dev")]));
    history.relabel("", |labels, _| {
        if labels["cluster"] == "dev" {
            labels.insert("namespace".to_owned(), "playground".to_owned());
        }
    });
    let all = json(&recommend(&history, &[]));
    assert_eq!(all["workloads"].as_array().unwrap().len(), 2, "{all:#}");
}

#[test]
fn replicas_of_one_prometheus_are_one_cluster() {
    // The last is nobody's convention: what both have of the same pods shows it.
    for name in ["prometheus_replica", "replica", "__replica__", "prometheus", "monitor", "cluster_monitor"] {
        let mut history = History::default();
        for replica in ["a", "b"] {
            nightly(&mut history, "nightly", 13, 0, 800.0, &labels([(name, replica)]));
        }
        let answer = json(&recommend(&history, &[]));
        assert_eq!(only_row(&answer), (13, 812.0), "{name}");
        assert_eq!(notes(&answer), "", "{name}");
    }
}

#[test]
fn labels_of_nodes_and_of_names_are_no_clusters() {
    let mut history = History::default();
    nightly(&mut history, "nightly", 13, 0, 800.0, &Labels::new());
    let plain = recommend(&history, &[]);
    let mut night = 0;
    history.relabel("container_memory", |labels, _| {
        night += 1;
        labels.insert("topology_kubernetes_io_zone".to_owned(), format!("eu-{}", night % 2));
    });
    assert_eq!(recommend(&history, &[]).stdout, plain.stdout);

    // Made of the pod's name on both sides: never the same names under two values.
    let mut history = History::default();
    for (app, later) in [("load", 0), ("clean", 2)] {
        nightly(&mut history, app, 13, later, 800.0, &labels([("app", app)]));
    }
    let answer = json(&recommend(&history, &[]));
    assert_eq!(answer["workloads"].as_array().unwrap().len(), 2);
}

#[test]
fn a_cluster_whose_label_was_changed_is_one_and_a_note_says_so() {
    let mut history = History::default();
    nightly(&mut history, "nightly", 13, 0, 800.0, &Labels::new());
    let change = BEGIN + 6 * DAY;
    history.relabel("", |labels, samples| {
        let cluster = if *samples.first_key_value().unwrap().0 < change { "blue" } else { "green" };
        labels.insert("cluster".to_owned(), cluster.to_owned());
    });
    let answer = json(&recommend(&history, &[]));
    assert_eq!(only_row(&answer), (13, 812.0));
    let notes = notes(&answer);
    assert!(notes.contains("cluster=blue, cluster=green") && notes.contains("--series-label cluster="), "{notes}");
}

#[test]
fn a_store_is_not_filled_from_two_clusters() {
    let history = two(&labels([("cluster", "prod")]), &labels([("cluster", "dev")]));
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store.redb");
    let with = |label| ["--store", store.to_str().unwrap(), "--series-label", label];
    let first = json(&recommend(&history, &with("cluster=prod")));
    assert_eq!(only_row(&first), (13, 7012.0));
    refused(&history, &with("cluster=dev"), &["store.redb", "cluster=\"prod\"", "cluster=\"dev\"", "--store"]);
    refused(&history, &with("cluster=dev")[..2], &["store.redb"]);
}
