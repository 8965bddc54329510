//! What can go wrong with the API server, each in one line that says what to do.

/// Why the cluster could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No usable kubeconfig.
    #[error("no usable kubeconfig: {0}; set KUBECONFIG or --kubeconfig, or use --context")]
    Kubeconfig(String),
    /// The API server did not answer.
    #[error("cannot reach the API server at {server}: {why}; check the network, the context and the address")]
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
    #[error("there is no namespace {0:?} in this cluster: check -n and --context")]
    NoNamespace(String),
    /// Anything else the API server said.
    #[error("the API server at {server} answered {status} to {what}: {message}")]
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
