//! A webhook in this process, with a CA of its own, and the reviews that it is asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use jiff::Timestamp;
use podfit::admission::{Entry, LoadedRecommendations, Reply, SharedState, Snapshot, answer};
use podfit::certs::authority::{Authority, CA_LIFE, LEAF_LIFE};
use podfit::certs::names::ServerNames;
use podfit::certs::pair::CertifiedPair;
use podfit::certs::resolver::ServedPair;
use podfit::server::tls::{clients_of, server_config};
use podfit::server::{Decide, Limits, Listener, Metrics, Readiness, Reviewer, router};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, Connection, Tls, post};

/// What anything may take; it takes this long only when it never comes.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A CA, made once per call.
pub fn authority() -> Authority {
    Authority::create(Timestamp::now(), CA_LIFE).unwrap()
}

/// PEM of a certificate and its key, for loopback.
pub fn issue(ca: &Authority) -> (String, String) {
    let names = ServerNames::of_service("podfit-webhook", "podfit").unwrap().with_ip([127, 0, 0, 1].into());
    let pair = ca.issue(&names, Timestamp::now(), LEAF_LIFE).unwrap();
    (pair.certificate, pair.key.expose().to_owned())
}

/// A client that this CA has signed, as certificates and key.
pub fn client_of(ca: &Authority) -> (Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let signer = KeyPair::from_pem(ca.key().expose()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(ca.certificate(), signer).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    (vec![certificate.der().clone()], Arc::new(key.serialize_der().try_into().unwrap()))
}

pub fn pair(ca: &Authority) -> Arc<CertifiedPair> {
    let (certificate, key) = issue(ca);
    Arc::new(CertifiedPair::load(certificate.as_bytes(), key.as_bytes(), Timestamp::now()).unwrap())
}

/// A webhook that serves.
pub struct Scene {
    pub address: SocketAddr,
    pub ca: Authority,
    pub metrics: Arc<Metrics>,
    pub readiness: Arc<Readiness>,
    pub served: Arc<ServedPair>,
    pub stop: CancellationToken,
    pub serving: JoinHandle<()>,
}

/// How it differs from any other.
pub struct Setup {
    pub limits: Limits,
    pub decide: Decide,
    pub client_ca: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { limits: Limits::default(), decide: Arc::new(answer), client_ca: None }
    }
}

impl Scene {
    pub async fn start(setup: Setup) -> Self {
        let (ca, limits) = (authority(), Arc::new(setup.limits));
        let shared = Arc::new(SharedState::new(snapshot()));
        let (metrics, readiness) = (Arc::new(Metrics::new()), Arc::new(Readiness::default()));
        let served = Arc::new(ServedPair::new(pair(&ca)));
        let reviewer = Reviewer::new(shared, Arc::clone(&metrics), Arc::clone(&limits));
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let resolver = Arc::clone(&served);
        let listener = Listener {
            socket,
            tls: Some(
                server_config(resolver, setup.client_ca.map(|pem| clients_of(pem.as_bytes()).unwrap())).unwrap().into(),
            ),
            router: router(Arc::new(reviewer.deciding(setup.decide)), Arc::clone(&readiness)),
            limits,
            metrics: Some(Arc::clone(&metrics)),
        };
        let stop = CancellationToken::new();
        let serving = tokio::spawn(listener.serve(stop.clone()));
        Self { address, ca, metrics, readiness, served, stop, serving }
    }

    pub fn tls(&self) -> Tls {
        Tls { roots: vec![self.ca.der()], ..Tls::default() }
    }

    pub async fn connect(&self) -> Connection {
        self.tls().connect(self.address).await.unwrap()
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, bytes: &[u8]) -> Option<Answer> {
        self.connect().await.ask(bytes).await
    }

    /// A good review gets a good answer, from both endpoints.
    #[track_caller]
    pub fn answers(&self) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        async move {
            let mut connection = self.connect().await;
            let sized = connection.ask(&post("/mutate?timeout=10s", &created("still-there"))).await.unwrap();
            assert_eq!(sized.status, 200, "{at}: {}", sized.text());
            assert_eq!(patch_of(&sized)[0]["value"], "500m", "{at}: {}", sized.text());
            let judged = connection.ask(&post("/validate?timeout=10s", &created("still-there"))).await.unwrap();
            assert_eq!(response(&judged)["uid"], "still-there", "{at}");
        }
    }

    /// The same where a test holds decisions back: none is asked for, only that a body was read and turned down as
    /// none.
    pub async fn is_alive(&self) {
        let answer = self.ask(&post("/elsewhere", b"{}")).await.unwrap();
        assert_eq!(answer.status, 404);
    }

    /// A line of the metrics has this value, now or soon: a client sees its answer before the server has counted it.
    #[track_caller]
    pub fn counts(&self, line: &str, value: u64) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        let (line, metrics) = (format!("podfit_{line} {value}"), Arc::clone(&self.metrics));
        async move {
            let there = async {
                while !metrics.text().lines().any(|l| l == line) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let seen = tokio::time::timeout(DEADLINE, there).await;
            assert!(seen.is_ok(), "{at}: {line}\n{}", metrics.text());
        }
    }
}

/// The recommendations that tests know of: one cronjob.
pub fn recommendations(cpu: &str) -> Value {
    json!({"workloads": [{"namespace": "jobs", "workload": "cronjob/nightly", "container": "main",
        "recommended": {"cpuRequest": cpu, "memoryRequest": "1Gi", "memoryLimit": "1Gi"}}]})
}

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    let text = recommendations("500m").to_string();
    LoadedRecommendations::read(text.as_bytes()).unwrap().replace_in(&mut snapshot);
    snapshot
}

/// A pod of that cronjob.
pub fn pod(image: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "nightly-29399880-", "labels": {"job-name": "nightly-29399880"},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "nightly-29399880",
                "uid": "u", "controller": true}]},
        "spec": {"containers": [{"name": "main", "image": image, "securityContext": {"runAsNonRoot": true},
            "resources": {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "4Gi"}}}]}})
}

/// A review of it.
pub fn review(uid: &str, operation: &str, object: &Value) -> Value {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": uid,
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "jobs", "operation": operation,
        "userInfo": {"username": "system:serviceaccount:kube-system:job-controller"}, "object": object,
        "oldObject": null, "dryRun": false}})
}

/// As an API server writes it: the fields of a request in its own order, those that say who asks for what before the
/// object.
pub fn sent(review: &Value) -> String {
    const FIRST: [&str; 8] = ["uid", "kind", "resource", "subResource", "name", "namespace", "operation", "userInfo"];
    let mut rest = review["request"].as_object().unwrap().clone();
    let first = FIRST.iter().filter_map(|key| Some(format!("\"{key}\":{}", rest.remove(*key)?)));
    let first = first.collect::<Vec<_>>().join(",");
    let rest = Value::Object(rest).to_string();
    let head = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"#;
    format!("{head}{first},{}}}", &rest[1..])
}

/// A review of a new pod that only `/mutate` has something to say to.
pub fn created(uid: &str) -> Vec<u8> {
    sent(&review(uid, "CREATE", &pod("registry.example/report:7"))).into_bytes()
}

/// A review of a new pod that breaks a rule.
pub fn banned(uid: &str) -> Vec<u8> {
    sent(&review(uid, "CREATE", &pod("registry.example/report:latest"))).into_bytes()
}

/// A good review, padded to a length in bytes.
pub fn padded(uid: &str, bytes: usize) -> Vec<u8> {
    let mut object = pod("registry.example/report:7");
    let so_far = sent(&review(uid, "CREATE", &object)).len();
    object["metadata"]["annotations"] = json!({"pad": "x".repeat(bytes.saturating_sub(so_far + 25))});
    let mut text = sent(&review(uid, "CREATE", &object)).into_bytes();
    text.resize(bytes.max(text.len()), b' ');
    text
}

#[track_caller]
pub fn response(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.head.contains("\r\ncontent-type: application/json\r\n"), "{}", answer.head);
    let whole: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&whole["apiVersion"], &whole["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
    whole["response"].clone()
}

#[track_caller]
pub fn patch_of(answer: &Answer) -> Value {
    let response = response(answer);
    let patch = response["patch"].as_str().unwrap_or_else(|| panic!("no patch: {response}"));
    serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(patch).unwrap()).unwrap()
}

/// A decision that waits to be let go, and tells when it began.
pub fn held() -> (Decide, Arc<tokio::sync::Semaphore>, std::sync::mpsc::Sender<()>) {
    let begun = Arc::new(tokio::sync::Semaphore::new(0));
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (wait, tell) = (std::sync::Mutex::new(wait), Arc::clone(&begun));
    let decide = move |entry: Entry, body: &[u8], known: &Snapshot| -> Reply {
        tell.add_permits(1);
        // One decision is let go with each message; all of them when nobody is left to send any.
        let _ = wait.lock().unwrap().recv();
        answer(entry, body, known)
    };
    (Arc::new(decide), begun, go)
}
