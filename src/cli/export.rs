//! `podfit export`: recommendations as the engine's own code, printed or written as files for a pull request.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::Outcome;
use super::cluster_args::namespace;
use super::fail::tell;
use super::learn::gather;
use super::source_args::SourceArgs;
use crate::collector::KnownPods;
use crate::export::{Form, Item, Snippet, export, file_name, read};
use crate::text;

/// Arguments of `podfit export`.
#[derive(clap::Args)]
pub struct Args {
    /// Workloads as podfit recommend shows them, such as cronjob/nightly-report, with NAMESPACE/ before or :CONTAINER
    /// after; all when absent
    workload: Vec<String>,
    /// Namespace (repeatable); all when absent
    #[arg(short, long, value_parser = namespace)]
    namespace: Vec<String>,
    /// Form of the snippet (default: the usual one for each workload)
    #[arg(long, value_name = "FORM", value_parser = forms(), help_heading = "Output")]
    format: Option<Form>,
    /// Write one file per snippet into this folder, and print their paths
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    write: Option<PathBuf>,
    /// Overwrite existing files that differ
    #[arg(long, requires = "write", help_heading = "Output")]
    force: bool,
    /// Read recommendations from this file, written by podfit recommend -o json
    #[arg(long, value_name = "FILE", help_heading = "History")]
    recommendations: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
}

fn forms() -> impl clap::builder::TypedValueParser<Value = Form> {
    use clap::builder::TypedValueParser as _;
    clap::builder::PossibleValuesParser::new(Form::ALL.map(Form::as_str)).try_map(|text| text.parse::<Form>())
}

/// Runs it.
///
/// # Errors
/// One line that says what, where and what to do.
pub async fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut items = items(&args).await?;
    items.retain(|item| args.namespace.is_empty() || args.namespace.contains(&item.workload.namespace));
    let items = chosen(items, &args.workload)?;
    if let Some(form) = args.format {
        for item in items.iter().filter(|_| !args.workload.is_empty()) {
            suits(form, item)?;
        }
    }
    let snippets = export(&items, args.format);
    if snippets.is_empty() {
        let form = args.format.map_or_else(String::new, |form| format!(" as {form}"));
        bail!("nothing to export{form}: there is no workload that has such a form");
    }
    let Some(folder) = &args.write else {
        let texts: Vec<&str> = snippets.iter().map(|snippet| snippet.text.as_str()).collect();
        std::io::stdout().lock().write_all(texts.join("\n").as_bytes())?;
        return Ok(Outcome::Fine);
    };
    let (numbered, without): (Vec<Snippet>, Vec<Snippet>) = snippets.into_iter().partition(|s| s.has_number);
    for path in write(folder, &numbered, args.force)? {
        writeln!(std::io::stdout(), "{}", path.display())?;
    }
    if !without.is_empty() {
        tell(&format!(
            "{} without a number were not written: without --write their reasons are printed",
            without.len()
        ));
    }
    Ok(Outcome::Fine)
}

async fn items(args: &Args) -> anyhow::Result<Vec<Item>> {
    if let Some(path) = &args.recommendations {
        let shown = path.display();
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {shown}"))?;
        return read(std::io::BufReader::new(file)).with_context(|| format!("{shown}"));
    }
    let gathered = gather(&args.source, args.namespace.clone(), KnownPods::default()).await?;
    gathered.not_empty("nothing to export")?;
    Ok(gathered.recommendations().iter().filter_map(Item::of_line).collect())
}

/// Those that the arguments name; all without any.
fn chosen(items: Vec<Item>, wanted: &[String]) -> anyhow::Result<Vec<Item>> {
    if wanted.is_empty() {
        return Ok(items);
    }
    let names = |item: &Item, text: &str| {
        let short = item.workload.to_string();
        let long = format!("{}/{short}", item.workload.namespace);
        let whole = |name: &str| text == name || text == format!("{name}:{}", item.container);
        whole(&short) || whole(&long)
    };
    for text in wanted {
        if !items.iter().any(|item| names(item, text)) {
            bail!("no recommendation for {text:?}: {} workloads are there, `podfit recommend` lists them", items.len());
        }
    }
    Ok(items.into_iter().filter(|item| wanted.iter().any(|text| names(item, text))).collect())
}

fn suits(form: Form, item: &Item) -> anyhow::Result<()> {
    let kind = item.workload.kind;
    if form.says(kind) {
        return Ok(());
    }
    let others: Vec<&str> = Form::ALL.into_iter().filter(|form| form.says(kind)).map(Form::as_str).collect();
    let workload = text::clip(&text::clean(&item.workload.to_string()), 80);
    bail!("{form} is no form of {workload}; its forms are {}", others.join(", "))
}

/// Writes the snippets, or none of them where one would replace what is there. Each is written beside and moved into
/// place, so that a link that stands there is replaced and not followed.
fn write(folder: &Path, snippets: &[Snippet], force: bool) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut names = BTreeSet::new();
    let mut files = Vec::new();
    for snippet in snippets {
        let path = folder.join(file_name(snippet));
        if !names.insert(path.clone()) {
            bail!("{}: two snippets have this name; export them one by one", path.display());
        }
        let there = std::fs::symlink_metadata(&path).ok();
        let same = there.as_ref().is_some_and(std::fs::Metadata::is_file)
            && std::fs::read(&path).is_ok_and(|text| text == snippet.text.as_bytes());
        if there.is_some() && !same && !force {
            bail!("{} is there and differs: --force replaces it", path.display());
        }
        if there.is_some_and(|there| there.is_dir()) {
            bail!("{} is a folder: remove it", path.display());
        }
        files.push((path, &snippet.text, same));
    }
    for (path, text, same) in &files {
        if !same {
            replace(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(files.into_iter().map(|(path, ..)| path).collect())
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = std::fs::File::create_new(&beside)?;
    file.write_all(text.as_bytes())?;
    drop(file);
    std::fs::rename(&beside, path)
}
