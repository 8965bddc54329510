//! Remote read, the query API and the samples that were written are the same thing.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use podfit::prometheus::{
    Client, Config, MatchOp, Mode, OpenMetricsFile, ProductKind, RemoteRead, Selector, SeriesSource, TimeRange,
    Transport,
};

use crate::prometheus_server::{PrometheusServer, skipped};
use crate::{ALL, ByCase, HISTORY, collect, written};

fn server(test: &str, args: &[&str]) -> Option<PrometheusServer> {
    let server = PrometheusServer::start_with_args(HISTORY, args);
    if server.is_none() {
        skipped(test, "prometheus or promtool is not on the PATH");
    }
    server
}

fn client(server: &PrometheusServer, mode: Mode) -> Client {
    Client::new(&Config { mode, ..Config::new(server.url()) }).unwrap()
}

async fn fetch(source: &impl SeriesSource, selector: &Selector, range: TimeRange) -> ByCase {
    let (got, error) = collect(source.samples(selector, range).await.unwrap()).await;
    assert!(error.is_none(), "{error:?}");
    got
}

fn cut(all: &ByCase, range: TimeRange) -> ByCase {
    let mut out = all.clone();
    for samples in out.values_mut() {
        samples.retain(|s| range.contains(s.0));
    }
    out.retain(|_, v| !v.is_empty());
    out
}

#[tokio::test]
async fn every_transport_gives_what_was_written() {
    let Some(server) = server("every_transport_gives_what_was_written", &[]) else { return };
    let wire = Selector::metric("wire");
    let file = OpenMetricsFile::read(HISTORY.as_bytes(), "history.om").unwrap();
    assert_eq!(fetch(&file, &wire, ALL).await, written());
    for mode in [Mode::Auto, Mode::RemoteRead, Mode::Query] {
        let client = client(&server, mode);
        assert_eq!(fetch(&client, &wire, ALL).await, written(), "{mode:?}");
        // Both ends are inside, to the millisecond.
        for (start_ms, end_ms) in [
            (1_700_000_000_000, 1_700_000_000_000),
            (1_700_000_000_001, 1_700_000_030_000),
            (1_700_000_077_007, 1_700_000_077_007),
            (1_700_000_077_008, 1_700_001_000_000),
            (1_600_000_000_000, 1_600_000_000_001),
            (2, 1),
        ] {
            let range = TimeRange { start_ms, end_ms };
            assert_eq!(fetch(&client, &wire, range).await, cut(&written(), range), "{mode:?} {range:?}");
        }
        let some = wire.clone().with("case", MatchOp::Regex, "c.*").with("case", MatchOp::NotEqual, "constant");
        let got = fetch(&client, &some, ALL).await;
        assert_eq!(got.keys().collect::<Vec<_>>(), ["counter"], "{mode:?}");
        let odd = wire.clone().equal("odd", "q\"u\\o\nte é");
        assert_eq!(fetch(&client, &odd, ALL).await.keys().collect::<Vec<_>>(), ["one"], "{mode:?}");
        assert!(client.warnings().is_empty());
        assert!(client.stats().samples > 0 && client.stats().retries == 0, "{:?}", client.stats());
    }
}

#[tokio::test]
async fn the_server_counts_what_it_would_send() {
    let Some(server) = server("the_server_counts_what_it_would_send", &[]) else { return };
    let counter = Selector::metric("wire").equal("case", "counter");
    let samples = written()["counter"].len() as u64;
    for (mode, counted) in [(Mode::Auto, Some(samples)), (Mode::Query, Some(samples)), (Mode::RemoteRead, None)] {
        assert_eq!(client(&server, mode).count(&counter, ALL, 1).await, counted, "{mode:?}");
    }
    let client = client(&server, Mode::Auto);
    assert_eq!(client.count(&counter, ALL, samples + 7).await, Some(samples + 7), "a series counts as so many");
    assert_eq!(client.count(&Selector::metric("absent"), ALL, 1).await, Some(0));
    assert_eq!(client.count(&counter, TimeRange { start_ms: 2, end_ms: 1 }, 1).await, None);
}

#[tokio::test]
async fn slices_of_any_length_give_the_same() {
    let Some(server) = server("slices_of_any_length_give_the_same", &["--query.max-samples=400"]) else { return };
    for (minutes, hint) in [(5, 1), (7, 5_000_000), (1440, 5_000_000), (1440, 300)] {
        let mut config = Config::new(server.url());
        config.mode = Mode::Query;
        config.slice = Duration::from_secs(minutes * 60);
        config.max_samples_hint = hint;
        let client = Client::new(&config).unwrap();
        assert_eq!(fetch(&client, &Selector::metric("wire"), ALL).await, written(), "{minutes} min, {hint}");
    }
}

#[tokio::test]
async fn too_many_samples_for_the_smallest_slice() {
    let Some(server) = server("too_many_samples_for_the_smallest_slice", &["--query.max-samples=10"]) else { return };
    let client = client(&server, Mode::Query);
    let (_, error) = collect(client.samples(&Selector::metric("wire"), ALL).await.unwrap()).await;
    let text = error.unwrap().to_string();
    assert!(text.contains("--query.max-samples") && text.contains("too many samples"), "{text}");
}

#[tokio::test]
async fn the_last_sample_of_each_series() {
    let Some(server) = server("the_last_sample_of_each_series", &["--query.max-samples=1200"]) else { return };
    let want = |range| cut(&written(), range).into_iter().map(|(k, v)| (k, v[v.len() - 1]));
    for range in [ALL, TimeRange { start_ms: 1_700_000_000_000, end_ms: 1_700_000_100_000 }] {
        for mode in [Mode::Query, Mode::RemoteRead] {
            let client = client(&server, mode);
            let (got, error) = collect(client.last(&Selector::metric("wire"), range).await.unwrap()).await;
            assert!(error.is_none(), "{error:?}");
            let got: Vec<(String, (i64, f64))> = got.into_iter().map(|(k, v)| (k, v[0])).collect();
            let values = |all: &[(String, (i64, f64))]| all.iter().map(|s| (s.0.clone(), s.1.1)).collect::<Vec<_>>();
            let want: Vec<_> = want(range).collect();
            assert_eq!(values(&got), values(&want), "{mode:?}");
            if mode == Mode::RemoteRead {
                assert_eq!(got, want);
            }
        }
    }
}

#[tokio::test]
async fn which_metrics_are_there() {
    let Some(server) = server("which_metrics_are_there", &[]) else { return };
    let client = client(&server, Mode::Auto);
    let names = ["wire", "other", "absent", "wir.", "x\"}"];
    let all = client.metric_names_present(&names, ALL, &[]).await.unwrap();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), ["other", "wire"]);
    let matchers = Selector::metric("").equal("case", "counter").matchers;
    let some = client.metric_names_present(&names, ALL, &matchers).await.unwrap();
    assert_eq!(some.into_iter().collect::<Vec<_>>(), ["wire"]);
    let later = TimeRange { start_ms: 1_800_000_000_000, end_ms: 1_800_000_001_000 };
    assert!(client.metric_names_present(&names, later, &[]).await.unwrap().is_empty());
    assert!(client.metric_names_present(&[], ALL, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_probe_says_what_it_found() {
    let Some(server) = server("a_probe_says_what_it_found", &[]) else { return };
    let client = client(&server, Mode::Auto);
    assert_eq!(client.describe(), server.url());
    let found = client.probe().await.unwrap();
    assert_eq!(found.product.kind, ProductKind::Prometheus);
    assert_eq!(found.transport, Transport::RemoteRead(RemoteRead::Streamed));
    assert!(found.clock_skew_ms.unwrap().abs() < 30_000);
    let line = found.to_string();
    assert!(line.contains("streamed remote read (the server offers it"), "{line}");
    assert_eq!(client.describe(), format!("{} at {}", found.product, server.url()));
}

#[tokio::test]
async fn mutual_tls() {
    const TEST: &str = "mutual_tls";
    let dir = tempfile::tempdir().unwrap();
    if !make_certificates(dir.path()) {
        return skipped(TEST, "openssl is not on the PATH");
    }
    let file = |name: &str| dir.path().join(name);
    let settings = format!(
        "tls_server_config:\n  cert_file: {0}/server.pem\n  key_file: {0}/server.key\n  client_ca_file: {0}/ca.pem\n  \
         client_auth_type: RequireAndVerifyClientCert\n",
        dir.path().display()
    );
    std::fs::write(file("web.yml"), settings).unwrap();
    let Some(server) = server(TEST, &[&format!("--web.config.file={}", file("web.yml").display())]) else { return };
    let url = server.url().replace("http://127.0.0.1", "https://localhost");
    let trusted = Config { ca_file: Some(file("ca.pem")), ..Config::new(&url) };
    let known =
        Config { client_cert: Some(file("client.pem")), client_key: Some(file("client.key")), ..trusted.clone() };
    let got = fetch(&Client::new(&known).unwrap(), &Selector::metric("wire"), ALL).await;
    assert_eq!(got, written());
    let careless = Config { ca_file: None, insecure: true, ..known.clone() };
    assert_eq!(fetch(&Client::new(&careless).unwrap(), &Selector::metric("wire"), ALL).await, written());
    // Without a certificate of its own, and without the CA.
    for (stranger, words) in
        [(trusted, "client certificate"), (Config { ca_file: None, ..known.clone() }, "give the CA")]
    {
        let stranger = Config { retries: 0, ..stranger };
        let error = Client::new(&stranger).unwrap().probe().await.unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("https://localhost") && !error.contains('\n'), "{error}");
    }
    let half = Config { client_key: None, ..known };
    assert!(Client::new(&half).unwrap_err().to_string().contains("certificate and key go together"));
}

/// A CA, a server for localhost and a client, by openssl.
fn make_certificates(dir: &Path) -> bool {
    let openssl = |args: &[&str]| {
        let mut run = Command::new("openssl");
        run.args(args).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null());
        run.status().is_ok_and(|s| s.success())
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let ca = [&["req", "-x509", "-subj", "/CN=test-ca", "-keyout", "ca.key", "-out", "ca.pem"][..], &key].concat();
    let leaf = |name: &str| {
        let (out_key, out_cert) = (format!("{name}.key"), format!("{name}.pem"));
        let args = ["req", "-x509", "-CA", "ca.pem", "-CAkey", "ca.key", "-subj", "/CN=localhost"];
        let more = ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"];
        openssl(&[&args[..], &more, &["-keyout", &out_key, "-out", &out_cert], &key].concat())
    };
    openssl(&ca) && leaf("server") && leaf("client")
}
