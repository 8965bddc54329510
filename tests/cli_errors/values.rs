//! Values that cannot be, and clocks that disagree: the answer stays right and the user is told.
//! The servers of these tests are well but for that.

use podfit::prometheus::{Sample, SeriesStore};
use podfit::quantity::Quantity;
use podfit::research::simulate::platforms::nightly_three;
use rstest::rstest;
use serde_json::Value;

use super::support::cli::{NOON, NOON_TEXT, run};
use super::support::fault_server::{FaultServer, NAN_MARK};
use super::{recommend, series_of, undisturbed};

fn recommended(report: &Value, workload: &str) -> (u64, u64) {
    let line = report["workloads"].as_array().unwrap().iter().find(|l| l["workload"] == workload).unwrap();
    let quantity = |name: &str| line["recommended"][name].as_str().unwrap().parse::<Quantity>().unwrap();
    (quantity("memoryLimit").bytes_rounded_up(), quantity("cpuRequest").millis_rounded_up())
}

/// Changes the samples of the hour-long job's runs.
fn with(change: impl Fn(&str, &mut Vec<Sample>)) -> (FaultServer, u64) {
    let mut store = SeriesStore::new("absurd");
    let mut series = 0;
    nightly_three().simulate(NOON, 1).for_each_series(|metric, labels, mut samples| {
        let long = labels.get("container") == Some("main") && samples.len() > 100;
        if long && ["container_memory_working_set_bytes", "container_cpu_usage_seconds_total"].contains(&metric) {
            series += 1;
            change(metric, &mut samples);
        }
        store.insert(metric, labels, samples);
    });
    (FaultServer::start(store), series)
}

#[rstest]
#[case::negative(|_: &str, samples: &mut Vec<Sample>| samples[5].value = -1.0, 1)]
#[case::enormous(|_: &str, samples: &mut Vec<Sample>| samples[7].value = 1e300, 1)]
#[case::infinite(|_: &str, samples: &mut Vec<Sample>| samples[7].value = f64::INFINITY, 1)]
#[case::all_of_them(|_: &str, samples: &mut Vec<Sample>| { samples[3].value = NAN_MARK; samples[5].value = -1e300; samples[7].value = 1e300; }, 2)]
#[case::not_a_number(|_: &str, samples: &mut Vec<Sample>| samples[3].value = NAN_MARK, 0)]
fn absurd_values_are_left_out(#[case] change: fn(&str, &mut Vec<Sample>), #[case] each: u64) {
    let (server, series) = with(change);
    let report = run(&mut recommend(&server, NOON_TEXT)).report();
    assert_eq!(recommended(&report, "cronjob/nightly-60m").0, recommended(undisturbed(), "cronjob/nightly-60m").0);
    assert_cpu_is_near(&report);
    assert_note(&report, each * series);
}

#[rstest]
#[case::spike(|metric: &str, samples: &mut Vec<Sample>| if metric.contains("cpu") { samples[20].value += 1e9; })]
#[case::moved_up(|metric: &str, samples: &mut Vec<Sample>| if metric.contains("cpu") { samples[40..].iter_mut().for_each(|s| s.value += 1e9); })]
#[case::moved_up_less(|metric: &str, samples: &mut Vec<Sample>| if metric.contains("cpu") { samples[40..].iter_mut().for_each(|s| s.value += 1e6); })]
fn a_counter_that_jumps_is_not_used_cpu(#[case] change: fn(&str, &mut Vec<Sample>)) {
    let (server, series) = with(change);
    let report = run(&mut recommend(&server, NOON_TEXT)).report();
    assert_cpu_is_near(&report);
    assert_note(&report, series / 2);
}

fn assert_cpu_is_near(report: &Value) {
    let (is, should) =
        (recommended(report, "cronjob/nightly-60m").1, recommended(undisturbed(), "cronjob/nightly-60m").1);
    assert!(is.abs_diff(should) * 20 <= should, "{is} m for {should} m");
}

fn assert_note(report: &Value, left_out: u64) {
    let notes = report["notes"].to_string();
    let note = format!("{left_out} samples were left out because no container can have such values");
    assert_eq!(notes.contains(&note), left_out > 0, "{left_out}: {notes}");
}

#[rstest]
#[case::ahead(3_600_000, "ahead of")]
#[case::behind(-3_600_000, "behind")]
fn the_servers_clock_counts(#[case] skew_ms: i64, #[case] direction: &str) {
    // Half-way between two scrapes, so that the milliseconds of this test's own requests move nothing in or out.
    let here = jiff::Timestamp::now().as_millisecond();
    let there = (here + skew_ms).div_euclid(30_000) * 30_000 + 15_000;
    let server = FaultServer::start_at(series_of(there), Some(there));
    let at = jiff::Timestamp::from_millisecond(there).unwrap().to_string();
    let right = run(&mut recommend(&server, &at));
    let mut command = super::support::cli::command();
    command.args(["recommend", "-o", "json", "--prometheus-url", &server.url()]);
    let ran = run(&mut command);
    assert_eq!(super::workloads(&ran), super::workloads(&right));
    assert_eq!(right.lines().len(), 0, "a time that was given needs no clock: {}", right.stderr);
    let lines = ran.lines();
    assert_eq!(lines.len(), 1, "{}", ran.stderr);
    assert!(lines[0].contains("the server's clock is 3") && lines[0].contains(direction), "{}", lines[0]);
    assert!(lines[0].contains("the server's is used"), "{}", lines[0]);
    eprintln!("{}", ran.stderr);
    let asked = server.hits().iter().filter_map(super::support::fault_server::Hit::range).map(|r| r.end_ms).max();
    assert!(asked.unwrap().abs_diff(there) < 60_000, "asked until {asked:?}, it is {there} there");
}
