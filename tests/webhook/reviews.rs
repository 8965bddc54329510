//! What good reviews get, and that every answer belongs to its question.

use rstest::rstest;
use serde_json::json;

use crate::client::post;
use crate::scene::{Scene, Setup, banned, created, patch_of, pod, response, review};

#[tokio::test]
async fn a_pod_is_sized_and_a_bad_habit_is_turned_away() {
    let scene = Scene::start(Setup::default()).await;
    let sized = scene.ask(&post("/mutate?timeout=3s", &created("a-1"))).await.unwrap();
    let answer = response(&sized);
    assert_eq!(
        (&answer["uid"], &answer["allowed"], &answer["patchType"]),
        (&json!("a-1"), &json!(true), &json!("JSONPatch"))
    );
    let ops = patch_of(&sized);
    assert_eq!(ops[0], json!({"op": "replace", "path": "/spec/containers/0/resources/requests/cpu", "value": "500m"}));

    let denied = response(&scene.ask(&post("/validate", &banned("a-2"))).await.unwrap());
    assert_eq!((&denied["uid"], &denied["allowed"]), (&json!("a-2"), &json!(false)));
    assert_eq!(denied["status"]["code"], 403);
    assert!(denied["status"]["message"].as_str().unwrap().contains("latest"), "{denied}");
    assert!(denied.get("patch").is_none());

    scene.counts("admission_reviews_total{entry=\"mutate\",outcome=\"resized\"}", 1).await;
    scene.counts("admission_reviews_total{entry=\"validate\",outcome=\"denied\"}", 1).await;
    scene.counts("findings_total{rule=\"latest-tag\",mode=\"enforce\"}", 1).await;
    scene.counts("admission_duration_seconds_count{entry=\"validate\"}", 1).await;
    scene.counts("admission_in_flight{entry=\"mutate\"}", 0).await;
}

#[rstest]
#[tokio::test]
async fn what_brings_no_pod_is_allowed(
    #[values("DELETE", "CONNECT")] operation: &str,
    #[values("/mutate", "/validate")] path: &str,
) {
    let scene = Scene::start(Setup::default()).await;
    let mut gone = review("b-1", operation, &json!(null));
    gone["request"]["oldObject"] = pod("app:latest");
    let answer = response(&scene.ask(&post(path, gone.to_string().as_bytes())).await.unwrap());
    assert_eq!(answer, json!({"uid": "b-1", "allowed": true}));
}

#[rstest]
#[case::another_kind("widgets", "Widget")]
#[case::no_kind_we_know("secrets", "Secret")]
#[tokio::test]
async fn an_unknown_kind_is_allowed_as_it_is(#[case] resource: &str, #[case] kind: &str) {
    let scene = Scene::start(Setup::default()).await;
    let mut other = review("c-1", "CREATE", &json!({"apiVersion": "v9", "kind": kind, "data": {"token": "hunter2"}}));
    other["request"]["resource"] = json!({"group": "example.com", "version": "v9", "resource": resource});
    for path in ["/mutate", "/validate"] {
        let answer = response(&scene.ask(&post(path, other.to_string().as_bytes())).await.unwrap());
        assert_eq!(answer, json!({"uid": "c-1", "allowed": true}));
    }
}

#[tokio::test]
async fn many_questions_on_one_connection_get_each_its_own_answer() {
    let scene = Scene::start(Setup::default()).await;
    let mut connection = scene.connect().await;
    for index in 0..200 {
        let uid = format!("d-{index}");
        let path = if index % 2 == 0 { "/mutate?timeout=10s" } else { "/validate?timeout=10s" };
        let answer = connection.ask(&post(path, &created(&uid))).await.unwrap();
        assert_eq!(response(&answer)["uid"], uid.as_str());
        assert!(!answer.closes());
    }
    // Three at once, before any answer.
    let three = [created("p-1"), created("p-2"), created("p-3")].map(|body| post("/mutate", &body)).concat();
    connection.send(&three).await;
    for uid in ["p-1", "p-2", "p-3"] {
        assert_eq!(response(&connection.answer().await.unwrap())["uid"], uid);
    }
    scene.counts("connections_accepted_total", 1).await;
}

#[tokio::test]
async fn a_review_for_an_object_that_cannot_be_read_passes_unsized_and_is_denied_where_a_rule_enforces() {
    let scene = Scene::start(Setup::default()).await;
    let odd = review("e-1", "CREATE", &json!({"kind": "Pod", "spec": {"containers": "none"}})).to_string();
    let passed = response(&scene.ask(&post("/mutate", odd.as_bytes())).await.unwrap());
    assert_eq!((&passed["uid"], &passed["allowed"]), (&json!("e-1"), &json!(true)));
    assert!(passed["warnings"][0].as_str().unwrap().contains("not resized"), "{passed}");
    let denied = response(&scene.ask(&post("/validate", odd.as_bytes())).await.unwrap());
    assert_eq!((&denied["uid"], &denied["allowed"]), (&json!("e-1"), &json!(false)), "a rule enforces");
    assert!(denied["status"]["message"].as_str().unwrap().contains("the pod cannot be judged"), "{denied}");
    scene.answers().await;
}
