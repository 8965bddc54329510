//! Building blocks of structural schemas. Must not know the kinds.

use serde_json::{Map, Value, json};

/// An object with these properties.
pub fn object(description: &str, properties: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = properties.iter().map(|(name, of)| ((*name).to_owned(), of.clone())).collect();
    json!({"type": "object", "description": description, "properties": properties})
}

/// The same with required properties.
pub fn required(mut object: Value, names: &[&str]) -> Value {
    object["required"] = json!(names);
    object
}

/// The same with a CEL rule.
pub fn rule(mut schema: Value, rule: &str, message: &str) -> Value {
    let said = json!({"rule": rule, "message": message});
    match schema["x-kubernetes-validations"].as_array_mut() {
        Some(rules) => rules.push(said),
        None => schema["x-kubernetes-validations"] = json!([said]),
    }
    schema
}

/// A text.
pub fn text(description: &str, max: u64) -> Value {
    json!({"type": "string", "description": description, "maxLength": max})
}

/// One of some texts.
pub fn one_of(description: &str, values: &[&str]) -> Value {
    json!({"type": "string", "description": description, "enum": values})
}

/// A whole number within bounds.
pub fn whole(description: &str, least: u64, most: u64) -> Value {
    json!({"type": "integer", "format": "int64", "description": description, "minimum": least, "maximum": most})
}

/// A count. Without an upper bound: the largest number of its format is refused as one.
pub fn count(description: &str) -> Value {
    json!({"type": "integer", "format": "int64", "description": description, "minimum": 0})
}

/// A list of at most so many.
pub fn list(description: &str, items: &Value, max: u64) -> Value {
    json!({"type": "array", "description": description, "items": items, "maxItems": max})
}

/// A Kubernetes quantity: a number or a text.
pub fn quantity(description: &str) -> Value {
    json!({
        "description": description,
        "x-kubernetes-int-or-string": true,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": r"^\+?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$",
        "maxLength": 40,
    })
}

/// Names of namespaces, or beginnings of them with a `*`.
pub fn namespaces(description: &str) -> Value {
    let name = json!({"type": "string", "maxLength": 64, "pattern": "^[a-z0-9-]{0,63}\\*?$", "minLength": 1});
    let mut names = list(description, &name, 1000);
    names["minItems"] = json!(1);
    names
}

/// Conditions as Kubernetes has them.
pub fn conditions() -> Value {
    let condition = required(
        object(
            "One condition.",
            &[
                ("type", text("Which condition.", 316)),
                ("status", one_of("Whether it holds.", &["True", "False", "Unknown"])),
                ("reason", text("Why, in one word.", 1024)),
                ("message", text("Why, in a sentence.", 32768)),
                ("lastTransitionTime", time("When the status last changed.")),
                ("observedGeneration", count("The generation of the object that it is about.")),
            ],
        ),
        &["type", "status", "reason", "message", "lastTransitionTime"],
    );
    let mut conditions = list("What holds of it now.", &condition, 20);
    conditions["x-kubernetes-list-type"] = json!("map");
    conditions["x-kubernetes-list-map-keys"] = json!(["type"]);
    conditions
}

/// A moment.
pub fn time(description: &str) -> Value {
    json!({"type": "string", "format": "date-time", "description": description})
}
