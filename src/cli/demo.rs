//! `podfit demo`: the whole way on an embedded history, without cluster or Prometheus. The history is simulated; what
//! is made of it goes through the same collector, sizing and admission as a real one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context;

use super::Outcome;
use super::explain::explain;
use super::learn::{find, gather_from};
use super::output::{Format, OutputArgs};
use super::source_args::{Source, SourceArgs};
use crate::admission::{Provenance, Request, Rules, Sizing, decide};
use crate::collector::KnownPods;
use crate::fit::{Constraints, ContainerResources};
use crate::history::{History, Store};
use crate::pipeline::Learned;
use crate::policy::Bounds;
use crate::prometheus::{SeriesStore, TimeRange};
use crate::recommendation::{Report, wanted};
use crate::research::simulate::Simulation;
use crate::research::simulate::platforms::{DemoPod, data_platform, demo_pod};
use crate::sizing::{SizingPolicy, recommend};
use crate::text;
use crate::text::units;
use crate::workload::{IdentityRules, WorkloadKey, identify, pod_facts};

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
        let text = admission(&gathered.histories);
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
fn admission(histories: &BTreeMap<WorkloadKey, History>) -> String {
    let mut out = String::from("\nAt admission, three pods of this morning\n");
    for which in DemoPod::ALL {
        let pod = demo_pod(which);
        let Ok(facts) = pod_facts(&pod, "default") else { continue };
        let identity = identify(&facts, &IdentityRules::default()).ok();
        let mut recommended: BTreeMap<String, ContainerResources> = BTreeMap::new();
        if let Some(identity) = &identity {
            for (key, history) in histories.iter().filter(|(k, _)| k.workload == identity.workload) {
                if identity.is_main(&key.container) {
                    let sizing = recommend(history, None, &SizingPolicy::default());
                    recommended.insert(key.container.clone(), wanted(&sizing));
                }
            }
        }
        let provenance = identity
            .as_ref()
            .map(|i| Provenance { workload: i.workload.to_string(), recommendation: "demo".to_owned() });
        let constraints = Constraints::default();
        let decided = decide(&Request {
            sizing: Sizing {
                pod: &pod,
                kind: identity.as_ref().map(|i| i.workload.kind),
                recommended: &recommended,
                killed_at: &BTreeMap::new(),
                provenance: provenance.as_ref(),
                constraints: &constraints,
                bounds: &Bounds::default(),
            },
            namespace: &facts.namespace,
            user: None,
            rules: &Rules::default(),
            from_kubelet: false,
        });
        let name = facts.name.as_deref().or(facts.generate_name.as_deref()).unwrap_or_default();
        let _ = write!(out, "\n  {}/{}", facts.namespace, text::short(name, 60));
        match decided {
            Err(problem) => {
                let _ = writeln!(out, ": not checked: {problem}");
            }
            Ok(decision) => {
                let _ = writeln!(out, ": {}", if decision.allowed { "admitted" } else { "denied" });
                for line in decision.denial.iter().chain(&decision.warnings) {
                    let _ = writeln!(out, "    {line}");
                }
                for (container, change) in &decision.changes {
                    let (from, to) = (&change.from, &change.to);
                    let _ = writeln!(
                        out,
                        "    {container}: memory {} → {}, CPU request {} → {}, in {} JSON-patch operations",
                        units::memory_or_dash(from.memory_limit),
                        units::memory_or_dash(to.memory_limit),
                        units::cpu_or_dash(from.cpu_request),
                        units::cpu_or_dash(to.cpu_request),
                        decision.ops.len()
                    );
                }
            }
        }
    }
    out.push_str(
        "\nNext  podfit demo --explain airflow-task/orders_daily/extract_orders\n      \
         podfit recommend --prometheus-url URL\n      podfit dry-run -n NAMESPACE --prometheus-url URL\n",
    );
    out
}
