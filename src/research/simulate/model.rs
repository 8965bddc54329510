//! What a recurring workload is: engine, schedule, what its parts use and what they ask for.
//! Plain data; how it is played over time and how it is scraped is not known here.

use super::calendar::Schedule;

pub use crate::quantity::MIB;

/// Which engine makes the pods, and thus their names, labels, owners and retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A CronJob; the model's name is its name.
    CronJob {
        /// `restartPolicy: OnFailure`: a failed container restarts in its pod, instead of a new pod.
        restart_in_place: bool,
    },
    /// Jobs that somebody creates from a script: the model's name and five random characters.
    Job,
    /// Airflow `KubernetesExecutor`: the model is the DAG, its parts are the tasks, one after the other.
    AirflowTask,
    /// Airflow `KubernetesPodOperator`: the model is the DAG, its parts are the tasks, one after the other.
    AirflowPod,
    /// `spark-submit` to Kubernetes with the date in the application's name: part 0 is the driver, part 1 the executor.
    SparkNative,
    /// A `ScheduledSparkApplication` of the kubeflow operator: part 0 is the driver, part 1 the executor.
    SparkScheduled,
    /// A Dagster job with `k8s_job_executor`: part 0 is the run worker, the others are the ops, one after the other.
    Dagster {
        /// Code location.
        location: String,
    },
    /// A Prefect flow; the model's name is the flow's.
    Prefect {
        /// Deployment of the flow.
        deployment: String,
        /// Work pool it runs in.
        work_pool: String,
    },
    /// An Argo `CronWorkflow`; its parts are the templates, one after the other.
    Argo,
    /// A Flink cluster in native mode: part 0 is the job manager, part 1 the task manager; redeployed on schedule.
    Flink,
    /// A Deployment, rolled out anew on schedule.
    Deployment,
    /// A StatefulSet, rolled out anew on schedule; its pods keep their names.
    StatefulSet,
}

/// Requests and limits of a container; `None` is not set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// CPU request in millicores.
    pub cpu_request_millis: Option<u64>,
    /// CPU limit in millicores.
    pub cpu_limit_millis: Option<u64>,
    /// Memory request in bytes.
    pub memory_request_bytes: Option<u64>,
    /// Memory limit in bytes.
    pub memory_limit_bytes: Option<u64>,
}

/// Memory over a run. Shares are of the run's time, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// Use outside the peak, in bytes.
    pub baseline_bytes: u64,
    /// Use during the peak, in bytes, before all the factors below.
    pub peak_bytes: u64,
    /// Where the peak begins.
    pub peak_at: f64,
    /// How long the peak lasts.
    pub peak_for: f64,
    /// How long the climb from the baseline to the peak takes; 0 is a step.
    pub rise: f64,
    /// How long it takes at the start to reach the baseline; 0 is at once.
    pub warm_up: f64,
    /// Standard deviation of the size between runs, as a share of it.
    pub spread: f64,
    /// Growth per day of the simulated window, as a share of the first day's size.
    pub growth_per_day: f64,
    /// Factor by weekday, Monday first.
    pub weekday: [f64; 7],
    /// A second kind of run (a full refresh, a large customer): its share of runs, and the factor on size and time.
    pub second_mode: Option<(f64, f64)>,
    /// Page cache on top of the peak in the cgroup's high-water mark, as a share of the peak.
    pub page_cache: f64,
    /// How far a sample may lie below the curve, as a share.
    pub noise: f64,
}

/// CPU over a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cpu {
    /// Cores the run would use without a limit, as a mean over the run.
    pub cores: f64,
    /// Standard deviation of the cores between runs, as a share of them.
    pub spread: f64,
    /// How uneven the use is over the run, 0 (flat) to 1.
    pub unevenness: f64,
}

/// What one container uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Run time in seconds, without throttling.
    pub seconds: f64,
    /// Standard deviation of the run time between runs, as a share of it.
    pub seconds_spread: f64,
    /// Memory over the run.
    pub memory: Memory,
    /// CPU over the run.
    pub cpu: Cpu,
    /// The same every day that it lives, from its start on, instead of once over the run.
    pub daily: bool,
}

impl Usage {
    /// A run of so many seconds with a flat baseline, a step up to the peak in the middle, and constant CPU:
    /// nothing varies until the fields say so.
    pub const fn flat(seconds: f64, cores: f64, baseline_bytes: u64, peak_bytes: u64) -> Self {
        Self {
            seconds,
            seconds_spread: 0.0,
            memory: Memory {
                baseline_bytes,
                peak_bytes,
                peak_at: 0.5,
                peak_for: 0.08,
                rise: 0.0,
                warm_up: 0.0,
                spread: 0.0,
                growth_per_day: 0.0,
                weekday: [1.0; 7],
                second_mode: None,
                page_cache: 0.0,
                noise: 0.0,
            },
            cpu: Cpu { cores, spread: 0.0, unevenness: 0.0 },
            daily: false,
        }
    }

    /// The same every day.
    #[must_use]
    pub const fn every_day(mut self) -> Self {
        self.seconds = 86_400.0;
        self.daily = true;
        self
    }

    /// The same, varying as real work does: run time ±10 %, size ±4 %, an early peak with a climb, uneven CPU.
    pub const fn lively(seconds: f64, cores: f64, baseline_bytes: u64, peak_bytes: u64) -> Self {
        let mut usage = Self::flat(seconds, cores, baseline_bytes, peak_bytes);
        usage.seconds_spread = 0.1;
        usage.memory.peak_at = 0.25;
        usage.memory.peak_for = 0.3;
        usage.memory.rise = 0.1;
        usage.memory.warm_up = 0.1;
        usage.memory.spread = 0.04;
        usage.memory.page_cache = 0.03;
        usage.memory.noise = 0.02;
        usage.cpu.spread = 0.05;
        usage.cpu.unevenness = 0.5;
        usage
    }
}

/// What a JVM of Flink's tells of its memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FlinkJvm {
    /// Heap that it was given.
    pub heap_bytes: u64,
    /// Heap in use at its peak, garbage included.
    pub heap_peak_bytes: u64,
    /// Managed memory that it was given.
    pub managed_bytes: u64,
    /// Managed memory in use.
    pub managed_used_bytes: u64,
    /// Network buffers in use.
    pub network_used_bytes: u64,
    /// Share of its time spent on collecting garbage, 0 to 1.
    pub gc_share: f64,
}

/// One part of a workload: a task, a role, a step, a template.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The engine's name for it.
    pub name: String,
    /// Image of its container.
    pub image: String,
    /// Pods of this part per run (executors, task managers, replicas), at least 1.
    pub count: u32,
    /// What its container uses.
    pub usage: Usage,
    /// What its container asks for.
    pub asks: Asks,
    /// What it asked for until so many milliseconds before the end of the window; `None` = the same.
    pub asked_before: Option<(i64, Asks)>,
    /// What its JVM tells, where it is one of Flink's and its reporter is scraped.
    pub flink: Option<FlinkJvm>,
}

impl Part {
    /// A part with one pod per run.
    pub fn new(name: &str, image: &str, usage: Usage, asks: Asks) -> Self {
        Self { name: name.to_owned(), image: image.to_owned(), count: 1, usage, asks, asked_before: None, flink: None }
    }

    /// With other requests and limits until so many hours before the end of the window.
    #[must_use]
    pub const fn resized(mut self, hours_before_end: i64, from: Asks) -> Self {
        self.asked_before = Some((hours_before_end * 3_600_000, from));
        self
    }

    /// What a pod asks for that is made then.
    pub(super) fn asks_at(&self, at_ms: i64, end_ms: i64) -> Asks {
        self.asked_before.filter(|(before_end, _)| at_ms < end_ms - before_end).map_or(self.asks, |(_, from)| from)
    }

    /// A process of Flink's whose reporter is scraped.
    #[must_use]
    pub const fn telling(mut self, jvm: FlinkJvm) -> Self {
        self.flink = Some(jvm);
        self
    }

    /// With so many pods per run.
    #[must_use]
    pub const fn times(mut self, count: u32) -> Self {
        self.count = count;
        self
    }
}

/// When a finished pod's object is deleted. Long-running pods go as soon as they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// A few seconds after the end (Spark executors, `KubernetesPodOperator`).
    AtOnce,
    /// So many milliseconds after the end (`ttlSecondsAfterFinished`).
    After(i64),
    /// A success a few seconds after the end, a failure never (Airflow workers).
    KeepFailed,
    /// The newest so many successes and failures are kept (a CronJob's history limits: 3 and 1).
    Newest {
        /// Successful runs kept.
        successful: usize,
        /// Failed runs kept.
        failed: usize,
    },
}

/// A recurring workload.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadModel {
    /// Namespace of its pods.
    pub namespace: String,
    /// The engine's name for the whole: CronJob, DAG, application, job, flow, cluster.
    pub name: String,
    /// Who makes the pods.
    pub engine: Engine,
    /// When it runs.
    pub schedule: Schedule,
    /// Its parts; see [`Engine`] for their order.
    pub parts: Vec<Part>,
    /// Only the last so many days of the window; `None` is all of it.
    pub last_days: Option<u32>,
    /// Tries of the same unit of work, at least 1.
    pub max_attempts: u32,
    /// Milliseconds between a failure and the next try.
    pub retry_delay_ms: i64,
    /// Share of tries that fail for another reason than memory (exit code 1).
    pub fail_share: f64,
    /// Shortest and longest time from the pod's creation to its container's start, in milliseconds.
    pub start_delay_ms: (i64, i64),
    /// When finished pods are deleted.
    pub retention: Retention,
}

impl WorkloadModel {
    /// A workload with its engine's usual retries and retention.
    pub fn new(namespace: &str, name: &str, engine: Engine, schedule: Schedule, parts: Vec<Part>) -> Self {
        let (max_attempts, retry_delay_ms, retention) = match engine {
            Engine::CronJob { .. } => (3, 10_000, Retention::Newest { successful: 3, failed: 1 }),
            Engine::Job => (3, 10_000, Retention::After(3_600_000)),
            Engine::AirflowTask => (3, 60_000, Retention::KeepFailed),
            Engine::AirflowPod => (3, 60_000, Retention::AtOnce),
            Engine::SparkNative | Engine::SparkScheduled => (2, 30_000, Retention::After(1_800_000)),
            Engine::Dagster { .. } => (2, 5_000, Retention::After(86_400_000)),
            Engine::Prefect { .. } => (2, 30_000, Retention::After(3_600_000)),
            Engine::Argo => (3, 5_000, Retention::After(7_200_000)),
            Engine::Flink | Engine::Deployment | Engine::StatefulSet => (1, 10_000, Retention::AtOnce),
        };
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            engine,
            schedule,
            parts,
            last_days: None,
            max_attempts,
            retry_delay_ms,
            fail_share: 0.0,
            start_delay_ms: (1_500, 6_000),
            retention,
        }
    }
}
