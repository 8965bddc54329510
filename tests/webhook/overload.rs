//! More than can be taken on: what is shed is answered at once, in the way that does least harm.

use std::sync::Arc;

use podfit::admission::{Entry, answer};
use podfit::server::{Decide, Limits};
use rstest::rstest;
use serde_json::json;

use crate::client::post;
use crate::scene::{Scene, Setup, banned, created, held, padded, response};

/// A scene in which one review is being decided and there is no place for a second.
async fn full(limits: Limits) -> (Scene, tokio::task::JoinHandle<()>, std::sync::mpsc::Sender<()>) {
    let (decide, begun, go) = held();
    let scene = Scene::start(Setup { limits, decide, ..Setup::default() }).await;
    let mut first = scene.connect().await;
    let waiting = tokio::spawn(async move {
        let answer = first.ask(&post("/mutate", &padded("first", 600_000))).await.unwrap();
        assert!(response(&answer)["patch"].is_string(), "what was taken on is done");
    });
    begun.acquire().await.unwrap().forget();
    (scene, waiting, go)
}

#[rstest]
#[case::places(Limits { in_flight: 1, ..Limits::default() }, 2_000, "in-flight")]
#[case::large(Limits { large_in_flight: 1, ..Limits::default() }, 600_000, "large")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutate_lets_pass_and_validate_leaves_it_to_failure_policy(
    #[case] limits: Limits,
    #[case] bytes: usize,
    #[case] cause: &str,
) {
    let (scene, waiting, go) = full(limits).await;
    let mut connection = scene.connect().await;
    let passed = response(&connection.ask(&post("/mutate", &padded("m", bytes))).await.unwrap());
    assert_eq!((&passed["uid"], &passed["allowed"]), (&json!("m"), &json!(true)));
    assert!(passed.get("patch").is_none());
    assert_eq!(passed["warnings"], json!(["podfit: not resized: too many reviews at once"]));
    let failed = connection.ask(&post("/validate", &padded("v", bytes))).await.unwrap();
    assert_eq!((failed.status, failed.text().as_str()), (503, "podfit: too many reviews at once\n"));
    assert!(!failed.closes(), "a new handshake would cost more than the review");
    let garbage = connection.ask(&post("/mutate", &vec![b'x'; bytes])).await.unwrap();
    assert_eq!(garbage.status, 400);
    for (entry, n) in [("mutate", 2), ("validate", 1)] {
        scene.counts(&format!("admission_shed_total{{entry=\"{entry}\",cause=\"{cause}\"}}"), n).await;
        scene.counts(&format!("admission_reviews_total{{entry=\"{entry}\",outcome=\"shed\"}}"), n).await;
    }
    drop(go);
    waiting.await.unwrap();
    scene.answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_for_which_there_is_no_room_are_refused() {
    let limits = Limits { buffered_bytes: 700_000, ..Limits::default() };
    let (scene, waiting, go) = full(limits).await;
    let refused = scene.ask(&post("/mutate", &padded("m", 300_000))).await.unwrap();
    assert_eq!(refused.status, 503, "without its uid it cannot pass");
    scene.counts("admission_shed_total{entry=\"mutate\",cause=\"room\"}", 1).await;
    drop(go);
    waiting.await.unwrap();
    scene.answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_longer_than_the_api_server_waits_is_not_waited_for() {
    let (decide, begun, go) = held();
    let scene = Scene::start(Setup { decide, ..Setup::default() }).await;
    let passed = scene.ask(&post("/mutate?timeout=1s", &padded("m", 600_000))).await.unwrap();
    assert_eq!(response(&passed)["warnings"], json!(["podfit: not resized: not decided in time"]));
    let failed = scene.ask(&post("/validate?timeout=1s", &padded("v", 600_000))).await.unwrap();
    assert_eq!((failed.status, failed.text().as_str()), (503, "podfit: not decided in time\n"));
    assert_eq!(begun.available_permits(), 2);
    // Both still run, and hold their places until they end.
    let shed = scene.ask(&post("/validate", &padded("w", 600_000))).await.unwrap();
    assert_eq!(shed.status, 503);
    drop(go);
    scene.answers().await;
}

fn panicking() -> Decide {
    Arc::new(|entry: Entry, body: &[u8], known: &_| {
        assert!(!body.windows(4).any(|w| w == b"BOOM"), "hunter2");
        answer(entry, body, known)
    })
}

#[rstest]
#[case::here(0)]
#[case::on_a_thread_of_its_own(600_000)]
#[tokio::test]
async fn a_panic_costs_one_review(#[case] bytes: usize) {
    let scene = Scene::start(Setup { decide: panicking(), ..Setup::default() }).await;
    let mut connection = scene.connect().await;
    let passed = response(&connection.ask(&post("/mutate", &padded("BOOM", bytes))).await.unwrap());
    assert_eq!((&passed["uid"], &passed["allowed"]), (&json!("BOOM"), &json!(true)));
    assert_eq!(passed["warnings"], json!(["podfit: not resized: a fault of podfit itself"]));
    let failed = connection.ask(&post("/validate", &padded("BOOM", bytes))).await.unwrap();
    assert_eq!((failed.status, failed.text().as_str()), (500, "podfit: a fault of podfit itself\n"));
    for entry in ["mutate", "validate"] {
        scene.counts(&format!("admission_reviews_total{{entry=\"{entry}\",outcome=\"panicked\"}}"), 1).await;
    }
    assert_eq!(response(&connection.ask(&post("/validate", &banned("b"))).await.unwrap())["allowed"], false);
    assert_eq!(response(&connection.ask(&post("/mutate", &created("c"))).await.unwrap())["uid"], "c");
}
