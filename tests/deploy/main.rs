//! What `deploy/` holds, as the tools of its users see it: helm, kubectl's kustomize, the schemas of Kubernetes, a real
//! API server with RBAC. Where the custom resource definitions are not there yet, stand-ins take their place.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly in its helpers too")]

#[path = "../support/mod.rs"]
mod support;

mod chart;
mod image;
mod installed;
mod kustomize;
mod staged;
