//! `host-path-data`: a directory of the node that a container mounts. What is written there stays on that node: the next
//! run, on another one, does not find it, and whoever gets the directory gets the node's files.
//! Must not make exceptions by names that the pod's author chooses.

use serde_json::Value;

use super::{Mode, Options, PodSpec, Report, Rule, Severity, visitor};
use crate::text;

pub(super) struct HostPathData;

/// Files of the node that hold no data and nothing secret, and that pods mount to have its time zone and its trusted
/// authorities. Only read-only, and only these very paths.
const HARMLESS: [&str; 4] = ["/etc/localtime", "/usr/share/zoneinfo", "/etc/ssl/certs", "/usr/share/ca-certificates"];

/// Longest name of a volume in a message, in characters.
const VOLUME_CHARS: usize = 24;

impl Rule for HostPathData {
    fn id(&self) -> &'static str {
        "host-path-data"
    }

    fn summary(&self) -> &'static str {
        "Data in a directory of the node is gone for the next run on another node, and opens the node to the pod."
    }

    fn cure(&self) -> &'static str {
        "Use a persistent volume claim or object storage for data, an emptyDir for scratch, a ConfigMap for files to read."
    }

    fn default_mode(&self) -> Mode {
        Mode::Warn
    }

    fn check(&self, pod: &PodSpec<'_>, _: &Options, report: &mut Report<'_>) {
        for volume in pod.volumes() {
            let Some(host) = visitor::present(volume.json, "hostPath") else { continue };
            let directory = host.get("path").and_then(Value::as_str).unwrap_or_default();
            for container in pod.containers() {
                let mounts = visitor::present(container.json, "volumeMounts").and_then(Value::as_array);
                let mounts = mounts.into_iter().flatten().enumerate();
                let of_volume = mounts.filter(|(_, m)| m.get("name").and_then(Value::as_str) == Some(volume.name));
                // The worst mount speaks for all of this container's.
                let Some((index, mount)) = of_volume.min_by_key(|(_, mount)| is_read_only(mount)) else { continue };
                let path = format!("{}/volumeMounts/{index}", container.path);
                let name = text::clip(&text::clean(volume.name), VOLUME_CHARS);
                if !is_read_only(mount) {
                    let problem = format!("writes to the node (hostPath {name}): use a volume claim or emptyDir");
                    report.container(Severity::Breach, "writable", &container, &path, &problem);
                } else if !HARMLESS.contains(&directory) {
                    let problem = format!("reads the node (hostPath {name}): use a volume claim or ConfigMap");
                    report.container(Severity::Remark, "read-only", &container, &path, &problem);
                }
            }
        }
    }
}

fn is_read_only(mount: &Value) -> bool {
    mount.get("readOnly") == Some(&Value::Bool(true))
}
