//! How the numbers were made, in sentences; and why there may be nothing to compare with.

use super::{Period, Settings, words};
use crate::history::MAX_RUNS;

/// History may begin this share of a period after the period before, and still stand for it: a daily run of a week
/// first shows up to a day after its start.
const LATE_SHARE: i64 = 7;

/// Why the period before cannot be compared with.
pub(super) fn no_comparison(known_from: Option<i64>, period: Period) -> Option<String> {
    let before = period.before();
    match known_from {
        None => Some("no run is known".to_owned()),
        Some(from) if from > before.start_ms.saturating_add(period.length_ms() / LATE_SHARE) => Some(format!(
            "the first run known began {}, and the period before begins {}: a longer history is needed",
            words::moment(from),
            words::moment(before.start_ms)
        )),
        Some(_) => None,
    }
}

pub(super) fn sentences(settings: &Settings, known_from: Option<i64>) -> Vec<String> {
    let Settings { period, prices, .. } = settings;
    let before = period.before();
    let mut out = vec![
        format!(
            "The period is {} to {}; the one before begins {}. All times are UTC.",
            words::moment(period.start_ms),
            words::moment(period.end_ms),
            words::moment(before.start_ms)
        ),
        "A run is one container's life in one pod; every try counts, failed ones too, for the time it ran in the period."
            .to_owned(),
        "The container of a service (Deployment, StatefulSet, DaemonSet) lives for weeks: each day (UTC) of each \
         replica, or the part of one that it lived, is one of its runs."
            .to_owned(),
        "Requested: the request times the run time. Used: the highest memory of a run times its run time, and its CPU \
         time. Both are of runs with a request."
            .to_owned(),
        "Recommended: the same runs at the size that is recommended now from all runs known, these included, so for \
         them it is hindsight. A run that needs more is charged twice: a try that fails at its very end, and one with \
         twice as much. Where no size is known, what was requested stands."
            .to_owned(),
        "A container of many runs at a time counts each of them: six executors are six runs.".to_owned(),
        format!(
            "Money: {} {} for a core-hour and {} {} for a GiB-hour, as given, or podfit's own round figures, which are \
             nobody's price list. It is what requests would cost, not a bill: nodes may stand idle beside them.",
            words::price(prices.core_hour),
            words::name(&prices.currency, 8),
            words::price(prices.gib_hour),
            words::name(&prices.currency, 8)
        ),
        format!(
            "The newest {MAX_RUNS} runs of a container are kept one by one; of older ones only their sums. Where the \
             period reaches back further, that is said."
        ),
        "A change counts as podfit's where the new sizes are, to the byte, what it recommended from the runs before. Runs \
         do not say who changed them."
            .to_owned(),
    ];
    if let Some(from) = known_from {
        out.push(format!("The oldest run known began {}.", words::moment(from)));
    }
    out.push(format!("Made by podfit {}.", env!("CARGO_PKG_VERSION")));
    out
}
