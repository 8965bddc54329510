//! The simulator's own pseudo-random numbers, so that a seed gives the same bytes whatever the dependencies do.
//! Knows nothing of pods; uses only exact IEEE operations, so every machine draws the same.

/// SplitMix64: small, fast, and good enough to make a cluster look alive. Not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Scrambles one number: the output function of SplitMix64.
const fn scramble(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number that depends on both arguments only: for noise that must not depend on the order of drawing.
pub(super) const fn mix(a: u64, b: u64) -> u64 {
    scramble(scramble(a.wrapping_add(STEP)) ^ b.wrapping_mul(STEP))
}

/// A number that depends on the text only (64-bit FNV-1a).
pub(super) fn of_text(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// `x` as a share in [0, 1).
pub(super) fn share(x: u64) -> f64 {
    (x >> 11) as f64 / (1_u64 << 53) as f64
}

/// `x` as a number from 0 to `bound - 1`; 0 for a bound below 1.
pub(super) const fn below(x: u64, bound: i64) -> i64 {
    if bound < 1 { 0 } else { (x % bound.unsigned_abs()).cast_signed() }
}

impl Rng {
    /// A generator that depends on the key only.
    pub(super) const fn new(key: u64) -> Self {
        Self(scramble(key))
    }

    /// The next 64 bits.
    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        scramble(self.0)
    }

    /// Uniform in [0, 1).
    pub(super) fn uniform(&mut self) -> f64 {
        share(self.next())
    }

    /// Uniform in `low..=high`; `low` when the range is empty.
    pub(super) const fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = high.saturating_sub(low);
        if width <= 0 { low } else { low + below(self.next(), width + 1) }
    }

    /// About standard normal, within ±6: the sum of twelve uniforms.
    pub(super) fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// The random parts of names: each text depends on the key and the salt only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names(pub(super) u64);

impl Names {
    fn text(self, salt: &str, length: usize, alphabet: &[u8]) -> String {
        let mut rng = Rng::new(mix(self.0, of_text(salt)));
        (0..length).map(|_| char::from(alphabet[(rng.next() % alphabet.len() as u64) as usize])).collect()
    }

    /// Lower-case hexadecimal digits.
    pub(super) fn hex(self, salt: &str, length: usize) -> String {
        self.text(salt, length, b"0123456789abcdef")
    }

    /// Kubernetes' own suffix alphabet, as after `generateName`.
    pub(super) fn suffix(self, salt: &str, length: usize) -> String {
        self.text(salt, length, b"bcdfghjklmnpqrstvwxz2456789")
    }

    /// Lower-case letters and digits, as Airflow appends.
    pub(super) fn alphanumeric(self, salt: &str, length: usize) -> String {
        self.text(salt, length, b"abcdefghijklmnopqrstuvwxyz0123456789")
    }

    /// A version 4 UUID.
    pub(super) fn uuid(self, salt: &str) -> String {
        let h = self.hex(salt, 32);
        format!("{}-{}-4{}-a{}-{}", &h[..8], &h[8..12], &h[13..16], &h[17..20], &h[20..])
    }

    /// One of the given words.
    pub(super) fn pick(self, salt: &str, words: &[&'static str]) -> &'static str {
        let i = mix(self.0, of_text(salt)) as usize % words.len().max(1);
        words.get(i).copied().unwrap_or_default()
    }
}
