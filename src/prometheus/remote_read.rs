//! Remote read: chunks in a stream, or samples in one message where the server cannot stream or stores chunks that
//! podfit cannot decode. Knows nothing of the query API.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use prost::Message;

use super::body::Body;
use super::capabilities::RemoteRead;
use super::chunk::{self, Decoded};
use super::config::Mode;
use super::error::Error;
use super::frame::{FrameError, Frames};
use super::http::Failure;
use super::labels::Labels;
use super::labels::LabelsBuilder;
use super::limits::is_too_much;
use super::messages::{
    ChunkedReadResponse, ChunkedSeries, Label, LabelMatcher, Query, RawSample, ReadRequest, ReadResponse, SAMPLES,
    STREAMED,
};
use super::query;
use super::sample::{Sample, SeriesChunk, TimeRange};
use super::selector::{MatchOp, Selector};
use super::server::Server;
use super::sink::{Halt, Sink};
use super::slices::Slices;

/// The longest message of samples, compressed and decompressed.
const MESSAGE_CAP: usize = 512 << 20;
/// A series with more samples than this is sent in parts before it is complete.
const SERIES_PART: usize = 1 << 20;

/// Up to which time each series was delivered, by the hash of its labels.
type Delivered = HashMap<u64, i64>;

/// Streams all samples of a selector, series by series.
pub(crate) async fn samples(
    server: &Server,
    kind: RemoteRead,
    selector: &Selector,
    range: TimeRange,
    sink: &Sink,
) -> Result<(), Halt> {
    if range.len_ms() == 0 {
        return Ok(());
    }
    let foreign = server.foreign_chunks.load(Ordering::Relaxed);
    if foreign && server.mode == Mode::Auto {
        return query::samples(server, selector, range, sink).await;
    }
    let mut delivered = Delivered::new();
    if kind == RemoteRead::Streamed && !foreign {
        match all_streamed(server, selector, range, sink, &mut delivered).await? {
            End::Complete => return Ok(()),
            End::Foreign(encoding) => {
                tracing::info!(
                    server = server.http.shown(),
                    "the server stores chunks of encoding {encoding}, which this version does not know: it decodes them itself from now on"
                );
                server.foreign_chunks.store(true, Ordering::Relaxed);
            }
        }
    }
    let mut slices = server.slices(range);
    slices.bound(server.limits.longest_ms(&selector.metric));
    while let Some(slice) = slices.current() {
        sink.mark();
        let done = server
            .http
            .retrying(
                || in_one_message(server, selector, slice, sink, &delivered),
                |halt: &Halt| halt.error().is_some_and(|e| e.is_transient() && !is_too_much(e)) && !sink.delivered(),
            )
            .await;
        match done {
            Ok(samples) => slices.advance(samples),
            Err(halt) => query::shrink(server, &selector.metric, &mut slices, slice, sink, halt)?,
        }
        slices.bound(server.limits.longest_ms(&selector.metric));
    }
    Ok(())
}

/// Streams a range, in one piece unless the server finds that too much.
async fn all_streamed(
    server: &Server,
    selector: &Selector,
    range: TimeRange,
    sink: &Sink,
    delivered: &mut Delivered,
) -> Result<End, Halt> {
    let mut slices = Slices::whole(range);
    slices.bound(server.limits.longest_ms(&selector.metric));
    while let Some(slice) = slices.current() {
        sink.mark();
        let before = tokio::sync::Mutex::new(&mut *delivered);
        let end = server
            .http
            .retrying(
                async || {
                    let mut delivered = before.lock().await;
                    streamed(server, selector, slice, sink, &mut delivered).await
                },
                |halt: &Halt| halt.error().is_some_and(|e| e.is_transient() && !is_too_much(e)) && !sink.delivered(),
            )
            .await;
        match end {
            Ok(End::Complete) => slices.advance(0),
            Ok(foreign) => return Ok(foreign),
            Err(halt) => query::shrink(server, &selector.metric, &mut slices, slice, sink, halt)?,
        }
        slices.bound(server.limits.longest_ms(&selector.metric));
    }
    Ok(End::Complete)
}

/// Sends the last sample of each series with its own time, found by reading all of them.
pub(crate) async fn last(
    server: &Server,
    kind: RemoteRead,
    selector: &Selector,
    range: TimeRange,
    sink: &Sink,
) -> Result<(), Halt> {
    let (all, mut stream) = Sink::new();
    let fill = async move {
        samples(server, kind, selector, range, &all).await?;
        all.flush().await
    };
    let fold = async {
        let mut last: HashMap<Arc<Labels>, Sample> = HashMap::new();
        while let Some(Ok(chunk)) = stream.recv().await {
            if let Some(sample) = chunk.samples.last() {
                last.insert(chunk.labels, *sample);
            }
        }
        last
    };
    let (filled, last) = tokio::join!(fill, fold);
    filled?;
    for (labels, sample) in last {
        sink.send(SeriesChunk { labels, samples: vec![sample] }).await?;
    }
    Ok(())
}

/// Which remote read the server offers. Asks for a millisecond of 1970, so that there is nothing to send.
pub(crate) async fn probe(server: &Server) -> RemoteRead {
    let body = request(&Selector::metric("up"), TimeRange { start_ms: 0, end_ms: 1 }, &[STREAMED, SAMPLES]);
    match server.http.retrying(|| post(server, body.clone()), Error::is_transient).await {
        Ok(body) if is_streamed(&body) => RemoteRead::Streamed,
        Ok(body) if body.content_type().starts_with("application/x-protobuf") => RemoteRead::Samples,
        Ok(_) => RemoteRead::None,
        Err(error) => {
            tracing::debug!("no remote read: {error}");
            RemoteRead::None
        }
    }
}

/// How a stream ended.
enum End {
    Complete,
    /// At a chunk of this encoding.
    Foreign(i32),
}

async fn streamed(
    server: &Server,
    selector: &Selector,
    range: TimeRange,
    sink: &Sink,
    delivered: &mut Delivered,
) -> Result<End, Halt> {
    let mut body = post(server, request(selector, range, &[STREAMED, SAMPLES])).await?;
    if !is_streamed(&body) {
        decode_message(server, body, range, sink, delivered).await?;
        return Ok(End::Complete);
    }
    let (mut frames, mut current) = (Frames::default(), Current::new(range));
    while let Some(bytes) = body.chunk().await? {
        frames.feed(&bytes);
        while let Some(message) = frames.next().map_err(|e| frame_error(server, frames.count + 1, &e))? {
            let message = ChunkedReadResponse::decode(message).map_err(|e| undecodable(server, &e.to_string()))?;
            for mut series in message.series {
                if let Some(finished) = current.begin(std::mem::take(&mut series.labels)) {
                    deliver(finished, sink, delivered).await?;
                }
                let added = current.add(series);
                if let Some(encoding) = added.map_err(|chunk::Damaged| undecodable(server, "a chunk is damaged"))? {
                    return Ok(End::Foreign(encoding));
                }
                if current.samples.len() > SERIES_PART {
                    let part = current.take();
                    deliver(part, sink, delivered).await?;
                }
            }
        }
        sink.flush().await?;
    }
    if !frames.is_empty() {
        return Err(Error::Truncated {
            url: server.http.shown().to_owned(),
            bytes: body.bytes(),
            cause: "the last frame is not whole".to_owned(),
        }
        .into());
    }
    deliver(current.take(), sink, delivered).await?;
    server.count(body.bytes(), current.total, current.histograms);
    Ok(End::Complete)
}

/// The series that is being put together from frames.
pub(super) struct Current {
    range: TimeRange,
    wire_labels: Vec<Label>,
    labels: Arc<Labels>,
    samples: Vec<Sample>,
    last_ms: i64,
    total: u64,
    histograms: u64,
}

impl Current {
    pub(super) fn new(range: TimeRange) -> Self {
        Self {
            range,
            wire_labels: Vec::new(),
            labels: Arc::default(),
            samples: Vec::new(),
            last_ms: i64::MIN,
            total: 0,
            histograms: 0,
        }
    }

    /// Goes on with the series of these labels; the finished one when it is another.
    pub(super) fn begin(&mut self, labels: Vec<Label>) -> Option<SeriesChunk> {
        if labels == self.wire_labels {
            return None;
        }
        let finished = self.take();
        self.labels = Arc::new(to_labels(&labels));
        self.wire_labels = labels;
        self.last_ms = i64::MIN;
        (!finished.samples.is_empty()).then_some(finished)
    }

    /// Adds the chunks of a frame; the encoding of the first that cannot be decoded.
    pub(super) fn add(&mut self, series: ChunkedSeries) -> Result<Option<i32>, chunk::Damaged> {
        for piece in series.chunks {
            if piece.max_ms < self.range.start_ms || piece.min_ms > self.range.end_ms {
                continue;
            }
            match chunk::decode(piece.encoding, &piece.data, self.range, &mut self.samples)? {
                Decoded::Floats => {}
                Decoded::Histograms => self.histograms += 1,
                Decoded::Foreign => return Ok(Some(piece.encoding)),
            }
        }
        Ok(None)
    }

    /// What there is, in order and without duplicates; chunks may overlap.
    pub(super) fn take(&mut self) -> SeriesChunk {
        let mut samples = std::mem::take(&mut self.samples);
        put_in_order(&mut samples);
        if samples.first().is_some_and(|s| s.at_ms <= self.last_ms) {
            samples.retain(|s| s.at_ms > self.last_ms);
        }
        if let Some(sample) = samples.last() {
            self.last_ms = sample.at_ms;
        }
        self.total += samples.len() as u64;
        SeriesChunk { labels: self.labels.clone(), samples }
    }
}

async fn deliver(chunk: SeriesChunk, sink: &Sink, delivered: &mut Delivered) -> Result<(), Halt> {
    if let Some(sample) = chunk.samples.last() {
        delivered.insert(hash(&chunk.labels), sample.at_ms);
        sink.send(chunk).await?;
    }
    Ok(())
}

/// One slice of time as decoded samples, without what was delivered before; the number of samples.
async fn in_one_message(
    server: &Server,
    selector: &Selector,
    slice: TimeRange,
    sink: &Sink,
    delivered: &Delivered,
) -> Result<u64, Halt> {
    let body = post(server, request(selector, slice, &[SAMPLES])).await?;
    decode_message(server, body, slice, sink, delivered).await
}

async fn decode_message(
    server: &Server,
    mut body: Body,
    range: TimeRange,
    sink: &Sink,
    delivered: &Delivered,
) -> Result<u64, Halt> {
    if !body.content_type().starts_with("application/x-protobuf") {
        let what = format!("it answers remote read with {:?}", super::error::clean(body.content_type()));
        return Err(Error::NoRemoteRead { url: server.http.shown().to_owned(), why: what }.into());
    }
    let bytes = body.read_all(MESSAGE_CAP).await?;
    let message = unpacked(&bytes).map_err(|problem| undecodable(server, &problem))?;
    let (mut total, mut histograms) = (0, 0);
    for series in message.results.into_iter().flat_map(|r| r.series) {
        let labels = Arc::new(to_labels(&series.labels));
        let after = delivered.get(&hash(&labels)).copied().unwrap_or(i64::MIN);
        histograms += series.histograms.len() as u64;
        let samples = wanted(&series.samples, range, after);
        total += samples.len() as u64;
        sink.send(SeriesChunk { labels, samples }).await?;
    }
    server.count(body.bytes(), total, histograms);
    Ok(total)
}

/// The message in a compressed body; the error says what is wrong with it.
pub(super) fn unpacked(bytes: &[u8]) -> Result<ReadResponse, String> {
    let length = snap::raw::decompress_len(bytes).map_err(|e| e.to_string())?;
    if length > MESSAGE_CAP {
        return Err(format!("it says that it unpacks to {length} bytes"));
    }
    let message = snap::raw::Decoder::new().decompress_vec(bytes).map_err(|e| e.to_string())?;
    ReadResponse::decode(Bytes::from(message)).map_err(|e| e.to_string())
}

/// The samples inside the range and after a time that are no NaN, in order and without duplicates.
pub(super) fn wanted(samples: &[RawSample], range: TimeRange, after: i64) -> Vec<Sample> {
    let mut samples: Vec<Sample> = samples
        .iter()
        .filter(|s| range.contains(s.at_ms) && s.at_ms > after && !s.value.is_nan())
        .map(|s| Sample { at_ms: s.at_ms, value: s.value })
        .collect();
    put_in_order(&mut samples);
    samples
}

/// Sorts by time and keeps the first of those with the same time.
pub(crate) fn put_in_order(samples: &mut Vec<Sample>) {
    if !samples.is_sorted_by(|a, b| a.at_ms < b.at_ms) {
        samples.sort_by_key(|s| s.at_ms);
        samples.dedup_by_key(|s| s.at_ms);
    }
}

fn to_labels(labels: &[Label]) -> Labels {
    let mut builder = LabelsBuilder::default();
    for label in labels {
        builder.push(&label.name, &label.value);
    }
    builder.take()
}

fn hash(labels: &Labels) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(labels)
}

fn is_streamed(body: &Body) -> bool {
    body.content_type().starts_with("application/x-streamed-protobuf")
}

async fn post(server: &Server, body: Bytes) -> Result<Body, Error> {
    const HEADERS: [(&str, &str); 4] = [
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "snappy"),
        ("accept-encoding", "snappy"),
        ("x-prometheus-remote-read-version", "0.1.0"),
    ];
    server.http.post_bytes("api/v1/read", &HEADERS, body).await?.reject_page()
}

/// A compressed request.
fn request(selector: &Selector, range: TimeRange, accepted: &[i32]) -> Bytes {
    let matchers = selector
        .all_matchers()
        .map(|(name, op, value)| LabelMatcher {
            op: match op {
                MatchOp::Equal => 0,
                MatchOp::NotEqual => 1,
                MatchOp::Regex => 2,
                MatchOp::NotRegex => 3,
            },
            name: name.to_owned(),
            value: value.to_owned(),
        })
        .collect();
    let query = Query { start_ms: range.start_ms, end_ms: range.end_ms, matchers };
    let message = ReadRequest { queries: vec![query], accepted: accepted.to_vec() }.encode_to_vec();
    // Fails only for more than 4 GiB.
    Bytes::from(snap::raw::Encoder::new().compress_vec(&message).unwrap_or_default())
}

fn frame_error(server: &Server, frame: u64, error: &FrameError) -> Error {
    let url = server.http.shown().to_owned();
    match *error {
        FrameError::Checksum { got, want } => Error::Checksum { url, frame, got, want },
        FrameError::Length => Error::Decode { url, problem: format!("frame {frame} has no length") },
        FrameError::TooLarge(length) => {
            Error::Decode { url, problem: format!("frame {frame} says that it is {length} bytes long") }
        }
    }
}

fn undecodable(server: &Server, problem: &str) -> Error {
    Error::Decode { url: server.http.shown().to_owned(), problem: super::error::clean(problem) }
}
