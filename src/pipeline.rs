//! The pipeline: series become runs, runs become histories, histories become recommendations. Commands and the service
//! run this one. Where a source and a store come from, and who is told, is theirs: no clock and no command line here.

use std::collections::BTreeMap;

use crate::collector::{CollectError, Request, Step, Summary, Who, collect};
use crate::fit::Constraints;
use crate::fit::spark::KnownHeaps;
use crate::history::{History, Store, StoreError};
use crate::prometheus::SeriesSource;
use crate::recommendation::Line;
use crate::sizing::SizingPolicy;
use crate::workload::WorkloadKey;
use crate::workload::containers::does_the_work;

/// Histories of what was asked about, and how they came about.
pub struct Learned {
    /// Histories by workload and container.
    pub histories: BTreeMap<WorkloadKey, History>,
    /// What was missing and what to do about it.
    pub notes: Vec<String>,
    /// What the user bounds the sizes by.
    pub policy: SizingPolicy,
    /// What the cluster bounds them by, as far as the source told: the largest node.
    pub constraints: Constraints,
}

/// Nothing was learned; says what follows from that, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{consequence}: {why}")]
pub struct NothingLearned {
    consequence: String,
    why: String,
}

impl Learned {
    /// Without any history there is nothing to say but why.
    ///
    /// # Errors
    /// What was missing and what to do about it.
    pub fn not_empty(&self, consequence: &str) -> Result<(), NothingLearned> {
        if !self.histories.is_empty() {
            return Ok(());
        }
        let why = if self.notes.is_empty() {
            "there is no finished run in this time; give a longer --history, or check -n".to_owned()
        } else {
            self.notes.join("; ")
        };
        Err(NothingLearned { consequence: consequence.to_owned(), why })
    }

    /// What each container should ask for, by its history alone.
    pub fn recommendations(&self) -> Vec<Line> {
        let heaps = KnownHeaps::default();
        self.histories
            .iter()
            .map(|(key, history)| Line::of_history(key, history, &self.policy, &self.constraints, &heaps))
            .collect()
    }
}

/// The whole way: reads what is new in a source into the store, and gives the histories of the namespaces that were
/// asked for (`request.scope`; none = all).
///
/// # Errors
/// As [`collect`].
pub async fn run<S: SeriesSource>(
    source: &S,
    store: &Store,
    request: &Request,
    who: &mut Who,
    policy: SizingPolicy,
    progress: impl FnMut(Step),
) -> Result<Learned, CollectError> {
    let summary = collect(source, store, request, who, progress).await?;
    let mut learned = learned(store, &request.scope.namespaces, policy)?;
    learned.constraints = Constraints::default().with_largest_node(summary.largest_node);
    learned.notes.splice(0..0, notes(summary));
    Ok(learned)
}

/// What a store knows. `namespaces` empty = all.
///
/// # Errors
/// The store cannot be read.
pub fn learned(store: &Store, namespaces: &[String], policy: SizingPolicy) -> Result<Learned, StoreError> {
    let mut histories = BTreeMap::new();
    let mut left_alone: BTreeMap<String, u64> = BTreeMap::new();
    for entry in store.histories(None)? {
        let (key, history) = entry?;
        if !is_asked_for(namespaces, &key) {
            continue;
        }
        if does_the_work(key.workload.kind, &key.container) {
            histories.insert(key, history);
        } else {
            let runs = history.older().runs.saturating_add(history.runs().len() as u64);
            *left_alone.entry(key.container).or_default() += runs;
        }
    }
    let mut notes: Vec<String> = note_of_left_alone(&left_alone).into_iter().collect();
    notes.extend(store.take_notices().into_iter().map(|notice| notice.message));
    Ok(Learned { histories, notes, policy, constraints: Constraints::default() })
}

/// Histories of the containers that do their workload's work, in the order of their keys' text, read one after the
/// other. `namespaces` empty = all.
///
/// # Errors
/// The store cannot be read.
pub fn histories<'a>(
    store: &'a Store,
    namespaces: &'a [String],
) -> Result<impl Iterator<Item = Result<(WorkloadKey, History), StoreError>> + 'a, StoreError> {
    let wanted = |key: &WorkloadKey| is_asked_for(namespaces, key) && does_the_work(key.workload.kind, &key.container);
    let one = match namespaces {
        [one] => Some(one.as_str()),
        _ => None,
    };
    Ok(store.histories(one)?.filter(move |entry| entry.as_ref().map_or(true, |(key, _)| wanted(key))))
}

fn is_asked_for(namespaces: &[String], key: &WorkloadKey) -> bool {
    namespaces.is_empty() || namespaces.contains(&key.workload.namespace)
}

/// Side containers that are not sized, by name, as one line.
fn note_of_left_alone(runs: &BTreeMap<String, u64>) -> Option<String> {
    let all: u64 = runs.values().sum();
    let (containers, are) = if all == 1 { ("container", "is") } else { ("containers", "are") };
    let names: Vec<String> = runs.iter().map(|(name, runs)| format!("{name} ({runs})")).collect();
    (all > 0).then(|| {
        format!(
            "{all} side {containers} of past pods {are} left alone, as whoever adds them sizes them: {}",
            names.join(", ")
        )
    })
}

/// What a collection has to tell.
fn notes(summary: Summary) -> Vec<String> {
    let mut notes: Vec<String> = summary.gaps;
    notes.extend(summary.unidentified.iter().map(|u| {
        let what = if u.instances == 1 { "container" } else { "containers" };
        format!(
            "{} {what} of past pods in {} belong to no workload, {} among them: {}",
            u.instances, u.namespace, u.example, u.reason
        )
    }));
    notes.extend(summary.by_name.iter().map(|(namespace, instances)| {
        let (containers, were) = if *instances == 1 { ("container", "was") } else { ("containers", "were") };
        format!(
            "{instances} {containers} of past pods in {namespace} {were} matched by their names alone, to pods that are \
             there now: work of the same name that has no pod now is counted with them"
        )
    }));
    if summary.samples_out_of_range > 0 {
        notes.push(format!(
            "{} samples were left out because no container can have such values: check what writes those series",
            summary.samples_out_of_range
        ));
    }
    notes
}
