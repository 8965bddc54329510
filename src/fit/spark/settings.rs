//! Spark's settings as text: versions, sizes, the lines that a recommendation becomes.
//! Must not know what a pod is made of.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::quantity::Quantity;
use crate::text;

/// Settings by key, as `--conf`, `spark-defaults.conf` or an operator's `sparkConf` give them.
pub type Conf = BTreeMap<String, String>;

/// Longest value that an error repeats, in characters.
const SHOWN_CHARS: usize = 40;

/// Driver or executor: the middle of every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// `spark.driver.…`
    Driver,
    /// `spark.executor.…`
    Executor,
}

impl Role {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Driver, Self::Executor];

    /// As Spark's keys name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Executor => "executor",
        }
    }

    /// `spark.{role}.memory`
    pub fn memory(self) -> String {
        format!("spark.{}.memory", self.as_str())
    }

    /// `spark.{role}.memoryOverhead`
    pub fn overhead(self) -> String {
        format!("spark.{}.memoryOverhead", self.as_str())
    }

    /// `spark.kubernetes.{role}.request.cores`
    pub fn request_cores(self) -> String {
        format!("spark.kubernetes.{}.request.cores", self.as_str())
    }
}

/// A version of Spark that the arithmetic is known of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u8,
    minor: u8,
}

impl Version {
    /// The oldest.
    pub const OLDEST: Self = Self { major: 3, minor: 2 };
    /// The newest.
    pub const NEWEST: Self = Self { major: 4, minor: 3 };
    /// Since then `spark.{role}.memoryOverheadFactor` (documentation of 3.3.0).
    const ROLE_FACTOR: Self = Self { major: 3, minor: 3 };
    /// Since then `spark.{role}.minMemoryOverhead` (documentation of 4.0.0).
    const LEAST_OVERHEAD: Self = Self { major: 4, minor: 0 };

    /// Whether each role has a factor of its own.
    pub fn has_role_factor(self) -> bool {
        self >= Self::ROLE_FACTOR
    }

    /// Whether the smallest overhead is a setting.
    pub fn has_least_overhead(self) -> bool {
        self >= Self::LEAST_OVERHEAD
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = String;

    /// Reads `3.5`, `3.5.7`, `4.0.0-preview2`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = text.split(['.', '-']).map(|part| part.parse::<u8>().ok());
        let version = match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) => Self { major, minor },
            _ => return Err(format!("\"{}\" is no version of Spark", shown(text))),
        };
        if (Self::OLDEST..=Self::NEWEST).contains(&version) {
            return Ok(version);
        }
        Err(format!("Spark {version} is not known: {} to {} are", Self::OLDEST, Self::NEWEST))
    }
}

/// What the main resource of an application that was submitted in cluster mode is. In client mode (a notebook, a
/// shell, Spark Connect) Spark knows none, and every application counts as [`Application::Jvm`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Application {
    /// Java or Scala.
    #[default]
    Jvm,
    /// Python: more overhead, and `spark.executor.pyspark.memory` counts.
    Python,
    /// R: more overhead.
    R,
}

/// A setting that Spark itself would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ConfError {
    /// Which.
    pub key: String,
    /// What is wrong with it and what to write.
    pub problem: String,
}

fn shown(value: &str) -> String {
    text::clip(&text::clean(value), SHOWN_CHARS)
}

/// A size setting in bytes; a plain number counts in `unit` bytes. `None` where it is not set.
pub(super) fn size(conf: &Conf, key: &str, unit: u64) -> Result<Option<u64>, ConfError> {
    let Some(value) = conf.get(key) else { return Ok(None) };
    let bytes = parse_size(value, unit).ok_or_else(|| ConfError {
        key: key.to_owned(),
        problem: format!("\"{}\" is no size; write a whole number and a unit, such as 512m or 4g", shown(value)),
    })?;
    Ok(Some(bytes))
}

/// A factor; it must be above 0.
pub(super) fn factor(conf: &Conf, key: &str) -> Result<Option<f64>, ConfError> {
    let Some(value) = conf.get(key) else { return Ok(None) };
    let number = value.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    let problem = || format!("\"{}\" should be a number above 0, such as 0.2", shown(value));
    number.map(Some).ok_or_else(|| ConfError { key: key.to_owned(), problem: problem() })
}

/// A CPU setting: a quantity of Kubernetes, above 0.
pub(super) fn cores(conf: &Conf, key: &str) -> Result<Option<Quantity>, ConfError> {
    let Some(value) = conf.get(key) else { return Ok(None) };
    let quantity = value.trim().parse::<Quantity>().ok().filter(|quantity| *quantity > Quantity::ZERO);
    let problem = || format!("\"{}\" should be a number of cores, such as 2 or 500m", shown(value));
    quantity.map(Some).ok_or_else(|| ConfError { key: key.to_owned(), problem: problem() })
}

/// Sizes as Spark's configuration has them: whole numbers, letters of either case, powers of 1024.
fn parse_size(text: &str, unit: u64) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let bytes = match suffix {
        "" => unit,
        "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        "t" | "tb" => 1 << 40,
        "p" | "pb" => 1 << 50,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(bytes)
}

/// A size in Java's notation, as `-Xmx` takes it: a plain number is bytes. `None` for nothing and for what is none.
pub fn java_size(text: &str) -> Option<Quantity> {
    parse_size(text, 1).filter(|bytes| *bytes > 0).map(Quantity::from_bytes)
}

/// The settings that make a pod of exactly these parts, in every version: an overhead that is given replaces what Spark
/// would compute.
pub fn lines(role: Role, heap_mib: Option<u64>, overhead_mib: Option<u64>, cpu: Option<Quantity>) -> Conf {
    let mut conf = Conf::new();
    if let Some(heap) = heap_mib {
        conf.insert(role.memory(), format!("{heap}m"));
    }
    if let Some(overhead) = overhead_mib {
        conf.insert(role.overhead(), format!("{overhead}m"));
    }
    if let Some(cpu) = cpu {
        conf.insert(role.request_cores(), cpu.to_string());
    }
    conf
}
