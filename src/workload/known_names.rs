//! Pods whose series carry no labels: the stem of their name, learned from pods whose workload is known.
//! The last in the order of trust, and only where a stem means one workload.

use std::collections::HashMap;

use super::{Identity, PodFacts, Workload};

/// A workload and its main container.
type Learned = (Workload, Option<String>);

/// What the stems of known pods' names stand for.
#[derive(Clone, Debug, Default)]
pub struct KnownNames {
    /// By namespace and stem; `None` where two workloads share it.
    stems: HashMap<(String, String), Option<Learned>>,
}

impl KnownNames {
    /// Learns from a pod whose workload is known.
    pub fn learn(&mut self, pod: &PodFacts, identity: &Identity) {
        let Some(stem) = pod.name_or_prefix().and_then(stem) else { return };
        let learned = (identity.workload.clone(), identity.main_container.clone());
        self.stems
            .entry((pod.namespace.clone(), stem))
            .and_modify(|known| {
                if known.as_ref() != Some(&learned) {
                    *known = None; // two workloads share the stem: it tells nothing
                }
            })
            .or_insert(Some(learned));
    }

    /// Adds what another has learned; stems begin with a namespace, so those of different namespaces never meet.
    pub fn extend(&mut self, other: Self) {
        for (stem, learned) in other.stems {
            self.stems
                .entry(stem)
                .and_modify(|known| {
                    if *known != learned {
                        *known = None;
                    }
                })
                .or_insert(learned);
        }
    }

    /// The workload of a pod by its name alone, where one was learned and it is the only one.
    pub fn identify(&self, namespace: &str, pod: &str) -> Option<Identity> {
        let (workload, main_container) = self.stems.get(&(namespace.to_owned(), stem(pod)?))?.clone()?;
        Some(Identity { workload, attempt: None, unit: None, main_container })
    }
}

/// A pod's name without its last part, when that part looks generated (5 to 16 characters of `[a-z0-9]` with a digit
/// among the last eight, or the generated alphabet). A name made of a run's id has none: what is left of it would be
/// the engine's prefix, and every work of that engine has the same.
fn stem(name: &str) -> Option<String> {
    if super::recurring_name::holds_uuid(name) {
        return None;
    }
    let (stem, suffix) = name.rsplit_once('-')?;
    let generated = (5..=16).contains(&suffix.len())
        && suffix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && (suffix.len() == 8
            || suffix.bytes().any(|b| b.is_ascii_digit())
            || super::recurring_name::without_generated_suffix(name).is_some());
    (generated && !stem.is_empty()).then(|| super::recurring_name::without_stamps(stem))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("nightly-etl-load-1sp9i3sm", Some("nightly-etl-load"))]
    #[case("etl-20261121-x7k2q", Some("etl"))]
    #[case("dagster-run-f079c607-b3e8-49e0-835a-835a0c65e955-dsnpn", None)]
    #[case("plain-name", None)]
    fn stems(#[case] name: &str, #[case] expected: Option<&str>) {
        assert_eq!(stem(name).as_deref(), expected);
    }
}
