//! Which series of kube-state-metrics tell of the same facts.
//! Names only.

/// Facts of a pod that are settled together: where one of them is contested, the samples of all their series are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Requests and limits.
    Sizes,
    /// Why containers ended.
    Ends,
    /// Labels.
    Labels,
    /// Annotations.
    Annotations,
    /// The controller.
    Owner,
}

impl Group {
    const ALL: [Self; 5] = [Self::Sizes, Self::Ends, Self::Labels, Self::Annotations, Self::Owner];

    /// Their series.
    pub const fn metrics(self) -> &'static [&'static str] {
        match self {
            Self::Sizes => &[
                "kube_pod_container_resource_requests",
                "kube_pod_container_resource_limits",
                "kube_pod_init_container_resource_requests",
                "kube_pod_init_container_resource_limits",
            ],
            Self::Ends => &[
                "kube_pod_container_status_terminated_reason",
                "kube_pod_container_status_last_terminated_reason",
                "kube_pod_container_status_last_terminated_exitcode",
                "kube_pod_init_container_status_terminated_reason",
                "kube_pod_init_container_status_last_terminated_reason",
            ],
            Self::Labels => &["kube_pod_labels"],
            Self::Annotations => &["kube_pod_annotations"],
            Self::Owner => &["kube_pod_owner"],
        }
    }

    /// Whose series it is; `None` of what needs no times.
    pub fn of(metric: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.metrics().contains(&metric))
    }
}
