//! The metrics the simulator can emit, with their names and types. Knows nothing of values.
//! Order is the order of emission.

/// A metric of the kubelet's cAdvisor, of kube-state-metrics or of Flink's reporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// `container_cpu_usage_seconds_total`
    CpuUsage,
    /// `container_memory_working_set_bytes`
    WorkingSet,
    /// `container_memory_rss`
    Rss,
    /// `container_memory_max_usage_bytes`
    MaxUsage,
    /// `container_cpu_cfs_periods_total`, only with a CPU limit
    CfsPeriods,
    /// `container_cpu_cfs_throttled_periods_total`, only with a CPU limit
    CfsThrottledPeriods,
    /// `container_start_time_seconds`
    StartTime,
    /// `kube_pod_info`
    PodInfo,
    /// `kube_pod_owner`
    PodOwner,
    /// `kube_pod_labels`, only for allowed keys
    PodLabels,
    /// `kube_pod_annotations`, only for allowed keys
    PodAnnotations,
    /// `kube_pod_created`
    PodCreated,
    /// `kube_pod_start_time`
    PodStartTime,
    /// `kube_pod_completion_time`
    PodCompletionTime,
    /// `kube_pod_container_resource_requests`
    Requests,
    /// `kube_pod_container_resource_limits`
    Limits,
    /// `kube_pod_container_status_terminated_reason`
    TerminatedReason,
    /// `kube_pod_container_status_last_terminated_reason`
    LastTerminatedReason,
    /// `kube_pod_container_status_last_terminated_exitcode`
    LastTerminatedExitcode,
    /// `kube_pod_container_status_restarts_total`
    Restarts,
    /// `kube_pod_status_phase`
    Phase,
    /// `kube_job_owner`
    JobOwner,
    /// `kube_replicaset_owner`
    ReplicasetOwner,
    /// `flink_taskmanager_Status_JVM_Memory_Heap_Used`
    TaskManagerHeapUsed,
    /// `flink_taskmanager_Status_JVM_Memory_Heap_Max`
    TaskManagerHeapMax,
    /// `flink_taskmanager_Status_Flink_Memory_Managed_Used`
    TaskManagerManagedUsed,
    /// `flink_taskmanager_Status_Flink_Memory_Managed_Total`
    TaskManagerManagedTotal,
    /// `flink_taskmanager_Status_Shuffle_Netty_UsedMemory`
    TaskManagerNetworkUsed,
    /// `flink_taskmanager_Status_JVM_GarbageCollector_All_Time`
    TaskManagerCollecting,
    /// `flink_jobmanager_Status_JVM_Memory_Heap_Used`
    JobManagerHeapUsed,
    /// `flink_jobmanager_Status_JVM_Memory_Heap_Max`
    JobManagerHeapMax,
    /// `flink_jobmanager_Status_JVM_GarbageCollector_All_Time`
    JobManagerCollecting,
}

impl Metric {
    /// All metrics, in order of emission.
    pub const ALL: [Self; 32] = [
        Self::CpuUsage,
        Self::WorkingSet,
        Self::Rss,
        Self::MaxUsage,
        Self::CfsPeriods,
        Self::CfsThrottledPeriods,
        Self::StartTime,
        Self::PodInfo,
        Self::PodOwner,
        Self::PodLabels,
        Self::PodAnnotations,
        Self::PodCreated,
        Self::PodStartTime,
        Self::PodCompletionTime,
        Self::Requests,
        Self::Limits,
        Self::TerminatedReason,
        Self::LastTerminatedReason,
        Self::LastTerminatedExitcode,
        Self::Restarts,
        Self::Phase,
        Self::JobOwner,
        Self::ReplicasetOwner,
        Self::TaskManagerHeapUsed,
        Self::TaskManagerHeapMax,
        Self::TaskManagerManagedUsed,
        Self::TaskManagerManagedTotal,
        Self::TaskManagerNetworkUsed,
        Self::TaskManagerCollecting,
        Self::JobManagerHeapUsed,
        Self::JobManagerHeapMax,
        Self::JobManagerCollecting,
    ];

    /// The metric's name in Prometheus.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CpuUsage => "container_cpu_usage_seconds_total",
            Self::WorkingSet => "container_memory_working_set_bytes",
            Self::Rss => "container_memory_rss",
            Self::MaxUsage => "container_memory_max_usage_bytes",
            Self::CfsPeriods => "container_cpu_cfs_periods_total",
            Self::CfsThrottledPeriods => "container_cpu_cfs_throttled_periods_total",
            Self::StartTime => "container_start_time_seconds",
            Self::PodInfo => "kube_pod_info",
            Self::PodOwner => "kube_pod_owner",
            Self::PodLabels => "kube_pod_labels",
            Self::PodAnnotations => "kube_pod_annotations",
            Self::PodCreated => "kube_pod_created",
            Self::PodStartTime => "kube_pod_start_time",
            Self::PodCompletionTime => "kube_pod_completion_time",
            Self::Requests => "kube_pod_container_resource_requests",
            Self::Limits => "kube_pod_container_resource_limits",
            Self::TerminatedReason => "kube_pod_container_status_terminated_reason",
            Self::LastTerminatedReason => "kube_pod_container_status_last_terminated_reason",
            Self::LastTerminatedExitcode => "kube_pod_container_status_last_terminated_exitcode",
            Self::Restarts => "kube_pod_container_status_restarts_total",
            Self::Phase => "kube_pod_status_phase",
            Self::JobOwner => "kube_job_owner",
            Self::ReplicasetOwner => "kube_replicaset_owner",
            Self::TaskManagerHeapUsed => "flink_taskmanager_Status_JVM_Memory_Heap_Used",
            Self::TaskManagerHeapMax => "flink_taskmanager_Status_JVM_Memory_Heap_Max",
            Self::TaskManagerManagedUsed => "flink_taskmanager_Status_Flink_Memory_Managed_Used",
            Self::TaskManagerManagedTotal => "flink_taskmanager_Status_Flink_Memory_Managed_Total",
            Self::TaskManagerNetworkUsed => "flink_taskmanager_Status_Shuffle_Netty_UsedMemory",
            Self::TaskManagerCollecting => "flink_taskmanager_Status_JVM_GarbageCollector_All_Time",
            Self::JobManagerHeapUsed => "flink_jobmanager_Status_JVM_Memory_Heap_Used",
            Self::JobManagerHeapMax => "flink_jobmanager_Status_JVM_Memory_Heap_Max",
            Self::JobManagerCollecting => "flink_jobmanager_Status_JVM_GarbageCollector_All_Time",
        }
    }

    /// The metric of a name; `None` when the simulator does not emit it.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.name() == name)
    }

    /// Whether it only ever grows.
    pub const fn is_counter(self) -> bool {
        matches!(self, Self::CpuUsage | Self::CfsPeriods | Self::CfsThrottledPeriods | Self::Restarts)
    }

    /// Whether it comes from Flink's reporter.
    pub(super) fn is_of_flink(self) -> bool {
        self.name().starts_with("flink_")
    }

    /// Whether it comes from cAdvisor, not from kube-state-metrics.
    pub(super) const fn is_usage(self) -> bool {
        matches!(
            self,
            Self::CpuUsage
                | Self::WorkingSet
                | Self::Rss
                | Self::MaxUsage
                | Self::CfsPeriods
                | Self::CfsThrottledPeriods
                | Self::StartTime
        )
    }
}
