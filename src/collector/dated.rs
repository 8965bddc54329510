//! Values with the time in which they were said: the same whatever the order in which series and their parts arrive.
//! Pure; knows no labels.

use serde::{Deserialize, Serialize};

/// Two samples of one value that are this near to each other are one stretch, whatever else is said between them: two
/// missed scrapes of a minute, and a little. A container that fails again at once waits for longer before it restarts.
const NEAR_MS: i64 = 150_000;
/// So many stretches are kept, the newest: a container that fails every five minutes for hours.
const MOST: usize = 64;

/// A value, and the first and the last time at which it was said, milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Said<T> {
    /// First time.
    pub from_ms: i64,
    /// Last time.
    pub until_ms: i64,
    /// What was said.
    pub value: T,
}

/// What was said of one thing, in the order of time once it is [`Self::seal`]ed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dated<T>(Vec<Said<T>>);

impl<T> Default for Dated<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord + Clone> Dated<T> {
    /// Takes in what was said at a time.
    pub fn say(&mut self, at_ms: i64, value: T) {
        match self.0.last_mut() {
            Some(last) if last.value == value && (0..=NEAR_MS).contains(&(at_ms - last.until_ms)) => {
                last.until_ms = at_ms;
            }
            _ => self.0.push(Said { from_ms: at_ms, until_ms: at_ms, value }),
        }
    }

    /// Puts all in order: stretches of one value that touch become one, and so do neighbours without another value
    /// between them.
    pub fn seal(&mut self) {
        if self.0.len() < 2 {
            return;
        }
        self.0.sort_by(|a, b| a.value.cmp(&b.value).then_with(|| a.cmp(b)));
        self.0.dedup_by(|next, known| {
            let touch = next.value == known.value && next.from_ms - known.until_ms <= NEAR_MS;
            if touch {
                known.until_ms = known.until_ms.max(next.until_ms);
            }
            touch
        });
        self.0.sort();
        self.0.dedup_by(|next, known| {
            let same = next.value == known.value;
            if same {
                known.until_ms = known.until_ms.max(next.until_ms);
            }
            same
        });
        let surplus = self.0.len().saturating_sub(MOST);
        self.0.drain(..surplus);
    }

    /// Adds what a later slice says.
    pub fn then(&mut self, later: Self) {
        if !later.0.is_empty() {
            self.0.extend(later.0);
            self.seal();
        }
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All stretches.
    pub fn iter(&self) -> impl Iterator<Item = &Said<T>> {
        self.0.iter()
    }

    /// What was said last between two times, both included.
    pub fn last_within(&self, from_ms: i64, until_ms: i64) -> Option<&Said<T>> {
        self.0
            .iter()
            .filter(|said| said.from_ms <= until_ms && said.until_ms >= from_ms)
            .max_by(|a, b| a.until_ms.min(until_ms).cmp(&b.until_ms.min(until_ms)).then_with(|| a.cmp(b)))
    }

    /// What holds at a time: of what is said then, what was first said last; else what was said last before; else what
    /// was said first.
    pub fn at(&self, at_ms: i64) -> Option<&T> {
        let now = self.0.iter().filter(|said| said.from_ms <= at_ms && at_ms <= said.until_ms).max();
        let before =
            || self.0.iter().filter(|said| said.until_ms < at_ms).max_by_key(|said| (said.until_ms, said.from_ms));
        now.or_else(before).or(self.0.first()).map(|said| &said.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dated(samples: &[(i64, &'static str)]) -> Dated<&'static str> {
        let mut dated = Dated::default();
        for (minute, value) in samples {
            dated.say(minute * 60_000, *value);
        }
        dated.seal();
        dated
    }

    #[test]
    fn neighbours_of_one_value_are_one_stretch() {
        let hourly = dated(&[(0, "a"), (60, "a"), (120, "b"), (180, "a")]);
        let ends: Vec<_> = hourly.iter().map(|s| (s.from_ms / 60_000, s.until_ms / 60_000, s.value)).collect();
        assert_eq!(ends, [(0, 60, "a"), (120, 120, "b"), (180, 180, "a")]);
        assert_eq!(hourly.at(130 * 60_000), Some(&"b"));
        assert_eq!(hourly.at(-1), Some(&"a"));
        assert_eq!(hourly.last_within(61 * 60_000, 179 * 60_000).map(|s| s.value), Some("b"));
        assert_eq!(hourly.last_within(61 * 60_000, 119 * 60_000), None);
    }

    #[test]
    fn two_who_tell_at_the_same_time() {
        // The second begins later, so it knows more; the first goes on when the second is gone.
        let both = dated(&[(0, "a"), (1, "a"), (2, "a"), (1, "b"), (2, "a"), (3, "a"), (4, "a")]);
        assert_eq!((both.at(60_000), both.at(180_000)), (Some(&"b"), Some(&"a")));
    }
}
