//! A client that notes when the API server last said something, and does not wait for it for ever.
//! Must not look at what is said.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use kube::client::Body;
use tower::BoxError;

use super::source::{Kind, Source};
use super::status::WatchStatus;

/// Until an answer begins. The API server itself gives up on a list after 60 s.
const MAX_TO_ANSWER: Duration = Duration::from_secs(65);
/// Silence within an answer. Watches are asked for 290 s at a time and may be silent all along.
const MAX_SILENCE: Duration = Duration::from_secs(300);

/// What the API server sends of an object of which only the metadata is wanted.
const METADATA_LIST: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, application/json");
const METADATA: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json");

#[derive(Debug, thiserror::Error)]
#[error("the API server said nothing for {} s", .0.as_secs())]
struct Silent(Duration);

/// The client of one watch.
pub(super) fn attentive(client: kube::Client, source: Source, status: Arc<WatchStatus>) -> kube::Client {
    let kind = source.kind;
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |mut request: Request<Body>| {
        let (client, source, status) = (client.clone(), source.clone(), Arc::clone(&status));
        let watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        if kind.metadata_only() {
            request.headers_mut().insert(header::ACCEPT, if watch { METADATA } else { METADATA_LIST });
        }
        async move {
            let answer = tokio::time::timeout(MAX_TO_ANSWER, client.send(request)).await;
            let answer = answer.map_err(|_| BoxError::from(Silent(MAX_TO_ANSWER)))??;
            // A proxy's word that there is no API server is not its word.
            if !answer.status().is_server_error() {
                status.contact(kind);
            }
            // A watch that is open works, although it may not say anything for long.
            if watch && answer.status().is_success() && status.works(&source) {
                tracing::info!("watching {source} works again");
            }
            Ok::<_, BoxError>(
                answer.map(|body| StreamBody::new(noting(body, kind, status).map_ok(Frame::data).boxed())),
            )
        }
    });
    kube::Client::new(service, namespace)
}

fn noting(
    body: Body,
    kind: Kind,
    status: Arc<WatchStatus>,
) -> impl futures::Stream<Item = Result<bytes::Bytes, BoxError>> + Send {
    let chunks = body.into_data_stream();
    stream::unfold(Some(chunks), move |chunks| {
        let status = Arc::clone(&status);
        async move {
            let mut chunks = chunks?;
            match tokio::time::timeout(MAX_SILENCE, chunks.next()).await {
                Ok(Some(Ok(chunk))) => {
                    status.contact(kind);
                    Some((Ok(chunk), Some(chunks)))
                }
                Ok(Some(Err(error))) => Some((Err(error.into()), None)),
                Ok(None) => None,
                Err(_) => Some((Err(Silent(MAX_SILENCE).into()), None)),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::{Response, StatusCode};
    use rstest::rstest;

    use super::*;

    /// What the API server was asked, and how long ago it is known to have answered.
    async fn asked(kind: Kind, query: &str, code: StatusCode) -> (String, bool) {
        let accept = Arc::<Mutex<String>>::default();
        let seen = Arc::clone(&accept);
        let server = tower::service_fn(move |request: Request<Body>| {
            let header = request.headers().get(header::ACCEPT).map(|accept| accept.to_str().unwrap().to_owned());
            *seen.lock().unwrap() = header.unwrap_or_default();
            async move { Ok::<_, BoxError>(Response::builder().status(code).body(Body::from(b"{}".to_vec())).unwrap()) }
        });
        let (status, source) = (Arc::<WatchStatus>::default(), Source { kind, namespace: None });
        status.failed(&source, "away");
        let client = attentive(kube::Client::new(server, "default"), source, Arc::clone(&status));
        let request = Request::get(format!("/api?{query}")).body(Body::empty()).unwrap();
        let answer = client.send(request).await.unwrap();
        assert_eq!(answer.into_body().collect_bytes().await.unwrap(), "{}");
        let text = accept.lock().unwrap().clone();
        (text, status.problems().is_empty())
    }

    #[rstest]
    #[case(Kind::Job, "limit=500", "PartialObjectMetadataList;")]
    #[case(Kind::ReplicaSet, "watch=true", "PartialObjectMetadata;")]
    #[case(Kind::Node, "limit=500", "")]
    #[tokio::test]
    async fn of_jobs_and_replica_sets_only_the_metadata_is_asked_for(
        #[case] kind: Kind,
        #[case] query: &str,
        #[case] form: &str,
    ) {
        let (accept, _) = asked(kind, query, StatusCode::OK).await;
        assert!(accept.contains(form) && accept.is_empty() == form.is_empty(), "{accept}");
    }

    #[rstest]
    #[case::open_watch("watch=true", StatusCode::OK, true)]
    #[case::list_alone("limit=500", StatusCode::OK, false)]
    #[case::refused("watch=true", StatusCode::FORBIDDEN, false)]
    #[case::no_api_server_behind_the_proxy("watch=true", StatusCode::BAD_GATEWAY, false)]
    #[tokio::test]
    async fn a_watch_works_once_it_is_open(#[case] query: &str, #[case] code: StatusCode, #[case] works: bool) {
        assert_eq!(asked(Kind::Node, query, code).await.1, works);
    }
}
