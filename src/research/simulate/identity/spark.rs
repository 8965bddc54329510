//! Drivers and executors of Spark: spark-submit's own and those of the kubeflow operator's scheduled applications.
//! Knows nothing of heap or overhead.

use super::{Identity, Owner, RunPosition, pairs};

/// Sixteen hexadecimal digits as Spark's resource prefix has them.
fn unique_id(place: &RunPosition<'_>, of: &str) -> String {
    format!("{}{:010x}", place.run.hex(of, 6), place.tick_ms as u64 & 0xff_ffff_ffff)
}

fn labels(place: &RunPosition<'_>, app: &str) -> Vec<(String, String)> {
    let role = if place.leads() { "driver" } else { "executor" };
    let mut labels = pairs([
        ("spark-app-name", app),
        ("spark-app-selector", &format!("spark-{}", place.run.hex("application", 32))),
        ("spark-role", role),
        ("spark-version", "3.5.6"),
    ]);
    if !place.leads() {
        labels.extend(pairs([("spark-exec-id", &place.index.to_string()), ("spark-exec-resourceprofile-id", "0")]));
    }
    labels
}

fn pod(place: &RunPosition<'_>, app: &str, driver: String, family: &str, driver_owner: Option<Owner>) -> Identity {
    let labels = labels(place, app);
    if place.leads() {
        return Identity {
            pod: driver,
            container: "spark-kubernetes-driver",
            workload: format!("spark-driver/{family}"),
            owner: driver_owner,
            labels,
            ..Identity::default()
        };
    }
    Identity {
        pod: format!("{app}-{}-exec-{}", unique_id(place, "executors"), place.index),
        container: "spark-kubernetes-executor",
        workload: format!("spark-executor/{family}"),
        owner: Some(Owner { kind: "Pod", name: driver }),
        labels,
        ..Identity::default()
    }
}

pub(super) fn native(place: &RunPosition<'_>) -> Identity {
    let app = format!("{}-{}", place.name(), place.date());
    let driver = format!("{app}-{}-driver", unique_id(place, "driver"));
    pod(place, &app, driver, place.name(), None)
}

pub(super) fn scheduled(place: &RunPosition<'_>) -> Identity {
    let app = format!("{}-{}000000", place.name(), place.tick_ms);
    let owner = Owner { kind: "SparkApplication", name: app.clone() };
    let mut identity = pod(place, &app, format!("{app}-driver"), place.name(), Some(owner));
    identity.labels.extend(pairs([
        ("sparkoperator.k8s.io/app-name", &app),
        ("sparkoperator.k8s.io/launched-by-spark-operator", "true"),
        ("sparkoperator.k8s.io/mutated-by-spark-operator", "true"),
        ("sparkoperator.k8s.io/scheduled-app-name", place.name()),
        ("sparkoperator.k8s.io/submission-id", &place.run.uuid("submission")),
    ]));
    identity
}
