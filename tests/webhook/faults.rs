//! Whatever is sent, the status is right, and the next good review is answered.

use std::time::Duration;

use podfit::server::Limits;
use rstest::rstest;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{post, post_as};
use crate::scene::{Scene, Setup, created, padded, pod, response, review, sent};

const MIB: usize = 1_024 * 1_024;

fn deep(levels: usize) -> Vec<u8> {
    let nest = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let text = review("deep", "CREATE", &pod("a:1")).to_string();
    text.replacen("\"spec\":{", &format!("\"spec\":{{\"odd\":{nest},"), 1).into_bytes()
}

fn of_version(version: &str) -> Vec<u8> {
    let mut review = review("v", "CREATE", &pod("a:1"));
    review["apiVersion"] = json!(version);
    review.to_string().into_bytes()
}

#[rstest]
#[case::garbage(post("/mutate", b"\x00\xff{{{"), 400)]
#[case::empty(post("/validate", b""), 400)]
#[case::no_object(post("/mutate", b"[1,2]"), 400)]
#[case::cut_off(post("/mutate", &created("x")[..200]), 400)]
#[case::no_uid(post("/validate", created("").as_slice()), 400)]
#[case::old_version(post("/mutate", &of_version("admission.k8s.io/v1beta1")), 400)]
#[case::not_json_by_type(post_as("/mutate", "application/yaml", &created("x")), 415)]
#[case::no_type(b"POST /mutate HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}".to_vec(), 415)]
#[case::elsewhere(post("/", &created("x")), 404)]
#[case::metrics_are_on_another_port(b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), 404)]
#[case::get(b"GET /mutate HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), 405)]
#[case::put(b"PUT /validate HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".to_vec(), 405)]
#[case::connect(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n".to_vec(), 404)]
#[case::no_http(b"\x01\x02\x03 nonsense\r\n\r\n".to_vec(), 400)]
#[case::another_http(b"POST /mutate HTTP/3.7\r\nHost: h\r\n\r\n".to_vec(), 400)]
#[case::endless_head(format!("POST /mutate HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(64 * 1_024)).into_bytes(), 431)]
#[case::many_headers(format!("POST /mutate HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(500)).into_bytes(), 431)]
#[case::two_lengths(b"POST /mutate HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}".to_vec(), 400)]
#[tokio::test]
async fn what_is_no_review_gets_its_status(#[case] request: Vec<u8>, #[case] status: u16) {
    let scene = Scene::start(Setup::default()).await;
    let answer = scene.ask(&request).await.expect("an answer");
    assert_eq!(answer.status, status, "{}{}", answer.head, answer.text());
    assert!(answer.body.len() < 300 && !answer.text().contains("registry.example"), "{}", answer.text());
    scene.answers().await;
}

#[rstest]
#[case::within(100, 200)]
#[case::beyond(100_000, 200)]
#[tokio::test]
async fn deep_json_overflows_nothing(#[case] levels: usize, #[case] status: u16) {
    let scene = Scene::start(Setup::default()).await;
    // 127 levels is what the parser takes; deeper, the object is unreadable, and only the mutating entry lets it pass.
    let judged = scene.ask(&post("/validate", &deep(levels))).await.unwrap();
    let passed = scene.ask(&post("/mutate", &deep(levels))).await.unwrap();
    let no_review = levels > 1_000 && judged.status == 400 && passed.status == 400;
    assert!(judged.status == status || no_review, "{} {}", judged.status, judged.text());
    assert!(no_review || levels < 1_000 || response(&judged)["allowed"] == false, "{}", judged.text());
    scene.answers().await;
}

/// Nothing that an API server stores is longer; what comes all the same does not pass.
#[tokio::test]
async fn a_body_up_to_the_cap_is_decided_and_above_it_not_read_on() {
    let (scene, cap) = (Scene::start(Setup::default()).await, Limits::default().body_bytes);
    // Half of it as one value, which takes as much memory; the rest as space.
    let full = [padded("full", cap / 2), vec![b' '; cap - cap / 2]].concat();
    let fits = scene.ask(&post("/mutate", &full)).await.unwrap();
    assert_eq!(response(&fits)["uid"], "full");
    assert!(response(&fits)["patch"].is_string(), "{}", fits.text());
    let review = sent(&review("over", "CREATE", &pod("a:1")));
    let over = [review.as_bytes(), &vec![b' '; cap]].concat();
    let passed = response(&scene.ask(&post("/mutate", &over)).await.unwrap());
    assert_eq!(passed["warnings"], json!(["podfit: not resized: the body is too large"]));
    let failed = response(&scene.ask(&post("/validate", &over)).await.unwrap());
    assert!(failed["status"]["message"].as_str().unwrap().ends_with("the body is too large"), "{failed}");
    scene.counts("http_refused_total{status=\"413\"}", 2).await;
    scene.answers().await;
}

#[rstest]
#[case::announced("Content-Length: 104857600\r\n", false)]
#[case::in_chunks("Transfer-Encoding: chunked\r\n", true)]
#[tokio::test]
async fn a_hundred_mebibytes_are_refused_and_not_kept(#[case] framing: &str, #[case] chunked: bool) {
    let scene = Scene::start(Setup::default()).await;
    let mut connection = scene.connect().await;
    let head = format!("POST /mutate HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n{framing}\r\n");
    connection.send(head.as_bytes()).await;
    let piece = vec![b' '; MIB];
    for _ in 0..100 {
        let sent = if chunked {
            connection.send(&[b"100000\r\n".as_slice(), &piece, b"\r\n"].concat()).await
        } else {
            connection.send(&piece).await
        };
        if !sent {
            break;
        }
    }
    let answer = connection.answer().await.expect("the answer comes before the connection ends");
    assert_eq!(answer.status, 413);
    scene.answers().await;
}

#[tokio::test]
async fn chunked_bodies_are_read_like_others() {
    let scene = Scene::start(Setup::default()).await;
    let mut connection = scene.connect().await;
    connection
        .send(
            b"POST /mutate HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .await;
    for piece in created("chunked").chunks(100) {
        let head = format!("{:x}\r\n", piece.len());
        connection.send(&[head.as_bytes(), piece, b"\r\n"].concat()).await;
    }
    let answer = connection.ask(b"0\r\n\r\n").await.unwrap();
    assert_eq!(response(&answer)["uid"], "chunked");
    assert_eq!(response(&connection.ask(&post("/mutate", &created("next"))).await.unwrap())["uid"], "next");
}

fn impatient() -> Setup {
    let short = Duration::from_millis(100);
    Setup { limits: Limits { handshake: short, header: short, body: short, ..Limits::default() }, ..Setup::default() }
}

#[tokio::test]
async fn slow_headers_end_the_connection() {
    let scene = Scene::start(impatient()).await;
    let mut silent = scene.connect().await;
    let mut slow = scene.connect().await;
    slow.send(b"POST /mutate HTTP/1.1\r\nHost:").await;
    let mut second = scene.connect().await;
    assert_eq!(second.ask(&post("/mutate", &created("first"))).await.unwrap().status, 200);
    second.send(b"POST /mutate HTT").await;
    for connection in [&mut silent, &mut slow, &mut second] {
        assert!(connection.is_closed().await);
    }
    scene.answers().await;
}

#[tokio::test]
async fn a_slow_body_ends_the_connection() {
    let scene = Scene::start(impatient()).await;
    let mut slow = scene.connect().await;
    let head = "POST /mutate HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    slow.send(head.as_bytes()).await;
    let answer = slow.answer().await.unwrap();
    assert_eq!((answer.status, answer.closes()), (408, true), "{}", answer.text());
    assert!(slow.is_closed().await);
    scene.counts("http_refused_total{status=\"408\"}", 1).await;
    scene.answers().await;
}

#[tokio::test]
async fn the_api_servers_patience_bounds_the_body_too() {
    let scene = Scene::start(Setup::default()).await;
    let mut slow = scene.connect().await;
    let request = post("/mutate?timeout=1s", b"{    ");
    slow.send(&request[..request.len() - 1]).await;
    assert_eq!(slow.answer().await.unwrap().status, 408);
    // What has come says who asks for what.
    let mut review = review("slow", "CREATE", &pod("a:1")).to_string().into_bytes();
    review.extend([b' '; 10]);
    let request = post("/validate?timeout=1s", &review);
    let mut slow = scene.connect().await;
    slow.send(&request[..request.len() - 10]).await;
    let failed = response(&slow.answer().await.unwrap());
    assert!(failed["status"]["message"].as_str().unwrap().ends_with("the body did not arrive in time"), "{failed}");
}

#[tokio::test]
async fn a_silent_handshake_ends_the_connection() {
    let scene = Scene::start(impatient()).await;
    let mut silent = TcpStream::connect(scene.address).await.unwrap();
    assert_eq!(silent.read(&mut [0; 8]).await.unwrap_or(0), 0);
    scene.counts("tls_handshake_failures_total{cause=\"timeout\"}", 1).await;
    scene.answers().await;
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_so() {
    let scene = Scene::start(Setup::default()).await;
    let mut plain = TcpStream::connect(scene.address).await.unwrap();
    plain.write_all(&post("/mutate", &created("plain"))).await.unwrap();
    plain.shutdown().await.unwrap();
    let mut said = String::new();
    plain.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 400 ") && said.ends_with("\r\n\r\npodfit: this port speaks https.\n"), "{said}");
    scene.counts("tls_handshake_failures_total{cause=\"refused\"}", 1).await;
    scene.answers().await;
}

#[tokio::test]
async fn clients_that_vanish_leave_nothing_behind() {
    let scene = Scene::start(Setup::default()).await;
    let request = post("/mutate", &padded("gone", MIB));
    for cut in [1, 60, 200, 5_000, 100_000, request.len() - 1] {
        let mut connection = scene.connect().await;
        connection.send(&request[..cut]).await;
    }
    drop(TcpStream::connect(scene.address).await.unwrap());
    scene.answers().await;
    scene.counts("connections", 0).await;
    scene.counts("admission_in_flight{entry=\"mutate\"}", 0).await;
}
