//! The report of a period, a week by default: what was requested, used and recommended, what changed, what is at risk,
//! what to do. One model; its renderers only print it. Gets histories, asks nobody, knows no clock.

mod amounts;
mod brief;
mod changed;
mod columns;
pub mod csv;
mod entry;
pub mod html;
pub mod json;
mod live;
pub mod markdown;
mod method;
mod money;
mod period;
mod renderer;
mod risk;
mod row;
pub mod text;
mod words;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
pub(crate) mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

pub use amounts::{Amounts, Counts, End, Size, Sums};
pub use brief::Brief;
pub use changed::{SizeChange, Source};
pub use entry::Entry;
pub use live::{Live, Objects, QuotaRoom};
pub use money::Money;
pub use period::Period;
pub use renderer::{Renderer, Unwritten};
pub use risk::{Risk, RiskKind};
pub use row::{Peak, Row};
pub use words::slug;

use crate::policy::{Finding, Mode};
use crate::recommendation::Change;
use crate::sizing::SizingPolicy;

/// What an hour costs. The defaults are podfit's own round figures, near what general-purpose machines cost on demand
/// at large clouds; nobody's price list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Prices {
    /// One core for one hour, not negative.
    pub core_hour: f64,
    /// One GiB of memory for one hour, not negative.
    pub gib_hour: f64,
    /// What they are in: a currency's code.
    pub currency: String,
}

impl Default for Prices {
    fn default() -> Self {
        Self { core_hour: 0.03, gib_hour: 0.004, currency: "USD".to_owned() }
    }
}

/// What to report.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The period.
    pub period: Period,
    /// Prices.
    pub prices: Prices,
    /// How many savings, risks and pictures are shown, at least 1; sums are over all.
    pub top: usize,
    /// Namespaces that were asked for; empty = all.
    pub namespaces: Vec<String>,
    /// What bounds the sizes.
    pub policy: SizingPolicy,
}

/// Sums of one namespace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSums {
    /// Its name.
    pub namespace: String,
    /// Containers that ran in the period.
    pub containers: usize,
    /// Of them, those without a number for memory.
    pub unknown: usize,
    /// What they come to.
    #[serde(flatten)]
    pub sums: Sums,
}

/// The period beside the one before, over the containers that both are known of in full.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// Containers that are compared.
    pub containers: usize,
    /// Containers left out, because runs of the period before are no longer kept one by one.
    pub left_out: usize,
    /// In the period.
    pub now: Sums,
    /// In the one before, at today's recommended sizes.
    pub before: Sums,
}

/// Something that could not be judged, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotJudged {
    /// Namespace.
    pub namespace: String,
    /// The workload's text form.
    pub workload: String,
    /// Container.
    pub container: String,
    /// What, and why.
    pub why: String,
}

/// A finding of a rule, with where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FoundAt {
    /// Namespace.
    pub namespace: String,
    /// The workload's text form; empty where it is the namespace's own.
    pub workload: String,
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
}

/// A row with what its pictures are drawn from.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// Which of [`Weekly::workloads`].
    pub row: usize,
    /// Peaks of its runs, in the order of their start.
    pub peaks: Vec<Peak>,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Weekly {
    /// What it is about.
    pub period: Period,
    /// Namespaces that were asked for; empty = all.
    pub namespaces_asked: Vec<String>,
    /// Prices of all money in it.
    pub prices: Prices,
    /// How many savings, risks and pictures are shown.
    pub top: usize,
    /// Sums over all containers of [`Self::workloads`].
    pub totals: Sums,
    /// Containers without a number for memory.
    pub unknown: usize,
    /// Containers known from before that did not run in the period nor in the one before: not listed.
    pub quiet: usize,
    /// Against the period before; `None` where [`Self::no_comparison`] says why.
    pub comparison: Option<Comparison>,
    /// Why there is no comparison.
    pub no_comparison: Option<String>,
    /// By namespace, the most expensive first.
    pub namespaces: Vec<NamespaceSums>,
    /// Every container, the most expensive first.
    pub workloads: Vec<Row>,
    /// The largest savings: places in [`Self::workloads`], at most `top`.
    pub largest_savings: Vec<usize>,
    /// Risks, the most serious first.
    pub risks: Vec<Risk>,
    /// Containers whose requests or limits changed in the period.
    pub changes: Vec<SizeChange>,
    /// Findings of rules, where a cluster was looked at.
    pub findings: Vec<FoundAt>,
    /// Whether a cluster was looked at: without, there can be no finding and no quota.
    pub looked_at_cluster: bool,
    /// Room in quotas, where a cluster was looked at.
    pub quotas: Vec<QuotaRoom>,
    /// What could not be judged, and why.
    pub not_judged: Vec<NotJudged>,
    /// What was missing from the data and what to do about it.
    pub notes: Vec<String>,
    /// How the numbers were made, a sentence each.
    pub method: Vec<String>,
    /// What the pictures are drawn from.
    #[serde(skip)]
    pub details: Vec<Detail>,
}

impl Weekly {
    /// From what is known of each container. `live` is `None` where no cluster was looked at; `notes` are the data's.
    pub fn new(entries: &[Entry<'_>], live: Option<Live>, notes: Vec<String>, settings: &Settings) -> Self {
        let known_from = entries.iter().filter_map(|e| e.history.first_ms()).min();
        let mut rows: Vec<(Row, &Entry<'_>)> =
            entries.iter().map(|entry| (Row::new(entry, settings), entry)).filter(|(row, _)| row.is_listed()).collect();
        let quiet = entries.len() - rows.len();
        rows.sort_by(|(a, _), (b, _)| {
            b.now.money.requested.total_cmp(&a.now.money.requested).then_with(|| a.place().cmp(&b.place()))
        });
        let (workloads, entries): (Vec<Row>, Vec<&Entry<'_>>) = rows.into_iter().unzip();
        let top = settings.top.max(1);
        let mut totals = Sums::default();
        for row in &workloads {
            totals.add(&row.now);
        }
        let largest_savings = largest_savings(&workloads, top);
        let mut risks: Vec<Risk> = workloads.iter().enumerate().flat_map(|(at, row)| risk::of(at, row)).collect();
        risks.sort_by_key(|r| (r.kind, Reverse(r.runs), r.row));
        let no_comparison = method::no_comparison(known_from, settings.period);
        let comparison = no_comparison.is_none().then(|| compare(&workloads));
        let details = details(&workloads, &entries, &largest_savings, &risks, top, settings.period);
        let looked_at_cluster = live.is_some();
        let live = live.unwrap_or_default();
        let mut findings: Vec<FoundAt> = workloads.iter().flat_map(Row::found).chain(live.findings).collect();
        findings.sort_by(|a, b| place_of(a).cmp(&place_of(b)));
        Self {
            period: settings.period,
            namespaces_asked: settings.namespaces.clone(),
            prices: settings.prices.clone(),
            top,
            totals,
            unknown: workloads.iter().filter(|r| r.verdict.memory == Change::Unknown).count(),
            quiet,
            comparison,
            no_comparison,
            namespaces: by_namespace(&workloads),
            largest_savings,
            risks,
            changes: workloads.iter().filter_map(|r| r.changed.clone()).collect(),
            findings,
            looked_at_cluster,
            quotas: live.quotas,
            not_judged: workloads.iter().filter_map(Row::not_judged).collect(),
            notes,
            method: method::sentences(settings, known_from),
            details,
            workloads,
        }
    }

    /// A row by its place.
    pub fn row(&self, at: usize) -> Option<&Row> {
        self.workloads.get(at)
    }

    /// How many risks there are of each kind, the most serious first.
    pub fn risk_counts(&self) -> BTreeMap<RiskKind, usize> {
        let mut counts = BTreeMap::new();
        for risk in &self.risks {
            *counts.entry(risk.kind).or_insert(0) += 1;
        }
        counts
    }
}

/// What admission turns away first, then by rule and place.
fn place_of(found: &FoundAt) -> (Reverse<Mode>, &str, &str, &str, &str) {
    (Reverse(found.finding.mode), found.finding.rule, &found.namespace, &found.workload, &found.finding.container)
}

fn largest_savings(workloads: &[Row], top: usize) -> Vec<usize> {
    // Where more memory is needed, what CPU would save is no reason to come here.
    let saves = |row: &Row| row.now.money.saving > 0.0 && row.verdict.memory != Change::Raise;
    let mut places: Vec<usize> = (0..workloads.len()).filter(|at| saves(&workloads[*at])).collect();
    places.sort_by(|a, b| {
        let saving = |at: usize| workloads[at].now.money.saving;
        saving(*b).total_cmp(&saving(*a)).then(a.cmp(b))
    });
    places.truncate(top);
    // What is shown as nothing does not stand among what is something.
    let shown = places.iter().take_while(|at| workloads[**at].now.money.saving >= words::SHOWN).count();
    if shown > 0 {
        places.truncate(shown);
    }
    places
}

fn compare(workloads: &[Row]) -> Comparison {
    let (mut now, mut before) = (Sums::default(), Sums::default());
    let mut containers = 0;
    for row in workloads {
        let Some(of_row) = &row.before else { continue };
        containers += 1;
        now.add(&row.now);
        before.add(of_row);
    }
    Comparison { containers, left_out: workloads.len() - containers, now, before }
}

fn by_namespace(workloads: &[Row]) -> Vec<NamespaceSums> {
    let mut sums: BTreeMap<&str, NamespaceSums> = BTreeMap::new();
    for row in workloads {
        let of = sums.entry(&row.namespace).or_insert_with(|| NamespaceSums {
            namespace: row.namespace.clone(),
            containers: 0,
            unknown: 0,
            sums: Sums::default(),
        });
        of.containers += 1;
        of.unknown += usize::from(row.verdict.memory == Change::Unknown);
        of.sums.add(&row.now);
    }
    let mut sums: Vec<NamespaceSums> = sums.into_values().collect();
    // Stable: those of the same price stay in the order of their names.
    sums.sort_by(|a, b| b.sums.money.requested.total_cmp(&a.sums.money.requested));
    sums
}

/// Those with the largest savings and those with the most serious risks, in the order of the table.
fn details(
    workloads: &[Row],
    entries: &[&Entry<'_>],
    savings: &[usize],
    risks: &[Risk],
    top: usize,
    period: Period,
) -> Vec<Detail> {
    let mut wanted: Vec<usize> = savings.to_vec();
    wanted.extend(risks.iter().take(top).map(|risk| risk.row));
    wanted.sort_unstable();
    wanted.dedup();
    wanted
        .into_iter()
        .filter(|at| *at < workloads.len())
        .filter_map(|at| Some(Detail { row: at, peaks: row::peaks(entries.get(at)?.history, period) }))
        .collect()
}
