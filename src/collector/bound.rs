//! How many workloads are kept: whoever makes a new name for every run must not fill the memory of those who do not.
//! Sees names, no runs.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::workload::WorkloadKey;

/// Workloads (with container) kept of one namespace at most, about 60 MB at an estimated, not measured, 3 KB each.
pub const MOST_OF_NAMESPACE: usize = 20_000;
/// The same of all namespaces: about 600 MB by the same estimate.
pub const MOST_OF_ALL: usize = 200_000;
/// Names beyond them that are told apart at most, 8 bytes each.
const MOST_COUNTED: usize = 1_000_000;

/// The workloads that are kept, and how many are not.
#[derive(Debug)]
pub(super) struct Bound {
    most_of_namespace: usize,
    most_of_all: usize,
    kept: usize,
    counted: usize,
    namespaces: BTreeMap<String, Names>,
}

#[derive(Debug, Default)]
struct Names {
    kept: HashSet<u64>,
    left_out: HashSet<u64>,
    example: String,
    has_more: bool,
}

impl Bound {
    /// With what a store has of earlier collections.
    pub(super) fn new(known: impl IntoIterator<Item = WorkloadKey>) -> Self {
        Self::with(known, MOST_OF_NAMESPACE, MOST_OF_ALL)
    }

    fn with(known: impl IntoIterator<Item = WorkloadKey>, most_of_namespace: usize, most_of_all: usize) -> Self {
        let mut bound = Self { most_of_namespace, most_of_all, kept: 0, counted: 0, namespaces: BTreeMap::new() };
        for key in known {
            bound.takes(&key);
        }
        bound
    }

    /// Whether a workload is kept: those that came first are.
    pub(super) fn takes(&mut self, key: &WorkloadKey) -> bool {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let hash = hasher.finish();
        if !self.namespaces.contains_key(&key.workload.namespace) {
            self.namespaces.insert(key.workload.namespace.clone(), Names::default());
        }
        let Some(names) = self.namespaces.get_mut(&key.workload.namespace) else { return false };
        if names.kept.contains(&hash) {
            return true;
        }
        if names.kept.len() < self.most_of_namespace && self.kept < self.most_of_all {
            self.kept += 1;
            return names.kept.insert(hash);
        }
        if names.left_out.is_empty() {
            names.example = key.workload.to_string();
        }
        if self.counted < MOST_COUNTED {
            self.counted += usize::from(names.left_out.insert(hash));
        } else {
            names.has_more |= !names.left_out.contains(&hash);
        }
        false
    }

    /// What to say of each namespace that has more.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        self.namespaces.iter().filter(|(_, names)| !names.left_out.is_empty() || names.has_more).map(|(namespace, names)| {
            let more = if names.has_more { "more than " } else { "" };
            format!(
                "namespace {namespace} has {more}{} distinct workload names; {} are kept, and {} is among those that are \
                 not: names that never come again cannot be sized, group them by --group-by-labels",
                names.kept.len() + names.left_out.len(),
                names.kept.len(),
                names.example,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Kind, Workload};

    fn key(namespace: &str, n: usize) -> WorkloadKey {
        let workload = Workload::new(namespace, Kind::Cronjob, [format!("job-{n}")]);
        WorkloadKey { workload, container: "main".to_owned() }
    }

    #[test]
    fn a_namespace_that_explodes_takes_nothing_from_others() {
        let mut bound = Bound::with((0..3).map(|n| key("etl", n)), 5, 100);
        let taken: Vec<usize> = (0..50).filter(|n| bound.takes(&key("etl", *n))).collect();
        assert_eq!(taken, [0, 1, 2, 3, 4]);
        assert!(!bound.takes(&key("etl", 7)) && bound.takes(&key("etl", 2)) && bound.takes(&key("ml", 7)));
        let notes: Vec<String> = bound.notes().collect();
        assert_eq!(notes.len(), 1);
        for words in ["namespace etl has 50 distinct", "5 are kept", "cronjob/job-5", "--group-by-labels"] {
            assert!(notes[0].contains(words), "{words}: {}", notes[0]);
        }
    }

    #[test]
    fn all_namespaces_together_have_a_bound() {
        let mut bound = Bound::with([], 5, 8);
        let taken = (0..30).filter(|n| bound.takes(&key(&format!("ns{}", n % 10), *n))).count();
        assert_eq!(taken, 8);
    }
}
