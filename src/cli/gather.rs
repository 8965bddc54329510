//! Collects history and makes report lines of it: what `recommend`, `dry-run`, `explain` and `demo` share.

use std::collections::BTreeMap;

use anyhow::Context;

use super::progress::Bar;
use super::source_args::{Source, SourceArgs, open_text};
use crate::collector::{KnownPods, Request, Summary, Who, collect, runs_csv};
use crate::fit::spark::KnownHeaps;
use crate::fit::{Allocatable, Fitted, Surroundings};
use crate::history::{History, Store};
use crate::prometheus::TimeRange;
use crate::recommendation::Line;
use crate::sizing::SizingPolicy;
use crate::workload::containers::does_the_work;
use crate::workload::{Workload, WorkloadKey};

/// Histories of what was asked about, and how they came about.
pub struct Gathered {
    /// Histories by workload and container.
    pub histories: BTreeMap<WorkloadKey, History>,
    /// What was missing and what to do about it.
    pub notes: Vec<String>,
    /// What bounds the sizes.
    pub policy: SizingPolicy,
    /// What the largest node can give to pods, as far as the source told.
    pub largest_node: Allocatable,
}

impl Gathered {
    /// Without any history there is nothing to say but why.
    ///
    /// # Errors
    /// What was missing and what to do about it.
    pub fn not_empty(&self, consequence: &str) -> anyhow::Result<()> {
        if !self.histories.is_empty() {
            return Ok(());
        }
        if self.notes.is_empty() {
            anyhow::bail!("{consequence}: there is no finished run in this time; give a longer --history, or check -n");
        }
        anyhow::bail!("{consequence}: {}", self.notes.join("; "))
    }
}

/// Collects from the source that the arguments name. `namespaces` empty = all.
///
/// # Errors
/// One line that says what, where and what to do.
pub async fn gather(args: &SourceArgs, namespaces: Vec<String>, known: KnownPods) -> anyhow::Result<Gathered> {
    args.check()?;
    let store = args.store()?;
    if !args.runs().is_empty() {
        for path in args.runs() {
            let text = open_text(path)?;
            runs_csv::load(text, &path.display().to_string(), &store)?;
        }
        return finish(&store, &namespaces, Summary::default(), Vec::new(), args.policy());
    }
    if args.is_only_a_store() {
        return finish(&store, &namespaces, Summary::default(), Vec::new(), args.policy());
    }
    let (source, window) = args.open().await?;
    gather_from(&source, window, &store, args, namespaces, known).await
}

/// Collects from an open source.
///
/// # Errors
/// As [`gather`].
pub async fn gather_from(
    source: &Source,
    window: TimeRange,
    store: &Store,
    args: &SourceArgs,
    namespaces: Vec<String>,
    known: KnownPods,
) -> anyhow::Result<Gathered> {
    let bar = Bar::new("Reading history");
    let mut who = Who::new(known, args.rules());
    // What is forgotten at the end is not read again.
    let late_ms = if store.is_on_disk() { args.late_ms() } else { 0 };
    let request = Request { scope: args.scope(namespaces.clone()), window, late_ms };
    let summary = collect(source, store, &request, &mut who, |step| bar.step(step))
        .await
        .with_context(|| "the history could not be read to its end")?;
    drop(bar);
    finish(store, &namespaces, summary, source.warnings(), args.policy())
}

/// Reads what is new into a store, without a word on a terminal: for a service.
///
/// # Errors
/// As [`gather`].
pub async fn learn_into(
    args: &SourceArgs,
    store: &Store,
    namespaces: Vec<String>,
    known: KnownPods,
) -> anyhow::Result<()> {
    if args.is_only_a_store() {
        return Ok(());
    }
    let (source, window) = args.open().await?;
    let mut who = Who::new(known, args.rules());
    let request = Request { scope: args.scope(namespaces), window, late_ms: args.late_ms() };
    let summary = collect(&source, store, &request, &mut who, |_| {}).await;
    let summary = summary.with_context(|| "the history could not be read to its end")?;
    for gap in summary.gaps {
        tracing::warn!("{gap}");
    }
    tracing::info!(runs = summary.runs, workloads = summary.workloads, samples = summary.samples, "history read");
    Ok(())
}

/// What a service has learned so far. `namespaces` empty = all.
///
/// # Errors
/// The store cannot be read.
pub fn learned(store: &Store, namespaces: &[String], policy: SizingPolicy) -> anyhow::Result<Gathered> {
    finish(store, namespaces, Summary::default(), Vec::new(), policy)
}

fn finish(
    store: &Store,
    namespaces: &[String],
    summary: Summary,
    warnings: Vec<String>,
    policy: SizingPolicy,
) -> anyhow::Result<Gathered> {
    let mut histories = BTreeMap::new();
    let largest_node = summary.largest_node;
    for entry in store.histories(None)? {
        let (key, history) = entry?;
        let wanted = namespaces.is_empty() || namespaces.contains(&key.workload.namespace);
        if wanted && does_the_work(key.workload.kind, &key.container) {
            histories.insert(key, history);
        }
    }
    let mut notes: Vec<String> = summary.gaps;
    notes.extend(summary.unidentified.iter().map(|u| {
        let lives = if u.lives == 1 { "container" } else { "containers" };
        format!(
            "{} {lives} of past pods in {} belong to no workload, {} among them: {}",
            u.lives, u.namespace, u.example, u.reason
        )
    }));
    notes.extend(summary.by_name.iter().map(|(namespace, lives)| {
        let (containers, were) = if *lives == 1 { ("container", "was") } else { ("containers", "were") };
        format!(
            "{lives} {containers} of past pods in {namespace} {were} matched by their names alone, to pods that are \
             there now: work of the same name that has no pod now is counted with them"
        )
    }));
    if summary.absurd_samples > 0 {
        notes.push(format!(
            "{} samples were left out because no container can have such values: check what writes those series",
            summary.absurd_samples
        ));
    }
    notes.extend(warnings.into_iter().map(|w| format!("the server warned: {w}")));
    notes.extend(store.take_notices().into_iter().map(|n| n.message));
    Ok(Gathered { histories, notes, policy, largest_node })
}

/// Report lines from histories alone.
pub fn lines(gathered: &Gathered) -> Vec<Line> {
    let surroundings = Surroundings::default().with_largest_node(gathered.largest_node);
    gathered
        .histories
        .iter()
        .map(|(key, history)| {
            Line::new(key, history, None, &gathered.policy, &surroundings, &KnownHeaps::default(), |_| None::<Fitted>)
        })
        .collect()
}

/// The key that a workload argument means: `kind/name/…`, with or without `namespace/` before and `:container` after.
///
/// # Errors
/// Says which keys there are that come near.
pub fn find<'a>(
    histories: &'a BTreeMap<WorkloadKey, History>,
    text: &str,
) -> anyhow::Result<Vec<(&'a WorkloadKey, &'a History)>> {
    let (workload, container) = match text.rsplit_once(':') {
        Some((workload, container)) => (workload, Some(container)),
        None => (text, None),
    };
    let matches = |w: &Workload| {
        let short = w.to_string();
        short == workload || format!("{}/{short}", w.namespace) == workload
    };
    let found: Vec<_> = histories
        .iter()
        .filter(|(key, _)| matches(&key.workload) && container.is_none_or(|c| c == key.container))
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let mut near: Vec<(f64, String)> = histories
        .keys()
        .map(|key| (alike(&key.workload.to_string(), workload), key.workload.to_string()))
        .filter(|(alike, _)| *alike > 0.4)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    near.dedup();
    near.truncate(3);
    let near: Vec<String> = near.into_iter().map(|(_, name)| name).collect();
    if near.is_empty() {
        anyhow::bail!(
            "no history of {text:?}: {} workloads were found, `podfit recommend` lists them",
            histories.len()
        );
    }
    anyhow::bail!("no history of {text:?}; there is {}", near.join(", "))
}

/// How alike two names are, from 0 to 1: the share of neighbouring characters that they have in common.
fn alike(a: &str, b: &str) -> f64 {
    let pairs = |text: &str| -> Vec<(char, char)> { text.chars().zip(text.chars().skip(1)).collect() };
    let (a, mut b) = (pairs(a), pairs(b));
    let all = a.len() + b.len();
    let mut common = 0;
    for pair in &a {
        if let Some(at) = b.iter().position(|p| p == pair) {
            b.swap_remove(at);
            common += 2;
        }
    }
    f64::from(common) / all.max(1) as f64
}
