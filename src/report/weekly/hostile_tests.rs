//! Names that want to be markup, formulas, mentions or control sequences: harmless in every renderer.

use super::tests::{DAY, HOUR, history, key, report_of, run, settings};
use super::*;
use crate::history::Outcome;
use crate::policy::Severity;
use crate::text::is_unprintable;

const HOSTILE: [&str; 9] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "=cmd|' /C calc'!A0",
    "<!channel> @here",
    "[x](javascript:alert(1))|`a`",
    "\u{1b}[31mred\u{7}\u{9b}",
    "\u{202e}gnp.exe\u{2066}",
    "a-label-of-63-characters-is-the-longest-that-kubernetes-accepts-",
    "line\r\n# break\u{2028}",
];

fn report() -> Weekly {
    let runs = || history((0..14).map(|day| run(day * DAY + HOUR, 2, 16, Outcome::OomKilled)));
    let histories: Vec<_> = HOSTILE.iter().map(|name| (key(name, name, name), runs())).collect();
    let mut settings = settings();
    settings.top = 20;
    settings.namespaces = HOSTILE.iter().map(|n| (*n).to_owned()).collect();
    let mut report = report_of(&histories, &settings);
    let finding = |message: &str| FoundAt {
        namespace: message.to_owned(),
        workload: message.to_owned(),
        finding: Finding {
            rule: "latest-tag",
            reason: "no-tag",
            severity: Severity::Breach,
            mode: Mode::Enforce,
            path: String::new(),
            container: message.to_owned(),
            message: message.to_owned(),
        },
    };
    report.findings = HOSTILE.iter().map(|n| finding(n)).collect();
    report.notes = HOSTILE.iter().map(|n| (*n).to_owned()).collect();
    report
}

fn printable(text: &str) {
    let odd = text.chars().find(|c| is_unprintable(*c) && *c != '\n');
    assert_eq!(odd, None, "{:?}", odd.map(|c| c.escape_unicode().to_string()));
}

#[test]
fn html_has_no_tag_that_is_not_ours() {
    let page = html::page(&report());
    printable(&page);
    for bad in ["<script", "<img", "onerror=alert(1)>", "<!channel", "javascript:alert(1)\""] {
        assert!(!page.contains(bad), "{bad} is in the page");
    }
    assert!(page.contains("&lt;script&gt;alert(1)"), "names are still readable");
    let ours = [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "a",
        "header",
        "h1",
        "h2",
        "h3",
        "p",
        "nav",
        "ul",
        "li",
        "main",
        "div",
        "section",
        "table",
        "caption",
        "thead",
        "tr",
        "th",
        "tbody",
        "td",
        "figure",
        "figcaption",
        "svg",
        "desc",
        "text",
        "line",
        "rect",
        "path",
        "circle",
        "details",
        "summary",
        "b",
        "span",
        "dl",
        "dt",
        "dd",
    ];
    for tag in page.split('<').skip(1).map(|rest| rest.trim_start_matches('/')) {
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect();
        assert!(ours.contains(&name.as_str()) || tag.starts_with("!doctype html>"), "<{name}");
    }
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        let allowed =
            if outside == "http://" { page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count() } else { 0 };
        let in_names = if outside == "src=" { page.matches("img src=x").count() } else { 0 };
        assert_eq!(page.matches(outside).count(), allowed + in_names, "{outside}");
    }
}

#[test]
fn markdown_has_no_markup_that_is_not_ours() {
    let text = markdown::render(&report());
    printable_but_joiners(&text);
    for bad in ["<script", "<img", "<!channel", "@here", "|`a`", "\n# break"] {
        assert!(!text.contains(bad), "{bad} is in\n{text}");
    }
    assert!(!text.replace("\\]", "").contains("]("), "every bracket of a name is escaped");
    assert!(text.contains("&lt;script&gt;alert(1)"));
    // Every row of a table has as many cells as its heading.
    let mut columns = 0;
    for line in text.lines() {
        if !line.starts_with('|') {
            columns = 0;
            continue;
        }
        let cells = line.replace("\\|", "").matches('|').count();
        assert!(columns == 0 || cells == columns, "{line}");
        columns = cells;
    }
}

/// A word joiner after an `@` is podfit's own: it keeps a chat from reading a mention.
fn printable_but_joiners(text: &str) {
    printable(&text.replace("@\u{2060}", "@"));
}

#[test]
fn csv_has_no_formulas() {
    let text = csv::render(&report()).unwrap();
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let mut rows = 0;
    for record in reader.records().map(Result::unwrap) {
        rows += 1;
        for cell in &record {
            let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
            assert!(!formula, "{cell}");
            printable(cell);
        }
    }
    assert_eq!(rows, HOSTILE.len());
}

#[test]
fn json_keeps_names_and_prints_no_control_character() {
    let report = report();
    let text = json::render(&report).unwrap();
    printable(&text);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names: std::collections::BTreeSet<&str> =
        value["workloads"].as_array().unwrap().iter().map(|w| w["namespace"].as_str().unwrap()).collect();
    assert_eq!(names, HOSTILE.into_iter().collect());
}

#[test]
fn text_has_no_control_characters_and_fits() {
    let text = text::render(&report());
    printable(&text);
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn file_names_come_from_the_day_alone() {
    for renderer in Renderer::ALL {
        let name = renderer.file_name(&report());
        assert!(name.starts_with("podfit-report-1970-01-15."), "{name}");
    }
}
