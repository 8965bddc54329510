//! A seeded simulator of what a Kubernetes cluster's Prometheus would hold: the demo's history, and the tests' ground
//! truth. Knows no clock, no network and nothing of how podfit reads series: the same seed gives the same bytes.

#![allow(clippy::doc_markdown, reason = "CronJob, OpenMetrics and the like are words here, not code")]

use std::io::{self, Write};

use crate::prometheus::{Labels, Sample};

mod calendar;
mod flink_series;
mod identity;
mod instance;
mod metric;
mod model;
mod openmetrics;
pub mod platforms;
mod pod;
mod random;
mod scrape;
mod state_series;
mod timeline;
mod truth;
mod usage_series;

#[cfg(test)]
mod tests;

pub use calendar::{DAY_MS, MINUTE_MS, Schedule};
pub use instance::End;
pub use metric::Metric;
pub use model::{Asks, Cpu, Engine, FlinkJvm, MIB, Memory, Part, Retention, Usage, WorkloadModel};
pub use scrape::{Allowlist, Gap, HighWater, Phase, ScrapeOptions, Stamps};
pub use truth::TrueRun;

/// A cluster to simulate: its workloads, its size, and how it is scraped.
#[derive(Clone, Debug, PartialEq)]
pub struct Platform {
    /// Days of history.
    pub days: u32,
    /// Nodes that pods are spread over, at least 1.
    pub nodes: u32,
    /// What runs there.
    pub models: Vec<WorkloadModel>,
    /// How it is scraped.
    pub scrape: ScrapeOptions,
}

impl Platform {
    /// Plays the window of so many days up to `end_ms` (milliseconds since the epoch).
    pub fn simulate(self, end_ms: i64, seed: u64) -> Simulation {
        let start_ms = end_ms - i64::from(self.days) * DAY_MS;
        let mut simulation =
            Simulation { start_ms, end_ms, seed, scrape: self.scrape, pods: Vec::new(), parents: Vec::new() };
        for model in &self.models {
            let played = timeline::play(model, start_ms, end_ms, self.nodes, seed);
            simulation.pods.extend(played.pods);
            simulation.parents.extend(played.parents);
        }
        simulation
    }

    /// The same platform, scraped otherwise.
    #[must_use]
    pub fn scraped(mut self, change: impl FnOnce(&mut ScrapeOptions)) -> Self {
        change(&mut self.scrape);
        self
    }
}

/// A played window. It holds the pods and their lives; samples are computed when they are asked for.
#[derive(Debug)]
pub struct Simulation {
    start_ms: i64,
    end_ms: i64,
    seed: u64,
    scrape: ScrapeOptions,
    pods: Vec<pod::Pod>,
    parents: Vec<pod::Parent>,
}

impl Simulation {
    /// First millisecond of the window.
    pub const fn start_ms(&self) -> i64 {
        self.start_ms
    }

    /// Last millisecond of the window.
    pub const fn end_ms(&self) -> i64 {
        self.end_ms
    }

    /// Number of pods that existed in the window.
    pub const fn pods(&self) -> usize {
        self.pods.len()
    }

    /// Gives every series of one metric, samples in order of time.
    pub fn for_each_series_of(&self, metric: Metric, mut sink: impl FnMut(Labels, Vec<Sample>)) {
        if !self.scrape.emits(metric) {
            return;
        }
        match metric {
            Metric::JobOwner | Metric::ReplicasetOwner => {
                self.parents.iter().for_each(|p| state_series::of_parent(self, metric, p, &mut sink));
            }
            m if m.is_of_flink() => self.pods.iter().for_each(|p| flink_series::of_pod(self, m, p, &mut sink)),
            m if m.is_usage() => self.pods.iter().for_each(|p| usage_series::of_pod(self, m, p, &mut sink)),
            m => self.pods.iter().for_each(|p| state_series::of_pod(self, m, p, &mut sink)),
        }
    }

    /// Gives every series of every metric, metric by metric.
    pub fn for_each_series(&self, mut sink: impl FnMut(&'static str, Labels, Vec<Sample>)) {
        for metric in Metric::ALL {
            self.for_each_series_of(metric, |labels, samples| sink(metric.name(), labels, samples));
        }
    }

    /// Writes all series as OpenMetrics text that promtool can backfill from. Memory does not grow with the samples.
    pub fn write_openmetrics(&self, out: &mut impl Write) -> io::Result<()> {
        let mut line = String::new();
        for metric in Metric::ALL {
            let mut result = Ok(());
            let mut first = true;
            self.for_each_series_of(metric, |labels, samples| {
                if result.is_ok() && first {
                    first = false;
                    result = openmetrics::family(out, metric);
                }
                if result.is_ok() {
                    result = openmetrics::series(out, metric, &labels, &samples, &mut line);
                }
            });
            result?;
        }
        writeln!(out, "# EOF")
    }

    /// What really happened, one entry per life of a container.
    pub fn truth(&self) -> Vec<TrueRun> {
        truth::all(self)
    }
}

fn node_name(node: u32) -> String {
    format!("worker-{:02}", node + 1)
}
