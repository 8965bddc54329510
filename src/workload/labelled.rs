//! Pods that the labels of their operator name, by the rows of `table`. Must not know an operator.

use super::facts::PodFacts;
use super::identity::{ALLOW_LABELS, Identity, Unidentified};
use super::recurring_name::{
    cronjob_of_job, holds_random_part, recurring_name, without_generated_suffix, without_number,
};
use super::row::{Row, Source, WORKER_INDEX};
use super::table::ROWS;
use super::{Kind, controllers};

impl Row {
    fn has(&self, pod: &PodFacts) -> bool {
        if self.key == Self::NO_NAME && (pod.owner.is_some() || pod.job_name().is_some()) {
            return false;
        }
        self.owns(pod) || self.marks.iter().any(|all| all.iter().all(|mark| is_marked(pod, mark)))
    }

    fn owns(&self, pod: &PodFacts) -> bool {
        let Some(owner) = &pod.owner else { return false };
        self.owners.iter().any(|(kind, group)| {
            owner.kind.eq_ignore_ascii_case(kind)
                && match &pod.owner_group {
                    Some(known) => known == group,
                    // Without its group a kind that Kubernetes has too is Kubernetes' own.
                    None => !controllers::is_built_in(kind),
                }
        })
    }
}

fn value<'a>(pod: &'a PodFacts, key: &str) -> Option<&'a str> {
    pod.label(key).or_else(|| pod.annotation(key))
}

fn is_marked(pod: &PodFacts, mark: &str) -> bool {
    match mark.split_once('=') {
        None => value(pod, mark).is_some(),
        Some((key, wanted)) => value(pod, key).is_some_and(|value| match wanted.strip_suffix('*') {
            Some(begin) => value.starts_with(begin),
            None => value == wanted,
        }),
    }
}

/// What a source gives.
enum Given {
    Name(String),
    Nothing,
    /// There is a name, and it is new with every run.
    Random,
}

impl Source {
    fn give(&self, row: &Row, pod: &PodFacts) -> Option<Given> {
        let owner = || pod.owner.as_ref().filter(|_| row.owns(pod)).map(|owner| owner.name.as_str());
        let name = |name: &str| Some(Given::Name(name.to_owned()));
        let before = |whole: &str, text: &str| stem(whole.rsplit_once(text).map_or(whole, |(head, _)| head));
        match self {
            Self::Exact(key) => name(value(pod, key)?),
            Self::Role(key) => Some(Given::Name(value(pod, key)?.to_lowercase())),
            Self::Stem(key) => Some(stem(value(pod, key)?)),
            Self::Unnumbered(key) => name(without_number(value(pod, key)?)),
            Self::StemBefore(key, text) => Some(before(value(pod, key)?, text)),
            Self::Group { label, of } => {
                let (whole, of) = (value(pod, label)?, value(pod, of).unwrap_or_default());
                let own = whole.strip_prefix(of).unwrap_or(whole).trim_start_matches('-');
                if own.is_empty() { Some(Given::Nothing) } else { name(own) }
            }
            Self::RolloutOf(hash) => {
                let replica_set = pod.owned_by("ReplicaSet")?;
                name(replica_set.strip_suffix(value(pod, hash)?)?.strip_suffix('-')?)
            }
            Self::Owner => Some(stem(owner()?)),
            Self::OwnerUnnumbered => name(without_number(owner()?)),
            Self::OwnerStemBefore(text) => Some(before(owner()?, text)),
            Self::OwnerTwiceGenerated => {
                let name = owner()?;
                let once = without_generated_suffix(name).unwrap_or(name);
                Some(stem(without_generated_suffix(once).unwrap_or(once)))
            }
            Self::LeaderOrWorker => {
                let is_leader = match value(pod, WORKER_INDEX) {
                    Some(index) => index == "0",
                    None => pod.owned_by("StatefulSet")? == value(pod, "leaderworkerset.sigs.k8s.io/name")?,
                };
                name(if is_leader { "leader" } else { "worker" })
            }
            Self::IfLabel(key, text) => value(pod, key).and_then(|_| name(text)),
            Self::Text(text) => name(text),
            Self::Nothing => Some(Given::Nothing),
        }
    }
}

fn stem(name: &str) -> Given {
    let stem = recurring_name(cronjob_of_job(name).unwrap_or(name));
    if holds_random_part(&stem) { Given::Random } else { Given::Name(stem) }
}

pub(super) fn identify(pod: &PodFacts) -> Option<Result<Identity, Unidentified>> {
    let row = ROWS.iter().find(|row| row.has(pod))?;
    if row.key == Row::NO_NAME {
        return Some(Err(Unidentified::no_recurring_name(pod, row.suggest)));
    }
    let key = match &pod.owner {
        Some(owner) if row.key == Row::OWNERS_KIND => owner.kind.to_lowercase(),
        _ => row.key.to_owned(),
    };
    let mut names = vec![key];
    for sources in row.names.iter().chain(row.roles) {
        match sources.iter().find_map(|source| source.give(row, pod)) {
            Some(Given::Name(name)) => names.push(name),
            Some(Given::Nothing) => {}
            Some(Given::Random) => return Some(Err(Unidentified::no_recurring_name(pod, row.suggest))),
            None => {
                let labels: Vec<&str> = sources.iter().filter_map(Source::label).collect();
                let missing = format!("what names its work (label {}) is", labels.join(" or "));
                return Some(Err(Unidentified::Incomplete {
                    engine: row.engine,
                    missing: missing.into(),
                    remedy: ALLOW_LABELS,
                }));
            }
        }
    }
    Some(Ok(Identity::new(pod, Kind::Custom, names)))
}

/// The rows for people: what the operator is called, how its keys begin, and the labels that name its pods.
pub fn operators() -> impl Iterator<Item = (&'static str, String, String)> {
    ROWS.iter().map(|row| {
        let key = match row.key {
            Row::OWNERS_KIND => row
                .owners
                .iter()
                .map(|(kind, _)| format!("custom/{}", kind.to_lowercase()))
                .collect::<Vec<_>>()
                .join("`, `"),
            Row::NO_NAME => "--group-by-labels".to_owned(),
            key => format!("custom/{key}"),
        };
        let mut labels: Vec<&str> = Vec::new();
        for label in row.labels().chain(row.suggest.iter().copied()) {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        (row.engine, key, labels.join(", "))
    })
}
