//! `podfit identify`: which recurring workload a pod belongs to.

use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};

use super::Outcome;
use crate::workload::{IdentityRules, identify, pod_facts};

/// Arguments of `podfit identify`.
#[derive(clap::Args)]
pub struct Args {
    /// Pod manifests, YAML or JSON; - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Pod labels whose value names the workload; they take precedence over the engines' rules
    #[arg(long, value_name = "KEY,…", value_delimiter = ',')]
    group_by_labels: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
///
/// # Errors
/// A file that cannot be read or holds no Pod.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let rules = IdentityRules { label_keys: args.group_by_labels.clone() };
    let mut out = String::new();
    for path in &args.files {
        let shown = path.display();
        let mut text = String::new();
        if path.as_os_str() == "-" {
            std::io::stdin().read_to_string(&mut text)?;
        } else {
            super::source_args::open_text(path)?
                .read_to_string(&mut text)
                .map_err(|e| anyhow!("cannot read {shown}: {}", crate::prometheus::unreadable(&e)))?;
        }
        // JSON is YAML, but its own parser is stricter and faster.
        let objects: Vec<Value> = match serde_json::from_str::<Value>(&text) {
            Ok(object) => vec![object],
            Err(_) => serde_saphyr::from_multiple(&text)
                // The lines around the fault are not repeated: manifests may hold secrets.
                .map_err(|e| anyhow!("{shown} is neither JSON nor YAML: {}", e.without_snippet()))?,
        };
        let pods: Vec<Value> = objects.into_iter().flat_map(pods_of).collect();
        if pods.is_empty() {
            bail!("{shown} holds nothing; give a pod's manifest, such as `kubectl get pod NAME -o yaml` prints");
        }
        for pod in pods {
            if let Some(kind) = pod.get("kind").and_then(Value::as_str).filter(|k| *k != "Pod") {
                bail!(
                    "{shown} holds a {kind}, not a Pod; give a pod's manifest, such as `kubectl get pod NAME -o yaml` prints"
                );
            }
            let line = describe(&pod, &rules, args.json).with_context(|| shown.to_string())?;
            out.push_str(&line);
            out.push('\n');
        }
    }
    std::io::stdout().lock().write_all(out.as_bytes())?;
    Ok(Outcome::Fine)
}

/// A Pod, the items of a list, or the pod inside an `AdmissionReview`.
fn pods_of(object: Value) -> Vec<Value> {
    if let Some(reviewed) = object.pointer("/request/object") {
        let mut pod = reviewed.clone();
        let namespace = object.pointer("/request/namespace").cloned();
        if let (Some(metadata), Some(namespace)) = (pod.get_mut("metadata").and_then(Value::as_object_mut), namespace) {
            metadata.entry("namespace").or_insert(namespace);
        }
        return vec![pod];
    }
    match object.get("items").and_then(Value::as_array) {
        Some(items) => items.clone(),
        None => vec![object],
    }
}

fn describe(pod: &Value, rules: &IdentityRules, as_json: bool) -> anyhow::Result<String> {
    let facts = pod_facts(pod, "default")?;
    let name = facts.name.clone().or_else(|| facts.generate_name.clone()).unwrap_or_default();
    let name = crate::text::short(&name, 253);
    let answer = identify(&facts, rules);
    if as_json {
        return Ok(match answer {
            Ok(i) => json!({
                "pod": name,
                "namespace": i.workload.namespace,
                "workload": i.workload.to_string(),
                "attempt": i.attempt,
                "mainContainer": i.main_container,
            }),
            Err(reason) => {
                json!({"pod": name, "namespace": facts.namespace, "workload": null, "reason": reason.to_string()})
            }
        }
        .to_string());
    }
    Ok(match answer {
        Ok(i) => {
            let attempt = i.attempt.map(|a| format!(", attempt {a}")).unwrap_or_default();
            let main = i.main_container.map(|c| format!(", container {c}")).unwrap_or_default();
            crate::text::short(&format!("{name}: {}/{}{main}{attempt}", i.workload.namespace, i.workload), 1_000)
        }
        Err(reason) => format!("{name}: no workload: {reason}"),
    })
}
