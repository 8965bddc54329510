//! Tools from the Python Package Index, each in an environment of its own in the user's cache.

use std::path::PathBuf;
use std::process::Command;

/// A Python that has a package: `imports` is tried, and what is missing installed once.
///
/// # Errors
/// Why there can be none here.
pub fn python_with(name: &str, package: &str, imports: &str) -> Result<PathBuf, String> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let home = cache.ok_or("there is no folder for caches")?.join("podfit-tools").join(name);
    let python = home.join("bin/python");
    let has_it = || Command::new(&python).args(["-c", imports]).output().is_ok_and(|o| o.status.success());
    if has_it() {
        return Ok(python);
    }
    let run = |what: &str, command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(format!("{what}: {}", said.trim().lines().last().unwrap_or("it failed")))
        }
        Err(error) => Err(format!("{what}: {error}")),
    };
    run("python3 -m venv", Command::new("python3").args(["-m", "venv"]).arg(&home))?;
    let pip = home.join("bin/pip");
    run(&format!("pip install {package}"), Command::new(pip).args(["install", "--quiet", package]))?;
    if has_it() { Ok(python) } else { Err(format!("{name} does not run")) }
}
