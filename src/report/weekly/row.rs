//! One container of one workload in the period: what it came to, what it should ask for, and what is not known of it.

use serde::Serialize;

use super::changed::{self, SizeChange};
use super::{End, Entry, FoundAt, NotJudged, Period, Settings, Size, Sums, words};
use crate::fit::ContainerResources;
use crate::history::{History, Run};
use crate::policy::Finding;
use crate::quantity::Quantity;
use crate::recommendation::{Change, Verdict};
use crate::text::units;

/// One container of one workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Namespace.
    pub namespace: String,
    /// The workload's text form, `kind/name/…`.
    pub workload: String,
    /// Container.
    pub container: String,
    /// In the period.
    #[serde(flatten)]
    pub now: Sums,
    /// In the period before, at today's recommended size; `None` where those runs are no longer kept one by one.
    pub before: Option<Sums>,
    /// Since when its runs are kept one by one, milliseconds since the epoch, where that is after the period's start:
    /// earlier runs are not in its numbers.
    pub incomplete_since_ms: Option<i64>,
    /// Highest memory peak in the period, in bytes.
    pub peak_max_bytes: Option<u64>,
    /// Median memory peak of the finished runs of the period, in bytes.
    pub peak_median_bytes: Option<u64>,
    /// What it asks for now.
    pub current: ContainerResources,
    /// What it should ask for; a value that is not there stays as it is.
    pub recommended: ContainerResources,
    /// What is to be done.
    pub verdict: Verdict,
    /// The change of its requests and limits in the period, where there was one.
    pub changed: Option<SizeChange>,
    /// Habits that break the rules, where a pod was looked at.
    pub findings: Vec<Finding>,
    /// Why, one sentence each: unknown, held back, changed by constraints.
    pub notes: Vec<String>,
    /// What makes its numbers doubtful, a few words each; they are among the notes too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caveats: Vec<String>,
}

impl Row {
    pub(super) fn new(entry: &Entry<'_>, settings: &Settings) -> Self {
        let (history, line, period) = (entry.history, &entry.line, settings.period);
        let size = Size {
            memory_bytes: line.recommended.memory_request.map(Quantity::bytes_rounded_up),
            cpu_millis: line.recommended.cpu_request.map(Quantity::millis_rounded_up),
        };
        let older = history.older();
        // Runs that ended by then are only sums.
        let kept_since = (older.runs > 0).then_some(older.last_ms);
        let sums = |period: Period| Sums::of(history.runs(), period, &size, &settings.prices);
        let before = period.before();
        let mut peaks: Vec<u64> =
            history.runs().filter(|r| period.has_end_of(r)).filter_map(|r| r.memory).map(|m| m.peak_bytes).collect();
        peaks.sort_unstable();
        let seen = history.runs().filter(|r| period.has_part_of(r)).filter_map(|r| r.memory).map(|m| m.peak_bytes);
        Self {
            namespace: line.namespace.clone(),
            workload: line.workload.clone(),
            container: line.container.clone(),
            now: sums(period),
            before: kept_since.is_none_or(|since| since <= before.start_ms).then(|| sums(before)),
            incomplete_since_ms: kept_since.filter(|since| *since > period.start_ms),
            peak_max_bytes: seen.max(),
            peak_median_bytes: peaks.get(peaks.len().saturating_sub(1) / 2).copied(),
            current: line.current,
            recommended: line.recommended,
            verdict: line.verdict.clone(),
            changed: changed::of(entry, settings),
            findings: line.findings.clone(),
            notes: line.notes.clone(),
            caveats: line.evidence.caveats(),
        }
    }

    /// Whether there is anything to say about it in the period or the one before.
    pub(super) fn is_listed(&self) -> bool {
        self.now.runs.runs() > 0 || self.before.is_some_and(|b| b.runs.runs() > 0) || !self.findings.is_empty()
    }

    pub(super) fn place(&self) -> (&str, &str, &str) {
        (&self.namespace, &self.workload, &self.container)
    }

    /// Memory that it asks for now: what kills is the limit.
    pub fn asked_memory(&self) -> Option<Quantity> {
        self.current.memory_limit.or(self.current.memory_request)
    }

    /// Memory that it should ask for.
    pub fn needed_memory(&self) -> Option<Quantity> {
        self.recommended.memory_limit.or(self.recommended.memory_request)
    }

    pub(super) fn found(&self) -> impl Iterator<Item = FoundAt> + '_ {
        self.findings.iter().map(|finding| FoundAt {
            namespace: self.namespace.clone(),
            workload: self.workload.clone(),
            finding: finding.clone(),
        })
    }

    /// What could not be judged of it, in one entry.
    pub(super) fn not_judged(&self) -> Option<NotJudged> {
        let mut why: Vec<String> = Vec::new();
        if self.verdict.memory == Change::Unknown || self.verdict.cpu == Change::Unknown {
            // Or left to an autoscaler.
            let why_not = |n: &&String| n.contains(" unknown: ") || n.contains(" left as it is: ");
            why.extend(self.notes.iter().filter(why_not).cloned());
        }
        why.extend(self.caveats.iter().cloned());
        let runs = &self.now.runs;
        if let Some(since) = self.incomplete_since_ms {
            why.push(format!(
                "only runs since {} are counted, because of so many runs no more are kept one by one",
                words::moment(since)
            ));
        }
        if runs.unobserved > 0 {
            why.push(format!(
                "{} of {} without a memory sample: what they used is not in the sums",
                runs.unobserved,
                words::counted(runs.runs(), "run")
            ));
        }
        if runs.without_memory_request > 0 {
            why.push(format!(
                "{} of {} without a memory request, or none was recorded: they used {} GiB·h, which is in no other sum",
                runs.without_memory_request,
                words::counted(runs.runs(), "run"),
                words::amount(self.now.memory.used_without_request)
            ));
        }
        (!why.is_empty()).then(|| NotJudged {
            namespace: self.namespace.clone(),
            workload: self.workload.clone(),
            container: self.container.clone(),
            why: why.join("; "),
        })
    }

    /// One word for what to do, memory first: it kills.
    pub fn action(&self) -> &'static str {
        crate::report::table::action_of(&self.verdict)
    }

    /// Memory now and recommended, as one reads it: `8Gi → 1.4Gi`.
    pub fn memory_words(&self) -> String {
        let asked = units::memory_or_dash(self.asked_memory());
        match self.verdict.memory {
            Change::Unknown | Change::Keep => asked,
            Change::Raise | Change::Set | Change::Lower => {
                format!("{asked} → {}", units::memory_or_dash(self.needed_memory()))
            }
        }
    }

    /// CPU request now and recommended.
    pub fn cpu_words(&self) -> String {
        let asked = units::cpu_or_dash(self.current.cpu_request);
        match self.verdict.cpu {
            Change::Unknown | Change::Keep => asked,
            Change::Raise | Change::Set | Change::Lower => {
                format!("{asked} → {}", units::cpu_or_dash(self.recommended.cpu_request))
            }
        }
    }
}

/// A run as a picture shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    /// Start, milliseconds since the epoch.
    pub started_ms: i64,
    /// End, or when it was last seen.
    pub ended_ms: i64,
    /// Highest memory use, in bytes.
    pub bytes: u64,
    /// Request in force.
    pub request_bytes: Option<u64>,
    /// Limit in force.
    pub limit_bytes: Option<u64>,
    /// How it ended.
    pub end: End,
}

/// Runs of the period and the one before that have a peak, in the order of their start.
pub(super) fn peaks(history: &History, period: Period) -> Vec<Peak> {
    let shown = Period { start_ms: period.before().start_ms, end_ms: period.end_ms };
    let of = |run: &Run| {
        Some(Peak {
            started_ms: run.started_ms,
            ended_ms: run.ended_ms,
            bytes: run.memory?.peak_bytes,
            request_bytes: run.resources.memory_request_bytes,
            limit_bytes: run.resources.memory_limit_bytes,
            end: End::of(run),
        })
    };
    history.runs().filter(|r| shown.has_part_of(r)).filter_map(of).collect()
}
