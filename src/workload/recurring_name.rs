//! What stays of a name when everything that changes from run to run is taken away: dates, times, epochs, random
//! suffixes, hashes. Knows no engine.

use std::sync::LazyLock;

use regex::Regex;

/// The characters of Kubernetes' generated suffixes (`k8s.io/apimachinery/pkg/util/rand`): no vowels, no 0, 1, 3.
const GENERATED_ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";
/// Length of the suffix that `generateName` gets.
const GENERATED_LENGTH: usize = 5;
/// Words that could have been drawn from the alphabet but are words that people end names with.
const WORDS_IN_THE_ALPHABET: [&str; 7] = ["mssql", "pgsql", "https", "xhtml", "html5", "mssql2", "tpcds"];

/// Dates from 2010 to 2049 with or without separators, month only, or ISO week; then optionally a time of day,
/// fraction and zone; or seconds, milliseconds, microseconds, nanoseconds since the epoch (2014 to 2043); or a UUID.
static STAMP: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?ix)
        (?: [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12} )
        | (?: 20[1-4]\d [-_.]? (?:0[1-9]|1[0-2]) [-_.]? (?:0[1-9]|[12]\d|3[01])
              (?: [-_.]?t?[-_.]? (?:[01]\d|2[0-3]) [-_.]? [0-5]\d
                  (?: [-_.]? [0-5]\d (?: [-_.]? \d{3,9} )? )?
                  (?: z | [-_.]? (?:0\d|1[0-4]) [-_.]? (?:00|30|45) )?
                | t?(?:[01]\d|2[0-3]) )? )
        | (?: 20[1-4]\d [-_.]? (?:0[1-9]|1[0-2]) )
        | (?: 20[1-4]\d [-_.]? w (?:0[1-9]|[1-4]\d|5[0-3]) )
        | (?: (?:1[4-9]\d{8}|2[0-2]\d{8}) (?:\d{9}|\d{6}|\d{3})? )",
    )
    .ok()
});

/// Takes dates, times, epochs and UUIDs out of a name: dropped at either end, replaced by `date` inside, so that
/// `etl-20261121` and `etl-20261122` agree while `etl-20261121-users` stays apart from `etl-users`.
pub fn without_stamps(name: &str) -> String {
    let Some(stamp) = STAMP.as_ref() else { return name.to_owned() };
    let mut parts: Vec<&str> = Vec::new();
    let mut rest = 0;
    let mut from = 0;
    while let Some(found) = stamp.find_at(name, from) {
        let before = name[..found.start()].chars().next_back();
        let after = name[found.end()..].chars().next();
        let bounded = !before.is_some_and(|c| c.is_ascii_digit()) && !after.is_some_and(|c| c.is_ascii_alphanumeric());
        if bounded {
            parts.push(&name[rest..found.start()]);
            rest = found.end();
            from = rest;
        } else {
            // Step over the whole run of digits, or a part of a longer number would be taken for a date.
            from = name[found.start()..]
                .find(|c: char| !c.is_ascii_digit())
                .map_or(name.len(), |n| found.start() + n.max(1));
        }
        if from >= name.len() {
            break;
        }
    }
    if parts.is_empty() {
        return name.to_owned();
    }
    parts.push(&name[rest..]);
    let kept: Vec<&str> =
        parts.iter().map(|part| part.trim_matches(['-', '_', '.'])).filter(|part| !part.is_empty()).collect();
    if kept.is_empty() { "date".to_owned() } else { kept.join("-date-") }
}

/// The name without a suffix made by `generateName`, `None` when it has none.
pub fn without_generated_suffix(name: &str) -> Option<&str> {
    let (stem, suffix) = name.rsplit_once('-')?;
    let generated = suffix.len() == GENERATED_LENGTH
        && suffix.chars().all(|c| GENERATED_ALPHABET.contains(c))
        && !WORDS_IN_THE_ALPHABET.contains(&suffix)
        && !stem.is_empty();
    generated.then_some(stem)
}

/// The name without a trailing hash: 8 or more hexadecimal digits with both letters and digits among them.
pub fn without_hash(name: &str) -> Option<&str> {
    let (stem, suffix) = name.rsplit_once('-')?;
    let hash = suffix.len() >= 8
        && suffix.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
        && suffix.chars().any(|c| c.is_ascii_digit())
        && suffix.chars().any(|c| c.is_ascii_alphabetic());
    (hash && !stem.is_empty()).then_some(stem)
}

/// The name without a number at the end: `app-12` is the twelfth of `app`.
pub fn without_number(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((stem, number))
            if !stem.is_empty() && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            stem
        }
        _ => name,
    }
}

/// Whether a part of a name was drawn at random: `x7k2p` in `nightly-x7k2p-fetch`. What is left of such a name names
/// one run, and no two runs have it in common.
pub fn holds_random_part(name: &str) -> bool {
    name.split(['-', '.', '_']).any(is_random)
}

/// Random texts change between letters and digits more often than words with numbers do (`v2`, `k8s`, `east1b`).
fn is_random(part: &str) -> bool {
    let is_digit = |b: &u8| b.is_ascii_digit();
    let bytes = part.as_bytes();
    if !bytes.iter().all(u8::is_ascii_alphanumeric) || bytes.iter().all(is_digit) {
        return false;
    }
    let changes = bytes.windows(2).filter(|pair| pair.iter().filter(|b| is_digit(b)).count() == 1).count();
    let is_generated = bytes.len() == GENERATED_LENGTH
        && part.chars().all(|c| GENERATED_ALPHABET.contains(c))
        && !WORDS_IN_THE_ALPHABET.contains(&part)
        && (changes != 1 || bytes.first().is_some_and(is_digit));
    let is_hex = bytes.len() >= 7 && bytes.iter().all(u8::is_ascii_hexdigit) && changes >= 2;
    is_generated || is_hex || (bytes.len() >= 6 && changes >= 4)
}

/// Whether a name holds a UUID: then it is of one run, whatever else it holds (`dagster-run-<run id>`).
pub fn holds_uuid(name: &str) -> bool {
    name.as_bytes().windows(36).any(|window| {
        window.iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
    })
}

/// The stem of a name that something made once per run: generated suffix, hash and stamps removed.
pub fn recurring_name(name: &str) -> String {
    let mut stem = name;
    if let Some(shorter) = without_generated_suffix(stem).or_else(|| without_hash(stem)) {
        stem = shorter;
    }
    without_stamps(stem)
}

/// The CronJob behind a Job's name: `<cronjob>-<minutes since the epoch>`, or seconds in Kubernetes before 1.21.
/// `None` when the number is no plausible schedule time (2017 to 2046).
pub fn cronjob_of_job(job: &str) -> Option<&str> {
    const FIRST_SECOND: u64 = 1_483_228_800; // 2017-01-01, when CronJob became beta
    const LAST_SECOND: u64 = 2_398_377_600; // 2046-01-01
    let (cronjob, number) = job.rsplit_once('-')?;
    if cronjob.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds = match number.len() {
        8 => number.parse::<u64>().ok()? * 60,
        10 => number.parse::<u64>().ok()?,
        _ => return None,
    };
    (FIRST_SECOND..LAST_SECOND).contains(&seconds).then_some(cronjob)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("daily-report-2026-11-21", "daily-report")]
    #[case("daily-report-v2", "daily-report-v2")]
    #[case("etl-20261121", "etl")]
    #[case("etl_20261121_users", "etl-date-users")]
    #[case("agg-2026-11-21t03-00-00", "agg")]
    #[case("agg-2026-11-21t03-00-00-00-00", "agg")]
    #[case("agg-20261121t030000", "agg")]
    #[case("agg-2026-11-21t03-00-00.123456z", "agg")]
    #[case("agg-2026112103", "agg")]
    #[case("2026-11-21-etl", "etl")]
    #[case("run20261121", "run")]
    #[case("sales-202611", "sales")]
    #[case("sales-2026-w47", "sales")]
    #[case("sales-1763690400", "sales")]
    #[case("sales-1763690400123", "sales")]
    #[case("sales-1763690400123456789", "sales")]
    #[case("job-2f1d3c58-0d1e-4c8a-9a53-51c2a6f4b0aa", "job")]
    #[case("2026-11-21", "date")]
    #[case("model-2024", "model-2024")]
    #[case("tenant-100234", "tenant-100234")]
    #[case("tenant-20269921", "tenant-20269921")]
    #[case("order-9920261121", "order-9920261121")]
    #[case("part-00001", "part-00001")]
    #[case("load-20261121-01", "load-date-01")]
    fn stamps(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(without_stamps(name), expected);
    }

    #[rstest]
    #[case("import-x7k2q", "import")]
    #[case("import-users", "import-users")]
    #[case("load-mssql", "load-mssql")]
    #[case("import-20261121-x7k2q", "import")]
    #[case("hash-3f2a9c41", "hash")]
    #[case("word-deadbeef", "word-deadbeef")]
    #[case("x7k2q", "x7k2q")]
    fn recurring(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(recurring_name(name), expected);
    }

    #[rstest]
    #[case("nightly-report-29399880", Some("nightly-report"))]
    #[case("nightly-report-1611100800", Some("nightly-report"))]
    #[case("tenant-10023456", None)]
    #[case("nightly-report-293998801", None)]
    #[case("29399880", None)]
    #[case("-29399880", None)]
    fn cronjobs(#[case] job: &str, #[case] expected: Option<&str>) {
        assert_eq!(cronjob_of_job(job), expected);
    }

    #[rstest]
    #[case("nightly-x7k2p-fetch", true)]
    #[case("runner-7kq2c", true)]
    #[case("f0a1b2c3d4e5f6-n0-0", true)]
    #[case("exp-x7k2p9qz", true)]
    #[case("build-9f3a21c", true)]
    #[case("load-mssql-k8s-v2beta1-east1b", false)]
    #[case("tpcds-q14-sf1000", false)]
    #[case("etl-2024q3-part-00017", false)]
    #[case("log4j-s3a-h264-utf8-ipv6-md5sum", false)]
    #[case("decade-facade-deadbeef", false)]
    #[case("", false)]
    fn random_parts(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(holds_random_part(name), expected);
    }

    #[rstest]
    #[case("app-12", "app")]
    #[case("app-v12", "app-v12")]
    #[case("12", "12")]
    #[case("-12", "-12")]
    #[case("app-", "app-")]
    fn numbers(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(without_number(name), expected);
    }

    proptest::proptest! {
        #[test]
        fn normalising_twice_changes_nothing_more_than_once(name in "[a-z0-9._-]{0,40}") {
            let once = without_stamps(&name);
            proptest::prop_assert!(once.len() <= name.len() + 12);
        }

        #[test]
        fn any_two_days_of_a_name_agree(stem in "[a-z]{1,12}", a in 1u8..=28, b in 1u8..=28) {
            let first = without_stamps(&format!("{stem}-2026-11-{a:02}"));
            proptest::prop_assert_eq!(first, without_stamps(&format!("{stem}-2026-11-{b:02}")));
        }
    }
}
