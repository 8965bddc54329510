//! The time that a report is about, and how much of a run lies in it.

use serde::Serialize;

use crate::history::{Outcome, Run};

const HOUR_MS: f64 = 3_600_000.0;

/// A span of time. A run that ended at its very end belongs to it, one that ended at its start to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Period {
    /// Start, milliseconds since the epoch.
    pub start_ms: i64,
    /// End, milliseconds since the epoch; not before the start.
    pub end_ms: i64,
}

impl Period {
    /// The one before, of the same length.
    #[must_use]
    pub const fn before(self) -> Self {
        Self { start_ms: self.start_ms.saturating_sub(self.length_ms()), end_ms: self.start_ms }
    }

    /// Its length in milliseconds.
    pub const fn length_ms(self) -> i64 {
        self.end_ms.saturating_sub(self.start_ms)
    }

    /// How long the run ran inside of it, in hours.
    pub fn hours_of(self, run: &Run) -> f64 {
        let inside = run.ended_ms.min(self.end_ms).saturating_sub(run.started_ms.max(self.start_ms));
        inside.max(0) as f64 / HOUR_MS
    }

    /// Whether the run came to its end here.
    pub fn has_end_of(self, run: &Run) -> bool {
        run.outcome != Outcome::Running && self.contains(run.ended_ms)
    }

    /// Whether the run was here, however short.
    pub fn has_part_of(self, run: &Run) -> bool {
        self.has_end_of(run) || (run.started_ms < self.end_ms && run.ended_ms > self.start_ms)
    }

    /// Whether the moment lies in it.
    pub const fn contains(self, ms: i64) -> bool {
        self.start_ms < ms && ms <= self.end_ms
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::history::Resources;

    const HOUR: i64 = 3_600_000;
    const PERIOD: Period = Period { start_ms: 10 * HOUR, end_ms: 20 * HOUR };

    fn run(start: i64, end: i64, outcome: Outcome) -> Run {
        Run {
            pod: "p".to_owned(),
            uid: None,
            started_ms: start * HOUR,
            ended_ms: end * HOUR,
            memory: None,
            cpu: None,
            resources: Resources::default(),
            outcome,
            attempt: None,
            input_bytes: None,
            jvm: None,
            day: None,
            observation: None,
        }
    }

    #[rstest]
    #[case::inside(12, 14, 2.0, true)]
    #[case::from_before(8, 14, 4.0, true)]
    #[case::until_after(18, 25, 2.0, false)]
    #[case::over_all_of_it(0, 40, 10.0, false)]
    #[case::before(2, 9, 0.0, false)]
    #[case::ends_at_the_start(2, 10, 0.0, false)]
    #[case::ends_at_the_end(19, 20, 1.0, true)]
    #[case::an_end_before_its_start(14, 12, 0.0, true)]
    fn what_of_a_run_lies_inside(#[case] start: i64, #[case] end: i64, #[case] hours: f64, #[case] ended: bool) {
        let run = run(start, end, Outcome::Completed);
        assert_eq!(PERIOD.hours_of(&run), hours);
        assert_eq!(PERIOD.has_end_of(&run), ended);
        assert_eq!(PERIOD.has_part_of(&run), hours > 0.0 || ended);
    }

    #[test]
    fn what_still_runs_has_no_end_here() {
        assert!(!PERIOD.has_end_of(&run(12, 20, Outcome::Running)));
        assert_eq!(PERIOD.before(), Period { start_ms: 0, end_ms: 10 * HOUR });
    }
}
