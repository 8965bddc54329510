//! The known ways to size memory, as their authors published them, to compare with: KRR, Kubernetes' VPA, Google's
//! Autopilot, and what the user asked for. None of them is used for a recommendation.

use std::collections::{BTreeMap, VecDeque};

use crate::quantity::MIB_F64;
use crate::sizing::estimator::{Estimator, Next, Observed};

/// Statistics over single runs look at this many of the latest: more would change no published rule's answer (their
/// half-lives are days) and cost time.
const WINDOW: usize = 1_000;

/// KRR (robusta-dev/krr, strategy `simple`): highest peak +15 %, at least 100 MB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Krr {
    max: Option<f64>,
}

impl Krr {
    /// `memory_buffer_percentage` 15.
    const MARGIN: f64 = 1.15;
    /// `memory_min_value` 100.
    const FLOOR: f64 = 100e6;
}

impl Estimator for Krr {
    fn observe(&mut self, run: &Observed) {
        self.max = Some(self.max.unwrap_or(0.0).max(run.peak_bytes));
    }

    fn recommend(&self, _next: &Next) -> Option<f64> {
        self.max.map(|max| (max * Self::MARGIN).max(Self::FLOOR))
    }

    fn formula(&self) -> &'static str {
        "max·1.15"
    }
}

/// Kubernetes' Vertical Pod Autoscaler (kubernetes/autoscaler): P90 of a histogram of peaks that forgets half in 24 h,
/// +15 %, at least 250 MB; a run that its number would have killed counts as one of 1.2 times that number or 100 MiB
/// more.
#[derive(Clone, Debug, Default)]
pub struct Vpa {
    /// (bucket, start) of the latest peaks.
    peaks: VecDeque<(i32, Option<f64>)>,
    /// (bucket, start) of the latest kills.
    kills: VecDeque<(i32, Option<f64>)>,
}

impl Vpa {
    /// Half-life of a sample, in seconds (`memory-histogram-decay-half-life` 24h).
    const HALF_LIFE: f64 = 86_400.0;
    /// Width of the first bucket, in bytes.
    const FIRST_BUCKET: f64 = 1e7;
    /// Each bucket is wider than the one before by this share.
    const GROWTH: f64 = 0.05;
    /// `target-memory-percentile` 0.9.
    const QUANTILE: f64 = 0.9;
    /// `recommendation-margin-fraction` 0.15.
    const MARGIN: f64 = 1.15;
    /// `pod-recommendation-min-memory-mb` 250.
    const FLOOR: f64 = 250e6;
    /// `oom-bump-up-ratio` 1.2 and `oom-min-bump-up-bytes` 100 MiB.
    const BUMP: (f64, f64) = (1.2, 100.0 * MIB_F64);
    /// Weights are never zero, so that a history of long ago still has a quantile.
    const LEAST_WEIGHT: f64 = 1e-300;

    fn bucket(bytes: f64) -> i32 {
        ((bytes.max(0.0) * Self::GROWTH / Self::FIRST_BUCKET).ln_1p() / (1.0 + Self::GROWTH).ln()).floor() as i32
    }

    /// Upper end of a bucket.
    fn end(bucket: i32) -> f64 {
        Self::FIRST_BUCKET * ((1.0 + Self::GROWTH).powi(bucket + 1) - 1.0) / Self::GROWTH
    }
}

impl Estimator for Vpa {
    fn observe(&mut self, run: &Observed) {
        if let Some(given) = run.given_bytes.filter(|given| *given < run.peak_bytes) {
            let bumped = (Self::BUMP.0 * given).max(given + Self::BUMP.1);
            push(&mut self.kills, (Self::bucket(bumped), run.start_seconds));
        }
        push(&mut self.peaks, (Self::bucket(run.peak_bytes), run.start_seconds));
    }

    fn recommend(&self, next: &Next) -> Option<f64> {
        let samples = || self.peaks.iter().chain(&self.kills);
        let mut weights = ages(samples().map(|(_, start)| *start), next.start_seconds);
        for weight in &mut weights {
            *weight = (-*weight / Self::HALF_LIFE).exp2();
        }
        let heaviest = weights.iter().copied().fold(0.0, f64::max).max(Self::LEAST_WEIGHT);
        let mut buckets: BTreeMap<i32, f64> = BTreeMap::new();
        for ((bucket, _), weight) in samples().zip(weights) {
            *buckets.entry(*bucket).or_default() += (weight / heaviest).max(Self::LEAST_WEIGHT);
        }
        let by_bucket: Vec<(i32, f64)> = buckets.into_iter().collect();
        let bucket = weighted_quantile(&by_bucket, Self::QUANTILE)?;
        Some((Self::end(bucket) * Self::MARGIN).max(Self::FLOOR))
    }

    fn formula(&self) -> &'static str {
        "decayed P90·1.15"
    }
}

/// Google's Autopilot (Rzadca et al., `EuroSys` 2020), its statistical rule for memory: P98 of the peaks, weighted by
/// their size and forgetting half in 48 h, +10 %.
#[derive(Clone, Debug, Default)]
pub struct Autopilot {
    /// Peak and start of the latest runs, oldest first.
    latest: VecDeque<(f64, Option<f64>)>,
    /// The same, lowest peak first.
    sorted: Vec<(f64, Option<f64>)>,
}

impl Autopilot {
    /// Half-life of a sample, in seconds.
    const HALF_LIFE: f64 = 172_800.0;
    /// The quantile for jobs that tolerate few kills.
    const QUANTILE: f64 = 0.98;
    /// The safety margin.
    const MARGIN: f64 = 1.10;
}

impl Estimator for Autopilot {
    fn observe(&mut self, run: &Observed) {
        let new = (run.peak_bytes, run.start_seconds);
        if let Some(gone) = push(&mut self.latest, new) {
            let from = self.sorted.partition_point(|(peak, _)| *peak < gone.0);
            if let Some(at) = self.sorted[from..].iter().position(|one| *one == gone) {
                self.sorted.remove(from + at);
            }
        }
        let at = self.sorted.partition_point(|(peak, _)| *peak <= new.0);
        self.sorted.insert(at, new);
    }

    fn recommend(&self, next: &Next) -> Option<f64> {
        let ages = ages(self.sorted.iter().map(|(_, start)| *start), next.start_seconds);
        let mut weighted: Vec<(f64, f64)> = self
            .sorted
            .iter()
            .zip(ages)
            .map(|((peak, _), age)| (*peak, *peak * (-age / Self::HALF_LIFE).exp2()))
            .collect();
        // All of long ago, or all zero: then time says nothing.
        if weighted.iter().map(|(_, weight)| weight).sum::<f64>() <= 0.0 {
            weighted = self.sorted.iter().map(|(peak, _)| (*peak, *peak)).collect();
        }
        weighted_quantile(&weighted, Self::QUANTILE).map(|peak| peak * Self::MARGIN)
    }

    fn formula(&self) -> &'static str {
        "decayed P98·1.1"
    }
}

/// What the run asks for already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request;

impl Estimator for Request {
    fn observe(&mut self, _run: &Observed) {}

    fn recommend(&self, next: &Next) -> Option<f64> {
        next.requested_bytes
    }

    fn formula(&self) -> &'static str {
        "as requested"
    }
}

/// Appends, and returns what is too old to be kept.
fn push<T>(latest: &mut VecDeque<T>, new: T) -> Option<T> {
    latest.push_back(new);
    if latest.len() > WINDOW { latest.pop_front() } else { None }
}

/// Seconds from each start to now; all 0 when one of them is not known, because then none can be compared.
fn ages(starts: impl Iterator<Item = Option<f64>> + Clone, now: Option<f64>) -> Vec<f64> {
    let known: Option<Vec<f64>> = now.and_then(|now| starts.clone().map(|start| start.map(|s| now - s)).collect());
    known.unwrap_or_else(|| vec![0.0; starts.count()])
}

/// The first value, in the order given, at which the sum of weights reaches the share `q` of them all.
fn weighted_quantile<T: Copy>(sorted: &[(T, f64)], q: f64) -> Option<T> {
    // The last of the running sums, not a sum taken otherwise: the two may differ in the last bit.
    let all = sorted.iter().fold(0.0, |sum, (_, weight)| sum + weight);
    let mut sum = 0.0;
    for (value, weight) in sorted {
        sum += weight;
        if sum >= q * all {
            return Some(*value);
        }
    }
    sorted.last().map(|(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: f64 = 86_400.0;

    fn seen(peak_bytes: f64, day: f64) -> Observed {
        Observed { peak_bytes, start_seconds: Some(day * DAY), ..Observed::default() }
    }

    fn after(method: &mut dyn Estimator, runs: &[Observed], day: f64) -> f64 {
        for run in runs {
            method.observe(run);
        }
        let next = Next { start_seconds: Some(day * DAY), ..Next::default() };
        method.recommend(&next).unwrap()
    }

    #[test]
    fn krr_adds_a_fixed_margin_to_the_highest() {
        assert!((after(&mut Krr::default(), &[seen(1e9, 0.0), seen(2e9, 1.0)], 2.0) - 2.3e9).abs() < 1.0);
        assert_eq!(after(&mut Krr::default(), &[seen(1e6, 0.0)], 1.0), 100e6);
        assert_eq!(Krr::default().recommend(&Next::default()), None);
    }

    #[test]
    fn vpa_forgets_and_learns_from_its_kills() {
        // Ten days ago weighs 1/1024 of today: nine small ones are the P90.
        let mut runs = vec![seen(4e9, 0.0)];
        runs.extend((0..9).map(|_| seen(1e9, 10.0)));
        let small = after(&mut Vpa::default(), &runs, 10.0);
        // A bucket is up to 5 % wide.
        assert!((1.15e9..1.15e9 * 1.06).contains(&small), "{small}");
        // Killed at 3.9 GB: at least 1.2 times that.
        let killed = Observed { given_bytes: Some(3.9e9), ..seen(4e9, 10.0) };
        let raised = after(&mut Vpa::default(), &[killed, killed], 10.0);
        assert!(raised >= 3.9e9 * 1.2 * 1.15, "{raised}");
        assert_eq!(after(&mut Vpa::default(), &[seen(1e6, 0.0)], 1.0), 250e6);
    }

    #[test]
    fn autopilot_weighs_by_size_and_age() {
        let many: Vec<Observed> = (0..100).map(|_| seen(1e9, 0.0)).chain([seen(3e9, 0.0)]).collect();
        // One in a hundred, but three times as large: 3/103 of the weight, more than 2 %.
        assert!((after(&mut Autopilot::default(), &many, 0.0) - 3.3e9).abs() < 1.0);
        // Of thousands of days ago nothing has any weight: then age does not count.
        assert!((after(&mut Autopilot::default(), &many, 1e6) - 3.3e9).abs() < 1.0);
    }

    #[test]
    fn only_the_latest_runs_are_kept() {
        let mut autopilot = Autopilot::default();
        (0..2 * WINDOW).for_each(|i| autopilot.observe(&seen((2 * WINDOW - i) as f64 * 1e6, i as f64)));
        assert_eq!((autopilot.sorted.len(), autopilot.latest.len()), (WINDOW, WINDOW));
        assert_eq!(autopilot.sorted.last().map(|(peak, _)| *peak), Some(WINDOW as f64 * 1e6));
    }
}
