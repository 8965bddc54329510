//! Whether the runs of one key are those of several workloads: two groups that ask for clearly different sizes at the
//! same time. A size that was changed is none of it, nor are retries and canaries. Pure: runs in, an answer out.

use std::collections::BTreeSet;
use std::fmt;

use super::run::{Outcome, Run};

/// Least ratio of the smallest request of the larger runs to the largest one of the others.
const APART: f64 = 2.0;
/// Fewest runs of either size.
const FEWEST: usize = 3;
/// Fewest changes from one size to the other, in the order of starts. A size that somebody raised changes once, one
/// that was raised, taken back and raised again three times.
const CHANGES: usize = 4;
/// Least ratio of peaks that tells two kinds of work apart where names do not.
const PEAKS_APART: f64 = 1.5;
/// Most words of names that are shown.
const WORDS: usize = 3;

/// Two groups of runs under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeparateSizes {
    /// The runs that ask for less.
    pub smaller: Group,
    /// The runs that ask for more.
    pub larger: Group,
    /// Whether the sizes are of memory, in bytes; else of CPU, in millicores.
    pub is_memory: bool,
}

/// Runs of about one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// How many.
    pub runs: usize,
    /// Their smallest and largest request.
    pub requests: (u64, u64),
    /// Words that all their pods' names have, and none of the other group's.
    pub words: Vec<String>,
}

/// Says whether the runs fall into two sizes that belong to different work. `None` also where too little is known.
pub fn separate_sizes(runs: &[&Run]) -> Option<SeparateSizes> {
    // Sizes that follow from the input differ on purpose.
    if runs.iter().any(|run| run.input_bytes.is_some()) {
        return None;
    }
    let mut first_tries: Vec<&Run> = runs
        .iter()
        .copied()
        .filter(|run| run.attempt.is_none_or(|attempt| attempt == 1) && run.outcome != Outcome::OomKilled)
        .collect();
    first_tries.sort_by_key(|run| run.started_ms);
    let has_kills = runs.iter().any(|run| run.outcome == Outcome::OomKilled);
    by(&first_tries, has_kills, true, |run| run.resources.memory_request_bytes)
        .or_else(|| by(&first_tries, has_kills, false, |run| run.resources.cpu_request_millis))
}

fn by(runs: &[&Run], has_kills: bool, is_memory: bool, request: impl Fn(&Run) -> Option<u64>) -> Option<SeparateSizes> {
    let sized: Vec<(&Run, u64)> =
        runs.iter().filter_map(|run| Some((*run, request(run).filter(|r| *r > 0)?))).collect();
    let sizes: Vec<u64> = sized.iter().map(|(_, size)| *size).collect::<BTreeSet<_>>().into_iter().collect();
    let ratio = |pair: &[u64]| pair[1] as f64 / pair[0] as f64;
    let gap = sizes.windows(2).max_by(|a, b| ratio(a).total_cmp(&ratio(b))).filter(|gap| ratio(gap) >= APART)?;
    let border = gap[1];
    let (large, small): (Vec<_>, Vec<_>) = sized.iter().copied().partition(|(_, size)| *size >= border);
    let fewer = large.len().min(small.len());
    let changes = sized.windows(2).filter(|pair| (pair[0].1 >= border) != (pair[1].1 >= border)).count();
    if fewer < FEWEST || changes < CHANGES.max(fewer / 2) {
        return None;
    }
    let found = SeparateSizes { smaller: group(&small, &large), larger: group(&large, &small), is_memory };
    let by_name = !(found.smaller.words.is_empty() && found.larger.words.is_empty());
    // A canary runs in two sizes and is one work: its pods have the same names and need the same. After a kill the next
    // try has more and may need more.
    (by_name || (!has_kills && need_apart(&small, &large))).then_some(found)
}

fn group(own: &[(&Run, u64)], other: &[(&Run, u64)]) -> Group {
    let words = |run: &Run| -> BTreeSet<String> {
        let words = run.pod.split(['-', '.']).filter(|word| word.bytes().any(|b| b.is_ascii_alphabetic()));
        words.map(str::to_owned).collect()
    };
    let mut shared: Option<BTreeSet<String>> = None;
    for (run, _) in own {
        let these = words(run);
        shared = Some(shared.map_or_else(|| these.clone(), |shared| shared.intersection(&these).cloned().collect()));
    }
    let mut shared = shared.unwrap_or_default();
    for (run, _) in other {
        let these = words(run);
        shared.retain(|word| !these.contains(word));
    }
    let requests = own.iter().map(|(_, size)| *size);
    Group {
        runs: own.len(),
        requests: (requests.clone().min().unwrap_or_default(), requests.max().unwrap_or_default()),
        words: shared.into_iter().take(WORDS).collect(),
    }
}

/// Whether every run of the larger size needed clearly more memory than any of the others.
fn need_apart(small: &[(&Run, u64)], large: &[(&Run, u64)]) -> bool {
    let peaks = |group: &[(&Run, u64)]| -> Vec<u64> {
        group.iter().filter_map(|(run, _)| run.memory.map(|memory| memory.peak_bytes)).collect()
    };
    let (small, large) = (peaks(small), peaks(large));
    match (small.iter().max(), large.iter().min()) {
        (Some(most), Some(least)) => {
            small.len() >= FEWEST && large.len() >= FEWEST && *least as f64 >= PEAKS_APART * *most as f64
        }
        _ => false,
    }
}

impl fmt::Display for SeparateSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |value: u64| {
            if self.is_memory { format!("{}Mi", value.div_ceil(1 << 20)) } else { format!("{value}m") }
        };
        let told = |group: &Group| {
            let (least, most) = group.requests;
            let sizes = if least == most { size(least) } else { format!("{} to {}", size(least), size(most)) };
            let names = if group.words.is_empty() {
                String::new()
            } else {
                format!(" (pods named {})", group.words.join(", "))
            };
            format!("{} ask for {sizes}{names}", group.runs)
        };
        write!(
            f,
            "these are not one workload: of its runs {} and {}, in turns; tell them apart by a label of their pods with \
             --group-by-labels",
            told(&self.smaller),
            told(&self.larger)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{MemoryUse, PeakSource, Resources};

    use crate::quantity::GIB;

    fn run(n: i64, pod: &str, request: u64, peak: u64) -> Run {
        let resources = Resources { memory_request_bytes: Some(request), ..Resources::default() };
        Run {
            pod: pod.to_owned(),
            uid: None,
            started_ms: n * 60_000,
            ended_ms: n * 60_000 + 30_000,
            memory: Some(MemoryUse { peak_bytes: peak, source: PeakSource::Sampled, samples: 10 }),
            cpu: None,
            resources,
            outcome: Outcome::Completed,
            attempt: None,
            input_bytes: None,
            jvm: None,
            day: None,
            observation: None,
        }
    }

    fn of(runs: &[Run]) -> Option<SeparateSizes> {
        separate_sizes(&runs.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_head_and_its_workers_are_two() {
        let runs: Vec<Run> = (0..8)
            .flat_map(|n| {
                let pod = |role: &str| format!("fit-{n}x7k2p-{role}");
                [
                    run(10 * n, &pod("head"), 16 * GIB, GIB / 2),
                    run(10 * n + 1, &pod("worker-0"), GIB, GIB / 2),
                    run(10 * n + 2, &pod("worker-1"), GIB, GIB / 2),
                ]
            })
            .collect();
        let sizes = of(&runs).unwrap();
        assert_eq!((sizes.smaller.runs, sizes.larger.runs), (16, 8));
        assert_eq!(
            sizes.to_string(),
            "these are not one workload: of its runs 16 ask for 1024Mi (pods named worker) and 8 ask for 16384Mi (pods \
             named head), in turns; tell them apart by a label of their pods with --group-by-labels"
        );
    }

    #[test]
    fn work_of_two_needs_under_one_name_is_two() {
        let runs: Vec<Run> = (0..10)
            .map(|n| if n % 2 == 0 { run(n, "sql", GIB, GIB / 2) } else { run(n, "sql", 8 * GIB, 6 * GIB) })
            .collect();
        assert!(of(&runs).unwrap().to_string().starts_with("these are not one workload: "));
    }

    #[test]
    fn a_size_that_was_changed_is_one_workload() {
        let raised: Vec<Run> = (0..20).map(|n| run(n, "etl", if n < 14 { GIB } else { 4 * GIB }, GIB / 2)).collect();
        assert_eq!(of(&raised), None);
        let back_and_forth = |n: i64| if (5..10).contains(&n) || n >= 15 { 4 * GIB } else { GIB };
        let runs: Vec<Run> = (0..20).map(|n| run(n, "etl", back_and_forth(n), 3 * GIB)).collect();
        assert_eq!(of(&runs), None);
    }

    #[test]
    fn a_canary_and_retries_are_one_workload() {
        let canary: Vec<Run> =
            (0..20).map(|n| run(n, "etl", if n % 2 == 0 { 8 * GIB } else { 2 * GIB }, GIB)).collect();
        assert_eq!(of(&canary), None);
        let mut retried = Vec::new();
        for n in 0..10 {
            retried.push(run(3 * n, "etl", GIB, GIB / 2));
            retried.push(Run { outcome: Outcome::OomKilled, ..run(3 * n + 1, "etl", GIB, GIB) });
            retried.push(run(3 * n + 2, "etl", 4 * GIB, 3 * GIB));
        }
        assert_eq!(of(&retried), None);
        let told: Vec<Run> = (0..20)
            .map(|n| {
                let (size, attempt) = if n % 2 == 0 { (GIB, 1) } else { (8 * GIB, 2) };
                Run { attempt: Some(attempt), ..run(n, "etl", size, size / 2) }
            })
            .collect();
        assert_eq!(of(&told), None);
    }

    #[test]
    fn sizes_by_input_and_near_sizes_are_one_workload() {
        let by_input: Vec<Run> = (0..20)
            .map(|n| Run { input_bytes: Some(1e9), ..run(n, "etl", if n % 2 == 0 { GIB } else { 8 * GIB }, GIB) })
            .collect();
        assert_eq!(of(&by_input), None);
        let near: Vec<Run> =
            (0..20).map(|n| run(n, if n % 2 == 0 { "a" } else { "b" }, GIB + (n as u64 % 2) * GIB / 2, GIB)).collect();
        assert_eq!(of(&near), None);
        assert_eq!(of(&[]), None);
    }
}
