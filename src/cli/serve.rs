//! `podfit serve`: the admission webhook as a process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use tokio_util::sync::CancellationToken;

use super::Outcome;
use super::built_in_ca_args::BuiltInCaArgs;
use super::cluster_args::{ClusterArgs, namespace};
use crate::admission::Board;
use crate::cluster::watch_client;
use crate::controller::built_in_ca::BuiltInCa;
use crate::controller::watch::{self, Scope, WatchStatus};
use crate::server::{Certificate, Condition, Limits, Plan};
use crate::workload::IdentityRules;

/// How often it is asked whether everything in the cluster is known, until it is.
const READY_POLL: Duration = Duration::from_millis(20);

/// Arguments of `podfit serve`.
#[derive(clap::Args)]
#[command(args_override_self = true)]
pub struct Args {
    /// Address of the webhook: TLS, `/mutate` and `/validate`; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443", help_heading = "Ports")]
    listen: SocketAddr,
    /// Address of `/livez`, `/readyz` and `/metrics`, plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9090", help_heading = "Ports")]
    metrics_listen: SocketAddr,
    /// PEM file of the serving certificate, its own first, then what leads to the CA
    #[arg(long, value_name = "FILE", requires = "tls_key_file", help_heading = "TLS")]
    #[arg(required_unless_present = "built_in_ca", conflicts_with = "built_in_ca")]
    tls_cert_file: Option<PathBuf>,
    /// PEM file of its key
    #[arg(long, value_name = "FILE", requires = "tls_cert_file", help_heading = "TLS")]
    #[arg(required_unless_present = "built_in_ca", conflicts_with = "built_in_ca")]
    tls_key_file: Option<PathBuf>,
    #[command(flatten)]
    built_in_ca: BuiltInCaArgs,
    /// Serve only clients with a certificate that a CA of this PEM file has signed
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    client_ca_file: Option<PathBuf>,
    /// Policy (YAML): modes of rules, exemptions; `resizing: stopped` stops all resizing
    #[arg(long, value_name = "FILE", help_heading = "What is known")]
    policy: Option<PathBuf>,
    /// Recommendations (JSON) as `podfit recommend -o json` prints them; without, no pod is resized
    #[arg(long, value_name = "FILE", help_heading = "What is known")]
    recommendations: Option<PathBuf>,
    /// Show this page at `/report` beside the metrics: what `podfit report --out FILE.html` wrote last. Who may reach
    /// that port may read it
    #[arg(long, value_name = "FILE", help_heading = "Ports")]
    report_file: Option<PathBuf>,
    /// Pod labels whose values name a workload, before any engine's rules, as for `podfit recommend`
    #[arg(long, value_name = "KEY,…", value_delimiter = ',', help_heading = "What is known")]
    group_by_labels: Vec<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Watch these namespaces only, with rights in them alone; else all
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = namespace, help_heading = "Cluster")]
    watch_namespaces: Vec<String>,
    /// Serve without a cluster to watch: LimitRanges, quotas and the owners of Jobs are not known then
    #[arg(long, conflicts_with_all = ["kubeconfig", "context", "watch_namespaces", "built_in_ca"])]
    #[arg(help_heading = "Cluster")]
    no_cluster: bool,
    /// How often the files above are looked at for new content; the built-in CA's Secret every twelfth time
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, help_heading = "What is known")]
    reload_seconds: Duration,
    /// After SIGTERM, how long to take requests before the port is closed: until API servers know of it
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, help_heading = "The end")]
    drain_seconds: Duration,
    /// After that, how long requests that have begun may take
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds, help_heading = "The end")]
    grace_seconds: Duration,
    /// Connections at a time
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections as u32, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Limits")]
    max_connections: u32,
    /// Reviews at a time; above it, /mutate lets pods pass as they came and /validate answers 503
    #[arg(long, value_name = "N", default_value_t = Limits::default().in_flight as u32, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Limits")]
    max_in_flight: u32,
}

/// Runs until it is told to stop.
///
/// # Errors
/// One line that says what, where and what to do.
pub async fn run(args: Args) -> anyhow::Result<Outcome> {
    let limits = Limits {
        connections: args.max_connections as usize,
        in_flight: args.max_in_flight as usize,
        ..Limits::default()
    };
    let client = if args.no_cluster { None } else { Some(watch_client(&args.cluster.access()).await?) };
    let certificate = match (args.built_in_ca.settings()?, &client, args.tls_cert_file, args.tls_key_file) {
        (Some(settings), Some(client), ..) => Certificate::BuiltIn(Box::new(BuiltInCa::new(client.clone(), settings))),
        (_, _, Some(certificate), Some(key)) => Certificate::Files { certificate, key },
        _ => bail!("there is no certificate; give --tls-cert-file and --tls-key-file, or --built-in-ca with a cluster"),
    };
    let plan = Plan {
        listen: args.listen,
        metrics_listen: args.metrics_listen,
        certificate,
        client_ca: args.client_ca_file,
        policy: args.policy,
        recommendations: args.recommendations,
        report: args.report_file,
        identity: IdentityRules { label_keys: args.group_by_labels },
        reload_every: args.reload_seconds.max(Duration::from_millis(10)),
        drain: args.drain_seconds,
        grace: args.grace_seconds,
        limits,
    };
    keep_panics_short();
    let bound = plan.bind().await?;
    let (webhook, metrics) = bound.addresses();
    super::fail::tell(&format!("serving webhook=https://{webhook} metrics=http://{metrics}"));
    let scope = Scope { namespaces: args.watch_namespaces };
    bound.run(|board, loaded, stop| watch_cluster(client, board, loaded, stop, scope)).await?;
    Ok(Outcome::Fine)
}

/// A panic's message may quote what was being read: here only its place is told.
fn keep_panics_short() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        super::fail::tell(&format!("this is a fault of podfit itself, please report it ({place})"));
    }));
}

/// Keeps on the board what the cluster says: limit ranges, quotas and nodes, owners of owners. Without a cluster,
/// namespaces have no bounds and a pod's own controller is all that is known of its owners.
async fn watch_cluster(
    client: Option<kube::Client>,
    board: Arc<Board>,
    loaded: Condition,
    stop: CancellationToken,
    scope: Scope,
) {
    let Some(client) = client else {
        loaded.met();
        return stop.cancelled().await;
    };
    let status = Arc::new(WatchStatus::default());
    let ready = async {
        while !status.is_ready() {
            tokio::time::sleep(READY_POLL).await;
        }
        loaded.met();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = watch::run(client, board, Arc::clone(&status), stop, &scope) => {}
        () = ready => {}
    }
}

/// Seconds, from 0 to an hour; parts of one too.
fn seconds(text: &str) -> anyhow::Result<Duration> {
    let seconds: f64 = text.parse().map_err(|_| anyhow!("a number of seconds"))?;
    if !(0.0..=3_600.0).contains(&seconds) {
        return Err(anyhow!("from 0 to 3600 seconds"));
    }
    Ok(Duration::from_secs_f64(seconds))
}
