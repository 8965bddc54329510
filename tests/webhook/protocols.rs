//! TLS versions, client certificates, HTTP/2, certificates that change, and connections above the cap.

use std::time::Duration;

use podfit::server::Limits;
use rstest::rstest;
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};

use crate::client::{Tls, post};
use crate::scene::{Scene, Setup, authority, client_of, created, pair, patch_of, response};

const ONLY_12: &[&rustls::SupportedProtocolVersion] = &[&TLS12];
const ONLY_13: &[&rustls::SupportedProtocolVersion] = &[&TLS13];

#[rstest]
#[case(ONLY_12, ProtocolVersion::TLSv1_2)]
#[case(ONLY_13, ProtocolVersion::TLSv1_3)]
#[tokio::test]
async fn both_versions_of_tls_are_spoken(
    #[case] versions: &'static [&'static rustls::SupportedProtocolVersion],
    #[case] version: ProtocolVersion,
) {
    let scene = Scene::start(Setup::default()).await;
    let tls = Tls { versions: Some(versions), alpn: vec![b"http/1.1".to_vec()], ..scene.tls() };
    let mut connection = tls.connect(scene.address).await.unwrap();
    assert_eq!(connection.tls_version(), version);
    assert_eq!(response(&connection.ask(&post("/mutate", &created("t"))).await.unwrap())["uid"], "t");
}

#[tokio::test]
async fn http_2_gets_the_same_answers() {
    let scene = Scene::start(Setup::default()).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let root = reqwest::Certificate::from_pem(scene.ca.certificate().as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
    let ask = |uid: String| {
        let request = client.post(format!("https://{}/mutate?timeout=5s", scene.address));
        request.header("content-type", "application/json").body(created(&uid)).send()
    };
    let answers = futures::future::join_all((0..20).map(|i| ask(format!("h2-{i}")))).await;
    for (index, answer) in answers.into_iter().enumerate() {
        let answer = answer.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
        let answer: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(answer["response"]["uid"], format!("h2-{index}"));
        assert!(answer["response"]["patch"].is_string());
    }
    let request = client.get(format!("https://{}/mutate", scene.address)).send().await.unwrap();
    assert_eq!(request.status().as_u16(), 405);
    scene.answers().await;
}

#[tokio::test]
async fn with_a_client_ca_only_its_clients_are_served() {
    let clients = authority();
    let setup = Setup { client_ca: Some(clients.certificate().to_owned()), ..Setup::default() };
    let scene = Scene::start(setup).await;

    // In TLS 1.3 a client learns of the refusal with its first read.
    for versions in [ONLY_12, ONLY_13] {
        let nobody = Tls { versions: Some(versions), ..scene.tls() };
        let answer = match nobody.connect(scene.address).await {
            Ok(mut connection) => connection.ask(&post("/mutate", &created("nobody"))).await,
            Err(_) => None,
        };
        assert!(answer.is_none(), "{answer:?}");
    }
    scene.counts("tls_handshake_failures_total{cause=\"refused\"}", 2).await;
    let known = Tls { identity: Some(client_of(&clients)), ..scene.tls() };
    let mut connection = known.connect(scene.address).await.unwrap();
    let answer = connection.ask(&post("/mutate", &created("known"))).await.unwrap();
    assert_eq!(patch_of(&answer)[0]["value"], "500m");
}

#[tokio::test]
async fn a_new_certificate_counts_for_new_connections_twice() {
    let scene = Scene::start(Setup::default()).await;
    let mut open = vec![(scene.connect().await, scene.served.current())];
    for _ in 0..2 {
        scene.served.swap(pair(&scene.ca));
        open.push((scene.connect().await, scene.served.current()));
    }
    for (connection, served) in &mut open {
        assert_eq!(connection.leaf(), served.leaf().der.to_vec());
        assert_eq!(response(&connection.ask(&post("/mutate", &created("on"))).await.unwrap())["uid"], "on");
    }
}

#[tokio::test]
async fn connections_above_the_cap_wait_for_one_to_end() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let scene = Scene::start(Setup { limits, ..Setup::default() }).await;
    let (mut one, _two) = (scene.connect().await, scene.connect().await);
    let tls = scene.tls();
    let mut third = Box::pin(tls.connect(scene.address));
    assert!(futures::poll!(third.as_mut()).is_pending());
    // The server goes on with those that it has.
    assert_eq!(one.ask(&post("/mutate", &created("one"))).await.unwrap().status, 200);
    scene.counts("connections", 2).await;
    assert!(futures::poll!(third.as_mut()).is_pending());
    drop(one);
    let mut third = third.await.unwrap();
    assert_eq!(third.ask(&post("/mutate", &created("third"))).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_connection_that_is_idle_for_long_is_closed_and_one_that_works_is_not() {
    let idle = Duration::from_millis(100);
    let limits = Limits { idle, ..Limits::default() };
    let (decide, begun, go) = crate::scene::held();
    let scene = Scene::start(Setup { limits, decide, ..Setup::default() }).await;
    drop(go);
    let mut connection = scene.connect().await;
    assert_eq!(connection.ask(&post("/mutate", &created("one"))).await.unwrap().status, 200);
    assert_eq!(begun.available_permits(), 1);
    assert!(connection.is_closed().await);
    scene.counts("connections", 0).await;
}
