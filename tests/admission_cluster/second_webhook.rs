//! Another mutating webhook beside ours, a small one of this test: what it adds is sized and judged too.

use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use base64::Engine;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};

use super::support::cluster::{cluster, until};
use super::support::webhook::{Setup, Webhook};
use super::{nightly_pod, refused, sizes};

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// Serves one JSON patch for every pod that has not the container `proxy` yet, and is registered after ours.
struct Second {
    name: String,
    cluster: &'static super::support::cluster::Cluster,
    _runtime: tokio::runtime::Runtime,
}

impl Second {
    fn start(webhook: &Webhook, patch: Value) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let address = runtime.block_on(serve(webhook.dir(), patch));
        let cluster = webhook.namespace.cluster;
        // Called in the order of the configurations' names.
        let second = Self { name: format!("zz-{}", webhook.namespace.name), cluster, _runtime: runtime };
        let mut client_config = webhook.client_config("");
        client_config["url"] = json!(format!("https://{address}/"));
        let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": second.name}, "webhooks": [{
                "name": "second.test.example", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "timeoutSeconds": 5, "failurePolicy": "Fail", "reinvocationPolicy": "Never",
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": webhook.namespace.name}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
                "clientConfig": client_config}]});
        cluster.create(CONFIGURATIONS, &object);
        until("the second webhook is asked", || {
            let probe = super::plain_pod("probe");
            match webhook.namespace.try_create("/api/v1", "pods", &probe) {
                Ok(pod) => (pod["spec"]["containers"].as_array().unwrap().len() == 2).then_some(()),
                // What it adds is turned away: it was asked.
                Err(_) => Some(()),
            }
        });
        second
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.cluster.request("DELETE", &format!("{CONFIGURATIONS}/{}", self.name), None);
    }
}

async fn serve(dir: &Path, patch: Value) -> SocketAddr {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_reader_iter(BufReader::new(std::fs::File::open(dir.join("tls.crt")).unwrap()))
            .map(Result::unwrap)
            .collect();
    let key = PrivateKeyDer::from_pem_file(dir.join("tls.key")).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move |Json(review): Json<Value>| {
        let has_it = review["request"]["object"]["spec"]["containers"]
            .as_array()
            .is_some_and(|c| c.iter().any(|c| c["name"] == "proxy"));
        let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
        if !has_it {
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(base64::engine::general_purpose::STANDARD.encode(patch.to_string()));
        }
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
        async move { Json(review) }
    };
    let router = axum::Router::new().route("/", axum::routing::post(answer));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = hyper_util::service::TowerToHyperService::new(router);
                let io = hyper_util::rt::TokioIo::new(stream);
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            });
        }
    });
    address
}

fn proxy(image: &str) -> Value {
    json!([{"op": "add", "path": "/spec/containers/-", "value": {"name": "proxy", "image": image,
        "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {"runAsUser": 1000}}}])
}

#[test]
fn what_a_later_webhook_adds_is_sized_in_a_second_turn_and_the_first_record_is_kept() {
    let Some(cluster) = cluster("what_a_later_webhook_adds_is_sized_in_a_second_turn_and_the_first_record_is_kept")
    else {
        return;
    };
    let size = |memory: &str| json!({"memoryRequest": memory, "memoryLimit": memory});
    let setup = Setup {
        recommended: vec![("cronjob/nightly", "main", size("1536Mi")), ("cronjob/nightly", "proxy", size("96Mi"))],
        ..Setup::default()
    };
    let webhook = Webhook::start(cluster, "again", &setup);
    let _second = Second::start(&webhook, proxy("reg.example/proxy:1"));
    let asked = json!({"requests": {"memory": "4Gi"}, "limits": {"memory": "4Gi"}});
    let pod = webhook.create(&nightly_pod(&asked)).unwrap();
    assert_eq!(sizes(&pod, "main")["limits"]["memory"], "1536Mi");
    assert_eq!(sizes(&pod, "proxy")["limits"]["memory"], "96Mi");
    let record: Value =
        serde_json::from_str(pod["metadata"]["annotations"]["podfit.dev/resized"].as_str().unwrap()).unwrap();
    assert_eq!(record["containers"]["main"]["from"]["memoryLimit"], "4Gi");
    assert_eq!(record["containers"]["proxy"]["from"]["memoryLimit"], "1Gi");
}

#[test]
fn hole_12_what_a_later_webhook_adds_is_judged() {
    let Some(cluster) = cluster("hole_12_what_a_later_webhook_adds_is_judged") else { return };
    let webhook = Webhook::start(cluster, "later", &Setup::default());
    let _second = Second::start(&webhook, proxy("reg.example/proxy:latest"));
    let said = refused(webhook.create(&super::plain_pod("a")));
    assert!(said.contains("latest-tag") && said.contains("proxy"), "{said}");
}
