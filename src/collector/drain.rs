//! Reads a stream of series to its end.

use crate::prometheus::{Error as SourceError, SampleStream, SeriesChunk};

/// Hands each piece on as it comes; ends at the first error.
pub(super) async fn drain(mut stream: SampleStream, mut take: impl FnMut(SeriesChunk)) -> Result<(), SourceError> {
    while let Some(chunk) = stream.recv().await {
        take(chunk?);
    }
    Ok(())
}
