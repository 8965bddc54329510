//! What one admission decision costs: reviews of 8 and 20 KB against 100,000 recommendations, in microseconds and,
//! where valgrind is installed, in instructions, which do not depend on what else the machine does.
//! The row "as JSON" is what reading the same bytes into a JSON tree costs, without any decision.
//! Run with `cargo bench --bench admission`.

#![allow(clippy::expect_used, reason = "a bench may fail loudly")]

mod reviews;

use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use podfit::admission::{Entry, Outcome, Recommended, Snapshot, answer};
use podfit::fit::ContainerResources;
use podfit::workload::{Kind, Workload};
use serde_json::{Value, json};

// As the binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NAMESPACES: usize = 100;
const WORKLOADS: usize = 1_000;
const SIZES: [usize; 2] = [8 << 10, 20 << 10];
/// Decisions per timed batch, and batches; the fastest batch counts: the others were disturbed.
const BATCH: usize = 500;
const BATCHES: usize = 40;
/// Decisions of the two runs under valgrind; their difference is free of start-up.
const COUNTED: [usize; 2] = [50, 250];

const WHAT: [&str; 4] = ["as JSON", "mutate", "mutate, nothing to do", "validate"];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    // `cargo test --benches` passes --test: nothing is measured then.
    if args.iter().any(|a| a == "--test") {
        return;
    }
    if let [_, _, what, size, times] = args.as_slice()
        && args[1] == "count"
    {
        let bench = Bench::new(size.parse().expect("a size"), if what == "as JSON" { 1 } else { NAMESPACES });
        (0..times.parse().expect("a number")).for_each(|_| bench.once(what));
        return;
    }
    println!("one thread, {} recommendations", NAMESPACES * WORKLOADS);
    println!("  {:<24} {:>8} {:>12} {:>16}", "", "review", "µs", "instructions");
    for size in SIZES {
        let bench = Bench::new(size, NAMESPACES);
        for what in WHAT {
            let best = (0..BATCHES).map(|_| bench.time(what)).fold(f64::INFINITY, f64::min);
            let counted = instructions(what, size).map_or_else(|| "no valgrind".to_owned(), |n| n.to_string());
            println!("  {what:<24} {:>5} KB {best:>12.1} {counted:>16}", size >> 10);
        }
    }
}

/// Instructions of one decision.
fn instructions(what: &str, size: usize) -> Option<u64> {
    let run = |times: usize| -> Option<u64> {
        let out = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe().ok()?)
            .args(["count", what, &size.to_string(), &times.to_string()])
            .output()
            .ok()?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        said.lines().find_map(|line| line.split_once("Collected :"))?.1.trim().parse().ok()
    };
    let [few, many] = COUNTED;
    Some((run(many)? - run(few)?) / (many - few) as u64)
}

struct Bench {
    known: Snapshot,
    review: Vec<u8>,
    sized: Vec<u8>,
}

impl Bench {
    fn new(size: usize, namespaces: usize) -> Self {
        let known = snapshot(namespaces);
        let review = reviews::review(size, 0, 7, "4Gi");
        let first = answer(Entry::Mutate, &review, &known);
        assert_eq!(first.seen.outcome, Outcome::Resized, "the bench measures a pod that is resized");
        let sized = reviews::review(size, 0, 7, "1536Mi");
        Self { known, review, sized }
    }

    fn once(&self, what: &str) {
        let (entry, body) = match what {
            "mutate" => (Entry::Mutate, &self.review),
            "mutate, nothing to do" => (Entry::Mutate, &self.sized),
            "validate" => (Entry::Validate, &self.review),
            _ => {
                black_box(serde_json::from_slice::<Value>(black_box(&self.review)).expect("JSON"));
                return;
            }
        };
        black_box(answer(entry, black_box(body), &self.known));
    }

    /// Microseconds of one.
    fn time(&self, what: &str) -> f64 {
        let started = Instant::now();
        (0..BATCH).for_each(|_| self.once(what));
        started.elapsed().as_secs_f64() / BATCH as f64 * 1e6
    }
}

fn snapshot(namespaces: usize) -> Snapshot {
    let mut known = Snapshot::default();
    let size: ContainerResources =
        serde_json::from_value(json!({"cpuRequest": "500m", "memoryRequest": "1536Mi", "memoryLimit": "1536Mi"}))
            .expect("sizes");
    for namespace in 0..namespaces {
        let name = format!("team-{namespace}");
        let recommendations = (0..WORKLOADS)
            .map(|number| {
                let task = format!("task_{number}");
                let workload = Workload::new(name.clone(), Kind::AirflowTask, ["orders", task.as_str()]);
                let containers = [("base".to_owned(), size)].into_iter().collect();
                (workload, Arc::new(Recommended { id: format!("r{number}"), containers, ..Recommended::default() }))
            })
            .collect();
        known.namespace_mut(&name).recommendations = Arc::new(recommendations);
    }
    known
}
