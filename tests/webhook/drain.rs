//! The end: what has begun is answered, what is idle is closed, nothing new is taken.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::client::post;
use crate::scene::{Scene, Setup, created, held, padded, response};

async fn is_open(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_begun_is_answered_and_then_it_ends() {
    let (decide, begun, go) = held();
    let scene = Scene::start(Setup { decide, ..Setup::default() }).await;
    let mut idle = scene.connect().await;
    let mut busy = scene.connect().await;
    let mut half_sent = scene.connect().await;
    let request = post("/mutate", &created("half"));
    let (first_half, second_half) = request.split_at(request.len() / 2);
    busy.send(&post("/mutate", &padded("busy", 600_000))).await;
    begun.acquire().await.unwrap().forget();
    half_sent.send(first_half).await;
    scene.counts("admission_in_flight{entry=\"mutate\"}", 2).await;

    scene.stop.cancel();
    assert!(idle.is_closed().await);
    assert!(!is_open(scene.address).await);
    assert!(!scene.serving.is_finished());
    drop(go);
    half_sent.send(second_half).await;
    for (connection, uid) in [(&mut busy, "busy"), (&mut half_sent, "half")] {
        let answer = connection.answer().await.unwrap();
        assert_eq!(response(&answer)["uid"], uid);
        assert!(answer.closes(), "{}", answer.head);
        assert!(connection.is_closed().await);
    }
    scene.serving.await.unwrap();
}

#[tokio::test]
async fn while_it_drains_each_answer_sends_its_connection_elsewhere() {
    let scene = Scene::start(Setup::default()).await;
    let mut connection = scene.connect().await;
    assert!(!connection.ask(&post("/mutate", &created("a"))).await.unwrap().closes());
    scene.readiness.drain();
    let answer = connection.ask(&post("/mutate", &created("b"))).await.unwrap();
    assert_eq!(response(&answer)["uid"], "b");
    assert!(answer.closes() && connection.is_closed().await);
    // Who has not heard yet is still served.
    let late = scene.ask(&post("/mutate", &created("c"))).await.unwrap();
    assert_eq!(response(&late)["uid"], "c");
}
