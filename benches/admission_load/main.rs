//! The webhook under load, each server a process of its own on loopback: `podfit serve` with 10,000 and with 100,000
//! recommendations, the same server with a decision that only says `allowed: true`, and VPA's admission controller.
//! They take turns, so that what else the machine does hits all of them; medians are printed. CPU time is that of the
//! server's process, kernel included, and says more than latencies where the client shares the cores.
//! Run with `cargo bench --bench admission_load`; with a word behind `--` only cases whose row has it.

#![allow(clippy::expect_used, reason = "a bench may fail loudly")]

mod baseline;
mod client;
mod process;
#[path = "../reviews/mod.rs"]
mod reviews;
mod servers;
#[path = "../../tests/support/mod.rs"]
mod support;

mod rival;

use std::process::Command;

use base64::Engine;
use client::{Load, Measured};
use servers::Server;
use support::histogram::Buckets;

/// As the `podfit` program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 3;
const SECONDS: f64 = 1.0;
const CONNECTIONS: [usize; 4] = [1, 8, 64, 500];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    // `cargo test --benches` passes --test: nothing is measured then.
    if args.iter().any(|a| a == "--test") {
        return;
    }
    match args.get(1).map(String::as_str) {
        Some("baseline") => return baseline::run(args[2].as_ref()),
        Some("client") => {
            let measured = client::run(serde_json::from_str(&args[2]).expect("a load"));
            return println!("{}", serde_json::to_string(&measured).expect("JSON"));
        }
        _ => {}
    }
    let wanted = args.iter().skip(1).find(|a| !a.starts_with('-')).map_or("", String::as_str);
    let dir = tempfile::tempdir().expect("a folder");
    let (servers, missing) = servers::start(dir.path());
    for reason in missing {
        println!("not measured: {reason}");
    }
    for server in &servers {
        check(server);
    }
    println!("load averages {} on {} cores", process::load_averages(), cores());
    let before: Vec<f64> = servers.iter().map(|s| process::memory(s.pid, "VmRSS")).collect();
    let mut rows: Vec<Row<'_>> = cases()
        .into_iter()
        .flat_map(|case| servers.iter().map(move |server| Row::new(case, server)))
        .filter(|row| row.server.answers(row.case.entry) && row.name().contains(wanted))
        .collect();
    for _ in 0..ROUNDS {
        rows.iter_mut().for_each(Row::measure);
    }
    print(&rows);
    println!("\n  {:<16} {:>14} {:>14} {:>14}", "resident MiB", "loaded", "after load", "most");
    for (server, before) in servers.iter().zip(before) {
        let now = |what| process::memory(server.pid, what);
        println!("  {:<16} {before:>14.1} {:>14.1} {:>14.1}", server.name, now("VmRSS"), now("VmHWM"));
    }
    println!("load averages {}", process::load_averages());
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

#[derive(Clone, Copy)]
struct Case {
    entry: &'static str,
    kib: usize,
    connections: usize,
    reconnect: bool,
}

fn cases() -> Vec<Case> {
    let mutate = |kib| CONNECTIONS.map(|connections| Case { entry: "mutate", kib, connections, reconnect: false });
    let mut cases = [mutate(8), mutate(20)].concat();
    cases.push(Case { entry: "validate", kib: 20, connections: 8, reconnect: false });
    cases.push(Case { entry: "mutate", kib: 20, connections: 8, reconnect: true });
    cases
}

impl Case {
    fn name(&self) -> String {
        let how = if self.reconnect { "a new connection each, at a time" } else { "connections" };
        format!("{} {} KB, {how} {}", self.entry, self.kib, self.connections)
    }

    fn load(&self, server: &Server) -> Load {
        Load {
            address: server.address,
            ca: server.ca.clone(),
            pid: server.pid,
            path: format!("/{}?timeout=10s", self.entry),
            bytes: self.kib << 10,
            connections: self.connections,
            reconnect: self.reconnect,
            seconds: SECONDS,
        }
    }
}

/// What is measured must be the work: who sizes pods, sizes the ones that it is asked about.
fn check(server: &Server) {
    let case = Case { entry: "mutate", kib: 8, connections: 1, reconnect: false };
    let answer: serde_json::Value = serde_json::from_str(&client::ask_once(case.load(server))).expect("a review");
    let response = &answer["response"];
    assert_eq!(response["allowed"], true, "{}: {answer}", server.name);
    let patch = response["patch"].as_str().unwrap_or_default();
    let patch = base64::engine::general_purpose::STANDARD.decode(patch).expect("base64");
    let resizes = String::from_utf8_lossy(&patch).contains("/resources/requests");
    assert_eq!(resizes, server.resizes, "{}: {answer} {}", server.name, String::from_utf8_lossy(&patch));
}

struct Row<'a> {
    case: Case,
    server: &'a Server,
    measured: Vec<Measured>,
    /// What the server itself says of its time.
    own: Buckets,
}

impl<'a> Row<'a> {
    fn new(case: Case, server: &'a Server) -> Self {
        Self { case, server, measured: Vec::new(), own: Buckets::default() }
    }

    fn name(&self) -> String {
        format!("{} {}", self.case.name(), self.server.name)
    }

    fn measure(&mut self) {
        let before = self.server.buckets(self.case.entry);
        let load = serde_json::to_string(&self.case.load(self.server)).expect("JSON");
        let client = Command::new(std::env::current_exe().expect("this program")).args(["client", &load]).output();
        let said = client.expect("the client").stdout;
        self.measured.push(serde_json::from_slice(&said).expect("what was measured"));
        self.own.add(&self.server.buckets(self.case.entry).since(&before));
    }

    fn median(&self, of: fn(&Measured) -> f64) -> f64 {
        let mut all: Vec<f64> = self.measured.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }

    fn sum(&self, of: fn(&Measured) -> u64) -> u64 {
        self.measured.iter().map(of).sum()
    }
}

fn print(rows: &[Row<'_>]) {
    println!("/s, p50, p90, p99: at the client, µs");
    println!("CPU: of the server's process for a review, µs; wait: its threads without a core; /s core: 1 / CPU");
    println!("× bare: CPU beside `allowed: true`; lost: of all rounds, errors, and pods passed by with no patch");
    println!("own 50, own 99: of podfit's own histogram, µs, waits for a core among them");
    println!(
        "  {:<14} {:>7} {:>7} {:>7} {:>8} {:>6} {:>6} {:>8} {:>6} {:>5} {:>6} {:>6}",
        "", "/s", "p50", "p90", "p99", "CPU", "wait", "/s core", "× bare", "lost", "own 50", "own 99"
    );
    let mut last = String::new();
    for row in rows {
        if row.case.name() != last {
            last = row.case.name();
            println!("{last}");
        }
        let bare = rows.iter().find(|r| r.server.is_bare() && r.case.name() == last);
        let cpu = row.median(|m| m.cpu);
        let ratio = bare.map_or(f64::NAN, |bare| cpu / bare.median(|m| m.cpu));
        let errors = row.sum(|m| m.errors);
        let unpatched = row.sum(|m| m.answered) - row.sum(|m| m.patched);
        let lost = errors + if row.server.resizes && row.case.entry == "mutate" { unpatched } else { 0 };
        let own = |q| row.own.quantile(q).map_or_else(String::new, |s| format!("{:.0}", s * 1e6));
        println!(
            "  {:<14} {:>7.0} {:>7.0} {:>7.0} {:>8.0} {:>6.0} {:>6.0} {:>8.0} {ratio:>6.2} {lost:>5} {:>6} {:>6}",
            row.server.name,
            row.median(|m| m.per_second),
            row.median(|m| m.p50) * 1e6,
            row.median(|m| m.p90) * 1e6,
            row.median(|m| m.p99) * 1e6,
            cpu * 1e6,
            row.median(|m| m.waited) * 1e6,
            1.0 / cpu,
            own(0.5),
            own(0.99),
        );
    }
}
