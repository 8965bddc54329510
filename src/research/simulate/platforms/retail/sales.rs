//! Namespace `sales-data`: orders and stock, on Airflow, Spark, CronJobs, a Deployment, and what Airflow itself lives
//! on. Knows nothing of how they are played or scraped.

use super::{Engine, Part, Schedule, WorkloadModel, asks, image, nightly, usage};

const NAMESPACE: &str = "sales-data";

/// Never rolled out again.
const SINCE_INSTALLED: Schedule = Schedule::Once { minutes: 95 };

pub(super) fn models() -> Vec<WorkloadModel> {
    vec![
        orders_daily(),
        dbt_marts(),
        basket_affinity(),
        stock_snapshot(),
        orders_api(),
        airflow_scheduler(),
        airflow_db(),
    ]
}

/// `extract_orders` asks for 8 GiB and uses 1.2; `load_warehouse` is about right.
fn orders_daily() -> WorkloadModel {
    let airflow = image("airflow", "3.1.2-12");
    let parts = vec![
        Part::new("extract_orders", &airflow, usage(840.0, 0.7, 520, 1190), asks(2000, 8192)),
        Part::new("load_warehouse", &airflow, usage(420.0, 0.45, 700, 1480), asks(500, 1920)),
    ];
    WorkloadModel::new(NAMESPACE, "orders_daily", Engine::AirflowTask, nightly(1, 15), parts)
}

/// One night in four is a full refresh that needs two and a half times as much.
fn dbt_marts() -> WorkloadModel {
    let mut fct_sales = usage(600.0, 1.1, 900, 1500);
    fct_sales.memory.second_mode = Some((0.25, 2.5));
    let parts = vec![Part::new("fct_sales", &image("dbt", "1.10.4"), fct_sales, asks(1000, 6144))];
    WorkloadModel::new(NAMESPACE, "dbt_marts", Engine::AirflowPod, nightly(3, 0), parts)
}

/// Its executors are killed for memory now and then: 4.4 GiB asked, and a few partitions are larger.
fn basket_affinity() -> WorkloadModel {
    let spark = image("spark", "3.5.6-scala2.13");
    let mut executor = usage(1500.0, 1.7, 3300, 4020);
    executor.memory.spread = 0.055;
    let parts = vec![
        Part::new("driver", &spark, usage(1500.0, 0.35, 850, 1100), asks(1000, 1433)),
        Part::new("executor", &spark, executor, asks(2000, 4505)).times(6),
    ];
    WorkloadModel::new(NAMESPACE, "basket-affinity", Engine::SparkNative, nightly(2, 30), parts)
}

/// Short, frequent and fine.
fn stock_snapshot() -> WorkloadModel {
    let parts = vec![Part::new("main", &image("stock-snapshot", "0.9.7"), usage(75.0, 0.3, 150, 205), asks(300, 256))];
    let every = Schedule::Every { minutes: 15, offset: 5 };
    WorkloadModel::new(NAMESPACE, "stock-snapshot", Engine::CronJob { restart_in_place: false }, every, parts)
}

/// Not a job: rolled out every Tuesday.
fn orders_api() -> WorkloadModel {
    let parts = vec![
        Part::new("app", &image("orders-api", "2026.11.3"), usage(604_800.0, 0.12, 420, 560), asks(500, 1024)).times(2),
    ];
    let tuesdays = Schedule::Weekly { weekday: 1, hour: 9, minute: 30 };
    WorkloadModel::new(NAMESPACE, "orders-api", Engine::Deployment, tuesdays, parts)
}

/// Two replicas that have lived since the platform was installed, with half of what they ask for.
fn airflow_scheduler() -> WorkloadModel {
    let daily = usage(86_400.0, 0.35, 780, 960).every_day();
    let parts = vec![Part::new("scheduler", &image("airflow", "3.1.2-12"), daily, asks(1000, 2048)).times(2)];
    WorkloadModel::new(NAMESPACE, "airflow-scheduler", Engine::Deployment, SINCE_INSTALLED, parts)
}

/// Airflow's database, nearly at its limit for hours of every day.
fn airflow_db() -> WorkloadModel {
    let daily = usage(86_400.0, 0.2, 640, 985).every_day();
    let parts = vec![Part::new("postgres", &image("postgres", "17.6-3"), daily, asks(250, 1024))];
    WorkloadModel::new(NAMESPACE, "airflow-db", Engine::StatefulSet, SINCE_INSTALLED, parts)
}
