//! Pods that really run: a kubelet, containerd and runc (`tests/node/up`), cAdvisor's own numbers, kills by the kernel.
//! A real Prometheus scrapes the kubelet; kube-state-metrics is a stand-in of ours (`objects`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers")]

mod objects;
mod scene;
#[path = "../support/mod.rs"]
mod support;

use scene::{Killed, MIB, Scene, TriedAgain};
use support::prometheus_server::skipped;

#[test]
fn steady_work_is_lowered_to_what_it_held() {
    let Some(scene) = Scene::shared("steady_work_is_lowered_to_what_it_held") else { return };
    let row = scene.row("steady");
    assert_eq!((row.runs(), row.kills()), (4, 0), "{row}");
    let limit = row.recommended_mib().unwrap_or_else(|| panic!("nothing is recommended: {row}"));
    assert!((91..200).contains(&limit), "90 MiB were held, {limit} MiB are recommended: {row}");
}

/// cAdvisor looks every 10 to 15 s: what the last two seconds of a run need shows in no series.
#[test]
fn a_peak_in_the_last_two_seconds_is_not_lost() {
    let Some(scene) = Scene::shared("a_peak_in_the_last_two_seconds_is_not_lost") else { return };
    let row = scene.row("late-peak");
    assert!(row.recommended_mib().is_none_or(|mib| mib >= 202), "202 MiB were needed at the end: {row}");
}

#[test]
fn what_is_too_short_to_be_seen_is_unknown() {
    let Some(scene) = Scene::shared("what_is_too_short_to_be_seen_is_unknown") else { return };
    let row = scene.row("short");
    assert!(row.recommended_mib().is_none_or(|mib| mib >= 256), "nobody saw what it needs: {row}");
}

#[test]
fn kills_by_the_kernel_are_counted_and_answered() {
    let Some(scene) = Scene::shared("kills_by_the_kernel_are_counted_and_answered") else { return };
    let row = scene.row("tight");
    assert_eq!((row.runs(), row.kills()), (4, 4), "{row}");
    assert!(row.recommended_mib().is_some_and(|mib| mib >= 102), "102 MiB were needed, and 64 were allowed: {row}");
}

/// With cgroup v1 the container outlives a process of its own that is killed.
#[test]
fn a_killed_process_is_a_kill_though_the_container_completes() {
    let Some(scene) = Scene::shared("a_killed_process_is_a_kill_though_the_container_completes") else { return };
    let row = scene.row("child");
    assert_eq!(row.kills(), row.runs(), "{row}");
    assert!(row.recommended_mib().is_some_and(|mib| mib > 64), "{row}");
}

#[test]
fn page_cache_is_no_need() {
    let Some(scene) = Scene::shared("page_cache_is_no_need") else { return };
    if scene.kernel == "uml" {
        return skipped(
            "page_cache_is_no_need",
            "on User Mode Linux the files of pods lie in memory, and are no page cache",
        );
    }
    let row = scene.row("cache");
    assert_eq!(row.kills(), 0, "{row}");
    assert!(row.recommended_mib().is_none_or(|mib| (42..=256).contains(&mib)), "files may fill any limit: {row}");
}

#[test]
fn a_deadline_is_no_kill_for_memory() {
    let Some(scene) = Scene::shared("a_deadline_is_no_kill_for_memory") else { return };
    let row = scene.row("deadline");
    assert_eq!(row.kills(), 0, "{row}");
    assert!(row.recommended_mib().is_none_or(|mib| mib >= 128), "no run came to its end: {row}");
}

/// A resize stands in the spec at once, whether or not it is ever done: what is in force is what kills.
#[test]
fn a_kill_is_answered_from_the_limit_in_force() {
    let Some(scene) = Scene::shared("a_kill_is_answered_from_the_limit_in_force") else { return };
    let case = |name, container, limit_mib, arguments, resized_to_mib| Killed {
        name,
        container,
        limit_mib,
        arguments,
        resized_to_mib,
    };
    let grows: &[&str] = &["mem=30Mi", "for=45s", "mem=100Mi", "for=5s"];
    let cases = [
        case("untouched", "main", 64, grows, None),
        case("in-init", "init", 64, &["mem=30Mi", "for=2s", "mem=100Mi", "for=2s"], None),
        // The node has it, and others are there.
        case("deferred", "main", 64, grows, Some(scene.node_mib())),
        // Less than it uses.
        case("refused", "main", 128, &["mem=60Mi", "for=45s", "mem=200Mi", "for=5s"], Some(40)),
        case("raised", "main", 64, &["mem=30Mi", "for=45s", "mem=200Mi", "for=5s"], Some(160)),
    ];
    let (tried, log) = scene.killed_and_tried_again(&cases);
    let of = |asked_mib, next_mib| TriedAgain { asked_mib, next_mib, next_phase: "Succeeded".to_owned() };
    assert_eq!(
        tried,
        [of(64, 128), of(64, 128), of(scene.node_mib(), 128), of(40, 256), of(160, 320)],
        "podfit said:\n{log}"
    );
}

#[test]
fn no_size_is_a_number_without_data() {
    let Some(scene) = Scene::shared("no_size_is_a_number_without_data") else { return };
    for row in scene.rows() {
        let peak = row.peak_bytes().map(|bytes| bytes / MIB);
        assert!(peak != Some(0), "no container holds nothing: {row}");
    }
}
