//! What an expression of PromQL selects, without a parser of all of it.

use rstest::rstest;

const AGGREGATIONS: [&str; 7] = ["sum", "max", "min", "count", "avg", "topk", "bottomk"];
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const OPERATORS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];

/// The metrics that an expression selects, each with the labels that it is selected by.
pub fn selected(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let word =
            |text: &str| text.find(|c: char| !(c.is_ascii_alphanumeric() || "_:.".contains(c))).unwrap_or(text.len());
        if first == '"' {
            rest = after_string(rest);
        } else if first == '{' {
            let (labels, after) = matchers(&rest[1..]);
            found.last_mut().unwrap_or_else(|| panic!("no metric before {rest}")).1.extend(labels);
            rest = after;
        } else if first == '[' {
            rest = rest.split_once(']').unwrap().1;
        } else if first.is_ascii_digit() {
            rest = &rest[word(rest)..];
        } else if first.is_ascii_alphabetic() || first == '_' {
            let (name, after) = rest.split_at(word(rest));
            let after = after.trim_start();
            rest = after;
            if BEFORE_LABELS.contains(&name) {
                if let Some(labels) = after.strip_prefix('(') {
                    rest = labels.split_once(')').unwrap().1;
                }
            } else if !after.starts_with('(') && !AGGREGATIONS.contains(&name) && !OPERATORS.contains(&name) {
                found.push((name.to_owned(), Vec::new()));
            }
        } else {
            rest = &rest[first.len_utf8()..];
        }
        rest = rest.trim_start();
    }
    found
}

fn after_string(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &text[at + 1..],
            _ => {}
        }
    }
    panic!("a string without an end: {text}")
}

/// The labels up to the closing brace, and what comes after it.
fn matchers(mut rest: &str) -> (Vec<String>, &str) {
    let mut labels = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return (labels, after);
        }
        let (label, value) = rest.split_at(rest.find(['=', '!']).unwrap());
        labels.push(label.trim().to_owned());
        rest = after_string(&value[value.find('"').unwrap()..]);
        rest = rest.trim_start_matches([',', ' ']);
    }
}

#[rstest]
#[case("sum by (a, b) (rate(x_total{c=\"}\\\"{\",d=~\"e\"}[5m])) > 0", "x_total{c,d}")]
#[case("topk(3, a:b:c * on (n) group_left (e) max by (n) (y_info)) or vector(0)", "a:b:c{} y_info{}")]
#[case("time() - max(z > 0) > 6 * 3600", "z{}")]
#[case("count(x unless y offset 5m) ^ 1e3", "x{} y{}")]
fn metrics_are_found_in_expressions(#[case] expression: &str, #[case] expected: &str) {
    let found = selected(expression).into_iter().map(|(name, labels)| format!("{name}{{{}}}", labels.join(",")));
    assert_eq!(found.collect::<Vec<_>>().join(" "), expected);
}
