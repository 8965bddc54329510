//! How long sizing takes: 10,000 workloads of 200 runs each, and how the time grows with the runs of one.
//! The same where the size of every run's input is known. Only `recommend` is measured, not the making of histories.
//! Run with `cargo bench --bench sizing`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use podfit::history::{CpuUse, History, MemoryUse, Outcome, PeakSource, Resources, Run};
use podfit::sizing::{SizingPolicy, recommend};

const WORKLOADS: u64 = 10_000;
const RUNS: u64 = 200;
/// Lengths whose times are compared, each of so many workloads.
const LENGTHS: [u64; 6] = [25, 50, 100, 200, 400, 800];
const WORKLOADS_PER_LENGTH: u64 = 500;
/// Known inputs are looked at before every run of the replay, which takes longer.
const WORKLOADS_WITH_INPUTS: u64 = 20;
const ROUNDS: usize = 5;

fn main() {
    // `cargo test --benches` passes --test: nothing is measured then.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let mut all: Vec<f64> = (0..ROUNDS).map(|_| time(WORKLOADS, RUNS, false).as_secs_f64()).collect();
    all.sort_by(f64::total_cmp);
    let median = all[ROUNDS / 2];
    println!("median of {ROUNDS} rounds, one thread");
    println!("  {WORKLOADS} workloads of {RUNS} runs      {median:>8.3} s");
    println!("  one of them                     {:>8.1} µs", median / WORKLOADS as f64 * 1e6);
    lengths("", false);
    lengths(", inputs known", true);
}

fn lengths(what: &str, inputs: bool) {
    let mut before: Option<f64> = None;
    for runs in LENGTHS {
        let workloads = if inputs { WORKLOADS_WITH_INPUTS } else { WORKLOADS_PER_LENGTH };
        let mut times: Vec<f64> =
            (0..ROUNDS).map(|_| time(workloads, runs, inputs).as_secs_f64() / workloads as f64).collect();
        times.sort_by(f64::total_cmp);
        let one = times[ROUNDS / 2];
        let growth = before.map_or_else(String::new, |b| format!("  {:.2} times that of half as many", one / b));
        println!("  a workload of {runs:>4} runs{what:<15} {:>8.1} µs{growth}", one * 1e6);
        before = Some(one);
    }
}

/// Time to size so many workloads, made one after the other so that memory stays small.
fn time(workloads: u64, runs: u64, inputs: bool) -> Duration {
    let mut spent = Duration::ZERO;
    for seed in 0..workloads {
        let history = history(seed, runs, inputs);
        let started = Instant::now();
        black_box(recommend(black_box(&history), None, &SizingPolicy::default()));
        spent += started.elapsed();
    }
    spent
}

fn history(seed: u64, runs: u64, inputs: bool) -> History {
    let mut history = History::new();
    history.add_all((0..runs).map(|i| Run { input_bytes: inputs.then(|| input(i)), ..run(seed, i) }));
    history
}

/// One of forty sizes.
fn input(number: u64) -> f64 {
    (1 + number * 7 % 40) as f64 * 1e9
}

/// A daily run of half an hour; peaks and cores differ by a third, one in two hundred is killed.
fn run(seed: u64, number: u64) -> Run {
    // A step of splitmix64: evenly spread and the same every time.
    let mut z = (seed << 32 | number).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let share = (z >> 40) as f64 / (1_u64 << 24) as f64;
    let started_ms = i64::try_from(number).unwrap_or(i64::MAX / 86_400_000) * 86_400_000;
    let asked = 8 << 30;
    Run {
        pod: format!("job-{number}"),
        uid: None,
        started_ms,
        ended_ms: started_ms + 1_800_000,
        memory: Some(MemoryUse {
            peak_bytes: (2e9 * (1.0 + share / 3.0)) as u64,
            source: PeakSource::Cgroup,
            samples: 60,
        }),
        cpu: Some(CpuUse { mean_cores: 1.0 + share, peak_cores: None, throttled_share: None }),
        resources: Resources {
            cpu_request_millis: Some(2_000),
            cpu_limit_millis: None,
            memory_request_bytes: Some(asked),
            memory_limit_bytes: Some(asked),
        },
        outcome: if z.is_multiple_of(200) { Outcome::OomKilled } else { Outcome::Completed },
        attempt: None,
        input_bytes: None,
        jvm: None,
        day: None,
        observation: None,
    }
}
