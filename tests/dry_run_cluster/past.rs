//! What the namespace's workloads did in the past eight days: names, dates and sizes of earlier pods.
//! The live pods in `live.rs` ask for what [`asks`] says here, unless said otherwise there.

use podfit::research::simulate::{
    Asks, Engine, MIB, Memory, Metric, Part, Platform, Schedule, ScrapeOptions, Usage, WorkloadModel,
};

/// 2026-11-22T12:00:00Z
pub const NOON: i64 = 1_795_348_800_000;
/// Days of history: so many runs of what runs daily.
pub const DAYS: u64 = 8;
pub const NOON_TEXT: &str = "2026-11-22T12:00:00Z";

/// What a container of each workload asked for in the past: millicores, MiB.
const ASKS: [(&str, u64, u64); 18] = [
    ("airflow-task/nightly_sales_etl/extract_orders", 500, 4096),
    ("airflow-task/nightly_sales_etl/load_warehouse", 2000, 4096),
    ("airflow-pod/churn_scoring/score_customers", 1000, 2048),
    ("spark-driver/orders-agg", 1000, 1433),
    ("spark-driver/customer-features", 1000, 1433),
    ("spark-executor/orders-agg", 2000, 4505),
    ("spark-executor/customer-features", 2000, 2432),
    ("dagster-run/forecast/demand_forecast", 250, 512),
    ("dagster-run/forecast/stock_levels", 250, 512),
    ("dagster-step/demand_forecast/train_model", 2000, 3072),
    ("prefect/sync-crm/prod", 250, 1024),
    ("argo/clickstream/extract", 500, 512),
    ("argo/clickstream/score", 1000, 2048),
    ("flink-jobmanager/sessions", 500, 1600),
    ("flink-taskmanager/sessions", 2000, 3072),
    ("cronjob/nightly-report", 500, 1024),
    ("cronjob/six-hourly-compact", 200, 1024),
    ("job/backfill", 1000, 2048),
];

/// What a container of this workload asked for in the past, and something where none is listed: millicores, MiB.
pub fn asks(workload: &str) -> (u64, u64) {
    ASKS.iter().find(|(name, ..)| *name == workload).map_or((500, 1024), |(_, cpu, mib)| (*cpu, *mib))
}

/// Namespace and scraping of the whole.
pub fn platform(namespace: &str, scrape: ScrapeOptions) -> Platform {
    Platform { days: DAYS as u32, nodes: 3, models: models(namespace), scrape }
}

/// A scrape a minute, of states every ten minutes, of what podfit reads.
pub fn scrape() -> ScrapeOptions {
    let unread = [Metric::Rss, Metric::Phase, Metric::PodInfo, Metric::PodCreated, Metric::Restarts];
    let metrics = Metric::ALL.into_iter().filter(|m| !unread.contains(m)).collect();
    ScrapeOptions {
        interval_ms: 60_000,
        state_interval_ms: 600_000,
        metrics: Some(metrics),
        ..ScrapeOptions::default()
    }
}

#[allow(clippy::too_many_lines, reason = "a table of workloads, a line each")]
fn models(namespace: &str) -> Vec<WorkloadModel> {
    let model = |name: &str, engine, schedule, parts| WorkloadModel::new(namespace, name, engine, schedule, parts);
    let daily = |hour| Schedule::Nightly { hour, minute: 0 };

    let driver = |w: &str| part("driver", w, usage(60.0, 0.2, 700, 900));
    let dagster = || Engine::Dagster { location: "forecast".to_owned() };
    // From the seventh day on more than the limit: killed, and so is every retry.
    let growing = |mut usage: Usage| {
        usage.memory.growth_per_day = 0.1;
        usage
    };
    let prefect = Engine::Prefect { deployment: "prod".to_owned(), work_pool: "k8s".to_owned() };
    let cron = || Engine::CronJob { restart_in_place: false };
    let mut models = vec![
        model(
            "nightly_sales_etl",
            Engine::AirflowTask,
            daily(2),
            vec![
                part("extract_orders", "airflow-task/nightly_sales_etl/extract_orders", usage(1500.0, 0.4, 600, 900)),
                part("load_warehouse", "airflow-task/nightly_sales_etl/load_warehouse", usage(1800.0, 1.5, 1500, 2600)),
            ],
        ),
        model(
            "churn_scoring",
            Engine::AirflowPod,
            daily(4),
            vec![part("score_customers", "airflow-pod/churn_scoring/score_customers", usage(1500.0, 0.9, 1200, 1700))],
        ),
        model(
            "orders-agg",
            Engine::SparkNative,
            daily(1),
            vec![
                driver("spark-driver/orders-agg"),
                part("executor", "spark-executor/orders-agg", usage(1800.0, 1.6, 1100, 1500)).times(2),
            ],
        ),
        model(
            "customer-features",
            Engine::SparkNative,
            daily(3),
            vec![
                driver("spark-driver/customer-features"),
                part("executor", "spark-executor/customer-features", usage(1800.0, 1.2, 1700, 2200)).times(2),
            ],
        ),
        model(
            "demand_forecast",
            dagster(),
            daily(5),
            vec![
                part("run", "dagster-run/forecast/demand_forecast", usage(60.0, 0.05, 240, 290)),
                part(
                    "train_model",
                    "dagster-step/demand_forecast/train_model",
                    growing(usage(2400.0, 1.8, 1400, 1895)),
                ),
            ],
        ),
        model(
            "stock_levels",
            dagster(),
            daily(6),
            vec![
                part("run", "dagster-run/forecast/stock_levels", usage(60.0, 0.05, 300, 400)),
                part("count", "dagster-step/stock_levels/count", usage(1500.0, 0.3, 300, 500)),
            ],
        ),
        model("sync-crm", prefect, daily(7), vec![part("flow", "prefect/sync-crm/prod", usage(1500.0, 0.1, 300, 420))]),
        model(
            "clickstream",
            Engine::Argo,
            daily(8),
            vec![
                part("extract", "argo/clickstream/extract", usage(1500.0, 0.2, 40, 52)),
                part("score", "argo/clickstream/score", usage(1800.0, 0.8, 900, 1300)),
            ],
        ),
        model(
            "sessions",
            Engine::Flink,
            daily(11),
            vec![
                part("jobmanager", "flink-jobmanager/sessions", usage(60.0, 0.1, 700, 860)),
                part("taskmanager", "flink-taskmanager/sessions", usage(60.0, 0.9, 1700, 2000)).times(2),
            ],
        ),
        model(
            "nightly-report",
            cron(),
            daily(9),
            vec![part("main", "cronjob/nightly-report", growing(usage(1500.0, 0.4, 450, 625)))],
        ),
        model(
            "six-hourly-compact",
            cron(),
            Schedule::Every { minutes: 360, offset: 20 },
            vec![part("main", "cronjob/six-hourly-compact", usage(1300.0, 0.15, 300, 400))],
        ),
        model("backfill", Engine::Job, daily(10), vec![part("main", "job/backfill", usage(1500.0, 0.7, 1500, 1950))]),
    ];
    // What runs all day makes most of the samples.
    models.iter_mut().filter(|m| m.engine == Engine::Flink).for_each(|m| m.last_days = Some(5));
    models
}

fn part(name: &str, workload: &str, usage: Usage) -> Part {
    let (cpu, mib) = asks(workload);
    let asks = Asks {
        cpu_request_millis: Some(cpu),
        cpu_limit_millis: None,
        memory_request_bytes: Some(mib * MIB),
        memory_limit_bytes: Some(mib * MIB),
    };
    Part::new(name, "registry.example/data/work:3.2.1", usage, asks)
}

fn usage(seconds: f64, cores: f64, baseline_mib: u64, peak_mib: u64) -> Usage {
    let lively = Usage::lively(seconds, cores, baseline_mib * MIB, peak_mib * MIB);
    Usage { memory: Memory { spread: 0.005, ..lively.memory }, ..lively }
}
