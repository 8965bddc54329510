//! Three nightly CronJobs with a known need, and variants of them, each with one thing that makes reading series hard.
//! With an end at noon all their runs are over.

use crate::research::simulate::{
    Allowlist, Asks, Engine, Gap, HighWater, MIB, Part, Phase, Platform, Retention, Schedule, ScrapeOptions, Stamps,
    Usage, WorkloadModel,
};

/// 0.9 core, 1024 MiB, and 2048 MiB for 8 % of the run, from the middle on.
const fn usage(seconds: f64) -> Usage {
    Usage::flat(seconds, 0.9, 1024 * MIB, 2048 * MIB)
}

const ASKS: Asks = Asks {
    cpu_request_millis: Some(1000),
    cpu_limit_millis: Some(2000),
    memory_request_bytes: Some(4096 * MIB),
    memory_limit_bytes: Some(4096 * MIB),
};

fn cron_job(name: &str, schedule: Schedule, usage: Usage, asks: Asks) -> WorkloadModel {
    let part = Part::new("main", "registry.marlow.example/nightly/etl:2.3.1", usage, asks);
    let engine = Engine::CronJob { restart_in_place: false };
    let mut model = WorkloadModel::new("nightly", name, engine, schedule, vec![part]);
    model.start_delay_ms = (2_000, 2_000);
    // ttlSecondsAfterFinished: 600.
    model.retention = Retention::After(600_000);
    model
}

fn platform(models: Vec<WorkloadModel>) -> Platform {
    let scrape = ScrapeOptions { phase: Phase::Aligned, finished_every: 4, ..ScrapeOptions::default() };
    Platform { days: 14, nodes: 3, models, scrape }
}

/// Nightly CronJobs of 5, 10 and 60 minutes over 14 days at 30 s: the 24-second peak of the 5-minute job falls between
/// two samples in every run, the other two peaks are seen.
pub fn nightly_three() -> Platform {
    let at = |hour| Schedule::Nightly { hour, minute: 0 };
    platform(vec![
        cron_job("nightly-05m", at(1), usage(300.0), ASKS),
        cron_job("nightly-10m", at(2), usage(600.0), ASKS),
        cron_job("nightly-60m", at(3), usage(3600.0), ASKS),
    ])
}

/// The three with two Prometheus replicas that scrape at different moments; one of them was down for two hours.
pub fn nightly_ha_pair() -> Platform {
    nightly_three().scraped(|s| {
        s.replicas = 2;
        s.phase = Phase::Spread;
        s.gaps = vec![Gap { before_end_ms: 36 * 3_600_000, length_ms: 7_200_000, replica: Some(1) }];
    })
}

/// The three with each container's last value repeated for five minutes after its end.
pub fn nightly_lingering() -> Platform {
    nightly_three().scraped(|s| {
        s.linger_ms = 300_000;
        s.stamps = Stamps::Scraped;
    })
}

/// The three without pod labels and annotations, and without the cgroup's high-water mark: the sampled peak is all
/// there is.
pub fn nightly_unlabelled() -> Platform {
    nightly_three().scraped(|s| {
        s.pod_labels = Allowlist::Nothing;
        s.pod_annotations = Allowlist::Nothing;
        s.high_water = HighWater::Absent;
    })
}

/// A nightly 30-minute CronJob that sometimes fails and restarts in its pod, scraped without container ids: its
/// counters start again from 0 inside one series.
pub fn nightly_counter_reset() -> Platform {
    let part = Part::new("main", "registry.marlow.example/nightly/etl:2.3.1", usage(1800.0), ASKS);
    let engine = Engine::CronJob { restart_in_place: true };
    let mut model =
        WorkloadModel::new("nightly", "restarting", engine, Schedule::Nightly { hour: 2, minute: 0 }, vec![part]);
    model.start_delay_ms = (2_000, 2_000);
    model.retention = Retention::After(600_000);
    model.fail_share = 0.4;
    platform(vec![model]).scraped(|s| s.container_ids = false)
}

/// A 40-second task every 10 minutes for two days: one or two samples a run.
pub fn forty_seconds() -> Platform {
    let asks = Asks { cpu_limit_millis: None, ..ASKS };
    let every = Schedule::Every { minutes: 10, offset: 0 };
    let mut p = platform(vec![cron_job("every-10m", every, usage(40.0), asks)]);
    p.days = 2;
    p.scraped(|s| s.phase = Phase::Spread)
}

/// A weekly 3-minute CronJob over 28 days: four runs.
pub fn weekly_short() -> Platform {
    let weekly = Schedule::Weekly { weekday: 6, hour: 4, minute: 0 };
    let mut p = platform(vec![cron_job("weekly-03m", weekly, usage(180.0), ASKS)]);
    p.days = 28;
    p
}

/// A scheduler of two replicas and a database of one that have lived for two weeks, each day with 768 MiB, 1536 MiB for
/// 8 % of it, and 0.4 core; and a nightly job beside them.
pub fn services() -> Platform {
    let since = Schedule::Once { minutes: 30 };
    let daily = Usage::flat(86_400.0, 0.4, 768 * MIB, 1536 * MIB).every_day();
    let service = |name, engine, count| {
        let part = Part::new("app", "registry.marlow.example/platform/app:1.2.0", daily, ASKS).times(count);
        WorkloadModel::new("nightly", name, engine, since, vec![part])
    };
    platform(vec![
        service("scheduler", Engine::Deployment, 2),
        service("database", Engine::StatefulSet, 1),
        cron_job("nightly-10m", Schedule::Nightly { hour: 2, minute: 0 }, usage(600.0), ASKS),
    ])
}
