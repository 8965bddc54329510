//! `podfit backtest` as a user has it: files in, a table, a page and decisions out; and, where `PODFIT_TRACES` names
//! the folder of the research traces, the figures that others' re-implementations of the known methods have there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn backtest(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_podfit")).arg("backtest").args(args).output().unwrap()
}

fn said(args: &[&str]) -> String {
    let output = backtest(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nothing is said in a pipe");
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&said(&[args, &["-o", "json"]].concat())).unwrap()
}

/// Two files in a folder `lab`: `steady` always needs 1 GB, `growing` 100 MB more each time; `rare` runs thrice.
fn lab() -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let lab = dir.path().join("lab");
    std::fs::create_dir(&lab).unwrap();
    let mut text = String::from("workflow,task,start_ts,runtime_s,peak_mem_bytes,req_mem_bytes,status\n");
    for i in 0..40_u64 {
        let _ = writeln!(text, "nightly,steady,{},600,1000000000,4000000000,COMPLETED", 1000 * i);
        let _ =
            writeln!(text, "nightly,growing,{},600,{},4000000000,COMPLETED", 1000 * i, 500_000_000 + 100_000_000 * i);
        if i < 3 {
            let _ = writeln!(text, "nightly,rare,{},600,1000000000,,COMPLETED", 1000 * i);
        }
    }
    std::fs::write(lab.join("a.csv"), &text).unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let other = text.replace("nightly", "<b>hourly</b>").replace("COMPLETED", "OOM_KILLED");
    std::io::Write::write_all(&mut gz, other.as_bytes()).unwrap();
    std::fs::write(lab.join("b.csv.gz"), gz.finish().unwrap()).unwrap();
    let paths = vec![lab.join("a.csv"), lab.join("b.csv.gz")];
    (dir, paths)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_table_says_what_it_means_in_100_columns() {
    let (_dir, files) = lab();
    let table = said(&["--runs", text(&files[0]), text(&files[1])]);
    assert!(table.lines().all(|l| l.chars().count() <= 100), "{table}");
    assert!(table.starts_with("148 runs of 4 tasks in 2 workflows were sized as if new"), "{table}");
    for method in ["podfit", "KRR", "VPA", "Autopilot", "requests"] {
        assert!(table.lines().any(|l| l.starts_with(method)), "no {method} in\n{table}");
    }
    assert!(table.contains("2 tasks with fewer than 10 runs were left out"), "{table}");
    assert!(table.contains("83 runs were killed for memory"), "{table}");
    assert_eq!(table, said(&["--runs", text(&files[1]), text(&files[0])]), "the order of arguments changes nothing");
}

#[test]
fn decisions_have_a_row_for_every_run_after_the_third() {
    let (dir, files) = lab();
    let out = dir.path().join("decisions.csv");
    said(&["--runs", text(&files[0]), "--decisions", text(&out), "--node", "3Gi"]);
    let mut reader = csv::Reader::from_path(&out).unwrap();
    assert_eq!(reader.headers().unwrap(), vec!["source", "workflow", "task", "idx", "alloc_bytes"]);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2 * 37);
    for (i, row) in rows.iter().enumerate() {
        let task = if i < 37 { "steady" } else { "growing" };
        let idx = (3 + i % 37).to_string();
        assert_eq!([&row[0], &row[1], &row[2], &row[3]], ["lab", "nightly", task, idx.as_str()]);
        let bytes: u64 = row[4].parse().unwrap();
        assert!(bytes.is_multiple_of(1 << 20) && bytes <= 3 << 30, "{row:?}");
    }
    // After three runs of 1 GB alike: 954 MiB and little more.
    assert_eq!(&rows[0][4], (990 << 20).to_string());
}

#[test]
fn json_and_markdown_say_the_same_and_options_matter() {
    let (_dir, files) = lab();
    let runs = ["--runs", text(&files[0])];
    let ours = |args: &[&str]| json(&[&runs[..], args].concat())["methods"][0]["score"].clone();
    let (block, walk) = (ours(&[]), ours(&["--protocol", "walk"]));
    assert!(walk["oom_share"].as_f64() < block["oom_share"].as_f64(), "asked more often, too little more rarely");
    let early = ours(&["--time-to-failure", "0.5"]);
    assert!(early["waste_per_used"].as_f64() < block["waste_per_used"].as_f64());
    assert_ne!(ours(&["--node-of", "lab=2Gi"]), block);
    assert_eq!(ours(&["--node-of", "elsewhere=2Gi"]), block);
    let markdown = said(&[&runs[..], &["-o", "markdown"]].concat());
    let share = format!("{:.2} %", block["oom_share"].as_f64().unwrap() * 100.0);
    assert!(markdown.lines().any(|l| l.starts_with("| podfit |") && l.contains(&share)), "{markdown}");
}

#[test]
fn the_page_stands_alone_and_names_are_no_markup() {
    let (_dir, files) = lab();
    let page = said(&["--runs", text(&files[0]), text(&files[1]), "-o", "html"]);
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg") && page.contains("prefers-color-scheme"));
    for foreign in ["http", "src=", "<script", "url(", "<b>", "@import", "NaN", "inf"] {
        assert!(!page.contains(foreign), "{foreign:?} in\n{page}");
    }
    assert!(page.contains("&lt;b&gt;hourly&lt;/b&gt;"));
}

#[test]
fn files_that_hold_no_runs() {
    let (dir, files) = lab();
    let series = dir.path().join("lab/x_timeseries.csv");
    std::fs::write(&series, "inst,t_s,mem_mib\n1,2,3\n").unwrap();
    let failures = dir.path().join("lab/x_failures.csv");
    std::fs::copy(&files[0], &failures).unwrap();
    let found = json(&["--runs", text(&files[0]), text(&series), text(&failures)]);
    assert_eq!(found["tasks"], 2);
    let notes = found["notes"].to_string();
    assert!(notes.contains("x_timeseries.csv:1: there is no column task"), "{notes}");
    assert!(notes.contains("x_failures.csv was left out"), "{notes}");
    for (args, why) in [
        (vec!["--runs", text(&series)], "there is no column task"),
        (vec!["--runs", "nowhere.csv"], "cannot read nowhere.csv"),
        (vec!["--runs", text(&files[0]), "--node", "1Mi"], "at least 64Mi"),
        (vec!["--runs", text(&files[0]), "--time-to-failure", "2"], "a number from 0 to 1"),
        (vec!["--runs", text(&files[0]), "--decisions", "/nowhere/d.csv"], "cannot write /nowhere/d.csv"),
        (vec![], "where is the history?"),
    ] {
        let output = backtest(&args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.contains(why)), (Some(2), true), "{args:?}: {stderr}");
    }
    let few = dir.path().join("lab/few.csv");
    std::fs::write(&few, "task,peak_mem_bytes\na,1\na,NaN\n").unwrap();
    let output = backtest(&["--runs", text(&few)]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("a task needs 10 runs: 1 tasks were read, the largest has 2 runs"), "{stderr}");
}

#[test]
fn a_store_is_history_too() {
    let (dir, files) = lab();
    let store = dir.path().join("store.redb");
    let recommended = Command::new(env!("CARGO_BIN_EXE_podfit"))
        .args(["recommend", "--runs", text(&files[0]), "--store", text(&store), "-o", "csv"])
        .output()
        .unwrap();
    assert!(recommended.status.success(), "{}", String::from_utf8_lossy(&recommended.stderr));
    let (of_store, of_file) = (json(&["--store", text(&store)]), json(&["--runs", text(&files[0])]));
    assert_eq!(of_store["tasks"], of_file["tasks"]);
    assert_eq!(of_store["methods"][0]["score"]["runs"], of_file["methods"][0]["score"]["runs"]);
}

/// Waste over use, second tries in percent, the same in the worst workflow, and waste relative to KRR's, as the
/// literature's methods, re-implemented elsewhere, have them on the development traces.
type Figures = [f64; 4];

fn on_traces(options: &[&str], expected: &[(&str, Figures)]) {
    let Some(traces) = std::env::var_os("PODFIT_TRACES") else {
        eprintln!("podfit-test-skipped: backtest on traces: PODFIT_TRACES names no folder of them");
        return;
    };
    let mut files: Vec<String> = Vec::new();
    for folder in std::fs::read_dir(traces).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        let inside = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        files.extend(inside.map(|p| text(&p).to_owned()).filter(|p| p.ends_with(".csv.gz")));
    }
    let mut args = vec!["--node-of", "mgnify=2048Gi"];
    args.extend(options);
    args.push("--runs");
    args.extend(files.iter().map(String::as_str));
    let found = json(&args);
    for (name, figures) in expected {
        let score = &found["methods"].as_array().unwrap().iter().find(|m| m["name"] == *name).unwrap()["score"];
        let ours = [
            score["waste_per_used"].as_f64().unwrap(),
            score["oom_share"].as_f64().unwrap() * 100.0,
            score["worst_oom_share"].as_f64().unwrap() * 100.0,
            score["relative_waste"].as_f64().unwrap(),
        ];
        for (ours, theirs) in ours.iter().zip(figures) {
            assert!((ours - theirs).abs() < 0.000_51, "{name}: {ours} is not {theirs}");
        }
    }
}

#[test]
fn known_methods_have_their_known_figures() {
    on_traces(
        &[],
        &[
            ("KRR", [0.474, 0.632, 3.579, 1.0]),
            ("VPA", [0.457, 1.762, 15.109, 1.001]),
            ("Autopilot", [0.406, 0.925, 5.169, 0.799]),
            ("shrinking margin", [0.396, 1.104, 4.473, 0.556]),
            ("requests", [10.778, 0.0, 0.0, 9.505]),
        ],
    );
}

#[test]
fn known_methods_have_their_known_figures_when_only_ended_runs_are_known() {
    on_traces(
        &["--finished-only"],
        &[
            ("KRR", [0.525, 1.225, 4.199, 1.0]),
            ("VPA", [0.501, 2.105, 15.905, 0.973]),
            ("Autopilot", [0.460, 1.623, 5.567, 0.837]),
            ("shrinking margin", [0.457, 1.793, 5.993, 0.656]),
            ("requests", [10.778, 0.0, 0.0, 7.640]),
        ],
    );
}
