//! A small Prometheus on the loopback interface that answers from series in memory, passes on to a real one, or follows
//! a script: it refuses, breaks off, is silent. Keeps what it was asked.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use podfit::prometheus::{MatchOp, Matcher, Selector, SeriesSource, SeriesStore, TimeRange};
use serde_json::{Value, json};

/// Served as `NaN`, which a store of series does not keep.
pub const NAN_MARK: f64 = 4_242_424_242.25;

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Hit {
    pub method: Method,
    pub path: String,
    /// The query of the address, as it came.
    pub query: String,
    pub headers: HeaderMap,
    /// Parameters of address and form.
    pub params: HashMap<String, String>,
    pub body: Bytes,
}

impl Hit {
    /// The question that only tells whether somebody is there, and the time.
    pub fn is_probe(&self) -> bool {
        self.params.get("query").is_some_and(|q| q == "time()") || self.path.ends_with("/buildinfo")
    }

    /// The question how many samples there are, which chooses the length of the first slice.
    pub fn is_count(&self) -> bool {
        self.params.get("query").is_some_and(|q| q.contains("count_over_time("))
    }

    /// The range of time whose samples or objects a query asks for.
    pub fn range(&self) -> Option<TimeRange> {
        // What nodes can give is read of the whole window each time: it is no sample of a run.
        if self.is_count() || self.params.get("query").is_some_and(|q| q.contains("kube_node_status_allocatable")) {
            return None;
        }
        let end_ms = (self.params.get("time")?.parse::<f64>().ok()? * 1000.0).round() as i64;
        let (_, rest) = self.params.get("query")?.rsplit_once('[')?;
        let length: i64 = rest.split_once("ms]")?.0.parse().ok()?;
        Some(TimeRange { start_ms: end_ms - length + 1, end_ms })
    }
}

/// What to do with a request: `None` answers it from the series. Gets how many came to the same path before.
pub type Script = Arc<dyn Fn(&Hit, usize) -> Option<Answer> + Send + Sync>;

/// An answer of a script.
pub enum Answer {
    Say(Response),
    /// The connection stays open and nothing comes.
    Silence,
    /// What another real server (its address) answers, with a warning in it: a part of the whole.
    PartOf(String, &'static str),
}

/// What answers where the script says nothing.
enum Well {
    Series(SeriesStore),
    /// A real server: its address without a slash at the end, and a client for it.
    Upstream(String, reqwest::Client),
}

/// A running server; stops when dropped.
pub struct FaultServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

struct Shared {
    well: Well,
    script: Mutex<Script>,
    hits: Mutex<Vec<Hit>>,
    /// The server's clock; the machine's own when absent.
    now_ms: Option<i64>,
}

impl FaultServer {
    /// Starts one that is well.
    pub fn start(series: SeriesStore) -> Self {
        Self::start_at(series, None)
    }

    /// The same with a clock of its own.
    pub fn start_at(series: SeriesStore, now_ms: Option<i64>) -> Self {
        Self::start_well(Well::Series(series), now_ms)
    }

    /// Stands before a real server and passes on to it what the script leaves alone.
    pub fn before(url: String) -> Self {
        // Fails when there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_gzip().no_proxy().tls_certs_only([]).build().unwrap();
        Self::start_well(Well::Upstream(url, client), None)
    }

    fn start_well(well: Well, now_ms: Option<i64>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let script: Script = Arc::new(|_, _| None);
        let shared = Arc::new(Shared { well, script: Mutex::new(script), hits: Mutex::default(), now_ms });
        let app = Router::new().fallback(serve).with_state(shared.clone());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, shared, runtime: Some(runtime) }
    }

    /// Answers by the script from now on, and forgets what it was asked.
    pub fn script(&self, script: impl Fn(&Hit, usize) -> Option<Answer> + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
        self.shared.hits.lock().unwrap().clear();
    }

    /// Is well from now on, and forgets what it was asked.
    pub fn heal(&self) {
        self.script(|_, _| None);
    }

    /// What it was asked.
    pub fn hits(&self) -> Vec<Hit> {
        self.shared.hits.lock().unwrap().clone()
    }

    /// Address with a secret in it.
    pub fn url(&self) -> String {
        format!("http://me:{}@{}/prom", super::cli::SECRET, self.address)
    }

    /// Address as messages show it.
    pub fn shown(&self) -> String {
        format!("http://{}/prom", self.address)
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An answer with a status and a body.
pub fn say(code: u16, body: impl Into<Body>) -> Option<Answer> {
    say_with(code, &[], body)
}

/// The same with headers.
pub fn say_with(code: u16, headers: &[(&'static str, &str)], body: impl Into<Body>) -> Option<Answer> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    Some(Answer::Say(response))
}

/// A body that breaks off behind its first part.
pub fn break_off(content_type: &str, part: &'static [u8]) -> Option<Answer> {
    let parts = [Ok(Bytes::from_static(part)), Err(std::io::Error::other("gone"))];
    // What is pending lets the server send what it has, else it would keep all of it back.
    let parts = futures::stream::iter(parts).then(|part| async {
        tokio::task::yield_now().await;
        part
    });
    say_with(200, &[("content-type", content_type)], Body::from_stream(parts))
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let form = String::from_utf8_lossy(&body).into_owned();
    let query = parts.uri.query().unwrap_or_default();
    let pairs = reqwest::Url::parse(&format!("http://h/?{query}&{form}")).unwrap();
    let params = pairs.query_pairs().into_owned().collect();
    let (method, path, query) = (parts.method, parts.uri.path().to_owned(), query.to_owned());
    let hit = Hit { method, path, query, headers: parts.headers, params, body };
    let before = {
        let mut hits = shared.hits.lock().unwrap();
        hits.push(hit.clone());
        hits.iter().filter(|h| h.path == hit.path).count() - 1
    };
    let script = shared.script.lock().unwrap().clone();
    match script(&hit, before) {
        Some(Answer::Say(response)) => response,
        Some(Answer::Silence) => std::future::pending().await,
        Some(Answer::PartOf(url, words)) => match &shared.well {
            Well::Series(_) => panic!("only what stands before a real server knows another one"),
            Well::Upstream(_, client) => from_upstream(&url, client, hit, Some(words)).await,
        },
        None => match &shared.well {
            Well::Series(series) => from_series(series, shared.now_ms, &hit).await,
            Well::Upstream(url, client) => from_upstream(url, client, hit, None).await,
        },
    }
}

async fn from_upstream(url: &str, client: &reqwest::Client, hit: Hit, warning: Option<&str>) -> Response {
    let path = hit.path.strip_prefix("/prom").unwrap_or(&hit.path);
    let mut request = client.request(hit.method, format!("{url}{path}?{}", hit.query)).body(hit.body);
    for name in ["content-type", "content-encoding", "accept", "x-prometheus-remote-read-version"] {
        if let Some(value) = hit.headers.get(name) {
            request = request.header(name, value);
        }
    }
    let answer = request.send().await.unwrap();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    if let Some(kind) = answer.headers().get("content-type") {
        response.headers_mut().insert("content-type", kind.clone());
    }
    let mut body = answer.bytes().await.unwrap();
    if let Some(warning) = warning {
        let said = String::from_utf8(body.to_vec()).unwrap();
        let begin = "{\"status\":\"success\",";
        body = said.replacen(begin, &format!("{begin}\"warnings\":[\"{warning}\"],"), 1).into();
    }
    *response.body_mut() = Body::from(body);
    response
}

async fn from_series(series: &SeriesStore, now_ms: Option<i64>, hit: &Hit) -> Response {
    let param = |name: &str| hit.params.get(name).map_or("", String::as_str);
    let data = match hit.path.rsplit_once("/api/v1/").map(|(_, endpoint)| endpoint) {
        Some("query") if param("query") == "time()" => {
            let now = now_ms.unwrap_or_else(|| jiff::Timestamp::now().as_millisecond()) as f64 / 1000.0;
            json!({"resultType": "scalar", "result": [now, now.to_string()]})
        }
        Some("query") => {
            let text = param("query").trim_start_matches("last_over_time(");
            let selector = parse(text.rsplit_once('[').unwrap().0);
            let last = param("query").starts_with("last_over_time(");
            match hit.range() {
                Some(range) => matrix(series, &selector, range, last).await,
                // It does not count, and has no nodes.
                None => json!({"resultType": "vector", "result": []}),
            }
        }
        Some("status/buildinfo") => json!({"version": "2.53.0", "revision": "abc"}),
        Some("label/__name__/values") => {
            let mut selector = parse(param("match[]"));
            let at = selector.matchers.iter().position(|m| m.label == "__name__").unwrap();
            let names = selector.matchers.remove(at).value;
            let names: Vec<&str> = names.split('|').collect();
            json!(series.metric_names_present(&names, ALL_TIME, &selector.matchers).await.unwrap())
        }
        Some("labels") => json!(series.label_names(&parse(param("match[]")), ALL_TIME).await.unwrap()),
        Some(label) if label.starts_with("label/") && label.ends_with("/values") => {
            let name = label.trim_start_matches("label/").trim_end_matches("/values");
            json!(series.label_values(name, &parse(param("match[]")), ALL_TIME).await.unwrap())
        }
        _ => return (StatusCode::NOT_FOUND, "404 page not found").into_response(),
    };
    axum::Json(json!({"status": "success", "data": data})).into_response()
}

/// Lists of names are of all time, as of a server with one block.
const ALL_TIME: TimeRange = TimeRange { start_ms: 0, end_ms: i64::MAX };

async fn matrix(series: &SeriesStore, selector: &Selector, range: TimeRange, last: bool) -> Value {
    let mut stream = series.samples(selector, range).await.unwrap();
    let mut found: BTreeMap<Vec<(String, String)>, Vec<Value>> = BTreeMap::new();
    while let Some(chunk) = stream.recv().await {
        let chunk = chunk.unwrap();
        let labels = chunk.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let values = chunk.samples.iter().map(|s| json!([s.at_ms as f64 / 1000.0, text_of(s.value)]));
        found.entry(labels).or_default().extend(values);
    }
    let result: Vec<Value> = found
        .into_iter()
        .map(|(labels, values)| {
            let mut metric: serde_json::Map<String, Value> = labels.into_iter().map(|(n, v)| (n, json!(v))).collect();
            if last {
                return json!({"metric": metric, "value": [range.end_ms as f64 / 1000.0, values.last().unwrap()[1]]});
            }
            metric.insert("__name__".to_owned(), json!(selector.metric));
            json!({"metric": metric, "values": values})
        })
        .collect();
    json!({"resultType": if last { "vector" } else { "matrix" }, "result": result})
}

fn text_of(value: f64) -> String {
    match value {
        NAN_MARK => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        value => value.to_string(),
    }
}

/// A selector as podfit writes it: a name, and matchers whose values hold no quote.
fn parse(text: &str) -> Selector {
    let (name, rest) = text.split_once('{').unwrap_or((text, ""));
    let mut selector = Selector::metric(name);
    let mut words = rest.split('"');
    while let (Some(head), Some(value)) = (words.next(), words.next()) {
        let head = head.trim_matches([',', '}']);
        let at = head.find(['=', '!']).unwrap();
        let op = match &head[at..] {
            "=" => MatchOp::Equal,
            "!=" => MatchOp::NotEqual,
            "=~" => MatchOp::Regex,
            _ => MatchOp::NotRegex,
        };
        let value = value.replace("\\\\", "\\");
        selector.matchers.push(Matcher { label: head[..at].to_owned(), op, value });
    }
    selector
}
