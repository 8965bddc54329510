//! The sending end of a stream of series: knows whether anything was delivered and whether anyone still listens.
//! Knows nothing of where the series come from.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use super::error::Error;
use super::http::Failure;
use super::sample::{PIECE, SeriesChunk};

/// Batches that wait for the reader at most: 32 × 2 × 4,096 samples of 16 bytes are 4 MiB.
const WAITING: usize = 32;
/// Pieces of series in a batch at most. Every batch wakes the reader, which costs more than reading a short series.
const BATCH: usize = 256;

/// Chunks as they arrive. The chunks of one series come in time order, chunks of different series in any order.
/// What waits for the reader is bounded, so a slow reader slows the server instead of filling memory.
#[derive(Debug)]
pub struct SampleStream {
    channel: mpsc::Receiver<Result<Vec<SeriesChunk>, Error>>,
    batch: std::vec::IntoIter<SeriesChunk>,
    /// What comes after it.
    next: Option<Box<SampleStream>>,
}

impl SampleStream {
    /// This stream, and when it has ended the other one.
    #[must_use]
    pub fn followed_by(mut self, other: Self) -> Self {
        match self.next.take() {
            Some(next) => self.next = Some(Box::new(next.followed_by(other))),
            None => self.next = Some(Box::new(other)),
        }
        self
    }

    /// The next chunk; an error is the last that comes; `None` at the end.
    pub async fn recv(&mut self) -> Option<Result<SeriesChunk, Error>> {
        loop {
            if let Some(chunk) = self.batch.next() {
                return Some(Ok(chunk));
            }
            match self.channel.recv().await {
                Some(Ok(batch)) => self.batch = batch.into_iter(),
                Some(Err(error)) => return Some(Err(error)),
                None => *self = *self.next.take()?,
            }
        }
    }
}

/// Why a stream ended before its end.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The reader is gone; nothing is wrong.
    Closed,
    /// An error to report.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Failure for Halt {
    fn error(&self) -> Option<&Error> {
        match self {
            Self::Closed => None,
            Self::Failed(error) => Some(error),
        }
    }

    fn give_up(self, retries: u64) -> Self {
        match self {
            Self::Closed => Self::Closed,
            Self::Failed(error) => Self::Failed(error.give_up(retries)),
        }
    }
}

/// What was handed over and not sent yet.
#[derive(Default)]
struct Batch {
    chunks: Vec<SeriesChunk>,
    samples: usize,
}

/// The sending end.
pub(crate) struct Sink {
    channel: mpsc::Sender<Result<Vec<SeriesChunk>, Error>>,
    batch: Mutex<Batch>,
    delivered: AtomicBool,
}

impl Sink {
    /// Both ends of a stream.
    pub(crate) fn new() -> (Self, SampleStream) {
        let (channel, receiver) = mpsc::channel(WAITING);
        let stream = SampleStream { channel: receiver, batch: Vec::new().into_iter(), next: None };
        (Self { channel, batch: Mutex::default(), delivered: AtomicBool::new(false) }, stream)
    }

    /// Sends with the next batch, in pieces where there is much; waits while the reader is behind.
    pub(crate) async fn send(&self, mut chunk: SeriesChunk) -> Result<(), Halt> {
        if chunk.samples.is_empty() {
            return Ok(());
        }
        self.delivered.store(true, Ordering::Relaxed);
        if chunk.samples.len() > PIECE {
            let labels = chunk.labels.clone();
            let whole = chunk.samples.len() / PIECE * PIECE;
            let tail = chunk.samples.split_off(if whole == chunk.samples.len() { whole - PIECE } else { whole });
            for piece in chunk.samples.chunks(PIECE) {
                let piece = SeriesChunk { labels: labels.clone(), samples: piece.to_vec() };
                self.send_piece(piece).await?;
            }
            chunk.samples = tail;
        }
        self.send_piece(chunk).await
    }

    async fn send_piece(&self, piece: SeriesChunk) -> Result<(), Halt> {
        let full = {
            let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
            batch.samples += piece.samples.len();
            batch.chunks.push(piece);
            batch.samples >= PIECE || batch.chunks.len() >= BATCH
        };
        if full { self.flush().await } else { Ok(()) }
    }

    /// Sends what is there, however little: whoever waits for the server next, or is done, calls this.
    pub(crate) async fn flush(&self) -> Result<(), Halt> {
        let batch = std::mem::take(&mut *self.batch.lock().unwrap_or_else(PoisonError::into_inner));
        if batch.chunks.is_empty() {
            return Ok(());
        }
        self.channel.send(Ok(batch.chunks)).await.map_err(|_| Halt::Closed)
    }

    /// Forgets what was delivered: what follows can be repeated without duplicates.
    pub(crate) fn mark(&self) {
        self.delivered.store(false, Ordering::Relaxed);
    }

    /// True when something was sent since the mark.
    pub(crate) fn delivered(&self) -> bool {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Ends the stream, with its error where it has one.
    pub(crate) async fn end(self, result: Result<(), Halt>) {
        // Where nobody listens nobody needs to know.
        let _ = self.flush().await;
        if let Err(Halt::Failed(error)) = result {
            let _ = self.channel.send(Err(error)).await;
        }
    }
}
