//! `podfit certs` as its user runs it: files, a Secret, findings, a TLS server on loopback.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly in its helpers")]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assert_cmd::assert::OutputAssertExt;
use jiff::{SignedDuration, Timestamp};
use podfit::certs::authority::{Authority, CA_LIFE, LEAF_LIFE};
use podfit::certs::names::ServerNames;
use podfit::certs::pair::CertifiedPair;
use podfit::certs::resolver::ServedPair;
use rstest::rstest;
use rustls::ServerConfig;
use serde_json::Value;
use support::cli::{Ran, command, podfit};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

const NAME: &str = "podfit-webhook.podfit.svc";
const FILES: [&str; 4] = ["ca.crt", "ca.key", "tls.crt", "tls.key"];

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certs").join(name)
}

fn made(args: &[&str]) -> TempDir {
    let dir = TempDir::new().unwrap();
    let ran = make(dir.path(), args);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    shows_no_key(&ran, dir.path());
    dir
}

fn make(dir: &Path, args: &[&str]) -> Ran {
    let fixed = ["certs", "make", "--out", dir.to_str().unwrap()];
    podfit(fixed.iter().chain(args).copied())
}

/// No line of a key's text is in what was printed.
#[track_caller]
fn shows_no_key(ran: &Ran, dir: &Path) {
    for key in ["ca.key", "tls.key"] {
        for line in fs::read_to_string(dir.join(key)).unwrap().lines().filter(|l| !l.starts_with('-')) {
            assert!(!ran.stdout.contains(line) && !ran.stderr.contains(line), "{key} is shown");
        }
    }
    assert!(!ran.stdout.contains("PRIVATE KEY"), "{}", ran.stdout);
}

#[track_caller]
fn fits(ran: &Ran) {
    let widest = ran.stdout.lines().map(|l| l.chars().count()).max().unwrap_or(0);
    assert!(widest <= 100, "{widest} columns: {}", ran.stdout);
}

fn check(dir: &Path, more: &[&str]) -> Ran {
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let files = ["--cert".into(), path("tls.crt"), "--key".into(), path("tls.key"), "--ca".into(), path("ca.crt")];
    let more = more.iter().map(|m| (*m).to_owned());
    podfit(["certs".to_owned(), "check".to_owned()].into_iter().chain(files).chain(more))
}

fn checks(ran: &Ran) -> Vec<String> {
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    answer["findings"].as_array().unwrap().iter().map(|f| f["check"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_made_is_fine_and_its_keys_are_the_owners() {
    let dir = made(&["--dns", "hooks.example.com", "--ip", "127.0.0.1", "--ip", "::1"]);
    for name in FILES {
        let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        let expected = if Path::new(name).extension().is_some_and(|e| e == "key") { 0o600 } else { mode & 0o644 };
        assert_eq!(mode, expected, "{name}: {mode:o}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), FILES.len(), "nothing is left behind");
    let names = ["--dns", NAME, "--dns", "hooks.example.com", "--dns", "127.0.0.1", "--dns", "::1"];
    let ran = check(dir.path(), &names);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    assert!(ran.stdout.contains("fine") && ran.stdout.contains(NAME), "{}", ran.stdout);
    fits(&ran);
    shows_no_key(&ran, dir.path());
}

#[test]
fn nothing_is_overwritten_unless_it_is_asked_for() {
    let dir = made(&[]);
    let content = || FILES.map(|name| fs::read(dir.path().join(name)).unwrap());
    let before = content();
    make(dir.path(), &[]).refused_with(&["ca.crt is there already", "--renew", "--force"]);
    assert_eq!(content(), before);

    let ran = make(dir.path(), &["--renew"]);
    assert!(ran.code == Some(0) && ran.stdout.contains("kept"), "{ran:?}");
    shows_no_key(&ran, dir.path());
    let renewed = content();
    assert_eq!(renewed[..2], before[..2], "the CA stays");
    assert!(renewed[2] != before[2] && renewed[3] != before[3]);
    assert_eq!(check(dir.path(), &["--dns", NAME]).code, Some(0));

    assert_eq!(make(dir.path(), &["--force"]).code, Some(0));
    assert_ne!(content()[0], before[0]);
    assert_eq!(check(dir.path(), &["--dns", NAME]).code, Some(0));
}

#[test]
fn a_key_that_was_open_is_closed() {
    let dir = made(&[]);
    let key = dir.path().join("tls.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(make(dir.path(), &["--renew"]).code, Some(0));
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn renewing_takes_a_ca_that_is_there_and_whole() {
    let dir = TempDir::new().unwrap();
    make(dir.path(), &["--renew"]).refused_with(&["--renew takes the CA that is there", "ca.crt"]);
    let (dir, other) = (made(&[]), made(&[]));
    fs::copy(other.path().join("ca.key"), dir.path().join("ca.key")).unwrap();
    make(dir.path(), &["--renew"]).refused_with(&["the CA's key does not belong to its certificate"]);
}

#[rstest]
#[case(&["certs", "make"], &["--out"])]
#[case(&["certs", "make", "--out", "/tmp/x", "--dns", "a..b"], &["`a..b` is no DNS name"])]
#[case(&["certs", "make", "--out", "/tmp/x", "--service", "No"], &["`No` is no name of a Service"])]
#[case(&["certs", "make", "--out", "/tmp/x", "--ip", "x"], &["--ip"])]
#[case(&["certs", "make", "-o", "yaml", "--renew"], &["--out"])]
#[case(&["certs", "make", "--out", "/proc/podfit-nowhere"], &["cannot make /proc/podfit-nowhere"])]
#[case(&["certs", "check"], &["--cert"])]
#[case(&["certs", "check", "--url", "http://127.0.0.1:1", "--ca", "x"], &["https://127.0.0.1:9443"])]
#[case(&["certs", "check", "--url", "https://u:hunter2@127.0.0.1:1", "--ca", "x"], &["https://127.0.0.1:9443"])]
#[case(&["certs", "check", "--url", "https://127.0.0.1:1"], &["--ca"])]
#[case(&["certs", "inspect", "/nonexistent.crt"], &["cannot read /nonexistent.crt", "check the path"])]
#[case(&["certs", "inspect", "Cargo.toml"], &["Cargo.toml holds no PEM text"])]
fn what_cannot_be_done_is_one_line(#[case] args: &[&str], #[case] pieces: &[&str]) {
    podfit(args).refused_with(pieces);
}

#[test]
fn a_secret_is_printed_with_its_bundle_and_reads_back() {
    let ran = podfit(["certs", "make", "-o", "yaml", "-n", "data"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let secret: Value = serde_saphyr::from_str(&ran.stdout).unwrap();
    assert_eq!(secret["type"], "kubernetes.io/tls");
    assert_eq!(secret["metadata"], serde_json::json!({"name": "podfit-webhook-tls", "namespace": "data"}));
    let data = secret["data"].as_object().unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["ca.crt", "tls.crt", "tls.key"], "the CA's key stays out");
    assert!(ran.stdout.lines().any(|l| l.strip_prefix("# ") == data["ca.crt"].as_str()), "{}", ran.stdout);
    let dir = TempDir::new().unwrap();
    for (name, value) in data {
        let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, value.as_str().unwrap());
        fs::write(dir.path().join(name), decoded.unwrap()).unwrap();
    }
    assert_eq!(check(dir.path(), &["--dns", "podfit-webhook.data.svc"]).code, Some(0));
}

#[test]
fn inspection_shows_certificates_and_no_keys() {
    let dir = made(&["--ip", "127.0.0.1"]);
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let chain = dir.path().join("chain.pem");
    fs::write(&chain, FILES[1..].iter().map(|f| fs::read_to_string(path(f)).unwrap()).take(2).collect::<String>())
        .unwrap();
    let ran = podfit(["certs", "inspect", &path("tls.crt"), &path("ca.crt"), chain.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    for piece in
        ["CN=podfit-webhook.podfit.svc", "podfit webhook CA", "127.0.0.1", "ECDSA P-256", "(itself: a root CA)"]
    {
        assert!(ran.stdout.contains(piece), "{piece} is not in {}", ran.stdout);
    }
    fits(&ran);
    shows_no_key(&ran, dir.path());

    let ran = podfit(["certs", "inspect", &path("tls.crt"), "-o", "json"]);
    let report: Value = ran.report();
    assert_eq!(report[0]["daysLeft"], 364);
    assert_eq!(report[0]["names"].as_array().unwrap().len(), 4);
    assert_eq!(report[0]["fingerprint"].as_str().unwrap().len(), 64);
    let yaml = podfit(["certs", "inspect", &path("tls.crt"), "-o", "yaml"]);
    let yaml: Value = serde_saphyr::from_str(&yaml.stdout).unwrap();
    assert_eq!(yaml[0]["fingerprint"], report[0]["fingerprint"]);

    podfit(["certs", "inspect", &path("tls.key")]).refused_with(&["tls.key holds no certificate"]);
    podfit(["certs", "inspect", recorded("encrypted.key").to_str().unwrap()]).refused_with(&["encrypted"]);
}

#[test]
fn standard_input_is_read() {
    let dir = made(&[]);
    let file = fs::File::open(dir.path().join("tls.crt")).unwrap();
    let done = command().args(["certs", "inspect", "-"]).stdin(file).assert().success();
    assert!(String::from_utf8_lossy(&done.get_output().stdout).contains(NAME));
}

#[test]
fn findings_end_with_status_one_and_say_what_to_do() {
    let (dir, other) = (made(&[]), made(&[]));
    let other = |name: &str| other.path().join(name).to_str().unwrap().to_owned();
    let fails = |more: &[&str], expected: &[&str]| {
        // The last of an argument given twice does not count for clap: a directory of its own does.
        let ran = check(dir.path(), &[more, &["-o", "json"]].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""), "{}", ran.stdout);
        assert_eq!(checks(&ran), expected);
        shows_no_key(&ran, dir.path());
    };
    fails(&["--dns", "else.where.svc"], &["name-missing"]);
    fails(&["--min-days", "1000"], &["expires-soon"]);
    let far = (Timestamp::now() + SignedDuration::from_hours(400 * 24)).to_string();
    fails(&["--at", &far], &["expired"]);

    let (cert, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    let base = ["certs", "check", "--cert", cert.to_str().unwrap(), "--key"];
    let run = |more: &[&str]| podfit(base.iter().chain(more).copied());
    let ran = run(&[&other("tls.key"), "--ca", &other("ca.crt")]);
    assert_eq!(ran.code, Some(1));
    for piece in ["error", "key-mismatch", "unknown-issuer", "→ put the CA that signed it into caBundle"] {
        assert!(ran.stdout.contains(piece), "{piece} is not in {}", ran.stdout);
    }
    fits(&ran);
    run(&[&other("tls.crt")]).refused_with(&["holds no private key"]);
    let ran = run(&[key.to_str().unwrap()]);
    assert!(ran.code == Some(0) && ran.stdout.contains("--ca FILE"), "{ran:?}");

    // A change of CA: the bundle of both is fine for either certificate.
    let both = dir.path().join("both.crt");
    let text = [other("ca.crt"), dir.path().join("ca.crt").to_str().unwrap().to_owned()];
    fs::write(&both, text.map(|f| fs::read_to_string(f).unwrap()).concat()).unwrap();
    for cert in [cert.to_str().unwrap(), &other("tls.crt")] {
        let ran = podfit(["certs", "check", "--cert", cert, "--ca", both.to_str().unwrap(), "--dns", NAME]);
        assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    }
}

#[rstest]
#[case::pkcs1("rsa.crt", "rsa-pkcs1.key", 0, &[])]
#[case::sec1("ec.crt", "ec-sec1.key", 0, &[])]
#[case::other_key("ec.crt", "rsa-pkcs1.key", 1, &["key-mismatch"])]
#[case::sha1("sha1.crt", "rsa-pkcs1.key", 1, &["weak-signature"])]
fn what_openssl_wrote_is_read(#[case] cert: &str, #[case] key: &str, #[case] code: i32, #[case] expected: &[&str]) {
    let (cert, key) = (recorded(cert), recorded(key));
    let args = ["certs", "check", "-o", "json", "--at", "2026-12-01T00:00:00Z", "--dns", NAME, "--cert"];
    let ran = podfit(args.iter().map(AsRef::as_ref).chain([cert.as_os_str(), "--key".as_ref(), key.as_os_str()]));
    assert_eq!((ran.code, checks(&ran)), (Some(code), expected.iter().map(ToString::to_string).collect()));
}

/// A TLS server on loopback, until the test ends.
async fn serve(ca: &Authority) -> u16 {
    let now = Timestamp::now();
    let names = ServerNames::of_service("podfit-webhook", "podfit").unwrap().with_ip([127, 0, 0, 1].into());
    let leaf = ca.issue(&names, now, LEAF_LIFE).unwrap();
    let pair = CertifiedPair::load(leaf.certificate.as_bytes(), leaf.key.expose().as_bytes(), now).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::clone(podfit::certs::provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_cert_resolver(Arc::new(ServedPair::new(Arc::new(pair))))));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_presents_is_checked() {
    let [ca, other] = [(); 2].map(|()| Authority::create(Timestamp::now(), CA_LIFE).unwrap());
    let port = serve(&ca).await;
    let run = move |ca: &Authority, more: &[&str]| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(ca.certificate().as_bytes()).unwrap();
        let url = format!("https://127.0.0.1:{port}");
        let fixed = ["certs", "check", "-o", "json", "--url", &url, "--ca", file.path().to_str().unwrap()];
        let ran = podfit(fixed.iter().chain(more).copied());
        assert_eq!(ran.stderr, "");
        (ran.code, checks(&ran))
    };
    tokio::task::spawn_blocking(move || {
        assert_eq!(run(&ca, &[]), (Some(0), vec![]));
        assert_eq!(run(&ca, &["--dns", NAME]), (Some(0), vec![]));
        assert_eq!(run(&ca, &["--dns", "else.where.svc"]), (Some(1), vec!["name-missing".to_owned()]));
        assert_eq!(run(&other, &[]), (Some(1), vec!["unknown-issuer".to_owned()]));
    })
    .await
    .unwrap();
}

#[test]
fn a_server_that_is_not_there_or_speaks_no_tls_is_one_line() {
    let dir = made(&[]);
    let ca = dir.path().join("ca.crt");
    let refused = |port: u16| {
        let url = format!("https://127.0.0.1:{port}");
        podfit(["certs", "check", "--url", &url, "--ca", ca.to_str().unwrap()])
            .refused_with(&["cannot connect to 127.0.0.1:", "speaks TLS there"]);
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    refused(port);
    plain.join().unwrap();
    refused(port);
}
