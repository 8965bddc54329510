//! Ready-made clusters: the small ones of the tests, the large one of the benches, the one of the demo.
//! Only descriptions; playing and scraping them is the simulator's business.

mod bulk;
mod demo_pods;
mod nightly;
mod retail;

pub use bulk::{cronjobs, five_hundred_cronjobs};
pub use demo_pods::{DemoPod, demo_pod};
pub use nightly::{
    forty_seconds, nightly_counter_reset, nightly_ha_pair, nightly_lingering, nightly_three, nightly_unlabelled,
    services, weekly_short,
};
pub use retail::data_platform;
