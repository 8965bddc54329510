//! Whether a Prometheus has what podfit learns from: which series, how often scraped.
//! Must not ask it.

use std::collections::BTreeSet;

use super::{Check, State};
use crate::collector::metrics::{CPU, MEMORY};

/// Samples further apart than this miss peaks that last a minute; seconds.
const COARSE_S: f64 = 60.0;
/// Further apart than this, short runs are seen too rarely to be sized; seconds.
const BLIND_S: f64 = 300.0;

/// A metric that is looked for.
struct Wanted {
    name: &'static str,
    /// How bad it is where it is missing.
    missing: State,
    without: &'static str,
    from: &'static str,
}

const KUBELETS: &str = "scrape the kubelets' /metrics/cadvisor";
const OBJECTS: &str = "install kube-state-metrics and scrape it with honor_labels";

const WANTED: [Wanted; 8] = [
    Wanted { name: MEMORY, missing: State::Fail, without: "no memory is recommended", from: KUBELETS },
    Wanted { name: CPU, missing: State::Fail, without: "no CPU is recommended", from: KUBELETS },
    Wanted {
        name: "container_memory_max_usage_bytes",
        missing: State::Ok,
        without: "peaks are taken from samples, and get room for what lies between them",
        from: "",
    },
    Wanted {
        name: "kube_pod_owner",
        missing: State::Fail,
        without: "past pods of Jobs, Spark and Flink belong to nobody",
        from: OBJECTS,
    },
    Wanted {
        name: "kube_pod_container_resource_requests",
        missing: State::Warn,
        without: "what pods asked for is not known, nor what could be saved",
        from: OBJECTS,
    },
    Wanted {
        name: "kube_pod_container_resource_limits",
        missing: State::Warn,
        without: "a limit that killed is not known",
        from: OBJECTS,
    },
    Wanted {
        name: "kube_pod_labels",
        missing: State::Warn,
        without: "past pods of Airflow, Dagster and Prefect cannot be told apart",
        from: OBJECTS,
    },
    Wanted {
        name: "kube_pod_container_status_terminated_reason",
        missing: State::Warn,
        without: "past OOM kills are not seen",
        from: OBJECTS,
    },
];

/// The names that [`series`] wants to know of.
pub fn names() -> Vec<&'static str> {
    WANTED.iter().map(|w| w.name).collect()
}

/// A check for each metric, by those that are `present`.
pub fn series(present: &Result<BTreeSet<String>, String>) -> Vec<Check> {
    let present = match present {
        Ok(present) => present,
        Err(why) => return vec![Check::unknown("series", why, "")],
    };
    let (there, missing): (Vec<&Wanted>, Vec<&Wanted>) = WANTED.iter().partition(|w| present.contains(w.name));
    let mut checks: Vec<Check> = missing
        .iter()
        .map(|w| {
            let seen = format!("there is no {}: {}", w.name, w.without);
            match w.missing {
                State::Fail => Check::fail("series", seen, w.from),
                State::Warn | State::Unknown => Check::warn("series", seen, w.from),
                State::Ok => Check::ok("series", seen),
            }
        })
        .collect();
    if !there.is_empty() {
        checks.insert(
            0,
            Check::ok("series", format!("{} of {} that podfit learns from are there", there.len(), WANTED.len())),
        );
    }
    checks
}

/// How often containers are scraped: the median distance of samples, in seconds; `None` where there were too few.
pub fn interval(seconds: &Result<Option<f64>, String>) -> Check {
    let check = "scrape interval";
    let advice = "scrape cAdvisor every 15 to 30 s";
    match seconds {
        Err(why) => Check::unknown(check, why, ""),
        Ok(None) => {
            Check::unknown(check, "no container had two samples within the last day", "look again while something runs")
        }
        Ok(Some(s)) if *s > BLIND_S => {
            Check::fail(check, format!("{s:.0} s: most runs are over before they are seen twice"), advice)
        }
        Ok(Some(s)) if *s > COARSE_S => Check::warn(check, format!("{s:.0} s: peaks in between are missed"), advice),
        Ok(Some(s)) => Check::ok(check, format!("{s:.0} s")),
    }
}

/// The median distance of consecutive times, in seconds; `None` of fewer than two times.
pub fn median_distance(times_ms: &mut Vec<i64>) -> Option<f64> {
    times_ms.sort_unstable();
    times_ms.dedup();
    let mut distances: Vec<i64> = times_ms.windows(2).map(|w| w[1] - w[0]).collect();
    distances.sort_unstable();
    distances.get(distances.len() / 2).map(|ms| *ms as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn present(without: &[&str]) -> BTreeSet<String> {
        names().into_iter().filter(|n| !without.contains(n)).map(str::to_owned).collect()
    }

    #[rstest]
    #[case(&[], State::Ok, "8 of 8")]
    #[case(&["container_memory_max_usage_bytes"], State::Ok, "7 of 8")]
    #[case(&["kube_pod_labels"], State::Warn, "cannot be told apart")]
    #[case(&["container_memory_working_set_bytes"], State::Fail, "no memory is recommended")]
    #[case(&["kube_pod_owner", "kube_pod_labels"], State::Fail, "belong to nobody")]
    fn the_worst_that_is_missing_decides(#[case] without: &[&str], #[case] state: State, #[case] seen: &str) {
        let mut checks = series(&Ok(present(without)));
        checks.sort_by_key(|c| c.state);
        assert_eq!(checks[0].state, state, "{checks:?}");
        assert!(checks.iter().any(|c| c.seen.contains(seen)), "{checks:?}");
        assert!(checks.iter().filter(|c| c.state > State::Fail).all(|c| c.advice.is_empty() == (c.state == State::Ok)));
    }

    #[rstest]
    #[case(&[0, 30_000, 60_000, 90_000, 400_000], Some(30.0), State::Ok)]
    #[case(&[120_000, 0, 240_000], Some(120.0), State::Warn)]
    #[case(&[0, 600_000], Some(600.0), State::Fail)]
    #[case(&[5, 5], None, State::Unknown)]
    #[case(&[], None, State::Unknown)]
    fn the_usual_distance_counts_not_the_gaps(
        #[case] times: &[i64],
        #[case] median: Option<f64>,
        #[case] state: State,
    ) {
        assert_eq!(median_distance(&mut times.to_vec()), median);
        assert_eq!(interval(&Ok(median)).state, state);
    }
}
