//! Which container a cgroup is of (cAdvisor's label `id`).
//! Paths only; knows no series.

/// Length of a container's id in hexadecimal digits, as all runtimes make them.
const ID_LEN: usize = 64;

/// The container's cgroup in short, and whether the path is of a cgroup below it.
///
/// The same container is seen under several paths: from outside a nested node (`/docker/<node>/kubepods/…`), twice in
/// itself (a runtime within a cgroup namespace), with a scope below it (`…/init`). What they share is the pod's part
/// and the container's id right after it, so that the key is `pod<uid>/<id>`; the innermost pod counts. Without a
/// container's id the segment after the pod's stands for it; without a pod the path is left as it is.
pub fn container_of(path: &str) -> (String, bool) {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let Some(pod) = segments.iter().rposition(|segment| pod_in(segment).is_some()) else {
        // Not of a pod: the innermost container's id, where there is one.
        return match segments.iter().rposition(|segment| id_in(segment).is_some()) {
            Some(last) => (id_in(segments[last]).unwrap_or_default().to_owned(), last + 1 < segments.len()),
            None => (path.to_owned(), false),
        };
    };
    let below = &segments[pod + 1..];
    // The systemd driver cannot write a dash within a slice's name.
    let own = pod_in(segments[pod]).unwrap_or_default().replace('_', "-");
    let found = below.iter().enumerate().find_map(|(at, segment)| Some((at, id_in(segment)?)));
    let (at, id) = match (found, below.first()) {
        (Some(found), _) => found,
        (None, Some(first)) => (0, *first),
        (None, None) => return (format!("pod{own}"), false),
    };
    (format!("pod{own}/{id}"), at + 1 < below.len())
}

/// The uid in `pod<uid>` and `…-pod<uid with _>.slice`; static pods have 32 hexadecimal digits instead.
fn pod_in(segment: &str) -> Option<&str> {
    let own = segment.strip_suffix(".slice").unwrap_or(segment);
    let uid = own.strip_prefix("pod").or_else(|| own.rfind("-pod").map(|at| &own[at + 4..]))?;
    let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let only = uid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-' || b == b'_');
    (only && digits == 32).then_some(uid)
}

/// The container's id in `<id>` and `cri-containerd-<id>.scope`.
fn id_in(segment: &str) -> Option<&str> {
    let own = segment.strip_suffix(".scope").unwrap_or(segment);
    let id = own.get(own.len().checked_sub(ID_LEN)?..)?;
    let apart = own.len() == ID_LEN || matches!(own.as_bytes()[own.len() - ID_LEN - 1], b'-' | b':' | b'_');
    (apart && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const UID: &str = "2f1d3c58-0d1e-4c8a-9a53-51c2a6f4b0aa";
    const ID: &str = "85b8af02515cb3e49ca58e7f9d5f59e038a1cb400bec20870842393ee6fe39c4";
    const NODE: &str = "0000000000000000000000000000000000000000000000000000000000000001";

    /// With P for the pod's uid, Q for it with underscores, C for the container's id and N for another's.
    #[rstest]
    #[case::cgroupfs("/kubepods/burstable/podP/C", false)]
    #[case::systemd("/kubepods.slice/kubepods-podQ.slice/cri-containerd-C.scope", false)]
    #[case::crio("/kubepods.slice/kubepods-podQ.slice/crio-C.scope", false)]
    #[case::below("/kubepods.slice/kubepods-podQ.slice/crio-C.scope/container", true)]
    #[case::init("/kubepods/burstable/podP/C/init", true)]
    #[case::docker_within("/kubepods/burstable/podP/C/docker/N", true)]
    #[case::twice("/kubepods/podP/C/kubepods/podP/C", false)]
    #[case::node_is_a_container("/docker/N/kubepods/burstable/podP/C", false)]
    #[case::kind("/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podQ.slice/cri-containerd-C.scope", false)]
    #[case::cgroup_v2_of_containerd("/kubepods/podP/kubepods-podP.slice:cri-containerd:C", false)]
    fn every_path_is_of_the_one_container(#[case] path: &str, #[case] is_below: bool) {
        let under = UID.replace('-', "_");
        let path: String = path
            .chars()
            .map(|c| match c {
                'P' => UID.to_owned(),
                'Q' => under.clone(),
                'C' => ID.to_owned(),
                'N' => NODE.to_owned(),
                c => c.to_string(),
            })
            .collect();
        let (container, below) = container_of(&path);
        assert_eq!((container, below), (format!("pod{UID}/{ID}"), is_below), "{path}");
    }

    #[test]
    fn other_paths_stay_apart() {
        for path in ["/a", "", "/system.slice/kubelet.service", "/kubepods/other"] {
            assert_eq!(container_of(path), (path.to_owned(), false));
        }
        let key = |id: &str| container_of(&format!("/kubepods/pod{UID}/{id}")).0;
        assert_ne!(key(ID), key(NODE));
        assert_ne!(key("first"), key("second"));
        assert_eq!(container_of(&format!("/system.slice/docker-{ID}.scope/init")), (ID.to_owned(), true));
    }
}
