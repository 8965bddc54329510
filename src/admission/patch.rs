//! JSON Patch (RFC 6902): the few operations that a resized pod needs, and applying them to a copy.
//! Must not replace what it does not own: single keys are added or replaced, parents only where there are none.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::manifest::escape;
use crate::policy::Slot;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Sets a key of an object, or inserts into a list; the parent must be there.
    Add,
    /// Changes a value that is there.
    Replace,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Op {
    /// What it does.
    pub op: Action,
    /// JSON pointer to the target.
    pub path: String,
    /// The new value.
    pub value: Value,
}

/// An operation that does not apply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot set {path}: {why}")]
pub struct PatchError {
    /// JSON pointer of the target.
    pub path: String,
    /// What is in the way.
    pub why: &'static str,
}

fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// Applies operations in order. On an error the document is left half-changed: apply to a copy.
///
/// # Errors
/// The first operation that does not apply.
pub fn apply(document: &mut Value, ops: &[Op]) -> Result<(), PatchError> {
    ops.iter().try_for_each(|op| apply_one(document, op))
}

fn apply_one(document: &mut Value, op: &Op) -> Result<(), PatchError> {
    let wrong = |why| PatchError { path: op.path.clone(), why };
    let Some((parent, last)) = op.path.rsplit_once('/') else {
        return Err(wrong("the whole document is never replaced"));
    };
    let parent = document.pointer_mut(parent).ok_or_else(|| wrong("its parent is missing"))?;
    match (parent, op.op) {
        (Value::Object(members), Action::Add) => {
            members.insert(unescaped(last), op.value.clone());
        }
        (Value::Object(members), Action::Replace) => {
            *members.get_mut(&unescaped(last)).ok_or_else(|| wrong("it is missing"))? = op.value.clone();
        }
        (Value::Array(items), Action::Add) => {
            let at = if last == "-" { Some(items.len()) } else { index(last) };
            let at = at.filter(|at| *at <= items.len()).ok_or_else(|| wrong("no such place in the list"))?;
            items.insert(at, op.value.clone());
        }
        (Value::Array(items), Action::Replace) => {
            let item = index(last).and_then(|at| items.get_mut(at));
            *item.ok_or_else(|| wrong("no such place in the list"))? = op.value.clone();
        }
        _ => return Err(wrong("its parent is neither an object nor a list")),
    }
    Ok(())
}

/// A list index as RFC 6901 writes it: digits without leading zeros.
fn index(token: &str) -> Option<usize> {
    let plain = token.bytes().all(|b| b.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    plain.then(|| token.parse().ok()).flatten()
}

/// Collects operations and applies each to a copy at once, so that what is answered has been tried.
#[derive(Debug)]
pub struct Editor {
    document: Value,
    ops: Vec<Op>,
}

impl Editor {
    /// Starts from the object as it came.
    pub fn new(original: &Value) -> Self {
        Self { document: original.clone(), ops: Vec::new() }
    }

    /// Starts from what may be changed of a pod: its metadata, and the resources of its containers. The rest, most of
    /// it environment variables and volumes, is not copied; whether an operation applies does not depend on it.
    pub fn of_pod(pod: &Value) -> Self {
        let mut spec = Map::new();
        for slot in Slot::ALL {
            let Some(containers) = pod.pointer(&format!("/spec/{}", slot.field())).and_then(Value::as_array) else {
                continue;
            };
            let changeable = |container: &Value| match container {
                Value::Object(members) => {
                    let resources = members.get_key_value("resources").map(|(key, value)| (key.clone(), value.clone()));
                    Value::Object(resources.into_iter().collect())
                }
                other => other.clone(),
            };
            spec.insert(slot.field().to_owned(), containers.iter().map(changeable).collect());
        }
        let mut document = Map::from_iter([("spec".to_owned(), Value::Object(spec))]);
        if let Some(metadata) = pod.get("metadata") {
            document.insert("metadata".to_owned(), metadata.clone());
        }
        Self { document: Value::Object(document), ops: Vec::new() }
    }

    /// Sets one key under an object that is at the pointer `base`; objects on the way are made where there are none.
    /// Nothing happens where the value is there already.
    ///
    /// # Errors
    /// `base` is missing, or something that is no object is in the way.
    pub fn set(&mut self, base: &str, keys: &[&str], value: Value) -> Result<(), PatchError> {
        let mut path = base.to_owned();
        let Some(mut place) = self.document.pointer(base) else {
            return Err(PatchError { path, why: "its parent is missing" });
        };
        for (depth, key) in keys.iter().enumerate() {
            let Value::Object(members) = place else {
                return Err(PatchError { path, why: "it is no object" });
            };
            path = format!("{path}/{}", escape(key));
            let last = depth + 1 == keys.len();
            match members.get(*key) {
                Some(there) if last => {
                    return if *there == value { Ok(()) } else { self.push(Action::Replace, path, value) };
                }
                // The API treats null as absent; adding a key that is there replaces it.
                None | Some(Value::Null) => {
                    return self.push(Action::Add, path, nested(keys.get(depth + 1..).unwrap_or_default(), value));
                }
                Some(there) => place = there,
            }
        }
        Ok(())
    }

    fn push(&mut self, op: Action, path: String, value: Value) -> Result<(), PatchError> {
        let op = Op { op, path, value };
        apply_one(&mut self.document, &op)?;
        self.ops.push(op);
        Ok(())
    }

    /// The object with all operations applied.
    pub const fn document(&self) -> &Value {
        &self.document
    }

    /// The operations, in order.
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }
}

/// The value inside one object per key.
fn nested(keys: &[&str], value: Value) -> Value {
    keys.iter().rev().fold(value, |inner, key| Value::Object(Map::from_iter([((*key).to_owned(), inner)])))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::missing_parents(json!({}), json!([{"op": "add", "path": "/resources", "value": {"requests": {"cpu": "1"}}}]))]
    #[case::null_parent(json!({"resources": null}), json!([{"op": "add", "path": "/resources", "value": {"requests": {"cpu": "1"}}}]))]
    #[case::empty(json!({"resources": {}}), json!([{"op": "add", "path": "/resources/requests", "value": {"cpu": "1"}}]))]
    #[case::beside(json!({"resources": {"requests": {"gpu": "1"}}}), json!([{"op": "add", "path": "/resources/requests/cpu", "value": "1"}]))]
    #[case::over(json!({"resources": {"requests": {"cpu": "2"}}}), json!([{"op": "replace", "path": "/resources/requests/cpu", "value": "1"}]))]
    #[case::same(json!({"resources": {"requests": {"cpu": "1"}}}), json!([]))]
    fn sets_one_key(#[case] before: Value, #[case] expected: Value) {
        let mut editor = Editor::new(&before);
        editor.set("", &["resources", "requests", "cpu"], json!("1")).unwrap();
        assert_eq!(editor.document()["resources"]["requests"]["cpu"], "1");
        let mut applied = before.clone();
        let document = editor.document().clone();
        let ops = editor.into_ops();
        assert_eq!(serde_json::to_value(&ops).unwrap(), expected);
        apply(&mut applied, &ops).unwrap();
        assert_eq!(applied, document);
    }

    #[test]
    fn keys_with_slashes_and_tildes_are_escaped() {
        let mut editor = Editor::new(&json!({"metadata": {"annotations": {"a": "b"}}}));
        editor.set("/metadata", &["annotations", "podfit.dev/x~1"], json!("v")).unwrap();
        assert_eq!(editor.document()["metadata"]["annotations"]["podfit.dev/x~1"], "v");
        assert_eq!(editor.into_ops()[0].path, "/metadata/annotations/podfit.dev~1x~01");
    }

    #[rstest]
    #[case::no_base(json!({}), "/spec", "its parent is missing")]
    #[case::text(json!({"spec": "x"}), "/spec", "it is no object")]
    #[case::on_the_way(json!({"spec": {"a": []}}), "/spec", "it is no object")]
    fn what_is_in_the_way_is_an_error(#[case] before: Value, #[case] base: &str, #[case] why: &str) {
        let mut editor = Editor::new(&before);
        assert_eq!(editor.set(base, &["a", "b"], json!(1)).unwrap_err().why, why);
        assert_eq!(editor.document(), &before);
    }

    #[rstest]
    #[case(json!({"op": "add", "path": "/a/b", "value": 1}), json!({}), None)]
    #[case(json!({"op": "replace", "path": "/a", "value": 1}), json!({}), None)]
    #[case(json!({"op": "replace", "path": "", "value": 1}), json!({}), None)]
    #[case(json!({"op": "add", "path": "/a", "value": 1}), json!({"a": 2}), Some(json!({"a": 1})))]
    #[case(json!({"op": "add", "path": "/a/1", "value": 9}), json!({"a": [1, 2]}), Some(json!({"a": [1, 9, 2]})))]
    #[case(json!({"op": "add", "path": "/a/-", "value": 9}), json!({"a": [1]}), Some(json!({"a": [1, 9]})))]
    #[case(json!({"op": "add", "path": "/a/3", "value": 9}), json!({"a": [1]}), None)]
    #[case(json!({"op": "add", "path": "/a/01", "value": 9}), json!({"a": [1]}), None)]
    #[case(json!({"op": "replace", "path": "/a/0", "value": 9}), json!({"a": [1]}), Some(json!({"a": [9]})))]
    #[case(json!({"op": "replace", "path": "/a/-", "value": 9}), json!({"a": [1]}), None)]
    #[case(json!({"op": "add", "path": "/a/b", "value": 9}), json!({"a": 1}), None)]
    fn applies_as_the_rfc_says(#[case] op: Value, #[case] document: Value, #[case] expected: Option<Value>) {
        let ops: Vec<Op> = serde_json::from_value(json!([op])).unwrap();
        let mut changed = document;
        assert_eq!(apply(&mut changed, &ops).ok().map(|()| changed), expected);
    }
}
