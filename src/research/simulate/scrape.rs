//! How the simulated Prometheus scrapes: when, how often, from how many replicas, with which faults.
//! Knows nothing of what is scraped.

use super::metric::Metric;
use super::random::{below, mix, share};

/// Which keys of labels or annotations kube-state-metrics may show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowlist {
    /// None: the metric does not exist (kube-state-metrics' default).
    Nothing,
    /// All keys.
    Everything,
    /// These keys, as they stand on the pod.
    Keys(Vec<String>),
}

/// What `container_memory_max_usage_bytes` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HighWater {
    /// The series does not exist.
    Absent,
    /// Always 0 (cgroup v2 before kernel 5.19).
    Zero,
    /// The cgroup's high-water mark.
    Present,
}

/// When a target is scraped inside the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// At multiples of the interval since the epoch.
    Aligned,
    /// Each target at an offset of its own, as Prometheus does.
    Spread,
}

/// Which time a usage sample carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamps {
    /// The time of the measurement: cAdvisor's explicit timestamps, honoured.
    Measured,
    /// The time of the scrape.
    Scraped,
}

/// A time without scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When it begins, in milliseconds before the end of the window.
    pub before_end_ms: i64,
    /// How long it lasts, in milliseconds.
    pub length_ms: i64,
    /// The replica it is about, from 0; `None` is all.
    pub replica: Option<u32>,
}

/// How the cluster is scraped and what of it is emitted.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapeOptions {
    /// Milliseconds between two scrapes of a kubelet.
    pub interval_ms: i64,
    /// Milliseconds between two scrapes of kube-state-metrics.
    pub state_interval_ms: i64,
    /// Where in the interval a target is scraped.
    pub phase: Phase,
    /// Each scrape comes up to so many milliseconds late.
    pub jitter_ms: i64,
    /// A usage value was measured up to so many milliseconds before the scrape (cAdvisor's housekeeping).
    pub lag_ms: i64,
    /// Which time a usage sample carries.
    pub stamps: Stamps,
    /// Prometheus replicas, 1 or more; with 2 or more every series carries `prometheus_replica` (`a`, `b`, …).
    pub replicas: u32,
    /// Times without scrapes.
    pub gaps: Vec<Gap>,
    /// Share of scrapes that fail at random, 0 to 1.
    pub missed_share: f64,
    /// The last usage value is repeated for so many milliseconds after the container's end.
    pub linger_ms: i64,
    /// What the cgroup's high-water mark shows.
    pub high_water: HighWater,
    /// Whether the pod's own cgroup (`container=""`) has series too.
    pub pod_level: bool,
    /// Whether usage series carry `id` and `name`; without them a restart in place is a counter reset.
    pub container_ids: bool,
    /// Whether the kubelet's `/metrics/resource` is scraped as well: the same metrics a second time.
    pub resource_endpoint: bool,
    /// Which pod labels kube-state-metrics shows.
    pub pod_labels: Allowlist,
    /// Which pod annotations kube-state-metrics shows.
    pub pod_annotations: Allowlist,
    /// Of a pod that has ended, only every so-manieth state sample is kept (1 is all): less data, same last values.
    pub finished_every: u32,
    /// The metrics to emit; `None` is all.
    pub metrics: Option<Vec<Metric>>,
}

impl Default for ScrapeOptions {
    /// A kube-prometheus-stack at 30 s with all labels allowed.
    fn default() -> Self {
        Self {
            interval_ms: 30_000,
            state_interval_ms: 30_000,
            phase: Phase::Spread,
            jitter_ms: 0,
            lag_ms: 0,
            stamps: Stamps::Measured,
            replicas: 1,
            gaps: Vec::new(),
            missed_share: 0.0,
            linger_ms: 0,
            high_water: HighWater::Present,
            pod_level: true,
            container_ids: true,
            resource_endpoint: false,
            pod_labels: Allowlist::Everything,
            pod_annotations: Allowlist::Everything,
            finished_every: 1,
            metrics: None,
        }
    }
}

impl ScrapeOptions {
    /// Whether a metric is emitted.
    pub fn emits(&self, metric: Metric) -> bool {
        self.metrics.as_ref().is_none_or(|list| list.contains(&metric))
    }

    /// The time that a usage sample of this scrape carries.
    pub(super) const fn stamp(&self, scrape: Scrape) -> i64 {
        match self.stamps {
            Stamps::Measured => scrape.measured_ms,
            Stamps::Scraped => scrape.at_ms,
        }
    }
}

/// One moment of scraping.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scrape {
    /// Number of the scrape since the epoch.
    pub(super) number: i64,
    /// When Prometheus scraped, milliseconds since the epoch.
    pub(super) at_ms: i64,
    /// When the value was measured.
    pub(super) measured_ms: i64,
}

/// One target as one replica scrapes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) options: &'a ScrapeOptions,
    pub(super) key: u64,
    pub(super) replica: u32,
    pub(super) interval_ms: i64,
    pub(super) end_ms: i64,
    pub(super) lag_ms: i64,
}

impl<'a> Target<'a> {
    /// The scrapes with `from <= time <= to` that worked, in order.
    pub(super) fn scrapes(self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = Scrape> + 'a {
        let interval = self.interval_ms.max(1);
        let jitter = self.options.jitter_ms.clamp(0, interval - 1);
        let missed = self.options.missed_share;
        let seed = mix(self.key, u64::from(self.replica));
        let phase = match self.options.phase {
            Phase::Aligned => 0,
            Phase::Spread => below(seed, interval),
        };
        let to_ms = to_ms.min(self.end_ms);
        let first = (from_ms - phase - jitter).div_euclid(interval);
        (first..)
            .take_while(move |k| phase + k * interval <= to_ms)
            .map(move |k| {
                let noise = mix(seed, k as u64);
                let late = if jitter > 0 { below(noise, jitter + 1) } else { 0 };
                let at_ms = phase + k * interval + late;
                let lag = if self.lag_ms > 0 { below(mix(noise, 1), self.lag_ms + 1) } else { 0 };
                let worked = missed <= 0.0 || share(mix(noise, 2)) >= missed;
                (Scrape { number: k, at_ms, measured_ms: at_ms - lag }, worked)
            })
            .filter(move |(s, worked)| *worked && s.at_ms >= from_ms && s.at_ms <= to_ms && !self.in_gap(s.at_ms))
            .map(|(s, _)| s)
    }

    fn in_gap(self, at_ms: i64) -> bool {
        self.options.gaps.iter().any(|g| {
            let from = self.end_ms - g.before_end_ms;
            g.replica.is_none_or(|r| r == self.replica) && at_ms >= from && at_ms < from + g.length_ms
        })
    }
}

/// The label of a replica; `None` where there is only one.
pub(super) fn replica_label(options: &ScrapeOptions, replica: u32) -> Option<(String, String)> {
    (options.replicas > 1).then(|| {
        let letter = char::from(b'a' + (replica % 26) as u8);
        ("prometheus_replica".to_owned(), letter.to_string())
    })
}
