//! Who is this pod? The key that all runs of the same recurring work share.
//! One function for pods and for series; knows no network, no clock and no cluster client.

mod airflow;
pub mod allowlist;
mod argo;
pub mod containers;
mod controllers;
mod dagster;
pub mod facts;
mod flink;
mod from_pod;
mod group_by;
mod identify;
mod identity;
mod input;
pub mod key;
pub mod known_names;
mod labelled;
mod prefect;
pub mod recurring_name;
mod row;
mod spark;
mod table;

pub use facts::{ContainerFacts, Keys, Owner, PodFacts, READ_ENV, kube_state_metrics_name};
pub use from_pod::{NotAPod, controller_of, pod_facts};
pub use identify::{IdentityRules, identify};
pub use identity::{Identity, Unidentified};
pub use input::{INPUT_BYTES, input_bytes, stated_input};
pub use key::{Kind, Workload, WorkloadKey};
pub use labelled::operators;
