//! TLS versions, client certificates, certificates that change, and connections above the cap.

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

#[rstest]
#[case::of_all(Limits { connections: 2, ..Limits::default() })]
#[case::of_one_address(Limits { connections_per_peer: 2, ..Limits::default() })]
#[tokio::test]
async fn above_the_cap_the_connection_that_has_waited_longest_gives_way(#[case] limits: Limits) {
    let scene = Scene::start(Setup { limits, ..Setup::default() }).await;
    let (mut one, mut two) = (scene.connect().await, scene.connect().await);
    assert_eq!(one.ask(&post("/mutate", &created("one"))).await.unwrap().status, 200);
    let mut third = scene.connect().await;
    assert!(two.is_closed().await, "it has not asked for anything");
    for connection in [&mut one, &mut third] {
        assert_eq!(connection.ask(&post("/mutate", &created("on"))).await.unwrap().status, 200);
    }
    scene.counts("connections_displaced_total", 1).await;
    scene.counts("connections", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_works_gives_way_to_nobody() {
    let (decide, begun, go) = crate::scene::held();
    let limits = Limits { connections: 1, large_bytes: 0, ..Limits::default() };
    let scene = Scene::start(Setup { limits, decide, ..Setup::default() }).await;
    let mut one = scene.connect().await;
    one.send(&post("/mutate", &created("one"))).await;
    begun.acquire().await.unwrap().forget();
    let tls = scene.tls();
    let mut second = Box::pin(tls.connect(scene.address));
    assert!(futures::poll!(second.as_mut()).is_pending());
    drop(go);
    assert_eq!(one.answer().await.unwrap().status, 200);
    assert_eq!(second.await.unwrap().ask(&post("/mutate", &created("two"))).await.unwrap().status, 200);
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
