//! What is taken on and what is shed: places for reviews, and room for their bodies. Only large reviews queue here,
//! each as long as its API server waits; how many, their bodies' room bounds.
//! Must not know what is answered to who finds no place.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::limits::Limits;

/// Bytes of one permit of room.
const BLOCK: usize = 1_024;

/// A place; free again when it is dropped. It belongs into the work itself: a client that has gone away does not end
/// what runs on another thread.
pub type Permit = OwnedSemaphorePermit;

/// Why there was no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shed {
    /// Too many reviews at a time.
    InFlight,
    /// Too many large reviews at a time.
    Large,
    /// Too many bytes of bodies at a time.
    ByteBudget,
}

impl Shed {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::InFlight, Self::Large, Self::ByteBudget];

    /// Its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InFlight => "in-flight",
            Self::Large => "large",
            Self::ByteBudget => "room",
        }
    }
}

/// Hands out places.
#[derive(Debug)]
pub struct Limiter {
    all: Arc<Semaphore>,
    large: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    room: Arc<Semaphore>,
    free_bytes: usize,
}

impl Limiter {
    /// As many places as the limits say.
    pub fn new(limits: &Limits) -> Self {
        let places = |n: usize| Arc::new(Semaphore::new(n.min(Semaphore::MAX_PERMITS)));
        Self {
            all: places(limits.in_flight),
            large: places(limits.large_in_flight),
            turns: places(1),
            room: places(limits.buffered_bytes / BLOCK),
            free_bytes: limits.free_bytes,
        }
    }

    /// A place for a review.
    ///
    /// # Errors
    /// All are taken.
    pub fn acquire(&self) -> Result<Permit, Shed> {
        Arc::clone(&self.all).try_acquire_owned().map_err(|_| Shed::InFlight)
    }

    /// A place for a review that takes long, in the order in which they came.
    ///
    /// # Errors
    /// There was none until then.
    pub async fn acquire_large(&self, until: Instant) -> Result<Permit, Shed> {
        let place = timeout_at(until, Arc::clone(&self.large).acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or(Shed::Large)
    }

    /// Room for a body. Its first bytes are free.
    pub fn budget(&self) -> ByteBudget {
        ByteBudget {
            free: Arc::clone(&self.room),
            turns: Arc::clone(&self.turns),
            taken: None,
            blocks: 0,
            free_bytes: self.free_bytes,
        }
    }
}

/// Room that one body takes up; free again when it is dropped.
#[derive(Debug)]
pub struct ByteBudget {
    free: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
    blocks: usize,
    free_bytes: usize,
}

impl ByteBudget {
    /// Makes it at least this large. The budget is taken for what has arrived, not for what a header announces:
    /// announcing costs nothing.
    ///
    /// # Errors
    /// There is no more.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Shed> {
        let missing = bytes.saturating_sub(self.free_bytes).div_ceil(BLOCK).saturating_sub(self.blocks);
        if missing == 0 {
            return Ok(());
        }
        let count = u32::try_from(missing).map_err(|_| Shed::ByteBudget)?;
        let more = Arc::clone(&self.free).try_acquire_many_owned(count).map_err(|_| Shed::ByteBudget)?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        self.blocks += missing;
        Ok(())
    }

    /// Waits until it is the turn of this body to go on, where it needs room: large ones go on one after the other,
    /// piece by piece, so that what else is there waits for one piece and not for one of each.
    pub async fn turn(&self) {
        if self.blocks > 0 {
            let turn = self.turns.acquire().await;
            // What else is ready goes first.
            tokio::task::yield_now().await;
            drop(turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_run_out_and_come_back() {
        let limiter = Limiter::new(&Limits { in_flight: 2, large_in_flight: 1, ..Limits::default() });
        let one = limiter.acquire().unwrap();
        let _two = limiter.acquire().unwrap();
        assert_eq!(limiter.acquire().unwrap_err(), Shed::InFlight);
        drop(one);
        assert!(limiter.acquire().is_ok());
        let large = limiter.acquire_large(Instant::now()).await.unwrap();
        assert_eq!(limiter.acquire_large(Instant::now()).await.unwrap_err(), Shed::Large);
        let soon = Instant::now() + std::time::Duration::from_secs(60);
        let (waited, ()) = tokio::join!(limiter.acquire_large(soon), async { drop(large) });
        assert!(waited.is_ok());
    }

    #[test]
    fn room_is_taken_block_by_block_and_given_back() {
        let limiter = Limiter::new(&Limits { buffered_bytes: 10 * BLOCK, free_bytes: 0, ..Limits::default() });
        let (mut one, mut two) = (limiter.budget(), limiter.budget());
        one.grow_to(1).unwrap();
        one.grow_to(BLOCK).unwrap();
        one.grow_to(6 * BLOCK).unwrap();
        two.grow_to(4 * BLOCK).unwrap();
        assert_eq!(two.grow_to(4 * BLOCK + 1), Err(Shed::ByteBudget));
        drop(one);
        two.grow_to(10 * BLOCK).unwrap();
    }

    #[test]
    fn the_first_bytes_of_a_body_need_no_room() {
        let limiter = Limiter::new(&Limits { buffered_bytes: 0, free_bytes: 3 * BLOCK, ..Limits::default() });
        let mut body = limiter.budget();
        body.grow_to(3 * BLOCK).unwrap();
        assert_eq!(body.grow_to(3 * BLOCK + 1), Err(Shed::ByteBudget));
    }
}
