//! The wire's decoders on bytes alone, no server and no connection: the way in for tests that make bytes up.
//! Must decode nothing itself; not a part of the interface, and free to change.

use bytes::Bytes;
use prost::Message;

use super::chunk::{self, Decoded};
use super::frame::Frames;
use super::json::Parser;
use super::messages::ChunkedReadResponse;
use super::oauth2::read_token;
use super::remote_read::{Current, unpacked, wanted};
use super::series::{Sample, SeriesChunk, TimeRange};
use super::sigv4::profile_keys;

/// A message as one frame of a stream.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 14);
    prost::encoding::encode_varint(message.len() as u64, &mut out);
    out.extend(crc32c::crc32c(message).to_be_bytes());
    out.extend(message);
    out
}

/// The messages of a stream that comes in these pieces, and what is wrong with it.
pub fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Bytes>, Result<(), String>) {
    let (mut frames, mut messages) = (Frames::default(), Vec::new());
    for piece in pieces {
        frames.feed(piece);
        loop {
            match frames.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Err(format!("{error:?}"))),
            }
        }
    }
    let whole = if frames.is_empty() { Ok(()) } else { Err("the last frame is not whole".to_owned()) };
    (messages, whole)
}

/// The series in the messages of a stream, each as often as it is taken up again.
///
/// # Errors
/// What is wrong with a message or a chunk, or which encoding is not known.
pub fn series(messages: Vec<Bytes>, range: TimeRange) -> Result<Vec<SeriesChunk>, String> {
    let (mut current, mut out) = (Current::new(range), Vec::new());
    for message in messages {
        let message = ChunkedReadResponse::decode(message).map_err(|e| e.to_string())?;
        for mut series in message.series {
            out.extend(current.begin(std::mem::take(&mut series.labels)));
            if let Some(encoding) = current.add(series).map_err(|chunk::Damaged| "a chunk is damaged".to_owned())? {
                return Err(format!("encoding {encoding}"));
            }
        }
    }
    out.push(current.take());
    Ok(out)
}

/// The samples of one message, series by series.
///
/// # Errors
/// What is wrong with it.
pub fn samples(body: &[u8], range: TimeRange, after_ms: i64) -> Result<Vec<Vec<Sample>>, String> {
    let series = unpacked(body)?.results.into_iter().flat_map(|result| result.series);
    Ok(series.map(|series| wanted(&series.samples, range, after_ms)).collect())
}

/// The float samples of a chunk: `None` for one that is damaged, empty for encodings that are passed over.
pub fn chunk(encoding: i32, data: &[u8], range: TimeRange) -> Option<Vec<Sample>> {
    let mut out = Vec::new();
    let decoded = chunk::decode(encoding, data, range, &mut out).ok()?;
    (decoded == Decoded::Floats || out.is_empty()).then_some(out)
}

/// An answer of the query API.
#[derive(Debug, PartialEq)]
pub struct DecodedResponse {
    /// Its series, in pieces.
    pub series: Vec<SeriesChunk>,
    /// What the server remarked.
    pub notes: Vec<String>,
    /// Samples and native histograms.
    pub counts: (u64, u64),
    /// What is wrong with it.
    pub end: Result<(), String>,
}

/// Reads the answer of a token endpoint: the token and the seconds that it lasts.
///
/// # Errors
/// What is wrong with it.
pub fn token(body: &[u8]) -> Result<(String, f64), String> {
    let (token, lasts) = read_token(body)?;
    Ok((token.expose().to_owned(), lasts.as_secs_f64()))
}

/// Reads a profile of AWS' shared credentials file: key's id, secret key, session.
///
/// # Errors
/// What is wrong with it.
pub fn profile(text: &str, profile: &str) -> Result<(String, String, Option<String>), String> {
    let keys = profile_keys(text, profile)?;
    Ok((keys.key_id, keys.secret_key, keys.token))
}

/// Reads an answer of the query API that comes in these pieces.
pub fn query_answer<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, range: TimeRange) -> DecodedResponse {
    let (mut parser, mut series) = (Parser::new(range), Vec::new());
    let fed = pieces.into_iter().try_for_each(|piece| parser.feed(piece, &mut series));
    let end = fed.and_then(|()| parser.finish()).map_err(|problem| format!("{problem:?}"));
    DecodedResponse { series, counts: (parser.samples, parser.histograms), notes: parser.notes, end }
}
