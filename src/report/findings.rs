//! Findings as people read them: the same breach in many places is said once.

use crate::policy::Finding;
use crate::recommendation::{Line, Report};

/// The same breach in many places: said once, most serious first.
pub struct FindingGroup<'a> {
    /// The first of them.
    pub first: &'a Finding,
    /// What is wrong, without the place.
    pub what: &'a str,
    /// How many containers have it.
    pub containers: usize,
    /// Where: every line that has it, once.
    pub lines: Vec<&'a Line>,
}

/// What is wrong, without the container it is wrong in.
fn what(finding: &Finding) -> &str {
    let place =
        finding.message.strip_prefix("container ").and_then(|rest| rest.strip_prefix(finding.container.as_str()));
    place.and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&finding.message)
}

/// The findings of a report, those that say the same of several containers together; most serious first.
pub fn grouped(report: &Report) -> Vec<FindingGroup<'_>> {
    let mut groups: Vec<FindingGroup<'_>> = Vec::new();
    for line in &report.workloads {
        for finding in &line.findings {
            let what = what(finding);
            let same =
                |g: &&mut FindingGroup<'_>| (g.what, g.first.rule, g.first.mode) == (what, finding.rule, finding.mode);
            if let Some(group) = groups.iter_mut().find(same) {
                group.containers += 1;
                if !group.lines.last().is_some_and(|last| std::ptr::eq(*last, line)) {
                    group.lines.push(line);
                }
            } else {
                groups.push(FindingGroup { first: finding, what, containers: 1, lines: vec![line] });
            }
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.first.mode));
    groups
}
