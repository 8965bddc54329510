//! The command line: arguments, dispatch, exit codes. A file per subcommand.

mod backtest;
mod built_in_ca_args;
mod certs;
mod cluster_args;
mod crds;
mod demo;
mod doctor;
mod dry_run;
mod explain;
mod export;
mod fail;
mod identify;
mod learn;
mod output;
mod policy;
mod price_args;
mod progress;
mod prometheus_args;
mod recommend;
mod report;
mod report_live;
mod review;
mod serve;
mod serve_report;
mod source_args;
mod why;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to object to.
    Fine,
    /// Something that `--fail-on` names, or a check that failed, was found.
    Found,
}

#[derive(Parser)]
#[command(
    name = "podfit",
    version,
    about = "Right-sizes recurring data workloads on Kubernetes",
    long_about = "podfit learns from Prometheus what every run of a recurring workload really used (Spark, Airflow, \
                  Dagster, Prefect, Argo Workflows, Flink, CronJobs, Jobs) and says, with evidence, what the next run \
                  should ask for.",
    after_help = "Exit status: 0 fine, 1 something that --fail-on names was found, 2 it could not be done.",
    max_term_width = 100
)]
struct Cli {
    /// Log more to standard error; repeat for everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Size a small data platform from a simulated history: no cluster, no Prometheus, nothing to set up
    Demo(demo::Args),
    /// Compare what each workload of a live namespace requests with what it needs, and list broken rules
    DryRun(Box<dry_run::Args>),
    /// Recommend requests and limits from history alone, without a cluster
    Recommend(Box<recommend::Args>),
    /// Report a week: savings, risks and what to do, as a page, Markdown, CSV, JSON or text
    Report(Box<report::Args>),
    /// Show the evidence behind one workload's numbers
    Explain(Box<explain::Args>),
    /// Say why a pod asks for what it asks for: its workload, what was changed and why, how it was killed
    Why(why::Args),
    /// Write recommendations as the engine's own code: DAG files, Spark settings, manifests, Helm values
    Export(Box<export::Args>),
    /// Replay past runs with several sizing methods and compare their cost
    Backtest(Box<backtest::Args>),
    /// Check manifests against the rules, before a cluster sees them
    Review(review::Args),
    /// Convert the rules' settings to other forms
    Policy(policy::Args),
    /// Say which recurring workload a pod belongs to, from its manifest
    Identify(identify::Args),
    /// Create, show and check the webhook's certificates
    Certs(certs::Args),
    /// Check an installation, or a cluster before podfit is installed in it
    Doctor(Box<doctor::Args>),
    /// Run the admission webhook: size pods as they are created, and apply the rules
    Serve(Box<serve::Args>),
    /// Print podfit's CustomResourceDefinitions, for kubectl apply
    Crds,
    /// Print a completion script for a shell
    Completions {
        /// Shell to complete for
        shell: clap_complete::Shell,
    },
}

/// Parses the process's arguments, runs the command, prints errors. The exit status is the last word.
pub fn main() -> ExitCode {
    fail::catch_panics();
    // The panic hook has said what happened.
    std::panic::catch_unwind(parse_and_run).unwrap_or(ExitCode::from(2))
}

fn parse_and_run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return fail::usage(&error),
    };
    // What a service does without anyone watching is told without being asked for.
    log(cli.verbose + u8::from(matches!(cli.command, Command::Serve(_))));
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail::failed(&anyhow::anyhow!("cannot start: {error}")),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(1),
        // A reader that has seen enough (`podfit … | head`) is no fault.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => fail::failed(&error),
    }
}

async fn run(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Demo(args) => demo::run(args).await,
        Command::DryRun(args) => dry_run::run(*args).await,
        Command::Recommend(args) => recommend::run(*args).await,
        Command::Report(args) => report::run(*args).await,
        Command::Explain(args) => explain::run(*args).await,
        Command::Why(args) => why::run(args).await,
        Command::Export(args) => export::run(*args).await,
        Command::Backtest(args) => backtest::run(*args).await,
        Command::Review(args) => review::run(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Identify(args) => identify::run(&args),
        Command::Certs(args) => certs::run(args).await,
        Command::Doctor(args) => doctor::run(*args).await,
        Command::Serve(args) => serve::run(*args).await,
        Command::Crds => crds::run(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "podfit", &mut script);
            std::io::stdout().write_all(&script)?;
            Ok(Outcome::Fine)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|e| {
            let of_json = || e.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
            e.downcast_ref::<std::io::Error>().map(std::io::Error::kind).or_else(of_json)
        })
        .any(|kind| kind == std::io::ErrorKind::BrokenPipe)
}

fn log(verbose: u8) {
    let level = match verbose {
        0 => "podfit=warn",
        1 => "podfit=info",
        _ => "podfit=debug,kube=info,reqwest=info",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("PODFIT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let to_stderr = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = to_stderr.with_ansi(std::io::stderr().is_terminal()).without_time().try_init();
}
