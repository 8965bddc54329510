//! What runs asked for: the sizes in force at their time, of every kind of container.

use super::answer::recommend;
use super::pods::{Asks, BEGIN, DAY, GIB, MIB, Pod, climbs, nights};
use super::series::{History, labels};

/// A database that is resized in place on its fifth day; then kube-state-metrics moves to another pod.
fn resized(instances: [&str; 2]) -> History {
    let mut history = History::default();
    let (start, change, end) = (BEGIN, BEGIN + 5 * DAY, BEGIN + 10 * DAY);
    let mut pod = Pod::new("etl", "db-0", start, end);
    pod.owner = ("StatefulSet".to_owned(), "db".to_owned());
    (pod.interval, pod.stays) = (300, 0);
    let need = |lived: i64| if lived < 5 * DAY { 1.5 * GIB } else { 3.0 * GIB };
    pod.measure(&mut history, ("main", 0), (start, end), need, 0.5);
    for (instance, size, (from, until)) in [(0, 2.0, (start, change)), (1, 4.0, (change, end))] {
        let mut told = pod.clone();
        told.on_objects = labels([("instance", instances[instance])]);
        (told.start, told.end) = (from, until);
        told.exists(&mut history);
        told.asks(&mut history, "main", Asks::memory(size * GIB), (from, until));
    }
    // When the pod began does not change.
    history.metrics.remove("kube_pod_start_time");
    history
}

#[test]
fn the_size_that_was_said_last_is_the_present_one() {
    for instances in [["10.0.0.9:8080", "10.0.0.10:8080"], ["10.0.0.1:8080", "10.0.0.9:8080"], ["a", "a"]] {
        let answer = recommend(&resized(instances), &[]);
        let row = answer.row("main");
        assert_eq!(row.current("memoryLimit"), Some(4.0 * GIB), "{instances:?}");
        assert!(row.recommended("memoryLimit").is_none_or(|bytes| bytes <= 4.0 * GIB), "{:#}", answer.json);
    }
}

/// A pod with an init container and a sidecar that is written as one.
#[test]
fn init_containers_and_native_sidecars_ask_for_something() {
    let mut history = History::default();
    for start in nights(13) {
        let end = start + 1800;
        let pod = Pod::of_cronjob("ml", "train", start, end);
        pod.measure(&mut history, ("init-schema", 0), (start, start + 60), |_| 50.0 * MIB, 0.2);
        pod.measure(&mut history, ("log-shipper", 0), (start, end), |_| 100.0 * MIB, 0.05);
        pod.measure(&mut history, ("main", 0), (start + 60, end), climbs(GIB, 1740), 1.0);
        pod.ran(&mut history, "main", Asks::memory(2.0 * GIB), "Completed");
        let init = ("kube_pod_init_container", "init-schema");
        pod.asks_as(&mut history, init, Asks::memory(256.0 * MIB), (start, end));
        let sidecar = ("kube_pod_init_container", "log-shipper");
        pod.asks_as(&mut history, sidecar, Asks::memory(128.0 * MIB), (start, end));
    }
    let answer = recommend(&history, &[]);
    for (container, mib) in [("init-schema", 256.0), ("log-shipper", 128.0), ("main", 2048.0)] {
        assert_eq!(answer.row(container).current("memoryLimit"), Some(mib * MIB), "{container}");
    }
}

#[test]
fn side_containers_that_are_left_alone_are_counted() {
    let side = ["istio-proxy", "vault-agent", "fluent-bit", "git-sync"];
    let mut history = History::default();
    for start in nights(5) {
        let end = start + 1800;
        let pod = Pod::of_cronjob("ml", "side", start, end);
        pod.measure(&mut history, ("main", 0), (start, end), climbs(3.0 * GIB, 1800), 1.5);
        for name in side {
            pod.measure(&mut history, (name, 0), (start, end), |_| 40.0 * MIB, 0.02);
            pod.asks(&mut history, name, Asks::memory(256.0 * MIB), (start, end));
        }
        pod.ran(&mut history, "main", Asks::memory(4.0 * GIB), "Completed");
    }
    let answer = recommend(&history, &[]);
    let mut sized: Vec<_> = answer.rows().iter().map(|row| row.0["container"].as_str().unwrap()).collect();
    sized.sort_unstable();
    assert_eq!(sized, ["fluent-bit", "main"]);
    let notes = answer.json["notes"].to_string();
    assert!(notes.contains("15 side containers") && notes.contains("istio-proxy (5)"), "{notes}");
}

/// Killed at all that it may use, a job wants twice as much; there is no node that has it.
#[test]
fn no_size_is_above_what_the_largest_node_can_give() {
    let mut history = History::default();
    for start in nights(8) {
        let pod = Pod::of_cronjob("etl", "nightly", start, start + 1800);
        pod.measure(&mut history, ("main", 0), (start, start + 1800), climbs(0.99 * GIB, 1740), 1.0);
        pod.ran(&mut history, "main", Asks::memory(GIB), "OOMKilled");
    }
    let of = |history: &History| recommend(history, &[]).row("main").recommended("memoryLimit");
    assert_eq!(of(&history), Some(2.0 * GIB), "where no node is known");
    for (node, gib) in [("small", 1.0), ("large", 1.5)] {
        let node = labels([("node", node), ("resource", "memory"), ("unit", "byte")]);
        history.say_all("kube_node_status_allocatable", &node, (BEGIN, BEGIN + 8 * DAY, 300), gib * GIB);
    }
    assert_eq!(of(&history), Some(1.5 * GIB));
}
