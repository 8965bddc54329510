//! A row of the table of operators: how their pods are told, and what names their work. Plain data.

pub(super) const WORKER_INDEX: &str = "leaderworkerset.sigs.k8s.io/worker-index";

/// Pods of one operator or platform.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What people call it.
    pub engine: &'static str,
    /// The first name of the key, `custom/KEY/…`; [`Row::OWNERS_KIND`] or [`Row::NO_NAME`].
    pub key: &'static str,
    /// Kinds and API groups of owners whose pods these are. Series know no group: there the kind alone counts.
    pub owners: &'static [(&'static str, &'static str)],
    /// Labels or annotations that pods of the row have: all of one of these lists. `key=value` and `key=begin*` ask for
    /// a value.
    pub marks: &'static [&'static [&'static str]],
    /// The names of the workload; for each of them the first source that is there.
    pub names: &'static [&'static [Source]],
    /// What tells pods of one owner apart that do different work, in the same form.
    pub roles: &'static [&'static [Source]],
    /// Labels to group by where nothing names the work.
    pub suggest: &'static [&'static str],
}

/// Where a name comes from. A stem is a name without what changes from run to run.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// The label, or the annotation, as it is.
    Exact(&'static str),
    /// The same in lower case: releases of one operator differ in that.
    Role(&'static str),
    /// Its stem.
    Stem(&'static str),
    /// Its value without a number at the end.
    Unnumbered(&'static str),
    /// The stem of what stands before the last such text in it.
    StemBefore(&'static str, &'static str),
    /// Its value without the value of another one at the head.
    Group {
        /// The label.
        label: &'static str,
        /// The other one.
        of: &'static str,
    },
    /// The Deployment-like owner of a ReplicaSet whose name ends with the label's value.
    RolloutOf(&'static str),
    /// The stem of the owner's name.
    Owner,
    /// The owner's name without a number at the end.
    OwnerUnnumbered,
    /// The stem of what stands before the last such text in the owner's name.
    OwnerStemBefore(&'static str),
    /// The owner's name without two generated suffixes.
    OwnerTwiceGenerated,
    /// Of a `LeaderWorkerSet`: `leader` or `worker`.
    LeaderOrWorker,
    /// This text where the label is there.
    IfLabel(&'static str, &'static str),
    /// This text.
    Text(&'static str),
    /// The name is left out.
    Nothing,
}

impl Row {
    /// The key's first name is the owner's kind in lower case.
    pub const OWNERS_KIND: &'static str = "";
    /// Pods that no label names.
    pub const NO_NAME: &'static str = "-";

    /// The labels that name its pods.
    pub(super) fn labels(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.names.iter().chain(self.roles).flat_map(|sources| sources.iter()).filter_map(Source::label)
    }
}

impl Source {
    /// The label or annotation that it reads.
    pub const fn label(&self) -> Option<&'static str> {
        match self {
            Self::Exact(key)
            | Self::Role(key)
            | Self::Stem(key)
            | Self::Unnumbered(key)
            | Self::StemBefore(key, _)
            | Self::Group { label: key, .. }
            | Self::RolloutOf(key)
            | Self::IfLabel(key, _) => Some(key),
            Self::LeaderOrWorker => Some(WORKER_INDEX),
            _ => None,
        }
    }
}
