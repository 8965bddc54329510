//! `unproven-non-root`: nothing in the pod keeps the container from running as root, so the image decides.
//! Must not repeat what `run-as-root` reports: an explicit root is not unproven.

use super::security_context::{Identity, in_user_namespace};
use super::{Mode, Options, PodSpec, Report, Rule, Severity};

pub(super) struct UnprovenNonRoot;

impl Rule for UnprovenNonRoot {
    fn id(&self) -> &'static str {
        "unproven-non-root"
    }

    fn summary(&self) -> &'static str {
        "Without runAsNonRoot: true or a non-zero runAsUser, whether a container runs as root is up to its image."
    }

    fn cure(&self) -> &'static str {
        "Set runAsNonRoot: true, or a non-zero runAsUser, in the securityContext of the pod or of every container."
    }

    /// Most engines' own pods prove nothing, so that turning them away is a decision for the operator.
    fn default_mode(&self) -> Mode {
        Mode::Warn
    }

    fn check(&self, pod: &PodSpec<'_>, options: &Options, report: &mut Report<'_>) {
        if options.accept_user_namespaces && in_user_namespace(pod) {
            return;
        }
        for container in pod.containers() {
            let identity = Identity::of(pod, &container);
            // An administrator and a host process are what `run-as-root` reports.
            let said = identity.non_root.is_some()
                || identity.user.is_some()
                || identity.is_plain_windows_user()
                || identity.is_windows_administrator()
                || identity.host_process.as_ref().is_some_and(|host| host.value);
            if !said {
                let problem = "may run as root, its image decides: set runAsNonRoot: true";
                let path = format!("{}/securityContext", container.path);
                report.container(Severity::Breach, "image-decides", &container, &path, problem);
            }
        }
    }
}
