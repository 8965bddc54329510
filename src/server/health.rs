//! Whether the process should be sent requests, and its plain port: `/livez`, `/readyz`, `/metrics`.
//! Must not know what it waits for, only the names; and holds nothing secret, since this port is open to all.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use super::metrics::Metrics;

/// Whether requests should come: everything was loaded once, and the end has not begun.
#[derive(Debug, Default)]
pub struct Readiness {
    missing: Mutex<BTreeSet<&'static str>>,
    draining: AtomicBool,
}

impl Readiness {
    /// Something that has to be there first.
    pub fn wait_for(self: &Arc<Self>, name: &'static str) -> Condition {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        Condition { readiness: Arc::clone(self), name }
    }

    /// From now on no more requests are wanted.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the end has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Ready, or why not.
    ///
    /// # Errors
    /// What it waits for, or that it drains.
    pub fn check(&self) -> Result<(), String> {
        if self.is_draining() {
            return Err("draining".to_owned());
        }
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!("waiting for {}", missing.iter().copied().collect::<Vec<_>>().join(", ")))
    }
}

/// One thing that has to be there before requests come.
#[derive(Clone, Debug)]
pub struct Condition {
    readiness: Arc<Readiness>,
    name: &'static str,
}

impl Condition {
    /// It is there, and stays.
    pub fn met(&self) {
        self.readiness.missing.lock().unwrap_or_else(PoisonError::into_inner).remove(self.name);
    }
}

/// What the plain port answers.
pub fn router(readiness: Arc<Readiness>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(scrape).with_state(metrics))
}

async fn ready(State(readiness): State<Arc<Readiness>>) -> impl IntoResponse {
    match readiness.check() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}

/// What Prometheus takes as `OpenMetrics` text.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

async fn scrape(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, OPEN_METRICS)], metrics.text())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn get(router: &Router, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ready_when_all_was_loaded_and_until_the_end_begins() {
        let readiness = Arc::new(Readiness::default());
        let router = router(Arc::clone(&readiness), Arc::new(Metrics::new()));
        let (policy, sizes) = (readiness.wait_for("policy"), readiness.wait_for("recommendations"));
        assert_eq!(get(&router, "/readyz").await, (503, "not ready: waiting for policy, recommendations\n".into()));
        policy.met();
        assert_eq!(get(&router, "/readyz").await, (503, "not ready: waiting for recommendations\n".into()));
        sizes.met();
        assert_eq!(get(&router, "/readyz").await, (200, "ok\n".into()));
        readiness.drain();
        assert_eq!(get(&router, "/readyz").await, (503, "not ready: draining\n".into()));
        assert_eq!(get(&router, "/livez").await, (200, "ok\n".into()), "draining is no reason to be killed");
    }

    #[tokio::test]
    async fn metrics_come_as_openmetrics() {
        let router = router(Arc::default(), Arc::new(Metrics::new()));
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], OPEN_METRICS);
        assert!(get(&router, "/metrics").await.1.ends_with("# EOF\n"));
    }
}
