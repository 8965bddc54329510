//! Pods in objects of any kind, found by their shape: a `containers` list of named things with images, a single
//! container, an object inside another. Must not know kinds: `kinds` does.

use serde_json::{Map, Value, json};

use super::kinds::Row;
use super::shape::{Shape, escape};
use super::{Found, Unjudged, look};

/// What can be judged of an image alone.
const OF_IMAGES: &[&str] = &["latest-tag"];
/// What can be judged of a container that an operator completes.
const OF_CONTAINERS: &[&str] = &["latest-tag", "run-as-root", "hardcoded-credential", "host-path-data"];
/// Keys under which containers stand beside `containers` itself.
const KEYS: [&str; 9] = [
    "container",
    "script",
    "containers",
    "initContainers",
    "ephemeralContainers",
    "sidecars",
    "steps",
    "extraContainers",
    "additionalContainers",
];
/// Fields that only containers have beside an image.
const FIELDS: [&str; 6] = ["command", "args", "env", "envFrom", "volumeMounts", "imagePullPolicy"];

/// Keys that tell nothing of the container that an image is for.
const NO_NAMES: [&str; 7] = ["spec", "template", "name", "custom", "image", "imageName", "container"];

/// Looks for pods in an object. Of a `row`'s kind everything that is found is judged; of other kinds only what is a pod
/// spec beyond doubt, and of the rest it is said that nobody looked.
pub(super) fn find(object: &Value, base: &str, row: Option<&Row>, found: &mut Found, texts: u8) {
    let mut search = Search { object, base, row, found, texts, is_unjudged: false, is_by_shape: false, image: None };
    for path in row.map(|row| row.images).unwrap_or_default() {
        search.images(object, "", &path.split('/').skip(1).collect::<Vec<_>>());
    }
    for (key, value) in object.as_object().into_iter().flatten().filter(|(key, _)| *key != "status") {
        search.walk(value, &format!("/{}", escape(key)), key);
    }
    let kind = kind(object);
    if search.is_by_shape {
        let message = format!("kind {kind} is not known: what looks like a pod in it was judged as one");
        search.found.notes.push(Unjudged { path: base.to_owned(), message });
    } else if let Some(at) = search.image.filter(|_| !search.is_unjudged) {
        let message = format!(
            "not looked at: kind {kind} names an image at {at}, and is not known: judge the pods that it makes"
        );
        search.found.notes.push(Unjudged { path: format!("{base}{at}"), message });
    }
}

struct Search<'a> {
    object: &'a Value,
    base: &'a str,
    row: Option<&'a Row>,
    found: &'a mut Found,
    texts: u8,
    is_unjudged: bool,
    is_by_shape: bool,
    /// Where the first image stands that is part of nothing like a container.
    image: Option<String>,
}

impl Search<'_> {
    fn walk(&mut self, value: &Value, at: &str, key: &str) {
        match value {
            Value::Object(fields) => {
                let has = |key: &str| fields.get(key).is_some_and(Value::is_string);
                let holds = |key: &str| fields.get(key).is_some_and(|held| held.is_object() || held.is_array());
                if has("kind") && has("apiVersion") && ["spec", "template", "objects", "items"].into_iter().any(holds) {
                    return look(value, &format!("{}{at}", self.base), self.found, self.texts);
                }
                if is_pod_spec(fields) {
                    return self.pod_spec(value, at);
                }
                if is_container(fields, key) {
                    return self.container(value, at);
                }
                if self.row.is_none() && !self.is_no_object() && names_image(fields) {
                    self.image.get_or_insert_with(|| format!("{at}/image"));
                }
                for (key, value) in fields {
                    self.walk(value, &format!("{at}/{}", escape(key)), key);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.walk(item, &format!("{at}/{index}"), key);
                }
            }
            _ => {}
        }
    }

    fn pod_spec(&mut self, spec: &Value, at: &str) {
        let from = format!("{}{at}", self.base);
        let mut shape = Shape::new(&from);
        shape.put("/spec", Some(spec), &from);
        let pod = shape.done(self.object, &role(self.object, at));
        let any_image = spec["containers"].as_array().into_iter().flatten().any(|c| c.get("image").is_some());
        let is_whole = any_image && self.row.is_none_or(|row| row.whole);
        if self.is_no_object() {
            return self.unjudged(at);
        }
        self.is_by_shape |= self.row.is_none();
        self.found.pods.push(if is_whole { pod } else { pod.judged_by(OF_CONTAINERS) });
    }

    /// A container without a pod around it.
    fn container(&mut self, container: &Value, at: &str) {
        if self.row.is_none() {
            return self.unjudged(at);
        }
        self.part(container.clone(), at, at, OF_CONTAINERS);
    }

    /// Whether this is none of Kubernetes' objects: a chart's values, another tool's file.
    fn is_no_object(&self) -> bool {
        kind(self.object).is_empty() && self.object.get("apiVersion").is_none()
    }

    /// Says once of an object that nobody looked at its containers.
    fn unjudged(&mut self, at: &str) {
        if std::mem::replace(&mut self.is_unjudged, true) {
            return;
        }
        let path = format!("{}{at}", self.base);
        if self.is_no_object() {
            let message =
                "not looked at: this holds containers and is no object of Kubernetes (it has no kind)".to_owned();
            return self.found.notes.push(Unjudged { path, message });
        }
        let message = format!(
            "not looked at: kind {} holds containers at {at}, and this kind is not known: judge the pods that it makes",
            kind(self.object)
        );
        self.found.unjudged.push(Unjudged { path, message });
    }

    /// An image without a container around it.
    fn images(&mut self, value: &Value, at: &str, path: &[&str]) {
        match (path.split_first(), value) {
            (None, Value::String(image)) => self.part(json!({"image": image}), at, "", OF_IMAGES),
            (Some((&"*", rest)), Value::Object(fields)) => {
                for (key, value) in fields {
                    self.images(value, &format!("{at}/{}", escape(key)), rest);
                }
            }
            (Some((&"*", rest)), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.images(item, &format!("{at}/{index}"), rest);
                }
            }
            (Some((key, rest)), value) => {
                if let Some(value) = value.get(key) {
                    self.images(value, &format!("{at}/{}", escape(key)), rest);
                }
            }
            _ => {}
        }
    }

    fn part(&mut self, container: Value, at: &str, container_at: &str, rules: &'static [&'static str]) {
        let mut container = container;
        let name = if let Some(name) = container.get("name").and_then(Value::as_str) {
            name.to_owned()
        } else {
            let mut keys = at.rsplit('/').filter(|key| key.parse::<u32>().is_err() && !key.is_empty());
            keys.find(|key| !NO_NAMES.contains(key)).unwrap_or("main").to_owned()
        };
        if let Some(fields) = container.as_object_mut() {
            fields.insert("name".to_owned(), json!(name));
        }
        let from = format!("{}{at}", self.base);
        let mut shape = Shape::new(&from);
        let pointer = shape.push("/spec/containers", container, &from);
        if container_at.is_empty() {
            let image = shape.get(&format!("{pointer}/image")).cloned();
            shape.put(&format!("{pointer}/image"), image.as_ref(), &from);
        }
        self.found.pods.push(shape.done(self.object, &role(self.object, at)).judged_by(rules));
    }
}

fn kind(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}

/// A pod spec: containers that have a name or an image.
fn is_pod_spec(fields: &Map<String, Value>) -> bool {
    let text = |item: &Value, key: &str| item.get(key).is_some_and(Value::is_string);
    fields.get("containers").and_then(Value::as_array).is_some_and(|containers| {
        !containers.is_empty() && containers.iter().all(|c| c.is_object() && (text(c, "name") || text(c, "image")))
    })
}

fn is_container(fields: &Map<String, Value>, key: &str) -> bool {
    fields.get("image").and_then(Value::as_str).is_some_and(|image| !image.is_empty())
        && (KEYS.contains(&key) || FIELDS.iter().any(|field| fields.contains_key(*field)))
}

/// An image, or its parts: what an operator makes pods of.
fn names_image(fields: &Map<String, Value>) -> bool {
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    fields.get("image").is_some_and(|image| {
        is_text(image) || ["repository", "name", "tag"].iter().any(|key| image.get(key).is_some_and(is_text))
    })
}

/// Which of an object's pods it is, by the keys that lead there; names of items where they have one.
fn role(object: &Value, at: &str) -> String {
    const ON_EVERY_WAY: [&str; 7] =
        ["spec", "template", "jobTemplate", "podTemplate", "image", "containers", "container"];
    let mut place = object;
    let mut words = Vec::new();
    for key in at.split('/').skip(1) {
        let key = key.replace("~1", "/").replace("~0", "~");
        let next = match place {
            Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
            other => other.get(&key),
        };
        let Some(next) = next else { break };
        let name = |field: &str| next.get(field).and_then(Value::as_str).map(str::to_owned);
        if place.is_array() {
            words.push(name("name").or_else(|| name("groupName")).unwrap_or(key));
        } else if !ON_EVERY_WAY.contains(&key.as_str()) {
            words.push(key);
        }
        place = next;
    }
    words.join(" ")
}
