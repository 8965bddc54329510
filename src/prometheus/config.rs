//! Where the server is and how to be let in. Keeps secrets out of everything printed.
//! Knows nothing of queries and makes no requests.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::address::Base;
use super::oauth2::OAuth2;
use crate::secret::Secret;

/// How requests are authorized. Files are read again for every request, so a rotated secret needs no restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// User and password.
    Basic {
        /// User.
        user: String,
        /// Password.
        password: Secret,
    },
    /// User, and a file that holds the password.
    BasicFile {
        /// User.
        user: String,
        /// File of the password; white space around it is ignored.
        password_file: PathBuf,
    },
    /// A bearer token.
    Bearer(Secret),
    /// A file that holds the bearer token.
    BearerFile(PathBuf),
    /// Bearer tokens of an OAuth 2.0 server.
    OAuth2(OAuth2),
    /// AWS Signature Version 4, with the credentials that AWS' own tools would use.
    Sigv4 {
        /// Region, such as `eu-west-1`.
        region: String,
        /// Service, `aps` for Amazon Managed Service for Prometheus.
        service: String,
    },
}

/// Which transport fetches raw samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Streamed remote read where it is offered, else the query API.
    #[default]
    Auto,
    /// Remote read only.
    RemoteRead,
    /// The query API only.
    Query,
}

/// Everything about one server. Start from [`Config::new`] and change fields.
#[derive(Clone)]
pub struct Config {
    /// Base address, with a path prefix where the API has one (Mimir `/prometheus`, `VictoriaMetrics`
    /// `/select/0/prometheus`). A user and password in it count as basic auth unless `auth` says otherwise.
    pub url: String,
    /// Authorization.
    pub auth: Auth,
    /// Further headers, name and value: `X-Scope-OrgID`, `THANOS-TENANT`.
    pub headers: Vec<(String, Secret)>,
    /// Further parameters of each query: `dedup`, `partial_response`, `max_source_resolution`.
    pub extra_params: Vec<(String, String)>,
    /// PEM file of the only CAs, and certificates of servers, to trust; the system's CAs when absent.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client certificate, chain included; goes with `client_key`.
    pub client_cert: Option<PathBuf>,
    /// PEM file of the client certificate's key.
    pub client_key: Option<PathBuf>,
    /// Accept any server certificate.
    pub insecure: bool,
    /// The longest silence of the server before a request is given up.
    pub timeout: Duration,
    /// The longest time that is spent waiting for one answer to be whole.
    pub whole_answer: Duration,
    /// The longest answer, in bytes after decompression.
    pub max_answer_bytes: u64,
    /// Transport.
    pub mode: Mode,
    /// Requests under way at once. A stream that nobody reads keeps its place: read streams in the order in which they
    /// were opened, or together.
    pub concurrency: usize,
    /// About how many samples one query may return; the time slices of the query API grow and shrink to meet it.
    pub max_samples_hint: u64,
    /// The first time slice of the query API.
    pub slice: Duration,
    /// Tries per request after the first, for what may work a little later; of all requests together at most 50 times
    /// as many.
    pub retries: usize,
    /// The longest wait between two tries, whatever the server asks for.
    pub max_wait: Duration,
}

impl Config {
    /// The defaults: no credentials, 2 min of patience, 4 requests at once, slices of one day, 4 retries.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            auth: Auth::None,
            headers: Vec::new(),
            extra_params: Vec::new(),
            ca_file: None,
            client_cert: None,
            client_key: None,
            insecure: false,
            timeout: Duration::from_secs(120),
            whole_answer: Duration::from_secs(1_200),
            max_answer_bytes: 2 << 30,
            mode: Mode::Auto,
            concurrency: 4,
            max_samples_hint: 5_000_000,
            slice: Duration::from_secs(86_400),
            retries: 4,
            max_wait: Duration::from_secs(60),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |pairs: &mut dyn Iterator<Item = &String>| pairs.cloned().collect::<Vec<_>>();
        f.debug_struct("Config")
            .field("url", &Base::parse(&self.url).map_or_else(|_| "(not an address)".to_owned(), |b| b.shown))
            .field("auth", &self.auth)
            .field("headers", &names(&mut self.headers.iter().map(|(n, _)| n)))
            .field("extra_params", &names(&mut self.extra_params.iter().map(|(n, _)| n)))
            .field("ca_file", &self.ca_file)
            .field("client_cert", &self.client_cert)
            .field("insecure", &self.insecure)
            .field("timeout", &self.timeout)
            .field("mode", &self.mode)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let mut config = Config::new("http://me:hunter2@h?token=hunter2");
        config.auth = Auth::Basic { user: "me".into(), password: Secret::new("hunter2") };
        config.headers.push(("X-Key".into(), Secret::new("hunter2")));
        config.extra_params.push(("key".into(), "hunter2".into()));
        let printed = format!("{config:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
