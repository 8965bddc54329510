//! Reads YAML and JSON with the place of every value. Must not know what the values mean, and never repeats a text that
//! it could not read: manifests may hold secrets.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{DuplicateKeyPolicy, Location, Options, Spanned};

use super::shape::escape;
use crate::text;

/// Line and column of a value, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

/// One document of a file.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it says; null for an empty one.
    pub value: Value,
    places: BTreeMap<String, Position>,
    start: Position,
}

/// A document that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Where.
    pub place: Position,
    /// Why, and what to do; one line.
    pub message: String,
    /// Whether a key is there twice; what the last one says is read all the same.
    pub is_duplicate: bool,
}

/// The words in which Helm's templates differ from other texts with braces, Argo's parameters for one.
pub const TEMPLATE_WORDS: [&str; 10] =
    ["{{-", "{{ .", "{{.", "{{ include", "{{ template", "{{ if", "{{ range", "{{ with", "{{ toYaml", "{{ $"];
/// What is said of a text that a tool has to complete first.
const TEMPLATE: &str = "this is a template: render it first (helm template … | podfit review -)";
/// Nodes in one document: `kubectl get -A -o yaml` of some thousand pods.
const MAX_NODES: usize = 1_000_000;
/// Nodes that aliases may repeat in one document; manifests repeat some hundreds.
const MAX_REPEATED: usize = 100_000;
/// Deepest nesting of lists and objects; the schema of a custom resource reaches some sixty.
const MAX_DEPTH: usize = 100;
/// Stack of the thread that reads.
const STACK_BYTES: usize = 64 << 20;

/// Every document of a text, in order.
pub fn read(text: &str) -> Vec<Result<Document, Unreadable>> {
    // A carriage return alone ends a line too, where no other line ending is there.
    let old = (text.contains('\r') && !text.contains('\n')).then(|| text.replace('\r', "\n"));
    let text = old.as_deref().unwrap_or(text);
    let documents = || -> Vec<_> {
        let parts = split(text).into_iter();
        parts.flat_map(|(line, part)| documents(part, line)).filter(|d| !is_empty(d)).collect()
    };
    // Reading goes as deep as the text does, by MAX_DEPTH at most, and takes some tens of KiB for each level.
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, documents);
        reader.ok().and_then(|reader| reader.join().ok())
    })
    .unwrap_or_else(|| {
        let message = "there is no memory left to read it".to_owned();
        vec![Err(Unreadable { place: Position { line: 1, column: 1 }, message, is_duplicate: false })]
    })
}

impl Document {
    /// Where the value of a JSON pointer stands, or the nearest thing around it that is there.
    pub fn place(&self, pointer: &str) -> Position {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return *place;
            }
            match pointer.rsplit_once('/') {
                Some((shorter, _)) => pointer = shorter,
                None => return self.start,
            }
        }
    }
}

fn is_empty(document: &Result<Document, Unreadable>) -> bool {
    document.as_ref().is_ok_and(|document| document.value.is_null())
}

/// The documents of a text with the number of lines before each. A line that begins with `---` or `...` is a mark
/// wherever it stands, in a quoted text or a literal block too, so that one broken document takes no other with it.
fn split(text: &str) -> Vec<(u64, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let is = |mark: &str| {
            let rest = line.strip_prefix('\u{feff}').unwrap_or(line).strip_prefix(mark);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        };
        // What stands before the first mark may be comments and directives, which belong to the document behind it.
        let head = text.get(start..at).unwrap_or_default();
        let says_something = || {
            let begin = |line: &str| line.trim_start_matches('\u{feff}').trim_start().chars().next();
            head.lines().any(|line| !matches!(begin(line), None | Some('#' | '%')))
        };
        let end = at + line.len();
        if is("...") {
            // The line ends the document before it, and belongs to none.
            parts.push((start_line, head));
            (start, start_line) = (end, number as u64 + 1);
        } else if is("---") && says_something() {
            parts.push((start_line, head));
            (start, start_line) = (at, number as u64);
        }
        at = end;
    }
    parts.push((start_line, text.get(start..).unwrap_or_default()));
    parts
}

/// What a part of a text says: one document, or those of JSON texts that follow one another.
fn documents(part: &str, lines_before: u64) -> Vec<Result<Document, Unreadable>> {
    // Tools that put files together leave the mark of each file's beginning inside.
    let unmarked = part.contains('\u{feff}').then(|| without_marks(part));
    let part = unmarked.as_deref().unwrap_or(part);
    let read = document(part, lines_before, DuplicateKeyPolicy::Error);
    let Err(error) = read else { return vec![read] };
    if error.is_duplicate {
        // The last one counts, as it does for the API server; what else is there is judged all the same.
        let rest = document(part, lines_before, DuplicateKeyPolicy::LastWins);
        return [Err(error)].into_iter().chain(rest.ok().map(Ok)).collect();
    }
    if let Some(texts) = json_texts(part) {
        return texts
            .into_iter()
            .scan((0, 0), |(done, line), (at, text)| {
                *line += part.get(*done..at).unwrap_or_default().matches('\n').count() as u64;
                *done = at;
                Some(document(text, lines_before + *line, DuplicateKeyPolicy::Error))
            })
            .collect();
    }
    vec![Err(error)]
}

/// A part without byte order marks at the beginning of its lines.
fn without_marks(part: &str) -> String {
    part.split_inclusive('\n').map(|line| line.trim_start_matches('\u{feff}')).collect()
}

/// JSON texts one after the other, as `jq -c` and log collectors write them; with where each begins.
fn json_texts(part: &str) -> Option<Vec<(usize, &str)>> {
    if !part.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(part).into_iter::<de::IgnoredAny>();
    let mut texts = Vec::new();
    let mut start = 0;
    while let Some(value) = values.next() {
        value.ok()?;
        let end = values.byte_offset();
        let text = part.get(start..end)?;
        let blanks = text.len() - text.trim_start().len();
        texts.push((start + blanks, text.trim_start()));
        start = end;
    }
    (texts.len() > 1).then_some(texts)
}

fn document(part: &str, lines_before: u64, duplicates: DuplicateKeyPolicy) -> Result<Document, Unreadable> {
    let place = |location: Location| Position { line: location.line() + lines_before, column: location.column() };
    let first = Position { line: lines_before + 1, column: 1 };
    match serde_saphyr::from_str_with_options::<Option<Node>>(part, options(duplicates)) {
        Ok(node) => {
            let mut places = BTreeMap::new();
            let mut pointer = String::new();
            let start = node.as_ref().map_or(first, |node| place(node.0.referenced));
            let value = node.map_or(Value::Null, |node| unmark(node, &mut pointer, &mut places, &place));
            Ok(Document { value, places, start })
        }
        Err(error) => {
            let at = error.location().map_or(first, place);
            let unreadable = |message: String| Unreadable { place: at, message, is_duplicate: false };
            let said = error.without_snippet().to_string();
            let said = said.lines().next().unwrap_or_default();
            // It counts from the beginning of the document.
            let said = ["error: ", "line "].iter().fold(said, |said, head| said.strip_prefix(head).unwrap_or(said));
            let said = said.split_once(" at line ").map_or(said, |(said, _)| said);
            if said.contains("duplicate mapping key") {
                let message = "a duplicate key: an object has each key once, and only the last one counts; keep one";
                return Err(Unreadable { is_duplicate: true, ..unreadable(message.to_owned()) });
            }
            // Where its own reader understands what YAML's does not, only the places are missing.
            if let Ok(value) = serde_json::from_str(part) {
                return Ok(Document { value, places: BTreeMap::new(), start: first });
            }
            if part.contains("{{") || part.contains("{%") {
                return Err(unreadable(TEMPLATE.to_owned()));
            }
            let bounds = ["budget", "limit", "exceeded", "depth"];
            if bounds.iter().any(|word| said.contains(word)) {
                let message = "it is too large or too deep, or its aliases repeat too much: split it".to_owned();
                return Err(unreadable(message));
            }
            let said = text::clip(&text::clean(said), 200);
            Err(unreadable(format!("this is neither YAML nor JSON: {said}")))
        }
    }
}

fn options(duplicates: DuplicateKeyPolicy) -> Options {
    let budget = serde_saphyr::budget! {
        max_nodes: MAX_NODES,
        max_events: 2 * MAX_NODES,
        max_depth: MAX_DEPTH,
        max_recorded_anchor_events: MAX_REPEATED,
    };
    serde_saphyr::options! {
        budget: budget,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPEATED },
        duplicate_keys: duplicates,
        legacy_octal_numbers: true,
    }
}

/// A value with its place; all the way down.
struct Node(Spanned<Inner>);

enum Inner {
    Plain(Value),
    List(Vec<Node>),
    Fields(Vec<(String, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Node)
    }
}

impl<'de> Deserialize<'de> for Inner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Inner;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Inner, E> {
        Ok(Inner::Plain(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Inner, E> {
        Ok(Inner::Plain(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Inner, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Inner, E> {
        Ok(Inner::Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Inner, E> {
        Ok(Inner::Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Inner, E> {
        Ok(Inner::Plain(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Inner, E> {
        Ok(Inner::Plain(value.to_string().into()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Inner, E> {
        Ok(Inner::Plain(value.to_string().into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Inner, E> {
        Ok(Inner::Plain(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Inner, E> {
        Ok(Inner::Plain(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Inner, E> {
        Ok(Inner::Plain(value.into()))
    }

    fn visit_bytes<E: de::Error>(self, value: &[u8]) -> Result<Inner, E> {
        Ok(Inner::Plain(String::from_utf8_lossy(value).into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Inner, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Inner::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Inner, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = entries.next_entry::<String, Node>()? {
            fields.push(entry);
        }
        Ok(Inner::Fields(fields))
    }
}

/// The value alone; its places go into the table.
fn unmark(
    node: Node,
    pointer: &mut String,
    places: &mut BTreeMap<String, Position>,
    place: &impl Fn(Location) -> Position,
) -> Value {
    if node.0.referenced.line() > 0 {
        places.insert(pointer.clone(), place(node.0.referenced));
    }
    let length = pointer.len();
    match node.0.value {
        Inner::Plain(value) => value,
        Inner::List(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                list.push(unmark(item, pointer, places, place));
                pointer.truncate(length);
            }
            Value::Array(list)
        }
        Inner::Fields(fields) => {
            let mut object = Map::new();
            for (key, value) in fields {
                pointer.push('/');
                pointer.push_str(&escape(&key));
                let value = unmark(value, pointer, places, place);
                pointer.truncate(length);
                object.insert(key, value);
            }
            Value::Object(object)
        }
    }
}
