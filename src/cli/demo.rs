//! `podfit demo`: the whole way on an embedded history, without cluster or Prometheus. The history is simulated; what
//! is made of it goes through the same collector, sizing and admission as a real one.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context;

use super::Outcome;
use super::explain::explain;
use super::learn::{find, gather_from};
use super::output::{Format, OutputArgs};
use super::source_args::{Source, SourceArgs};
use crate::admission::{LoadedRecommendations, Snapshot, create};
use crate::collector::KnownPods;
use crate::fit::ContainerResources;
use crate::history::Store;
use crate::pipeline::Learned;
use crate::policy::PodSpec;
use crate::prometheus::{SeriesStore, TimeRange};
use crate::recommendation::Report;
use crate::research::simulate::Simulation;
use crate::research::simulate::platforms::{DemoPod, data_platform, demo_pod};
use crate::text;
use crate::text::units;
use crate::workload::pod_facts;

/// End of the simulated history, 2026-11-22 06:00 UTC: always the same, so that the demo is.
const END_MS: i64 = 1_795_327_200_000;
/// Seed of the simulated history.
const SEED: u64 = 20_261_122;

/// Arguments of `podfit demo`.
#[derive(clap::Args)]
pub struct Args {
    /// Explain this workload of the demo instead of listing all
    #[arg(long, value_name = "WORKLOAD")]
    explain: Option<String>,
    /// Write the demo's history as an OpenMetrics file, for podfit recommend --openmetrics FILE or promtool tsdb
    /// create-blocks-from openmetrics
    #[arg(long, value_name = "FILE")]
    write_openmetrics: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs it.
///
/// # Errors
/// A file that cannot be written; standard output's.
pub async fn run(args: Args) -> anyhow::Result<Outcome> {
    let simulation = data_platform().simulate(END_MS, SEED);
    if let Some(path) = &args.write_openmetrics {
        let file = std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut out = std::io::BufWriter::new(file);
        simulation
            .write_openmetrics(&mut out)
            .and_then(|()| out.flush())
            .with_context(|| format!("cannot write {}", path.display()))?;
        anstream::eprintln!("podfit: wrote {} days of history of {} pods", 21, simulation.pods());
        return Ok(Outcome::Fine);
    }
    let (gathered, _) = gathered(&simulation, Vec::new()).await?;
    if let Some(workload) = &args.explain {
        for (key, history) in find(&gathered.histories, workload)? {
            std::io::stdout()
                .lock()
                .write_all(explain(key, history, &gathered.policy, &gathered.constraints).as_bytes())?;
        }
        return Ok(Outcome::Fine);
    }
    let report = Report::new(gathered.recommendations(), Vec::new(), gathered.notes);
    let for_people = args.output.format() == Format::Table;
    if for_people {
        writeln!(
            std::io::stdout(),
            "Marlow Home, a retailer that does not exist: {} pods in three weeks, simulated.\n",
            simulation.pods()
        )?;
    }
    let outcome = args.output.print(&report)?;
    if for_people {
        let text = admission(&report)?;
        std::io::stdout().lock().write_all(text.as_bytes())?;
    }
    Ok(outcome)
}

/// The demo's history as the collector sees it, and its window.
pub(super) async fn history(namespaces: Vec<String>) -> anyhow::Result<(Learned, TimeRange)> {
    gathered(&data_platform().simulate(END_MS, SEED), namespaces).await
}

async fn gathered(simulation: &Simulation, namespaces: Vec<String>) -> anyhow::Result<(Learned, TimeRange)> {
    let window = TimeRange { start_ms: simulation.start_ms(), end_ms: simulation.end_ms() };
    let source = Source::Memory(series(simulation));
    let store = Store::in_memory()?;
    let no_arguments = SourceArgs::default();
    let gathered = gather_from(&source, window, &store, &no_arguments, namespaces, KnownPods::default()).await?;
    Ok((gathered, window))
}

fn series(simulation: &Simulation) -> SeriesStore {
    let mut store = SeriesStore::new("the demo's history");
    simulation.for_each_series(|metric, labels, samples| store.insert(metric, labels, samples));
    store
}

/// What admission would say to three pods of the platform.
fn admission(report: &Report) -> anyhow::Result<String> {
    let mut out = String::from("\nAt admission, three pods of this morning\n");
    let mut known = Snapshot::default();
    LoadedRecommendations::read(serde_json::to_vec(report)?.as_slice())?.replace_in(&mut known);
    for which in DemoPod::ALL {
        let pod = demo_pod(which);
        let Ok(facts) = pod_facts(&pod, "default") else { continue };
        let answered = create(&pod, &facts.namespace, &known);
        let name = facts.name.as_deref().or(facts.generate_name.as_deref()).unwrap_or_default();
        let _ = write!(out, "\n  {}/{}", facts.namespace, text::short(name, 60));
        let _ = writeln!(out, ": {}", if answered.denial.is_none() { "admitted" } else { "denied" });
        if let Some(denial) = answered.denial {
            let _ = writeln!(out, "    {denial}");
            continue;
        }
        for line in &answered.warnings {
            let _ = writeln!(out, "    {line}");
        }
        let mut patched = pod.clone();
        crate::admission::apply(&mut patched, &answered.ops)?;
        let (before, after) = (sizes(&pod)?, sizes(&patched)?);
        for ((container, from), (_, to)) in before.iter().zip(&after).filter(|((_, from), (_, to))| from != to) {
            let _ = writeln!(
                out,
                "    {container}: memory {} → {}, CPU request {} → {}, in {} JSON-patch operations",
                units::memory_or_dash(from.memory_limit),
                units::memory_or_dash(to.memory_limit),
                units::cpu_or_dash(from.cpu_request),
                units::cpu_or_dash(to.cpu_request),
                answered.ops.len()
            );
        }
    }
    out.push_str(
        "\nNext  podfit demo --explain airflow-task/orders_daily/extract_orders\n      \
         podfit recommend --prometheus-url URL\n      podfit dry-run -n NAMESPACE --prometheus-url URL\n",
    );
    Ok(out)
}

/// What the containers of a pod ask for, by name.
fn sizes(pod: &serde_json::Value) -> anyhow::Result<Vec<(String, ContainerResources)>> {
    let pod = PodSpec::of_pod(pod)?;
    pod.containers().map(|c| Ok((c.name.to_owned(), ContainerResources::of_container(c.json)?))).collect()
}
