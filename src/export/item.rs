//! One container of one workload as the snippets need it, from a report's line or from `podfit recommend -o json`.
//! Must not know any form.

use std::io::Read;

use crate::fit::spark::{self, Role};
use crate::fit::{ContainerResources, Resource};
use crate::quantity::{MIB, Quantity};
use crate::recommendation::{self, Entry, Line, Seen, UnusableRecommendations};
use crate::text;
use crate::text::units;
use crate::workload::{Kind, Workload};

use super::literal::Node;

/// Longest comment, in characters.
const COMMENT_CHARS: usize = 160;

/// One container of one workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Whose.
    pub workload: Workload,
    /// Container.
    pub container: String,
    /// What it asks for now.
    pub current: ContainerResources,
    /// What it should ask for; a value that is not there stays as it is.
    pub recommended: ContainerResources,
    /// Why, one sentence each.
    pub notes: Vec<String>,
    /// What the numbers rest on.
    pub seen: Seen,
    /// The heap that a Spark pod of it should have, in MiB, where that is known.
    pub heap_mib: Option<u64>,
}

/// How a Spark pod's memory is divided, in MiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparkParts {
    /// Heap.
    pub heap_mib: u64,
    /// All beside it.
    pub overhead_mib: u64,
    /// What is to be said of how the heap is known.
    pub assumed: Option<String>,
}

/// Reads what `podfit recommend -o json` prints.
///
/// # Errors
/// As [`recommendation::read`].
pub fn read(text: impl Read) -> Result<Vec<Item>, UnusableRecommendations> {
    let mut items = Vec::new();
    recommendation::read(text, |entry| {
        let heap_mib = entry.heap_mib();
        let Entry { workload, container, current, recommended, notes, evidence: seen, .. } = entry;
        items.push(Item { workload, container, current, recommended, notes, seen, heap_mib });
        Ok(())
    })?;
    Ok(items)
}

/// Text for a comment: one line, printable, not too long.
pub(super) fn comment(text: &str) -> String {
    text::clip(&text::clean(text), COMMENT_CHARS)
}

impl Item {
    /// From a report's line; `None` for a line whose workload is of no known form.
    pub fn of_line(line: &Line) -> Option<Self> {
        let e = &line.evidence;
        Some(Self {
            workload: Workload::parse(&line.namespace, &line.workload).ok()?,
            container: line.container.clone(),
            current: line.current,
            recommended: line.recommended,
            notes: line.notes.clone(),
            seen: Seen {
                runs: e.runs,
                days: e.days,
                replicas: e.replicas,
                first_ms: e.first_ms,
                last_ms: e.last_ms,
                peak_max_bytes: e.peak_max_bytes,
                oom_kills: e.oom_kills,
            },
            heap_mib: line.spark.as_ref().map(|spark| spark.heap_bytes / MIB),
        })
    }

    /// Whether there is any number to carry back.
    pub fn has_number(&self) -> bool {
        self.recommended != ContainerResources::default()
    }

    /// The `i`-th name of the workload.
    pub(super) fn name(&self, i: usize) -> &str {
        self.workload.names.get(i).map_or("", String::as_str)
    }

    /// The names of the application, without that of a resource profile.
    pub(super) fn application(&self) -> &[String] {
        let names = &self.workload.names;
        let own = if self.is_airflow_spark() { 2 } else { 1 };
        if self.is_spark() { names.get(..own).unwrap_or(names) } else { names }
    }

    /// The shape of a resource profile other than the default one.
    pub(super) fn profile(&self) -> Option<&str> {
        let names = self.workload.names.get(self.application().len()..)?;
        if self.is_spark() { names.first().map(String::as_str) } else { None }
    }

    /// Whether it is a pod of an Airflow task that starts Spark.
    pub(super) const fn is_airflow_spark(&self) -> bool {
        matches!(self.workload.kind, Kind::AirflowSparkDriver | Kind::AirflowSparkExecutor)
    }

    const fn is_spark(&self) -> bool {
        self.is_airflow_spark() || matches!(self.workload.kind, Kind::SparkDriver | Kind::SparkExecutor)
    }

    /// All that the container should have: where there is no new value, the present one, since most forms replace the
    /// whole of `resources`.
    pub(super) fn whole(&self) -> ContainerResources {
        let (new, now) = (&self.recommended, &self.current);
        ContainerResources {
            cpu_request: new.cpu_request.or(now.cpu_request),
            cpu_limit: new.cpu_limit.or(now.cpu_limit),
            memory_request: new.memory_request.or(now.memory_request),
            memory_limit: new.memory_limit.or(now.memory_limit),
        }
    }

    /// `{requests: {cpu: …, memory: …}, limits: {…}}`, without what is not set.
    pub(super) fn resources(&self) -> Node {
        let mut node = Node::Map(Vec::new());
        for (section, values) in self.sections() {
            let mut map = Node::Map(Vec::new());
            for (resource, value) in values {
                map.put(resource, Node::text(value));
            }
            if !map.is_empty() {
                node.put(section, map);
            }
        }
        node
    }

    /// Requests and limits, by name, as the API writes quantities.
    pub(super) fn sections(&self) -> [(&'static str, Vec<(&'static str, String)>); 2] {
        let whole = self.whole();
        let of = |limit: bool| {
            Resource::ALL
                .into_iter()
                .filter_map(|resource| {
                    let pair = whole.pair(resource);
                    let value = if limit { pair.limit } else { pair.request }?;
                    Some((resource.as_str(), value.to_string()))
                })
                .collect()
        };
        [("requests", of(false)), ("limits", of(true))]
    }

    /// The pod's memory, in MiB: what Spark and Flink set request and limit to.
    pub(super) fn total_mib(&self) -> Option<u64> {
        let total = self.recommended.memory_limit.or(self.recommended.memory_request)?;
        Some(total.bytes_rounded_up().div_ceil(MIB))
    }

    /// The role in Spark's keys.
    pub(super) const fn role(&self) -> Role {
        match self.workload.kind {
            Kind::SparkExecutor | Kind::AirflowSparkExecutor => Role::Executor,
            _ => Role::Driver,
        }
    }

    /// How the recommended memory is divided; `None` where memory is to stay as it is.
    ///
    /// # Errors
    /// Why it cannot be said: the heap is not known, or it leaves no room.
    pub(super) fn spark_parts(&self) -> Result<Option<SparkParts>, String> {
        let Some(total) = self.total_mib() else { return Ok(None) };
        let role = self.role().as_str();
        let now = self.current.memory_limit.or(self.current.memory_request);
        let now = now.map(|now| now.bytes_rounded_up().div_ceil(MIB));
        let (heap_mib, assumed) = match (self.heap_mib, now.and_then(spark::likely_heap)) {
            (Some(heap), _) => (heap, None),
            (None, Some(heap)) => {
                let why = format!(
                    "assumed: spark.{role}.memory is {heap}m, whose default overhead makes the {}m of now",
                    now.unwrap_or_default()
                );
                (heap, Some(why))
            }
            (None, None) if now == Some(total) => return Ok(None),
            (None, None) => {
                return Err(format!(
                    "the {role}'s heap is not known, so its {total}m cannot be divided: make spark.{role}.memory and \
                     spark.{role}.memoryOverhead add up to {total}m"
                ));
            }
        };
        match total.checked_sub(heap_mib).filter(|overhead| *overhead > 0) {
            Some(overhead_mib) => Ok(Some(SparkParts { heap_mib, overhead_mib, assumed })),
            None => Err(format!("the {role}'s heap of {heap_mib}m leaves nothing of {total}m: lower it first")),
        }
    }

    /// What is said above the snippet.
    pub(super) fn comments(&self) -> Vec<String> {
        let (new, now) = (&self.recommended, &self.current);
        let mut lines = vec![format!("{} in {}, container {}", self.workload, self.workload.namespace, self.container)];
        let mut changes = Vec::new();
        let mut change = |what: &str, from: Option<Quantity>, to: Option<Quantity>| {
            let shown = |value: Option<Quantity>| value.map_or_else(|| "unset".to_owned(), |value| value.to_string());
            match to {
                Some(_) if to == from => changes.push(format!("{what} {}", shown(to))),
                Some(_) => changes.push(format!("{what} {} -> {}", shown(from), shown(to))),
                None => {}
            }
        };
        if new.memory_request == new.memory_limit && now.memory_request == now.memory_limit {
            change("memory", now.memory_limit, new.memory_limit);
        } else {
            change("memory request", now.memory_request, new.memory_request);
            change("memory limit", now.memory_limit, new.memory_limit);
        }
        change("cpu request", now.cpu_request, new.cpu_request);
        if new.cpu_limit != now.cpu_limit {
            change("cpu limit", now.cpu_limit, new.cpu_limit);
        }
        lines.push(if changes.is_empty() { "no number".to_owned() } else { changes.join(", ") });
        let seen = &self.seen;
        if seen.runs > 0 {
            let mut line = crate::sizing::evidence::seen(seen.runs, seen.days, seen.replicas);
            if let (Some(first), Some(last)) = (seen.first_ms, seen.last_ms) {
                line.push_str(&format!(" from {} to {}", units::day(first), units::day(last)));
            }
            if let Some(peak) = seen.peak_max_bytes {
                line.push_str(&format!(", highest peak {}", units::memory(peak)));
            }
            if seen.oom_kills > 0 {
                line.push_str(&format!(", {} OOM-killed", seen.oom_kills));
            }
            lines.push(line);
        }
        lines.extend(self.notes.iter().cloned());
        lines
    }
}
