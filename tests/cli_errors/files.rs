//! Files in place of a server: missing, empty, garbage, cut; the line names file, line and column, and the store keeps
//! what it had.

use std::io::Write;
use std::path::Path;

use rstest::rstest;

use super::support::cli::{Ran, command, podfit, run};

const GOOD: &str = "task,run_id,start_ts,runtime_s,peak_mem_bytes,avg_cpu_cores,req_mem_bytes\n\
                    a,1,1000,60,1000000000,0.5,4000000000\n\
                    a,2,2000,60,1100000000,0.5,4000000000\n\
                    a,3,3000,60,1050000000,0.5,4000000000\n";

fn gzip(text: &str) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(text.as_bytes()).unwrap();
    out.finish().unwrap()
}

/// The last bytes are missing.
fn cut(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() - 12].to_vec()
}

/// Not UTF-8 in any part, and not gzip.
fn garbage() -> Vec<u8> {
    (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80).collect()
}

fn exposition(lines: u32) -> String {
    let line = |i| format!("up{{job=\"{i}\"}} {i} {}\n", 1_700_000_000 + i);
    (0..lines).map(line).collect::<Vec<_>>().concat()
}

#[rstest]
#[case::empty("h.om", vec![], "h.om holds no samples; write series with their timestamps into it")]
#[case::only_comments("h.om", b"# HELP up x\n# EOF\n".to_vec(), "h.om holds no samples")]
#[case::words("h.om", b"up 1 1700000000\nhello world foo\n".to_vec(), "h.om:2: \"world\" is no value; a line is NAME VALUE TIMESTAMP")]
#[case::no_closing_brace("h.om", b"up{a=\"b\" 1 1700000000\n".to_vec(), "h.om:1: labels without the closing brace")]
#[case::binary("h.om", garbage(), "h.om:1: not UTF-8; is it OpenMetrics text, or that packed by gzip?")]
#[case::no_timestamps("h.om", b"up 1 1700000000\nup{a=\"b\"} 1\n".to_vec(), "h.om:2: no timestamp; only a history helps here, so each sample needs its time in seconds")]
#[case::cut_gzip("h.om.gz", cut(&gzip(&exposition(5_000))), "h.om.gz: ")]
#[case::corrupt_gzip("h.om.gz", { let mut b = gzip(&exposition(5_000)); let end = b.len(); b[end - 6] ^= 0xff; b }, "the file was cut or damaged, copy it again")]
#[case::other_series("h.om", exposition(3).into_bytes(), "nothing to recommend: no container_memory_working_set_bytes and no container_cpu_usage_seconds_total at all in ")]
#[case::two_files("h.om", b"up 1 1700000000\n# EOF\nup 2 1700000001\n".to_vec(), "h.om:3: text after # EOF; was another file appended?")]
fn openmetrics(#[case] name: &str, #[case] content: Vec<u8>, #[case] words: &str) {
    a_file_loses_nothing("--openmetrics", name, Some(&content), words);
}

#[rstest]
#[case::empty("r.csv", vec![], "r.csv is empty; its first line must name the columns, task and peak_mem_bytes among them")]
#[case::no_rows("r.csv", b"task,peak_mem_bytes\n".to_vec(), "nothing to recommend: there is no finished run")]
#[case::no_task("r.csv", b"workflow,peak_mem_bytes\na,1\n".to_vec(), "r.csv:1: there is no column task; the first line must name the columns")]
#[case::no_peak("r.csv", b"task,peak\na,1\n".to_vec(), "r.csv:1: there is no column peak_mem_bytes")]
#[case::word_for_number("r.csv", b"task,peak_mem_bytes\na,5\na,lots\n".to_vec(), "r.csv:3: column peak_mem_bytes holds \"lots\", which is no number that it can have")]
#[case::negative("r.csv", b"task,peak_mem_bytes,runtime_s\na,5,-1\n".to_vec(), "r.csv:2: column runtime_s holds \"-1\"")]
#[case::control_characters("r.csv", b"task,peak_mem_bytes\na,\x1b[31m\n".to_vec(), "r.csv:2: column peak_mem_bytes holds ")]
#[case::binary("r.csv", garbage(), "r.csv:1: not UTF-8; it must be CSV in UTF-8, or that packed by gzip")]
#[case::late_binary("r.csv", b"task,peak_mem_bytes\na,5\n\xff,6\n".to_vec(), "r.csv:3: not UTF-8")]
#[case::cut_gzip("r.csv.gz", cut(&gzip(GOOD)), "the file was cut or damaged, copy it again")]
fn runs(#[case] name: &str, #[case] content: Vec<u8>, #[case] words: &str) {
    a_file_loses_nothing("--runs", name, Some(&content), words);
}

#[rstest]
#[case("--openmetrics")]
#[case("--runs")]
fn a_file_that_is_not_there(#[case] option: &str) {
    a_file_loses_nothing(option, "h.om", None, "h.om: No such file or directory (os error 2); check the path");
}

#[rstest]
#[case("--openmetrics")]
#[case("--runs")]
fn a_directory_in_place_of_a_file(#[case] option: &str) {
    let dir = tempfile::tempdir().unwrap();
    podfit(["recommend", option, dir.path().to_str().unwrap()])
        .refused_with(&["cannot read ", "Is a directory (os error 21); name a file in it"]);
}

fn good(dir: &Path, store: &Path) -> Ran {
    let file = dir.join("good.csv");
    std::fs::write(&file, GOOD).unwrap();
    run(command().args(["recommend", "-o", "json", "--runs"]).arg(&file).arg("--store").arg(store))
}

#[track_caller]
fn a_file_loses_nothing(option: &str, name: &str, content: Option<&[u8]>, words: &str) {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("history.redb");
    let file = dir.path().join(name);
    if let Some(content) = content {
        std::fs::write(&file, content).unwrap();
    }
    // By itself: nothing on standard output.
    run(command().args(["recommend", option]).arg(&file)).refused_with(&[words]);
    // With a store that holds something.
    let before = good(dir.path(), &store).report();
    assert_eq!(before["workloads"].as_array().unwrap().len(), 1);
    let ran = run(command().args(["recommend", option]).arg(&file).arg("--store").arg(&store));
    if !words.starts_with("nothing to recommend") {
        ran.refused_with(&[words]);
    }
    let after = good(dir.path(), &store).report();
    assert_eq!(after, before);
}

#[test]
fn gzip_is_known_by_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, packed) = (dir.path().join("a.csv"), dir.path().join("b.csv"));
    std::fs::write(&plain, GOOD).unwrap();
    std::fs::write(&packed, gzip(GOOD)).unwrap();
    let report = |file: &Path| run(command().args(["recommend", "-o", "json", "--runs"]).arg(file)).report();
    assert_eq!(report(&plain), report(&packed));
}
