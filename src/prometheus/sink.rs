//! The sending end of a stream of series: knows whether anything was delivered and whether anyone still listens.
//! Knows nothing of where the series come from.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use super::error::Error;
use super::http::Failure;
use super::json::PIECE;
use super::series::{SampleStream, SeriesChunk};

/// Pieces that wait for the reader at most: 64 × 4,096 samples of 16 bytes are 4 MiB.
const WAITING: usize = 64;

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
}

/// The sending end.
pub(crate) struct Sink {
    channel: mpsc::Sender<Result<SeriesChunk, Error>>,
    delivered: AtomicBool,
}

impl Sink {
    /// Both ends of a stream.
    pub(crate) fn new() -> (Self, SampleStream) {
        let (channel, stream) = mpsc::channel(WAITING);
        (Self { channel, delivered: AtomicBool::new(false) }, stream)
    }

    /// Sends, in pieces where there is much; waits while the reader is behind.
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
                self.channel.send(Ok(piece)).await.map_err(|_| Halt::Closed)?;
            }
            chunk.samples = tail;
        }
        self.channel.send(Ok(chunk)).await.map_err(|_| Halt::Closed)
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
        if let Err(Halt::Failed(error)) = result {
            // Nobody listens: nobody needs to know.
            let _ = self.channel.send(Err(error)).await;
        }
    }
}
