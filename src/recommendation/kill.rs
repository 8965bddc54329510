//! A kill for memory: one type from the watch that sees it to the pod that is answered, and one rule for several.
//! Must not know how kills are seen, nor a clock.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;
use crate::sizing::ladder::next_after;

/// Most kills of one container that are kept apart.
const MAX_KEPT: usize = 8;

/// A container that was killed for memory at its limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kill {
    /// The limit that killed it.
    pub limit: Quantity,
    /// When.
    pub at: Timestamp,
    /// The pod.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// What it had before podfit lowered it, where podfit had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowered_from: Option<Quantity>,
}

impl Kill {
    /// Two kills of one container that both wait for an answer, as one: several tries may be killed at once, and the
    /// answer must be more than what killed the largest of them. The order of the two makes no difference.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let is_higher = (self.limit, self.at, &self.pod) >= (other.limit, other.at, &other.pod);
        let (higher, lower) = if is_higher { (self, other) } else { (other, self) };
        Self { at: higher.at.max(lower.at), lowered_from: higher.lowered_from.max(lower.lowered_from), ..higher }
    }

    /// Whether whoever answers this kill has answered the other too.
    fn covers(&self, other: &Self) -> bool {
        let same = (self.at, self.limit, self.lowered_from) == (other.at, other.limit, other.lowered_from);
        if same {
            return self.pod >= other.pod;
        }
        self.at >= other.at && self.limit >= other.limit && self.lowered_from >= other.lowered_from
    }

    /// What to give the next run: what is planned for any run where that is a step up (it was killed at less, for its
    /// input's size), else the next step of the ladder, else twice as much; and never less than what it had before
    /// podfit lowered it.
    pub fn next_memory(&self, planned: Option<Quantity>, ladder: &[Quantity]) -> Quantity {
        let steps: Vec<u64> = planned.iter().chain(ladder).map(|step| step.bytes_rounded_up()).collect();
        let step = Quantity::from_bytes_mib_rounded_up(next_after(&steps, self.limit.bytes_rounded_up(), None));
        self.lowered_from.map_or(step, |before| step.max(before))
    }
}

/// The kills of one container that may still wait for an answer. Each has its own time: an old one, answered long ago,
/// changes nothing about a new one. In the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KillSet(Vec<Kill>);

impl KillSet {
    /// Adds a kill; false where it changes nothing. In whatever order kills are added, and however often, the set is
    /// the same, as long as no more than eight are apart; of more, the two oldest become one.
    pub fn add(&mut self, kill: Kill) -> bool {
        if self.0.iter().any(|known| known.covers(&kill)) {
            return false;
        }
        self.insert(kill);
        while self.0.len() > MAX_KEPT {
            let (first, second) = (self.0.remove(0), self.0.remove(0));
            self.insert(first.and(second));
        }
        true
    }

    fn insert(&mut self, kill: Kill) {
        self.0.retain(|known| !kill.covers(known));
        let place = self.0.partition_point(|known| (known.at, known.limit) < (kill.at, kill.limit));
        self.0.insert(place, kill);
    }

    /// What the kills after a moment ask for together; `None` where there are none.
    pub fn after(&self, moment: Option<Timestamp>) -> Option<Kill> {
        self.0.iter().filter(|kill| moment.is_none_or(|moment| kill.at > moment)).cloned().reduce(Kill::and)
    }

    /// Forgets the kills up to a moment: they are answered.
    pub fn forget_until(&mut self, moment: Timestamp) {
        self.0.retain(|kill| kill.at > moment);
    }

    /// Whether none waits for an answer.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the newest was.
    pub fn newest(&self) -> Option<Timestamp> {
        self.0.iter().map(|kill| kill.at).max()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    fn kill(limit: &str, at: &str, lowered_from: Option<&str>) -> Kill {
        let pod = format!("pod-{limit}");
        Kill { limit: quantity(limit), at: at.parse().unwrap(), pod, lowered_from: lowered_from.map(quantity) }
    }

    fn set(kills: impl IntoIterator<Item = Kill>) -> KillSet {
        let mut set = KillSet::default();
        for kill in kills {
            set.add(kill);
        }
        set
    }

    #[rstest]
    #[case::next_step("2Gi", None, &["3Gi", "6Gi"], "3Gi")]
    #[case::less_than_is_planned("1Gi", None, &["3Gi", "6Gi"], "2Gi")]
    #[case::second_step("3Gi", None, &["3Gi", "6Gi"], "6Gi")]
    #[case::beyond_the_ladder("6Gi", None, &["3Gi", "6Gi"], "12Gi")]
    #[case::no_ladder("2500Mi", None, &[], "5000Mi")]
    #[case::a_shrink_of_ours_is_taken_back("2Gi", Some("8Gi"), &["3Gi"], "8Gi")]
    #[case::what_it_had_before_was_less("2Gi", Some("2500Mi"), &["3Gi"], "3Gi")]
    fn the_next_try_gets_more(
        #[case] limit: &str,
        #[case] before: Option<&str>,
        #[case] ladder: &[&str],
        #[case] next: &str,
    ) {
        let ladder: Vec<_> = ladder.iter().map(|step| quantity(step)).collect();
        let killed = kill(limit, "2026-11-30T02:10:00Z", before);
        assert_eq!(killed.next_memory(Some(quantity("2Gi")), &ladder), quantity(next));
    }

    #[test]
    fn a_kill_of_three_weeks_ago_leaves_that_of_today_as_it_is() {
        let old = kill("64Gi", "2026-11-09T02:10:00Z", Some("96Gi"));
        let today = kill("2Gi", "2026-11-30T02:10:00Z", None);
        for kills in [[old.clone(), today.clone()], [today.clone(), old]] {
            let mut set = set(kills);
            let answered = "2026-11-10T00:00:00Z".parse().unwrap();
            assert_eq!(set.after(Some(answered)), Some(today.clone()));
            set.forget_until(answered);
            assert_eq!(set.after(None), Some(today.clone()));
        }
    }

    #[test]
    fn tries_killed_at_once_ask_for_more_than_the_largest_of_them() {
        let kills = [kill("2Gi", "2026-11-30T02:20:00Z", Some("3Gi")), kill("4Gi", "2026-11-30T02:10:00Z", None)];
        let both = set(kills).after(None).unwrap();
        assert_eq!((both.limit, both.lowered_from), (quantity("4Gi"), Some(quantity("3Gi"))));
        assert_eq!((both.at, both.pod.as_str()), ("2026-11-30T02:20:00Z".parse().unwrap(), "pod-4Gi"));
    }

    #[test]
    fn many_kills_take_no_more_room() {
        let mut all = KillSet::default();
        for n in 1..=100_i64 {
            let at = Timestamp::from_second(n).unwrap();
            let limit = Quantity::from_bytes((200 - n.unsigned_abs()) << 20);
            all.add(Kill { limit, at, pod: n.to_string(), lowered_from: None });
        }
        assert_eq!(all.0.len(), MAX_KEPT);
        assert_eq!(all.after(None).map(|kill| kill.limit), Some(quantity("199Mi")), "the largest is not forgotten");
    }

    #[test]
    fn a_kill_is_written_as_it_was() {
        let written = serde_json::json!({"limit": "2Gi", "at": "2026-11-30T02:10:00Z", "loweredFrom": "3Gi"});
        let read: Kill = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), written);
    }

    fn kills() -> impl Strategy<Value = Vec<Kill>> {
        let kill =
            (1_u64..4, 0_i64..4, proptest::option::of(1_u64..3), 0_u8..2).prop_map(|(limit, at, before, pod)| Kill {
                limit: Quantity::from_bytes(limit << 30),
                at: Timestamp::from_second(at).unwrap(),
                pod: pod.to_string(),
                lowered_from: before.map(|before| Quantity::from_bytes(before << 30)),
            });
        proptest::collection::vec(kill, 0..7)
    }

    proptest! {
        #[test]
        fn the_order_of_kills_makes_no_difference(all in kills(), turn in 0_usize..7) {
            let mut turned = all.clone();
            turned.rotate_left(turn % all.len().max(1));
            turned.reverse();
            prop_assert_eq!(set(all.clone()), set(turned.clone()));
            prop_assert_eq!(set(all.clone()).after(None), set(turned).after(None));
            let twice = set(all.iter().chain(&all).cloned());
            prop_assert_eq!(twice, set(all));
        }

        #[test]
        fn what_kills_ask_for_together_is_no_less_than_each_does(all in kills()) {
            let together = set(all.clone()).after(None);
            prop_assert_eq!(together.as_ref().map(|k| k.limit), all.iter().map(|k| k.limit).max());
            prop_assert_eq!(together.as_ref().map(|k| k.at), all.iter().map(|k| k.at).max());
            prop_assert_eq!(together.and_then(|k| k.lowered_from), all.iter().filter_map(|k| k.lowered_from).max());
        }

        #[test]
        fn merging_two_is_commutative_and_idempotent(all in kills()) {
            for pair in all.windows(2) {
                let (a, b) = (pair[0].clone(), pair[1].clone());
                prop_assert_eq!(a.clone().and(b.clone()), b.clone().and(a.clone()));
                prop_assert_eq!(a.clone().and(a.clone()), a);
            }
        }
    }
}
