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

/// What `/validate` says of a pod that it could not judge: a rule enforces here.
fn turned_away(response: &serde_json::Value, why: &str) -> bool {
    let said = response["status"]["message"].as_str().unwrap_or_default();
    let rules = "podfit: the pod cannot be judged, and latest-tag, run-as-root hold in this namespace: ";
    response["allowed"] == false && said == format!("{rules}{why}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_place_mutate_lets_pass_and_validate_turns_away() {
    let (scene, waiting, go) = full(Limits { in_flight: 1, ..Limits::default() }).await;
    let mut connection = scene.connect().await;
    let passed = response(&connection.ask(&post("/mutate", &padded("m", 2_000))).await.unwrap());
    assert_eq!((&passed["uid"], &passed["allowed"]), (&json!("m"), &json!(true)));
    assert!(passed.get("patch").is_none());
    assert_eq!(passed["warnings"], json!(["podfit: not resized: too many reviews at once"]));
    let failed = connection.ask(&post("/validate", &padded("v", 2_000))).await.unwrap();
    assert!(turned_away(&response(&failed), "too many reviews at once"), "{}", failed.text());
    assert!(!failed.closes(), "a new handshake would cost more than the review");
    let garbage = connection.ask(&post("/mutate", &vec![b'x'; 2_000])).await.unwrap();
    assert_eq!(garbage.status, 503, "there is nobody to answer to");
    for (entry, n) in [("mutate", 2), ("validate", 1)] {
        scene.counts(&format!("admission_shed_total{{entry=\"{entry}\",cause=\"in-flight\"}}"), n).await;
        scene.counts(&format!("admission_reviews_total{{entry=\"{entry}\",outcome=\"shed\"}}"), n).await;
    }
    drop(go);
    waiting.await.unwrap();
    scene.answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come_takes_no_place() {
    let scene = Scene::start(Setup { limits: Limits { in_flight: 1, ..Limits::default() }, ..Setup::default() }).await;
    let mut half = scene.connect().await;
    let request = post("/validate", &padded("half", 2_000));
    half.send(&request[..1_000]).await;
    scene.counts("admission_in_flight{entry=\"validate\"}", 1).await;
    scene.answers().await;
    half.send(&request[1_000..]).await;
    assert_eq!(response(&half.answer().await.unwrap())["uid"], "half");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_reviews_wait_for_their_turn() {
    let (scene, waiting, go) = full(Limits { large_in_flight: 1, ..Limits::default() }).await;
    let mut connection = scene.connect().await;
    connection.send(&post("/validate?timeout=30s", &padded("second", 600_000))).await;
    scene.is_alive().await;
    drop(go);
    waiting.await.unwrap();
    assert_eq!(response(&connection.answer().await.unwrap())["allowed"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_for_which_there_is_no_room_are_not_read_on() {
    let limits = Limits { buffered_bytes: 700_000, ..Limits::default() };
    let (scene, waiting, go) = full(limits).await;
    // As an API server writes it: the uid first.
    let head = "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{\"uid\":\"m\",\
        \"resource\":{\"group\":\"\",\"version\":\"v1\",\"resource\":\"pods\"},\"namespace\":\"jobs\",\
        \"operation\":\"CREATE\",\"userInfo\":{\"username\":\"u\"},\"object\":{\"a\":\"";
    let body = [head.as_bytes(), &vec![b'x'; 300_000]].concat();
    let passed = response(&scene.ask(&post("/mutate", &body)).await.unwrap());
    assert_eq!((&passed["uid"], &passed["allowed"]), (&json!("m"), &json!(true)));
    let failed = response(&scene.ask(&post("/validate", &body)).await.unwrap());
    assert!(turned_away(&failed, "too many reviews at once"), "{failed}");
    let refused = scene.ask(&post("/validate", &vec![b' '; 300_000])).await.unwrap();
    assert_eq!(refused.status, 503, "without its uid there is no answer");
    scene.counts("admission_shed_total{entry=\"validate\",cause=\"room\"}", 2).await;
    // A pod of a usual size needs no room.
    scene.is_alive().await;
    drop(go);
    waiting.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_longer_than_the_api_server_waits_is_not_waited_for() {
    let (decide, begun, go) = held();
    let scene = Scene::start(Setup { decide, ..Setup::default() }).await;
    let passed = scene.ask(&post("/mutate?timeout=1s", &padded("m", 600_000))).await.unwrap();
    assert_eq!(response(&passed)["warnings"], json!(["podfit: not resized: not decided in time"]));
    let failed = scene.ask(&post("/validate?timeout=1s", &padded("v", 600_000))).await.unwrap();
    assert!(turned_away(&response(&failed), "not decided in time"), "{}", failed.text());
    assert_eq!(begun.available_permits(), 2);
    // Both still run, and hold their places until they end.
    let late = scene.ask(&post("/validate?timeout=1s", &padded("w", 600_000))).await.unwrap();
    assert!(turned_away(&response(&late), "not decided in time"), "{}", late.text());
    scene.counts("admission_shed_total{entry=\"validate\",cause=\"large\"}", 1).await;
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
    assert!(turned_away(&response(&failed), "a fault of podfit itself"), "its author may have meant it");
    for entry in ["mutate", "validate"] {
        scene.counts(&format!("admission_reviews_total{{entry=\"{entry}\",outcome=\"panicked\"}}"), 1).await;
    }
    assert_eq!(response(&connection.ask(&post("/validate", &banned("b"))).await.unwrap())["allowed"], false);
    assert_eq!(response(&connection.ask(&post("/mutate", &created("c"))).await.unwrap())["uid"], "c");
}
