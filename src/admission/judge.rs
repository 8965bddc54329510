//! The rules' answer to a pod: turned away, warned about, or noted.
//! Must not know sizes: what a pod asks for never decides whether it may run.

use std::collections::BTreeMap;

use crate::policy::{Finding, Mode};
use crate::text;

/// Most warnings in one answer; the API server cuts them all when their sum is too long.
const MAX_WARNINGS: usize = 10;
/// Longest denial and audit annotation, in characters.
const MAX_CHARS: usize = 1000;
/// Sentences that may have room in that: none is shorter than twenty characters.
const MAX_SENTENCES: usize = 50;

/// What the rules say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why the pod is turned away; `None` when it may run.
    pub denial: Option<String>,
    /// One line each, at most 120 characters; none when the pod is turned away. An answer takes a [`few`].
    pub warnings: Vec<String>,
    /// For the API server's audit log, by rule.
    pub audit_annotations: BTreeMap<String, String>,
    /// Everything found, for metrics and reports.
    pub findings: Vec<Finding>,
}

/// Makes one verdict of everything that was found.
pub fn judge(findings: Vec<Finding>) -> Verdict {
    let of = |mode| findings.iter().filter(move |finding| finding.mode == mode);
    // No more than fits: there may be many.
    let denials: Vec<_> = of(Mode::Enforce).take(MAX_SENTENCES).map(|f| format!("{}: {}", f.rule, f.message)).collect();
    let denial = (!denials.is_empty()).then(|| text::clip(&format!("podfit: {}", denials.join("; ")), MAX_CHARS));
    let mut warnings = Vec::new();
    if denial.is_none() {
        warnings = of(Mode::Warn).map(|f| warning(&f.message)).collect();
    }
    let mut audit_annotations = BTreeMap::<String, String>::new();
    for finding in &findings {
        let note = audit_annotations.entry(finding.rule.to_owned()).or_default();
        // Characters are at most as many as bytes: what is as long as this has been cut.
        if note.len() >= MAX_CHARS && note.ends_with('…') {
            continue;
        }
        let separator = if note.is_empty() { "" } else { "; " };
        *note = text::clip(&format!("{note}{separator}{}", finding.message), MAX_CHARS);
    }
    Verdict { denial, warnings, audit_annotations, findings }
}

/// The findings, none of them leading to more than this mode.
pub fn soften(mut findings: Vec<Finding>, softest: Mode) -> Vec<Finding> {
    for finding in &mut findings {
        finding.mode = finding.mode.min(softest);
    }
    findings
}

/// A warning's line.
pub(super) fn warning(message: &str) -> String {
    text::clip(&text::clean(&format!("podfit: {message}")), text::LINE_CHARS)
}

/// As many warnings as one answer holds; the last says how many more there were.
pub fn few(mut warnings: Vec<String>) -> Vec<String> {
    if warnings.len() > MAX_WARNINGS {
        let more = warnings.len() + 1 - MAX_WARNINGS;
        warnings.truncate(MAX_WARNINGS - 1);
        warnings.push(warning(&format!("and {more} more warnings")));
    }
    warnings
}
