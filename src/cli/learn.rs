//! Runs the pipeline on the source that the arguments name; `recommend`, `dry-run`, `explain` and `report` share it.

use std::collections::BTreeMap;

use anyhow::Context;

use super::progress::Bar;
use super::source_args::{Source, SourceArgs, open_text};
use crate::collector::{KnownPods, Request, Who, collect, runs_csv};
use crate::history::{History, Store};
use crate::pipeline::{self, Learned};
use crate::prometheus::TimeRange;
use crate::workload::{Workload, WorkloadKey};

/// Learns from the source that the arguments name. `namespaces` empty = all.
///
/// # Errors
/// One line that says what, where and what to do.
pub async fn gather(args: &SourceArgs, namespaces: Vec<String>, known: KnownPods) -> anyhow::Result<Learned> {
    args.check()?;
    let store = args.store()?;
    for path in args.runs() {
        runs_csv::load(open_text(path)?, &path.display().to_string(), &store)?;
    }
    if !args.runs().is_empty() || args.is_only_a_store() {
        return Ok(pipeline::learned(&store, &namespaces, args.policy())?);
    }
    let (source, window) = args.open().await?;
    gather_from(&source, window, &store, args, namespaces, known).await
}

/// Learns from an open source.
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
) -> anyhow::Result<Learned> {
    let bar = Bar::new("Reading history");
    let mut who = Who::new(known, args.rules());
    // What is forgotten at the end is not read again.
    let late_ms = if store.is_on_disk() { args.late_ms() } else { 0 };
    let request = Request { scope: args.scope(namespaces), window, late_ms };
    let learned = pipeline::run(source, store, &request, &mut who, args.policy(), |step| bar.step(step)).await;
    let mut learned = learned.context(UNFINISHED)?;
    learned.notes.extend(source.warnings().into_iter().map(|w| format!("the server warned: {w}")));
    Ok(learned)
}

const UNFINISHED: &str = "the history could not be read to its end";

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
    let summary = summary.context(UNFINISHED)?;
    for gap in summary.gaps {
        tracing::warn!("{gap}");
    }
    tracing::info!(runs = summary.runs, workloads = summary.workloads, samples = summary.samples, "history read");
    Ok(())
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
