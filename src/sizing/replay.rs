//! Walk-forward replay: what a way of sizing would have given each run, had it known only the runs before.
//! Pure: gets rows, returns numbers; what they cost is the business of `score`.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::estimator::{Estimator, Next, Observed};
use crate::quantity::MIB_F64;

/// Smallest allocation: below it a container runtime's own overhead shows.
pub const FLOOR_BYTES: f64 = 64.0 * MIB_F64;
/// With fewer runs known than this there is no evidence (Ponder, arXiv 2408.00047, keeps the request then), and the
/// first runs of a group are not decided.
pub const WARM_UP: usize = 3;
/// Groups with fewer runs than this say too little about a rule that learns.
pub const FEWEST_RUNS: usize = 10;
/// Of a group only this many runs count, from the first: all that happens to a rule happens before, and a group of a
/// hundred thousand runs shall not outweigh all others.
pub const MOST_RUNS: usize = 3_000;
/// Numbers of known runs at which a recommendation is asked for under [`Protocol::Block`]. Nobody asks before every
/// single run: people and controllers look now and then, and more rarely the longer all goes well.
pub const ASKED_AT: [usize; 15] = [3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500, 800, 1_200, 2_000];
/// A node's memory when nothing else is said.
pub const NODE_BYTES: f64 = 128.0 * 1024.0 * MIB_F64;

/// One run to be replayed. `None` = not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Row {
    /// Highest memory use, in bytes.
    pub peak_bytes: Option<f64>,
    /// Run time in seconds.
    pub seconds: Option<f64>,
    /// Start, in seconds since the epoch.
    pub start_seconds: Option<f64>,
    /// Size of its input in bytes.
    pub input_bytes: Option<f64>,
    /// What it asked for, in bytes.
    pub requested_bytes: Option<f64>,
    /// Whether it was killed for memory.
    pub killed: bool,
}

impl Row {
    /// The same, with what is no number at all (NaN, infinite, negative) taken for not known.
    #[must_use]
    pub fn cleaned(self) -> Self {
        let amount = |value: Option<f64>| value.filter(|v| v.is_finite() && *v >= 0.0);
        Self {
            peak_bytes: amount(self.peak_bytes),
            seconds: amount(self.seconds),
            start_seconds: self.start_seconds.filter(|v| v.is_finite()),
            input_bytes: amount(self.input_bytes),
            requested_bytes: amount(self.requested_bytes),
            killed: self.killed,
        }
    }
}

/// When a recommendation is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// At the history lengths of [`ASKED_AT`]; held in between. Input sizes are not known.
    #[default]
    Block,
    /// Before every run, with its input size.
    Walk,
}

/// The rules of a replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// When a recommendation is asked for.
    pub protocol: Protocol,
    /// Whether a run is known only when it ended before the next started; else it is known as soon as it is done,
    /// before the next row.
    pub finished_only: bool,
    /// Memory of the largest node, in bytes: no allocation is larger.
    pub node_bytes: f64,
    /// What a method gives a run that it has no answer for: its request or, without one, the whole node; else nothing
    /// is decided.
    pub fall_back: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { protocol: Protocol::Block, finished_only: false, node_bytes: NODE_BYTES, fall_back: true }
    }
}

/// An amount as it is allocated: whole MiB, rounded up, at least [`FLOOR_BYTES`], at most the node; the node when it
/// is no number.
pub fn allocated(bytes: f64, node_bytes: f64) -> f64 {
    if !bytes.is_finite() {
        return node_bytes;
    }
    ((bytes / MIB_F64).ceil() * MIB_F64).max(FLOOR_BYTES).min(node_bytes)
}

/// What the method would have given each run at first, in bytes; `None` where it was not asked (the first
/// [`WARM_UP`] runs) or had no answer. Each depends on earlier rows only.
pub fn decisions(rows: &[Row], method: &mut dyn Estimator, rules: &Rules) -> Vec<Option<f64>> {
    let mut replay = Replaying { method, rules, known: 0, held: None, given: vec![None; rows.len()] };
    let mut running = BinaryHeap::new();
    let mut decided = Vec::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate() {
        let row = row.cleaned();
        let now = row.start_seconds.filter(|_| rules.finished_only);
        while let Some(ended) = running.peek().copied().filter(|r: &Ended| now.is_none_or(|now| r.seconds <= now)) {
            running.pop();
            replay.observe(&rows[ended.at].cleaned(), ended.at);
        }
        decided.push(replay.decide(&row, at));
        // Without a time a run is known to the next row.
        let end = now.map_or(f64::NEG_INFINITY, |start| start + row.seconds.unwrap_or(0.0));
        running.push(Ended { seconds: end, at });
    }
    decided
}

/// A run that ended at a time; the earliest is the greatest, so that a heap gives it first.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ended {
    seconds: f64,
    at: usize,
}

impl Eq for Ended {}

impl Ord for Ended {
    fn cmp(&self, other: &Self) -> Ordering {
        other.seconds.total_cmp(&self.seconds).then(other.at.cmp(&self.at))
    }
}

impl PartialOrd for Ended {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

struct Replaying<'a> {
    method: &'a mut dyn Estimator,
    rules: &'a Rules,
    /// Runs observed.
    known: usize,
    /// The latest answer, and the number of [`ASKED_AT`] passed when it was given.
    held: Option<(usize, Option<f64>)>,
    /// What the method itself gave, by row.
    given: Vec<Option<f64>>,
}

impl Replaying<'_> {
    fn observe(&mut self, row: &Row, at: usize) {
        let Some(peak_bytes) = row.peak_bytes else { return };
        self.known += 1;
        self.method.observe(&Observed {
            peak_bytes,
            seconds: row.seconds,
            start_seconds: row.start_seconds,
            input_bytes: self.input(row),
            limit_bytes: row.requested_bytes,
            killed: row.killed,
            given_bytes: self.given[at],
        });
    }

    fn decide(&mut self, row: &Row, at: usize) -> Option<f64> {
        let node = self.rules.node_bytes;
        let without_answer = || allocated(row.requested_bytes.unwrap_or(node), node);
        if self.known < WARM_UP {
            return (at >= WARM_UP).then(without_answer);
        }
        let passed = ASKED_AT.partition_point(|n| *n <= self.known);
        let answer = match self.held {
            Some((then, answer)) if self.rules.protocol == Protocol::Block && then == passed => answer,
            _ => {
                let next = Next {
                    start_seconds: row.start_seconds,
                    input_bytes: self.input(row),
                    requested_bytes: row.requested_bytes,
                    running_peak_bytes: None,
                };
                self.method.recommend(&next).map(|bytes| allocated(bytes, node))
            }
        };
        self.held = Some((passed, answer));
        self.given[at] = answer;
        answer.or_else(|| self.rules.fall_back.then(without_answer))
    }

    fn input(&self, row: &Row) -> Option<f64> {
        row.input_bytes.filter(|_| self.rules.protocol == Protocol::Walk)
    }
}
