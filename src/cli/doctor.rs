//! `podfit doctor`: reads what there is of podfit, a cluster and a Prometheus, and prints what [`crate::doctor`] makes
//! of it. Changes nothing.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};

use super::Outcome;
use super::certs::Format;
use super::certs::connect::{Address, presented};
use super::cluster_args::{ClusterArgs, namespace};
use super::source_args::{Source, SourceArgs};
use crate::certs::inspect::{CertificateFacts, read_certificates};
use crate::cluster::{ClusterError, Reader};
use crate::collector::metrics::{MEMORY, Scope};
use crate::doctor::labels::LabelsOfPods;
use crate::doctor::rights::{Purpose, Right};
use crate::doctor::{
    Check, Installation, Read, State, certificate, clock, definitions, history, installation, labels, reach, rights,
    webhooks, work,
};
use crate::prometheus::{Client, SeriesSource, TimeRange};

/// Questions that are asked at a time.
const AT_A_TIME: usize = 8;
/// Containers whose samples are looked at for the scrape interval.
const CONTAINERS: usize = 20;
/// Oldest version that the manifests are meant for: the minor of 1.x.
const OLDEST_MINOR: u32 = 30;
const HOUR_MS: i64 = 3_600_000;
/// The first calls to an installation come before its first replica is ready.
const YOUNG: jiff::SignedDuration = jiff::SignedDuration::from_mins(15);
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

/// Arguments of `podfit doctor`.
#[derive(clap::Args)]
pub struct Args {
    /// Namespace that podfit runs in, or will run in
    #[arg(short, long, default_value = crate::certs::names::NAMESPACE, value_parser = namespace)]
    namespace: String,
    /// Address of the webhook, to check the certificate it serves; by default that is read from its Secret, and inside
    /// a cluster from its Service
    #[arg(long, value_name = "https://HOST:PORT")]
    webhook_url: Option<Address>,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    source: SourceArgs,
    /// Format
    #[arg(short, long, value_enum, default_value_t, help_heading = "Output")]
    output: Format,
}

#[derive(Serialize)]
struct ChecksJson<'a> {
    checks: &'a [Check],
}

/// Runs it.
///
/// # Errors
/// What standard output says: everything else is a check that failed.
pub async fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut checks = Vec::new();
    let (mut live, mut found) = (None, None);
    match Reader::connect(&args.cluster.access()).await {
        Ok(reader) => {
            found = cluster(&reader, &args, &mut checks).await;
            live = live_labels(&reader).await.ok();
        }
        Err(error) => checks.push(Check::fail("API server", error.to_string(), "")),
    }
    let of_deployment = found.and_then(|found| found.prometheus_url);
    if args.source.check().is_ok() {
        prometheus(args.source.open().await, &args.source, live.as_ref(), &mut checks).await;
    } else if let Some(url) = of_deployment {
        let source = args.source.clone().with_url(&url);
        match source.open().await {
            // It is an address for pods, and this may be no pod.
            Err(error) if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() => checks.push(Check::unknown(
                "Prometheus",
                format!("{url}, which the Deployment names, does not answer from here: {error:#}"),
                "kubectl port-forward to it, and give --prometheus-url http://localhost:PORT",
            )),
            opened => prometheus(opened, &source, live.as_ref(), &mut checks).await,
        }
    } else {
        checks.push(Check::unknown(
            "Prometheus",
            "no address was given",
            "give --prometheus-url URL, or PODFIT_PROMETHEUS_URL",
        ));
    }
    args.output.print(&crate::doctor::table(&checks), &ChecksJson { checks: &checks })?;
    Ok(if checks.iter().any(|c| c.state == State::Fail) { Outcome::Found } else { Outcome::Fine })
}

/// What is installed; `None` where nothing is, or nothing could be read.
async fn cluster(reader: &Reader, args: &Args, checks: &mut Vec<Check>) -> Option<Installation> {
    match reader.version().await {
        Ok((version, ahead_ms)) => {
            checks.push(api_server(&version, reader.server()));
            checks.push(clock("API server's clock", "its clock", ahead_ms));
        }
        Err(error) => {
            // Nothing else can be read then.
            checks.push(Check::fail("API server", error.to_string(), ""));
            return None;
        }
    }
    let namespace = &args.namespace;
    let deployments = read_list(reader, "apis/apps/v1", namespace, "deployments").await;
    let found = Installation::of_deployments(namespace, deployments.as_deref().unwrap_or_default());
    let service =
        read(reader, &format!("/api/v1/namespaces/{namespace}/services/{}", found.service), "read the Service").await;
    let configuration = async |kind: webhooks::Kind| {
        let path = format!("{ADMISSION}/{}/{}", kind.plural(), found.configuration);
        read(reader, &path, "read the webhook configurations").await
    };
    let mutating = configuration(webhooks::Kind::Mutating).await;
    let validating = configuration(webhooks::Kind::Validating).await;
    let nothing = |read: &Read<Value>| matches!(read, Ok(None));
    if found.replicas.is_none() && nothing(&service) && nothing(&mutating) && nothing(&validating) {
        checks.push(Check::ok(
            "installation",
            format!("there is none in namespace {namespace}; this is about making one"),
        ));
        let purpose = rights::to_install(namespace);
        let allowed = allowed(reader, &purpose.rights, None).await;
        checks.push(rights::check(&purpose, &allowed, "you"));
        return None;
    }
    account(reader, &found, checks).await;
    for plural in definitions::PLURALS {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{}", definitions::GROUP);
        checks.push(definitions::definition(plural, &read(reader, &path, "read the definitions").await));
    }
    let path = format!("/apis/{}/{}/{}/default", definitions::GROUP, definitions::VERSION, definitions::PLURALS[0]);
    checks.push(definitions::policy(&read(reader, &path, "read the policy").await));
    work_and_reach(reader, &found, mutating.as_ref().ok().and_then(Option::as_ref), checks).await;
    let slices = read_list(reader, "apis/discovery.k8s.io/v1", namespace, "endpointslices").await;
    checks.extend(installation::replicas(&found, &service, &slices));
    checks.extend(webhooks::both(&mutating, &validating, &found));
    let objects = [mutating, validating].into_iter().filter_map(|o| o.ok().flatten());
    let bundles: Vec<Vec<u8>> = objects.flat_map(|o| webhooks::bundles(&o, &found)).collect();
    let chain = chain(reader, &found, args.webhook_url.as_ref()).await;
    checks.extend(certificate::served(&chain, &bundles, &found.dns(), jiff::Timestamp::now()));
    Some(found)
}

/// Whether podfit does its work, and whether that reaches pods. Of what may not be read nothing is said: whoever asks
/// need not see all of a cluster.
async fn work_and_reach(reader: &Reader, found: &Installation, mutating: Option<&Value>, checks: &mut Vec<Check>) {
    let now = jiff::Timestamp::now();
    checks.extend(work::history(found));
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases/{}", found.namespace, found.lease);
    checks.extend(work::leader(found, &read(reader, &path, "read the Lease").await, now));

    let all = async |path: &str, what: &str, keep: fn(&mut Value)| reader.list(path, what, keep).await.ok();
    let mut configurations = Vec::new();
    for kind in [webhooks::Kind::Mutating, webhooks::Kind::Validating] {
        let path = format!("{ADMISSION}/{}", kind.plural());
        let objects = all(&path, "list the webhook configurations", |_| {}).await.unwrap_or_default();
        configurations.extend(objects.into_iter().map(|object| (kind, object)));
    }
    let services = all("/api/v1/services", "list Services", metadata_alone).await;
    let services: Option<Vec<String>> = services.map(|services| services.iter().filter_map(full_name).collect());
    checks.extend(reach::others(&configurations, services.as_deref(), found));

    let own = format!("/apis/{}/{}", definitions::GROUP, definitions::VERSION);
    let [policies, recommendations] = definitions::PLURALS.map(|plural| format!("{own}/{plural}"));
    if let Some(policies) = all(&policies, "list policies", |_| {}).await {
        checks.extend(reach::other_policies(&policies, crate::controller::crds::IN_FORCE));
    }
    let recommended = all(&recommendations, "list recommendations", metadata_alone).await;
    let namespaces = all("/api/v1/namespaces", "list namespaces", metadata_alone).await;
    if let (Some(recommended), Some(namespaces), Some(mutating)) = (recommended, namespaces, mutating) {
        let mut counts = std::collections::BTreeMap::<String, usize>::new();
        for of in recommended.iter().filter_map(|object| object.pointer("/metadata/namespace")?.as_str()) {
            *counts.entry(of.to_owned()).or_default() += 1;
        }
        if !counts.is_empty() {
            checks.push(reach::never_asked(&counts, &namespaces, mutating, found));
        }
    }
    if let Ok(metrics) = reader.text("/metrics", "read the API server's metrics").await {
        let is_young = found.created.is_some_and(|then| now.duration_since(then) < YOUNG);
        checks.push(reach::failed_open(&metrics, is_young));
    }
}

fn metadata_alone(object: &mut Value) {
    if let Some(object) = object.as_object_mut() {
        object.retain(|key, _| key == "metadata");
    }
}

/// `NAMESPACE/NAME`.
fn full_name(object: &Value) -> Option<String> {
    let text = |key: &str| object.pointer(&format!("/metadata/{key}")).and_then(Value::as_str);
    Some(format!("{}/{}", text("namespace")?, text("name")?))
}

fn api_server(version: &str, address: &str) -> Check {
    let seen = format!("{version} at {address}");
    let minor: Option<u32> = version.trim_start_matches('v').split('.').nth(1).and_then(|m| m.parse().ok());
    match minor {
        Some(minor) if minor < OLDEST_MINOR => {
            Check::warn("API server", seen, format!("podfit's manifests are meant for 1.{OLDEST_MINOR} and newer"))
        }
        _ => Check::ok("API server", seen),
    }
}

/// The rights of the account that podfit runs as: asked about, or, by that account, for itself.
async fn account(reader: &Reader, found: &Installation, checks: &mut Vec<Check>) {
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{}", found.namespace, found.account);
    if let Ok(None) = read(reader, &path, "read the service account").await {
        let seen = format!("there is no {} in namespace {}", found.account, found.namespace);
        checks.push(Check::fail("service account", seen, "install podfit anew, or name one that is there"));
        return;
    }
    let question = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let me = reader.ask("/apis/authentication.k8s.io/v1/selfsubjectreviews", &question, "ask who you are").await;
    let is_me = me.is_ok_and(|me| me.pointer("/status/userInfo/username") == Some(&Value::from(found.user())));
    for purpose in rights::needed(found) {
        let Purpose { rights, .. } = &purpose;
        let allowed = allowed(reader, rights, (!is_me).then_some(found)).await;
        checks.push(rights::check(&purpose, &allowed, "podfit's account"));
    }
}

/// Whether each right is there: of an installation's account, else of whoever asks.
async fn allowed(reader: &Reader, rights: &[Right], of: Option<&Installation>) -> Result<Vec<bool>, String> {
    let ask = async |right: &Right| {
        let (resource, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
        let attributes = json!({"verb": right.verb, "group": right.group, "resource": resource, "subresource": subresource,
            "name": right.name.as_deref().unwrap_or_default(), "namespace": right.namespace.as_deref().unwrap_or_default()});
        let (plural, spec) = match of {
            None => ("selfsubjectaccessreviews", json!({"resourceAttributes": attributes})),
            Some(of) => {
                let own = format!("system:serviceaccounts:{}", of.namespace);
                let groups = ["system:serviceaccounts", &own, "system:authenticated"];
                ("subjectaccessreviews", json!({"user": of.user(), "groups": groups, "resourceAttributes": attributes}))
            }
        };
        let kind = if of.is_none() { "SelfSubjectAccessReview" } else { "SubjectAccessReview" };
        let question = json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec});
        let path = format!("/apis/authorization.k8s.io/v1/{plural}");
        let answer = reader.ask(&path, &question, "ask for rights").await;
        answer.map(|a| a.pointer("/status/allowed") == Some(&Value::Bool(true))).map_err(told)
    };
    let questions: Vec<_> = rights.iter().map(ask).collect();
    stream::iter(questions).buffered(AT_A_TIME).try_collect().await
}

/// The chain that is served, as near to the webhook as it can be seen from here; and where that was.
async fn chain(
    reader: &Reader,
    found: &Installation,
    url: Option<&Address>,
) -> Result<(Vec<CertificateFacts>, String), String> {
    let name = found.dns();
    let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let behind_service = || Address { host: name.clone(), port: 443 };
    if let Some(address) = url.cloned().or_else(|| in_cluster.then(behind_service)) {
        let chain = presented(&address, &name).await.map_err(|e| e.to_string())?;
        return Ok((chain, format!("served at {address}")));
    }
    let path = format!("/api/v1/namespaces/{}/secrets/{}", found.namespace, found.secret);
    let secret = match reader.get(&path, "read the webhook's Secret").await {
        Ok(Some(secret)) => secret,
        Ok(None) => return Err(format!("there is no Secret {} in namespace {}", found.secret, found.namespace)),
        Err(ClusterError::Forbidden { .. }) => return Err(format!("you may not read Secret {}", found.secret)),
        Err(error) => return Err(told(error)),
    };
    // The certificate alone: what else is in it is nobody's business here.
    let text = secret.pointer("/data/tls.crt").and_then(Value::as_str).unwrap_or_default().to_owned();
    drop(secret);
    if text.is_empty() {
        return Err(format!("Secret {} has no certificate yet: podfit makes it when it starts", found.secret));
    }
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap_or_default();
    let chain = read_certificates(&decoded).map_err(|e| format!("Secret {}: tls.crt {e}", found.secret))?;
    Ok((chain, format!("in Secret {}", found.secret)))
}

async fn prometheus(
    opened: anyhow::Result<(Source, TimeRange)>,
    source: &SourceArgs,
    live: Option<&LabelsOfPods>,
    checks: &mut Vec<Check>,
) {
    let (client, window) = match opened {
        Ok((Source::Server(client), window)) => (client, window),
        Ok(_) => return checks.push(Check::unknown("Prometheus", "a file was given instead of a server", "")),
        Err(error) => return checks.push(Check::fail("Prometheus", format!("{error:#}"), "")),
    };
    checks.push(Check::ok("Prometheus", client.describe()));
    let ahead_ms = client.probe().await.ok().and_then(|c| c.clock_skew_ms);
    checks.push(clock("Prometheus' clock", "its clock", ahead_ms));
    let scope = source.scope(Vec::new());
    let day = TimeRange { start_ms: window.end_ms - 24 * HOUR_MS, ..window };
    let present = client.metric_names_present(&history::names(), day, &scope.matchers).await.map_err(told);
    let has_memory = present.as_ref().is_ok_and(|p| p.contains(MEMORY));
    let has_labels = present.as_ref().is_ok_and(|p| p.contains("kube_pod_labels"));
    checks.extend(history::series(&present));
    if has_memory {
        checks.push(history::interval(&interval(&client, &scope, window.end_ms).await));
    }
    if has_labels {
        let within = async |hours| {
            let range = TimeRange { start_ms: window.end_ms - hours * HOUR_MS, ..window };
            exported_labels(&client, &scope, range).await
        };
        let mut exported = within(1).await;
        if exported.as_ref().is_ok_and(LabelsOfPods::is_empty) {
            exported = within(24).await;
        }
        match exported {
            Ok(exported) => checks.push(labels::allowlist(&exported, live)),
            Err(why) => checks.push(Check::unknown("kube-state-metrics' labels", why, "")),
        }
    }
}

/// The usual distance of samples, in seconds, of some containers: within the last hour, else within the last day.
async fn interval(client: &Client, scope: &Scope, end_ms: i64) -> Result<Option<f64>, String> {
    for hours in [1, 24] {
        let range = TimeRange { start_ms: end_ms - hours * HOUR_MS, end_ms };
        let mut some = BTreeSet::new();
        let mut series = client.last(&scope.containers(MEMORY), range).await.map_err(told)?;
        while let Some(chunk) = series.recv().await {
            let chunk = chunk.map_err(told)?;
            some.insert(chunk.labels.get("pod").unwrap_or_default().to_owned());
            if some.len() >= CONTAINERS {
                break;
            }
        }
        drop(series);
        let mut times = std::collections::HashMap::<_, Vec<i64>>::new();
        let mut samples = client.samples(&scope.containers(MEMORY).one_of("pod", &some), range).await.map_err(told)?;
        while let Some(chunk) = samples.recv().await {
            let chunk = chunk.map_err(told)?;
            times.entry(chunk.labels).or_default().extend(chunk.samples.iter().map(|s| s.at_ms));
        }
        let mut medians: Vec<f64> = times.values_mut().filter_map(history::median_distance).collect();
        medians.sort_unstable_by(f64::total_cmp);
        if let Some(median) = medians.get(medians.len() / 2) {
            return Ok(Some(*median));
        }
    }
    Ok(None)
}

async fn exported_labels(client: &Client, scope: &Scope, range: TimeRange) -> Result<LabelsOfPods, String> {
    let mut found = LabelsOfPods::new();
    let mut series = client.last(&scope.anything("kube_pod_labels"), range).await.map_err(told)?;
    while let Some(chunk) = series.recv().await {
        let chunk = chunk.map_err(told)?;
        // Where Prometheus has renamed kube-state-metrics' own labels, these say which pod.
        let of = |name: &str| {
            let renamed = format!("exported_{name}");
            chunk.labels.get(&renamed).or_else(|| chunk.labels.get(name)).unwrap_or_default().to_owned()
        };
        let keys = chunk.labels.iter().filter_map(|(name, _)| name.strip_prefix("label_")).map(str::to_owned);
        found.entry((of("namespace"), of("pod"))).or_default().extend(keys);
    }
    Ok(found)
}

/// Labels of the pods that are there now.
async fn live_labels(reader: &Reader) -> Result<LabelsOfPods, ClusterError> {
    let pods = reader.list("/api/v1/pods", "list pods in all namespaces", metadata_alone).await?;
    let of = |pod: &Value| {
        let text = |key: &str| Some(pod.pointer(&format!("/metadata/{key}"))?.as_str()?.to_owned());
        let labels = pod.pointer("/metadata/labels").and_then(Value::as_object);
        let keys = labels.map(|l| l.keys().cloned().collect()).unwrap_or_default();
        Some(((text("namespace")?, text("name")?), keys))
    };
    Ok(pods.iter().filter_map(of).collect())
}

async fn read(reader: &Reader, path: &str, what: &str) -> Read<Value> {
    reader.get(path, what).await.map_err(told)
}

async fn read_list(reader: &Reader, api: &str, namespace: &str, plural: &str) -> Result<Vec<Value>, String> {
    let path = format!("/{api}/namespaces/{namespace}/{plural}");
    reader.list(&path, &format!("list {plural} in namespace {namespace}"), |_| {}).await.map_err(told)
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}
