//! How runs ended: a reason belongs to the life in which it falls, and counts once.

use rstest::rstest;

use super::answer::{ask, recommend};
use super::pods::{Asks, BEGIN, DAY, GIB, HOUR, MIB, Pod, climbs, nights};
use super::series::{History, labels, with};

/// A life killed at its limit after ten minutes, and one in the same pod that completes.
fn killed_then_completed(has_id: bool, seen_at_once: bool) -> History {
    let mut history = History::default();
    for start in nights(10) {
        let (died, again, end) = (start + 600, start + 620, start + 1820);
        let mut pod = Pod::of_cronjob("etl", "nightly", start, end);
        pod.has_id = has_id;
        let near_limit = |lived: i64| (200.0 * MIB + lived as f64 / 600.0 * GIB).min(0.99 * GIB);
        pod.measure(&mut history, ("main", 0), (start, died), near_limit, 1.0);
        pod.measure(&mut history, ("main", 1), (again, end), |_| 300.0 * MIB, 1.0);
        pod.ran(&mut history, "main", Asks::memory(GIB), "Completed");
        if seen_at_once {
            pod.ended(&mut history, "main", "OOMKilled", (died + 11, died + 12));
        }
        pod.last_ended(&mut history, "main", "OOMKilled", (again + 21, end + 300));
    }
    history
}

#[test]
fn a_kill_counts_once_for_the_life_that_it_ended() {
    for (has_id, seen_at_once) in [(true, true), (true, false)] {
        let answer = recommend(&killed_then_completed(has_id, seen_at_once), &[]);
        let row = answer.row("main");
        assert_eq!((row.runs(), row.kills()), (20, 10), "id {has_id}, at once {seen_at_once}");
        assert!(row.recommended("memoryLimit").unwrap() > GIB, "{:#}", answer.json);
    }
}

#[test]
fn a_kill_is_not_hidden_by_the_life_after_it() {
    for seen_at_once in [true, false] {
        let answer = recommend(&killed_then_completed(false, seen_at_once), &[]);
        let row = answer.row("main");
        assert_eq!(row.kills(), 10, "at once {seen_at_once}");
        assert!(row.recommended("memoryLimit").unwrap() >= 1.4 * GIB, "{:#}", answer.json);
    }
}

#[test]
fn each_of_three_lives_has_its_own_reason() {
    let mut history = History::default();
    for start in nights(10) {
        let (second, third) = (start + 620, start + 1260);
        let end = third + 1200;
        let pod = Pod::of_cronjob("etl", "nightly", start, end);
        let near_limit = |lived: i64| (200.0 * MIB + lived as f64 / 600.0 * GIB).min(0.99 * GIB);
        pod.measure(&mut history, ("main", 0), (start, start + 600), |_| 200.0 * MIB, 1.0);
        pod.measure(&mut history, ("main", 1), (second, second + 600), near_limit, 1.0);
        pod.measure(&mut history, ("main", 2), (third, end), |_| 300.0 * MIB, 1.0);
        pod.ran(&mut history, "main", Asks::memory(GIB), "Completed");
        pod.last_ended(&mut history, "main", "Error", (second + 15, third));
        pod.last_ended(&mut history, "main", "OOMKilled", (third + 15, end + 300));
    }
    let answer = recommend(&history, &[]);
    assert_eq!((answer.row("main").runs(), answer.row("main").kills()), (30, 10));
}

/// A Deployment's pod that was killed on its first day and runs well ever after.
#[test]
fn a_kill_of_long_ago_is_one_kill() {
    let mut history = History::default();
    let (start, died) = (BEGIN, BEGIN + 40_000);
    let (again, end) = (died + 100, died + 100 + 10 * DAY);
    let mut pod = Pod::new("etl", "web-6d5f7c9b8-x2x4z", start, end);
    pod.owner = ("ReplicaSet".to_owned(), "web-6d5f7c9b8".to_owned());
    pod.owner_of_owner = Some(("Deployment".to_owned(), "web".to_owned()));
    (pod.interval, pod.stays) = (300, 0);
    let near_limit = |lived: i64| (GIB + lived as f64 / 40_000.0 * GIB).min(1.98 * GIB);
    pod.measure(&mut history, ("main", 0), (start, died), near_limit, 0.5);
    pod.measure(&mut history, ("main", 1), (again, end), |_| 1.1 * GIB, 0.5);
    pod.exists(&mut history);
    pod.asks(&mut history, "main", Asks::memory(2.0 * GIB), (start, end));
    pod.ended(&mut history, "main", "OOMKilled", (died + 20, died + 21));
    pod.last_ended(&mut history, "main", "OOMKilled", (again + 30, end));
    let answer = recommend(&history, &[]);
    assert_eq!(answer.row("main").kills(), 1, "{:#}", answer.json);
}

/// Processes of a pool are killed; the container goes on and says that it completed.
#[test]
fn killed_children_count() {
    let mut history = History::default();
    for start in nights(13) {
        let end = start + 1800;
        let pod = Pod::of_cronjob("etl", "workers", start, end);
        let sawtooth = |lived: i64| 0.3 * GIB + (lived % 500) as f64 / 500.0 * 0.69 * GIB;
        let own = pod.measure(&mut history, ("main", 0), (start, end), sawtooth, 1.0);
        for at in (start + 7..end).step_by(30) {
            history.say("container_oom_events_total", &own, at, ((at - start) / 500) as f64);
        }
        pod.ran(&mut history, "main", Asks::memory(GIB), "Completed");
    }
    let answer = recommend(&history, &[]);
    let row = answer.row("main");
    assert!(row.kills() > 0 || row.recommended("memoryLimit").is_some_and(|b| b > GIB), "{:#}", answer.json);
}

/// What a shell reports when the kernel killed its child: Error, exit code 137.
#[test]
fn a_kill_at_the_limit_may_be_told_as_error_137() {
    let mut history = History::default();
    for (night, start) in nights(13).enumerate() {
        let end = start + 1800;
        let pod = Pod::of_cronjob("etl", "pipeline", start, end);
        let is_killed = night % 5 > 0;
        let (peak, reason) = if is_killed { (0.995 * GIB, "Error") } else { (0.7 * GIB, "Completed") };
        pod.measure(&mut history, ("main", 0), (start, end), climbs(peak, 1800), 1.0);
        pod.ran(&mut history, "main", Asks::memory(GIB), reason);
        if is_killed {
            let own = with(&pod.object(), [("container", "main")]);
            history.say("kube_pod_container_status_last_terminated_exitcode", &own, end + 11, 137.0);
        }
    }
    let answer = recommend(&history, &[]);
    let row = answer.row("main");
    let suspected = row.evidence("suspectedKills") as u64;
    assert!(row.kills() + suspected >= 8, "{:#}", answer.json);
    assert!(row.recommended("memoryLimit").is_some_and(|bytes| bytes > GIB), "{:#}", answer.json);
}

/// Page cache fills the limit, pods are deleted as they end, and their Jobs say that they succeeded.
#[test]
fn a_job_that_succeeded_was_not_killed() {
    let mut history = History::default();
    for start in nights(13) {
        let end = start + 1800;
        let mut pod = Pod::of_cronjob("etl", "cache", start, end);
        pod.stays = 0;
        pod.measure(&mut history, ("main", 0), (start, end), climbs(0.995 * 2.0 * GIB, 1800), 1.0);
        pod.exists(&mut history);
        pod.asks(&mut history, "main", Asks::memory(2.0 * GIB), (start, end));
        let job = labels([("namespace", "etl"), ("job_name", &pod.owner.1)]);
        history.say_all("kube_job_status_succeeded", &job, (end, end + 600, 30), 1.0);
        history.say_all("kube_job_complete", &with(&job, [("condition", "true")]), (end, end + 600, 30), 1.0);
    }
    let answer = recommend(&history, &[]);
    let row = answer.row("main");
    assert_eq!((row.kills(), row.evidence("suspectedKills")), (0, 0.0), "{:#}", answer.json);
    assert!(row.recommended("memoryLimit").is_none_or(|bytes| bytes <= 2.0 * GIB), "{:#}", answer.json);
}

/// Jobs of seconds between two scrapes of the kubelet: kube-state-metrics alone saw them.
fn too_short(history: &mut History) {
    for run in 0..13 * 24 {
        let start = BEGIN + run * HOUR + 20;
        let pod = Pod::of_cronjob("etl", "tiny", start, start + 15);
        pod.ran(history, "main", Asks::memory(128.0 * MIB), "OOMKilled");
    }
}

#[test]
fn runs_that_nobody_sampled_are_runs() {
    let mut history = History::default();
    too_short(&mut history);
    for other in [false, true] {
        if other {
            for start in nights(13) {
                let pod = Pod::of_cronjob("etl", "long", start, start + 1800);
                pod.measure(&mut history, ("main", 0), (start, start + 1800), climbs(GIB, 1800), 1.0);
                pod.ran(&mut history, "main", Asks::memory(2.0 * GIB), "Completed");
            }
        }
        let answer = recommend(&history, &[]);
        let tiny: Vec<_> = answer.rows().into_iter().filter(|row| row.0["workload"] == "cronjob/tiny").collect();
        assert_eq!(tiny.len(), 1, "{:#}", answer.json);
        assert_eq!((tiny[0].runs(), tiny[0].kills()), (312, 312));
        assert_eq!(tiny[0].evidence("unobserved"), 312.0);
        assert_eq!(tiny[0].current("memoryLimit"), Some(128.0 * MIB));
        // Nothing that was measured says that less would do.
        assert!(tiny[0].recommended("memoryLimit").is_none_or(|bytes| bytes >= 128.0 * MIB), "{:#}", answer.json);
        let unknown: Vec<_> = tiny[0].0["evidence"].as_object().unwrap().iter().filter(|(_, v)| v.is_null()).collect();
        assert_eq!(unknown, [], "what is not known is left out");
        assert!(!answer.text().contains("-0.0"), "{:#}", answer.json);
        if !other {
            assert!(answer.text().contains("container_memory_working_set_bytes"), "the gap is told all the same");
        }
    }
}

#[test]
fn a_pod_that_is_sampled_later_is_one_run() {
    let mut history = History::default();
    for start in nights(5) {
        let mut pod = Pod::of_cronjob("etl", "nightly", start, start + 3 * HOUR);
        pod.stays = 2 * DAY;
        pod.measure(&mut history, ("main", 0), (start + 5, start + 3 * HOUR), climbs(GIB, 10_800), 1.0);
        pod.ran(&mut history, "main", Asks::memory(2.0 * GIB), "Completed");
    }
    let folder = tempfile::tempdir().unwrap();
    let (file, store) = (folder.path().join("history.om"), folder.path().join("history.redb"));
    history.write(&file);
    let store = store.to_str().unwrap();
    for hour in [4, 5, 24, 27, 29, 53, 80, 200] {
        let until = jiff::Timestamp::from_second(BEGIN + hour * HOUR).unwrap().to_string();
        let answer = ask(&file, &["--store", store, "--at", &until]);
        let seen = answer.rows().iter().map(|row| (row.runs(), row.evidence("unobserved"))).collect::<Vec<_>>();
        assert!(seen.iter().all(|(runs, unobserved)| *runs <= 5 && *unobserved == 0.0), "{hour}: {seen:?}");
    }
    let answer = ask(&file, &["--store", store]);
    assert_eq!((answer.row("main").runs(), answer.row("main").evidence("unobserved")), (5, 0.0));
}

/// A driver whose pod has the same name every hour; nothing but its uid tells one run from the next.
#[test]
fn pods_of_one_name_are_told_apart_by_their_uids() {
    let mut history = History::default();
    for hour in 0..72 {
        let start = BEGIN + hour * HOUR;
        let mut pod = Pod::new("etl", "pi-driver", start, start + 3000);
        pod.owner = ("SparkApplication".to_owned(), "pi".to_owned());
        pod.has_id = false;
        pod.measure(&mut history, ("main", 0), (start, start + 3000), |_| (500 + 10 * (hour % 24)) as f64 * MIB, 1.0);
        pod.ran(&mut history, "main", Asks::memory(2.0 * GIB), "Completed");
        let role = with(&pod.object(), [("label_spark_role", "driver"), ("label_spark_app_name", "pi")]);
        history.say_all("kube_pod_labels", &role, (start + 11, start + 3300, 30), 1.0);
    }
    let answer = recommend(&history, &[]);
    let rows = answer.rows();
    assert_eq!(rows.len(), 1, "{:#}", answer.json);
    assert!((70..=72).contains(&rows[0].runs()), "{} runs", rows[0].runs());
}

/// Pods of one name, the next as soon as the one before is gone; what is said of one is not said of the next.
#[rstest]
#[case::an_hour(3600, 3000, 30, true)]
#[case::an_hour_without_cgroups(3600, 3000, 30, false)]
#[case::one_sample_each(300, 50, 60, false)]
#[case::no_gap_in_the_samples(1800, 1740, 60, false)]
fn each_pod_of_a_name_has_its_own_end(
    #[case] every: i64,
    #[case] seconds: i64,
    #[case] interval: usize,
    #[case] has_id: bool,
) {
    let mut history = History::default();
    for n in 0..40 {
        let start = BEGIN + n * every;
        let mut pod = Pod::new("etl", "pi-driver", start, start + seconds);
        (pod.has_id, pod.interval, pod.stays) = (has_id, interval, 240);
        pod.owner = ("Notebook".to_owned(), "pi".to_owned());
        pod.measure(&mut history, ("main", 0), (start, start + seconds), |_| (500 + n) as f64 * MIB, 1.0);
        pod.ran(&mut history, "main", Asks::memory(GIB), if n % 8 == 3 { "OOMKilled" } else { "Completed" });
    }
    let answer = recommend(&history, &[]);
    let row = answer.row("main");
    assert_eq!((row.runs(), row.kills()), (40, 5), "{:#}", answer.json);
    assert_eq!(row.evidence("completed"), 35.0, "{:#}", answer.json);
}

/// The kubelet evicts for the node's want of memory, by SIGKILL, and no larger limit would have helped.
#[test]
fn an_evicted_pod_at_its_limit_was_not_killed_there() {
    let mut history = History::default();
    for start in nights(6) {
        let pod = Pod::of_cronjob("etl", "nightly", start, start + 1500);
        pod.measure(&mut history, ("main", 0), (start, start + 1500), climbs(0.997 * GIB, 1500), 1.0);
        pod.ran(&mut history, "main", Asks::memory(GIB), "Error");
        let evicted = with(&pod.object(), [("reason", "Evicted")]);
        history.say_all("kube_pod_status_reason", &evicted, (pod.end + 11, pod.end + 300, 30), 1.0);
        let exited = with(&pod.object(), [("container", "main")]);
        let code = "kube_pod_container_status_last_terminated_exitcode";
        history.say_all(code, &exited, (pod.end + 11, pod.end + 300, 30), 137.0);
    }
    let answer = recommend(&history, &[]);
    let row = answer.row("main");
    assert_eq!(
        (row.kills(), row.evidence("suspectedKills"), row.evidence("failed")),
        (0, 0.0, 6.0),
        "{:#}",
        answer.json
    );
    assert_eq!(row.recommended("memoryLimit"), None, "{:#}", answer.json);
    assert!(answer.text().contains("evicted for the node's want of memory"), "{:#}", answer.json);
}

/// A clock that was wrong when the pod started: its samples are still its own.
#[test]
fn a_pod_that_started_after_its_end_was_sampled() {
    let mut history = History::default();
    for start in nights(8) {
        let pod = Pod::of_cronjob("etl", "nightly", start, start + 1500);
        pod.measure(&mut history, ("main", 0), (start, start + 1500), climbs(GIB, 1500), 1.0);
        pod.ran(&mut history, "main", Asks::memory(2.0 * GIB), "Completed");
    }
    for value in history.metrics.get_mut("kube_pod_start_time").unwrap().values_mut().flat_map(|s| s.values_mut()) {
        *value += DAY as f64;
    }
    let answer = recommend(&history, &[]);
    assert_eq!((answer.row("main").runs(), answer.row("main").evidence("unobserved")), (8, 0.0), "{:#}", answer.json);
}

/// Nobody tells of pods' owners, but a Job's name is in those of its pods.
#[test]
fn pods_of_jobs_are_known_by_their_names() {
    let mut history = History::default();
    for start in nights(8) {
        let pod = Pod::of_cronjob("etl", "nightly", start, start + 1500);
        pod.measure(&mut history, ("main", 0), (start, start + 1500), climbs(GIB, 1500), 1.0);
        pod.ran(&mut history, "main", Asks::memory(2.0 * GIB), "Completed");
    }
    history.metrics.remove("kube_pod_owner").unwrap();
    let answer = recommend(&history, &[]);
    let row = answer.row("main");
    assert_eq!((row.runs(), &row.0["workload"]), (8, &serde_json::json!("cronjob/nightly")), "{:#}", answer.json);
    assert!(answer.text().contains("no kube_pod_owner"), "{:#}", answer.json);
}

/// What failed at its start tells nothing of what is needed: the few that completed decide, and it is said how few.
#[test]
fn of_hundreds_of_failures_the_three_that_completed_decide() {
    let mut history = History::default();
    for run in 0..300 {
        let completes = [80, 170, 260].contains(&run);
        let start = BEGIN + run * HOUR;
        let mut pod = Pod::of_cronjob("etl", "mostly-fails", start, start + 900);
        (pod.interval, pod.stays) = (60, 120);
        let peak = if completes { 3000.0 } else { 150.0 } * MIB;
        pod.measure(&mut history, ("main", 0), (start, start + 900), climbs(peak, 900), 1.0);
        let reason = if completes { "Completed" } else { "Error" };
        pod.ran(&mut history, "main", Asks::memory(8.0 * GIB), reason);
    }
    let answer = recommend(&history, &[]);
    let row = answer.row("main");
    assert_eq!((row.evidence("completed"), row.evidence("failed")), (3.0, 297.0), "{:#}", answer.json);
    assert!(row.recommended("memoryLimit").is_none_or(|limit| limit >= 3000.0 * MIB), "{:#}", answer.json);
    assert!(row.notes().contains("memory rests on 3 of 300 runs: 297 failed"), "{:#}", answer.json);
}
