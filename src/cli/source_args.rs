//! Arguments that say where the history is: a Prometheus-compatible server or a file; how far back; which series.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};

use super::prometheus_args::{PrometheusArgs, pair};
use crate::collector::metrics::Scope;
use crate::history::Store;
use crate::prometheus::{
    Client, Error, Labels, MatchOp, Matcher, OpenMetricsFile, SampleStream, Selector, SeriesSource, SeriesStore,
    TimeRange, unreadable,
};
use crate::sizing::{CpuLimit, SizingPolicy};
use crate::workload::IdentityRules;

/// Where the history is.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct SourceArgs {
    /// Address of Prometheus, Thanos, Mimir or VictoriaMetrics, with a path prefix where it has one
    #[arg(long, env = "PODFIT_PROMETHEUS_URL", hide_env_values = true, value_name = "URL", help_heading = "History")]
    prometheus_url: Option<String>,
    /// Read series from an OpenMetrics file with timestamps (.gz too) instead of a server
    #[arg(long, value_name = "FILE", help_heading = "History", conflicts_with = "prometheus_url")]
    openmetrics: Option<PathBuf>,
    /// Read finished runs from CSV files (.gz too) instead of a server
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "History", conflicts_with_all = ["prometheus_url", "openmetrics"])]
    runs: Vec<PathBuf>,
    /// How far back to learn from, such as 14d, 36h, 3w
    #[arg(long, default_value = "14d", value_name = "TIME", value_parser = span, help_heading = "History")]
    history: Duration,
    /// End of the history (RFC 3339); now, or the file's last sample, when absent
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "History")]
    at: Option<jiff::Timestamp>,
    /// Keep the history in this file, and fetch only what is new next time
    #[arg(long, value_name = "FILE", help_heading = "History")]
    store: Option<PathBuf>,
    /// How late samples may arrive, such as 30m; with --store, that much of the end is read again next time
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = span, help_heading = "History")]
    late_samples: Duration,
    /// Read only series with this label, such as cluster=prod (repeatable)
    #[arg(long = "series-label", value_name = "NAME=VALUE", value_parser = series_label, help_heading = "History")]
    series_labels: Vec<(String, String)>,
    /// Read cAdvisor metrics of this scrape job only, where several jobs scrape the same containers (repeatable)
    #[arg(long = "cadvisor-job", value_name = "JOB", help_heading = "History")]
    cadvisor_jobs: Vec<String>,
    /// Read kube-state-metrics of this scrape job only (repeatable)
    #[arg(long = "kube-state-metrics-job", value_name = "JOB", help_heading = "History")]
    kube_state_metrics_jobs: Vec<String>,
    /// Pod labels whose values name a workload, before any engine's rules, such as team,job
    #[arg(long, value_name = "KEY,…", value_delimiter = ',', help_heading = "History")]
    group_by_labels: Vec<String>,

    /// Largest share of a workload's runs that may need a second try, where that saves much and enough runs were seen
    /// to be sure of it; 0 = never recommend less than the highest peak seen (default 0.03)
    #[arg(long, value_name = "SHARE", value_parser = share, help_heading = "Sizing")]
    failing_share: Option<f64>,
    /// What to do with existing CPU limits: keep, none (a note names them), or a multiple of the request, such as
    /// 2 (default keep)
    #[arg(long, value_name = "POLICY", value_parser = cpu_limit, help_heading = "Sizing")]
    cpu_limit: Option<CpuLimit>,

    #[command(flatten)]
    prometheus: PrometheusArgs,
}

const NO_SOURCE: &str = "where is the history? give --prometheus-url URL (or PODFIT_PROMETHEUS_URL), --openmetrics FILE \
                         or --runs FILE";

impl SourceArgs {
    /// The store that was asked for, and what there is to tell about it.
    pub fn store(&self) -> anyhow::Result<Store> {
        let Some(path) = &self.store else { return Ok(Store::in_memory()?) };
        let opened = Store::open(path)?;
        if let Some(notice) = opened.notice {
            super::fail::tell(&notice.message);
        }
        Ok(opened.store)
    }

    /// Files of runs.
    pub fn runs(&self) -> &[PathBuf] {
        &self.runs
    }

    /// How late samples may arrive, in milliseconds. An hour where nobody says: an agent that sends samples on keeps
    /// trying while its receiver restarts or is short of room, and servers that take samples out of order are mostly
    /// told to do so for half an hour or an hour; it is many times the five minutes of staleness and the pace of a slow
    /// rule.
    pub fn late_ms(&self) -> i64 {
        i64::try_from(self.late_samples.as_millis()).unwrap_or(i64::MAX)
    }

    /// Whether what is remembered is all that there is to learn from.
    pub fn is_only_a_store(&self) -> bool {
        self.store.as_ref().is_some_and(|file| file.exists())
            && self.prometheus_url.is_none()
            && self.openmetrics.is_none()
            && self.runs.is_empty()
    }

    /// What bounds the sizes.
    pub fn policy(&self) -> SizingPolicy {
        let default = SizingPolicy::default();
        SizingPolicy {
            failing_share: self.failing_share.unwrap_or(default.failing_share),
            cpu_limit: self.cpu_limit.unwrap_or_default(),
            ..default
        }
    }

    /// The same, reaching back at least so far, and up to `end` where one is given.
    #[must_use]
    pub fn covering(mut self, length: Duration, end: Option<jiff::Timestamp>) -> Self {
        self.history = self.history.max(length);
        self.at = end.or(self.at);
        self
    }

    /// The user's own identity rules.
    pub fn rules(&self) -> IdentityRules {
        IdentityRules { label_keys: self.group_by_labels.clone() }
    }

    /// Which series.
    pub fn scope(&self, namespaces: Vec<String>) -> Scope {
        let matchers = self
            .series_labels
            .iter()
            .map(|(label, value)| Matcher { label: label.clone(), op: MatchOp::Equal, value: value.clone() })
            .collect();
        Scope {
            namespaces,
            matchers,
            cadvisor_jobs: self.cadvisor_jobs.clone(),
            kube_state_metrics_jobs: self.kube_state_metrics_jobs.clone(),
        }
    }

    /// Whether there is a source at all.
    ///
    /// # Errors
    /// Says how to name one.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.prometheus_url.is_none()
            && self.openmetrics.is_none()
            && self.runs.is_empty()
            && !self.is_only_a_store()
        {
            bail!(NO_SOURCE);
        }
        Ok(())
    }

    /// The same with a server's address.
    #[must_use]
    pub fn with_url(mut self, url: &str) -> Self {
        self.prometheus_url = Some(url.to_owned());
        self
    }

    /// Opens the source and says which time is to be learned from.
    pub async fn open(&self) -> anyhow::Result<(Source, TimeRange)> {
        if let Some(path) = &self.openmetrics {
            let file = OpenMetricsFile::open(path)?;
            let Some(range) = file.store().time_range() else {
                bail!("{} holds no samples; write series with their timestamps into it", path.display());
            };
            let end_ms = self.at.map_or(range.end_ms, jiff::Timestamp::as_millisecond);
            return Ok((Source::File(file), self.window(end_ms)));
        }
        let Some(url) = &self.prometheus_url else {
            bail!(NO_SOURCE);
        };
        if let Some(warning) = self.prometheus.warning() {
            super::fail::tell(warning);
        }
        let client = Client::new(&self.prometheus.config(url))?;
        let capabilities = client.probe().await?;
        tracing::info!("{capabilities}");
        let skew_ms = capabilities.clock_skew_ms.unwrap_or(0);
        if skew_ms.abs() > 60_000 && self.at.is_none() {
            let direction = if skew_ms > 0 { "ahead of" } else { "behind" };
            super::fail::tell(&format!(
                "the server's clock is {} s {direction} this machine's; the server's is used, set one of them right",
                skew_ms.abs() / 1000
            ));
        }
        let end_ms = self.at.map_or_else(
            || jiff::Timestamp::now().as_millisecond().saturating_add(if skew_ms.abs() > 60_000 { skew_ms } else { 0 }),
            jiff::Timestamp::as_millisecond,
        );
        Ok((Source::Server(Box::new(client)), self.window(end_ms)))
    }

    fn window(&self, end_ms: i64) -> TimeRange {
        let history_ms = i64::try_from(self.history.as_millis()).unwrap_or(i64::MAX);
        TimeRange { start_ms: end_ms.saturating_sub(history_ms), end_ms }
    }
}

/// A server or a file: the same to the collector.
pub enum Source {
    /// A Prometheus-compatible server.
    Server(Box<Client>),
    /// An OpenMetrics file.
    File(OpenMetricsFile),
    /// Series in memory.
    Memory(SeriesStore),
}

impl Source {
    /// What the server warned of.
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::Server(client) => client.warnings(),
            Self::File(_) | Self::Memory(_) => Vec::new(),
        }
    }
}

impl SeriesSource for Source {
    async fn samples(&self, selector: &Selector, range: TimeRange) -> Result<SampleStream, Error> {
        match self {
            Self::Server(client) => client.samples(selector, range).await,
            Self::File(file) => file.samples(selector, range).await,
            Self::Memory(store) => store.samples(selector, range).await,
        }
    }

    async fn last(&self, selector: &Selector, range: TimeRange) -> Result<SampleStream, Error> {
        match self {
            Self::Server(client) => client.last(selector, range).await,
            Self::File(file) => file.last(selector, range).await,
            Self::Memory(store) => store.last(selector, range).await,
        }
    }

    async fn streams_samples(&self) -> bool {
        match self {
            Self::Server(client) => client.streams_samples().await,
            Self::File(file) => file.streams_samples().await,
            Self::Memory(store) => store.streams_samples().await,
        }
    }

    async fn changed(&self, selector: &Selector, range: TimeRange) -> Result<Vec<Arc<Labels>>, Error> {
        match self {
            Self::Server(client) => client.changed(selector, range).await,
            Self::File(file) => file.changed(selector, range).await,
            Self::Memory(store) => store.changed(selector, range).await,
        }
    }

    async fn metric_names_present(
        &self,
        names: &[&str],
        range: TimeRange,
        matchers: &[Matcher],
    ) -> Result<BTreeSet<String>, Error> {
        match self {
            Self::Server(client) => client.metric_names_present(names, range, matchers).await,
            Self::File(file) => file.metric_names_present(names, range, matchers).await,
            Self::Memory(store) => store.metric_names_present(names, range, matchers).await,
        }
    }

    async fn label_names(&self, selector: &Selector, range: TimeRange) -> Result<BTreeSet<String>, Error> {
        match self {
            Self::Server(client) => client.label_names(selector, range).await,
            Self::File(file) => file.label_names(selector, range).await,
            Self::Memory(store) => store.label_names(selector, range).await,
        }
    }

    async fn label_values(
        &self,
        label: &str,
        selector: &Selector,
        range: TimeRange,
    ) -> Result<BTreeSet<String>, Error> {
        match self {
            Self::Server(client) => client.label_values(label, selector, range).await,
            Self::File(file) => file.label_values(label, selector, range).await,
            Self::Memory(store) => store.label_values(label, selector, range).await,
        }
    }

    async fn count(&self, selector: &Selector, range: TimeRange, least: u64) -> Option<u64> {
        match self {
            Self::Server(client) => client.count(selector, range, least).await,
            Self::File(_) | Self::Memory(_) => None,
        }
    }

    fn take_incomplete(&self) -> Vec<String> {
        match self {
            Self::Server(client) => client.take_incomplete(),
            Self::File(_) | Self::Memory(_) => Vec::new(),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Server(client) => client.describe(),
            Self::File(file) => file.describe(),
            Self::Memory(store) => store.describe(),
        }
    }
}

/// A span of time as Prometheus writes it: `14d`, `36h`, `90m`, `3w`.
pub fn span(text: &str) -> Result<Duration, String> {
    let usage = || "a number and a unit: m, h, d or w, such as 14d".to_owned();
    let last = text.char_indices().next_back().map_or(0, |(at, _)| at);
    let (number, unit) = text.split_at(last);
    let seconds = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(usage()),
    };
    let number: u64 = number.parse().map_err(|_| usage())?;
    match number.checked_mul(seconds) {
        Some(s) if (60..=400 * 86_400).contains(&s) => Ok(Duration::from_secs(s)),
        _ => Err("from one minute to 400 days".to_owned()),
    }
}

fn moment(text: &str) -> Result<jiff::Timestamp, String> {
    text.parse().map_err(|_| "a time in RFC 3339, such as 2026-11-22T12:00:00Z".to_owned())
}

fn cpu_limit(text: &str) -> Result<CpuLimit, String> {
    match (text, text.parse::<f64>()) {
        ("keep", _) => Ok(CpuLimit::Keep),
        ("none", _) => Ok(CpuLimit::None),
        (_, Ok(ratio)) if (1.0..=100.0).contains(&ratio) => Ok(CpuLimit::Ratio(ratio)),
        _ => Err("keep, none, or a number from 1 to 100".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=0.2).contains(&share) => Ok(share),
        _ => Err("a share from 0 to 0.2, such as 0.01".to_owned()),
    }
}

fn series_label(text: &str) -> Result<(String, String), String> {
    let (name, value) = pair(text)?;
    let ok =
        name.bytes().enumerate().all(|(i, b)| b == b'_' || b.is_ascii_alphabetic() || (i > 0 && b.is_ascii_digit()));
    if ok { Ok((name, value)) } else { Err("a label name has letters, digits and underscores only".to_owned()) }
}

/// Opens a file, unpacking it when it is gzip.
pub fn open_text(path: &std::path::Path) -> anyhow::Result<Box<dyn std::io::Read>> {
    let failed = |e: std::io::Error| anyhow!("cannot read {}: {}", path.display(), unreadable(&e));
    let mut file = std::io::BufReader::new(std::fs::File::open(path).map_err(failed)?);
    if file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(file)));
    }
    Ok(Box::new(file))
}
