//! Dates, weekdays and schedules in UTC. Knows no clock: every time is given.
//! Only what the simulated engines need; not a calendar library.

/// Milliseconds of a minute.
pub const MINUTE_MS: i64 = 60_000;
/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// When a workload runs, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Every so many minutes, counted from midnight of 1 January 1970, shifted by an offset in minutes.
    Every {
        /// Minutes between two runs, at least 1.
        minutes: u32,
        /// Minutes after the full period.
        offset: u32,
    },
    /// Once a day.
    Nightly {
        /// Hour, 0 to 23.
        hour: u32,
        /// Minute, 0 to 59.
        minute: u32,
    },
    /// Once a week.
    Weekly {
        /// 0 is Monday, 6 is Sunday.
        weekday: u32,
        /// Hour, 0 to 23.
        hour: u32,
        /// Minute, 0 to 59.
        minute: u32,
    },
    /// Once, so many minutes after the window's start.
    Once {
        /// Minutes after the start, at least 1.
        minutes: u32,
    },
}

impl Schedule {
    /// The scheduled times with `start < time <= end`, all in milliseconds since the epoch.
    pub fn times(self, start_ms: i64, end_ms: i64) -> impl Iterator<Item = i64> {
        let (period, offset) = match self {
            Self::Every { minutes, offset } => (i64::from(minutes.max(1)) * MINUTE_MS, i64::from(offset) * MINUTE_MS),
            Self::Nightly { hour, minute } => (DAY_MS, i64::from(hour * 60 + minute) * MINUTE_MS),
            // 1 January 1970 was a Thursday: day 4 is the first Monday.
            Self::Weekly { weekday, hour, minute } => {
                (7 * DAY_MS, i64::from(4 + weekday) * DAY_MS + i64::from(hour * 60 + minute) * MINUTE_MS)
            }
            Self::Once { minutes } => (i64::MAX / 4, start_ms + i64::from(minutes.max(1)) * MINUTE_MS),
        };
        let first = (start_ms - offset).div_euclid(period) + 1;
        (first..).map(move |k| offset + k * period).take_while(move |t| *t <= end_ms)
    }
}

/// The weekday of a time, 0 is Monday.
pub(super) const fn weekday(at_ms: i64) -> usize {
    ((at_ms.div_euclid(DAY_MS) + 3).rem_euclid(7)) as usize
}

/// Year, month and day of a time from 1970 on.
fn date(at_ms: i64) -> (i64, usize, i64) {
    let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let mut days = at_ms.div_euclid(DAY_MS).max(0);
    let mut year = 1970;
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while month < 11 && days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

/// The date as `2026-11-01`.
pub(super) fn date_text(at_ms: i64) -> String {
    let (y, m, d) = date(at_ms);
    format!("{y:04}-{m:02}-{d:02}")
}

/// Date and time as Airflow writes them in a run id: `2026-11-01T02:00:00+00:00`.
pub(super) fn date_time_text(at_ms: i64) -> String {
    let s = at_ms.rem_euclid(DAY_MS) / 1000;
    format!("{}T{:02}:{:02}:{:02}+00:00", date_text(at_ms), s / 3600, s / 60 % 60, s % 60)
}
