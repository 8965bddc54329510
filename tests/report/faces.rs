//! The five forms say the same numbers: sums, and container by container.

use std::collections::BTreeMap;

use serde_json::Value;

use super::demo;

struct OfRow {
    requested: f64,
    saving: f64,
    runs: u64,
}

/// By namespace, workload and container.
fn rows(csv_text: &str) -> BTreeMap<(String, String, String), OfRow> {
    let mut reader = csv::Reader::from_reader(csv_text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|h| h == name).unwrap();
    reader
        .records()
        .map(Result::unwrap)
        .map(|r| {
            let text = |name: &str| r[at(name)].to_owned();
            let number = |name: &str| r[at(name)].parse::<f64>().unwrap();
            let of = OfRow {
                requested: number("cost_requested"),
                saving: number("cost_saving"),
                runs: (number("finished_runs") + number("running")) as u64,
            };
            ((text("namespace"), text("workload"), text("container")), of)
        })
        .collect()
}

/// As the forms for people write money.
fn written(money: f64) -> String {
    let text = format!("{:.2}", money.abs());
    let zero = text == "0.00";
    format!("{}{text}", if money < 0.0 && !zero { "−" } else { "" })
}

#[test]
fn every_form_has_the_same_numbers() {
    let json: Value = serde_json::from_str(&demo("json")).unwrap();
    let rows = rows(&demo("csv"));
    let of_json = json["workloads"].as_array().unwrap();
    assert_eq!(rows.len(), of_json.len());
    assert!(rows.len() > 15);

    // The table and the model, to the last digit.
    for of in of_json {
        let name = |field: &str| of[field].as_str().unwrap().to_owned();
        let row = &rows[&(name("namespace"), name("workload"), name("container"))];
        assert_eq!(of["money"]["requested"].as_f64().unwrap(), row.requested, "{of}");
        assert_eq!(of["money"]["saving"].as_f64().unwrap(), row.saving, "{of}");
    }
    // Rows add up to their sum.
    let sum: f64 = rows.values().map(|r| r.requested).sum();
    let saving: f64 = rows.values().map(|r| r.saving).sum();
    let totals = &json["totals"]["money"];
    assert!((totals["requested"].as_f64().unwrap() - sum).abs() < 1e-6);
    assert!((totals["saving"].as_f64().unwrap() - saving).abs() < 1e-6);

    // What people read is the same, written shorter.
    let (html, markdown, text) = (demo("html"), demo("md"), demo("txt"));
    let said = format!("{} USD of {} USD could have been saved", written(saving), written(sum));
    for (form, page) in [("html", &html), ("markdown", &markdown), ("text", &text)] {
        assert!(page.contains(&said), "{said:?} is not in the {form}");
    }
    let table = html.split_once("<section id=\"all\">").unwrap().1;
    let table = table.split_once("</table>").unwrap().0;
    assert_eq!(table.matches("<tr><th scope=\"row\">").count(), rows.len());
    let listed = markdown.split_once("## All containers").unwrap().1;
    for ((namespace, workload, container), row) in &rows {
        let line = listed
            .lines()
            .find(|l| l.starts_with(&format!("| {namespace} | {} | {container} |", workload.replace('_', "\\_"))))
            .unwrap_or_else(|| panic!("{workload} is not in the Markdown"));
        let cells: Vec<&str> = line.split(" | ").collect();
        assert_eq!(
            // Of a service they are days, and said to be.
            (cells[3].trim_end_matches(" d"), cells[10], cells[11]),
            (row.runs.to_string().as_str(), written(row.requested).as_str(), written(row.saving).as_str())
        );
        let place = format!("{namespace} · {container}");
        let in_html = table
            .split("<tr>")
            .find(|r| r.contains(&format!("{workload}<")) && r.contains(&place))
            .unwrap_or_else(|| panic!("{workload} is not in the page"));
        for number in [row.requested, row.saving] {
            assert!(in_html.contains(&format!(">{}</td>", written(number))), "{number} is not in {in_html}");
        }
    }
    for place in json["largestSavings"].as_array().unwrap() {
        let row = &of_json[place.as_u64().unwrap() as usize];
        let saving = written(row["money"]["saving"].as_f64().unwrap());
        let tail = row["workload"].as_str().unwrap().rsplit('/').next().unwrap();
        assert!(text.lines().any(|l| l.contains(tail) && l.ends_with(&saving)), "{tail} {saving} is not in\n{text}");
    }
}
