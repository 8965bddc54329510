//! Flink's configuration in a custom resource: one reader for keys with dots, nested keys and both in one.
//! Must not know what a key means, nor whose object it is part of.

use serde_json::Value;

/// The settings of one deployment, in the order of their keys.
#[derive(Clone, Debug, Default)]
pub struct Configuration<'a> {
    entries: Vec<Setting<'a>>,
}

/// One setting.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// Its key as Flink has it, with dots.
    pub key: String,
    /// What was written: never an object, never null.
    pub value: &'a Value,
    /// JSON pointer to it inside the configuration.
    pub pointer: String,
    depth: usize,
}

impl Setting<'_> {
    /// The value as Flink reads it; `None` for a list.
    pub fn text(&self) -> Option<String> {
        match self.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            _ => None,
        }
    }
}

impl<'a> Configuration<'a> {
    /// Reads what stands in `flinkConfiguration`; empty where that is no object.
    pub fn new(json: Option<&'a Value>) -> Self {
        let mut entries = Vec::new();
        if let Some(fields) = json.filter(|json| json.is_object()) {
            flatten(fields, String::new(), String::new(), 0, &mut entries);
        }
        // Where a key is written in two ways, the one that is less nested counts.
        entries.sort_by(|a, b| (&a.key, a.depth).cmp(&(&b.key, b.depth)));
        entries.dedup_by(|later, first| later.key == first.key);
        Self { entries }
    }

    /// The setting of a key.
    pub fn get(&self, key: &str) -> Option<&Setting<'a>> {
        let at = self.entries.binary_search_by(|entry| entry.key.as_str().cmp(key)).ok()?;
        self.entries.get(at)
    }

    /// The text of a key's value.
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.text()
    }

    /// Whether a key is set to true.
    pub fn is_on(&self, key: &str) -> bool {
        self.text(key).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
    }

    /// All settings.
    pub fn iter(&self) -> impl Iterator<Item = &Setting<'a>> {
        self.entries.iter()
    }
}

fn flatten<'a>(value: &'a Value, key: String, pointer: String, depth: usize, entries: &mut Vec<Setting<'a>>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let whole = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                let escaped = name.replace('~', "~0").replace('/', "~1");
                flatten(value, whole, format!("{pointer}/{escaped}"), depth + 1, entries);
            }
        }
        Value::Null => {}
        value => entries.push(Setting { key, value, pointer, depth }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_with_dots_nested_ones_and_both_are_one_configuration() {
        let json = json!({
            "taskmanager.numberOfTaskSlots": "2",
            "s3": {"secret-key": "a", "path.style": {"access": true}},
            "kubernetes": {"jobmanager.service-account": "flink", "container": {"image.ref": "r/a:1"}},
            "jobmanager": {"memory": {"process.size": "1g"}},
            "jobmanager.memory.process.size": "2g",
            "empty": null,
        });
        let configuration = Configuration::new(Some(&json));
        let text = |key| configuration.text(key);
        assert_eq!(text("s3.secret-key").as_deref(), Some("a"));
        assert_eq!(text("s3.path.style.access").as_deref(), Some("true"));
        assert_eq!(text("kubernetes.jobmanager.service-account").as_deref(), Some("flink"));
        assert_eq!(text("kubernetes.container.image.ref").as_deref(), Some("r/a:1"));
        assert_eq!(text("jobmanager.memory.process.size").as_deref(), Some("2g"), "the less nested one");
        assert_eq!((text("empty"), text("s3")), (None, None));
        assert!(configuration.is_on("s3.path.style.access"));
        for setting in configuration.iter() {
            assert_eq!(json.pointer(&setting.pointer), Some(setting.value), "{}", setting.key);
        }
        assert_eq!(Configuration::new(Some(&json!("x: y"))).iter().count(), 0);
    }
}
