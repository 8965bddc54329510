//! Requests and bodies: authorization, TLS, retries, and what each HTTP status means in words.
//! Knows nothing of queries and samples.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};

use super::config::{Auth, Base, Config, read_secret};
use super::error::{Error, clean, unreadable};
use super::refusal::{
    in_quotes, is_page, message_of, page_title, parse_http_date, parse_retry_after, root_cause, shown_location,
};
use crate::secret::{Secret, Secrets};

/// An error body is read up to here.
const ERROR_BODY_CAP: usize = 64 << 10;
/// Waits between tries start here and double, up to `MAX_DELAY`, unless the server says how long.
const MIN_DELAY: Duration = Duration::from_millis(200);
const MAX_DELAY: Duration = Duration::from_secs(15);

/// A connection pool to one server.
pub(crate) struct Http {
    client: reqwest::Client,
    base: Base,
    auth: Auth,
    headers: HeaderMap,
    params: Vec<(String, String)>,
    timeout: Duration,
    retries: usize,
    max_wait: Duration,
    pub requests: AtomicU64,
    pub retried: AtomicU64,
    pub bytes: AtomicU64,
}

impl Http {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        // Fails when a provider is already installed, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base = Base::parse(&config.url)?;
        let auth = match (&config.auth, &base.userinfo) {
            (Auth::None, Some((user, password))) => Auth::Basic { user: user.clone(), password: password.clone() },
            (auth, _) => auth.clone(),
        };
        let mut params = base.params.clone();
        params.extend(config.extra_params.iter().cloned());
        Ok(Self {
            client: build_client(config, &base)?,
            headers: build_headers(&config.headers)?,
            auth,
            base,
            params,
            timeout: config.timeout,
            retries: config.retries,
            max_wait: config.max_wait,
            requests: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        })
    }

    /// The address for messages.
    pub(crate) fn shown(&self) -> &str {
        &self.base.shown
    }

    /// GET with parameters; one try.
    pub(crate) async fn get(&self, path: &str, params: &[(&str, String)]) -> Result<Body, Error> {
        let mut url = self.base.endpoint(path);
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(params).extend_pairs(&self.params);
        }
        if url.query() == Some("") {
            url.set_query(None);
        }
        self.send(self.client.get(url)).await
    }

    /// POST of a form; one try.
    pub(crate) async fn post_form(&self, path: &str, params: &[(&str, String)]) -> Result<Body, Error> {
        let mut form: Vec<(&str, &str)> = params.iter().map(|(n, v)| (*n, v.as_str())).collect();
        form.extend(self.params.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        self.send(self.client.post(self.base.endpoint(path)).form(&form)).await
    }

    /// POST of bytes with headers of their own; one try.
    pub(crate) async fn post_bytes(
        &self,
        path: &str,
        headers: &[(&'static str, &'static str)],
        body: Bytes,
    ) -> Result<Body, Error> {
        let mut url = self.base.endpoint(path);
        if !self.base.params.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.base.params);
        }
        let mut request = self.client.post(url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    /// Repeats a call while it fails with what `again` accepts, waiting longer each time or as long as the server asks.
    pub(crate) async fn retrying<T, E, F>(&self, call: impl FnMut() -> F, again: impl Fn(&E) -> bool) -> Result<T, E>
    where
        E: Failure,
        F: Future<Output = Result<T, E>>,
    {
        let backoff = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(MIN_DELAY)
            .with_max_delay(MAX_DELAY)
            .with_max_times(self.retries);
        call.retry(backoff)
            .sleep(tokio::time::sleep)
            .when(|e| again(e))
            .notify(|_, _| {
                self.retried.fetch_add(1, Ordering::Relaxed);
            })
            .adjust(|e, wait| {
                let asked = e.error().and_then(Error::retry_after).map(|d| d.min(self.max_wait));
                wait.map(|w| asked.unwrap_or(w))
            })
            .await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Body, Error> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let request = self.authorize(request.headers(self.headers.clone()))?;
        let response = request.send().await.map_err(|e| self.failed(e).struck(&self.secrets()))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Body { response, shown: self.base.shown.clone(), timeout: self.timeout, bytes: 0 });
        }
        Err(self.refused(status, response).await.struck(&self.secrets()))
    }

    /// What a server may repeat of what was sent to it. A file is read again: what it holds now is what was sent.
    pub(crate) fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        if let Some((user, password)) = &self.base.userinfo {
            secrets.add_login(user, password.expose());
        }
        let read = |path| read_secret(path).unwrap_or_default();
        match &self.auth {
            Auth::None => {}
            Auth::Basic { user, password } => secrets.add_login(user, password.expose()),
            Auth::BasicFile { user, password_file } => secrets.add_login(user, read(password_file).expose()),
            Auth::Bearer(token) => secrets.add(token.expose()),
            Auth::BearerFile(path) => secrets.add(read(path).expose()),
        }
        let headers = self.headers.values().filter_map(|value| value.to_str().ok());
        headers.chain(self.params.iter().map(|(_, value)| value.as_str())).for_each(|v| secrets.add_setting(v));
        secrets
    }

    fn authorize(&self, request: RequestBuilder) -> Result<RequestBuilder, Error> {
        let bearer = |token: &Secret| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| Error::Config {
                setting: "--prometheus-token-file",
                problem: "the token holds a line break or another character that no header may have".to_owned(),
            })?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        };
        Ok(match &self.auth {
            Auth::None => request,
            Auth::Basic { user, password } => request.basic_auth(user, Some(password.expose())),
            Auth::BasicFile { user, password_file } => {
                request.basic_auth(user, Some(read_secret(password_file)?.expose()))
            }
            Auth::Bearer(token) => request.header(AUTHORIZATION, bearer(token)?),
            Auth::BearerFile(path) => request.header(AUTHORIZATION, bearer(&read_secret(path)?)?),
        })
    }

    /// A request that got no status.
    fn failed(&self, error: reqwest::Error) -> Error {
        let url = self.base.shown.clone();
        if error.is_timeout() && !error.is_connect() {
            return Error::Timeout { url, after: self.timeout };
        }
        let dns = error.is_dns();
        let connect = error.is_connect();
        let cause = root_cause(&error.without_url());
        let lower = cause.to_ascii_lowercase();
        let plain = lower.contains("invalidcontenttype");
        if !plain
            && ["certificate", "tls", "handshake", "unknownissuer", "corrupt message"].iter().any(|w| lower.contains(w))
        {
            return Error::Tls { url, cause };
        }
        let hint = if plain {
            "it does not speak TLS there; write http:// or give the port that does"
        } else if dns {
            "check the host name; a service inside the cluster needs `kubectl port-forward`"
        } else if connect {
            "check address and port, or open the way with `kubectl port-forward`"
        } else if self.base.url.scheme() == "https" {
            // TLS 1.3 servers refuse a missing client certificate only after the handshake.
            "the connection broke before an answer came; if it asks for a client certificate give one, else run again"
        } else {
            "the connection broke before an answer came; run again"
        };
        Error::Unreachable { url, cause, hint }
    }

    /// What a status other than 2xx means.
    async fn refused(&self, status: StatusCode, response: Response) -> Error {
        let url = self.base.shown.clone();
        let code = status.as_u16();
        if status.is_redirection() {
            let location = response.headers().get(LOCATION).and_then(|v| v.to_str().ok()).unwrap_or("");
            return Error::Redirected { location: shown_location(&self.base.url, location), url };
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(parse_retry_after);
        let mut body = Body { response, shown: url.clone(), timeout: self.timeout, bytes: 0 };
        let text = body.read_up_to(ERROR_BODY_CAP).await;
        let page = is_page(&text);
        let message = if page { page_title(&text) } else { message_of(&text) };
        match code {
            401 | 403 => Error::Denied { url, status: code, detail: message },
            404 if page || !text.trim_ascii_start().starts_with(b"{") => {
                Error::NotPrometheus { url, what: format!("HTTP 404{}", in_quotes(&message)) }
            }
            429 | 502 | 503 | 504 => Error::Busy { url, status: code, message, retry_after },
            _ if page => {
                Error::NotPrometheus { url, what: format!("a web page with HTTP {code}{}", in_quotes(&message)) }
            }
            500.. => Error::Server { url, kind: format!("HTTP {code}"), message },
            _ => Error::Rejected { url, status: code, message },
        }
    }
}

/// Something that may hold an error.
pub(crate) trait Failure {
    /// The error, when there is one.
    fn error(&self) -> Option<&Error>;
}

impl Failure for Error {
    fn error(&self) -> Option<&Error> {
        Some(self)
    }
}

/// A response whose status was fine, read piece by piece.
pub(crate) struct Body {
    response: Response,
    shown: String,
    timeout: Duration,
    bytes: u64,
}

impl Body {
    /// The next piece; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match self.response.chunk().await {
            Ok(piece) => {
                self.bytes += piece.as_ref().map_or(0, |p| p.len() as u64);
                Ok(piece)
            }
            Err(e) if e.is_timeout() => Err(Error::Timeout { url: self.shown.clone(), after: self.timeout }),
            Err(e) => Err(Error::Truncated {
                url: self.shown.clone(),
                bytes: self.bytes,
                cause: root_cause(&e.without_url()),
            }),
        }
    }

    /// The whole body, at most `cap` bytes of it.
    pub(crate) async fn read_all(&mut self, cap: usize) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        while let Some(piece) = self.chunk().await? {
            if out.len() + piece.len() > cap {
                return Err(Error::Decode {
                    url: self.shown.clone(),
                    problem: format!("the answer is longer than {cap} bytes"),
                });
            }
            out.extend_from_slice(&piece);
        }
        Ok(out)
    }

    /// What of the body comes, up to a limit; errors end it.
    async fn read_up_to(&mut self, cap: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while let Ok(Some(piece)) = self.chunk().await {
            out.extend_from_slice(&piece[..piece.len().min(cap - out.len())]);
            if out.len() >= cap {
                break;
            }
        }
        out
    }

    pub(crate) fn content_type(&self) -> &str {
        self.response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|v| v.to_str().ok())
    }

    /// The server's clock, milliseconds since the epoch.
    pub(crate) fn date_ms(&self) -> Option<i64> {
        self.header(DATE.as_str()).and_then(parse_http_date)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Refuses a web page that came with status 200: a login form, Grafana, a proxy's greeting.
    pub(crate) fn reject_page(self) -> Result<Self, Error> {
        if self.content_type().starts_with("text/html") {
            return Err(Error::NotPrometheus { url: self.shown, what: "it answers with a web page".to_owned() });
        }
        Ok(self)
    }
}

fn build_client(config: &Config, base: &Base) -> Result<reqwest::Client, Error> {
    let read = |path: &std::path::Path| {
        std::fs::read(path).map_err(|e| Error::File { path: path.to_owned(), problem: unreadable(&e) })
    };
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("podfit/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(config.timeout.min(Duration::from_secs(10)))
        .read_timeout(config.timeout)
        .tcp_nodelay(true);
    if base.url.scheme() == "http" {
        // A plain connection is a near one: compressing costs the server more than the network saves. Nor does it need
        // the system's CAs, which a bare image may lack.
        builder = builder.no_gzip().tls_certs_only([]);
    } else if config.insecure {
        builder = builder.tls_danger_accept_invalid_certs(true);
    } else if let Some(path) = &config.ca_file {
        let certs = reqwest::Certificate::from_pem_bundle(&read(path)?).unwrap_or_default();
        if certs.is_empty() {
            return Err(Error::File { path: path.clone(), problem: "it holds no PEM certificate".to_owned() });
        }
        builder = builder.tls_certs_only(certs);
    }
    match (&config.client_cert, &config.client_key) {
        (Some(cert), Some(key)) => {
            let mut pem = read(cert)?;
            pem.push(b'\n');
            pem.extend(read(key)?);
            let identity = reqwest::Identity::from_pem(&pem).map_err(|_| Error::File {
                path: cert.clone(),
                problem: "with its key it makes no usable PEM client certificate".to_owned(),
            })?;
            builder = builder.identity(identity);
        }
        (None, None) => {}
        _ => {
            return Err(Error::Config {
                setting: "client certificate",
                problem: "certificate and key go together; give both files or none".to_owned(),
            });
        }
    }
    builder.build().map_err(|e| Error::Tls { url: base.shown.clone(), cause: root_cause(&e.without_url()) })
}

fn build_headers(pairs: &[(String, Secret)]) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let wrong = || Error::Config {
            setting: "--prometheus-header",
            problem: format!("{} cannot be sent; only visible ASCII characters can", clean(name)),
        };
        let name = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
        let mut value = HeaderValue::try_from(value.expose()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}
