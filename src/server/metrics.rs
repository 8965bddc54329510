//! The server's metrics: every one of them, with its labels. Handles are kept, so that counting costs no look-up.
//! Must not know namespaces, workloads or users: what a label can hold is known here in full.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::limiter::Shed;
use crate::admission::{Entry, Outcome, Seen};
use crate::controller::recommend::ControllerMetrics;
use crate::policy::{Mode, RULES};

type Label = (&'static str, &'static str);
type Counters<const N: usize> = Family<[Label; N], Counter>;
type Seconds = Gauge<f64, AtomicU64>;

/// Statuses of what was no review.
const REFUSALS: [&str; 6] = ["400", "404", "405", "408", "413", "415"];

/// How a review ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Allowed; there was nothing to change.
    Allowed,
    /// Allowed with other sizes.
    Resized,
    /// Allowed as it came, although there is a recommendation.
    Skipped,
    /// Turned away by a rule.
    Denied,
    /// It could not be judged.
    Failed,
    /// There was no place for it.
    Shed,
    /// The decision panicked.
    Panicked,
    /// The API server's patience ended first.
    Overdue,
}

impl Ending {
    const ALL: [Self; 8] = [
        Self::Allowed,
        Self::Resized,
        Self::Skipped,
        Self::Denied,
        Self::Failed,
        Self::Shed,
        Self::Panicked,
        Self::Overdue,
    ];

    /// Its name in metrics and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Resized => "resized",
            Self::Skipped => "skipped",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Shed => "shed",
            Self::Panicked => "panicked",
            Self::Overdue => "overdue",
        }
    }
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Allowed => Self::Allowed,
            Outcome::Resized => Self::Resized,
            Outcome::Skipped(_) => Self::Skipped,
            Outcome::Denied => Self::Denied,
            Outcome::Failed(_) => Self::Failed,
        }
    }
}

const fn entry_name(entry: Entry) -> &'static str {
    match entry {
        Entry::Mutate => "mutate",
        Entry::Validate => "validate",
    }
}

/// What one endpoint counts.
#[derive(Debug)]
struct OfEntry {
    endings: [Counter; Ending::ALL.len()],
    duration: Histogram,
    in_flight: Gauge,
}

/// The server's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    mutate: OfEntry,
    validate: OfEntry,
    reasons: Counters<2>,
    findings: Counters<2>,
    shed: Counters<2>,
    refused: Counters<1>,
    handshakes: Counters<1>,
    /// Connections of the webhook's port that are open.
    pub connections: Gauge,
    accepted: Counter,
    displaced: Counter,
    certificate_expiry: Seconds,
    reloaded: Family<[Label; 1], Seconds>,
    reload_failed: Family<[Label; 1], Gauge>,
    /// Workloads with a recommendation.
    pub recommended: Gauge,
    /// 1 while no pod is resized.
    pub resizing_stopped: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero, with what the recommend loop counts.
    pub fn with(figures: &ControllerMetrics) -> Self {
        let mut metrics = Self::new();
        figures.register(&mut metrics.registry);
        metrics
    }

    /// All at zero; what is counted by fixed labels is there from the start, so that a first event shows as an
    /// increase.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("podfit");
        let build = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "The running release", Info::new(build));
        let reviews = Counters::<2>::default();
        registry.register("admission_reviews", "Reviews answered, by how they ended", reviews.clone());
        let durations: Family<[Label; 1], Histogram, fn() -> Histogram> =
            // From 10 µs, doubling, to 5.2 s: a decision takes tens of microseconds, and API servers wait 10 s.
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(1e-5, 2.0, 20)));
        let help = "Time from a review's headers to its answer";
        registry.register_with_unit("admission_duration", help, Unit::Seconds, durations.clone());
        let in_flight: Family<[Label; 1], Gauge> = Family::default();
        registry.register("admission_in_flight", "Reviews that are being read or decided", in_flight.clone());
        let of_entry = |entry| {
            let label = ("entry", entry_name(entry));
            OfEntry {
                endings: Ending::ALL.map(|e| reviews.get_or_create_owned(&[label, ("outcome", e.as_str())])),
                duration: durations.get_or_create_owned(&[label]),
                in_flight: in_flight.get_or_create_owned(&[label]),
            }
        };
        let (mutate, validate) = (of_entry(Entry::Mutate), of_entry(Entry::Validate));
        let mut metrics = Self {
            registry,
            mutate,
            validate,
            reasons: Family::default(),
            findings: Family::default(),
            shed: Family::default(),
            refused: Family::default(),
            handshakes: Family::default(),
            connections: Gauge::default(),
            accepted: Counter::default(),
            displaced: Counter::default(),
            certificate_expiry: Gauge::default(),
            reloaded: Family::default(),
            reload_failed: Family::default(),
            recommended: Gauge::default(),
            resizing_stopped: Gauge::default(),
        };
        metrics.fill();
        metrics.register();
        metrics
    }

    fn fill(&self) {
        for rule in RULES {
            for mode in [Mode::Audit, Mode::Warn, Mode::Enforce] {
                let _ = self.findings.get_or_create_owned(&[("rule", rule.id()), ("mode", mode.as_str())]);
            }
        }
        for entry in [Entry::Mutate, Entry::Validate] {
            for cause in Shed::ALL {
                let _ = self.shed.get_or_create_owned(&[("entry", entry_name(entry)), ("cause", cause.as_str())]);
            }
        }
        for status in REFUSALS {
            let _ = self.refused.get_or_create_owned(&[("status", status)]);
        }
        for cause in ["refused", "timeout"] {
            let _ = self.handshakes.get_or_create_owned(&[("cause", cause)]);
        }
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("admission_reasons", "Why reviews were skipped or failed", self.reasons.clone());
        r.register("findings", "Breaches of rules in reviews, by what was done about them", self.findings.clone());
        r.register("admission_shed", "Reviews for which there was no place", self.shed.clone());
        r.register("http_refused", "Requests that were no review to answer, by status", self.refused.clone());
        r.register("tls_handshake_failures", "TLS handshakes that failed", self.handshakes.clone());
        r.register("connections", "Open connections of the webhook", self.connections.clone());
        r.register("connections_accepted", "Connections accepted by the webhook", self.accepted.clone());
        let help = "Connections that waited and gave way to a new one";
        r.register("connections_displaced", help, self.displaced.clone());
        let help = "When the serving certificate ends";
        r.register_with_unit("certificate_expiry_timestamp", help, Unit::Seconds, self.certificate_expiry.clone());
        let help = "When an input was last loaded";
        r.register_with_unit("reload_last_success_timestamp", help, Unit::Seconds, self.reloaded.clone());
        let help = "1 while an input on disk cannot be used and the one before it is";
        r.register("reload_failed", help, self.reload_failed.clone());
        r.register("recommended_workloads", "Workloads with a recommendation", self.recommended.clone());
        r.register("resizing_stopped", "1 while no pod is resized", self.resizing_stopped.clone());
    }

    const fn of(&self, entry: Entry) -> &OfEntry {
        match entry {
            Entry::Mutate => &self.mutate,
            Entry::Validate => &self.validate,
        }
    }

    /// A review has come; it counts as in flight until the guard is dropped.
    pub fn review(&self, entry: Entry) -> Gauged {
        Gauged::new(&self.of(entry).in_flight)
    }

    /// A review was answered.
    pub fn answered(&self, entry: Entry, ending: Ending, took: Duration) {
        let of = self.of(entry);
        of.endings[ending as usize].inc();
        of.duration.observe(took.as_secs_f64());
    }

    /// What was seen in a review.
    pub fn seen(&self, entry: Entry, seen: &Seen) {
        if let Outcome::Skipped(reason) | Outcome::Failed(reason) = seen.outcome {
            self.reasons.get_or_create(&[("entry", entry_name(entry)), ("reason", reason)]).inc();
        }
        for ((rule, mode), count) in &seen.findings {
            self.findings.get_or_create(&[("rule", rule), ("mode", mode.as_str())]).inc_by(*count as u64);
        }
    }

    /// There was no place for a review.
    pub fn shed(&self, entry: Entry, cause: Shed) {
        self.shed.get_or_create(&[("entry", entry_name(entry)), ("cause", cause.as_str())]).inc();
    }

    /// A request was refused before it was a review. `status` is one of the few this server gives.
    pub fn refused(&self, status: &'static str) {
        self.refused.get_or_create(&[("status", status)]).inc();
    }

    /// A TLS handshake failed; `cause` is `refused` or `timeout`.
    pub fn handshake_failed(&self, cause: &'static str) {
        self.handshakes.get_or_create(&[("cause", cause)]).inc();
    }

    /// A connection was accepted; it counts as open until the guard is dropped.
    pub fn connected(&self) -> Gauged {
        self.accepted.inc();
        Gauged::new(&self.connections)
    }

    /// A connection that waited gave way to a new one.
    pub fn displaced(&self) {
        self.displaced.inc();
    }

    /// The serving certificate ends then, in seconds since 1970.
    pub fn certificate_ends(&self, seconds: f64) {
        self.certificate_expiry.set(seconds);
    }

    /// An input was loaded, or could not be.
    pub fn reloaded(&self, input: &'static str, ok: bool) {
        let label = [("input", input)];
        self.reload_failed.get_or_create(&label).set(i64::from(!ok));
        if ok {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.reloaded.get_or_create(&label).set(now.as_secs_f64());
        }
    }

    /// All of them as `OpenMetrics` text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // A String takes everything.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// One up now, one down when dropped.
#[derive(Debug)]
pub struct Gauged(Gauge);

impl Gauged {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Gauged {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_is_counted_under_few_names() {
        let metrics = Metrics::new();
        let held = metrics.review(Entry::Mutate);
        metrics.answered(Entry::Mutate, Ending::Resized, Duration::from_micros(15));
        let findings = [(("latest-tag", Mode::Enforce), 1)].into();
        metrics.seen(
            Entry::Validate,
            &Seen {
                outcome: Outcome::Failed("bad-review"),
                findings,
                namespace: "secret-team".into(),
                ..Seen::default()
            },
        );
        metrics.reloaded("policy", false);
        let text = metrics.text();
        for line in [
            "podfit_admission_reviews_total{entry=\"mutate\",outcome=\"resized\"} 1",
            "podfit_admission_reviews_total{entry=\"validate\",outcome=\"panicked\"} 0",
            "podfit_admission_duration_seconds_bucket{le=\"0.00001\",entry=\"mutate\"} 0",
            "podfit_admission_duration_seconds_bucket{le=\"0.00002\",entry=\"mutate\"} 1",
            "podfit_admission_in_flight{entry=\"mutate\"} 1",
            "podfit_admission_reasons_total{entry=\"validate\",reason=\"bad-review\"} 1",
            "podfit_findings_total{rule=\"latest-tag\",mode=\"enforce\"} 1",
            "podfit_reload_failed{input=\"policy\"} 1",
            concat!("podfit_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(!text.contains("secret-team"));
        drop(held);
        assert!(metrics.text().contains("podfit_admission_in_flight{entry=\"mutate\"} 0"));
    }

    /// The metrics of a text as rows: name, type, labels, help.
    fn rows(text: &str) -> Vec<String> {
        let mut rows = Vec::new();
        for block in text.split("# HELP ").skip(1) {
            let (name, help) = block.lines().next().unwrap().split_once(' ').unwrap();
            let kind = block.split_once("# TYPE ").unwrap().1.lines().next().unwrap().rsplit(' ').next().unwrap();
            let sample = block.lines().skip(1).find(|line| line.starts_with("podfit_"));
            let sample = sample.unwrap_or_else(|| panic!("count {name} once in this test: its labels are not known"));
            let labels = sample.split_once('{').map_or("", |(_, rest)| rest.split_once('}').unwrap().0);
            let labels = labels.split("\",").filter_map(|label| label.split_once('=')).map(|(key, _)| key);
            let labels: Vec<_> = labels.filter(|key| *key != "le").map(|key| format!("`{key}`")).collect();
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            let help = help.trim_end_matches('.');
            rows.push(format!("| `{name}{suffix}` | {kind} | {} | {help} |", labels.join(", ")));
        }
        rows.sort();
        rows
    }

    #[test]
    fn the_documented_table_is_what_is_served() {
        let metrics = Metrics::with(&ControllerMetrics::example());
        let seen = Seen { outcome: Outcome::Skipped("stopped"), ..Seen::default() };
        metrics.seen(Entry::Mutate, &seen);
        metrics.reloaded("policy", true);
        let head = "# The metrics of `podfit serve`\n\nOn the port of `--metrics-listen`, at `/metrics`. Written by \
            `ACCEPT_GOLDEN=1 cargo test the_documented_table`.\n\n| metric | type | labels | what |\n|---|---|---|---|\n";
        let table = format!("{head}{}\n", rows(&metrics.text()).join("\n"));
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
        if std::env::var_os("ACCEPT_GOLDEN").is_some() {
            std::fs::write(&path, &table).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), table, "docs/metrics.md is to be written anew");
    }
}
