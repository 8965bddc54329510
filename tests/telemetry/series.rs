//! Series with timestamps, written as an OpenMetrics file. Knows no metric.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Labels of a series, by name.
pub type Labels = BTreeMap<String, String>;

/// Labels from pairs.
pub fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// These labels and others; the others win.
pub fn with<const N: usize>(base: &Labels, more: [(&str, &str); N]) -> Labels {
    let mut all = base.clone();
    all.extend(labels(more));
    all
}

/// All series of a history: per metric and labels, samples by time in seconds since the epoch.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub metrics: BTreeMap<String, BTreeMap<Labels, BTreeMap<i64, f64>>>,
}

impl History {
    /// Adds a sample; one of the same time is replaced.
    pub fn say(&mut self, metric: &str, labels: &Labels, at_s: i64, value: f64) {
        let series = self.metrics.entry(metric.to_owned()).or_default();
        series.entry(labels.clone()).or_default().insert(at_s, value);
    }

    /// Adds a sample every `step_s` from `from_s` until before `until_s`.
    pub fn say_all(&mut self, metric: &str, labels: &Labels, (from_s, until_s, step_s): (i64, i64, usize), value: f64) {
        for at_s in (from_s..until_s).step_by(step_s) {
            self.say(metric, labels, at_s, value);
        }
    }

    /// Changes the labels of every series whose metric begins so.
    pub fn relabel(&mut self, prefix: &str, mut change: impl FnMut(&mut Labels, &BTreeMap<i64, f64>)) {
        for (_, series) in self.metrics.iter_mut().filter(|(metric, _)| metric.starts_with(prefix)) {
            let mut changed: BTreeMap<Labels, BTreeMap<i64, f64>> = BTreeMap::new();
            for (mut labels, samples) in std::mem::take(series) {
                change(&mut labels, &samples);
                changed.entry(labels).or_default().extend(samples);
            }
            *series = changed;
        }
    }

    /// As OpenMetrics text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (metric, series) in &self.metrics {
            writeln!(text, "# TYPE {metric} unknown").unwrap();
            for (labels, samples) in series {
                let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                let labels = labels.join(",");
                for (at_s, value) in samples {
                    writeln!(text, "{metric}{{{labels}}} {value} {at_s}").unwrap();
                }
            }
        }
        text.push_str("# EOF\n");
        text
    }

    /// Writes it to a file.
    pub fn write(&self, path: &Path) {
        std::fs::write(path, self.text()).unwrap();
    }
}
