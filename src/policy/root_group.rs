//! `root-group`: a container whose primary group is root's, which may open files meant for root.
//! Must not weigh like running as root: images that expect an arbitrary uid use group 0 on purpose.

use super::security_context::Identity;
use super::{Mode, Options, PodSpec, Report, Rule, Severity};

pub(super) struct RootGroup;

impl Rule for RootGroup {
    fn id(&self) -> &'static str {
        "root-group"
    }

    fn summary(&self) -> &'static str {
        "A container that asks for group 0 may open files that are meant for root's group."
    }

    fn cure(&self) -> &'static str {
        "Set runAsGroup to the image's own group."
    }

    fn default_mode(&self) -> Mode {
        Mode::Audit
    }

    fn check(&self, pod: &PodSpec<'_>, _: &Options, report: &mut Report<'_>) {
        for container in pod.containers() {
            let group = Identity::of(pod, &container).group;
            if let Some(group) = group.filter(|group| group.value == 0) {
                let problem = "its group is root's (runAsGroup 0): set the image's own group";
                report.container(Severity::Breach, "gid-0", &container, &group.path, problem);
            }
        }
    }
}
