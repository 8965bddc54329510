//! Which containers of a workload's pods do its work; the others belong to the engine, a mesh or the user and are
//! left alone. This is the one list of them; every other container is sized.

use super::Kind;

/// Side containers that come with any engine: meshes, log shippers, injected agents. Whoever injects them sizes them.
const EVERYWHERE: [&str; 8] = [
    "airflow-xcom-sidecar",
    "cloud-sql-proxy",
    "datadog-agent",
    "git-sync",
    "istio-proxy",
    "linkerd-proxy",
    "vault-agent",
    "vault-agent-init",
];

/// Whether this container does the workload's own work, so that sizing may touch it.
pub fn does_the_work(kind: Kind, container: &str) -> bool {
    if EVERYWHERE.contains(&container) {
        return false;
    }
    match kind {
        Kind::Argo => {
            !matches!(container, "wait" | "init" | "supervisor") && !container.starts_with("artifact-plugin-")
        }
        Kind::DagsterRun | Kind::DagsterStep => container == "dagster",
        Kind::Prefect => container == "prefect-job",
        Kind::FlinkJobmanager | Kind::FlinkTaskmanager => container.starts_with("flink-"),
        _ => true,
    }
}
