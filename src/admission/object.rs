//! Reads the object of a review as JSON, all of it but `metadata.managedFields`: often most of the bytes, and nothing
//! that a decision or a patch looks at.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::review::place_of;

/// An object that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the object cannot be read: {0}")]
pub struct UnreadableObject(String);

/// The object as it came, unknown fields and all.
///
/// # Errors
/// It is no JSON object, or nested deeper than 128 levels.
pub fn read_object(raw: &RawValue) -> Result<Value, UnreadableObject> {
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    let object = Without { key: "metadata", inner: Some("managedFields") }.deserialize(&mut deserializer);
    object.map_err(|error| UnreadableObject(place_of(&error)))
}

/// Reads an object without a key; with `inner`, the key stays and its own key `inner` goes.
#[derive(Clone, Copy)]
struct Without {
    key: &'static str,
    inner: Option<&'static str>,
}

impl<'de> DeserializeSeed<'de> for Without {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        // What is no object is read as whatever it is, and found odd by who looks at it.
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Without {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        match self.inner {
            Some(_) => Err(E::custom("null")),
            None => Ok(Value::Null),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let value = match self.inner {
                Some(inner) if key == self.key => members.next_value_seed(Without { key: inner, inner: None })?,
                None if key == self.key => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => members.next_value()?,
            };
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_managed_fields_are_left_out() {
        let text = r#"{"kind":"Pod","metadata":{"name":"a","managedFields":[{"managedFields":1}],"labels":null},
            "spec":{"managedFields":[1e2],"new":{"metadata":{"managedFields":2}}},"list":[]}"#;
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        assert_eq!(
            read_object(raw).unwrap(),
            json!({"kind": "Pod", "metadata": {"name": "a", "labels": null},
                "spec": {"managedFields": [1e2], "new": {"metadata": {"managedFields": 2}}}, "list": []})
        );
    }

    #[rstest]
    #[case("{\"metadata\": null}", true)]
    #[case("null", false)]
    #[case("[]", false)]
    #[case("7", false)]
    #[case("{\"metadata\": 7}", false)]
    fn odd_shapes_are_errors(#[case] text: &str, #[case] readable: bool) {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        assert_eq!(read_object(raw).is_ok(), readable);
    }

    #[test]
    fn what_is_too_deep_is_an_error() {
        let text = format!("{{\"spec\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        let raw: Box<RawValue> = RawValue::from_string(text).unwrap();
        assert!(read_object(&raw).is_err());
    }
}
