//! The forms that a recommendation can be written in, and which kind of work each is for.

use std::fmt;
use std::str::FromStr;

use crate::workload::Kind;

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Python: `executor_config` with a `pod_override`, for Airflow's `KubernetesExecutor`.
    AirflowPodOverride,
    /// Python: `container_resources` of a `KubernetesPodOperator`.
    AirflowContainerResources,
    /// `spark-defaults.conf`, also for `spark-submit --properties-file`.
    SparkConf,
    /// `--conf` arguments of `spark-submit`.
    SparkSubmit,
    /// Python: a `ResourceProfile`, for stages that ask for one.
    SparkResourceProfile,
    /// A `SparkApplication` of the kubeflow operator.
    SparkApplication,
    /// A `ScheduledSparkApplication` of the kubeflow operator.
    ScheduledSparkApplication,
    /// A `SparkApplication` of the Apache operator.
    ApacheSparkApplication,
    /// Python: tags of a Dagster job, op or asset.
    DagsterTags,
    /// Run config of a Dagster job that runs by `k8s_job_executor`.
    DagsterRunConfig,
    /// `job_variables` in `prefect.yaml`.
    PrefectJobVariables,
    /// `resources` of an Argo template.
    ArgoTemplate,
    /// `podSpecPatch` of an Argo template.
    ArgoPodSpecPatch,
    /// A `FlinkDeployment`.
    FlinkDeployment,
    /// Flink's own configuration.
    FlinkConfiguration,
    /// A strategic merge patch of the object that makes the pods.
    Patch,
    /// A `kustomization.yaml` with that patch.
    Kustomize,
    /// Values as most charts take them: `resources`, or what a `SparkApplication` or `FlinkDeployment` is
    /// sized by.
    HelmValues,
}

/// What a snippet is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Python.
    Python,
    /// YAML.
    Yaml,
    /// Java properties.
    Properties,
    /// Arguments of a POSIX shell.
    Shell,
}

/// No such form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such form; the forms are {}", Form::ALL.map(Form::as_str).join(", "))]
pub struct UnknownForm;

impl Form {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::AirflowPodOverride,
        Self::AirflowContainerResources,
        Self::SparkConf,
        Self::SparkSubmit,
        Self::SparkResourceProfile,
        Self::SparkApplication,
        Self::ScheduledSparkApplication,
        Self::ApacheSparkApplication,
        Self::DagsterTags,
        Self::DagsterRunConfig,
        Self::PrefectJobVariables,
        Self::ArgoTemplate,
        Self::ArgoPodSpecPatch,
        Self::FlinkDeployment,
        Self::FlinkConfiguration,
        Self::Patch,
        Self::Kustomize,
        Self::HelmValues,
    ];

    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AirflowPodOverride => "airflow-pod-override",
            Self::AirflowContainerResources => "airflow-container-resources",
            Self::SparkConf => "spark-conf",
            Self::SparkSubmit => "spark-submit",
            Self::SparkResourceProfile => "spark-resource-profile",
            Self::SparkApplication => "spark-application",
            Self::ScheduledSparkApplication => "scheduled-spark-application",
            Self::ApacheSparkApplication => "apache-spark-application",
            Self::DagsterTags => "dagster-tags",
            Self::DagsterRunConfig => "dagster-run-config",
            Self::PrefectJobVariables => "prefect-job-variables",
            Self::ArgoTemplate => "argo-template",
            Self::ArgoPodSpecPatch => "argo-pod-spec-patch",
            Self::FlinkDeployment => "flink-deployment",
            Self::FlinkConfiguration => "flink-configuration",
            Self::Patch => "patch",
            Self::Kustomize => "kustomize",
            Self::HelmValues => "helm-values",
        }
    }

    /// What it is written in.
    pub const fn language(self) -> Language {
        match self {
            Self::AirflowPodOverride
            | Self::AirflowContainerResources
            | Self::SparkResourceProfile
            | Self::DagsterTags => Language::Python,
            Self::SparkConf => Language::Properties,
            Self::SparkSubmit => Language::Shell,
            _ => Language::Yaml,
        }
    }

    /// Whether one snippet holds all parts of an application or cluster.
    pub(super) fn is_of_whole_application(self, kind: Kind) -> bool {
        matches!(
            self,
            Self::SparkConf
                | Self::SparkSubmit
                | Self::SparkApplication
                | Self::ScheduledSparkApplication
                | Self::ApacheSparkApplication
                | Self::FlinkDeployment
                | Self::FlinkConfiguration
        ) || (self == Self::HelmValues && (is_spark(kind) || is_flink(kind)))
    }

    /// Whether it is a form of this kind of work.
    pub fn says(self, kind: Kind) -> bool {
        let airflow_spark = matches!(kind, Kind::AirflowSparkDriver | Kind::AirflowSparkExecutor);
        match self {
            Self::AirflowPodOverride => kind == Kind::AirflowTask,
            Self::AirflowContainerResources => kind == Kind::AirflowPod,
            Self::SparkConf | Self::SparkSubmit => is_spark(kind),
            Self::SparkResourceProfile => matches!(kind, Kind::SparkExecutor | Kind::AirflowSparkExecutor),
            Self::SparkApplication => matches!(kind, Kind::SparkDriver | Kind::SparkExecutor) || airflow_spark,
            Self::ScheduledSparkApplication | Self::ApacheSparkApplication => {
                matches!(kind, Kind::SparkDriver | Kind::SparkExecutor)
            }
            Self::DagsterTags => matches!(kind, Kind::DagsterRun | Kind::DagsterStep | Kind::DagsterOp),
            Self::DagsterRunConfig => kind == Kind::DagsterStep,
            Self::PrefectJobVariables => kind == Kind::Prefect,
            Self::ArgoTemplate | Self::ArgoPodSpecPatch => kind == Kind::Argo,
            Self::FlinkDeployment | Self::FlinkConfiguration => is_flink(kind),
            Self::Patch | Self::Kustomize => super::kubernetes::has_template(kind),
            // A chart may make anything; of Spark Connect's own object no values are known.
            Self::HelmValues => kind != Kind::SparkConnect,
        }
    }

    /// The form that a kind of work is usually written in.
    pub fn usual(kind: Kind) -> Option<Self> {
        match kind {
            // The operator that starts it takes a manifest.
            Kind::AirflowSparkDriver | Kind::AirflowSparkExecutor => Some(Self::SparkApplication),
            kind => Self::ALL.into_iter().find(|form| form.says(kind)),
        }
    }
}

/// Whether it is one of Flink's processes.
pub(super) const fn is_flink(kind: Kind) -> bool {
    matches!(kind, Kind::FlinkJobmanager | Kind::FlinkTaskmanager)
}

/// Whether its pods are made from Spark's settings.
pub(super) const fn is_spark(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::SparkDriver
            | Kind::SparkExecutor
            | Kind::SparkConnect
            | Kind::AirflowSparkDriver
            | Kind::AirflowSparkExecutor
    )
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Form {
    type Err = UnknownForm;

    fn from_str(text: &str) -> Result<Self, UnknownForm> {
        Self::ALL.into_iter().find(|form| form.as_str() == text).ok_or(UnknownForm)
    }
}

impl Language {
    /// Of a file.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Python => "py",
            Self::Yaml => "yaml",
            Self::Properties => "conf",
            Self::Shell => "args",
        }
    }
}
