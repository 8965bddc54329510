//! Whom a series is of: the namespace, pod and container that its exporter wrote.
//!
//! Prometheus has labels of its own for what it scrapes (the pod of kube-state-metrics, for one). Where they have the
//! same names, and the scrape does not honor the exporter's (`honor_labels`), the exporter's become `exported_…`. That
//! is a setting of a scrape, and may change at any time: every series is read as it came.

use crate::prometheus::Labels;

/// The label of an exporter's namespace, where nothing renamed it.
pub const NAMESPACE: &str = "namespace";
/// The same, renamed.
pub const EXPORTED_NAMESPACE: &str = "exported_namespace";

/// The value of one of an exporter's labels, renamed or not.
pub fn get<'a>(labels: &'a Labels, name: &str) -> Option<&'a str> {
    let exported = match name {
        NAMESPACE => EXPORTED_NAMESPACE,
        "pod" => "exported_pod",
        "container" => "exported_container",
        _ => return labels.get(name),
    };
    labels.get(exported).or_else(|| labels.get(name))
}

/// Namespace, pod and container that a cAdvisor series is of; `None` for those of whole pods, pause containers and
/// nodes.
pub fn of_container(labels: &Labels) -> Option<[&str; 3]> {
    let container = get(labels, "container").filter(|name| *name != "POD")?;
    // A pod as a whole has no container, and then the scraper's own has taken the label's place.
    if labels.get("id").is_some_and(is_above_containers) {
        return None;
    }
    Some([get(labels, NAMESPACE)?, get(labels, "pod")?, container])
}

/// Whether a cgroup is a node's, one of its services', or a whole pod's.
fn is_above_containers(cgroup: &str) -> bool {
    // Where the kubelet and the runtime disagree on the cgroup driver, pods lie below the runtime's own service.
    let of_service = ["/system.slice/", "/user.slice/"].iter().any(|above| cgroup.starts_with(above));
    if of_service && !cgroup.contains("kubepods") {
        return true;
    }
    let last = cgroup.rsplit('/').next().unwrap_or_default();
    let of_pod = || last.strip_prefix("pod").is_some_and(|uid| uid.len() >= 32);
    last.is_empty()
        || last.strip_suffix(".slice").is_some()
        || matches!(last, "kubepods" | "burstable" | "besteffort")
        || of_pod()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
    }

    const SCRAPER: [(&str, &str); 3] = [("namespace", "monitoring"), ("pod", "cadvisor-x"), ("container", "cadvisor")];
    const POD: &str = "/kubepods.slice/kubepods-pod2f1d3c58_0d1e_4c8a_9a53_51c2a6f4b0aa.slice";

    #[test]
    fn what_was_renamed_is_read_under_its_new_name() {
        let renamed = [("exported_namespace", "etl"), ("exported_pod", "p"), ("exported_container", "main")];
        let all = labels(&[&SCRAPER[..], &renamed, &[("id", &format!("{POD}/cri-containerd-0.scope"))]].concat());
        assert_eq!(of_container(&all), Some(["etl", "p", "main"]));
        let some =
            labels(&[("namespace", "kube-system"), ("exported_namespace", "etl"), ("pod", "p"), ("container", "c")]);
        assert_eq!(of_container(&some), Some(["etl", "p", "c"]));
    }

    #[test]
    fn the_scrapers_own_container_does_not_stand_for_a_pod_or_a_node() {
        let pod = [("exported_namespace", "etl"), ("exported_pod", "p")];
        let in_files = "/kubepods/burstable/pod2f1d3c58-0d1e-4c8a-9a53-51c2a6f4b0aa";
        for id in [POD, in_files, "/", "/kubepods", "/system.slice/kubelet.service"] {
            assert_eq!(of_container(&labels(&[&SCRAPER[..], &pod, &[("id", id)]].concat())), None, "{id}");
        }
        for id in
            ["/kubepods/burstable/pod2f1d3c58-0d1e-4c8a-9a53-51c2a6f4b0aa/0123", "/docker/85b8/kubepods/pod1/c", "/a"]
        {
            assert!(of_container(&labels(&[&SCRAPER[..], &[("id", id)]].concat())).is_some(), "{id}");
        }
    }
}
