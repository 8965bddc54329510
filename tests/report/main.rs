//! `podfit report` as its user runs it: five forms of one report, the same every time, and all of the same numbers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unnecessary_wraps,
    reason = "a test may fail loudly in its helpers"
)]

#[path = "../support/cli.rs"]
#[allow(dead_code, reason = "shared with tests that use more of it")]
mod cli;
mod delivery;
mod faces;
mod live;
#[path = "../support/python.rs"]
mod python;
mod sinks;
mod slack_files;
mod storage;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use cli::podfit;

/// Says what the files of `golden/` should be by what they are now.
const ACCEPT: &str = "ACCEPT_GOLDEN";

/// The demo's report in a form, named by how its files end. Made once: a history takes seconds to play.
fn demo(extension: &str) -> String {
    static FORMS: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let dir = tempfile::tempdir().unwrap();
        let ran = podfit(["report", "--demo", "--top", "3", "--out-dir", dir.path().to_str().unwrap()]);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""));
        dir
    });
    std::fs::read_to_string(FORMS.path().join(format!("podfit-report-2026-11-22.{extension}"))).unwrap()
}

#[test]
fn the_demos_report_is_as_it_was() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/report/golden");
    let mut different = Vec::new();
    for extension in ["html", "md", "csv", "json", "txt"] {
        let path = folder.join(format!("demo.{extension}"));
        let now = demo(extension);
        if std::env::var_os(ACCEPT).is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &now).unwrap();
            continue;
        }
        let then = std::fs::read_to_string(&path).unwrap_or_default();
        if then != now {
            let at = then.lines().zip(now.lines()).position(|(a, b)| a != b).unwrap_or(0);
            let line = |text: &str| text.lines().nth(at).unwrap_or_default().chars().take(300).collect::<String>();
            different.push(format!("demo.{extension}, line {}:\n- {}\n+ {}", at + 1, line(&then), line(&now)));
        }
    }
    assert!(different.is_empty(), "look at it, and run with {ACCEPT}=1 if it is right:\n{}", different.join("\n"));
}

#[test]
fn a_folder_gets_all_five() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("new");
    let ran = podfit(["report", "--demo", "--out-dir", folder.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""));
    let files: BTreeMap<String, u64> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())
        })
        .collect();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let expected = ["csv", "html", "json", "md", "txt"].map(|e| format!("podfit-report-2026-11-22.{e}"));
    assert_eq!(names, expected, "and nothing that is only half written");
    assert!(files.values().all(|size| *size > 1_000));
}

#[test]
fn arguments_that_make_no_sense_are_one_line() {
    podfit(["report", "--demo", "--out", "week"]).refused_with(&["which form is week to have", ".html"]);
    podfit(["report", "--demo", "--from", "2026-11-20", "--to", "2026-11-16"]).refused_with(&["not before --to"]);
    podfit(["report", "--demo", "--from", "2026-12-24"]).refused_with(&["before the period begins"]);
    podfit(["report", "--demo", "--price-core-hour", "free"]).refused_with(&["a price from 0"]);
    podfit(["report", "--demo", "--currency", "<b>"]).refused_with(&["three letters"]);
    podfit(["report", "--demo", "--out", "/nonexistent/week.html"]).refused_with(&["cannot write /nonexistent"]);
    podfit(["report"]).refused_with(&["--prometheus-url"]);
}

#[test]
fn periods_and_prices_are_those_asked_for() {
    let of = |args: &[&str]| {
        let ran = podfit(["report", "--demo", "-o", "json"].iter().chain(args));
        ran.report()
    };
    let day = of(&["--from", "2026-11-20", "--to", "2026-11-21", "-n", "pricing"]);
    assert_eq!(day["period"]["endMs"].as_i64().unwrap() - day["period"]["startMs"].as_i64().unwrap(), 86_400_000);
    assert!(day["namespaces"].as_array().unwrap().iter().all(|n| n["namespace"] == "pricing"));
    let (cheap, dear) = (of(&["--price-gib-hour", "0"]), of(&["--price-gib-hour", "1"]));
    let money = |report: &serde_json::Value| report["totals"]["money"]["requested"].as_f64().unwrap();
    let memory = cheap["totals"]["memory"]["requested"].as_f64().unwrap();
    assert!((money(&dear) - money(&cheap) - memory).abs() < 0.01);
}
