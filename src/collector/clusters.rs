//! Whether the series in scope are of several clusters that have the same names.
//!
//! A workload is known by namespace and names, and nothing in a series says for certain of which cluster it is: that is
//! a label that somebody chose. So the labels that are no exporter's own are looked at. Two values of such a label are
//! two clusters where both have pods of one namespace at the same time and share no pod; where a pod is under both,
//! they are two scrapers of one cluster, or its label was changed.
//!
//! A label with "cluster" in its name needs no further proof. Any other one (tenant, region, environment) must be on
//! cAdvisor's and kube-state-metrics' series alike, and the same names must occur under both of its values: labels of
//! nodes, of the scraped pod of kube-state-metrics and of parts of a pod's name are never that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::instance::InstanceKey;
use super::metrics::{MEMORY, Scope};
use super::names::{self, NAMESPACE};
use crate::prometheus::{Error, Labels, SeriesSource, TimeRange};
use crate::workload::recurring_name::{cronjob_of_job, recurring_name};

/// What kube-state-metrics says of every pod.
const OWNER: &str = "kube_pod_owner";
/// Labels of exporters and of scrapes, and those that tell the replicas of one Prometheus apart.
const NO_CLUSTER: [&str; 30] = [
    "__name__",
    "__replica__",
    "container",
    "container_name",
    "endpoint",
    "host",
    "hostname",
    "host_ip",
    "id",
    "image",
    "instance",
    "job",
    "metrics_path",
    "name",
    "namespace",
    "node",
    "nodename",
    "owner_is_controller",
    "owner_kind",
    "owner_name",
    "pod",
    "pod_ip",
    "pod_name",
    "prometheus",
    "prometheus_replica",
    "receive",
    "replica",
    "scheme",
    "service",
    "uid",
];
/// In how many pieces the window is looked at, to see who was there at the same time; at most 64.
const PIECES: u32 = 48;
/// Labels that are looked at, and clusters that are named, at most.
const MOST: usize = 8;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Clusters {
    /// Nothing that could be mixed up.
    One,
    /// One after the other, as when a cluster is moved or its label is changed: read as one. What to say of it.
    InTurn(String),
    /// Side by side. What is wrong, and what to do.
    Several(String),
}

/// A label that may say which cluster it is.
struct Candidate {
    name: String,
    /// Its name says so.
    is_named: bool,
}

/// Looks for several clusters in scope.
///
/// # Errors
/// The source failed.
pub(super) async fn look<S: SeriesSource>(source: &S, scope: &Scope, window: TimeRange) -> Result<Clusters, Error> {
    let of_containers = labels_of(source, scope, MEMORY, window).await?;
    let of_objects = labels_of(source, scope, OWNER, window).await?;
    let mut candidates = Vec::new();
    let mut metric = MEMORY;
    for name in of_containers.union(&of_objects).filter(|name| !NO_CLUSTER.contains(&name.as_str())) {
        let is_named = names_a_cluster(name);
        let on_both = of_containers.contains(name) && of_objects.contains(name);
        if !is_named && !on_both {
            continue;
        }
        let on_objects = values_of(source, scope, OWNER, window, name).await?;
        let split = if is_named {
            on_objects.len() > 1 || values_of(source, scope, MEMORY, window, name).await?.len() > 1
        } else {
            on_objects.len() > 1
                && values_of(source, scope, MEMORY, window, name).await?.intersection(&on_objects).count() > 1
        };
        if split {
            if on_objects.len() > 1 {
                metric = OWNER;
            }
            candidates.push(Candidate { name: name.clone(), is_named });
        }
    }
    if candidates.is_empty() {
        return Ok(Clusters::One);
    }
    candidates.sort_by_key(|c| !c.is_named);
    candidates.truncate(MOST);
    let seen = Seen::read(source, scope, metric, window, &candidates).await?;
    let mut found = seen.judge(&candidates);
    // Those that share one piece alone may have followed each other within it.
    let shared: BTreeSet<u32> = found.iter().filter_map(|pair| pair.shared).collect();
    for piece in shared {
        let within = Seen::read(source, scope, metric, piece_of(window, piece), &candidates).await?.judge(&candidates);
        for pair in found.iter_mut().filter(|pair| pair.shared == Some(piece)) {
            let same = within.iter().find(|w| (&w.namespace, &w.values) == (&pair.namespace, &pair.values));
            pair.side_by_side |= same.is_some_and(|within| within.side_by_side);
        }
    }
    Ok(told(&found, &seen, &candidates))
}

async fn labels_of<S: SeriesSource>(
    source: &S,
    scope: &Scope,
    metric: &str,
    window: TimeRange,
) -> Result<BTreeSet<String>, Error> {
    source.label_names(&scope.of(metric), window).await
}

/// The values of a label; where all that have it have the same, also whether there are series without it, as `""`.
async fn values_of<S: SeriesSource>(
    source: &S,
    scope: &Scope,
    metric: &str,
    window: TimeRange,
    label: &str,
) -> Result<BTreeSet<String>, Error> {
    let selector = scope.of(metric);
    let mut values = source.label_values(label, &selector, window).await?;
    if values.len() == 1 {
        let without = selector.equal(label, "");
        if !source.label_names(&without, window).await?.is_empty() {
            values.insert(String::new());
        }
    }
    Ok(values)
}

/// Whether a label's name says that it names a cluster.
fn names_a_cluster(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("cluster") && !name.contains("replica")
}

fn piece_of(window: TimeRange, piece: u32) -> TimeRange {
    let length = (window.len_ms() / u64::from(PIECES)).max(1);
    let start_ms = window.start_ms.saturating_add_unsigned(length * u64::from(piece));
    let end_ms = if piece + 1 == PIECES {
        window.end_ms
    } else {
        start_ms.saturating_add_unsigned(length - 1).min(window.end_ms)
    };
    TimeRange { start_ms, end_ms }
}

/// Where one combination of the candidates' values was seen.
#[derive(Clone, Debug, Default)]
struct Presence {
    /// A bit for each piece of the window.
    pieces: u64,
    /// Names that come again, as hashes.
    names: BTreeSet<u64>,
}

/// Which combinations were seen, by namespace.
#[derive(Default)]
struct Seen {
    /// A value for each candidate; empty where the label was absent.
    combinations: Vec<Vec<String>>,
    pods: Vec<u64>,
    /// The combination that each of them is one cluster with.
    same: Vec<usize>,
    namespaces: BTreeMap<String, BTreeMap<usize, Presence>>,
}

/// Two clusters in one namespace.
struct Pair {
    namespace: String,
    /// Of both, all that is one cluster with them.
    values: [Vec<Vec<String>>; 2],
    side_by_side: bool,
    /// The only piece in which both are.
    shared: Option<u32>,
}

impl Seen {
    async fn read<S: SeriesSource>(
        source: &S,
        scope: &Scope,
        metric: &str,
        window: TimeRange,
        candidates: &[Candidate],
    ) -> Result<Self, Error> {
        let mut seen = Self::default();
        let mut places: HashMap<Vec<String>, usize> = HashMap::new();
        let mut first: HashMap<u64, usize> = HashMap::new();
        for piece in 0..PIECES {
            let range = piece_of(window, piece);
            if range.len_ms() == 0 {
                continue;
            }
            let mut stream = source.last(&scope.of(metric), range).await?;
            while let Some(chunk) = stream.recv().await {
                let labels = chunk?.labels;
                let value = |c: &Candidate| labels.get(&c.name).unwrap_or_default().to_owned();
                let values: Vec<String> = candidates.iter().map(value).collect();
                let Some((namespace, pod, name)) = pod_of(&labels, candidates) else { continue };
                let place = *places.entry(values).or_insert_with_key(|values| {
                    seen.same.push(seen.combinations.len());
                    seen.combinations.push(values.clone());
                    seen.pods.push(0);
                    seen.combinations.len() - 1
                });
                if let Some(before) = first.get(&pod) {
                    seen.join(*before, place);
                } else {
                    first.insert(pod, place);
                    seen.pods[place] += 1;
                }
                let presence = seen.namespaces.entry(namespace).or_default().entry(place).or_default();
                presence.pieces |= 1 << piece;
                presence.names.insert(name);
            }
        }
        Ok(seen)
    }

    fn root(&self, mut place: usize) -> usize {
        while self.same[place] != place {
            place = self.same[place];
        }
        place
    }

    /// Both have one and the same pod.
    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.same[a.max(b)] = a.min(b);
    }

    /// All combinations of one cluster.
    fn of_cluster(&self, root: usize) -> Vec<Vec<String>> {
        let mut all: Vec<Vec<String>> =
            (0..self.same.len()).filter(|p| self.root(*p) == root).map(|p| self.combinations[p].clone()).collect();
        all.sort();
        all
    }

    /// Every two clusters that share a namespace.
    fn judge(&self, candidates: &[Candidate]) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for (namespace, places) in &self.namespaces {
            let mut clusters: BTreeMap<usize, Presence> = BTreeMap::new();
            for (place, presence) in places {
                let cluster = clusters.entry(self.root(*place)).or_default();
                cluster.pieces |= presence.pieces;
                cluster.names.extend(&presence.names);
            }
            let clusters: Vec<(usize, Presence)> = clusters.into_iter().take(MOST).collect();
            for (i, (a, of_a)) in clusters.iter().enumerate() {
                for (b, of_b) in &clusters[i + 1..] {
                    let values = [self.of_cluster(*a), self.of_cluster(*b)];
                    let is_named =
                        candidates.iter().enumerate().any(|(c, candidate)| candidate.is_named && differ(&values, c));
                    if !is_named && of_a.names.is_disjoint(&of_b.names) {
                        continue;
                    }
                    let (together, apart) = side_by_side(of_a.pieces, of_b.pieces);
                    let shared = (!together && apart != 0).then(|| apart.trailing_zeros());
                    pairs.push(Pair { namespace: namespace.clone(), values, side_by_side: together, shared });
                }
            }
        }
        pairs
    }
}

/// Whether two clusters have no value of a candidate in common.
fn differ(values: &[Vec<Vec<String>>; 2], candidate: usize) -> bool {
    values[0].iter().all(|a| values[1].iter().all(|b| a[candidate] != b[candidate]))
}

/// Whether two were there at the same time, and the only piece that both have where that is not certain.
fn side_by_side(a: u64, b: u64) -> (bool, u64) {
    let (first, last) = (|x: u64| x.trailing_zeros(), u64::ilog2);
    let in_turn = last(a) <= first(b) || last(b) <= first(a);
    // All that there is of both lies in one piece.
    (!in_turn || a == b, a & b)
}

/// Namespace, the pod, and what of its name comes again; the last two as hashes.
fn pod_of(labels: &Labels, candidates: &[Candidate]) -> Option<(String, u64, u64)> {
    let namespace = names::get(labels, NAMESPACE)?;
    let pod = names::get(labels, "pod")?;
    let uid = match labels.get("uid") {
        Some(uid) => Some(uid.to_owned()),
        None => InstanceKey::of(labels).and_then(|key| key.uid()),
    };
    let mut hash = DefaultHasher::new();
    (namespace, pod, &uid).hash(&mut hash);
    if uid.is_none() {
        // Two clusters may have pods of one name, two scrapers have nothing else.
        for candidate in candidates.iter().filter(|c| c.is_named) {
            labels.get(&candidate.name).hash(&mut hash);
        }
    }
    let owner = labels.get("owner_name").filter(|name| *name != "<none>");
    let mut name = DefaultHasher::new();
    let owner = owner.unwrap_or(pod);
    (labels.get("owner_kind"), recurring_name(cronjob_of_job(owner).unwrap_or(owner))).hash(&mut name);
    Some((namespace.to_owned(), hash.finish(), name.finish()))
}

fn told(pairs: &[Pair], seen: &Seen, candidates: &[Candidate]) -> Clusters {
    let together: Vec<&Pair> = pairs.iter().filter(|p| p.side_by_side).collect();
    let among = if together.is_empty() { pairs.iter().collect() } else { together };
    let Some(first) = among.first() else { return Clusters::One };
    // Only labels that tell all of them apart from each other.
    let telling: Vec<usize> = (0..candidates.len()).filter(|c| among.iter().any(|p| differ(&p.values, *c))).collect();
    let is_named = telling.iter().any(|c| candidates[*c].is_named);
    let telling: Vec<usize> = telling.into_iter().filter(|c| candidates[*c].is_named || !is_named).collect();
    let mut clusters: BTreeMap<Vec<&str>, u64> = BTreeMap::new();
    for values in among.iter().flat_map(|p| p.values.iter().flatten()) {
        let pods = seen.combinations.iter().position(|c| c == values).map_or(0, |place| seen.pods[place]);
        let shown = telling.iter().map(|c| values[*c].as_str()).collect();
        let known = clusters.entry(shown).or_default();
        *known = (*known).max(pods);
    }
    let name = |values: &[&str], flag: &str| -> String {
        let one = |(c, value): (&usize, &&str)| format!("{flag}{}={}", candidates[*c].name, shown(value));
        telling.iter().zip(values).map(one).collect::<Vec<_>>().join(" ")
    };
    let listed: Vec<String> = clusters.keys().take(MOST).map(|values| name(values, "")).collect();
    let namespaces: BTreeSet<&str> = among.iter().map(|p| p.namespace.as_str()).collect();
    let example = clusters.iter().max_by_key(|(_, pods)| **pods).map(|(values, _)| name(values, "--series-label "));
    let example = example.unwrap_or_default();
    if first.side_by_side {
        let more = if namespaces.len() > 1 { format!(" and {} more", namespaces.len() - 1) } else { String::new() };
        return Clusters::Several(format!(
            "the series are of {} clusters that have the same names in namespace {}{more} ({}): choose one, such as \
             {example}, with a --store of its own",
            clusters.len(),
            shown(&first.namespace),
            listed.join(", "),
        ));
    }
    if !is_named {
        return Clusters::One;
    }
    Clusters::InTurn(format!(
        "the series of namespace {} are of one cluster after the other ({}) and are read as one whose label was changed: \
         {example} reads one of them alone",
        shown(&first.namespace),
        listed.join(", "),
    ))
}

/// A value as one would type it.
fn shown(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
    if value.chars().all(plain) { value.to_owned() } else { format!("{value:?}").replace('"', "'") }
}
