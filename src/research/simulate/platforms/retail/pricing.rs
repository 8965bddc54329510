//! Namespace `pricing`: prices of competitors and of the shop, on the Spark operator, Argo, Prefect and plain Jobs.
//! Knows nothing of how they are played or scraped.

use super::{Asks, Engine, Part, Retention, Schedule, WEDNESDAY, WorkloadModel, asks, image, nightly, usage};

const NAMESPACE: &str = "pricing";

pub(super) fn models() -> Vec<WorkloadModel> {
    vec![price_elasticity(), competitor_prices(), markdown_optimiser(), reprice_store()]
}

/// Four executors that reserve 4 cores and use less than one.
fn price_elasticity() -> WorkloadModel {
    let spark = image("spark-pricing", "3.5.6-7");
    let parts = vec![
        Part::new("driver", &spark, usage(1100.0, 0.3, 900, 1150), asks(1000, 2048)),
        Part::new("executor", &spark, usage(1100.0, 0.9, 2900, 3550), asks(4000, 8192)).times(4),
    ];
    WorkloadModel::new(NAMESPACE, "price-elasticity", Engine::SparkScheduled, nightly(4, 0), parts)
}

/// Three templates; the scraper is often turned away and tries again. The second was killed for memory until podfit
/// gave it more this week.
fn competitor_prices() -> WorkloadModel {
    let python = image("competitor-prices", "4.2.0");
    let parts = vec![
        Part::new("scrape", &python, usage(900.0, 0.25, 260, 410), asks(500, 1024)),
        Part::new("normalise", &python, usage(240.0, 0.95, 600, 1350), asks(1105, 2816))
            .resized(WEDNESDAY, asks(1000, 1408)),
        Part::new("publish", &python, usage(60.0, 0.2, 120, 150), asks(250, 512)),
    ];
    let every = Schedule::Every { minutes: 360, offset: 20 };
    let mut model = WorkloadModel::new(NAMESPACE, "competitor-prices", Engine::Argo, every, parts);
    model.fail_share = 0.06;
    model
}

/// Grows two percent a day and is about to reach its limit.
fn markdown_optimiser() -> WorkloadModel {
    let mut use_ = usage(1300.0, 1.4, 1800, 2650);
    use_.memory.growth_per_day = 0.02;
    use_.memory.spread = 0.008;
    let parts = vec![Part::new("main", &image("markdown-optimiser", "1.6.0"), use_, asks(1500, 4096))];
    let engine = Engine::Prefect { deployment: "nightly".to_owned(), work_pool: "k8s-pricing".to_owned() };
    WorkloadModel::new(NAMESPACE, "markdown-optimiser", engine, nightly(0, 40), parts)
}

/// Created by a script under random names; a CPU limit of half a core makes it take three times as long.
fn reprice_store() -> WorkloadModel {
    let tight = Asks { cpu_limit_millis: Some(500), ..asks(250, 768) };
    let parts = vec![Part::new("main", &image("reprice", "3.3.1"), usage(200.0, 1.5, 330, 590), tight)];
    let every = Schedule::Every { minutes: 120, offset: 45 };
    let mut model = WorkloadModel::new(NAMESPACE, "reprice-store", Engine::Job, every, parts);
    model.retention = Retention::After(1_800_000);
    model
}
