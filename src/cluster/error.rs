//! Errors of the API server, each one line that says what to do.

/// Why the cluster could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No usable kubeconfig.
    #[error("no usable kubeconfig: {problem}; {advice}")]
    Kubeconfig {
        /// What is wrong.
        problem: String,
        /// What to do.
        advice: &'static str,
    },
    /// Something else answers at that address.
    #[error(
        "the answer of {server} is not that of a Kubernetes API server ({why}): check the cluster's address in the kubeconfig and the proxies between"
    )]
    NotKubernetes {
        /// Its address.
        server: String,
        /// What it answered.
        why: String,
    },
    /// The API server did not answer.
    #[error(
        "cannot reach the API server at {server}: {why}; check the network and the address of the cluster in the kubeconfig, or choose another --context"
    )]
    Unreachable {
        /// Its address.
        server: String,
        /// What happened.
        why: String,
    },
    /// Not logged in.
    #[error("the API server at {server} does not know you (401): log in again, or choose another --context")]
    Unauthorized {
        /// Its address.
        server: String,
    },
    /// Not allowed.
    #[error("you may not {what} (403): ask for the right to list them, or choose another namespace with -n")]
    Forbidden {
        /// What was tried.
        what: String,
    },
    /// There is no such namespace.
    #[error("there is no namespace {namespace} in the cluster at {server}: check -n and --context")]
    NoNamespace {
        /// Its name.
        namespace: String,
        /// The API server's address.
        server: String,
    },
    /// Anything else the API server said.
    #[error(
        "the API server at {server} answered {status} to the request to {what}: {message}; try again, or ask who runs the cluster"
    )]
    Refused {
        /// Its address.
        server: String,
        /// HTTP status.
        status: u16,
        /// What was tried.
        what: String,
        /// Its message.
        message: String,
    },
}

/// What the network said in a line, without the layers that passed it on.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    one_line(&last.to_string())
}

/// An error with its causes.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    one_line(&text)
}

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect()
}
