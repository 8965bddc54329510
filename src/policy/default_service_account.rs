//! `default-service-account`: a pod that runs as the namespace's service account `default`, whose rights every other
//! pod of the namespace shares.
//! Must not look up what the account may do: what is harmless today is granted something tomorrow.

use serde_json::Value;

use super::{Mode, Options, PodSpec, Report, Rule, Severity, visitor};

pub(super) struct DefaultServiceAccount;

impl Rule for DefaultServiceAccount {
    fn id(&self) -> &'static str {
        "default-service-account"
    }

    fn summary(&self) -> &'static str {
        "Every pod of a namespace that names no service account shares one, and whatever it is ever granted."
    }

    fn cure(&self) -> &'static str {
        "Set serviceAccountName to an account of the workload's own; or automountServiceAccountToken: false, if it needs none."
    }

    fn default_mode(&self) -> Mode {
        Mode::Warn
    }

    /// A pod that mounts no token has nothing of the account's to misuse: nothing is said of it.
    fn check(&self, pod: &PodSpec<'_>, _: &Options, report: &mut Report<'_>) {
        // The API server reads the old field where the new one is empty.
        let (field, name) = ["serviceAccountName", "serviceAccount"]
            .into_iter()
            .find_map(|field| Some((field, pod.json().get(field)?.as_str().filter(|name| !name.is_empty())?)))
            .unwrap_or(("serviceAccountName", ""));
        if !matches!(name, "" | "default") || !has_token(pod) {
            return;
        }
        let reason = if name.is_empty() { "unnamed" } else { "default" };
        let message = "runs as service account default: set serviceAccountName, or automountServiceAccountToken: false";
        report.add(Severity::Breach, reason, "", &format!("{}/{field}", pod.path()), message);
    }
}

fn has_token(pod: &PodSpec<'_>) -> bool {
    let declined = pod.json().get("automountServiceAccountToken") == Some(&Value::Bool(false));
    !declined
        || pod.volumes().any(|volume| {
            let sources = visitor::present(volume.json, "projected").and_then(|p| visitor::present(p, "sources"));
            let mut sources = sources.and_then(Value::as_array).into_iter().flatten();
            sources.any(|source| visitor::present(source, "serviceAccountToken").is_some())
        })
}
