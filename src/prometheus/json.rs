//! A push parser for the answers of the query API: bytes in as they come, bounded pieces of series out.
//! Knows nothing of HTTP; never holds more than one token and one piece of a series.

use std::borrow::Cow;
use std::sync::Arc;

use super::error::tidy;
use super::labels::Labels;
use super::labels::LabelsBuilder;
use super::number::{parse_time, parse_value, whole_pair};
use super::sample::{PIECE, Sample, SeriesChunk, TimeRange};

/// The longest string or number.
const TOKEN_CAP: usize = 1 << 20;
/// The deepest nesting of parts that are skipped.
const DEPTH_CAP: usize = 64;

/// Why an answer cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Not JSON, or not of the shape that the API promises.
    Malformed {
        /// Offset, from 0.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// HTML.
    Page,
    /// The end came too early.
    Truncated,
    /// `status: error`.
    Server {
        /// `errorType`.
        kind: String,
        /// `error`, cleaned.
        message: String,
    },
}

/// Where in the answer we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Envelope,
    Data,
    Result,
    Series,
    Metric,
    Values,
    Pair,
    Histograms,
    Notes,
    Skipped,
}

/// What may come next inside the innermost place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    FirstOrEnd,
    Next,
    Colon,
    Value,
    CommaOrEnd,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    place: Position,
    object: bool,
    expect: Expect,
}

/// What the last key announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Status,
    Data,
    ErrorType,
    Error,
    Notes,
    IsPartial,
    Result,
    Metric,
    Values,
    Value,
    Histograms,
    Histogram,
    Label,
    Other,
}

enum Token {
    Punctuation(u8),
    /// Byte range of the content, and whether it holds escapes.
    Text(usize, usize, bool),
    /// Byte range.
    Bare(usize, usize),
}

/// The parser. Feed it, take the pieces, finish it.
pub(crate) struct Parser {
    range: TimeRange,
    buffer: Vec<u8>,
    at: usize,
    /// Bytes of the answer before the buffer.
    before: u64,
    levels: Vec<Level>,
    done: bool,
    key: Key,
    label: String,
    status: String,
    error_kind: String,
    error: String,
    /// Warnings of the server, cleaned.
    pub notes: Vec<String>,
    /// The server says so in a field of its own (`VictoriaMetrics`).
    pub is_partial: bool,
    /// Samples inside the range so far.
    pub samples: u64,
    /// Native histogram samples that were skipped.
    pub histograms: u64,
    building: LabelsBuilder,
    labels: Option<Arc<Labels>>,
    pending: Vec<Sample>,
    last_ms: i64,
    time_ms: i64,
    position: u8,
}

impl Parser {
    /// A parser that keeps the samples inside the range.
    pub(crate) fn new(range: TimeRange) -> Self {
        Self {
            range,
            buffer: Vec::new(),
            at: 0,
            before: 0,
            levels: Vec::with_capacity(8),
            done: false,
            key: Key::Other,
            label: String::new(),
            status: String::new(),
            error_kind: String::new(),
            error: String::new(),
            notes: Vec::new(),
            is_partial: false,
            samples: 0,
            histograms: 0,
            building: LabelsBuilder::default(),
            labels: None,
            pending: Vec::new(),
            last_ms: i64::MIN,
            time_ms: 0,
            position: 0,
        }
    }

    /// Takes the next bytes; whole pieces go to `out`.
    pub(crate) fn feed(&mut self, bytes: &[u8], out: &mut Vec<SeriesChunk>) -> Result<(), Problem> {
        self.buffer.extend_from_slice(bytes);
        while self.step(out)? {}
        self.before += self.at as u64;
        self.buffer.drain(..self.at);
        self.at = 0;
        if self.buffer.len() > TOKEN_CAP {
            return Err(self.wrong("a string or number of more than 1 MiB"));
        }
        Ok(())
    }

    /// The end of the body.
    pub(crate) fn finish(&self) -> Result<(), Problem> {
        if !self.done {
            return Err(Problem::Truncated);
        }
        match self.status.as_str() {
            "success" => Ok(()),
            "error" => Err(Problem::Server { kind: tidy(&self.error_kind), message: tidy(&self.error) }),
            _ => Err(self.wrong("no status, so not an answer of the query API")),
        }
    }

    /// One token further; false when more bytes are needed.
    fn step(&mut self, out: &mut Vec<SeriesChunk>) -> Result<bool, Problem> {
        if let Some(level) = self.levels.last()
            && match level.place {
                Position::Values => level.expect != Expect::CommaOrEnd,
                Position::Series => level.expect == Expect::Value && self.key == Key::Value,
                _ => false,
            }
            && let Some((used, time_ms, value)) = whole_pair(&self.buffer[self.at..])
        {
            self.at += used;
            self.expect(Expect::CommaOrEnd);
            self.push(time_ms, value, out);
            return Ok(true);
        }
        let Some(token) = self.token()? else { return Ok(false) };
        self.take(&token, out)?;
        Ok(true)
    }

    fn token(&mut self) -> Result<Option<Token>, Problem> {
        let rest = &self.buffer[self.at..];
        let Some(blank) = rest.iter().position(|b| !matches!(b, b' ' | b'\n' | b'\r' | b'\t')) else {
            self.at = self.buffer.len();
            return Ok(None);
        };
        let from = self.at + blank;
        self.at = from;
        match self.buffer[from] {
            c @ (b'{' | b'}' | b'[' | b']' | b',' | b':') => {
                self.at += 1;
                Ok(Some(Token::Punctuation(c)))
            }
            b'"' => {
                let (mut i, mut escaped) = (from + 1, false);
                while let Some(c) = self.buffer.get(i) {
                    match c {
                        b'"' => {
                            self.at = i + 1;
                            return Ok(Some(Token::Text(from + 1, i, escaped)));
                        }
                        b'\\' => {
                            escaped = true;
                            i += 2;
                        }
                        0..0x20 => return Err(self.wrong("a control character inside a string")),
                        _ => i += 1,
                    }
                }
                Ok(None)
            }
            c if c.is_ascii_alphanumeric() || matches!(c, b'-' | b'+' | b'.') => {
                let bare = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
                let Some(length) = self.buffer[from..].iter().position(|b| !bare(b)) else { return Ok(None) };
                self.at += length;
                Ok(Some(Token::Bare(from, from + length)))
            }
            b'<' if self.levels.is_empty() => Err(Problem::Page),
            _ => Err(self.wrong("a character that JSON does not have there")),
        }
    }

    fn take(&mut self, token: &Token, out: &mut Vec<SeriesChunk>) -> Result<(), Problem> {
        let Some(level) = self.levels.last().copied() else {
            if self.done {
                return Err(self.wrong("text after the end of the answer"));
            }
            return match token {
                Token::Punctuation(b'{') => {
                    self.open(Position::Envelope, true);
                    Ok(())
                }
                _ => Err(self.wrong("an object was expected")),
            };
        };
        match (level.expect, token) {
            (Expect::FirstOrEnd | Expect::CommaOrEnd, Token::Punctuation(c @ (b'}' | b']')))
                if level.object == (*c == b'}') =>
            {
                self.close(out)
            }
            (Expect::CommaOrEnd, Token::Punctuation(b',')) => {
                self.expect(Expect::Next);
                Ok(())
            }
            (Expect::Colon, Token::Punctuation(b':')) => {
                self.expect(Expect::Value);
                Ok(())
            }
            (Expect::FirstOrEnd | Expect::Next, Token::Text(from, to, escaped)) if level.object => {
                let key = text(&self.buffer, *from, *to, *escaped).map_err(|what| self.wrong(what))?;
                self.key = name_key(level.place, &key);
                if self.key == Key::Label {
                    self.label.clear();
                    self.label.push_str(&key);
                }
                self.expect(Expect::Colon);
                Ok(())
            }
            (Expect::FirstOrEnd | Expect::Next, _) if !level.object => self.value(level.place, token, out),
            (Expect::Value, _) => self.value(level.place, token, out),
            _ => Err(self.wrong("a misplaced sign")),
        }
    }

    /// A value begins (an object or array) or is there whole.
    fn value(&mut self, place: Position, token: &Token, out: &mut Vec<SeriesChunk>) -> Result<(), Problem> {
        self.expect(Expect::CommaOrEnd);
        let opened = match token {
            Token::Punctuation(b'{') => Some(true),
            Token::Punctuation(b'[') => Some(false),
            Token::Punctuation(_) => return Err(self.wrong("a value was expected")),
            _ => None,
        };
        if let Some(object) = opened {
            let inner = match (place, self.key, object) {
                (Position::Envelope, Key::Data, true) => Position::Data,
                (Position::Envelope, Key::Notes, false) => Position::Notes,
                (Position::Data, Key::Result, false) => Position::Result,
                (Position::Result, _, true) => Position::Series,
                (Position::Result, _, false) => return Err(self.wrong("a series was expected")),
                (Position::Series, Key::Metric, true) => Position::Metric,
                (Position::Series, Key::Values, false) => Position::Values,
                (Position::Series, Key::Value, false) | (Position::Values, _, false) => Position::Pair,
                (Position::Series, Key::Histograms, false) => Position::Histograms,
                (Position::Pair | Position::Metric | Position::Values, _, _) => {
                    return Err(self.wrong("an object or array where a plain value was expected"));
                }
                _ => Position::Skipped,
            };
            if place == Position::Histograms || (place == Position::Series && self.key == Key::Histogram) {
                self.histograms += 1;
            }
            if self.levels.len() >= DEPTH_CAP {
                return Err(self.wrong("nested too deeply"));
            }
            self.open(inner, object);
            return Ok(());
        }
        match (place, token) {
            (Position::Envelope, Token::Text(from, to, escaped)) => {
                let text = text(&self.buffer, *from, *to, *escaped).map_err(|what| self.wrong(what))?.into_owned();
                match self.key {
                    Key::Status => self.status = text,
                    Key::ErrorType => self.error_kind = text,
                    Key::Error => self.error = text,
                    _ => {}
                }
            }
            (Position::Envelope, Token::Bare(from, to)) if self.key == Key::IsPartial => {
                self.is_partial = &self.buffer[*from..*to] != b"false";
            }
            (Position::Notes, Token::Text(from, to, escaped)) => {
                let note = text(&self.buffer, *from, *to, *escaped).map_err(|what| self.wrong(what))?;
                if self.notes.len() < 100 {
                    self.notes.push(tidy(&note));
                }
            }
            (Position::Metric, Token::Text(from, to, escaped)) => {
                let value = text(&self.buffer, *from, *to, *escaped).map_err(|what| self.wrong(what))?;
                self.building.push(&self.label, &value);
            }
            (Position::Pair, Token::Text(from, to, _) | Token::Bare(from, to)) => return self.half(*from, *to, out),
            (Position::Result | Position::Values | Position::Metric, _) => {
                return Err(self.wrong("a series, a pair or a label was expected"));
            }
            _ => {}
        }
        Ok(())
    }

    /// One half of a `[time, value]` pair.
    fn half(&mut self, from: usize, to: usize, out: &mut Vec<SeriesChunk>) -> Result<(), Problem> {
        let bytes = &self.buffer[from..to];
        match self.position {
            0 => match parse_time(bytes) {
                Some(ms) => self.time_ms = ms,
                None => return Err(self.wrong("no time")),
            },
            1 => match parse_value(bytes) {
                Some(value) => self.push(self.time_ms, value, out),
                None => return Err(self.wrong("no sample value")),
            },
            _ => return Err(self.wrong("a pair of more than two")),
        }
        self.position += 1;
        Ok(())
    }

    fn push(&mut self, at_ms: i64, value: f64, out: &mut Vec<SeriesChunk>) {
        if value.is_nan() || !self.range.contains(at_ms) || at_ms <= self.last_ms {
            return;
        }
        self.last_ms = at_ms;
        self.samples += 1;
        self.pending.push(Sample { at_ms, value });
        if self.pending.len() >= PIECE && self.labels.is_some() {
            self.flush(out);
        }
    }

    fn flush(&mut self, out: &mut Vec<SeriesChunk>) {
        if !self.pending.is_empty() {
            let labels = self.labels.get_or_insert_with(Arc::default).clone();
            out.push(SeriesChunk { labels, samples: std::mem::take(&mut self.pending) });
        }
    }

    fn open(&mut self, place: Position, object: bool) {
        match place {
            Position::Series => {
                self.labels = None;
                self.last_ms = i64::MIN;
            }
            Position::Pair => self.position = 0,
            _ => {}
        }
        self.levels.push(Level { place, object, expect: Expect::FirstOrEnd });
    }

    fn close(&mut self, out: &mut Vec<SeriesChunk>) -> Result<(), Problem> {
        match self.levels.pop().map(|l| l.place) {
            Some(Position::Series) => self.flush(out),
            Some(Position::Metric) => {
                self.labels = Some(Arc::new(self.building.take()));
            }
            Some(Position::Pair) if self.position != 2 => return Err(self.wrong("a pair without a value")),
            Some(Position::Envelope) => self.done = true,
            _ => {}
        }
        Ok(())
    }

    fn expect(&mut self, expect: Expect) {
        if let Some(level) = self.levels.last_mut() {
            level.expect = expect;
        }
    }

    fn wrong(&self, what: &str) -> Problem {
        Problem::Malformed { at: self.before + self.at as u64, what: what.to_owned() }
    }
}

/// The text of a string token, or what is wrong with it.
fn text(buffer: &[u8], from: usize, to: usize, escaped: bool) -> Result<Cow<'_, str>, &'static str> {
    if escaped {
        return serde_json::from_slice(&buffer[from - 1..=to]).map(Cow::Owned).map_err(|_| "a broken string");
    }
    std::str::from_utf8(&buffer[from..to]).map(Cow::Borrowed).map_err(|_| "a string that is not UTF-8")
}

fn name_key(place: Position, key: &str) -> Key {
    match (place, key) {
        (Position::Metric, _) => Key::Label,
        (Position::Envelope, "status") => Key::Status,
        (Position::Envelope, "data") => Key::Data,
        (Position::Envelope, "errorType") => Key::ErrorType,
        (Position::Envelope, "error") => Key::Error,
        // `infos` are remarks on the query, and say nothing of the answer.
        (Position::Envelope, "warnings") => Key::Notes,
        (Position::Envelope, "isPartial") => Key::IsPartial,
        (Position::Data, "result") => Key::Result,
        (Position::Series, "metric") => Key::Metric,
        (Position::Series, "values") => Key::Values,
        (Position::Series, "value") => Key::Value,
        (Position::Series, "histograms") => Key::Histograms,
        (Position::Series, "histogram") => Key::Histogram,
        _ => Key::Other,
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
