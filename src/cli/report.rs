//! `podfit report`: the report of a week or of any time, in five forms. Reads only.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use super::Outcome;
use super::cluster_args::namespace;
use super::demo;
use super::dry_run;
use super::fail::tell;
use super::learn::{gather, gather_from};
use super::price_args::PriceArgs;
use super::report_live::{LiveArgs, Seen};
use super::source_args::{SourceArgs, span};
use crate::admission::Snapshot;
use crate::collector::KnownPods;
use crate::delivery::{Patience, Plan, deliver, rehearse, write_whole};
use crate::history::History;
use crate::pipeline::Learned;
use crate::report::weekly::{Entry, Period, Renderer, Settings, Weekly};

/// Arguments of `podfit report`.
#[derive(clap::Args)]
pub struct Args {
    /// Namespace (repeatable); all when absent
    #[arg(short, long, value_parser = namespace)]
    namespace: Vec<String>,
    /// How long the period is, such as 7d, 24h, 4w; it ends where the history ends
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = span, help_heading = "Period")]
    period: Duration,
    /// Start of the period: a day (2026-11-16, at midnight UTC) or a time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = day_or_time, conflicts_with = "period", help_heading = "Period")]
    from: Option<jiff::Timestamp>,
    /// End of the period
    #[arg(long, value_name = "TIME", value_parser = day_or_time, help_heading = "Period")]
    to: Option<jiff::Timestamp>,
    /// How many savings, risks and pictures to show; totals cover everything
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    top: u16,
    #[command(flatten)]
    prices: PriceArgs,
    /// Format (default: by the name of --out, else text)
    #[arg(short, long, value_enum, help_heading = "Output")]
    output: Option<Format>,
    /// Write to this file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Write all five forms into this folder, as podfit-report-DAY.html, .md, .csv, .json and .txt
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "output"], help_heading = "Output")]
    out_dir: Option<PathBuf>,
    /// Deliver it to the destinations in this YAML file: folders, Slack, Teams, webhooks, mail
    #[arg(long, value_name = "FILE", help_heading = "Delivery")]
    deliver: Option<PathBuf>,
    /// Print what would be sent where, without sending it
    #[arg(long, requires = "deliver", help_heading = "Delivery")]
    dry_run: bool,
    /// Retries for destinations that are unreachable or overloaded
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=20), help_heading = "Delivery")]
    deliver_retries: u16,
    /// Timeout for a destination, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600), help_heading = "Delivery")]
    deliver_timeout: u64,
    /// Use the simulated history of podfit demo; needs no cluster and no Prometheus
    #[arg(long)]
    demo: bool,
    #[command(flatten)]
    live: LiveArgs,
    #[command(flatten)]
    source: SourceArgs,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// A page with pictures, in one file
    Html,
    /// For a pull request, a wiki or a chat
    Markdown,
    /// One row per container
    Csv,
    /// Everything, for programs
    Json,
    /// 100 columns
    Text,
}

impl From<Format> for Renderer {
    fn from(format: Format) -> Self {
        match format {
            Format::Html => Self::Html,
            Format::Markdown => Self::Markdown,
            Format::Csv => Self::Csv,
            Format::Json => Self::Json,
            Format::Text => Self::Text,
        }
    }
}

/// Runs it.
///
/// # Errors
/// One line that says what, where and what to do.
pub async fn run(mut args: Args) -> anyhow::Result<Outcome> {
    let renderer = renderer(args.output, args.out.as_deref())?;
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from >= to
    {
        bail!("--from {from} is not before --to {to}");
    }
    // Read before the history is, which may take long.
    let plan = args.deliver.as_deref().map(plan).transpose()?;
    let mut known = KnownPods::default();
    let seen = args.live.look(&mut args.namespace, &mut known, &args.source.rules()).await?;
    let (gathered, end_ms) = history(&args, known).await?;
    gathered.not_empty("nothing to report")?;
    let report = report(&args, &gathered, end_ms, seen)?;
    write(&args, renderer, plan.is_none(), &report)?;
    if let Some(plan) = plan {
        send(&args, &plan, &report).await?;
    }
    Ok(Outcome::Fine)
}

/// Writes what was asked for; `unasked` says whether it is printed where nothing was.
fn write(args: &Args, renderer: Renderer, unasked: bool, report: &Weekly) -> anyhow::Result<()> {
    if let Some(dir) = &args.out_dir {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
        for renderer in Renderer::ALL {
            write_whole(&dir.join(renderer.file_name(report)), &renderer.render(report)?)?;
        }
    } else if let Some(path) = &args.out {
        write_whole(path, &renderer.render(report)?)?;
    } else if unasked || args.output.is_some() {
        std::io::stdout().lock().write_all(renderer.render(report)?.as_bytes())?;
    }
    Ok(())
}

/// Reads where reports go.
///
/// # Errors
/// A file that cannot be read or understood.
pub fn plan(path: &Path) -> anyhow::Result<Plan> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| anyhow!("cannot read {}: {}", path.display(), crate::prometheus::unreadable(&e)))?;
    Plan::parse(&text).map_err(|e| anyhow!("{}: {e}", path.display()))
}

/// Sends it everywhere; what failed is said one by one, after everything was tried.
async fn send(args: &Args, plan: &Plan, report: &Weekly) -> anyhow::Result<()> {
    let patience = Patience {
        retries: args.deliver_retries.into(),
        timeout: Duration::from_secs(args.deliver_timeout),
        ..Patience::default()
    };
    let delivered = if args.dry_run { rehearse(plan, report) } else { deliver(plan, report, patience).await };
    let word = if args.dry_run { "would send" } else { "sent" };
    let mut failed = 0;
    for one in &delivered {
        match &one.result {
            // A report that goes to standard output is not mixed with this.
            Ok(what) if args.output.is_some() => tell(&format!("{}: {word} {what}", one.name)),
            Ok(what) => writeln!(std::io::stdout().lock(), "{}: {word} {what}", one.name)?,
            Err(why) => {
                failed += 1;
                tell(&format!("{}: not sent: {why}", one.name));
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of {} destinations did not get the report", delivered.len());
    }
    Ok(())
}

fn renderer(output: Option<Format>, out: Option<&Path>) -> anyhow::Result<Renderer> {
    match (output, out) {
        (Some(format), _) => Ok(format.into()),
        (None, None) => Ok(Renderer::Text),
        (None, Some(path)) => match path.extension().and_then(|e| e.to_str()).and_then(Renderer::of_extension) {
            Some(renderer) => Ok(renderer),
            None => bail!(
                "which form is {} to have? end it with .html, .md, .csv, .json or .txt, or give -o",
                path.display()
            ),
        },
    }
}

/// What is known, and where its time ends.
async fn history(args: &Args, known: KnownPods) -> anyhow::Result<(Learned, i64)> {
    if args.demo {
        let (gathered, window) = demo::history(args.namespace.clone()).await?;
        return Ok((gathered, window.end_ms));
    }
    args.source.check()?;
    let length = match args.from {
        None => args.period,
        Some(from) => {
            let end = args.to.unwrap_or_else(jiff::Timestamp::now);
            Duration::try_from(end.duration_since(from)).unwrap_or_default()
        }
    };
    // The period before is looked at too.
    let source = args.source.clone().covering(length.saturating_mul(2), args.to);
    if !source.runs().is_empty() || source.is_only_a_store() {
        let gathered = gather(&source, args.namespace.clone(), known).await?;
        let end = gathered.histories.values().filter_map(History::last_ms).max();
        return Ok((gathered, end.unwrap_or(0)));
    }
    let store = source.store()?;
    let (opened, window) = source.open().await?;
    let gathered = gather_from(&opened, window, &store, &source, args.namespace.clone(), known).await?;
    Ok((gathered, window.end_ms))
}

fn report(args: &Args, gathered: &Learned, end_ms: i64, seen: Option<Seen>) -> anyhow::Result<Weekly> {
    let end_ms = args.to.map_or(end_ms, jiff::Timestamp::as_millisecond);
    let length = i64::try_from(args.period.as_millis()).unwrap_or(i64::MAX);
    let start_ms = args.from.map_or(end_ms.saturating_sub(length), jiff::Timestamp::as_millisecond);
    if start_ms >= end_ms {
        let end = jiff::Timestamp::from_millisecond(end_ms).map(|t| t.to_string()).unwrap_or_default();
        bail!("the history ends at {end}, before the period begins; give an earlier --from");
    }
    let settings = Settings {
        period: Period { start_ms, end_ms },
        prices: args.prices.prices(),
        top: usize::from(args.top),
        namespaces: args.namespace.clone(),
        policy: gathered.policy,
    };
    let mut notes = gathered.notes.clone();
    let Some(seen) = seen else {
        let lines = gathered.recommendations();
        let entries: Vec<Entry<'_>> =
            gathered.histories.values().zip(lines).map(|(history, line)| Entry { history, line }).collect();
        return Ok(Weekly::new(&entries, None, notes, &settings));
    };
    notes.extend(seen.snapshots.values().flat_map(|s| s.notes.iter().cloned()));
    let by_name: HashMap<(&str, String, &str), &History> = gathered
        .histories
        .iter()
        .map(|(key, history)| {
            ((key.workload.namespace.as_str(), key.workload.to_string(), key.container.as_str()), history)
        })
        .collect();
    let none = History::new();
    // Habits of the pods as they come, in the rules' default modes.
    let mut admission = Snapshot::default();
    admission.without_policy();
    let entries: Vec<Entry<'_>> =
        dry_run::lines(&seen.snapshots, gathered.histories.clone(), &gathered.policy, &admission, false)
            .into_iter()
            .map(|line| {
                let name = (line.namespace.as_str(), line.workload.clone(), line.container.as_str());
                Entry { history: by_name.get(&name).copied().unwrap_or(&none), line }
            })
            .collect();
    Ok(Weekly::new(&entries, Some(seen.live), notes, &settings))
}

fn day_or_time(text: &str) -> Result<jiff::Timestamp, String> {
    let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp());
    text.parse::<jiff::Timestamp>()
        .ok()
        .or_else(day)
        .ok_or_else(|| "a day such as 2026-11-22, or a time in RFC 3339 such as 2026-11-22T06:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2026-11-22", Some(1_795_305_600_000))]
    #[case("2026-11-22T06:00:00Z", Some(1_795_327_200_000))]
    #[case("2026-11-22T07:00:00+01:00", Some(1_795_327_200_000))]
    #[case("22.11.2026", None)]
    #[case("", None)]
    fn days_and_times(#[case] text: &str, #[case] ms: Option<i64>) {
        assert_eq!(day_or_time(text).ok().map(jiff::Timestamp::as_millisecond), ms);
    }

    #[test]
    fn a_files_name_says_its_form() {
        assert_eq!(renderer(None, Some(Path::new("week.html"))).unwrap(), Renderer::Html);
        assert_eq!(renderer(Some(Format::Csv), Some(Path::new("week.html"))).unwrap(), Renderer::Csv);
        assert_eq!(renderer(None, None).unwrap(), Renderer::Text);
        assert!(renderer(None, Some(Path::new("week"))).is_err());
    }
}
