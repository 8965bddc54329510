//! Remote-read answers that are damaged, of a later version, or hostile.

use axum::response::{IntoResponse, Response};
use podfit::prometheus::{Client, Config, Mode};
use rstest::rstest;

use crate::faults::{Fault, STREAMED, message, run, status};
use crate::written;

const SAMPLES: &[u8] = include_bytes!("samples-2.42.bin");

/// A streamed answer.
pub(crate) fn streamed(body: Vec<u8>) -> Response {
    ([("content-type", "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse")], body).into_response()
}

async fn remote(answer: impl Fn(usize) -> Response + Send + Sync + 'static) -> Fault {
    Fault::start(move |hit, before| match hit.path.as_str() {
        path if path.contains("/read") && before == 0 => streamed(vec![]),
        path if path.contains("/read") => answer(before - 1),
        _ => status(200, r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#),
    })
    .await
}

#[rstest]
#[case::damaged(flipped(), "is damaged (CRC-32C ", "use the query API instead")]
#[case::oversized(vec![0xff, 0xff, 0xff, 0x7f, 1, 2, 3], "frame 1 says that it is 268435455 bytes long", "use the query API")]
#[case::no_length(vec![0xff; 12], "frame 1 has no length", "use the query API")]
#[case::cut(STREAMED[..STREAMED.len() - 1].to_vec(), "the last frame is not whole", "run again")]
#[case::not_a_message(frame(&[0x0f]), "cannot decode the remote-read answer", "use the query API")]
#[case::bad_chunk(frame(&chunk_of("x", 1, &[0, 9, 1])), "a chunk is damaged", "use the query API")]
#[tokio::test]
async fn broken_streams_have_their_words(#[case] body: Vec<u8>, #[case] what: &str, #[case] remedy: &str) {
    let server = remote(move |_| streamed(body.clone())).await;
    let text = message(&Client::new(&Config { retries: 0, ..server.config(Mode::RemoteRead) }).unwrap()).await;
    assert!(text.contains(what) && text.contains(remedy), "{text}");
}

#[tokio::test]
async fn chunks_of_the_future_are_decoded_by_the_server() {
    let server = remote(|before| match before {
        0 => {
            // Some series whole, then one that cannot be read: nothing may come twice and nothing may be missing.
            let mut body = STREAMED[..whole_frames(3)].to_vec();
            body.extend(frame(&chunk_of("one", 77, &[1, 2, 3])));
            streamed(body)
        }
        _ => ([("content-type", "application/x-protobuf")], SAMPLES).into_response(),
    })
    .await;
    let client = server.client(Mode::RemoteRead);
    assert_eq!(run(&client).await.0, written());
    // From then on it is asked for samples at once.
    assert_eq!(run(&client).await.0, written());
    assert_eq!(server.hits().iter().filter(|h| h.path.contains("/read")).count(), 4);
}

#[tokio::test]
async fn a_server_may_answer_with_samples_though_asked_for_a_stream() {
    let server = remote(|_| ([("content-type", "application/x-protobuf")], SAMPLES).into_response()).await;
    assert_eq!(run(&server.client(Mode::Auto)).await.0, written());
}

#[tokio::test]
async fn a_snappy_bomb_is_refused() {
    let server = remote(|_| {
        ([("content-type", "application/x-protobuf")], vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0]).into_response()
    })
    .await;
    let text = message(&server.client(Mode::RemoteRead)).await;
    assert!(text.contains("unpacks to 4294967295 bytes"), "{text}");
}

/// The fixture with one bit changed inside its first frame.
fn flipped() -> Vec<u8> {
    let mut bytes = STREAMED.to_vec();
    bytes[40] ^= 0x10;
    bytes
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut out = varint(message.len() as u64);
    out.extend(crc32c::crc32c(message).to_be_bytes());
    out.extend(message);
    out
}

fn varint(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_varint(value, &mut out);
    out
}

/// The length of the first frames of the fixture.
fn whole_frames(count: usize) -> usize {
    let mut at = 0;
    for _ in 0..count {
        let mut rest = &STREAMED[at..];
        let before = rest.len();
        let length = prost::encoding::decode_varint(&mut rest).unwrap() as usize;
        at += before - rest.len() + 4 + length;
    }
    at
}

/// A message with one series of one chunk.
fn chunk_of(case: &str, encoding: u64, data: &[u8]) -> Vec<u8> {
    let bytes =
        |tag: u64, content: &[u8]| [varint(tag << 3 | 2), varint(content.len() as u64), content.to_vec()].concat();
    let number = |tag: u64, value: u64| [varint(tag << 3), varint(value)].concat();
    let label = |name: &str, value: &str| bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value.as_bytes())].concat());
    let chunk =
        [number(1, 1_700_000_000_000), number(2, 1_700_000_100_000), number(3, encoding), bytes(4, data)].concat();
    bytes(1, &[label("__name__", "wire"), label("case", case), bytes(2, &chunk)].concat())
}
