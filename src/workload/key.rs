//! The key of a workload and its one text form, used in the store, on the command line and in labels.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What kind of recurring work, named in the engine's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Airflow KubernetesExecutor worker: dag, task.
    AirflowTask,
    /// Airflow KubernetesPodOperator or KubernetesJobOperator pod: dag, task.
    AirflowPod,
    /// Spark driver started by Airflow's SparkKubernetesOperator: dag, task.
    AirflowSparkDriver,
    /// Spark executor started by Airflow's SparkKubernetesOperator: dag, task.
    AirflowSparkExecutor,
    /// Spark driver: application.
    SparkDriver,
    /// Spark executor: application, and the profile's shape where it is not the default profile.
    SparkExecutor,
    /// Spark Connect server: name.
    SparkConnect,
    /// Spark standalone cluster's master (`SparkCluster`): name.
    SparkMaster,
    /// Spark standalone cluster's worker (`SparkCluster`): name.
    SparkWorker,
    /// Dagster run worker: code location where known, job.
    DagsterRun,
    /// Dagster step worker: job, op.
    DagsterStep,
    /// Dagster `k8s_job_op` or Pipes pod: job, op.
    DagsterOp,
    /// Prefect flow run: flow, deployment.
    Prefect,
    /// Argo workflow step: family (`cron:…`, `template:…`, `workflow:…`), template.
    Argo,
    /// Flink job manager: cluster.
    FlinkJobmanager,
    /// Flink task manager: cluster.
    FlinkTaskmanager,
    /// Kubernetes CronJob: name.
    Cronjob,
    /// Kubernetes Job: name without what varies per run.
    Job,
    /// Kubernetes Deployment: name.
    Deployment,
    /// Kubernetes StatefulSet: name.
    Statefulset,
    /// Kubernetes DaemonSet: name.
    Daemonset,
    /// A controller of another kind: kind, name.
    Custom,
    /// The user's own list of label keys: the labels' values in that order.
    Labels,
}

impl Kind {
    /// All kinds, in order.
    pub const ALL: [Self; 23] = [
        Self::AirflowTask,
        Self::AirflowPod,
        Self::AirflowSparkDriver,
        Self::AirflowSparkExecutor,
        Self::SparkDriver,
        Self::SparkExecutor,
        Self::SparkConnect,
        Self::SparkMaster,
        Self::SparkWorker,
        Self::DagsterRun,
        Self::DagsterStep,
        Self::DagsterOp,
        Self::Prefect,
        Self::Argo,
        Self::FlinkJobmanager,
        Self::FlinkTaskmanager,
        Self::Cronjob,
        Self::Job,
        Self::Deployment,
        Self::Statefulset,
        Self::Daemonset,
        Self::Custom,
        Self::Labels,
    ];

    /// The kind's text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AirflowTask => "airflow-task",
            Self::AirflowPod => "airflow-pod",
            Self::AirflowSparkDriver => "airflow-spark-driver",
            Self::AirflowSparkExecutor => "airflow-spark-executor",
            Self::SparkDriver => "spark-driver",
            Self::SparkExecutor => "spark-executor",
            Self::SparkConnect => "spark-connect",
            Self::SparkMaster => "spark-master",
            Self::SparkWorker => "spark-worker",
            Self::DagsterRun => "dagster-run",
            Self::DagsterStep => "dagster-step",
            Self::DagsterOp => "dagster-op",
            Self::Prefect => "prefect",
            Self::Argo => "argo",
            Self::FlinkJobmanager => "flink-jobmanager",
            Self::FlinkTaskmanager => "flink-taskmanager",
            Self::Cronjob => "cronjob",
            Self::Job => "job",
            Self::Deployment => "deployment",
            Self::Statefulset => "statefulset",
            Self::Daemonset => "daemonset",
            Self::Custom => "custom",
            Self::Labels => "labels",
        }
    }
}

impl Kind {
    /// The engine that makes such pods, in one word; `kubernetes` for its own controllers.
    pub const fn engine(self) -> &'static str {
        match self {
            Self::AirflowTask | Self::AirflowPod | Self::AirflowSparkDriver | Self::AirflowSparkExecutor => "airflow",
            Self::SparkDriver | Self::SparkExecutor | Self::SparkConnect | Self::SparkMaster | Self::SparkWorker => {
                "spark"
            }
            Self::DagsterRun | Self::DagsterStep | Self::DagsterOp => "dagster",
            Self::Prefect => "prefect",
            Self::Argo => "argo",
            Self::FlinkJobmanager | Self::FlinkTaskmanager => "flink",
            Self::Cronjob | Self::Job | Self::Deployment | Self::Statefulset | Self::Daemonset => "kubernetes",
            Self::Custom | Self::Labels => "other",
        }
    }
}

impl Kind {
    /// Whether its pods live until somebody stops them. A controller of another kind may make either.
    pub const fn is_service(self) -> bool {
        matches!(self, Self::Deployment | Self::Statefulset | Self::Daemonset)
    }

    /// Whether what is said of services holds for its pods, where its history is one of days or of runs. It does not
    /// for Flink's: their sizes belong to the `FlinkDeployment`.
    pub const fn is_governed_as_service(self, has_days: bool) -> bool {
        self.is_service() || (has_days && !matches!(self, Self::FlinkJobmanager | Self::FlinkTaskmanager))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A recurring workload of one namespace. Its text form is `kind/name/…`; names never contain `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Workload {
    /// Namespace of its pods.
    pub namespace: String,
    /// What kind of work.
    pub kind: Kind,
    /// The engine's names for it, outermost first.
    pub names: Vec<String>,
}

impl Workload {
    /// A workload; `/` inside a name becomes `_` and an empty name `_`, so that the text form can be read back.
    pub fn new<S: AsRef<str>>(namespace: impl Into<String>, kind: Kind, names: impl IntoIterator<Item = S>) -> Self {
        Self {
            namespace: namespace.into(),
            kind,
            names: names
                .into_iter()
                .map(|n| if n.as_ref().is_empty() { "_".to_owned() } else { n.as_ref().replace('/', "_") })
                .collect(),
        }
    }

    /// Reads the text form that [`fmt::Display`] writes.
    pub fn parse(namespace: &str, text: &str) -> Result<Self, KeyError> {
        let (kind, names) = text.split_once('/').ok_or_else(|| KeyError(text.to_owned()))?;
        let kind = Kind::ALL.into_iter().find(|k| k.as_str() == kind).ok_or_else(|| KeyError(text.to_owned()))?;
        if names.split('/').any(str::is_empty) {
            return Err(KeyError(text.to_owned()));
        }
        Ok(Self { namespace: namespace.to_owned(), kind, names: names.split('/').map(str::to_owned).collect() })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        for n in &self.names {
            write!(f, "/{n}")?;
        }
        Ok(())
    }
}

/// One container of a workload: what a history belongs to. Text form: `namespace/kind/name/…:container`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkloadKey {
    /// The workload.
    pub workload: Workload,
    /// Container name.
    pub container: String,
}

impl fmt::Display for WorkloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.workload.namespace, self.workload, self.container)
    }
}

impl FromStr for WorkloadKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let error = || KeyError(text.to_owned());
        let (workload, container) = text.rsplit_once(':').ok_or_else(error)?;
        let (namespace, workload) = workload.split_once('/').ok_or_else(error)?;
        if namespace.is_empty() || container.is_empty() {
            return Err(error());
        }
        Ok(Self { workload: Workload::parse(namespace, workload)?, container: container.to_owned() })
    }
}

/// A text that is not the form of a workload.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a workload; write it as KIND/NAME, for example cronjob/nightly-report, as the first column of `podfit recommend` shows it"
)]
pub struct KeyError(String);
