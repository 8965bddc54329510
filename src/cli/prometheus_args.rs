//! Arguments that say how a Prometheus-compatible server is reached: credentials, certificates, transport, patience.

use std::path::PathBuf;
use std::time::Duration;

use crate::prometheus::{Auth, ClientProof, Config, Mode, OAuth2, Secret};

/// How the server is reached.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Prometheus access")]
pub struct PrometheusArgs {
    /// User for basic authentication; its password is in --prometheus-password-file
    #[arg(long, value_name = "NAME", requires = "prometheus_password_file")]
    prometheus_user: Option<String>,
    /// File with the password
    #[arg(long, value_name = "FILE", requires = "prometheus_user")]
    prometheus_password_file: Option<PathBuf>,
    /// File with a bearer token; read again for every request
    #[arg(long, value_name = "FILE", conflicts_with = "prometheus_user")]
    prometheus_token_file: Option<PathBuf>,
    /// Sign requests for Amazon Managed Prometheus in this region; credentials come from where AWS tools find them:
    /// environment, profile with keys, IRSA, Pod Identity, instance role
    #[arg(long, value_name = "REGION", conflicts_with_all = ["prometheus_user", "prometheus_token_file"])]
    prometheus_sigv4_region: Option<String>,
    /// Service name to sign for
    #[arg(long, value_name = "NAME", default_value = "aps", requires = "prometheus_sigv4_region")]
    prometheus_sigv4_service: String,
    /// Token endpoint for OAuth 2.0 client credentials
    #[arg(long, value_name = "URL", requires = "prometheus_oauth2_client_id", requires = "oauth2_proof", conflicts_with_all = ["prometheus_user", "prometheus_token_file", "prometheus_sigv4_region"])]
    prometheus_oauth2_token_url: Option<String>,
    /// OAuth 2.0 client ID
    #[arg(long, value_name = "ID", requires = "prometheus_oauth2_token_url")]
    prometheus_oauth2_client_id: Option<String>,
    /// File with the client's secret
    #[arg(long, value_name = "FILE", group = "oauth2_proof", requires = "prometheus_oauth2_token_url")]
    prometheus_oauth2_client_secret_file: Option<PathBuf>,
    #[arg(
        help = "File with a signed assertion (JWT) to use instead of a secret, such as the one that \
                  AZURE_FEDERATED_TOKEN_FILE names in an AKS pod",
        long,
        value_name = "FILE",
        group = "oauth2_proof",
        requires = "prometheus_oauth2_token_url"
    )]
    prometheus_oauth2_assertion_file: Option<PathBuf>,
    #[arg(
        help = "Scope to request, such as https://prometheus.monitor.azure.com/.default (repeatable)",
        long,
        value_name = "SCOPE",
        requires = "prometheus_oauth2_token_url"
    )]
    prometheus_oauth2_scope: Vec<String>,
    /// Header to add to every request, such as 'THANOS-TENANT: data' (repeatable)
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    prometheus_header: Vec<(String, String)>,
    /// Tenant of Mimir or Cortex (X-Scope-OrgID)
    #[arg(long, value_name = "ID")]
    org_id: Option<String>,
    #[arg(help = "Query parameter to add to every request, such as partial_response=false (repeatable)", long, value_name = "NAME=VALUE", value_parser = pair)]
    prometheus_param: Vec<(String, String)>,
    /// PEM file of the CA that signed the server's certificate, or of that certificate itself
    #[arg(long, value_name = "FILE")]
    prometheus_ca_file: Option<PathBuf>,
    /// Do not verify the server's certificate: anyone on the network path can read the credentials and change the numbers
    #[arg(long, conflicts_with = "prometheus_ca_file")]
    prometheus_insecure_skip_verify: bool,
    /// PEM file of the client certificate
    #[arg(long, value_name = "FILE", requires = "prometheus_key_file")]
    prometheus_cert_file: Option<PathBuf>,
    /// PEM file of the client certificate's key
    #[arg(long, value_name = "FILE", requires = "prometheus_cert_file")]
    prometheus_key_file: Option<PathBuf>,
    /// How samples are fetched
    #[arg(long, value_enum, default_value_t = Transport::Auto)]
    prometheus_read: Transport,
    /// How long the server may stay silent, in seconds; a whole response may take ten times as long
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    prometheus_timeout: u64,
    /// How often to retry a request that failed on the network or on an overloaded server; all requests of a collection
    /// together may be retried 50 times as often
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=20))]
    prometheus_retries: u16,
}

/// How samples are fetched.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum Transport {
    /// Streamed remote read where it is offered, else the query API
    #[default]
    Auto,
    /// Remote read only
    #[value(name = "remote-read")]
    Remote,
    /// The query API only
    Query,
}

impl PrometheusArgs {
    /// The settings for the server at an address.
    pub fn config(&self, url: &str) -> Config {
        let mut config = Config::new(url);
        config.auth = self.auth();
        let org = self.org_id.iter().map(|id| ("X-Scope-OrgID".to_owned(), Secret::new(id.clone())));
        config.headers = self
            .prometheus_header
            .iter()
            .map(|(name, value)| (name.clone(), Secret::new(value.clone())))
            .chain(org)
            .collect();
        config.extra_params.clone_from(&self.prometheus_param);
        config.ca_file.clone_from(&self.prometheus_ca_file);
        config.insecure = self.prometheus_insecure_skip_verify;
        config.client_cert.clone_from(&self.prometheus_cert_file);
        config.client_key.clone_from(&self.prometheus_key_file);
        config.timeout = Duration::from_secs(self.prometheus_timeout);
        config.whole_answer = config.timeout * 10;
        config.retries = self.prometheus_retries.into();
        config.mode = match self.prometheus_read {
            Transport::Auto => Mode::Auto,
            Transport::Remote => Mode::RemoteRead,
            Transport::Query => Mode::Query,
        };
        config
    }

    /// What there is to say about these settings at every run.
    pub fn warning(&self) -> Option<&'static str> {
        self.prometheus_insecure_skip_verify.then_some(
            "the certificate of Prometheus is not verified (--prometheus-insecure-skip-verify): anyone on the network path \
             can read the credentials and change the numbers; --prometheus-ca-file takes the server's own certificate too",
        )
    }

    fn auth(&self) -> Auth {
        if let (Some(user), Some(file)) = (&self.prometheus_user, &self.prometheus_password_file) {
            return Auth::BasicFile { user: user.clone(), password_file: file.clone() };
        }
        if let Some(file) = &self.prometheus_token_file {
            return Auth::BearerFile(file.clone());
        }
        if let Some(region) = &self.prometheus_sigv4_region {
            return Auth::Sigv4 { region: region.clone(), service: self.prometheus_sigv4_service.clone() };
        }
        let secret = self.prometheus_oauth2_client_secret_file.clone().map(ClientProof::SecretFile);
        let assertion = || self.prometheus_oauth2_assertion_file.clone().map(ClientProof::AssertionFile);
        match (&self.prometheus_oauth2_token_url, &self.prometheus_oauth2_client_id, secret.or_else(assertion)) {
            (Some(url), Some(id), Some(proof)) => Auth::OAuth2(OAuth2 {
                token_url: url.clone(),
                client_id: id.clone(),
                proof,
                scopes: self.prometheus_oauth2_scope.clone(),
            }),
            _ => Auth::None,
        }
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    text.split_once(':')
        .filter(|(name, _)| !name.trim().is_empty())
        .map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned()))
        .ok_or_else(|| "a name, a colon and a value".to_owned())
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .ok_or_else(|| "a name, an equals sign and a value".to_owned())
}
