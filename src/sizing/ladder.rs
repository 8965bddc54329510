//! The ladder: how much memory a run's second, third, … attempt gets after it was killed at its limit.
//! Numbers in, numbers out; knows no history and no pod.
//!
//! # The rule
//! A run that was killed at `a` needs more than `a`, so only what earlier runs needed above `a` counts. If there are k
//! such runs, the need of this one is equally likely to fall into each of the k + 1 gaps that they leave (runs are
//! exchangeable), and a step up to the j-th of them covers j gaps. Beyond the highest nothing is known: that gap is
//! covered by twice the highest, or twice `a` where no run needed more. Doubling is the retry rule of Witt et al. (HPCS
//! 2019) and of the sizing literature since.
//!
//! Of all ladders of up to [`MOST_ATTEMPTS`] − 1 steps the one is taken that holds the least memory-time until the run
//! is through, every failed attempt counted for the whole run time. The gap of a run weighs as its run time does. Each
//! step is at least [`SMALLEST_STEP`] times what killed, none is above the ceiling, and steps that are left over go on
//! doubling. Of a run that was killed itself, the peak is a lower bound: its weight goes to all gaps above it, as in
//! Efron's redistribution to the right for censored values ("The two sample problem with censored data", 1967).
//!
//! On the per-run records that chose the constants of [`super::tail`], 109 runs were given too little although higher
//! peaks had been seen. What they then cost until they were through, over what they used, as mean over workflows: 1.13
//! with doubling, 0.89 with a jump to the highest peak, 0.79 with this ladder; killed again 45, 8 and 8 of them.

use crate::quantity::MIB;

/// Attempts in all that are planned for, the first included: what Spark gives a task (`spark.task.maxFailures` 4).
pub const MOST_ATTEMPTS: usize = 4;
/// Each step is at least this many times the one before: less is likely to be another failure for nothing. One step of
/// VPA's after an OOM kill (`oom-bump-up-ratio` 1.2).
pub const SMALLEST_STEP: f64 = 1.2;
/// Steps up to a peak that was seen lie this much above it, so that one more like it is covered. Of 109 kills with
/// peaks seen above the limit, in 13 public workflows, with 0, 2, 5 and 10 % on top 11, 8, 8 and 8 led to a second one.
const HEADROOM: f64 = 1.02;
/// Where nothing is known of what lies above.
const DOUBLING: f64 = 2.0;
/// Beyond any machine; keeps products inside `u64`.
const MOST_BYTES: u64 = 1 << 62;

/// Longer than any run; keeps sums finite.
const MOST_SECONDS: f64 = 1e12;

/// What one earlier run needed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Need {
    /// Memory peak in bytes.
    pub bytes: f64,
    /// Run time in seconds.
    pub seconds: f64,
    /// Whether it was killed for memory, so that it needed more than its peak.
    pub killed: bool,
}

/// Memory of attempts 2, 3, … in bytes, whole MiB, ascending, each above `first_bytes`, which attempt 1 had and was
/// killed at; at most [`MOST_ATTEMPTS`] − 1 of them. The last one may be less than [`SMALLEST_STEP`] above the one
/// before where the ceiling says so; empty when attempt 1 had the ceiling already.
pub fn ladder(needs: &[Need], first_bytes: u64, ceiling_bytes: Option<u64>) -> Vec<u64> {
    let ceiling = ceiling_bytes.unwrap_or(MOST_BYTES).min(MOST_BYTES) / MIB * MIB;
    if first_bytes >= ceiling {
        return Vec::new();
    }
    let mut steps = Tail::above(needs, first_bytes, ceiling).cheapest(first_bytes, MOST_ATTEMPTS - 1).1;
    while let Some(last) = steps.last().copied().filter(|last| *last < ceiling)
        && steps.len() < MOST_ATTEMPTS - 1
    {
        steps.push(times(last, DOUBLING).min(ceiling));
    }
    steps
}

/// The step to take after a kill at any limit, in bytes: the lowest of the ladder that is [`SMALLEST_STEP`] above it,
/// twice the limit where there is none. Never above the ceiling; where the limit was that or more already, the limit
/// itself: there is nothing more to give.
pub fn next_after(ladder: &[u64], killed_at_bytes: u64, ceiling_bytes: Option<u64>) -> u64 {
    let ceiling = ceiling_bytes.unwrap_or(MOST_BYTES).min(MOST_BYTES) / MIB * MIB;
    let least = times(killed_at_bytes, SMALLEST_STEP);
    let step = ladder.iter().copied().find(|step| *step >= least);
    step.unwrap_or_else(|| times(killed_at_bytes, DOUBLING)).min(ceiling).max(killed_at_bytes)
}

/// So many times as much, whole MiB, rounded up; more in any case.
fn times(bytes: u64, factor: f64) -> u64 {
    let bytes = bytes.min(MOST_BYTES);
    let product = ((bytes as f64 * factor / MIB as f64).ceil() * MIB as f64).min(MOST_BYTES as f64);
    (product as u64).max((bytes / MIB + 1) * MIB)
}

/// What a run may need that was killed, and how likely that is: (bytes, weight), ascending. The last one covers what is
/// beyond all that was seen.
struct Tail {
    gaps: Vec<(u64, f64)>,
}

impl Tail {
    fn above(needs: &[Need], first_bytes: u64, ceiling: u64) -> Self {
        let mut above: Vec<Need> = needs.iter().copied().filter(|n| n.bytes > first_bytes as f64).collect();
        let order = |a: &Need, b: &Need| a.bytes.total_cmp(&b.bytes).then(a.killed.cmp(&b.killed));
        above.sort_by(|a, b| order(a, b).then(a.seconds.total_cmp(&b.seconds)));
        let amount = |seconds: f64| if seconds.is_finite() { seconds.clamp(0.0, MOST_SECONDS) } else { 0.0 };
        let total: f64 = above.iter().map(|n| amount(n.seconds)).sum();
        // Without any run time every run weighs the same.
        let weight = |n: &Need| if total > 0.0 { amount(n.seconds) } else { 1.0 };
        let beyond = if total > 0.0 { total / above.len() as f64 } else { 1.0 };
        let highest = above.last().map_or(first_bytes as f64, |n| n.bytes.min(MOST_BYTES as f64));
        let mut rest = beyond + above.iter().map(weight).sum::<f64>();
        let mut scale = 1.0;
        let mut gaps: Vec<(u64, f64)> = Vec::new();
        for need in &above {
            let own = weight(need);
            rest -= own;
            if need.killed {
                scale *= (rest + own) / rest.max(beyond);
            } else {
                gaps.push((up(HEADROOM * need.bytes).min(ceiling), own * scale));
            }
        }
        gaps.push((times(highest as u64, DOUBLING).min(ceiling), beyond * scale));
        Self { gaps }
    }

    /// Weight of all that need more.
    fn alive(&self, bytes: u64) -> f64 {
        let from = self.gaps.partition_point(|(need, _)| *need <= bytes);
        self.gaps[from..].iter().map(|(_, weight)| weight).sum()
    }

    fn top(&self) -> u64 {
        self.gaps.last().map_or(0, |(bytes, _)| *bytes)
    }

    /// The cheapest steps up from `from`, and what they cost until all are through: every step is paid by all that
    /// still need more than the one before. Of equal costs fewer steps.
    fn cheapest(&self, from: u64, most: usize) -> (f64, Vec<u64>) {
        let (alive, top) = (self.alive(from), self.top());
        let mut best = (top as f64 * alive, vec![top]);
        if most <= 1 {
            return best;
        }
        // Between two needs no step is better than the lower of them, unless that is too near.
        let least = times(from, SMALLEST_STEP);
        let needs = self.gaps.iter().map(|(bytes, _)| *bytes).filter(|bytes| *bytes > least);
        let mut before = 0;
        for step in std::iter::once(least).chain(needs) {
            let own = step as f64 * alive;
            if own >= best.0 {
                break;
            }
            if step != before {
                let (later, steps) = self.cheapest(step, most - 1);
                if own + later < best.0 {
                    best = (own + later, std::iter::once(step).chain(steps).collect());
                }
            }
            before = step;
        }
        best
    }
}

fn up(bytes: f64) -> u64 {
    ((bytes / MIB as f64).ceil() * MIB as f64).min(MOST_BYTES as f64) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn needs(mib: &[u64]) -> Vec<Need> {
        mib.iter().map(|m| Need { bytes: (m * MIB) as f64, seconds: 60.0, killed: false }).collect()
    }

    fn in_mib(needs: &[Need], first: u64, ceiling: Option<u64>) -> Vec<u64> {
        ladder(needs, first * MIB, ceiling.map(|c| c * MIB)).into_iter().map(|b| b / MIB).collect()
    }

    #[rstest]
    #[case::nothing_seen_above(&[900, 950], 1000, None, &[2000, 4000, 8000])]
    #[case::nothing_seen_at_all(&[], 1000, None, &[2000, 4000, 8000])]
    // One at 1300: 2·1326 + 2600 for both steps, 2·2600 for the higher alone.
    #[case::one_seen(&[1300], 1000, None, &[2600, 5200, 10_400])]
    // Two at 1300: 3·1326 + 2600 instead of 3·2600.
    #[case::a_mode_above(&[1300, 1300], 1000, None, &[1326, 2600, 5200])]
    #[case::two_modes_above(&[1500, 1500, 1500, 1500, 6000, 6000, 6000], 1000, None, &[1530, 6120, 12_000])]
    // 1050 is too near: a step is a fifth at least.
    #[case::hardly_more(&[1050, 1050, 1050], 1000, None, &[1200, 2100, 4200])]
    #[case::a_ceiling(&[1300, 1300], 1000, Some(2000), &[1326, 2000])]
    #[case::a_near_ceiling(&[1300, 1300], 1000, Some(1100), &[1100])]
    #[case::at_the_ceiling(&[1300, 1300], 1000, Some(1000), &[])]
    #[case::above_the_ceiling(&[1300, 1300], 1000, Some(500), &[])]
    fn ladders(#[case] seen: &[u64], #[case] first: u64, #[case] ceiling: Option<u64>, #[case] expected: &[u64]) {
        assert_eq!(in_mib(&needs(seen), first, ceiling), expected);
    }

    #[test]
    fn a_killed_run_needed_more_than_its_peak() {
        let mut seen = needs(&[1300, 1300, 4000, 4000]);
        assert_eq!(in_mib(&seen, 1000, None), [1326, 4080, 8000]);
        // The two at 1300 were killed there: their needs are somewhere above.
        seen[0].killed = true;
        seen[1].killed = true;
        assert_eq!(in_mib(&seen, 1000, None), [4080, 8000, 16_000]);
        let only_killed = [Need { killed: true, ..seen[0] }];
        assert_eq!(in_mib(&only_killed, 1000, None), [2600, 5200, 10_400]);
    }

    #[test]
    fn a_long_run_weighs_more_than_a_short_one() {
        let mut seen = needs(&[1300, 1300, 1300, 1300, 6000]);
        assert_eq!(in_mib(&seen, 1000, None)[0], 1326);
        seen[4].seconds = 6000.0;
        assert_eq!(in_mib(&seen, 1000, None)[0], 6120);
    }

    #[rstest]
    #[case::a_step(&[1300, 2600], 1000, None, 1300)]
    #[case::too_near(&[1300, 2600], 1200, None, 2600)]
    #[case::at_a_step(&[1300, 2600], 1300, None, 2600)]
    #[case::above_all(&[1300, 2600], 2600, None, 5200)]
    #[case::no_ladder(&[], 1000, None, 2000)]
    #[case::nothing(&[], 0, None, 1)]
    #[case::capped(&[1300, 2600], 1300, Some(2000), 2000)]
    #[case::at_the_ceiling(&[1300, 2600], 2000, Some(2000), 2000)]
    #[case::above_the_ceiling(&[1300, 2600], 3000, Some(2000), 3000)]
    fn steps(#[case] ladder: &[u64], #[case] killed_at: u64, #[case] ceiling: Option<u64>, #[case] expected: u64) {
        let ladder: Vec<u64> = ladder.iter().map(|m| m * MIB).collect();
        assert_eq!(next_after(&ladder, killed_at * MIB, ceiling.map(|c| c * MIB)), expected * MIB);
    }

    #[test]
    fn absurd_needs_do_no_harm() {
        let absurd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -1.0];
        let seen: Vec<Need> =
            absurd.iter().flat_map(|b| absurd.map(|s| Need { bytes: *b, seconds: s, killed: s > 0.0 })).collect();
        for first in [0, 1, MIB, u64::MAX] {
            let steps = ladder(&seen, first, None);
            assert!(steps.windows(2).all(|w| w[0] < w[1]) && steps.iter().all(|s| *s > first), "{steps:?}");
            assert!(next_after(&steps, first, None) >= first);
        }
    }

    /// Cost of a ladder as its definition has it: each run climbs until it has what it needs.
    fn cost(gaps: &[(u64, f64)], steps: &[u64]) -> Option<f64> {
        let mut cost = 0.0;
        for (need, weight) in gaps {
            let last = steps.iter().position(|s| s >= need)?;
            cost += steps[..=last].iter().map(|s| *s as f64).sum::<f64>() * weight;
        }
        Some(cost)
    }

    proptest! {
        #[test]
        fn ascending_above_what_killed_capped_and_the_same_in_any_order(
            seen in prop::collection::vec((0_u64..1 << 40, 0.0_f64..1e5, any::<bool>()), 0..40),
            first in 0_u64..1 << 40,
            ceiling in prop::option::of(0_u64..1 << 41),
        ) {
            let mut seen: Vec<Need> = seen.iter()
                .map(|(b, seconds, killed)| Need { bytes: *b as f64, seconds: *seconds, killed: *killed })
                .collect();
            let steps = ladder(&seen, first, ceiling);
            prop_assert!(steps.len() < MOST_ATTEMPTS);
            let mut before = first;
            for step in &steps {
                prop_assert!(*step > before && step.is_multiple_of(MIB));
                let capped = ceiling.is_some_and(|c| *step == c / MIB * MIB);
                prop_assert!(capped || *step as f64 >= SMALLEST_STEP * before as f64);
                prop_assert!(ceiling.is_none_or(|c| *step <= c));
                prop_assert_eq!(next_after(&steps, before, ceiling), *step);
                before = *step;
            }
            prop_assert!(!steps.is_empty() || ceiling.is_some_and(|c| first >= c / MIB * MIB));
            let after = next_after(&steps, first, ceiling);
            prop_assert!(after > first || ceiling.is_some_and(|c| first >= c / MIB * MIB));
            seen.reverse();
            let again = ladder(&seen, first, ceiling);
            prop_assert_eq!(again, steps);
        }

        #[test]
        fn no_other_ladder_is_cheaper(
            seen in prop::collection::vec((11_u64..40, 1_u32..9), 0..6),
            ceiling in prop::option::of(12_u64..90),
        ) {
            let first = 10;
            let weighted: Vec<Need> = seen.iter()
                .map(|(m, s)| Need { bytes: (m * MIB) as f64, seconds: f64::from(*s), killed: false })
                .collect();
            let highest = seen.iter().map(|(m, _)| *m).max().unwrap_or(first);
            let most = ceiling.unwrap_or(1000);
            let mean = if seen.is_empty() {
                1.0
            } else {
                seen.iter().map(|(_, s)| f64::from(*s)).sum::<f64>() / seen.len() as f64
            };
            let covered = |mib: u64| (mib as f64 * HEADROOM).ceil() as u64;
            let mut gaps: Vec<(u64, f64)> =
                seen.iter().map(|(m, s)| (covered(*m).min(most), f64::from(*s))).collect();
            gaps.push(((2 * highest).min(most), mean));
            let top = (2 * highest).min(most);
            let ours = cost(&gaps, &in_mib(&weighted, first, ceiling)).unwrap();
            let far_enough = |from: u64, to: u64| to == top && to > from || to * 10 >= from * 12;
            let mut least = cost(&gaps, &[top]).unwrap();
            for a in (first + 1..=top).filter(|a| far_enough(first, *a)) {
                least = least.min(cost(&gaps, &[a]).unwrap_or(f64::INFINITY));
                for b in (a + 1..=top).filter(|b| far_enough(a, *b)) {
                    least = least.min(cost(&gaps, &[a, b]).unwrap_or(f64::INFINITY));
                    for c in (b + 1..=top).filter(|c| far_enough(b, *c)) {
                        least = least.min(cost(&gaps, &[a, b, c]).unwrap_or(f64::INFINITY));
                    }
                }
            }
            prop_assert!((ours - least).abs() <= 1e-9 * least, "{} instead of {}", ours, least);
        }
    }
}
