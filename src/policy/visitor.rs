//! The one way to walk a pod spec: every container of every kind, and image volumes, from raw JSON.
//! Must not skip what it cannot read: an odd shape is an error of the whole spec, never a container unseen.

use serde_json::Value;

/// Which list of the pod spec a container stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// `initContainers`: runs before the others, or beside them when its restartPolicy is `Always`.
    Init,
    /// `containers`.
    Main,
    /// `ephemeralContainers`: added to a running pod for debugging.
    Ephemeral,
}

impl Slot {
    /// All of them, in the order in which they are visited.
    pub const ALL: [Self; 3] = [Self::Init, Self::Main, Self::Ephemeral];

    /// The field of the pod spec.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Init => "initContainers",
            Self::Main => "containers",
            Self::Ephemeral => "ephemeralContainers",
        }
    }
}

/// A pod spec whose lists have the shape they must have.
#[derive(Clone, Copy, Debug)]
pub struct PodSpec<'a> {
    json: &'a Value,
    path: &'a str,
    /// Of the pod itself; a template's says nothing about what admission did.
    annotations: Option<&'a Value>,
}

/// A pod spec that cannot be walked: nothing can be said about it, least of all that it is fine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pod spec cannot be read: {path} should be {expected}")]
pub struct Malformed {
    /// JSON pointer to the odd value.
    pub path: String,
    /// What should be there.
    pub expected: &'static str,
}

/// One container of a pod spec.
#[derive(Clone, Debug)]
pub struct Container<'a> {
    /// Its list.
    pub slot: Slot,
    /// Its name; empty when it has none.
    pub name: &'a str,
    /// The container as it came.
    pub json: &'a Value,
    /// JSON pointer to it inside the object.
    pub path: String,
}

/// One volume of a pod spec.
#[derive(Clone, Debug)]
pub struct Volume<'a> {
    /// Its name; empty when it has none.
    pub name: &'a str,
    /// The volume as it came.
    pub json: &'a Value,
    /// JSON pointer to it inside the object.
    pub path: String,
}

/// A volume made of an OCI image.
#[derive(Clone, Debug)]
pub struct ImageVolume<'a> {
    /// The volume's name.
    pub name: &'a str,
    /// The image reference as it came; `None` when there is none.
    pub reference: Option<&'a Value>,
    /// JSON pointer to the reference.
    pub path: String,
}

impl<'a> PodSpec<'a> {
    /// A pod spec that stands at `path` (a JSON pointer, `/spec` or `/spec/template/spec`) of its object.
    ///
    /// # Errors
    /// A list of containers or volumes is not a list of objects, or a name is not a text.
    pub fn new(json: &'a Value, path: &'a str) -> Result<Self, Malformed> {
        let odd = |at: String, expected| Malformed { path: crate::text::clean(&at), expected };
        if !json.is_object() {
            return Err(odd(path.to_owned(), "an object"));
        }
        for field in Slot::ALL.map(Slot::field).into_iter().chain(["volumes"]) {
            let Some(items) = present(json, field) else { continue };
            let items = items.as_array().ok_or_else(|| odd(format!("{path}/{field}"), "a list"))?;
            for (index, item) in items.iter().enumerate() {
                if !item.is_object() {
                    return Err(odd(format!("{path}/{field}/{index}"), "an object"));
                }
                if present(item, "name").is_some_and(|name| !name.is_string()) {
                    return Err(odd(format!("{path}/{field}/{index}/name"), "a text"));
                }
            }
        }
        Ok(Self { json, path, annotations: None })
    }

    /// The pod spec of a Pod.
    ///
    /// # Errors
    /// There is none, or it is [`Malformed`].
    pub fn of_pod(pod: &'a Value) -> Result<Self, Malformed> {
        let spec = Self::new(pod.get("spec").unwrap_or(&Value::Null), "/spec")?;
        Ok(Self { annotations: pod.pointer("/metadata/annotations"), ..spec })
    }

    /// The spec as it came.
    pub const fn json(&self) -> &'a Value {
        self.json
    }

    /// JSON pointer to the spec inside its object.
    pub const fn path(&self) -> &'a str {
        self.path
    }

    /// Every container: init containers in their order, then containers, then ephemeral ones.
    pub fn containers(&self) -> impl Iterator<Item = Container<'a>> + use<'a> {
        let Self { json, path, .. } = *self;
        Slot::ALL.into_iter().flat_map(move |slot| {
            items(json, slot.field()).enumerate().map(move |(index, json)| Container {
                slot,
                name: text_of(json, "name"),
                json,
                path: format!("{path}/{}/{index}", slot.field()),
            })
        })
    }

    /// Every volume.
    pub fn volumes(&self) -> impl Iterator<Item = Volume<'a>> + use<'a> {
        let Self { json, path, .. } = *self;
        items(json, "volumes").enumerate().map(move |(index, json)| Volume {
            name: text_of(json, "name"),
            json,
            path: format!("{path}/volumes/{index}"),
        })
    }

    /// Every volume that is an OCI image.
    pub fn image_volumes(&self) -> impl Iterator<Item = ImageVolume<'a>> + use<'a> {
        self.volumes().filter_map(|volume| {
            Some(ImageVolume {
                name: volume.name,
                reference: present(present(volume.json, "image")?, "reference"),
                path: format!("{}/image/reference", volume.path),
            })
        })
    }

    /// An annotation of the pod itself; none where the spec is a template's.
    pub fn annotation(&self, key: &str) -> Option<&'a str> {
        self.annotations?.get(key)?.as_str()
    }

    /// Whether `spec.os.name` says Windows. A kubelet turns a pod away that says another system than its node's.
    pub fn is_windows(&self) -> bool {
        self.os() == Some("windows")
    }

    /// Whether `spec.os.name` says Linux. A pod that says nothing may run on either.
    pub fn is_linux(&self) -> bool {
        self.os() == Some("linux")
    }

    fn os(&self) -> Option<&'a str> {
        self.json.pointer("/os/name").and_then(Value::as_str)
    }
}

/// A field that is there and not null: the API treats null as absent.
pub fn present<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    object.get(field).filter(|value| !value.is_null())
}

fn items<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    present(object, field).and_then(Value::as_array).into_iter().flatten()
}

fn text_of<'a>(object: &'a Value, field: &str) -> &'a str {
    present(object, field).and_then(Value::as_str).unwrap_or_default()
}
