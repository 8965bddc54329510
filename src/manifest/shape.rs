//! A pod put together from several places of an object, and the way back from a place in the pod to one in the object.
//! Must not know kinds.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// One pod that an object leads to.
#[derive(Clone, Debug)]
pub struct PodOf {
    /// The object.
    pub object: ObjectName,
    /// Which of the object's pods: `driver`, `template extract`; empty where there is one.
    pub role: String,
    /// The pod: `metadata.annotations` of a Pod, and `spec`.
    pub pod: Value,
    /// What of the object was not looked at, and why it matters.
    pub notes: Vec<&'static str>,
    /// The rules that this much of a pod can be judged by; `None` where it is a whole one.
    pub rules: Option<&'static [&'static str]>,
    origins: BTreeMap<String, String>,
}

/// What an object is called; texts as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectName {
    /// Its kind.
    pub kind: String,
    /// Its namespace, if it says one.
    pub namespace: Option<String>,
    /// Its name, or the beginning that the API server completes.
    pub name: String,
}

impl ObjectName {
    fn of(object: &Value) -> Self {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).filter(|t| !t.is_empty());
        Self {
            kind: text("/kind").unwrap_or_default().to_owned(),
            namespace: text("/metadata/namespace").map(str::to_owned),
            name: text("/metadata/name").or_else(|| text("/metadata/generateName")).unwrap_or_default().to_owned(),
        }
    }
}

impl PodOf {
    /// The same, judged by these rules only: an operator completes it.
    #[must_use]
    pub fn judged_by(mut self, rules: &'static [&'static str]) -> Self {
        self.rules = Some(rules);
        self
    }

    /// Whether this rule can be judged.
    pub fn is_judged_by(&self, rule: &str) -> bool {
        self.rules.is_none_or(|rules| rules.contains(&rule))
    }

    /// The same, read from a text that stands at a place of an object.
    #[must_use]
    pub(super) fn inside(mut self, object: &Value, place: &str) -> Self {
        let inner = std::mem::replace(&mut self.object, ObjectName::of(object));
        self.role = [inner.kind.as_str(), inner.name.as_str(), self.role.as_str()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        if self.object.namespace.is_none() {
            self.object.namespace = inner.namespace;
        }
        self.origins = [(String::new(), place.to_owned())].into();
        self
    }

    /// Puts a value in the pod in place of one that is not known yet.
    pub fn assume(&mut self, at: &str, value: Value) {
        if let Some(place) = self.pod.pointer_mut(at) {
            *place = value;
        }
    }

    /// Where in the object the value stands that a place of the pod was made from.
    pub fn origin(&self, pointer: &str) -> String {
        let mut prefix = pointer;
        loop {
            if let Some(origin) = self.origins.get(prefix) {
                return format!("{origin}{}", pointer.get(prefix.len()..).unwrap_or_default());
            }
            match prefix.rsplit_once('/') {
                Some((shorter, _)) => prefix = shorter,
                None => return pointer.to_owned(),
            }
        }
    }
}

/// A pod in the making.
#[derive(Clone, Debug)]
pub struct Shape {
    pod: Value,
    origins: BTreeMap<String, String>,
    notes: Vec<&'static str>,
}

impl Shape {
    /// An empty pod spec that stands for the object's part at `origin`.
    pub fn new(origin: &str) -> Self {
        let origins = [(String::new(), origin), ("/spec".to_owned(), origin)].map(|(at, from)| (at, from.to_owned()));
        Self { pod: json!({"spec": {}}), origins: origins.into(), notes: Vec::new() }
    }

    /// What is in place at a pointer.
    pub fn get(&self, at: &str) -> Option<&Value> {
        self.pod.pointer(at)
    }

    /// How many items a list has.
    pub fn len(&self, at: &str) -> usize {
        self.get(at).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// Puts a value in place of what is there; objects on the way are made. Nothing happens for an absent or null
    /// value.
    pub fn put(&mut self, at: &str, value: Option<&Value>, from: &str) {
        let Some(value) = value.filter(|value| !value.is_null()) else { return };
        if let Some(place) = reach(&mut self.pod, at) {
            *place = value.clone();
            let below = format!("{at}/");
            self.origins.retain(|known, _| known != at && !known.starts_with(&below));
            self.origins.insert(at.to_owned(), from.to_owned());
        }
    }

    /// Adds the items of a list to what is there.
    pub fn append(&mut self, at: &str, items: Option<&Value>, from: &str) {
        let Some(items) = items.filter(|items| !items.is_null()) else { return };
        let Some(list) = items.as_array() else {
            // Kept as it is, so that it is found to be no list.
            return self.put(at, Some(items), from);
        };
        for (index, item) in list.iter().enumerate() {
            self.push(at, item.clone(), &format!("{from}/{index}"));
        }
    }

    /// Adds one item to a list; gives back the pointer to it.
    pub fn push(&mut self, at: &str, item: Value, from: &str) -> String {
        let index = self.len(at);
        if let Some(place) = reach(&mut self.pod, at) {
            if !place.is_array() {
                *place = json!([]);
            }
            if let Some(list) = place.as_array_mut() {
                list.push(item);
            }
        }
        let pointer = format!("{at}/{index}");
        self.origins.insert(pointer.clone(), from.to_owned());
        pointer
    }

    /// Lays a value over what is there: objects key by key, lists item by item by position.
    pub fn merge(&mut self, at: &str, over: Option<&Value>, from: &str) {
        self.merge_lists(at, over, from, false);
    }

    /// The same; `by_name` has lists merged by the names of their items, where all have one.
    pub fn merge_lists(&mut self, at: &str, over: Option<&Value>, from: &str, by_name: bool) {
        match (self.get(at), over) {
            (Some(Value::Object(_)), Some(Value::Object(fields))) => {
                for (key, value) in fields {
                    let key = escape(key);
                    self.merge_lists(&format!("{at}/{key}"), Some(value), &format!("{from}/{key}"), by_name);
                }
            }
            (Some(Value::Array(there)), Some(Value::Array(items))) => {
                let names = |list: &[Value]| -> Option<Vec<String>> {
                    list.iter().map(|item| Some(item.get("name")?.as_str()?.to_owned())).collect()
                };
                let length = there.len();
                let named = if by_name { names(there).zip(names(items)) } else { None };
                let places: Option<std::collections::HashMap<&str, usize>> = named
                    .as_ref()
                    .map(|(there, _)| there.iter().enumerate().rev().map(|(i, name)| (name.as_str(), i)).collect());
                for (index, item) in items.iter().enumerate() {
                    let from = format!("{from}/{index}");
                    let place = match (&places, &named) {
                        (Some(places), Some((_, over))) => {
                            over.get(index).and_then(|name| places.get(name.as_str())).copied()
                        }
                        _ => (index < length).then_some(index),
                    };
                    match place {
                        Some(place) => self.merge_lists(&format!("{at}/{place}"), Some(item), &from, by_name),
                        None => {
                            self.push(at, item.clone(), &from);
                        }
                    }
                }
            }
            _ => self.put(at, over, from),
        }
    }

    /// The pointer to the container of a name, else to the first one if `or_first`, else to a new one.
    pub fn container(&mut self, name: &str, or_first: bool, from: &str) -> String {
        const LIST: &str = "/spec/containers";
        let list = self.get(LIST).and_then(Value::as_array);
        let named = list.and_then(|l| l.iter().position(|c| c.get("name").and_then(Value::as_str) == Some(name)));
        match named {
            Some(index) => format!("{LIST}/{index}"),
            None if or_first && self.len(LIST) > 0 => format!("{LIST}/0"),
            None => self.push(LIST, json!({"name": name}), from),
        }
    }

    /// Says what was not looked at.
    pub fn note(&mut self, note: &'static str) {
        self.notes.push(note);
    }

    /// The finished pod.
    pub fn done(self, object: &Value, role: &str) -> PodOf {
        PodOf {
            object: ObjectName::of(object),
            role: role.to_owned(),
            pod: self.pod,
            notes: self.notes,
            rules: None,
            origins: self.origins,
        }
    }
}

/// A key as part of a JSON pointer.
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The place of a pointer, made where it is missing; none behind the end of a list or inside a plain value.
fn reach<'a>(root: &'a mut Value, pointer: &str) -> Option<&'a mut Value> {
    let mut place = root;
    for key in pointer.split('/').skip(1) {
        let key = key.replace("~1", "/").replace("~0", "~");
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        place = match place {
            Value::Object(fields) => fields.entry(key).or_insert(Value::Null),
            Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(place)
}
