//! `latest-tag`: an image that may be another one at the next run, because no tag or `latest` names it.
//! Must not match strings: it asks the parsed reference. A digest pins the image, whatever its tag.

use serde_json::Value;

use super::{Mode, Options, PodSpec, Report, Rule, Severity, visitor};
use crate::image::Image;
use crate::text;

pub(super) struct LatestTag;

impl Rule for LatestTag {
    fn id(&self) -> &'static str {
        "latest-tag"
    }

    fn summary(&self) -> &'static str {
        "An image without a tag, or with the tag latest, may be another image at the next run."
    }

    fn cure(&self) -> &'static str {
        "Pin a version, such as repository:1.4.2, or a digest."
    }

    fn default_mode(&self) -> Mode {
        Mode::Enforce
    }

    fn check(&self, pod: &PodSpec<'_>, _: &Options, report: &mut Report<'_>) {
        for container in pod.containers() {
            if let Some(image) = visitor::present(container.json, "image") {
                let head = format!("container {}: ", text::name(container.name));
                judge(&head, container.name, image, &format!("{}/image", container.path), report);
            }
        }
        for volume in pod.image_volumes() {
            if let Some(reference) = volume.reference {
                judge(&format!("volume {}: ", text::name(volume.name)), volume.name, reference, &volume.path, report);
            }
        }
    }
}

/// An image left empty or absent is not judged: a template may leave it to another tool, and a pod is refused for it.
fn judge(head: &str, name: &str, image: &Value, path: &str, report: &mut Report<'_>) {
    let Some(written) = image.as_str() else {
        let message = format!("{head}the image is not a text: write REPOSITORY:VERSION");
        return report.add(Severity::Breach, "unreadable", name, path, &message);
    };
    if written.is_empty() {
        return;
    }
    let (reason, after) = match Image::parse(written) {
        Image::Reference(reference) if !reference.is_latest() => return,
        Image::Reference(reference) if reference.tag.is_some() => ("latest", ": pin a version or a digest"),
        Image::Reference(_) => ("no-tag", " has no tag (latest): pin a version or a digest"),
        Image::Unparsable(_) => ("unreadable", " is no image reference: write REPOSITORY:VERSION"),
    };
    report.add(
        Severity::Breach,
        reason,
        name,
        path,
        &text::line(&format!("{head}image "), written, after, text::MESSAGE_CHARS),
    );
}
