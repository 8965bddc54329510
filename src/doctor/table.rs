//! The checks as a table of 100 columns, the advice below what it is about.
//! Must not judge.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};

use super::{Check, State};
use crate::report::table::COLUMNS;

/// All checks in their order, and how many came out how.
pub fn table(checks: &[Check]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(COLUMNS);
    table.add_row(["CHECK", "STATE", "SEEN, AND WHAT TO DO"]);
    for check in checks {
        table.add_row([check.check.as_str(), check.state.as_str(), check.seen.as_str()]);
        if !check.advice.is_empty() {
            table.add_row(["", "", &format!("→ {}", check.advice)]);
        }
    }
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if number < 2 {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let mut text: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    let count = |state| checks.iter().filter(|c| c.state == state).count();
    let of = [State::Ok, State::Warn, State::Fail, State::Unknown].map(|s| format!("{} {}", count(s), s.as_str()));
    text.push_str(&format!("\n{}\n", of.join(", ")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_stands_below_what_it_is_about() {
        let checks = [
            Check::ok("API server", "1.36.3 at https://10.0.0.1"),
            Check::fail("endpoints", "no pod is ready", "kubectl -n podfit get pods"),
        ];
        let expected = "\
CHECK       STATE  SEEN, AND WHAT TO DO
API server  ok     1.36.3 at https://10.0.0.1
endpoints   fail   no pod is ready
                   → kubectl -n podfit get pods

1 ok, 0 warn, 1 fail, 0 unknown
";
        assert_eq!(table(&checks), expected);
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let long = "word ".repeat(60);
        let text = table(&[Check::warn("c", long.clone(), long)]);
        assert!(text.lines().all(|l| l.chars().count() <= usize::from(COLUMNS)), "{text}");
    }
}
