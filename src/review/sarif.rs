//! A review as SARIF 2.1.0, which code hosts show beside the lines. Must not know how a review is made.
//! Source: OASIS Static Analysis Results Interchange Format 2.1.0, §3.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Fault, Located, Review};
use crate::fnv::fnv1a;
use crate::policy::{Mode, RULES};
use crate::text;

/// The whole log, one run.
pub fn sarif(review: &Review) -> Value {
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id(),
                "shortDescription": {"text": rule.summary()},
                "fullDescription": {"text": rule.summary()},
                "help": {"text": rule.cure(), "markdown": rule.cure()},
                "defaultConfiguration": {"level": level(rule.default_mode())},
            })
        })
        .collect();
    let mut seen = BTreeMap::new();
    let results: Vec<Value> = review.findings.iter().map(|finding| result(finding, &mut seen)).collect();
    let told = |faults: &[Fault], level: &str| -> Vec<Value> {
        let told = |fault: &Fault| {
            json!({"level": level, "message": {"text": fault.message},
                "locations": [{"physicalLocation": place(&fault.file, fault.line, fault.column)}]})
        };
        faults.iter().map(told).collect()
    };
    let notifications =
        [told(&review.errors, "error"), told(&review.unjudged, "warning"), told(&review.notes, "note")].concat();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "podfit", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": review.errors.is_empty() && review.unjudged.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    })
}

fn result(located: &Located, seen: &mut BTreeMap<String, u32>) -> Value {
    let finding = &located.finding;
    let object = format!("{}/{}/{}", located.kind, located.namespace, located.name);
    // Without lines and positions in lists: it stays the same when something is written above.
    let field = finding.path.split('/').filter(|key| key.parse::<u32>().is_err()).collect::<Vec<_>>().join("/");
    let identity = [&object, &located.role, finding.rule, finding.reason, &finding.container, &field].join("\n");
    let count = seen.entry(identity.clone()).and_modify(|count| *count += 1).or_insert(1);
    let fingerprint = format!("{:016x}:{count}", fnv1a(identity.as_bytes()));
    json!({
        "ruleId": finding.rule,
        "ruleIndex": RULES.iter().position(|rule| rule.id() == finding.rule),
        "level": level(finding.mode),
        "message": {"text": finding.message},
        "locations": [{
            "physicalLocation": place(&located.file, located.line, located.column),
            "logicalLocations": [{"fullyQualifiedName": format!("{object}{}", finding.path), "kind": "object"}],
        }],
        "partialFingerprints": {"podfit/v1": fingerprint},
    })
}

const fn level(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "error",
        Mode::Warn => "warning",
        Mode::Audit => "note",
        Mode::Off => "none",
    }
}

fn place(file: &str, line: u64, column: u64) -> Value {
    json!({
        "artifactLocation": {"uri": uri(file)},
        "region": {"startLine": line, "startColumn": column},
    })
}

/// A path as a URI reference: relative as it is, absolute with its scheme.
fn uri(file: &str) -> String {
    let escaped = text::percent_encoded(file, b"/");
    if escaped.starts_with('/') { format!("file://{escaped}") } else { escaped }
}
