//! What a running podfit exports, and requests that make it count.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::support;
use super::support::webhook::{Serve, certificates, get, write_recommendations};

/// Sends a body to `/mutate` and waits for the answer.
pub fn post(serve: &Serve, dir: &Path, kind: &str, body: &str) {
    let mut roots = rustls::RootCertStore::empty();
    let authorities = podfit::certs::pem::certificates(&std::fs::read(dir.join("ca.crt")).unwrap()).unwrap();
    roots.add_parsable_certificates(authorities);
    let config = rustls::ClientConfig::builder_with_provider(Arc::clone(podfit::certs::provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address: SocketAddr = serve.address.parse().unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), address.ip().into()).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    let head = format!("Host: podfit\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close", body.len());
    write!(stream, "POST /mutate HTTP/1.1\r\n{head}\r\n\r\n{body}").unwrap();
    let mut answer = Vec::new();
    // A connection that ends without a farewell has answered all the same.
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
}

/// What a running podfit exports: names, and the labels of those that have a sample.
pub fn exported() -> BTreeMap<String, Option<BTreeSet<String>>> {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path(), false);
    std::fs::write(dir.path().join("policy.yaml"), "{}\n").unwrap();
    write_recommendations(dir.path(), "etl", &[]);
    let serve = Serve::start(dir.path(), None, &[]);
    // What nothing has happened to is not shown: a pod that cannot be read, and what is no review.
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "1",
        "operation": "CREATE", "namespace": "etl", "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "object": {"metadata": 7}}});
    post(&serve, dir.path(), "application/json", &review.to_string());
    post(&serve, dir.path(), "text/plain", "hello");
    let text = support::cluster::until("the metrics", || get(&serve.metrics_address, "/metrics"));
    let mut found: BTreeMap<String, Option<BTreeSet<String>>> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            let endings: &[&str] = match kind {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                "info" => &["_info"],
                _ => &[""],
            };
            found.extend(endings.iter().map(|ending| (format!("{name}{ending}"), None)));
        } else if !line.starts_with('#') {
            let (name, labels) = line.split_once('{').unwrap_or((line.split(' ').next().unwrap(), "}"));
            let labels = labels.rsplit_once('}').unwrap().0;
            let labels = labels.split("\",").filter_map(|pair| Some(pair.split_once("=\"")?.0.to_owned()));
            found.entry(name.to_owned()).or_default().get_or_insert_default().extend(labels);
        }
    }
    assert!(found.len() > 15, "{text}");
    found
}
