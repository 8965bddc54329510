//! What must hold for any bytes, one file for each thing that reads them; by name.
//! Knows nothing of the fuzzer, nor of where inputs are kept.

mod certificates;
mod collector;
mod credentials;
mod image;
mod manifest;
mod openmetrics;
mod policy;
mod prometheus_chunks;
mod prometheus_frames;
mod prometheus_json;
mod quantity;
mod recommendations;
mod review;
mod runs_csv;
mod store;

/// A target's name and what it does with an input; it panics where something does not hold.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("certificates", certificates::run),
    ("collector", collector::run),
    ("credentials", credentials::run),
    ("image", image::run),
    ("manifest", manifest::run),
    ("openmetrics", openmetrics::run),
    ("policy", policy::run),
    ("prometheus_chunks", prometheus_chunks::run),
    ("prometheus_frames", prometheus_frames::run),
    ("prometheus_json", prometheus_json::run),
    ("quantity", quantity::run),
    ("recommendations", recommendations::run),
    ("review", review::run),
    ("runs_csv", runs_csv::run),
    ("store", store::run),
];
