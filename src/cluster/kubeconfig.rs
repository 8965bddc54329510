//! Finds out how to reach the API server: by a kubeconfig, else by the pod's own service account. Messages repeat only
//! names from a kubeconfig, because it holds tokens and keys.

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::ClusterError;
use super::error::causes;

/// Which kubeconfig, which context.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Path of the kubeconfig; otherwise `KUBECONFIG`, `~/.kube/config` or the pod's own service account.
    pub kubeconfig: Option<std::path::PathBuf>,
    /// Context; otherwise the current one.
    pub context: Option<String>,
}

/// Reads the settings; sends nothing.
pub(super) async fn load(access: &Access) -> Result<Config, ClusterError> {
    let read = match &access.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let contexts: Vec<String> =
        read.iter().flat_map(|k| &k.contexts).map(|c| crate::text::short(&c.name, 60)).take(5).collect();
    let options = KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
    let found = match read {
        Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(config) => Ok(config),
        Err(error) if access.kubeconfig.is_none() && access.context.is_none() => {
            Config::incluster().map_err(|_| wrong(access, &error, &contexts))
        }
        Err(error) => Err(wrong(access, &error, &contexts)),
    }
}

/// A kubeconfig that was read and cannot be used; `login` is the program that it names for getting a token.
pub(super) fn unusable(error: &kube::Error, login: Option<&str>) -> ClusterError {
    let problem = match login {
        Some(login) => format!("{} (the login program is {login})", causes(error)),
        None => causes(error),
    };
    ClusterError::Kubeconfig {
        problem,
        advice: "correct the cluster and the user of this context, or choose another with --context",
    }
}

fn wrong(access: &Access, error: &KubeconfigError, contexts: &[String]) -> ClusterError {
    let file = match (&access.kubeconfig, std::env::var_os("KUBECONFIG").filter(|v| !v.is_empty())) {
        (Some(path), _) => path.display().to_string(),
        (None, Some(path)) => path.to_string_lossy().into_owned(),
        (None, None) => "~/.kube/config".to_owned(),
    };
    let (problem, advice) = match error {
        KubeconfigError::ReadConfig(why, path) => {
            (format!("cannot read {}: {why}", path.display()), "name the right file with --kubeconfig or KUBECONFIG")
        }
        KubeconfigError::FindPath => {
            ("there is no home directory to look in".to_owned(), "name the file with --kubeconfig or KUBECONFIG")
        }
        KubeconfigError::Parse(why) => {
            let place =
                why.location().map(|l| format!(" (line {}, column {})", l.line(), l.column())).unwrap_or_default();
            (format!("{file} is not one{place}"), "name the right file with --kubeconfig or KUBECONFIG")
        }
        KubeconfigError::CurrentContextNotSet if contexts.is_empty() => {
            (format!("{file} has no context"), "name the right file with --kubeconfig or KUBECONFIG")
        }
        KubeconfigError::CurrentContextNotSet => {
            (format!("{file} says no current context, it has {}", contexts.join(", ")), "choose one with --context")
        }
        KubeconfigError::LoadContext(name) if contexts.is_empty() => (
            format!("{file} has no context {name}, and no other"),
            "name the right file with --kubeconfig or KUBECONFIG",
        ),
        KubeconfigError::LoadContext(name) => {
            (format!("{file} has no context {name}, it has {}", contexts.join(", ")), "choose one with --context")
        }
        other => (
            // Paths come in two kinds of quotes.
            format!("{file}: {}", causes(other).replace("'\"", "").replace("\"'", "")),
            "correct the cluster and the user of this context, or choose another with --context",
        ),
    };
    ClusterError::Kubeconfig { problem, advice }
}
