//! What the rules say of a pod and what its next size is, in one value, for tests of both.
//!
//! The two halves are separate functions, because they answer from separate entries: the mutating webhook asks
//! [`resize`], which may only help; the validating one asks [`judge`], which sees the final pod, updates and ephemeral
//! containers too.

use std::collections::BTreeMap;

use super::answer::{rules_say, too_many_findings};
use super::judge::{Verdict, few, judge, soften};
use super::patch::Op;
use super::provenance::{self, Change};
use super::resize::{Resizing, Sizing, resize};
use super::snapshot::Rules;
use crate::policy::{Checked, Finding, Malformed, Mode, PodSpec};

/// A pod to decide on, and what is known about it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The pod, and what it should ask for.
    pub sizing: Sizing<'a>,
    /// The namespace that it is created in.
    pub namespace: &'a str,
    /// Who asks for it; `None` where nobody does yet.
    pub user: Option<&'a str>,
    /// The rules as the administrator has set them, exemptions and all.
    pub rules: &'a Rules,
    /// Whether a kubelet asks. Only then is a mirror pod believed: its static pod runs whatever is answered, so that
    /// rules only note.
    pub from_kubelet: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Whether the pod may be created.
    pub allowed: bool,
    /// Why not.
    pub denial: Option<String>,
    /// The patch; empty = no change, to be answered without any patch.
    pub ops: Vec<Op>,
    /// One line each, at most 120 characters.
    pub warnings: Vec<String>,
    /// For the API server's audit log.
    pub audit_annotations: BTreeMap<String, String>,
    /// Everything the rules found.
    pub findings: Vec<Finding>,
    /// By container name, what changes.
    pub changes: BTreeMap<String, Change>,
    /// Why nothing was resized, in one word, where there was something to do.
    pub skipped: Option<&'static str>,
}

/// Decides on a pod that is being created.
///
/// # Errors
/// The pod spec cannot be walked. Then nothing was checked: not a pass, but a failed call.
pub fn decide(request: &Request<'_>) -> Result<Decision, Malformed> {
    let pod = PodSpec::of_pod(request.sizing.pod)?;
    let believed_mirror = request.from_kubelet && provenance::is_mirror(request.sizing.pod);
    let softest = if believed_mirror { Mode::Audit } else { Mode::Enforce };
    let Checked { findings, left_out } = rules_say(pod, request.namespace, request.user, request.rules);
    let Verdict { mut denial, mut warnings, audit_annotations, findings } = judge(soften(findings, softest));
    if left_out.keys().any(|(_, mode)| (*mode).min(softest) == Mode::Enforce) {
        denial.get_or_insert_with(|| format!("podfit: the pod cannot be judged: {}", too_many_findings()));
    }
    let resizing = if denial.is_some() { Resizing::default() } else { resize(&request.sizing, &pod) };
    warnings.extend(resizing.warnings);
    Ok(Decision {
        allowed: denial.is_none(),
        denial,
        ops: resizing.ops,
        warnings: few(warnings),
        audit_annotations,
        findings,
        changes: resizing.changes,
        skipped: resizing.skipped,
    })
}
