//! The webhook's server: TLS, an accept loop, two endpoints, health and metrics, files that are reloaded, and a
//! shutdown that loses no request. Decides nothing: answers come from [`crate::admission`], and nothing here looks into
//! an object.

pub mod activity;
pub mod body;
mod built_in_ca;
pub mod drain;
pub mod health;
mod inputs;
pub mod limiter;
pub mod limits;
pub mod listener;
pub mod metrics;
pub mod peers;
mod plan;
pub mod reload;
pub mod report_page;
pub mod review;
pub mod routes;
pub mod run;
pub mod tls;

pub use health::{Condition, Readiness};
pub use limits::Limits;
pub use listener::Listener;
pub use metrics::Metrics;
pub use plan::{Certificate, Plan, ServeError};
pub use review::{Decide, Reviewer};
pub use routes::router;
pub use run::{Bound, Ends};
