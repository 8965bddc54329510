//! Serves the newest report on the metrics port: a file that `podfit report --out` wrote, read for every request.
//! Must not know what is in it.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// A page of 2,000 containers has about 2 MiB; what is larger than this is something else.
const LARGEST: u64 = 32 << 20;
/// Whatever the file holds: nothing of it runs, and nothing is asked for elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";

/// `/report`.
pub fn router(file: PathBuf) -> Router {
    Router::new().route("/report", get(page)).with_state(Arc::new(file))
}

async fn page(State(file): State<Arc<PathBuf>>) -> Response {
    let plain = |status: StatusCode, why: &'static str| (status, format!("podfit: {why}\n")).into_response();
    let size = match tokio::fs::metadata(&*file).await {
        Ok(found) if found.is_file() => found.len(),
        _ => return plain(StatusCode::NOT_FOUND, "there is no report yet; `podfit report --out` writes one"),
    };
    if size > LARGEST {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "the report's file is too large to be one");
    }
    let Ok(text) = tokio::fs::read(&*file).await else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "the report's file cannot be read");
    };
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers.map(|(name, value)| (name, HeaderValue::from_static(value))), text).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{HeaderMap, Method, Request};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn ask(file: PathBuf, method: Method) -> (StatusCode, HeaderMap, String) {
        let request = Request::builder().method(method).uri("/report").body(Body::empty()).unwrap();
        let response = router(file).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_newest_page_is_shown_and_nothing_of_it_runs() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("week.html");
        let (status, _, said) = ask(file.clone(), Method::GET).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(said.contains("podfit report --out") && !said.contains("week.html"), "{said}");
        for content in ["<h1>one</h1>", "<h1>two</h1>"] {
            std::fs::write(&file, content).unwrap();
            let (status, headers, body) = ask(file.clone(), Method::GET).await;
            assert_eq!((status, body.as_str()), (StatusCode::OK, content));
            assert!(headers[CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));
            assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        }
        assert_eq!(ask(file, Method::POST).await.0, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(ask(dir.path().to_owned(), Method::GET).await.0, StatusCode::NOT_FOUND);
    }
}
