//! Lives between slices of time and between collections.
//! Pure; knows no pods and no runs.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::days::DAY_MS;
use super::life::{Life, LifeKey};
use super::segment::SILENCE_MS;

/// How long a life of a service that fell silent is kept, should it be the scraper that is away.
pub const WAIT_MS: i64 = 2 * DAY_MS;

/// The lives that have not ended yet, carried from slice to slice and from one collection to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenLives(pub Vec<(LifeKey, Life)>);

impl OpenLives {
    /// Takes in a slice: lives that go on are continued, others begin; a life that another one follows is ended and
    /// given back.
    pub fn take(&mut self, slice: HashMap<LifeKey, Vec<Life>>) -> Vec<(LifeKey, Life)> {
        let mut open: HashMap<LifeKey, Life> = std::mem::take(&mut self.0).into_iter().collect();
        let mut ended = Vec::new();
        for (key, lives) in slice {
            for life in lives {
                match open.get_mut(&key) {
                    Some(known) if known.goes_on_in(&life) => known.then(life),
                    Some(known) => ended.push((key.clone(), std::mem::replace(known, life))),
                    None => {
                        open.insert(key.clone(), life);
                    }
                }
            }
        }
        self.0 = open.into_iter().collect();
        self.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        ended.sort_by(|(a, x), (b, y)| a.cmp(b).then(x.first_ms().cmp(&y.first_ms())));
        ended
    }

    /// Takes out the lives that were silent for long at `at_ms`; of those that wait for a sign since they were reported,
    /// drops the ones that waited for [`WAIT_MS`].
    pub fn ended_at(&mut self, at_ms: i64) -> Vec<(LifeKey, Life)> {
        let silent_ms = |life: &Life| life.last_ms().map_or(i64::MAX, |last| at_ms - last);
        let (open, ended) = std::mem::take(&mut self.0)
            .into_iter()
            .filter(|(_, life)| !(life.is_silent && silent_ms(life) > WAIT_MS))
            .partition(|(_, life)| life.is_silent || silent_ms(life) <= SILENCE_MS);
        self.0 = open;
        ended
    }

    /// Keeps a life that was reported as ended, for when the scraper comes back.
    pub fn wait(&mut self, key: LifeKey, mut life: Life) {
        life.is_silent = true;
        let at = self.0.partition_point(|(known, _)| *known <= key);
        self.0.insert(at, (key, life));
    }
}
