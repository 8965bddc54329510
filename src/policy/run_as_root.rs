//! `run-as-root`: a container that says it runs as root, by uid 0, by runAsNonRoot: false, or as Windows administrator.
//! Must not guess at images that say nothing (`unproven-non-root` does), nor mend by injecting a uid: data images own
//! files as their own user.

use super::security_context::{Identity, in_user_namespace};
use super::{Container, Mode, Options, PodSpec, Report, Rule, Severity};

pub(super) struct RunAsRoot;

impl Rule for RunAsRoot {
    fn id(&self) -> &'static str {
        "run-as-root"
    }

    fn summary(&self) -> &'static str {
        "A container that asks to run as root can do to the node whatever a flaw in the kernel allows."
    }

    fn cure(&self) -> &'static str {
        "Set runAsUser to the image's own user (Spark 185, Airflow 50000) and runAsNonRoot: true."
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
    match (&identity.user, &identity.non_root) {
        (Some(user), Some(flag)) if user.value == 0 && flag.value => {
            let problem = "runAsNonRoot with runAsUser 0 never starts: set a non-zero runAsUser";
            report.container(Severity::Breach, "contradiction", container, &user.path, problem);
        }
        (Some(user), _) if user.value == 0 => {
            let problem = "runs as root (runAsUser 0): set runAsUser to the image's own user";
            report.container(Severity::Breach, "uid-0", container, &user.path, problem);
        }
        // The uid decides; the flag only says that nobody checks it.
        (Some(_), Some(flag)) if !flag.value => {
            let problem = "runAsNonRoot is false, though a runAsUser is set: set it to true";
            report.container(Severity::Remark, "non-root-false", container, &flag.path, problem);
        }
        (None, Some(flag)) if !flag.value && !identity.is_plain_windows_user() => {
            let problem = "root is allowed (runAsNonRoot false): set it to true, with a runAsUser";
            report.container(Severity::Breach, "non-root-false", container, &flag.path, problem);
        }
        _ => {}
    }
}

fn windows(identity: &Identity, container: &Container<'_>, report: &mut Report<'_>) {
    if let Some(user) = identity.windows_user.as_ref().filter(|_| identity.is_windows_administrator()) {
        let problem = "runs as Windows administrator: set runAsUserName to ContainerUser";
        report.container(Severity::Breach, "windows-administrator", container, &user.path, problem);
    }
    if let Some(host) = identity.host_process.as_ref().filter(|host| host.value) {
        let problem = "runs as a host process: remove windowsOptions.hostProcess";
        report.container(Severity::Breach, "host-process", container, &host.path, problem);
    }
}
