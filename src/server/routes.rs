//! The webhook's two endpoints as a router: which requests are reviews, how their bodies are read, what is answered to
//! what is none. Must not know sockets: a test drives it by `oneshot`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::time::Instant;

use super::body::{self, BodyFault};
use super::health::Readiness;
use super::review::{Answered, Reviewer};
use crate::admission::Entry;

/// What is left of an API server's patience for the work itself: on a machine that is busy with large pods, the ways
/// there and back take as long. An answer that comes late is none, and with `failurePolicy: Ignore` none is a pass.
const SHARE_OF_PATIENCE: u32 = 2;

/// The endpoints.
pub fn router(reviewer: Arc<Reviewer>, readiness: Arc<Readiness>) -> Router {
    let refuse = |status| {
        async move |State(reviewer): State<Arc<Reviewer>>, request: Request| {
            refused(&reviewer, status, request.into_body())
        }
    };
    Router::new()
        .route("/mutate", post(mutate))
        .route("/validate", post(validate))
        .method_not_allowed_fallback(refuse(StatusCode::METHOD_NOT_ALLOWED))
        .fallback(refuse(StatusCode::NOT_FOUND))
        .layer(from_fn_with_state(readiness, say_goodbye))
        .with_state(reviewer)
}

/// While draining, each answer ends its connection: the next one is opened to another replica, and few are left to be
/// closed at the end, when a request might cross with the close.
async fn say_goodbye(State(readiness): State<Arc<Readiness>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if readiness.is_draining() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn mutate(State(reviewer): State<Arc<Reviewer>>, request: Request) -> Response {
    review(&reviewer, Entry::Mutate, request).await
}

async fn validate(State(reviewer): State<Arc<Reviewer>>, request: Request) -> Response {
    review(&reviewer, Entry::Validate, request).await
}

async fn review(reviewer: &Reviewer, entry: Entry, request: Request) -> Response {
    let started = Instant::now();
    let _counted = reviewer.metrics().review(entry);
    let (head, mut body) = request.into_parts();
    if !is_json(&head.headers) {
        return refused(reviewer, StatusCode::UNSUPPORTED_MEDIA_TYPE, body);
    }
    let limits = reviewer.limits();
    let whole_patience = patience(&head.uri);
    let patience = whole_patience.map(|p| p / SHARE_OF_PATIENCE);
    // As long as its API server may still be writing: it would take a close for a failure, and a failure is a pass.
    let linger_until = started + whole_patience.unwrap_or(limits.body);
    let until = started + patience.map_or(limits.body, |p| p.min(limits.body));
    let mut whole = Vec::new();
    let room = match body::read(&mut body, &mut whole, limits.body_bytes, reviewer.room(), until).await {
        Ok(room) => room,
        Err(BodyFault::NoRoom(cause)) => {
            body::linger(body, linger_until);
            return answer(reviewer.shed(entry, cause, &whole, started));
        }
        Err(fault @ (BodyFault::TooLarge | BodyFault::TooSlow)) => {
            let status =
                if fault == BodyFault::TooLarge { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::REQUEST_TIMEOUT };
            let Some(answered) = reviewer.unread(entry, status, &whole, started) else {
                return refused(reviewer, status, body);
            };
            body::linger(body, linger_until);
            return answer(answered);
        }
        Err(BodyFault::Broken) => return refused(reviewer, StatusCode::BAD_REQUEST, body),
    };
    // Only now: a body that does not come takes no place from those that do.
    match reviewer.enter(entry) {
        Ok(place) => {
            let deadline = started + patience.unwrap_or(limits.body);
            answer(reviewer.review(entry, whole.into(), (place, room), started, deadline).await)
        }
        Err(cause) => answer(reviewer.shed(entry, cause, &whole, started)),
    }
}

fn answer(Answered { status, body }: Answered) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = if status == StatusCode::OK { "application/json" } else { "text/plain; charset=utf-8" };
    (status, [(CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()
}

/// What is no review. The connection ends with it, after what the client still sends.
fn refused(reviewer: &Reviewer, status: StatusCode, body: Body) -> Response {
    let (label, why) = match status {
        StatusCode::NOT_FOUND => ("404", "there are /mutate and /validate"),
        StatusCode::METHOD_NOT_ALLOWED => ("405", "send an AdmissionReview by POST"),
        StatusCode::REQUEST_TIMEOUT => ("408", "the body did not arrive in time"),
        StatusCode::PAYLOAD_TOO_LARGE => ("413", "the body is too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("415", "send application/json"),
        _ => ("400", "the body ended early"),
    };
    reviewer.metrics().refused(label);
    let wait = if status == StatusCode::REQUEST_TIMEOUT { Duration::ZERO } else { reviewer.limits().header };
    body::linger(body, Instant::now() + wait);
    (status, [(CONNECTION, "close")], format!("podfit: {why}\n")).into_response()
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()) else { return false };
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// How long the API server waits: it appends `timeout=Ns`, in whole seconds, to every call (30 s at most).
fn patience(uri: &Uri) -> Option<Duration> {
    let value = uri.query()?.split('&').find_map(|pair| pair.strip_prefix("timeout="))?;
    let seconds: u64 = value.strip_suffix('s')?.parse().ok()?;
    (1..=30).contains(&seconds).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/mutate?timeout=10s", Some(10))]
    #[case("/mutate?a=b&timeout=1s&c", Some(1))]
    #[case("/mutate?timeout=0s", None)]
    #[case("/mutate?timeout=99999999999999999999s", None)]
    #[case("/mutate?timeout=31s", None)]
    #[case("/mutate?timeout=-1s", None)]
    #[case("/mutate?timeout=5", None)]
    #[case("/mutate", None)]
    fn patience_is_read_where_it_makes_sense(#[case] uri: &str, #[case] seconds: Option<u64>) {
        assert_eq!(patience(&uri.parse().unwrap()), seconds.map(Duration::from_secs));
    }

    #[rstest]
    #[case("application/json", true)]
    #[case("Application/JSON; charset=utf-8", true)]
    #[case("application/json-patch+json", false)]
    #[case("text/plain", false)]
    #[case("", false)]
    fn only_json_is_taken(#[case] kind: &str, #[case] taken: bool) {
        let headers = [(CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect();
        assert_eq!(is_json(&headers), taken);
        assert!(!is_json(&HeaderMap::new()));
    }
}
