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
pub struct Place {
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
    places: BTreeMap<String, Place>,
    start: Place,
}

/// A document that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Where.
    pub place: Place,
    /// Why, and what to do; one line.
    pub message: String,
}

/// The words in which Helm's templates differ from other texts with braces, Argo's parameters for one.
const HELM: [&str; 9] =
    ["{{-", "{{ .", "{{.", "{{ include", "{{ template", "{{ if", "{{ range", "{{ with", "{{ toYaml"];
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
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let documents =
        || split(text).into_iter().map(|(line, part)| document(part, line)).filter(|d| !is_empty(d)).collect();
    // Reading goes as deep as the text does, by MAX_DEPTH at most, and takes some tens of KiB for each level.
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, documents);
        reader.ok().and_then(|reader| reader.join().ok())
    })
    .unwrap_or_else(|| {
        let message = "there is no memory left to read it".to_owned();
        vec![Err(Unreadable { place: Place { line: 1, column: 1 }, message })]
    })
}

impl Document {
    /// Where the value of a JSON pointer stands, or the nearest thing around it that is there.
    pub fn place(&self, pointer: &str) -> Place {
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

/// The documents of a text with the number of lines before each. A line that begins with `---` is a mark wherever it
/// stands, in a quoted text or a literal block too, so that one broken document takes no other with it.
fn split(text: &str) -> Vec<(u64, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let is_mark =
            line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        // What stands before the first mark may be comments and directives, which belong to the document behind it.
        let head = text.get(start..at).unwrap_or_default();
        if is_mark && head.lines().any(|line| !matches!(line.trim_start().chars().next(), None | Some('#' | '%'))) {
            parts.push((start_line, head));
            (start, start_line) = (at, number as u64);
        }
        at += line.len();
    }
    parts.push((start_line, text.get(start..).unwrap_or_default()));
    parts
}

fn document(part: &str, lines_before: u64) -> Result<Document, Unreadable> {
    let place = |location: Location| Place { line: location.line() + lines_before, column: location.column() };
    let looks_like_helm = || HELM.iter().any(|word| part.contains(word));
    let helm = |place| Unreadable {
        place,
        message: "this is a template: render it first (helm template … | podfit review -)".to_owned(),
    };
    let first = Place { line: lines_before + 1, column: 1 };
    match serde_saphyr::from_str_with_options::<Option<Node>>(part, options()) {
        Ok(_) if looks_like_helm() => {
            let line = part.lines().position(|line| HELM.iter().any(|word| line.contains(word))).unwrap_or_default();
            Err(helm(Place { line: first.line + line as u64, column: 1 }))
        }
        Ok(node) => {
            let mut places = BTreeMap::new();
            let mut pointer = String::new();
            let start = node.as_ref().map_or(first, |node| place(node.0.referenced));
            let value = node.map_or(Value::Null, |node| unmark(node, &mut pointer, &mut places, &place));
            Ok(Document { value, places, start })
        }
        Err(error) => {
            let at = error.location().map_or(first, place);
            if looks_like_helm() {
                return Err(helm(at));
            }
            // Where its own reader understands what YAML's does not, only the places are missing.
            if let Ok(value) = serde_json::from_str(part) {
                return Ok(Document { value, places: BTreeMap::new(), start: first });
            }
            let said = error.without_snippet().to_string();
            let said = said.lines().next().unwrap_or_default();
            // It counts from the beginning of the document.
            let said = ["error: ", "line "].iter().fold(said, |said, head| said.strip_prefix(head).unwrap_or(said));
            let said = said.split_once(" at line ").map_or(said, |(said, _)| said);
            let bounds = ["budget", "limit", "exceeded", "depth"];
            if bounds.iter().any(|word| said.contains(word)) {
                let message = "it is too large or too deep, or its aliases repeat too much: split it".to_owned();
                return Err(Unreadable { place: at, message });
            }
            let said = text::clip(&text::clean(said), 200);
            Err(Unreadable { place: at, message: format!("this is neither YAML nor JSON: {said}") })
        }
    }
}

fn options() -> Options {
    let budget = serde_saphyr::budget! {
        max_nodes: MAX_NODES,
        max_events: 2 * MAX_NODES,
        max_depth: MAX_DEPTH,
        max_recorded_anchor_events: MAX_REPEATED,
    };
    serde_saphyr::options! {
        budget: budget,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPEATED },
        duplicate_keys: DuplicateKeyPolicy::Error,
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
    places: &mut BTreeMap<String, Place>,
    place: &impl Fn(Location) -> Place,
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
