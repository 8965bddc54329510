//! What is known of how a run was observed: what its measurements leave open, how it ended, and sizes that changed
//! while it ran. Plain data; the collector fills it in, sizing decides what it means.

use serde::{Deserialize, Serialize};

use super::resources::Resources;

/// A reason why what was measured of a run says less than it seems to, or why a measurement was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Doubt {
    /// Every memory sample was zero, which no running container uses: its memory is unknown.
    ZeroMemory = 0,
    /// The CPU counter stayed at zero: its CPU is unknown.
    ZeroCpu = 1,
    /// No sample at all fell into the run; kube-state-metrics alone knows of it.
    NeverSampled = 2,
    /// The last memory sample lies well before the end: the peak is a lower bound.
    EndUnseen = 3,
    /// Memory and CPU repeated one value while the container ran on: the peak is a lower bound, and CPU is known only
    /// until they stopped.
    Frozen = 4,
    /// A gap in the samples is so long that a peak may lie in it: the peak is a lower bound.
    LongGap = 5,
    /// The container's start, as cAdvisor has it, contradicts the pod's own start or its CPU counter: it was not used.
    StartContradicted = 6,
    /// The CPU counter went back within one container: the steps back were evened out.
    CounterWentBack = 7,
    /// Several series tell of the container and contradict each other; the most plausible one was used.
    SourcesDisagree = 8,
    /// The kernel's high-water mark lies so far above the working set that it is taken for page cache, which nobody
    /// measured: it was not used.
    PageCache = 9,
    /// Several containers may stand behind it: nothing in the series told their lives apart.
    LivesMerged = 10,
    /// Samples after the known end were left out.
    SamplesAfterEnd = 11,
    /// The last memory sample lies at the end of a run so short that the sample's own age matters: a lower bound, but
    /// where there are many such runs, together they tell the need.
    EndNear = 12,
    /// The kubelet evicted its pod: it failed for the node's want of memory, not its own, wherever its peak lies.
    Evicted = 13,
    /// The page cache that was measured explains the kernel's high-water mark above the working set: it was not used.
    PageCacheSeen = 14,
}

impl Doubt {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::ZeroMemory,
        Self::ZeroCpu,
        Self::NeverSampled,
        Self::EndUnseen,
        Self::Frozen,
        Self::LongGap,
        Self::StartContradicted,
        Self::CounterWentBack,
        Self::SourcesDisagree,
        Self::PageCache,
        Self::LivesMerged,
        Self::SamplesAfterEnd,
        Self::EndNear,
        Self::Evicted,
        Self::PageCacheSeen,
    ];

    /// Those that make a memory peak a lower bound of the run's need.
    pub const OF_PEAK: [Self; 5] = [Self::EndUnseen, Self::Frozen, Self::LongGap, Self::LivesMerged, Self::EndNear];
}

/// A set of [`Doubt`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Doubts(u16);

impl Doubts {
    /// Adds one.
    pub fn add(&mut self, doubt: Doubt) {
        self.0 |= 1 << doubt as u8;
    }

    /// Takes one out.
    pub fn remove(&mut self, doubt: Doubt) {
        self.0 &= !(1 << doubt as u8);
    }

    /// Whether it is among them.
    #[must_use]
    pub const fn has(self, doubt: Doubt) -> bool {
        self.0 & (1 << doubt as u8) != 0
    }

    /// Whether one of `doubts` is among them.
    #[must_use]
    pub fn has_any(self, doubts: &[Doubt]) -> bool {
        doubts.iter().any(|doubt| self.has(*doubt))
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// One after the other, in the order of [`Doubt::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Doubt> {
        Doubt::ALL.into_iter().filter(move |doubt| self.has(*doubt))
    }

    /// As a number; bit n is the n-th of [`Doubt::ALL`].
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// From a number as [`Self::bits`] gives it; bits of doubts that this version does not know are dropped.
    #[must_use]
    pub fn from_bits(bits: u16) -> Self {
        Self(bits & ((1 << Doubt::ALL.len()) - 1))
    }
}

impl FromIterator<Doubt> for Doubts {
    fn from_iter<I: IntoIterator<Item = Doubt>>(doubts: I) -> Self {
        let mut set = Self::default();
        doubts.into_iter().for_each(|doubt| set.add(doubt));
        set
    }
}

impl Serialize for Doubts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_seq(self.iter()) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Doubts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Ok(Vec::<Doubt>::deserialize(deserializer)?.into_iter().collect())
        } else {
            u16::deserialize(deserializer).map(Self::from_bits)
        }
    }
}

/// Requests and limits that held in a part of a run, before they were changed in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldUntil {
    /// When others took their place, milliseconds since the epoch.
    pub until_ms: i64,
    /// What held until then.
    pub resources: Resources,
}

/// What is known of how a run was observed, beside its measurements. The default: nothing is in doubt, nothing changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// What its measurements leave open.
    pub doubts: Doubts,
    /// The exit code of its container, where it was seen.
    pub exit_code: Option<i32>,
    /// Processes in it that the kernel killed for memory while the container went on (`container_oom_events_total`).
    pub killed_children: u32,
    /// Whether something other than the container's own reason proves that its work was done: its Job succeeded, or its
    /// pod's phase is Succeeded.
    pub succeeded: bool,
    /// Sizes that held before those in [`super::Run::resources`], which held last; in the order of time.
    pub held: Vec<HeldUntil>,
}
