//! Requests to one server: how they are sent, tried again and counted, and what each HTTP status means in words.
//! Knows nothing of queries and samples.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, Request, Response, StatusCode};

use super::address::Base;
use super::body::{Body, Bounds};
use super::config::{Auth, Config};
use super::connection::{Proxy, build_client};
use super::credentials::Credentials;
use super::error::{Error, clean};
use super::refusal::{in_quotes, is_page, message_of, page_title, parse_retry_after, root_cause, shown_location};
use super::secrets::Secrets;
use crate::secret::Secret;

/// Thanos answers from down-sampled blocks where its own default says so, and those hold averages of five minutes or an
/// hour, which are no peaks. Other servers do not know the parameter.
const RAW_SAMPLES: (&str, &str) = ("max_source_resolution", "0s");

/// An error body is read up to here.
const ERROR_BODY_CAP: usize = 64 << 10;
/// Waits between tries start here and double, up to `MAX_DELAY`, unless the server says how long.
const MIN_DELAY: Duration = Duration::from_millis(200);
const MAX_DELAY: Duration = Duration::from_secs(15);
/// The shortest wait where a server says that there were too many requests, and not how long to wait.
const BUSY_DELAY: Duration = Duration::from_secs(2);
/// All requests of a client together are tried again this many times as often as one may be.
const RETRIES_OF_ALL: u64 = 50;

/// The way to one server.
pub(crate) struct Http {
    client: reqwest::Client,
    base: Base,
    credentials: Credentials,
    headers: HeaderMap,
    params: Vec<(String, String)>,
    bounds: Bounds,
    retries: usize,
    max_wait: Duration,
    proxy: Option<Proxy>,
    /// Forms are refused, or were accepted before.
    only_get: AtomicBool,
    posts: AtomicBool,
    /// What no message may repeat.
    pub secrets: Secrets,
    pub requests: AtomicU64,
    pub retried: AtomicU64,
    pub bytes: AtomicU64,
}

impl Http {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let base = Base::parse(&config.url)?;
        let auth = match (&config.auth, &base.userinfo) {
            (Auth::None, Some((user, password))) => Auth::Basic { user: user.clone(), password: password.clone() },
            (auth, _) => auth.clone(),
        };
        let mut params = base.params.clone();
        params.extend(config.extra_params.iter().cloned());
        let secrets = Secrets::default();
        let settings = params.iter().map(|(_, value)| value.as_str());
        settings.chain(config.headers.iter().map(|(_, v)| v.expose())).for_each(|v| secrets.add_setting(v));
        if let Some((user, password)) = &base.userinfo {
            secrets.add_login(user, password.expose());
        }
        if !params.iter().any(|(name, _)| name == RAW_SAMPLES.0) {
            params.push((RAW_SAMPLES.0.to_owned(), RAW_SAMPLES.1.to_owned()));
        }
        Ok(Self {
            client: build_client(config, &base)?,
            headers: build_headers(&config.headers)?,
            credentials: Credentials::new(&auth, config.timeout)?,
            proxy: Proxy::of(&base),
            base,
            params,
            bounds: Bounds { silence: config.timeout, whole: config.whole_answer, bytes: config.max_answer_bytes },
            retries: config.retries,
            max_wait: config.max_wait,
            only_get: AtomicBool::new(false),
            posts: AtomicBool::new(false),
            secrets,
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
        Ok(self.send(Request::new(Method::GET, url)).await?)
    }

    /// Asks with parameters, by POST, whose length nothing bounds, or by GET where POST is refused; one try.
    pub(crate) async fn ask(&self, path: &str, params: &[(&str, String)]) -> Result<Body, Error> {
        if self.only_get.load(Ordering::Relaxed) {
            return self.get(path, params).await;
        }
        let refused = match self.post_form(path, params).await {
            Err(refused) if !self.posts.load(Ordering::Relaxed) && refused.may_be_the_method() => refused,
            answer => {
                self.posts.fetch_or(answer.is_ok(), Ordering::Relaxed);
                return Ok(answer?);
            }
        };
        match self.get(path, params).await {
            Ok(body) => {
                tracing::info!(server = self.shown(), "POST is refused (HTTP {}): it is asked by GET", refused.status);
                self.only_get.store(true, Ordering::Relaxed);
                Ok(body)
            }
            // Where GET is understood, it is the one that tells what is wrong.
            Err(error @ (Error::Rejected { status: 400 | 422, .. } | Error::Busy { .. })) => Err(error),
            Err(_) => Err(refused.error),
        }
    }

    async fn post_form(&self, path: &str, params: &[(&str, String)]) -> Result<Body, Refused> {
        // Nobody but a form knows how a form is written.
        let mut form = self.base.url.clone();
        form.query_pairs_mut().clear().extend_pairs(params).extend_pairs(&self.params);
        let mut request = Request::new(Method::POST, self.base.endpoint(path));
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, kind);
        *request.body_mut() = Some(form.query().unwrap_or_default().to_owned().into());
        self.send(request).await
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
        let mut request = Request::new(Method::POST, url);
        for (name, value) in headers {
            request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        *request.body_mut() = Some(body.into());
        Ok(self.send(request).await?)
    }

    /// Repeats a call while it fails with what `again` accepts, waiting longer each time or as long as the server asks;
    /// over all calls together only so often.
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
        let most = (self.retries as u64).saturating_mul(RETRIES_OF_ALL);
        let spent = || self.retried.load(Ordering::Relaxed) >= most;
        call.retry(backoff)
            .sleep(tokio::time::sleep)
            .when(|e| again(e) && !spent())
            .notify(|_, _| {
                self.retried.fetch_add(1, Ordering::Relaxed);
            })
            .adjust(|e, wait| {
                let asked = e.error().and_then(Error::retry_after);
                let busy = || e.error().is_some_and(Error::is_too_often).then_some(BUSY_DELAY);
                let asked = asked.or_else(busy).map(|d| d.min(self.max_wait));
                wait.map(|w| asked.unwrap_or(w))
            })
            .await
            .map_err(|e| if most > 0 && spent() && again(&e) { e.give_up(most) } else { e })
    }

    async fn send(&self, mut request: Request) -> Result<Body, Refused> {
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        let second = request.try_clone();
        match self.send_once(request).await {
            Err(refused) if refused.status == 401 && self.credentials.renew().await => match second {
                Some(request) => self.send_once(request).await,
                None => Err(refused),
            },
            answer => answer,
        }
    }

    async fn send_once(&self, mut request: Request) -> Result<Body, Refused> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.credentials.authorize(&mut request, &self.secrets).await?;
        let begun = Instant::now();
        let answer = tokio::time::timeout(self.bounds.whole, self.client.execute(request)).await;
        let slow = |_| Error::Slow { url: self.base.shown.clone(), after: self.bounds.whole, bytes: 0 };
        let response = answer.map_err(slow)?.map_err(|e| self.secrets.struck(self.failed(e)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Body::new(response, &self.base.shown, self.bounds, begun.elapsed()));
        }
        let error = self.secrets.struck(self.refused(status, response).await);
        Err(Refused { status: status.as_u16(), error })
    }

    /// A request that got no status.
    fn failed(&self, error: reqwest::Error) -> Error {
        let url = self.base.shown.clone();
        if error.is_timeout() && !error.is_connect() {
            return Error::Timeout { url, after: self.bounds.silence };
        }
        let dns = error.is_dns();
        let connect = error.is_connect();
        let cause = root_cause(&error.without_url());
        let lower = cause.to_ascii_lowercase();
        if let Some(proxy) = self.proxy.as_ref().filter(|_| connect) {
            return Error::Unreachable { url, cause, hint: proxy.to_string() };
        }
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
        Error::Unreachable { url, cause, hint: hint.to_owned() }
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
        // Nobody waits long for the words of a refusal.
        let bounds = Bounds { whole: self.bounds.silence, ..self.bounds };
        let text = Body::new(response, &url, bounds, Duration::ZERO).read_up_to(ERROR_BODY_CAP).await;
        let page = is_page(&text);
        let message = self.secrets.shown(&if page { page_title(&text) } else { message_of(&text) });
        match (code, &self.proxy) {
            (407, Some(proxy)) => {
                let cause = format!("it is asked for credentials on the way (HTTP 407){}", in_quotes(&message));
                return Error::Unreachable { url, cause, hint: proxy.to_string() };
            }
            (502..=504, Some(proxy)) if page => {
                let cause = format!("HTTP {code}{}", in_quotes(&message));
                return Error::Unreachable { url, cause, hint: proxy.to_string() };
            }
            _ => {}
        }
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

/// A request that was not answered.
struct Refused {
    /// 0 where none came.
    status: u16,
    error: Error,
}

impl Refused {
    /// Whether another method may be answered where this one was not.
    fn may_be_the_method(&self) -> bool {
        matches!(self.status, 403 | 404 | 405 | 501)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { status: 0, error }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}

/// Something that may hold an error.
pub(crate) trait Failure {
    /// The error, when there is one.
    fn error(&self) -> Option<&Error>;

    /// The same after so many tries that no more are made.
    #[must_use]
    fn give_up(self, retries: u64) -> Self;
}

impl Failure for Error {
    fn error(&self) -> Option<&Error> {
        Some(self)
    }

    fn give_up(self, retries: u64) -> Self {
        Self::GaveUp { error: Box::new(self), retries }
    }
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
