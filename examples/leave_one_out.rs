//! What the rule of `podfit::sizing::tail` may be expected to do on workflows that its constants were not chosen on:
//! for each workflow (or source) the constants are chosen on all others, and it is replayed with those.
//! Run with `cargo run --release --example leave_one_out -- RUNS.csv.gz…`; a folder is a source. `NODE_OF=lab=2048Gi`
//! names sources with larger nodes than 128Gi.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, ensure};
use podfit::collector::runs_csv::{self, RunsError};
use podfit::quantity::Quantity;
use podfit::research::backtest::{Group, Groups};
use podfit::research::baselines::Krr;
use podfit::sizing::Estimator;
use podfit::sizing::replay::{NODE_BYTES, Row, Rules, decisions};
use podfit::sizing::score::{Score, Tally};
use podfit::sizing::tail::{Constants, FAILING_SHARE, TailEstimator};

/// A way to choose. How much a run too small weighs beside waste is a choice of its own, so there are several.
#[derive(Clone, Copy)]
enum Choice {
    /// The least waste with at most these shares of runs too small: mean, worst workflow; where there is none, the
    /// smallest share.
    Bounds(f64, f64),
    /// The least waste, a run too small in a hundred being worth so many percent of it.
    Weight(f64),
}

const CHOICES: [Choice; 7] = [
    Choice::Bounds(0.007, 0.040),
    Choice::Bounds(0.008, 0.040),
    Choice::Bounds(0.008, 0.045),
    Choice::Bounds(0.009, 0.045),
    Choice::Weight(20.0),
    Choice::Weight(50.0),
    Choice::Weight(100.0),
];

impl Choice {
    /// What is to be least.
    fn key(self, score: &Score) -> (bool, f64) {
        let (share, highest) = (score.oom_share.unwrap_or(1.0), score.worst_oom_share.unwrap_or(1.0));
        let waste = score.relative_waste.unwrap_or(f64::INFINITY);
        match self {
            Self::Bounds(mean, worst) if share > mean || highest > worst => (true, share),
            Self::Bounds(..) => (false, waste),
            Self::Weight(weight) => (false, waste.ln() + weight * share),
        }
    }

    fn name(self) -> String {
        match self {
            Self::Bounds(mean, worst) => format!("bounds {:.1} % and {:.1} %", mean * 100.0, worst * 100.0),
            Self::Weight(weight) => format!("weight {weight}"),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let groups = read()?;
    let groups = groups.replayed();
    let nodes = nodes()?;
    let mut workflows: Vec<(&str, &str)> = Vec::new();
    for group in &groups {
        let name = (group.source.as_str(), group.workflow.as_str());
        if !workflows.contains(&name) {
            workflows.push(name);
        }
    }
    ensure!(workflows.len() > 2, "leave-one-out needs three workflows, there are {}", workflows.len());
    let replay = |make: &dyn Fn() -> Box<dyn Estimator>| -> Vec<Tally> {
        let mut tallies = vec![Tally::default(); workflows.len()];
        for group in &groups {
            let place = workflows.iter().position(|w| *w == (group.source.as_str(), group.workflow.as_str()));
            let node_bytes = nodes.get(&group.source).copied().unwrap_or(NODE_BYTES);
            let rules = Rules { node_bytes, ..Rules::default() };
            let given = decisions(&group.rows, make().as_mut(), &rules);
            tallies[place.unwrap_or(0)].add_group(&group.rows, &given, node_bytes, 1.0);
        }
        tallies
    };
    let krr = replay(&|| Box::<Krr>::default());
    let all: Vec<(Constants, Vec<Tally>)> = grid()
        .into_iter()
        .map(|constants| (constants, replay(&|| Box::new(TailEstimator::with(FAILING_SHARE, constants)))))
        .collect();
    println!(
        "{} runs of {} tasks in {} workflows, {} choices of constants",
        runs(&groups),
        groups.len(),
        krr.len(),
        all.len()
    );
    println!("{:<44} waste/use  too small   worst  vs KRR", "");
    let print = |name: &str, score: &Score| {
        println!(
            "{name:<44} {:>9.3} {:>8.3} % {:>6.2} % {:>7.3}",
            score.waste_per_used.unwrap_or(f64::NAN),
            score.oom_share.unwrap_or(f64::NAN) * 100.0,
            score.worst_oom_share.unwrap_or(f64::NAN) * 100.0,
            score.relative_waste.unwrap_or(f64::NAN)
        );
    };
    print("max·1.15", &Score::of(&krr, &krr, &krr));
    for (constants, tallies) in &all {
        if *constants == Constants::CHOSEN {
            print("as they are", &Score::of(tallies, &krr, &krr));
        }
    }
    for choice in CHOICES {
        for by_source in [false, true] {
            let mut held_out = vec![Tally::default(); workflows.len()];
            for (at, workflow) in workflows.iter().enumerate() {
                let left_out = |other: usize| if by_source { workflows[other].0 == workflow.0 } else { other == at };
                let kept: Vec<usize> = (0..workflows.len()).filter(|other| !left_out(*other)).collect();
                let of = |tallies: &[Tally]| kept.iter().map(|i| tallies[*i]).collect::<Vec<_>>();
                let reference = of(&krr);
                let key = |tallies: &[Tally]| choice.key(&Score::of(&of(tallies), &reference, &reference));
                let best = all.iter().min_by(|a, b| {
                    let (a, b) = (key(&a.1), key(&b.1));
                    a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
                });
                held_out[at] = best.map_or_else(Tally::default, |(_, tallies)| tallies[at]);
            }
            let what = if by_source { "source" } else { "workflow" };
            print(&format!("one {what} left out, {}", choice.name()), &Score::of(&held_out, &krr, &krr));
        }
    }
    Ok(())
}

/// The share of runs that may be left to a retry is no constant to be chosen: it is the bound that users set.
fn grid() -> Vec<Constants> {
    let mut all = Vec::new();
    for failure_cost in [2.0, 3.0, 4.0] {
        for spacings in [1, 2, 3, 4] {
            for worth_it in [0.8, 0.9] {
                for mib in [8.0, 16.0, 32.0, 48.0] {
                    for growths in GROWTHS {
                        let noise_bytes = mib * 1_048_576.0;
                        let given =
                            Constants { failure_cost, spacings, worth_it, noise_bytes, growths, ..Constants::CHOSEN };
                        all.push(given);
                    }
                }
            }
        }
    }
    all
}

/// Ratios of history lengths, for drift.
const GROWTHS: [&[f64]; 6] = [&[2.0], &[2.5], &[2.0, 2.5], &[2.0, 3.0], &[2.0, 2.5, 3.0], &[1.5, 2.0, 2.5]];

fn runs(groups: &[&Group]) -> usize {
    groups.iter().map(|g| g.rows.len().saturating_sub(3)).sum()
}

fn nodes() -> anyhow::Result<HashMap<String, f64>> {
    let Ok(text) = std::env::var("NODE_OF") else { return Ok(HashMap::new()) };
    let one = |pair: &str| {
        let (source, size) = pair.split_once('=').with_context(|| format!("{pair}: SOURCE=MEMORY"))?;
        Ok((source.to_owned(), Quantity::parse(size)?.bytes_rounded_up() as f64))
    };
    text.split(',').map(one).collect()
}

fn is_gz(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}

fn read() -> anyhow::Result<Groups> {
    let mut paths: Vec<String> = std::env::args().skip(1).collect();
    paths.sort();
    ensure!(!paths.is_empty(), "which files? leave_one_out RUNS.csv.gz…");
    let mut groups = Groups::default();
    for path in &paths {
        let file = BufReader::new(File::open(path).with_context(|| format!("cannot read {path}"))?);
        let text: Box<dyn Read> =
            if is_gz(path) { Box::new(flate2::read::GzDecoder::new(file)) } else { Box::new(file) };
        let source =
            Path::new(path).parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        let read = runs_csv::read(text, path, |row| {
            let run = Row {
                peak_bytes: row.peak_bytes,
                seconds: row.seconds,
                start_seconds: row.start_seconds,
                requested_bytes: row.requested_bytes,
                ..Row::default()
            };
            groups.add(&source, &row.workflow, &row.task, run);
            Ok::<(), RunsError>(())
        });
        match read {
            Err(error @ RunsError::NoColumn { .. }) => eprintln!("left out: {error}"),
            other => drop(other?),
        }
    }
    Ok(groups)
}
