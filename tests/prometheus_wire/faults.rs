//! What a user reads when a server misbehaves: one line that says what to do, and never a secret.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use podfit::prometheus::{Auth, Client, Config, Error, Mode, Secret, Selector, SeriesSource};
use rstest::rstest;

use crate::streams::streamed;
use crate::{ALL, ByCase, collect, written};

pub(crate) const STREAMED: &[u8] = include_bytes!("streamed-2.42.bin");
pub(crate) const EMPTY: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
pub(crate) const ONE: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"wire","case":"a"},"values":[[1700000000,"1"],[1700000030,"2"]]}]}}"#;

/// One request as it came.
#[derive(Clone)]
pub(crate) struct Hit {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A server that answers by a script.
pub(crate) struct Fault {
    address: std::net::SocketAddr,
    hits: Arc<Mutex<Vec<Hit>>>,
}

impl Fault {
    /// `answer` gets the request and how many came to the same path before it.
    pub(crate) async fn start(answer: impl Fn(&Hit, usize) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let hits: Arc<Mutex<Vec<Hit>>> = Arc::default();
        let (seen, answer) = (hits.clone(), Arc::new(answer));
        let app = Router::new().fallback(move |request: Request| {
            let (seen, answer) = (seen.clone(), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let hit = Hit { path: parts.uri.to_string(), headers: parts.headers, body };
                let before = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(hit.clone());
                    seen.iter().filter(|h| h.path == hit.path).count() - 1
                };
                answer(&hit, before)
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, hits }
    }

    /// Settings with secrets in every place that takes one.
    pub(crate) fn config(&self, mode: Mode) -> Config {
        let mut config = Config::new(format!("http://me:hunter2@{}/prom?key=hunter2", self.address));
        config.mode = mode;
        config.headers.push(("X-Scope-OrgID".into(), Secret::new("hunter2")));
        config.extra_params.push(("dedup".into(), "true".into()));
        config.timeout = Duration::from_secs(5);
        config
    }

    /// Its address without anything secret.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn client(&self, mode: Mode) -> Client {
        Client::new(&self.config(mode)).unwrap()
    }

    pub(crate) fn hits(&self) -> Vec<Hit> {
        self.hits.lock().unwrap().clone()
    }
}

pub(crate) async fn run(client: &Client) -> (ByCase, Option<Error>) {
    collect(client.samples(&Selector::metric("wire"), ALL).await.unwrap()).await
}

pub(crate) async fn message(client: &Client) -> String {
    one_line(&run(client).await.1.expect("an error"))
}

/// The text of an error, checked for what no error may hold.
pub(crate) fn one_line(error: &Error) -> String {
    let text = error.to_string();
    assert!(!text.contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{error:?}");
    assert!(!text.contains(char::is_control), "{text:?}");
    text
}

pub(crate) fn status(code: u16, body: &'static str) -> Response {
    (StatusCode::from_u16(code).unwrap(), body).into_response()
}

/// A body in pieces, broken off after them when asked.
pub(crate) fn pieces(parts: Vec<&'static [u8]>, pause: Duration, broken: bool, content_type: &'static str) -> Response {
    let end = broken.then(|| Err(std::io::Error::other("gone")));
    let parts = parts.into_iter().map(|p| Ok(Bytes::from_static(p))).chain(end);
    let stream = futures::stream::iter(parts).then(move |part| async move {
        tokio::time::sleep(pause).await;
        part
    });
    ([("content-type", content_type)], Body::from_stream(stream)).into_response()
}

#[rstest]
#[case::unauthorized(401, "no\nway", "refuses the credentials (HTTP 401): no way; give a user and password")]
#[case::forbidden(403, "", "refuses the credentials (HTTP 403); give a user")]
#[case::bad_query(
    400,
    r#"{"status":"error","errorType":"bad_data","error":"parse \u001b[1merror"}"#,
    "rejects the query (HTTP 400): bad_data: parse [1merror"
)]
#[case::unprocessable(
    422,
    r#"{"status":"error","errorType":"execution","error":"boom"}"#,
    "rejects the query (HTTP 422): execution: boom"
)]
#[case::not_found(404, "404 page not found", "is not a Prometheus API (HTTP 404 «404 page not found»); is it Grafana")]
#[case::grafana(
    404,
    "<html><title>Grafana</title>",
    "(HTTP 404 «Grafana»); is it Grafana or a proxy? give the address"
)]
#[case::tls_port(
    400,
    "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title>",
    "a web page with HTTP 400 «400 The plain HTTP request was sent to HTTPS port»"
)]
#[case::page(200, "<!doctype html><title>Login</title>", "is not a Prometheus API (it answers with a web page); is it")]
#[case::overload(503, "busy", "is overloaded or down (HTTP 503): busy; run again later")]
#[case::internal(500, "oops", "answered with an error (HTTP 500): oops")]
#[case::not_json(200, "hello ", "is not valid at byte 5: an object was expected")]
#[case::cut_json(200, r#"{"status":"success","data":{"re"#, "broke off after 31 bytes: the JSON stops in the middle")]
#[case::error_in_200(
    200,
    r#"{"status":"error","errorType":"internal","error":"no\tdisk"}"#,
    "answered with an error (internal): no disk"
)]
#[tokio::test]
async fn each_answer_has_its_words(#[case] code: u16, #[case] body: &'static str, #[case] words: &str) {
    let server = Fault::start(move |_, _| status(code, body)).await;
    let client = Client::new(&Config { retries: 0, ..server.config(Mode::Query) }).unwrap();
    let text = message(&client).await;
    assert!(text.contains(words), "{text}");
    assert!(text.contains(&format!("http://{}/prom", server.address)), "{text}");
    // Another method may be answered, and half of the time where the reason is not clear.
    let tries =
        if [403, 404, 500, 503].contains(&code) || words.contains("boom") || words.contains("no disk") { 2 } else { 1 };
    assert_eq!(server.hits().len(), tries);
}

#[tokio::test]
async fn credentials_tenant_and_parameters_are_sent() {
    let server = Fault::start(|_, _| status(200, EMPTY)).await;
    assert!(run(&server.client(Mode::Query)).await.1.is_none());
    let hit = &server.hits()[0];
    assert_eq!(hit.path, "/prom/api/v1/query");
    assert_eq!(hit.headers["authorization"], "Basic bWU6aHVudGVyMg==");
    assert_eq!(hit.headers["x-scope-orgid"], "hunter2");
    let body = String::from_utf8(hit.body.to_vec()).unwrap();
    assert!(body.starts_with("query=wire%5B11000001ms%5D&time=1700010000.000"), "{body}");
    assert!(body.contains("&dedup=true") && body.contains("&key=hunter2"), "{body}");
}

/// What Thanos has down-sampled are averages.
#[tokio::test]
async fn raw_samples_are_asked_for_unless_the_user_says_otherwise() {
    for (given, wanted) in [(None, "0s"), (Some("5m"), "5m")] {
        let server = Fault::start(|_, _| status(200, EMPTY)).await;
        let mut config = server.config(Mode::Query);
        config.extra_params.extend(given.map(|value| ("max_source_resolution".to_owned(), value.to_owned())));
        assert!(run(&Client::new(&config).unwrap()).await.1.is_none());
        let body = String::from_utf8(server.hits()[0].body.to_vec()).unwrap();
        let sent: Vec<&str> = body.split('&').filter_map(|p| p.strip_prefix("max_source_resolution=")).collect();
        assert_eq!(sent, [wanted]);
    }
}

#[tokio::test]
async fn a_token_file_is_read_again() {
    let server = Fault::start(|_, _| status(200, EMPTY)).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let auth = Auth::BearerFile(file.path().to_owned());
    let client = Client::new(&Config { auth, ..server.config(Mode::Query) }).unwrap();
    for token in ["first", "second"] {
        std::fs::write(file.path(), format!("{token}\n")).unwrap();
        assert!(run(&client).await.1.is_none());
        assert_eq!(server.hits().last().unwrap().headers["authorization"], format!("Bearer {token}"));
    }
    std::fs::write(file.path(), " \n").unwrap();
    assert!(message(&client).await.contains("it is empty, a secret was expected"));
}

#[tokio::test]
async fn an_overload_passes() {
    let server = Fault::start(|_, before| match before {
        0 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")], "wait").into_response(),
        1 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")], "wait").into_response(),
        2 => (StatusCode::BAD_GATEWAY, [("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], "wait").into_response(),
        _ => status(200, ONE),
    })
    .await;
    let client = server.client(Mode::Query);
    let (got, error) = run(&client).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(got["a"], [(1_700_000_000_000, 1.0), (1_700_000_030_000, 2.0)]);
    assert_eq!((client.stats().requests, client.stats().retries), (4, 3));
}

#[tokio::test]
async fn an_overload_that_stays_is_reported_with_its_wait() {
    let server =
        Fault::start(|_, _| (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "7")], "full").into_response()).await;
    let config = Config { retries: 2, max_wait: Duration::ZERO, ..server.config(Mode::Query) };
    let text = message(&Client::new(&config).unwrap()).await;
    assert!(text.contains("(HTTP 503): full; it asks to wait 7 s; run again then"), "{text}");
    // As often again for half of the time.
    assert_eq!(server.hits().len(), 6);
}

#[tokio::test]
async fn nobody_there() {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut config = Config::new(format!("http://me:hunter2@127.0.0.1:{port}"));
    (config.mode, config.retries) = (Mode::Query, 0);
    let text = message(&Client::new(&config).unwrap()).await;
    let want =
        format!("cannot reach http://127.0.0.1:{port}: Connection refused (os error 111); check address and port");
    assert!(text.starts_with(&want), "{text}");
    config.url = "http://me:hunter2@no-such-host.invalid".into();
    let text = message(&Client::new(&config).unwrap()).await;
    assert!(text.starts_with("cannot reach http://no-such-host.invalid: ") && text.contains("host name"), "{text}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_credentials() {
    let server = Fault::start(|_, _| {
        (StatusCode::FOUND, [("location", "https://me:hunter2@login.example/auth?token=hunter2")]).into_response()
    })
    .await;
    let text = message(&server.client(Mode::Query)).await;
    assert!(text.contains("redirects to https://login.example/auth; give the address that serves"), "{text}");
    assert_eq!(server.hits().len(), 1);
}

#[tokio::test]
async fn a_slow_answer_that_keeps_coming_is_fine() {
    let server = Fault::start(|_, _| {
        let parts = ONE.as_bytes().chunks(30).collect();
        pieces(parts, Duration::from_millis(120), false, "application/json")
    })
    .await;
    let config = Config { timeout: Duration::from_millis(500), ..server.config(Mode::Query) };
    let (got, error) = run(&Client::new(&config).unwrap()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(got["a"].len(), 2);
}

#[tokio::test]
async fn silence_ends_after_a_few_smaller_tries() {
    let server =
        Fault::start(|_, _| pieces(vec![ONE.as_bytes()], Duration::from_secs(3600), false, "application/json")).await;
    let config = Config { timeout: Duration::from_millis(50), ..server.config(Mode::Query) };
    let text = message(&Client::new(&config).unwrap()).await;
    assert!(text.contains("gave no answer for 0 s; raise the timeout"), "{text}");
    assert_eq!(server.hits().len(), 3);
}

#[tokio::test]
async fn a_break_before_anything_was_delivered_is_repeated() {
    let server = Fault::start(|_, before| match before {
        0 => pieces(vec![&ONE.as_bytes()[..60]], Duration::ZERO, true, "application/json"),
        _ => status(200, ONE),
    })
    .await;
    let (got, error) = run(&server.client(Mode::Query)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(got["a"].len(), 2);
    assert_eq!(server.hits().len(), 2);
}

#[tokio::test]
async fn a_break_after_that_is_an_error_and_what_came_is_valid() {
    let frames: usize = 2_000;
    let server = Fault::start(move |hit, before| match (hit.path.as_str(), before) {
        ("/prom/api/v1/read?key=hunter2", 0) => streamed(vec![]),
        ("/prom/api/v1/read?key=hunter2", _) => {
            pieces(vec![&STREAMED[..frames]], Duration::ZERO, true, "application/x-streamed-protobuf")
        }
        _ => status(200, r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#),
    })
    .await;
    let (got, error) = run(&server.client(Mode::Auto)).await;
    let text = one_line(&error.unwrap());
    assert!(text.contains("broke off after 2000 bytes") && text.contains("run again"), "{text}");
    assert!(!got.is_empty());
    let all = written();
    assert!(got.iter().all(|(case, samples)| all[case] == *samples), "{got:?}");
    assert_eq!(server.hits().iter().filter(|h| h.path.contains("read")).count(), 2);
}

#[tokio::test]
async fn limits_of_the_server_make_slices_smaller() {
    let server = Fault::start(|hit, _| {
        let body = String::from_utf8_lossy(&hit.body);
        let (_, rest) = body.split_once("%5B").unwrap();
        let length: u64 = rest.split_once("ms").unwrap().0.parse().unwrap();
        match length {
            4_000_000.. => status(422, r#"{"error":"query processing would load too many samples into memory"}"#),
            2_000_000.. => status(503, r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#),
            _ => status(200, EMPTY),
        }
    })
    .await;
    let (_, error) = run(&server.client(Mode::Query)).await;
    assert!(error.is_none(), "{error:?}");
    // The range is 11,000,001 ms: three halvings, then growth stopped by refusals.
    assert!((8..40).contains(&server.hits().len()), "{}", server.hits().len());
}

#[tokio::test]
async fn no_remote_read() {
    let server = Fault::start(|hit, _| match hit.path.as_str() {
        path if path.contains("/read") => status(400, "unsupported path requested: \"/prom/api/v1/read\""),
        _ => status(200, EMPTY),
    })
    .await;
    let client = server.client(Mode::Auto);
    assert!(run(&client).await.1.is_none());
    let line = client.probe().await.unwrap().to_string();
    assert_eq!(line, "Prometheus-compatible server, by query API (the server offers no remote read)");
    let text = message(&server.client(Mode::RemoteRead)).await;
    assert!(text.contains("offers no remote read") && text.contains("use the query API instead"), "{text}");
}

#[rstest]
#[case(r#"{"application":"Grafana Mimir","version":"2.17.0"}"#, "", "Mimir 2.17.0")]
#[case(r#"{"version":"0.40.1","revision":"abc"}"#, "", "Thanos 0.40.1")]
#[case(r#"{"version":"2.24.0"}"#, "vmselect-0", "VictoriaMetrics")]
#[case(r#"{"version":"3.7.0","revision":"abc"}"#, "", "Prometheus 3.7.0")]
#[case("{}", "", "Prometheus-compatible server")]
#[tokio::test]
async fn products_are_told_apart(#[case] build: &'static str, #[case] host: &'static str, #[case] name: &str) {
    let server = Fault::start(move |hit, _| match hit.path.as_str() {
        path if path.contains("buildinfo") => {
            let body = format!(r#"{{"status":"success","data":{build}}}"#);
            let mut response = body.into_response();
            if !host.is_empty() {
                response.headers_mut().insert("x-server-hostname", host.parse().unwrap());
            }
            response
        }
        _ => status(200, EMPTY),
    })
    .await;
    assert_eq!(server.client(Mode::Auto).probe().await.unwrap().product.to_string(), name);
}
