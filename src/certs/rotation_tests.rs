//! Rotation over simulated decades, as tables and as a property. Knows no cryptography: a CA is a number.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn day(n: i32) -> Timestamp {
    start() + DAY * n
}

fn span(from: i32, until: i32) -> Validity {
    Validity { from: day(from), until: day(until) }
}

fn names() -> ServerNames {
    ServerNames::of_service("podfit-webhook", "podfit").unwrap()
}

fn leaf(from: i32, until: i32) -> Leaf {
    Leaf { validity: span(from, until), names: names().all().into_iter().collect(), is_sound: true }
}

/// A CA of ten years and a leaf of one, both made on day 0.
fn fresh() -> State {
    let signer = Some(Signer { validity: span(0, 3_650), can_sign: true });
    State { signer, leaf: Some(leaf(0, 365)), ..State::default() }
}

fn waiting(published: Option<i32>) -> State {
    let next = Some(Next { validity: span(3_195, 6_845), published: published.map(day) });
    State { next, leaf: Some(leaf(3_100, 3_465)), ..fresh() }
}

#[rstest]
#[case::nothing(State::default(), 0, Step::StartOver)]
#[case::fresh(fresh(), 0, Step::Keep { until: day(1) })]
#[case::a_day_too_early(fresh(), 243, Step::Keep { until: day(243) + DAY / 3 })]
#[case::two_thirds(fresh(), 244, Step::RenewLeaf(Why::Age))]
#[case::expired(fresh(), 366, Step::RenewLeaf(Why::Unusable))]
#[case::no_leaf(State { leaf: None, ..fresh() }, 1, Step::RenewLeaf(Why::Unusable))]
#[case::damaged_leaf(State { leaf: fresh().leaf.map(|l| Leaf { is_sound: false, ..l }), ..fresh() }, 1, Step::RenewLeaf(Why::Unusable))]
#[case::other_names(State { leaf: fresh().leaf.map(|l| Leaf { names: BTreeSet::new(), ..l }), ..fresh() }, 1, Step::RenewLeaf(Why::Names))]
#[case::roll_not_yet(State { leaf: Some(leaf(3_100, 3_465)), ..fresh() }, 3_194, Step::Keep { until: day(3_195) })]
#[case::roll(State { leaf: Some(leaf(3_100, 3_465)), ..fresh() }, 3_195, Step::AddNext(Why::Age))]
#[case::to_publish(waiting(None), 3_200, Step::Publish)]
#[case::just_published(waiting(Some(3_200)), 3_200, Step::Keep { until: day(3_201) })]
#[case::known_everywhere(waiting(Some(3_200)), 3_201, Step::Switch)]
#[case::published_in_the_future(waiting(Some(9_000)), 3_200, Step::Keep { until: day(3_201) })]
#[case::leaf_ends_while_waiting(State { leaf: Some(leaf(2_000, 3_000)), ..waiting(None) }, 3_200, Step::RenewLeaf(Why::Unusable))]
#[case::ca_ended_next_known(waiting(Some(3_200)), 3_651, Step::Switch)]
#[case::ca_ended_next_unknown(waiting(None), 3_651, Step::StartOver)]
#[case::ca_ended(fresh(), 3_651, Step::StartOver)]
#[case::next_too_old(waiting(Some(3_200)), 6_600, Step::Switch)]
#[case::key_lost(State { signer: Some(Signer { can_sign: false, ..fresh().signer.unwrap() }), ..fresh() }, 9, Step::AddNext(Why::Unusable))]
#[case::clock_set_back(fresh(), -30, Step::RenewLeaf(Why::Unusable))]
#[case::old_ca_kept(State { previous_until: Some(day(7)), ..fresh() }, 6, Step::Keep { until: day(7) })]
#[case::old_ca_dropped(State { previous_until: Some(day(7)), ..fresh() }, 7, Step::DropPrevious)]
fn one_step_follows_from_the_state(#[case] state: State, #[case] now: i32, #[case] expected: Step) {
    assert_eq!(plan(&state, &names(), &Lifetimes::default(), day(now)), expected);
}

#[test]
fn a_lost_key_waits_only_while_something_serves() {
    let lost = Some(Signer { validity: span(0, 3_650), can_sign: false });
    let next = Some(Next { validity: span(10, 3_660), published: Some(day(10)) });
    let served = State { signer: lost, next, ..fresh() };
    let soon = day(10) + SignedDuration::from_mins(5);
    assert!(matches!(plan(&served, &names(), &Lifetimes::default(), soon), Step::Keep { .. }));
    let unserved = State { leaf: None, ..served };
    assert_eq!(plan(&unserved, &names(), &Lifetimes::default(), soon), Step::Switch);
}

/// A controller, a webhook configuration and a replica over the years. CAs are numbers.
struct World {
    state: State,
    signer: u32,
    next: Option<u32>,
    previous: Vec<u32>,
    leaf_ca: u32,
    ends: Vec<Timestamp>,
    made: u32,
    switches: u32,
    /// What the webhook configurations held, since when.
    bundles: Vec<(Timestamp, Vec<u32>)>,
    /// What was served, since when: its CA and its end.
    served: Vec<(Timestamp, u32, Timestamp)>,
}

impl World {
    fn begin(now: Timestamp, lifetimes: &Lifetimes) -> Self {
        let mut world = Self {
            state: State::default(),
            signer: 0,
            next: None,
            previous: Vec::new(),
            leaf_ca: 0,
            ends: Vec::new(),
            made: 0,
            switches: 0,
            bundles: Vec::new(),
            served: Vec::new(),
        };
        assert_eq!(plan(&world.state, &names(), lifetimes, now), Step::StartOver);
        world.take(Step::StartOver, lifetimes, now, true);
        world.publish(now);
        world
    }

    fn make_ca(&mut self, now: Timestamp, lifetimes: &Lifetimes) -> (u32, Validity) {
        let until = now + lifetimes.ca;
        self.ends.push(until);
        self.made += 1;
        (self.made - 1, Validity { from: now, until })
    }

    fn make_leaf(&mut self, now: Timestamp, lifetimes: &Lifetimes) {
        let until = (now + lifetimes.leaf).min(self.state.signer.unwrap().validity.until);
        let names = names().all().into_iter().collect();
        self.state.leaf = Some(Leaf { validity: Validity { from: now, until }, names, is_sound: true });
        self.leaf_ca = self.signer;
        self.served.push((now, self.leaf_ca, until));
    }

    fn publish(&mut self, now: Timestamp) {
        let all = [self.signer].into_iter().chain(self.next).chain(self.previous.iter().copied());
        self.bundles.push((now, all.collect()));
        if let Some(next) = &mut self.state.next {
            next.published.get_or_insert(now);
        }
    }

    fn take(&mut self, step: Step, lifetimes: &Lifetimes, now: Timestamp, can_publish: bool) {
        match step {
            Step::Keep { .. } => {}
            Step::StartOver => {
                let (ca, validity) = self.make_ca(now, lifetimes);
                (self.signer, self.next, self.state.next) = (ca, None, None);
                self.state.signer = Some(Signer { validity, can_sign: true });
                self.make_leaf(now, lifetimes);
            }
            Step::RenewLeaf(_) => self.make_leaf(now, lifetimes),
            Step::AddNext(_) => {
                let (ca, validity) = self.make_ca(now, lifetimes);
                self.next = Some(ca);
                self.state.next = Some(Next { validity, published: None });
            }
            Step::Publish => {
                if can_publish {
                    self.publish(now);
                }
            }
            Step::Switch => {
                self.switches += 1;
                self.previous.push(self.signer);
                self.state.previous_until = Some(now + lifetimes.retirement);
                self.signer = self.next.take().unwrap();
                let validity = self.state.next.take().unwrap().validity;
                self.state.signer = Some(Signer { validity, can_sign: true });
                self.make_leaf(now, lifetimes);
            }
            Step::DropPrevious => {
                self.previous.clear();
                self.state.previous_until = None;
                if can_publish {
                    self.publish(now);
                }
            }
        }
    }

    /// Whether an API server whose bundle is `lag` old verifies what a replica that is `behind` serves at `now`.
    fn verifies(&self, now: Timestamp, lag: SignedDuration, behind: SignedDuration) -> bool {
        let known = self.bundles.iter().rev().find(|(at, _)| *at <= now - lag).unwrap_or(&self.bundles[0]);
        let served = self.served.iter().rev().find(|(at, ..)| *at <= now - behind).unwrap_or(&self.served[0]);
        let (_, ca, until) = served;
        known.1.contains(ca) && now < *until && now < self.ends[*ca as usize]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn what_is_served_is_always_verified_by_the_bundle_of_one_propagation_ago(
        hours in proptest::collection::vec(1_i64..40 * 24, 2_000),
        unpublished in proptest::collection::vec(0_u8..4, 2_000),
        behind in 0_i64..48,
    ) {
        let lifetimes = Lifetimes::default();
        let mut now = start();
        let end = start() + SignedDuration::from_hours(60 * 365 * 24);
        let mut world = World::begin(now, &lifetimes);
        for (hours, luck) in hours.into_iter().zip(unpublished) {
            if now > end {
                break;
            }
            // One try in four to write the webhook configurations comes to nothing.
            for _ in 0..4 {
                let step = plan(&world.state, &names(), &lifetimes, now);
                prop_assert!(step != Step::StartOver, "started over at {now}");
                world.take(step, &lifetimes, now, luck != 0);
            }
            let next = now + SignedDuration::from_hours(hours);
            for moment in [now, now + SignedDuration::from_mins(1), next - SignedDuration::from_secs(1)] {
                for lag in [SignedDuration::ZERO, PROPAGATION / 2, PROPAGATION] {
                    for behind in [SignedDuration::ZERO, SignedDuration::from_hours(behind)] {
                        prop_assert!(world.verifies(moment, lag, behind), "at {moment}, bundle {lag} old, replica {behind} behind");
                    }
                }
            }
            now = next;
        }
        prop_assert!(now <= end || world.switches >= 5, "{} changes of CA in sixty years", world.switches);
    }
}

#[test]
fn a_decade_of_daily_looks_renews_ten_to_fifteen_times_and_changes_the_ca_once() {
    let lifetimes = Lifetimes::default();
    let mut world = World::begin(start(), &lifetimes);
    for n in 0..3_650 {
        while !matches!(plan(&world.state, &names(), &lifetimes, day(n)), Step::Keep { .. }) {
            let step = plan(&world.state, &names(), &lifetimes, day(n));
            world.take(step, &lifetimes, day(n), true);
        }
    }
    assert!((10..=17).contains(&world.served.len()), "{}", world.served.len());
    assert_eq!((world.switches, world.made), (1, 2));
    assert!(world.previous.is_empty() && world.next.is_none());
}
