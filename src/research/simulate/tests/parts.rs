//! The simulator's parts on their own: dates, lives, timestamps.
//! No platform is played here.

use rstest::rstest;

use super::*;
use crate::research::simulate::calendar::{date_text, date_time_text, weekday};
use crate::research::simulate::instance::{Instance, Setting};
use crate::research::simulate::random::Rng;

#[test]
fn dates_and_weekdays_follow_the_calendar() {
    assert_eq!((date_text(0).as_str(), weekday(0)), ("1970-01-01", 3));
    assert_eq!((date_text(NOON).as_str(), weekday(NOON)), ("2026-11-22", 6));
    assert_eq!(date_text(1_709_164_800_000), "2024-02-29");
    assert_eq!(date_time_text(1_767_225_599_000), "2025-12-31T23:59:59+00:00");
}

#[rstest]
#[case(Schedule::Nightly { hour: 2, minute: 30 }, 14)]
#[case(Schedule::Weekly { weekday: 6, hour: 12, minute: 0 }, 2)]
#[case(Schedule::Every { minutes: 10, offset: 3 }, 2016)]
fn a_schedule_ticks_inside_the_window(#[case] schedule: Schedule, #[case] ticks: usize) {
    let times: Vec<i64> = schedule.times(NOON - 14 * DAY_MS, NOON).collect();
    assert_eq!(times.len(), ticks);
    assert!(times.iter().all(|t| *t > NOON - 14 * DAY_MS && *t <= NOON));
    if let Schedule::Weekly { weekday: day, .. } = schedule {
        assert!(times.iter().all(|t| weekday(*t) == day as usize));
    }
}

#[test]
fn written_seconds_read_back_to_the_same_millisecond() {
    let labels = Labels::default();
    for ms in (NOON..NOON + 20_000).step_by(7) {
        let mut out = Vec::new();
        let samples = [Sample { at_ms: ms, value: 1.5 }];
        openmetrics::series(&mut out, Metric::Rss, &labels, &samples, &mut String::new()).unwrap();
        let line = String::from_utf8(out).unwrap();
        let seconds: f64 = line.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
        assert_eq!((seconds * 1000.0) as i64, ms, "{line}");
        assert_eq!((seconds * 1000.0).round() as i64, ms, "{line}");
    }
}

#[test]
fn label_values_are_escaped() {
    let labels = Labels::new([("a".to_owned(), "x\"\\\ny".to_owned())]);
    let mut out = Vec::new();
    let samples = [Sample { at_ms: 1000, value: 1e21 }];
    openmetrics::series(&mut out, Metric::Rss, &labels, &samples, &mut String::new()).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "container_memory_rss{a=\"x\\\"\\\\\\ny\"} 1000000000000000000000 1\n");
}

fn live(usage: &Usage, asks: &Asks) -> Instance {
    let setting =
        Setting { usage, asks, start_ms: 0, days: 0.0, weekday: 0, mode: 0.5, fail_share: 0.0, fixed_ms: None };
    Instance::draw(&setting, &mut Rng::new(5))
}

#[test]
fn a_life_that_needs_more_than_its_limit_is_killed_when_it_gets_there() {
    let usage = Usage::flat(100.0, 1.0, 100 * MIB, 200 * MIB);
    let instance = live(&usage, &Asks { memory_limit_bytes: Some(150 * MIB), ..Asks::default() });
    assert_eq!((instance.end, instance.end_ms), (End::OomKilled, 50_000));
    assert_eq!((instance.peak_until(50_000), instance.needed_bytes), (150 * MIB, 200 * MIB));
    assert_eq!(instance.working_set(49_000), 100 * MIB);
    let instance = live(&usage, &Asks { memory_limit_bytes: Some(200 * MIB), ..Asks::default() });
    assert_eq!((instance.end, instance.end_ms), (End::Completed, 100_000));
}

#[test]
fn a_cpu_limit_stretches_the_run_and_shows_as_throttling() {
    let usage = Usage::flat(100.0, 2.0, 100 * MIB, 200 * MIB);
    let instance = live(&usage, &Asks { cpu_limit_millis: Some(500), ..Asks::default() });
    assert_eq!(instance.end_ms, 400_000);
    assert_eq!(instance.cpu_seconds(400_000), 200.0);
    assert_eq!((instance.periods(400_000), instance.throttled_periods(400_000)), (4000.0, 3000.0));
}

#[test]
fn cpu_seconds_grow_with_time_and_end_at_cores_times_seconds() {
    let instance = live(&Usage::lively(100.0, 2.0, 100 * MIB, 200 * MIB), &Asks::default());
    let values: Vec<f64> = (0..=instance.end_ms / 100).map(|i| instance.cpu_seconds(i * 100)).collect();
    assert!(values.windows(2).all(|w| w[0] <= w[1]));
    assert!(values[0] == 0.0 && *values.last().unwrap() > 100.0);
}

#[test]
fn random_numbers_stay_what_they_are() {
    let mut rng = Rng::new(1);
    let drawn: Vec<u64> = (0..3).map(|_| rng.next()).collect();
    assert_eq!(drawn, [13_830_413_928_045_401_970, 6_869_446_166_584_666_695, 8_084_911_050_856_847_527]);
    let mean = (0..10_000).map(|_| rng.bell()).sum::<f64>() / 10_000.0;
    assert!(mean.abs() < 0.05, "{mean}");
}
