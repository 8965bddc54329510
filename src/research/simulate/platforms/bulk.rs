//! Five hundred nightly CronJobs: as many pods and samples as the published measurements of other recommenders had.
//! With an end at noon all runs are over.

use crate::research::simulate::random::{Rng, below, mix, of_text};
use crate::research::simulate::{
    Asks, Engine, MIB, Metric, Part, Platform, Retention, Schedule, ScrapeOptions, Usage, WorkloadModel,
};

/// Shortest and longest run, in seconds: 30.6 samples a run at 30 s on average.
const SECONDS: (i64, i64) = (300, 1535);

/// 500 CronJobs, 7,000 pods over 14 days, about 214,000 samples per usage metric at 30 s. Only the metrics that sizing
/// reads, only containers, state every four minutes, pods deleted five minutes after their end.
pub fn five_hundred_cronjobs() -> Platform {
    cronjobs(500)
}

/// The same with another number of CronJobs, 14 pods each, 25 to a node.
pub fn cronjobs(count: u64) -> Platform {
    let models = (0..count)
        .map(|i| {
            let mut rng = Rng::new(mix(of_text("five hundred"), i));
            // Evenly spread, so that the number of samples does not hang on a few draws.
            let span = SECONDS.1 - SECONDS.0;
            let seconds = (SECONDS.0 + below(i * 7_919, 500) * span / 499) as f64;
            let peak = rng.between(200, 3_000).cast_unsigned() * MIB;
            let usage = Usage {
                seconds_spread: 0.0,
                ..Usage::lively(seconds, rng.between(100, 1_500) as f64 / 1000.0, peak / 2, peak)
            };
            let asks = Asks {
                cpu_request_millis: Some(1000),
                cpu_limit_millis: None,
                memory_request_bytes: Some(6144 * MIB),
                memory_limit_bytes: Some(6144 * MIB),
            };
            let part = Part::new("main", "registry.marlow.example/batch/runner:5.0.2", usage, asks);
            let schedule =
                Schedule::Nightly { hour: (i % 6) as u32, minute: below(rng.next(), 60).unsigned_abs() as u32 };
            let engine = Engine::CronJob { restart_in_place: false };
            let mut model = WorkloadModel::new("batch", &format!("report-{i:03}"), engine, schedule, vec![part]);
            model.retention = Retention::After(300_000);
            model
        })
        .collect();
    let scrape = ScrapeOptions {
        state_interval_ms: 240_000,
        pod_level: false,
        metrics: Some(vec![
            Metric::CpuUsage,
            Metric::WorkingSet,
            Metric::MaxUsage,
            Metric::PodOwner,
            Metric::PodStartTime,
            Metric::PodCompletionTime,
            Metric::Requests,
            Metric::Limits,
            Metric::TerminatedReason,
            Metric::JobOwner,
        ]),
        ..ScrapeOptions::default()
    };
    Platform { days: 14, nodes: (count / 25).max(1) as u32, models, scrape }
}
