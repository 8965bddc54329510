//! Reads a request's body: bounded in bytes, in time and in the room that all bodies share.
//! Must not know what is in it.

use axum::body::Body;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time::{Instant, timeout_at};

use super::limiter::{ByteBudget, Shed};

/// What is set aside for a body before its first byte has come, whatever it announces.
const FIRST_BYTES: usize = 16 * 1_024;

/// A body that was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// Longer than allowed.
    TooLarge,
    /// It did not arrive in time.
    TooSlow,
    /// It ended early, or its framing is broken.
    Broken,
    /// There was no room for it.
    NoRoom(Shed),
}

/// Reads the body into `whole`; gives back the room that it takes up.
///
/// # Errors
/// [`BodyFault`]; what has come is then in `whole`, what is left is still in `body`.
pub async fn read(
    body: &mut Body,
    whole: &mut Vec<u8>,
    cap: usize,
    mut room: ByteBudget,
    until: Instant,
) -> Result<ByteBudget, BodyFault> {
    let announced = body.size_hint().exact().and_then(|n| usize::try_from(n).ok());
    loop {
        let frame = timeout_at(until, body.frame()).await.map_err(|_| BodyFault::TooSlow)?;
        let Some(frame) = frame else { break };
        // Trailers say nothing here.
        let Ok(data) = frame.map_err(|_| BodyFault::Broken)?.into_data() else { continue };
        let len = whole.len() + data.len();
        if len > cap {
            return Err(BodyFault::TooLarge);
        }
        if let Err(cause) = room.grow_to(len) {
            // A little of it is kept all the same: who asks for what stands at the beginning.
            if whole.is_empty() {
                whole.extend_from_slice(&data[..data.len().min(FIRST_BYTES)]);
            }
            return Err(BodyFault::NoRoom(cause));
        }
        if whole.is_empty() {
            whole.reserve_exact(announced.unwrap_or(FIRST_BYTES).min(FIRST_BYTES).max(len));
        } else if len > whole.capacity() {
            // Once room has been taken for it, it grows by half: what a header announces is not believed.
            whole.reserve_exact(announced.unwrap_or(usize::MAX).min(len + len / 2).max(len) - whole.len());
        }
        whole.extend_from_slice(&data);
        if announced.is_some_and(|n| n > cap) {
            // The beginning is there, which says who asks for what.
            return Err(BodyFault::TooLarge);
        }
        timeout_at(until, room.turn()).await.map_err(|_| BodyFault::TooSlow)?;
    }
    Ok(room)
}

/// Goes on reading while the answer is already on its way: closing a connection on which a client still writes would
/// make its system throw the answer away. Ends with the body, or at `until`.
pub fn linger(mut body: Body, until: Instant) {
    tokio::spawn(async move { while let Ok(Some(Ok(_))) = timeout_at(until, body.frame()).await {} });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Bytes;
    use futures::stream;

    use super::*;
    use crate::server::limiter::Limiter;
    use crate::server::limits::Limits;

    fn chunks(parts: &'static [&'static str]) -> Body {
        Body::from_stream(stream::iter(parts.iter().map(|p| Ok::<_, std::io::Error>(Bytes::from_static(p.as_bytes())))))
    }

    async fn read_with(mut body: Body, cap: usize, room: usize) -> Result<Bytes, BodyFault> {
        let limiter = Limiter::new(&Limits { buffered_bytes: room, free_bytes: 0, ..Limits::default() });
        let (until, mut whole) = (Instant::now() + Duration::from_secs(60), Vec::new());
        read(&mut body, &mut whole, cap, limiter.budget(), until).await.map(|_| whole.into())
    }

    #[tokio::test]
    async fn chunks_become_one_body_up_to_the_cap() {
        assert_eq!(read_with(chunks(&["ab", "", "cde"]), 5, 4096).await.unwrap(), "abcde");
        assert_eq!(read_with(chunks(&["ab", "cde"]), 4, 4096).await.unwrap_err(), BodyFault::TooLarge);
        assert_eq!(read_with(Body::from("abcde"), 4, 4096).await.unwrap_err(), BodyFault::TooLarge);
        assert_eq!(read_with(Body::empty(), 4, 4096).await.unwrap(), "");
    }

    #[tokio::test]
    async fn no_room_and_a_broken_end_are_told_apart() {
        let no_room = read_with(chunks(&["ab"]), 5, 0).await.unwrap_err();
        assert_eq!(no_room, BodyFault::NoRoom(Shed::ByteBudget));
        let parts: [Result<Bytes, std::io::Error>; 2] =
            [Ok(Bytes::from_static(b"ab")), Err(std::io::ErrorKind::ConnectionReset.into())];
        let broken = Body::from_stream(stream::iter(parts));
        assert_eq!(read_with(broken, 5, 4096).await.unwrap_err(), BodyFault::Broken);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up() {
        let mut silent = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let limiter = Limiter::new(&Limits::default());
        let read = read(&mut silent, &mut Vec::new(), 10, limiter.budget(), Instant::now()).await;
        assert_eq!(read.unwrap_err(), BodyFault::TooSlow);
    }
}
