//! Reads series from a file: `OpenMetrics` or Prometheus text exposition with timestamps, plain or gzip.
//! Knows nothing of servers.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::error::{Error, clean, unreadable};
use super::number::{parse_time, parse_value};
use super::selector::{Matcher, Selector};
use super::series::{Labels, Sample, SeriesSource, TimeRange};
use super::sink::SampleStream;
use super::store::SeriesStore;

/// A whole number of this size or more is milliseconds, as in the Prometheus text format; below it, seconds, as in
/// `OpenMetrics`. The limit is March 1973 in milliseconds and the year 5138 in seconds.
const MILLISECONDS_FROM: i64 = 100_000_000_000;
/// The longest line.
const LINE_CAP: usize = 1 << 20;

/// The series of one exposition file, in memory.
///
/// Every sample has a timestamp; a series may have many samples, its lines in any order. NaN samples and exemplars are
/// ignored. Reading stops at `# EOF`; only blank lines may follow.
#[derive(Clone, Debug)]
pub struct OpenMetricsFile {
    store: SeriesStore,
}

impl OpenMetricsFile {
    /// Reads a file, unpacking it when it is gzip.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|e| Error::File { path: path.to_owned(), problem: unreadable(&e) })?;
        Self::read(file, &path.display().to_string())
    }

    /// Reads from anything, unpacking it when it is gzip; the name goes into messages.
    pub fn read(source: impl Read, name: &str) -> Result<Self, Error> {
        let mut source = BufReader::with_capacity(1 << 17, source);
        let failed = |e: &std::io::Error| Error::File { path: name.into(), problem: unreadable(e) };
        let gzip = source.fill_buf().map_err(|e| failed(&e))?.starts_with(&[0x1f, 0x8b]);
        let store = if gzip {
            parse(BufReader::with_capacity(1 << 17, MultiGzDecoder::new(source)), name)
        } else {
            parse(source, name)
        }?;
        Ok(Self { store })
    }

    /// The series themselves.
    pub fn store(&self) -> &SeriesStore {
        &self.store
    }
}

impl SeriesSource for OpenMetricsFile {
    fn samples(
        &self,
        selector: &Selector,
        range: TimeRange,
    ) -> impl Future<Output = Result<SampleStream, Error>> + Send {
        self.store.samples(selector, range)
    }

    fn last(&self, selector: &Selector, range: TimeRange) -> impl Future<Output = Result<SampleStream, Error>> + Send {
        self.store.last(selector, range)
    }

    fn metric_names_present(
        &self,
        names: &[&str],
        range: TimeRange,
        matchers: &[Matcher],
    ) -> impl Future<Output = Result<BTreeSet<String>, Error>> + Send {
        self.store.metric_names_present(names, range, matchers)
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}

/// A series while its file is being read.
struct Growing {
    metric: String,
    labels: Labels,
    samples: Vec<Sample>,
}

fn parse(mut source: impl BufRead, name: &str) -> Result<SeriesStore, Error> {
    // By the text of name and labels: each is taken apart once.
    let mut places: HashMap<Box<str>, usize> = HashMap::new();
    let mut series: Vec<Growing> = Vec::new();
    let (mut bytes, mut number, mut ended) = (Vec::new(), 0, false);
    loop {
        number += 1;
        let wrong = |problem: String| Error::Line { file: name.to_owned(), line: number, problem };
        bytes.clear();
        let read = (&mut source)
            .take(LINE_CAP as u64)
            .read_until(b'\n', &mut bytes)
            .map_err(|e| Error::File { path: name.into(), problem: unreadable(&e) })?;
        if read == 0 {
            break;
        }
        if read == LINE_CAP && bytes.last() != Some(&b'\n') {
            return Err(wrong("longer than 1 MiB".to_owned()));
        }
        let line = std::str::from_utf8(&bytes)
            .map_err(|_| wrong("not UTF-8; is it OpenMetrics text, or that packed by gzip?".to_owned()))?
            .trim();
        if line.is_empty() {
            continue;
        }
        if ended {
            return Err(wrong("text after # EOF; was another file appended?".to_owned()));
        }
        if let Some(comment) = line.strip_prefix('#') {
            ended = comment.trim() == "EOF";
            continue;
        }
        let (head, tail) = split_head(line).map_err(|p| wrong(p.to_owned()))?;
        let sample = parse_tail(tail).map_err(wrong)?;
        let place = if let Some(place) = places.get(head) {
            *place
        } else {
            let (metric, labels) = parse_head(head).map_err(wrong)?;
            places.insert(head.into(), series.len());
            series.push(Growing { metric, labels, samples: Vec::new() });
            series.len() - 1
        };
        series[place].samples.push(sample);
    }
    let mut store = SeriesStore::new(name);
    for one in series {
        store.insert(one.metric, one.labels, one.samples);
    }
    Ok(store)
}

/// Cuts a line behind the metric name or its closing brace.
fn split_head(line: &str) -> Result<(&str, &str), &'static str> {
    let (mut quoted, mut escaped, mut braces) = (false, false, false);
    for (i, b) in line.bytes().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if braces => quoted = !quoted,
            b'{' if !quoted && !braces => braces = true,
            b'}' if !quoted && braces => return Ok((&line[..=i], &line[i + 1..])),
            b' ' | b'\t' if !braces => {
                // `name {…}` is allowed too.
                if line[i..].trim_start().starts_with('{') {
                    continue;
                }
                return Ok((&line[..i], &line[i..]));
            }
            _ => {}
        }
    }
    if quoted {
        Err("a label value without its closing quote")
    } else if braces {
        Err("labels without the closing brace")
    } else {
        Err("a metric without a value")
    }
}

/// `value timestamp`, exemplars aside.
fn parse_tail(tail: &str) -> Result<Sample, String> {
    let mut words = tail.split_ascii_whitespace();
    let value = words.next().filter(|w| *w != "#").ok_or("a metric without a value")?;
    let value = parse_value(value.as_bytes()).ok_or_else(|| {
        format!("{:?} is no value; a line is NAME VALUE TIMESTAMP, labels in braces behind NAME", clean(value))
    })?;
    let time = words
        .next()
        .filter(|w| *w != "#")
        .ok_or("no timestamp; only a history helps here, so each sample needs its time in seconds")?;
    let at_ms = parse_time(time.as_bytes()).ok_or_else(|| format!("{:?} is no timestamp", clean(time)))?;
    let at_ms = match time.parse::<i64>() {
        Ok(whole) if whole.abs() >= MILLISECONDS_FROM => whole,
        _ => at_ms,
    };
    match words.next() {
        None | Some("#") => Ok(Sample { at_ms, value }),
        Some(more) => Err(format!("{:?} after the timestamp", clean(more))),
    }
}

/// Metric name and labels. The name may be a quoted string inside the braces.
fn parse_head(head: &str) -> Result<(String, Labels), String> {
    let Some((name, labels)) = head.split_once('{') else { return Ok((check_name(head)?, Labels::default())) };
    let name = name.trim_end();
    let mut metric = if name.is_empty() { None } else { Some(check_name(name)?) };
    let mut rest = labels.strip_suffix('}').unwrap_or(labels).trim();
    let mut pairs: Vec<(String, String)> = Vec::new();
    while !rest.is_empty() {
        let label = if rest.starts_with('"') {
            let (text, after) = parse_quoted(rest)?;
            rest = after.trim_start();
            text
        } else {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let (text, after) = rest.split_at(end);
            rest = after.trim_start();
            text.to_owned()
        };
        if let Some(after) = rest.strip_prefix('=') {
            if label.is_empty() {
                return Err("a label without a name".to_owned());
            }
            let (value, after) = parse_quoted(after.trim_start())?;
            rest = after.trim_start();
            if pairs.iter().any(|(n, _)| *n == label) {
                return Err(format!("the label {:?} twice", clean(&label)));
            }
            pairs.push((label, value));
        } else if metric.is_none() && !label.is_empty() {
            metric = Some(label);
        } else {
            return Err(format!("the label {:?} has no value", clean(&label)));
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => {}
            None => return Err("no comma between labels".to_owned()),
        }
    }
    Ok((metric.ok_or("labels without a metric name")?, Labels::new(pairs)))
}

fn check_name(name: &str) -> Result<String, String> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
    if plain && !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() {
        Ok(name.to_owned())
    } else {
        Err(format!("{:?} is no metric name", clean(name)))
    }
}

/// A string in quotes at the start of a text, and what follows it.
fn parse_quoted(text: &str) -> Result<(String, &str), String> {
    let inner = text.strip_prefix('"').ok_or("a label value without quotes")?;
    let mut out = String::new();
    let mut chars = inner.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok((out, &inner[i + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, c @ ('\\' | '"'))) => out.push(c),
                Some((_, c)) => {
                    out.push('\\');
                    out.push(c);
                }
                None => break,
            },
            c => out.push(c),
        }
    }
    Err("a label value without its closing quote".to_owned())
}

#[cfg(test)]
#[path = "openmetrics_tests.rs"]
mod tests;
