//! What is known of a pod, whether it was read from the API server, from an admission review or from series.
//! Knows no engine: only labels, annotations, owners, containers.

use std::collections::BTreeMap;

/// Labels or annotations, looked up by their Kubernetes key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    values: BTreeMap<String, String>,
    sanitised: bool,
}

impl Keys {
    /// As the pod itself has them.
    pub fn exact(values: BTreeMap<String, String>) -> Self {
        Self { values, sanitised: false }
    }

    /// As kube-state-metrics writes them in label names, its prefix (`label_`, `annotation_`) already removed.
    pub fn from_kube_state_metrics(values: BTreeMap<String, String>) -> Self {
        Self { values, sanitised: true }
    }

    /// The value under a Kubernetes key, `None` when absent or empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        let value = if self.sanitised { self.values.get(&kube_state_metrics_name(key)) } else { self.values.get(key) };
        value.map(String::as_str).filter(|v| !v.is_empty())
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The Kubernetes keys with their values. What kube-state-metrics made of a key leads back to none: of those only
    /// the `known` keys are found.
    pub fn entries<'a>(&'a self, known: &[&'a str]) -> Vec<(&'a str, &'a str)> {
        if self.sanitised {
            return known.iter().filter_map(|key| Some((*key, self.get(key)?))).collect();
        }
        self.values.iter().filter(|(_, value)| !value.is_empty()).map(|(k, v)| (k.as_str(), v.as_str())).collect()
    }

    /// The first value whose key is `word`, or has it behind its prefix: `replica-type`, `kubeflow.org/replica-type`.
    pub fn ends_with(&self, word: &str) -> Option<&str> {
        let mangled = kube_state_metrics_name(word);
        let (word, bounds): (&str, &[char]) = if self.sanitised { (&mangled, &['_']) } else { (word, &['/']) };
        self.values
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .find(|(key, _)| key.strip_suffix(word).is_some_and(|head| head.is_empty() || head.ends_with(bounds)))
            .map(|(_, value)| value.as_str())
    }
}

/// A label or annotation key as kube-state-metrics puts it into a Prometheus label name, without its prefix: every
/// character that Prometheus forbids becomes `_`, camel case becomes snake case, all lower case.
/// Source: kube-state-metrics `internal/store/utils.go`.
pub fn kube_state_metrics_name(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 4);
    let mut previous_lower = false;
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            if previous_lower {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
        } else if c.is_ascii_alphanumeric() {
            out.push(c);
        } else {
            out.push('_');
        }
        previous_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    out
}

/// The controller that made an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Its kind, such as `Job`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Owner {
    /// An owner.
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), name: name.into() }
    }
}

/// The environment variables that engines are known by. No other is kept: a pod can have hundreds, secrets among them.
pub const READ_ENV: [&str; 8] = [
    "AIRFLOW_IS_K8S_EXECUTOR_POD",
    "ARGO_TEMPLATE",
    "PREFECT__DEPLOYMENT_NAME",
    "PREFECT__FLOW_NAME",
    "PREFECT__FLOW_RUN_ID",
    "SPARK_APPLICATION_ID",
    "SPARK_EXECUTOR_ID",
    "SPARK_RESOURCE_PROFILE_ID",
];

/// What identity needs to know of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerFacts {
    /// Its name.
    pub name: String,
    /// Literal values of the environment variables in [`READ_ENV`]; empty where they are not visible (series).
    pub env: BTreeMap<String, String>,
    /// CPU request in millicores, where set and known.
    pub cpu_request_millis: Option<u64>,
    /// Memory request in bytes, where set and known.
    pub memory_request_bytes: Option<u64>,
}

/// What is known of one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    /// Namespace.
    pub namespace: String,
    /// Name; `None` at admission of a pod whose name is still to be generated.
    pub name: Option<String>,
    /// Prefix of a generated name.
    pub generate_name: Option<String>,
    /// Labels.
    pub labels: Keys,
    /// Annotations.
    pub annotations: Keys,
    /// The controller that made the pod.
    pub owner: Option<Owner>,
    /// The owner's API group, empty for Kubernetes' own core; `None` where it is not known: series do not tell.
    pub owner_group: Option<String>,
    /// The controller that made the owner (the CronJob of a Job), where it was looked up.
    pub owner_of_owner: Option<Owner>,
    /// Containers, without init containers.
    pub containers: Vec<ContainerFacts>,
    /// Init containers, sidecars included.
    pub init_containers: Vec<ContainerFacts>,
}

impl PodFacts {
    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key)
    }

    /// An annotation's value.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key)
    }

    /// A literal environment value, from the first container that has it; init containers are searched last.
    pub fn env(&self, name: &str) -> Option<&str> {
        debug_assert!(READ_ENV.contains(&name), "{name} is not kept");
        self.containers
            .iter()
            .chain(&self.init_containers)
            .find_map(|c| c.env.get(name).map(String::as_str))
            .filter(|v| !v.is_empty())
    }

    /// The pod has a container of this name.
    pub fn has_container(&self, name: &str) -> bool {
        self.containers.iter().any(|c| c.name == name)
    }

    /// The owner, when it is of this kind.
    pub fn owned_by(&self, kind: &str) -> Option<&str> {
        self.owner.as_ref().filter(|o| o.kind == kind).map(|o| o.name.as_str())
    }

    /// Whether the owner's API group is one of these, as far as it is known.
    pub fn owner_may_be_of(&self, groups: &[&str]) -> bool {
        self.owner_group.as_deref().is_none_or(|group| groups.contains(&group))
    }

    /// The Job that made the pod, by owner or by the label that the Job controller sets.
    pub fn job_name(&self) -> Option<&str> {
        self.owned_by("Job").filter(|_| self.owner_may_be_of(&["batch"])).or_else(|| {
            if self.owner.is_some() {
                return None;
            }
            self.label("batch.kubernetes.io/job-name").or_else(|| self.label("job-name"))
        })
    }

    /// The pod's name without the suffix that makes it unique, from the name or from `generateName`.
    pub fn name_or_prefix(&self) -> Option<&str> {
        self.name.as_deref().or_else(|| self.generate_name.as_deref().map(|g| g.trim_end_matches('-')))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("dag_id", "dag_id")]
    #[case("sparkoperator.k8s.io/app-name", "sparkoperator_k8s_io_app_name")]
    #[case("dagster/op", "dagster_op")]
    #[case("prefect.io/flow-name", "prefect_io_flow_name")]
    #[case("camelCaseKey", "camel_case_key")]
    #[case("HTTPServer", "httpserver")]
    fn kube_state_metrics_label_names(#[case] key: &str, #[case] expected: &str) {
        assert_eq!(kube_state_metrics_name(key), expected);
        let keys = Keys::from_kube_state_metrics([(expected.to_owned(), "v".to_owned())].into());
        assert_eq!(keys.get(key), Some("v"));
    }
}
