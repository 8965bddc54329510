//! The same report in its other forms: each is well-formed, the table fits a terminal and shows each workload once.
//! Only the form is looked at; the numbers are compared in `main.rs`.

use serde_json::Value;

use super::ROWS;
use super::scene::{Scene, lines};

#[test]
fn the_table_fits_and_shows_each_workload_once() {
    let Some(scene) = Scene::shared("the_table_fits_and_shows_each_workload_once") else { return };
    let table = scene.dry_run(&scene.viewer, &[]);
    eprintln!("{table}");
    let too_long: Vec<&str> = table.lines().filter(|l| l.chars().count() > 100).collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
    let rows: Vec<&str> = table.lines().skip(1).take_while(|l| !l.is_empty()).collect();
    assert_eq!(rows.len(), ROWS.len());
    for (workload, ..) in ROWS {
        let shown = rows.iter().filter(|row| is_name_of(row.split_whitespace().next().unwrap(), workload)).count();
        assert_eq!(shown, 1, "{workload} in\n{table}");
    }
    // What many containers have in common is said once, after what is forbidden.
    let findings: Vec<&str> = table.lines().filter(|l| l.starts_with("  enforce") || l.starts_with("  warn")).collect();
    let rules: Vec<&str> = findings.iter().map(|l| l.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(rules[..2], ["run-as-root", "latest-tag"]);
    for common in ["unproven-non-root:", "default-service-account:"] {
        assert_eq!(rules.iter().filter(|rule| **rule == common).count(), 1, "{common} in {rules:?}");
    }
}

/// Whether a shown name stands for a workload: itself, or both its ends.
fn is_name_of(shown: &str, workload: &str) -> bool {
    match shown.split_once('…') {
        Some((head, tail)) => workload.starts_with(head) && workload.ends_with(tail),
        None => shown == workload,
    }
}

#[test]
fn patches_are_shown_with_the_table() {
    let Some(scene) = Scene::shared("patches_are_shown_with_the_table") else { return };
    let text = scene.dry_run(&scene.viewer, &["--show-patch"]);
    let name = &scene.namespace.name;
    let patches = text.lines().filter(|l| l.starts_with(&format!("Patch of the next pod of {name}/"))).count();
    // History alone makes none, nor does a pod that is turned away.
    assert_eq!(patches, ROWS.len() - 4, "{text}");
    assert!(text.contains(&format!("No patch of the next pod of {name}/prefect/sync-crm/prod: latest-tag")), "{text}");
    let ops: Vec<&str> = text.lines().filter(|l| l.starts_with("  {")).collect();
    assert!(ops.len() > patches && ops.iter().all(|op| serde_json::from_str::<Value>(op).is_ok()));
}

#[test]
fn csv_yaml_markdown_and_wide_are_well_formed() {
    let Some(scene) = Scene::shared("csv_yaml_markdown_and_wide_are_well_formed") else { return };
    let of = |format| scene.dry_run(&scene.viewer, &["-o", format]);

    let csv = of("csv");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), ROWS.len());
    let column = |name: &str| header.iter().position(|h| h == name).unwrap();
    for (workload, container, live, runs) in ROWS {
        let row = records.iter().find(|r| &r[column("workload")] == workload).unwrap();
        assert_eq!(&row[column("container")], container);
        assert_eq!((&row[column("live_pods")], &row[column("runs")]), (&*live.to_string(), &*runs.to_string()));
    }

    let yaml: Value = serde_saphyr::from_str(&of("yaml")).unwrap();
    let json = scene.report();
    assert_eq!(lines(&yaml).len(), ROWS.len());
    assert_eq!(yaml["workloads"][0]["recommended"], json["workloads"][0]["recommended"]);

    let markdown = of("markdown");
    let table: Vec<&str> = markdown.lines().take_while(|l| l.starts_with('|')).collect();
    assert_eq!(table.len(), ROWS.len() + 2);
    let cells = |row: &str| row.matches('|').count() - row.matches("\\|").count();
    assert!(table.iter().all(|row| cells(row) == cells(table[0])), "{markdown}");

    let wide = of("wide");
    for (workload, container, ..) in ROWS {
        let row = wide.lines().find(|l| l.split_whitespace().nth(1) == Some(workload)).unwrap();
        assert_eq!(row.split_whitespace().next(), Some(scene.namespace.name.as_str()));
        assert_eq!(row.split_whitespace().nth(2), Some(container));
    }
}
