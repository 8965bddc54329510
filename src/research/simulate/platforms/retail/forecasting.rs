//! Namespace `forecasting`: demand and clicks, on Dagster, Flink and CronJobs.
//! Knows nothing of how they are played or scraped.

use super::{Asks, Engine, Part, Schedule, WEDNESDAY, WorkloadModel, asks, image, nightly, usage};

const NAMESPACE: &str = "forecasting";

pub(super) fn models() -> Vec<WorkloadModel> {
    vec![demand_forecast(), clickstream_sessions(), sku_embeddings(), weather_features()]
}

/// A run worker and three steps; training grows on Mondays, after the weekend's sales. podfit made the last step
/// smaller this week.
fn demand_forecast() -> WorkloadModel {
    let dagster = image("forecast", "2026.10.28");
    let mut train = usage(1900.0, 2.6, 3100, 5200);
    train.memory.weekday = [1.25, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    let parts = vec![
        Part::new("run", &dagster, usage(60.0, 0.05, 240, 290), asks(500, 1024)),
        Part::new("load_history", &dagster, usage(360.0, 0.8, 900, 1700), asks(1000, 4096)),
        Part::new("train_model", &dagster, train, asks(4000, 12_288)),
        Part::new("publish_forecast", &dagster, usage(120.0, 0.3, 260, 380), asks(350, 448))
            .resized(WEDNESDAY, asks(1000, 4096)),
    ];
    let engine = Engine::Dagster { location: "forecast".to_owned() };
    WorkloadModel::new(NAMESPACE, "demand_forecast", engine, nightly(5, 10), parts)
}

/// A streaming job that is redeployed every Thursday.
fn clickstream_sessions() -> WorkloadModel {
    let flink = image("clickstream", "2.3.0-4");
    let fixed = |cpu, mib| Asks { cpu_limit_millis: Some(cpu), ..asks(cpu, mib) };
    let parts = vec![
        Part::new("jobmanager", &flink, usage(604_800.0, 0.08, 700, 860), fixed(1000, 1600)),
        Part::new("taskmanager", &flink, usage(604_800.0, 0.85, 2700, 3150), fixed(2000, 4096)).times(2),
    ];
    let thursdays = Schedule::Weekly { weekday: 3, hour: 7, minute: 0 };
    WorkloadModel::new(NAMESPACE, "clickstream-sessions", Engine::Flink, thursdays, parts)
}

/// Started last week: too few runs to say anything.
fn sku_embeddings() -> WorkloadModel {
    let parts =
        vec![Part::new("main", &image("sku-embeddings", "0.2.0"), usage(2700.0, 3.2, 5200, 7100), asks(4000, 16_384))];
    let sundays = Schedule::Weekly { weekday: 6, hour: 2, minute: 0 };
    let engine = Engine::CronJob { restart_in_place: false };
    let mut model = WorkloadModel::new(NAMESPACE, "sku-embeddings-rebuild", engine, sundays, parts);
    model.last_days = Some(10);
    model
}

/// Hourly and well sized; its source is down now and then, and the container restarts in its pod.
fn weather_features() -> WorkloadModel {
    let parts =
        vec![Part::new("main", &image("weather-features", "1.1.5"), usage(210.0, 0.4, 310, 430), asks(400, 512))];
    let hourly = Schedule::Every { minutes: 60, offset: 12 };
    let engine = Engine::CronJob { restart_in_place: true };
    let mut model = WorkloadModel::new(NAMESPACE, "weather-features", engine, hourly, parts);
    model.fail_share = 0.04;
    model
}
