//! Who a container runs as: the container's securityContext over the pod's, field by field, as far as the platform
//! obeys it. A kubelet on Windows obeys `windowsOptions`, one on Linux disregards them, and only `spec.os` says which
//! of both it will be. So a field that excuses counts where `spec.os` makes sure of it, one that accuses wherever it is
//! not ruled out: whoever leaves `spec.os` out may still choose a Windows node by its label.
//! Must not judge; the rules do.

use serde_json::Value;

use super::{Container, PodSpec, visitor};

/// A field's effective value and where it stands.
pub(super) struct Effective<T> {
    pub value: T,
    /// JSON pointer.
    pub path: String,
}

/// The effective identity of one container.
pub(super) struct Identity {
    /// `runAsUser`; not read for Windows, where the API forbids it.
    pub user: Option<Effective<i64>>,
    /// `runAsNonRoot`.
    pub non_root: Option<Effective<bool>>,
    /// `runAsGroup`; not read for Windows.
    pub group: Option<Effective<i64>>,
    /// `windowsOptions.runAsUserName`; not read for Linux, where it is disregarded.
    pub windows_user: Option<Effective<String>>,
    /// `windowsOptions.hostProcess`; not read for Linux.
    pub host_process: Option<Effective<bool>>,
    /// It runs on Windows for certain.
    is_windows: bool,
}

impl Identity {
    pub(super) fn of(pod: &PodSpec<'_>, container: &Container<'_>) -> Self {
        let (linux, windows) = (!pod.is_windows(), !pod.is_linux());
        Self {
            user: linux.then(|| field(pod, container, &["runAsUser"], integer)).flatten(),
            non_root: field(pod, container, &["runAsNonRoot"], boolean),
            group: linux.then(|| field(pod, container, &["runAsGroup"], integer)).flatten(),
            windows_user: windows
                .then(|| field(pod, container, &["windowsOptions", "runAsUserName"], string))
                .flatten(),
            host_process: windows.then(|| field(pod, container, &["windowsOptions", "hostProcess"], boolean)).flatten(),
            is_windows: pod.is_windows(),
        }
    }

    /// Whether it runs as a named Windows user who is no administrator: that says as much as a uid does on Linux.
    pub(super) fn is_plain_windows_user(&self) -> bool {
        self.is_windows && self.windows_user.is_some() && !self.is_windows_administrator()
    }

    /// Whether the Windows user is an administrator of the container or the system itself.
    pub(super) fn is_windows_administrator(&self) -> bool {
        self.windows_user.as_ref().is_some_and(|user| {
            let name = user.value.rsplit('\\').next().unwrap_or_default();
            ["ContainerAdministrator", "Administrator", "SYSTEM"].iter().any(|admin| name.eq_ignore_ascii_case(admin))
        })
    }
}

/// Whether `spec.hostUsers` is false: uid 0 inside is an ordinary user outside.
pub(super) fn in_user_namespace(pod: &PodSpec<'_>) -> bool {
    pod.json().get("hostUsers") == Some(&Value::Bool(false))
}

fn field<T>(
    pod: &PodSpec<'_>,
    container: &Container<'_>,
    keys: &[&str],
    read: fn(&Value) -> Option<T>,
) -> Option<Effective<T>> {
    [(container.json, container.path.as_str()), (pod.json(), pod.path())].into_iter().find_map(|(json, path)| {
        let context = visitor::present(json, "securityContext")?;
        let value = keys.iter().try_fold(context, |value, key| visitor::present(value, key))?;
        Some(Effective { value: read(value)?, path: format!("{path}/securityContext/{}", keys.join("/")) })
    })
}

/// An integer, also as manifests slip it in: `"0"`, `0.0`.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().map(|n| n as i64)).or_else(|| value.as_str()?.trim().parse().ok())
}

fn boolean(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.trim().parse().ok())
}

fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
