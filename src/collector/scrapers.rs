//! Who tells of containers, and by which labels: what several scrape jobs say of one container, and what no label
//! names. Takes in labels; reads no sample.

use std::collections::hash_map::{Entry, HashMap};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};

use super::metrics::MEMORY;
use super::names;
use crate::prometheus::Labels;

/// What the labels of a metric's series say of who wrote them.
#[derive(Debug, Default)]
pub(super) struct Scrapers {
    hasher: RandomState,
    jobs: Vec<String>,
    /// The job that told first of a container or pod.
    first: HashMap<u64, usize>,
    found: Found,
}

/// What is to be said.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Jobs that tell of the same containers, with one container, `namespace/pod`.
    doubles: BTreeMap<BTreeSet<String>, String>,
    /// Of series of containers that cannot be told apart: the labels that look as if they named namespace and pod.
    unnamed: BTreeSet<String>,
    has_unnamed: bool,
    has_named: bool,
}

impl Scrapers {
    /// Takes in a series of containers.
    pub(super) fn container(&mut self, labels: &Labels) {
        if let Some(of) = names::of_container(labels) {
            self.found.has_named = true;
            self.tell(&of, labels);
        } else if names::get(labels, "container").is_none_or(|name| name != "POD")
            && (names::get(labels, names::NAMESPACE).is_none() || names::get(labels, "pod").is_none())
        {
            let looks = labels.iter().map(|(name, _)| name).filter(|name| looks_like_one(name));
            self.found.unnamed.extend(looks.map(str::to_owned));
            self.found.has_unnamed = true;
        }
    }

    /// Takes in a series of pods.
    pub(super) fn pod(&mut self, labels: &Labels) {
        if let (Some(namespace), Some(pod)) = (names::get(labels, names::NAMESPACE), names::get(labels, "pod")) {
            self.tell(&[namespace, pod, labels.get("uid").unwrap_or_default()], labels);
        }
    }

    fn tell(&mut self, of: &[&str; 3], labels: &Labels) {
        let Some(job) = labels.get("job") else { return };
        let at = self.jobs.iter().position(|known| known == job).unwrap_or_else(|| {
            self.jobs.push(job.to_owned());
            self.jobs.len() - 1
        });
        match self.first.entry(self.hasher.hash_one(of)) {
            Entry::Vacant(free) => {
                free.insert(at);
            }
            Entry::Occupied(first) if *first.get() != at => {
                let jobs = [*first.get(), at].map(|at| self.jobs[at].clone()).into();
                let example = format!("{}/{}", of[0], of[1]);
                let known = self.found.doubles.entry(jobs).or_insert_with(|| example.clone());
                if example < *known {
                    *known = example;
                }
            }
            Entry::Occupied(_) => {}
        }
    }

    /// What was found.
    pub(super) fn found(self) -> Found {
        self.found
    }
}

/// Whether a label may name the namespace or the pod of a container.
fn looks_like_one(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    (name.contains("namespace") || name.contains("pod")) && !name.contains("uid") && !name.contains("replica")
}

impl Found {
    /// Adds what was found in another slice of time.
    pub(super) fn join(&mut self, other: Self) {
        for (jobs, example) in other.doubles {
            let known = self.doubles.entry(jobs).or_insert_with(|| example.clone());
            if example < *known {
                *known = example;
            }
        }
        self.unnamed.extend(other.unnamed);
        self.has_unnamed |= other.has_unnamed;
        self.has_named |= other.has_named;
    }

    /// Whether a series named the container it is of.
    pub(super) fn has_named(&self) -> bool {
        self.has_named
    }

    /// Of jobs that tell of the same: what it means, and the flag that chooses.
    pub(super) fn doubles(&self, of: &str, flag: &str) -> Option<String> {
        let example = self.doubles.values().min()?;
        let jobs: BTreeSet<&str> = self.doubles.keys().flatten().map(String::as_str).collect();
        let last = jobs.last()?;
        Some(format!(
            "{} scrape jobs ({}) have the same series of {of}, those of {example} for one: what they say is merged, and \
             {flag} {last} reads one of them",
            jobs.len(),
            jobs.iter().copied().collect::<Vec<_>>().join(", "),
        ))
    }

    /// Of series that name no pod: which labels there are instead, and how to rename them. `None` where every series
    /// has its names.
    pub(super) fn unnamed(&self) -> Option<String> {
        self.has_unnamed.then_some(())?;
        let pick = |fits: fn(&str) -> bool| {
            let fitting = self.unnamed.iter().filter(|name| fits(&name.to_ascii_lowercase()));
            fitting.min_by_key(|name| (name.len(), name.as_str()))
        };
        let rules: Vec<String> = [
            ("namespace", pick(|name| name.contains("namespace"))),
            ("pod", pick(|name| name.contains("pod") && !name.contains("namespace"))),
        ]
        .into_iter()
        .filter_map(|(wanted, has)| {
            let has = has.filter(|has| *has != wanted)?;
            Some(format!("{{source_labels: [{has}], target_label: {wanted}}}"))
        })
        .collect();
        let (have, advice) = if rules.is_empty() {
            (String::new(), "let Prometheus keep them (a relabelling or a recording rule drops them)".to_owned())
        } else {
            let names: Vec<&str> = self.unnamed.iter().map(String::as_str).collect();
            let advice = format!("add metric_relabel_configs: [{}] to the job that scrapes cAdvisor", rules.join(", "));
            (format!(", but {}", names.join(", ")), advice)
        };
        let some = if self.has_named { "some series of " } else { "" };
        Some(format!("{some}{MEMORY} have no labels namespace and pod{have}, so nobody knows whose they are: {advice}"))
    }
}
