//! Follows files that others replace while the server runs: reads them again when their content has changed, keeps what
//! was good when they are not. Must not know what is in them.
//!
//! Files are polled: a kubelet replaces a mounted `ConfigMap` by swapping a directory link above the files, which a
//! watch on the files themselves does not see.

use std::fs::{File, Metadata};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use crate::text;

/// Largest file that is read, in bytes: a million recommendations.
const MAX_BYTES: u64 = 2 * 1_024 * 1_024 * 1_024;
/// Longest problem that is told, in characters.
const MAX_PROBLEM_CHARS: usize = 400;
/// A file that was changed so shortly before it was read may be changed again without its times telling: kernels stamp
/// files by a clock of some milliseconds.
const SETTLED: Duration = Duration::from_secs(2);

/// What tells a file from what it was, without reading it: device, inode, length, times of change.
type FileVersion = (u64, u64, u64, i64, i64, i64, i64);

fn version_of(meta: &Metadata) -> FileVersion {
    (meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec())
}

/// A file whose content is followed.
#[derive(Debug)]
pub struct Followed {
    path: PathBuf,
    version: Option<FileVersion>,
    hash: Option<u64>,
    told: Option<String>,
}

/// What came of looking at a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// Nothing that is new.
    Same,
    /// New content.
    New(T),
    /// It cannot be used, which is told once.
    Bad(String),
}

impl Followed {
    /// A file that has not been read yet.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, version: None, hash: None, told: None }
    }

    /// Whether what is on disk cannot be used.
    pub const fn is_bad(&self) -> bool {
        self.told.is_some()
    }

    /// Looks at the file, and reads it by `load` when it has changed.
    pub fn look<T>(&mut self, load: impl FnOnce(&mut dyn Read) -> Result<T, String>) -> Found<T> {
        match self.read(load) {
            Ok(None) => Found::Same,
            Ok(Some((hash, _))) if self.hash == Some(hash) => {
                // Written again with what it held before, perhaps after something that could not be used.
                self.told = None;
                Found::Same
            }
            Ok(Some((hash, Ok(content)))) => {
                (self.hash, self.told) = (Some(hash), None);
                Found::New(content)
            }
            Ok(Some((_, Err(problem)))) => self.bad(&problem),
            Err(error) => {
                self.version = None;
                self.bad(&format!("cannot be read: {error}"))
            }
        }
    }

    fn bad<T>(&mut self, problem: &str) -> Found<T> {
        let problem = format!("{}: {problem}", self.path.display());
        let problem = text::clip(&text::clean(&problem), MAX_PROBLEM_CHARS);
        if self.told.as_ref() == Some(&problem) {
            return Found::Same;
        }
        self.told = Some(problem.clone());
        Found::Bad(problem)
    }

    /// Hash and outcome; `None` when it was not read or changed while it was.
    #[allow(clippy::type_complexity, reason = "read once, right above")]
    fn read<T>(
        &mut self,
        load: impl FnOnce(&mut dyn Read) -> Result<T, String>,
    ) -> io::Result<Option<(u64, Result<T, String>)>> {
        let file = open(&self.path)?;
        let before = file.metadata()?;
        if self.version == Some(version_of(&before)) {
            return Ok(None);
        }
        let mut reader =
            Hashing { inner: BufReader::with_capacity(1 << 16, file.take(MAX_BYTES)), hash: DefaultHasher::new() };
        let loaded = load(&mut reader);
        // What the parser did not want is content too.
        io::copy(&mut reader, &mut io::sink())?;
        let after = std::fs::metadata(&self.path)?;
        let changed = version_of(&after) != version_of(&before);
        let age = after.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        let settled = !changed && age.is_some_and(|age| age >= SETTLED);
        self.version = settled.then(|| version_of(&before));
        if changed && loaded.is_err() {
            // Half of it, probably: the next look sees all.
            return Ok(None);
        }
        Ok(Some((reader.hash.finish(), loaded)))
    }
}

/// Opens without waiting: a named pipe would never answer.
fn open(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    File::open(path)
}

/// Hashes what passes through.
struct Hashing<R> {
    inner: R,
    hash: DefaultHasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.hash.write(buf.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// How a kind of file is read.
pub type Load<T> = fn(&mut dyn Read) -> Result<T, String>;

/// A file, how it is read, and what is done with what was read.
pub struct Input<T> {
    /// Its name in metrics and the log.
    pub name: &'static str,
    /// Its state.
    pub file: Followed,
    /// Reads it.
    pub load: Load<T>,
    /// Puts it in force.
    pub apply: Arc<dyn Fn(T) + Send + Sync>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

impl<T: Send + 'static> Input<T> {
    /// Looks once. Reading and taking apart may take a second: it has a thread of its own.
    async fn look(mut self) -> (Self, Found<()>) {
        let looked = tokio::task::spawn_blocking(move || {
            let found = match self.file.look(self.load) {
                Found::New(content) => {
                    (self.apply)(content);
                    Found::New(())
                }
                Found::Same => Found::Same,
                Found::Bad(problem) => Found::Bad(problem),
            };
            (self, found)
        });
        match looked.await {
            Ok(looked) => looked,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// Reads it for the first time.
    ///
    /// # Errors
    /// It cannot be used, and there is nothing older that could.
    pub async fn first(self) -> Result<Self, String> {
        // A file that is just being written is looked at again.
        let mut input = self;
        loop {
            let (looked, found) = input.look().await;
            input = looked;
            match found {
                Found::New(()) => break,
                Found::Bad(problem) => return Err(problem),
                Found::Same => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        input.metrics.reloaded(input.name, true);
        Ok(input)
    }

    /// Looks at it again and again.
    pub async fn follow(self, every: Duration, stop: CancellationToken) {
        let mut input = self;
        loop {
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = stop.cancelled() => return,
            }
            let was_bad = input.file.is_bad();
            let (looked, found) = input.look().await;
            input = looked;
            match found {
                Found::New(()) => tracing::info!(input = input.name, "loaded anew"),
                Found::Bad(problem) => {
                    tracing::warn!(input = input.name, %problem, "what was loaded before stays in force");
                    input.metrics.reloaded(input.name, false);
                    continue;
                }
                Found::Same if was_bad && !input.file.is_bad() => {}
                Found::Same => continue,
            }
            input.metrics.reloaded(input.name, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reader: &mut dyn Read) -> Result<String, String> {
        let mut text = String::new();
        reader.read_to_string(&mut text).map_err(|e| e.to_string())?;
        if text.starts_with("bad") { Err("it is bad".to_owned()) } else { Ok(text) }
    }

    fn new(content: &str) -> Found<String> {
        Found::New(content.to_owned())
    }

    #[test]
    fn content_counts_not_the_time_of_writing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut file = Followed::new(path.clone());
        assert!(matches!(file.look(text), Found::Bad(p) if p.contains("cannot be read: No such file")));
        assert_eq!(file.look(text), Found::Same, "told once");
        std::fs::write(&path, "one").unwrap();
        assert_eq!(file.look(text), new("one"));
        assert_eq!(file.look(text), Found::Same);
        std::fs::write(&path, "two").unwrap();
        assert_eq!(file.look(text), new("two"), "the same length, within the same tick");
        std::fs::write(&path, "two").unwrap();
        assert_eq!(file.look(text), Found::Same);
    }

    #[test]
    fn what_is_bad_is_told_once_and_ends_with_anything_good() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut file = Followed::new(path.clone());
        std::fs::write(&path, "good").unwrap();
        assert_eq!(file.look(text), new("good"));
        std::fs::write(&path, "bad one").unwrap();
        assert!(matches!(file.look(text), Found::Bad(p) if p.ends_with("/f: it is bad")));
        assert!(file.is_bad());
        assert_eq!(file.look(text), Found::Same);
        std::fs::write(&path, "good").unwrap();
        assert_eq!(file.look(text), Found::Same, "it is what is in force");
        assert!(!file.is_bad());
    }

    #[test]
    fn a_swapped_directory_link_is_seen_twice() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (version, content) in [("v1", "one"), ("v2", "two"), ("v3", "three")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("f"), content).unwrap();
        }
        let point = |version: &str| {
            let _ = std::fs::remove_file(at("new"));
            std::os::unix::fs::symlink(version, at("new")).unwrap();
            std::fs::rename(at("new"), at("..data")).unwrap();
        };
        point("v1");
        let mut file = Followed::new(at("..data").join("f"));
        assert_eq!(file.look(text), new("one"));
        point("v2");
        assert_eq!(file.look(text), new("two"));
        point("v3");
        assert_eq!(file.look(text), new("three"));
    }

    #[test]
    fn what_is_no_file_is_said_at_once() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Followed::new(dir.path().into()).look(text), Found::Bad(p) if p.ends_with("it is no file")));
    }
}
