//! The name of a snippet's file, from names that nobody vouches for: one flat name that every file system takes.

use super::Snippet;
use crate::fnv::fnv1a;

/// Longest name without its extension, in characters.
const MOST: usize = 150;

/// A file's name for a snippet: without `/`, not hidden, of letters, digits, `-`, `_` and `.` alone. Two workloads
/// never share one: where something had to be changed, a hash of the real name follows.
pub fn file_name(snippet: &Snippet) -> String {
    let workload = snippet.workloads.first().map_or("", String::as_str);
    let real = format!("{}--{}--{}", snippet.namespace, workload.replace('/', "--"), snippet.form);
    let mut name: String = real
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' })
        .take(MOST)
        .collect();
    if name.starts_with(['.', '-']) {
        name.replace_range(..1, "_");
    }
    // The separator must not come from a name.
    if name != real || workload.contains("--") || snippet.namespace.contains("--") {
        let whole = format!("{}\n{}\n{}", snippet.namespace, snippet.workloads.join("\n"), snippet.form);
        name.push_str(&format!("--{:016x}", fnv1a(whole.as_bytes())));
    }
    format!("{name}.{}", snippet.form.language().extension())
}
