//! `run-as-root`: a container that says it runs as root, by uid 0, by runAsNonRoot: false, or as Windows administrator.
//! Must not guess at images that say nothing (`unproven-non-root` does), nor mend by injecting a uid: data images own
//! files as their own user.

use super::security_context::{Identity, in_user_namespace};
use super::{Container, Mode, Options, PodSpec, Report, Rule, Severity, text};

pub(super) struct RunAsRoot;

impl Rule for RunAsRoot {
    fn id(&self) -> &'static str {
        "run-as-root"
    }

    fn summary(&self) -> &'static str {
        "A container that asks to run as root can do to the node whatever a flaw in the kernel allows."
    }

    fn default_mode(&self) -> Mode {
        Mode::Enforce
    }

    fn check(&self, pod: &PodSpec<'_>, options: &Options, report: &mut Report<'_>) {
        if options.accept_user_namespaces && in_user_namespace(pod) {
            return;
        }
        for container in pod.containers() {
            let identity = Identity::of(pod, &container);
            linux(&identity, &container, report);
            windows(&identity, &container, report);
        }
    }
}

fn linux(identity: &Identity, container: &Container<'_>, report: &mut Report<'_>) {
    let name = text::name(container.name);
    let non_root = identity.non_root.as_ref();
    match (&identity.user, non_root) {
        (Some(user), Some(flag)) if user.value == 0 && flag.value => {
            let message =
                format!("container {name}: runAsNonRoot with runAsUser 0 never starts: set a non-zero runAsUser");
            report.add(Severity::Breach, "contradiction", container.name, &user.path, &message);
        }
        (Some(user), _) if user.value == 0 => {
            let message =
                format!("container {name}: runs as root (runAsUser 0): set runAsUser to the image's own user");
            report.add(Severity::Breach, "uid-0", container.name, &user.path, &message);
        }
        (Some(user), Some(flag)) if !flag.value => {
            let message = format!("container {name}: runAsNonRoot is false, though a runAsUser is set: set it to true");
            report.add(Severity::Remark, "non-root-false", container.name, &flag.path, &message);
        }
        (None, Some(flag)) if !flag.value && !is_plain_windows_user(identity) => {
            let message =
                format!("container {name}: root is allowed (runAsNonRoot false): set it to true, with a runAsUser");
            report.add(Severity::Breach, "non-root-false", container.name, &flag.path, &message);
        }
        _ => {}
    }
}

/// A named Windows user who is no administrator says as much as a uid does on Linux.
fn is_plain_windows_user(identity: &Identity) -> bool {
    identity.windows_user.is_some() && !identity.is_windows_administrator()
}

fn windows(identity: &Identity, container: &Container<'_>, report: &mut Report<'_>) {
    let name = text::name(container.name);
    if let Some(user) = identity.windows_user.as_ref().filter(|_| identity.is_windows_administrator()) {
        let message = format!("container {name}: runs as Windows administrator: set runAsUserName to ContainerUser");
        report.add(Severity::Breach, "windows-administrator", container.name, &user.path, &message);
    }
    if let Some(host) = identity.host_process.as_ref().filter(|host| host.value) {
        let message = format!("container {name}: runs as a host process: remove windowsOptions.hostProcess");
        report.add(Severity::Breach, "host-process", container.name, &host.path, &message);
    }
}
