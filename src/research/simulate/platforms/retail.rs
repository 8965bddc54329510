//! The data platform of Marlow Home, a retailer that does not exist: the history behind the demo.
//! Three weeks, three namespaces, every engine; each workload tells one story.

use crate::research::simulate::{
    Asks, Engine, MIB, Part, Platform, Retention, Schedule, ScrapeOptions, Usage, WorkloadModel,
};

mod forecasting;
mod pricing;
mod sales;

/// When podfit's sizes came into force for some: so many hours before the window's end, which is a Sunday morning.
const WEDNESDAY: i64 = 96;

/// The demo's platform.
pub fn data_platform() -> Platform {
    let mut models = sales::models();
    models.extend(pricing::models());
    models.extend(forecasting::models());
    let scrape = ScrapeOptions {
        state_interval_ms: 120_000,
        // Every four minutes once a pod has ended: still inside Prometheus' five-minute lookback.
        finished_every: 2,
        pod_level: false,
        jitter_ms: 5,
        lag_ms: 12_000,
        missed_share: 0.002,
        ..ScrapeOptions::default()
    };
    Platform { days: 21, nodes: 6, models, scrape }
}

/// Requests in millicores and MiB; the memory limit is the request, no CPU limit.
const fn asks(cpu_millis: u64, memory_mib: u64) -> Asks {
    Asks {
        cpu_request_millis: Some(cpu_millis),
        cpu_limit_millis: None,
        memory_request_bytes: Some(memory_mib * MIB),
        memory_limit_bytes: Some(memory_mib * MIB),
    }
}

/// A lively run; memory in MiB.
const fn usage(seconds: f64, cores: f64, baseline_mib: u64, peak_mib: u64) -> Usage {
    Usage::lively(seconds, cores, baseline_mib * MIB, peak_mib * MIB)
}

fn image(name: &str, tag: &str) -> String {
    format!("registry.marlow.example/data/{name}:{tag}")
}

const fn nightly(hour: u32, minute: u32) -> Schedule {
    Schedule::Nightly { hour, minute }
}
