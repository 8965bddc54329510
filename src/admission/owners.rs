//! Of a namespace's Jobs and ReplicaSets, those that have a controller themselves.
//! Must not cost as much as there are of them when one comes or goes: a changed copy shares all but what changed.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::workload::Owner;

/// Parts of which a changed copy shares all but those that changed. Of 10,000 Jobs some 160 are copied for one more.
const PARTS: usize = 64;

/// The controller above a controller, such as the `CronJob` of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// uid of the owned object; a pod that names another one belongs to another object of that name.
    pub uid: String,
    /// Its own controller.
    pub by: Owner,
}

type Part = Arc<HashMap<Owner, Owned>>;

/// Who owns whom, by kind and name of what is owned. A clone costs little, whatever it holds.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// None where nothing was ever put in, else [`PARTS`].
    parts: Vec<Part>,
    hasher: RandomState,
}

impl Owners {
    /// Who owns the object of this kind and name.
    pub fn get(&self, of: &Owner) -> Option<&Owned> {
        self.parts.get(self.part_of(of))?.get(of)
    }

    /// Sets who owns it; false where that was known.
    pub fn insert(&mut self, of: Owner, owned: Owned) -> bool {
        if self.get(&of) == Some(&owned) {
            return false;
        }
        if self.parts.is_empty() {
            self.parts = vec![Part::default(); PARTS];
        }
        let at = self.part_of(&of);
        if let Some(part) = self.parts.get_mut(at) {
            Arc::make_mut(part).insert(of, owned);
        }
        true
    }

    /// Forgets it; false where it was not known.
    pub fn remove(&mut self, of: &Owner) -> bool {
        if self.get(of).is_none() {
            return false;
        }
        let at = self.part_of(of);
        self.parts.get_mut(at).is_some_and(|part| Arc::make_mut(part).remove(of).is_some())
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Owner, &Owned)> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| part.is_empty())
    }

    fn part_of(&self, of: &Owner) -> usize {
        self.hasher.hash_one(of) as usize % PARTS
    }
}

impl FromIterator<(Owner, Owned)> for Owners {
    fn from_iter<I: IntoIterator<Item = (Owner, Owned)>>(owners: I) -> Self {
        let mut all = Self::default();
        for (of, owned) in owners {
            all.insert(of, owned);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(n: usize) -> (Owner, Owned) {
        (
            Owner::new("Job", format!("nightly-{n}")),
            Owned { uid: format!("u{n}"), by: Owner::new("CronJob", "nightly") },
        )
    }

    #[test]
    fn what_was_put_in_is_found_until_it_is_removed() {
        let mut owners: Owners = (0..1000).map(job).collect();
        assert_eq!(owners.len(), 1000);
        let (of, owned) = job(7);
        assert_eq!(owners.get(&of), Some(&owned));
        assert!(!owners.insert(of.clone(), owned), "nothing is new");
        let other = Owned { uid: "other".to_owned(), by: Owner::new("CronJob", "nightly") };
        assert!(owners.insert(of.clone(), other.clone()));
        assert_eq!((owners.get(&of), owners.len()), (Some(&other), 1000));
        assert!(owners.remove(&of) && !owners.remove(&of));
        assert_eq!((owners.get(&of), owners.iter().count()), (None, 999));
        assert!(Owners::default().get(&of).is_none() && Owners::default().is_empty());
    }

    #[test]
    fn a_changed_copy_shares_all_but_one_part() {
        let published: Owners = (0..10_000).map(job).collect();
        let mut changed = published.clone();
        let (of, owned) = job(10_000);
        changed.insert(of, owned);
        let own = |a: &Owners, b: &Owners| a.parts.iter().zip(&b.parts).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert_eq!((own(&published, &changed), published.parts.len()), (1, PARTS));
        assert_eq!((published.len(), changed.len()), (10_000, 10_001), "readers of the old one see no change");
        let largest = published.parts.iter().map(|part| part.len()).max().unwrap();
        assert!(largest < 2 * 10_000 / PARTS, "{largest} in one part");
    }
}
