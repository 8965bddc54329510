//! Files in a folder. A file is written beside its place first, so that nobody reads half of it.

use std::path::{Path, PathBuf};

use super::{Failure, Form};
use crate::report::weekly::{Renderer, Weekly};

pub(super) fn write(folder: &Path, forms: &[Form], report: &Weekly) -> Result<String, Failure> {
    std::fs::create_dir_all(folder)
        .map_err(|e| Failure::File(format!("cannot make the folder {}: {e}", folder.display())))?;
    for form in forms {
        let renderer = Renderer::from(*form);
        let path = folder.join(renderer.file_name(report));
        whole(&path, &renderer.render(report)?)?;
    }
    Ok(described(folder, forms, report))
}

/// Writes a whole file or none: beside its place first.
///
/// # Errors
/// [`Failure::File`].
pub fn whole(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::File(format!("cannot write {}: {e}", path.display()));
    let mut beside = path.file_name().unwrap_or_default().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside: PathBuf = path.with_file_name(beside);
    std::fs::write(&beside, text).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(|e| {
        let _ = std::fs::remove_file(&beside);
        failed(e)
    })
}

pub(super) fn described(folder: &Path, forms: &[Form], report: &Weekly) -> String {
    let names: Vec<String> = forms.iter().map(|form| Renderer::from(*form).file_name(report)).collect();
    format!("{} in {}", names.join(", "), folder.display())
}
