//! Exact Kubernetes quantities (`500m`, `1536Mi`, `1e3`): read, compare, round, print as the API server would.
//! Must not know what a quantity is for, beyond the two helpers that name CPU (milli) and memory (bytes).

mod parse;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

pub use parse::QuantityError;

/// Nano units in one unit.
const NANO: i128 = 1_000_000_000;
/// Nano units in a thousandth of a unit.
const NANO_PER_MILLI: i128 = 1_000_000;
/// Bytes in a mebibyte.
pub const MIB: u64 = 1 << 20;
/// Bytes in a gibibyte.
pub const GIB: u64 = 1 << 30;
/// [`MIB`] for statistics, which count bytes as `f64`.
pub const MIB_F64: f64 = MIB as f64;
/// [`GIB`] for statistics.
pub const GIB_F64: f64 = GIB as f64;
/// The largest magnitude a quantity may have, 2^63 - 1 units; larger input is capped, as the API documentation says.
const MAX_NANO: i128 = i64::MAX as i128 * NANO;

/// The suffix family a quantity was written in; printing keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `n u m "" k M G T P E`.
    DecimalSi,
    /// `Ki Mi Gi Ti Pi Ei`.
    BinarySi,
    /// `1e3`.
    DecimalExponent,
}

/// An exact amount: a whole number of nano units, and the suffix family it prints in.
///
/// Two quantities are equal when their amounts are (`1Gi` = `1024Mi`). The magnitude is at most 2^63 - 1 units.
#[derive(Clone, Copy)]
pub struct Quantity {
    nano: i128,
    format: Format,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nano: 0, format: Format::DecimalSi };

    const fn capped(nano: i128, format: Format) -> Self {
        let nano = if nano > MAX_NANO {
            MAX_NANO
        } else if nano < -MAX_NANO {
            -MAX_NANO
        } else {
            nano
        };
        Self { nano, format }
    }

    /// Reads a quantity as Kubernetes does: parts smaller than a nano unit round away from zero, magnitudes over
    /// 2^63 - 1 are capped.
    ///
    /// # Errors
    /// Says what is wrong and at which character.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        parse::parse(text)
    }

    /// Reads a quantity from an object's JSON: a string, or a number as manifests may have it.
    ///
    /// # Errors
    /// As [`Quantity::parse`]; any other JSON type is an error too.
    pub fn from_json(value: &Value) -> Result<Self, QuantityError> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => Err(QuantityError::not_text()),
        }
    }

    /// Thousandths of a unit: millicores.
    pub const fn from_millis(millis: u64) -> Self {
        Self::capped(millis as i128 * NANO_PER_MILLI, Format::DecimalSi)
    }

    /// Whole units, printed with decimal suffixes.
    pub const fn from_units(units: u64) -> Self {
        Self::capped(units as i128 * NANO, Format::DecimalSi)
    }

    /// Bytes of memory, rounded up to whole MiB; prints in Mi, or in Gi and larger when that is whole.
    pub const fn from_bytes_mib_rounded_up(bytes: u64) -> Self {
        let mib = bytes.div_ceil(MIB);
        let most = i64::MAX as u64 / MIB;
        let mib = if mib > most { most } else { mib };
        Self { nano: (mib * MIB) as i128 * NANO, format: Format::BinarySi }
    }

    /// Bytes of memory, exactly, printed with binary suffixes where they divide it.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self::capped(bytes as i128 * NANO, Format::BinarySi)
    }

    /// Thousandths of a unit, rounded up; negative amounts give 0.
    pub fn millis_rounded_up(self) -> u64 {
        u64::try_from(ceil_div(self.nano, NANO_PER_MILLI).max(0)).unwrap_or(u64::MAX)
    }

    /// Whole units (bytes), rounded up; negative amounts give 0.
    pub fn bytes_rounded_up(self) -> u64 {
        u64::try_from(ceil_div(self.nano, NANO).max(0)).unwrap_or(u64::MAX)
    }

    /// Rounded up to whole units: whole CPUs.
    #[must_use]
    pub const fn rounded_up_to_units(self) -> Self {
        Self::capped(ceil_div(self.nano, NANO) * NANO, self.format)
    }

    /// Rounded up to what Kubernetes stores for containers, a thousandth of a unit.
    #[must_use]
    pub const fn rounded_up_to_millis(self) -> Self {
        Self::capped(ceil_div(self.nano, NANO_PER_MILLI) * NANO_PER_MILLI, self.format)
    }

    /// Whether the amount is a whole number of units.
    pub const fn is_whole(self) -> bool {
        self.nano % NANO == 0
    }

    /// Whether the amount is 0.
    pub const fn is_zero(self) -> bool {
        self.nano == 0
    }

    /// Whether the amount is below 0.
    pub const fn is_negative(self) -> bool {
        self.nano < 0
    }

    /// Whether this, read as memory, is surely a slip of the pen: more than nothing and less than 1 KiB, as `128m`
    /// (0.128 byte) where `128M` or `128Mi` was meant.
    pub const fn is_memory_typo(self) -> bool {
        self.nano > 0 && self.nano < 1024 * NANO
    }

    /// The sum, capped; prints in the family of `self`, or of `other` where `self` is 0.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self::capped(self.nano + other.nano, if self.nano == 0 { other.format } else { self.format })
    }

    /// The difference, never below 0.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        let nano = self.nano - other.nano;
        Self::capped(if nano < 0 { 0 } else { nano }, self.format)
    }

    /// `self / ratio`, rounded up to a whole unit of memory or a thousandth of a CPU by the caller; exact to a nano
    /// unit, rounded up. A ratio of 0 or less gives `self`.
    #[must_use]
    pub const fn divided_by(self, ratio: Self) -> Self {
        if ratio.nano <= 0 {
            return self;
        }
        // |nano| < 2^93, NANO < 2^30: the product fits in 127 bits.
        Self::capped(ceil_div(self.nano * NANO, ratio.nano), self.format)
    }

    /// `percent` hundredths of the amount, rounded up.
    #[must_use]
    pub const fn percent(self, percent: u32) -> Self {
        Self::capped(ceil_div(self.nano * percent as i128, 100), self.format)
    }

    /// The suffix family it prints in.
    pub const fn format(self) -> Format {
        self.format
    }
}

/// Division that rounds towards positive infinity; `by` is positive.
const fn ceil_div(amount: i128, by: i128) -> i128 {
    let quotient = amount / by;
    if amount % by > 0 { quotient + 1 } else { quotient }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nano.hash(state);
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quantity({self})")
    }
}

/// The canonical form: the largest suffix of its family that needs no fraction.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Below 1024 units, and for fractions of a unit, binary suffixes cannot say it: decimal ones can.
        let binary = self.format == Format::BinarySi && self.is_whole() && self.nano.abs() >= 1024 * NANO;
        if binary { f.pad(&self.binary()) } else { f.pad(&self.decimal()) }
    }
}

impl Quantity {
    fn binary(self) -> String {
        let mut number = self.nano / NANO;
        let mut power = 0;
        while number % 1024 == 0 && power < 6 {
            number /= 1024;
            power += 1;
        }
        let suffix = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].get(power).copied().unwrap_or_default();
        format!("{number}{suffix}")
    }

    fn decimal(self) -> String {
        if self.nano == 0 {
            return "0".to_owned();
        }
        let mut number = self.nano;
        let mut thousands = 0;
        while number % 1000 == 0 && thousands < 9 {
            number /= 1000;
            thousands += 1;
        }
        if self.format == Format::DecimalExponent {
            return match thousands * 3_i32 - 9 {
                0 => number.to_string(),
                exponent => format!("{number}e{exponent}"),
            };
        }
        let suffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
        let suffix = usize::try_from(thousands).ok().and_then(|i| suffixes.get(i)).copied().unwrap_or_default();
        format!("{number}{suffix}")
    }
}

impl std::str::FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a Kubernetes quantity such as \"500m\" or \"2Gi\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Quantity, E> {
                Quantity::parse(text).map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
