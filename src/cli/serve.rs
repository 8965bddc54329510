//! `podfit serve`: the admission webhook as a process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use futures::FutureExt;

use super::Outcome;
use super::built_in_ca_args::BuiltInCaArgs;
use super::cluster_args::{ClusterArgs, namespace};
use super::learn::learn_into;
use super::serve_report::ServeReportArgs;
use super::source_args::{SourceArgs, span};
use crate::cluster::watch_client;
use crate::controller::built_in_ca::BuiltInCa;
use crate::controller::in_cluster::{InCluster, Learning};
use crate::controller::lease::LeaseName;
use crate::controller::recommend::{ControllerMetrics, Learn};
use crate::controller::watch::Scope;
use crate::server::{Certificate, Limits, Plan};

/// Arguments of `podfit serve`.
#[derive(clap::Args)]
#[command(args_override_self = true)]
pub struct Args {
    /// Address of the webhook: TLS, /mutate and /validate; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443", help_heading = "Ports")]
    listen: SocketAddr,
    /// Address of /livez, /readyz and /metrics, plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9090", help_heading = "Ports")]
    metrics_listen: SocketAddr,
    /// PEM file of the serving certificate, followed by its intermediates
    #[arg(long, value_name = "FILE", requires = "tls_key_file", help_heading = "TLS")]
    #[arg(required_unless_present = "built_in_ca", conflicts_with = "built_in_ca")]
    tls_cert_file: Option<PathBuf>,
    /// PEM file of the certificate's private key
    #[arg(long, value_name = "FILE", requires = "tls_cert_file", help_heading = "TLS")]
    #[arg(required_unless_present = "built_in_ca", conflicts_with = "built_in_ca")]
    tls_key_file: Option<PathBuf>,
    #[command(flatten)]
    built_in_ca: BuiltInCaArgs,
    /// Accept only clients whose certificate is signed by a CA in this PEM file
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    client_ca_file: Option<PathBuf>,
    /// Read the policy (YAML) from this file instead of the cluster's RightsizingPolicy
    #[arg(long, value_name = "FILE", help_heading = "What is known")]
    policy: Option<PathBuf>,
    /// Recommendations (JSON) from a file, as podfit recommend -o json prints them, instead of the cluster's
    /// Recommendation objects; then none are made here, and without --policy all of them are applied
    #[arg(long, value_name = "FILE", help_heading = "What is known")]
    recommendations: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    /// How often to read new history from Prometheus, such as 1h or 30m
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = pause, help_heading = "Recommendations")]
    recommend_every: Duration,
    /// Lease that elects the replica making recommendations (default: podfit, in the namespace of this pod or
    /// kubeconfig)
    #[arg(long, value_name = "NAMESPACE/NAME", help_heading = "Recommendations")]
    lease: Option<LeaseName>,
    /// Name of this replica in the lease (default: a generated one)
    #[arg(long, env = "POD_NAME", value_name = "NAME", help_heading = "Recommendations")]
    replica: Option<String>,
    /// Serve this page at /report on the metrics port: what podfit report --out FILE.html wrote last. Anyone who can
    /// reach that port can read it
    #[arg(long, value_name = "FILE", help_heading = "Ports")]
    report_file: Option<PathBuf>,
    #[command(flatten)]
    report: ServeReportArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Watch only these namespaces, which needs rights only there (default: all)
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = namespace, help_heading = "Cluster")]
    watch_namespaces: Vec<String>,
    /// Run without watching a cluster; LimitRanges, quotas and owners of Jobs are then unknown
    #[arg(long, conflicts_with_all = ["kubeconfig", "context", "watch_namespaces", "built_in_ca", "lease"])]
    #[arg(help_heading = "Cluster")]
    no_cluster: bool,
    /// How often to check the files above for changes; the built-in CA's Secret is checked every twelfth time
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, help_heading = "What is known")]
    reload_seconds: Duration,
    /// How long to keep serving after SIGTERM, so that API servers stop sending before the port closes
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, help_heading = "The end")]
    drain_seconds: Duration,
    /// How long requests in progress may then take to finish
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds, help_heading = "The end")]
    grace_seconds: Duration,
    /// Maximum number of open connections
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections as u32, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = "Limits")]
    max_connections: u32,
    /// Maximum number of reviews in progress; above it, /mutate lets pods pass unchanged and /validate turns away those
    /// that a rule which enforces is about
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
    let figures = Arc::new(ControllerMetrics::default());
    let identity = args.source.rules();
    let learning = learning(&args.source, args.watch_namespaces.clone(), args.recommend_every)?;
    let delivery = args.report.delivery(&learning.store, &args.watch_namespaces, learning.sizing)?;
    if delivery.is_some() && (client.is_none() || args.recommendations.is_some() || learning.learn.is_none()) {
        bail!("--deliver takes a cluster, a --prometheus-url and no --recommendations: nothing is learned without");
    }
    let in_cluster = match client {
        None => None,
        Some(client) => Some(InCluster {
            lease: args.lease.unwrap_or_else(|| LeaseName::beside(client.default_namespace())),
            client,
            replica: args.replica.unwrap_or_else(made_up_name),
            scope: Scope {
                policy: args.policy.is_none() && args.recommendations.is_none(),
                recommendations: args.recommendations.is_none(),
                pods: true,
                namespaces: args.watch_namespaces,
            },
            identity: Arc::new(identity.clone()),
            learning,
            delivery,
            figures: Arc::clone(&figures),
        }),
    };
    let plan = Plan {
        listen: args.listen,
        metrics_listen: args.metrics_listen,
        certificate,
        client_ca: args.client_ca_file,
        policy: args.policy,
        recommendations: args.recommendations,
        report: args.report_file,
        identity,
        figures,
        reload_every: args.reload_seconds.max(Duration::from_millis(10)),
        drain: args.drain_seconds,
        grace: args.grace_seconds,
        limits,
    };
    keep_panics_short();
    let bound = plan.bind().await?;
    let (webhook, metrics) = bound.addresses();
    let serving = || super::fail::tell(&format!("serving webhook=https://{webhook} metrics=http://{metrics}"));
    bound
        .run(serving, |shared, loaded, ends| async move {
            if let Some(in_cluster) = in_cluster {
                return Box::pin(in_cluster.run(shared, || loaded.met(), ends.leave, ends.stop)).await;
            }
            loaded.met();
            ends.stop.cancelled().await;
        })
        .await?;
    Ok(Outcome::Fine)
}

/// How recommendations are learned: from the store, and from a server where one is named.
fn learning(source: &SourceArgs, namespaces: Vec<String>, every: Duration) -> anyhow::Result<Learning> {
    let store = Arc::new(source.store()?);
    let learn = source.check().is_ok().then(|| {
        let (source, store) = (source.clone(), Arc::clone(&store));
        let learn: Learn = Arc::new(move |known| {
            let (args, store, namespaces) = (source.clone(), Arc::clone(&store), namespaces.clone());
            // On a thread of its own: reviews must not wait for it.
            let learning = tokio::task::spawn_blocking(move || {
                let runtime = tokio::runtime::Handle::current();
                let learned = runtime.block_on(learn_into(&args, &store, namespaces, known));
                learned.map_err(|error| super::fail::one_line(&error))
            });
            async move { learning.await.unwrap_or_else(|_| Err("a part of podfit failed".to_owned())) }.boxed()
        });
        learn
    });
    Ok(Learning { store, learn, every, sizing: source.policy() })
}

/// A name that no other replica has.
fn made_up_name() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("podfit-{}-{:x}", std::process::id(), since.as_nanos())
}

/// A panic's message may quote what was being read: here only its place is told.
fn keep_panics_short() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        super::fail::tell(&format!("this is a fault of podfit itself, please report it ({place})"));
    }));
}

/// A time such as 1h, 30m, or 90s.
fn pause(text: &str) -> Result<Duration, String> {
    let seconds =
        text.strip_suffix('s').and_then(|number| number.parse::<u64>().ok()).filter(|s| (1..=3_600).contains(s));
    seconds.map_or_else(|| span(text), |seconds| Ok(Duration::from_secs(seconds)))
}

/// Seconds, from 0 to an hour; parts of one too.
fn seconds(text: &str) -> anyhow::Result<Duration> {
    let seconds: f64 = text.parse().map_err(|_| anyhow!("a number of seconds"))?;
    if !(0.0..=3_600.0).contains(&seconds) {
        return Err(anyhow!("from 0 to 3600 seconds"));
    }
    Ok(Duration::from_secs_f64(seconds))
}
