//! `podfit review`: the rules on manifests, before a cluster sees them.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::Outcome;
use super::fail::tell;
use crate::manifest::Position;
use crate::policy::{Mode, Policy, Settings};
use crate::report::json;
use crate::review::{Fault, Review, sarif};

/// Largest text, in bytes.
const MAX_BYTES: u64 = 64 << 20;
/// Deepest folder under an argument; a link that leads in a circle ends here.
const MAX_DEPTH: usize = 40;
/// Files that make a folder a tree of Kustomize.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Where a file begins.
const START: Position = Position { line: 1, column: 1 };
/// The name of standard input in what is printed.
const STDIN: &str = "stdin";

/// Arguments of `podfit review`.
#[derive(clap::Args)]
#[command(
    after_help = "Kinds: those of Kubernetes itself and lists of them, Spark's, Flink's, Argo's, Tekton's, Ray's, \
                        Kubeflow's and others' that docs/workloads.md names. What else looks like a pod is judged as \
                        one; what holds containers in another form is named as not looked at, with exit status 2."
)]
pub struct Args {
    /// Manifests, YAML or JSON; folders with *.yaml, *.yml and *.json; - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Rule settings (YAML): modes, namespaces, exemptions
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Namespace for objects that have none
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Exit with status 1 if there is a finding of this mode or a stricter one
    #[arg(long, value_enum, value_name = "MODE", default_value_t = FailOn::Enforce)]
    fail_on: FailOn,
}

/// How a review is printed.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    /// A line per finding: file, line, column, rule, message
    #[default]
    Text,
    /// Everything, for programs
    Json,
    /// For code hosts, which show it beside the lines
    Sarif,
}

/// The mode from which on a finding fails a check.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum FailOn {
    /// What admission would turn away
    Enforce,
    /// What admission would warn about
    Warn,
    /// Every finding
    Audit,
}

impl FailOn {
    const fn mode(self) -> Mode {
        match self {
            Self::Enforce => Mode::Enforce,
            Self::Warn => Mode::Warn,
            Self::Audit => Mode::Audit,
        }
    }
}

/// Runs it.
///
/// # Errors
/// The settings cannot be used, or something could not be read; what could be is printed all the same.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let settings = settings(args.policy.as_deref())?;
    let mut files = Vec::new();
    let mut review = Review::default();
    for path in &args.files {
        collect(path, 0, &mut files, &mut review);
    }
    for path in &files {
        let name = if is_stdin(path) { STDIN.to_owned() } else { path.display().to_string() };
        match text(path) {
            Ok(text) => review.add(&name, &text, &settings, &args.namespace),
            Err(why) => review.errors.push(unread(&name, &why)),
        }
    }
    let mut out = std::io::stdout().lock();
    print(&review, args.output, &mut out)?;
    out.flush()?;
    if args.output == Format::Text {
        for note in &review.notes {
            tell(&line(note));
        }
    }
    if review.pods == 0 && review.errors.is_empty() && review.unjudged.is_empty() {
        tell(&format!("nothing to judge: no object with pods in {} files", files.len()));
    }
    let undone: Vec<&Fault> = review.unjudged.iter().chain(&review.errors).collect();
    if let Some((last, others)) = undone.split_last() {
        for error in others {
            tell(&line(error));
        }
        bail!("{}", line(last));
    }
    let found = review.worst().is_some_and(|worst| worst >= args.fail_on.mode());
    Ok(if found { Outcome::Found } else { Outcome::Fine })
}

/// The settings of a file; the defaults without one.
///
/// # Errors
/// The file cannot be read, or what it says is not valid.
pub fn settings(path: Option<&Path>) -> anyhow::Result<Settings> {
    path.map_or_else(|| Ok(Settings::default()), |path| Ok(policy(path)?.rules))
}

/// The policy of a file.
///
/// # Errors
/// The file cannot be read, or what it says is not valid.
pub fn policy(path: &Path) -> anyhow::Result<Policy> {
    let shown = path.display();
    let text = text(path).map_err(|why| anyhow::anyhow!("cannot read the policy {shown}: {why}"))?;
    Policy::from_yaml(&text).with_context(|| format!("the policy {shown} cannot be used"))
}

fn print(review: &Review, format: Format, out: &mut impl Write) -> anyhow::Result<()> {
    match format {
        Format::Text => {
            for located in &review.findings {
                let (file, finding) = (crate::text::clean(&located.file), &located.finding);
                writeln!(out, "{file}:{}:{}: {}: {}", located.line, located.column, finding.rule, finding.message)?;
            }
        }
        Format::Json => out.write_all(json::json(review)?.as_bytes())?,
        Format::Sarif => out.write_all(json::json(&sarif(review))?.as_bytes())?,
    }
    Ok(())
}

fn line(fault: &Fault) -> String {
    format!("{}:{}:{}: {}", fault.file, fault.line, fault.column, fault.message)
}

fn unread(name: &str, why: &str) -> Fault {
    Fault::new(name, START, &format!("cannot be read: {why}"))
}

fn kustomize(folder: &str) -> String {
    format!("not looked at: Kustomize puts this tree together first: kustomize build {folder} | podfit review -")
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The files of an argument: itself, or what is in the folder, in the order of names.
fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>, review: &mut Review) {
    if is_stdin(path) || !path.is_dir() {
        let is_tree =
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| KUSTOMIZATIONS.contains(&name));
        if is_tree {
            let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let message = kustomize(&folder.display().to_string());
            return review.unjudged.push(Fault::new(&path.display().to_string(), START, &message));
        }
        return files.push(path.to_owned());
    }
    let name = path.display().to_string();
    if depth > MAX_DEPTH {
        return review.errors.push(unread(&name, "the folders are too deep; does a link lead in a circle?"));
    }
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries: Vec<PathBuf> = match entries {
        Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect(),
        Err(error) => return review.errors.push(unread(&name, &crate::prometheus::unreadable(&error))),
    };
    entries.sort();
    let ends_with = |entry: &PathBuf, names: &[&str]| {
        entry.file_name().and_then(|name| name.to_str()).is_some_and(|name| names.contains(&name))
    };
    // What stands in such a folder are parts of a manifest: patches, and bases whose images another file sets.
    if let Some(tree) = entries.iter().find(|entry| ends_with(entry, &KUSTOMIZATIONS)) {
        return review.unjudged.push(Fault::new(&tree.display().to_string(), START, &kustomize(&name)));
    }
    // The values and templates of a chart are no manifests before they are rendered.
    if let Some(chart) = entries.iter().find(|entry| ends_with(entry, &["Chart.yaml"])) {
        let message = format!("not looked at: a Helm chart is rendered first: helm template {name} | podfit review -");
        return review.unjudged.push(Fault::new(&chart.display().to_string(), START, &message));
    }
    for entry in entries {
        let hidden = entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let manifest = entry.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
        if !hidden && (manifest || entry.is_dir()) {
            collect(&entry, depth + 1, files, review);
        }
    }
}

fn text(path: &Path) -> Result<String, String> {
    let read = |source: &mut dyn Read| -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        source.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = if is_stdin(path) {
        read(&mut std::io::stdin().lock())
    } else {
        std::fs::File::open(path).and_then(|mut file| read(&mut file))
    };
    let bytes = bytes.map_err(|error| crate::prometheus::unreadable(&error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it is larger than {} MiB: split it", MAX_BYTES >> 20));
    }
    decoded(bytes).ok_or_else(|| "it is neither UTF-8 nor UTF-16 with its mark: convert it".to_owned())
}

/// The text of a file: UTF-8, or UTF-16 with a byte order mark, which YAML allows too and Windows' shell writes.
fn decoded(bytes: Vec<u8>) -> Option<String> {
    let unit: fn([u8; 2]) -> u16 = match bytes.get(..2) {
        Some([0xff, 0xfe]) => u16::from_le_bytes,
        Some([0xfe, 0xff]) => u16::from_be_bytes,
        _ => return String::from_utf8(bytes).ok(),
    };
    let (units, rest) = bytes.get(2..)?.as_chunks();
    let text: Result<String, _> = char::decode_utf16(units.iter().copied().map(unit)).collect();
    text.ok().filter(|_| rest.is_empty())
}
