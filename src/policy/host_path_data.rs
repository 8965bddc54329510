//! `host-path-data`: a directory of the node that a container mounts. What is written there stays on that node: the
//! next run, on another one, does not find it, and whoever gets the directory gets the node's files.
//! Must not make exceptions by names that the pod's author chooses.

use std::collections::BTreeMap;

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
        let directories: BTreeMap<&str, &str> = pod
            .volumes()
            .filter_map(|volume| {
                let host = visitor::present(volume.json, "hostPath")?;
                Some((volume.name, host.get("path").and_then(Value::as_str).unwrap_or_default()))
            })
            .collect();
        if directories.is_empty() {
            return;
        }
        for container in pod.containers() {
            // By volume; the worst mount speaks for all of this container's.
            let mut worst: BTreeMap<&str, (bool, usize)> = BTreeMap::new();
            let mounts = visitor::present(container.json, "volumeMounts").and_then(Value::as_array);
            for (index, mount) in mounts.into_iter().flatten().enumerate() {
                let name = mount.get("name").and_then(Value::as_str).unwrap_or_default();
                if let Some((name, _)) = directories.get_key_value(name) {
                    let this = (is_read_only(mount), index);
                    worst.entry(*name).and_modify(|so_far| *so_far = this.min(*so_far)).or_insert(this);
                }
            }
            for (volume, (is_read_only, index)) in worst {
                let path = format!("{}/volumeMounts/{index}", container.path);
                let name = text::clip(&text::clean(volume), VOLUME_CHARS);
                if !is_read_only {
                    let problem = format!("writes to the node (hostPath {name}): use a volume claim or emptyDir");
                    report.container(Severity::Breach, "writable", &container, &path, &problem);
                } else if !HARMLESS.contains(&directories[volume]) {
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
