//! By POST to an address that may be a secret: it is never printed, only its host. Tries again what may pass.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use super::{Failure, Patience, SecretFrom};
use crate::secret::Secrets;
use crate::text;

/// Waits between tries start here and double.
const MIN_DELAY: Duration = Duration::from_millis(500);
/// Of an answer's body this much is read and this many characters are shown.
const BODY_CAP: usize = 16 << 10;
const SHOWN: usize = 200;

/// A request that can be sent again.
pub(super) struct Call<'a> {
    pub(super) url: &'a Url,
    pub(super) headers: HeaderMap,
    /// Media type of the body.
    pub(super) kind: &'static str,
    pub(super) body: Bytes,
}

/// Sends it.
pub(super) async fn post(
    url: &SecretFrom,
    body: &str,
    headers: &[(String, SecretFrom)],
    patience: Patience,
) -> Result<String, Failure> {
    let url = address(url)?;
    let headers = header_map(headers)?;
    let client = client(&url, patience)?;
    let call = Call { url: &url, headers, kind: "application/json", body: Bytes::copy_from_slice(body.as_bytes()) };
    answered(&client, &call, patience, Failure::is_passing).await?;
    Ok(said(&url, body))
}

/// The beginning of the answer to a call that was taken; `again` says of a failure whether to try once more.
pub(super) async fn answered(
    client: &Client,
    call: &Call<'_>,
    patience: Patience,
    again: impl Fn(&Failure) -> bool,
) -> Result<String, Failure> {
    let backoff = ExponentialBuilder::default()
        .with_min_delay(MIN_DELAY.min(patience.longest_wait))
        .with_max_delay(patience.longest_wait)
        .with_max_times(patience.retries);
    (|| one_try(client, call))
        .retry(backoff)
        .sleep(tokio::time::sleep)
        .when(again)
        .adjust(|failure, wait| {
            let asked = failure.retry_after().map(|asked| asked.min(patience.longest_wait));
            wait.map(|wait| asked.unwrap_or(wait))
        })
        .await
}

/// What would be sent.
pub(super) fn described(url: &SecretFrom, body: &str, headers: &[(String, SecretFrom)]) -> Result<String, Failure> {
    header_map(headers)?;
    Ok(said(&address(url)?, body))
}

fn said(url: &Url, body: &str) -> String {
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{} bytes of JSON to {}://{}{port}", body.len(), url.scheme(), url.host_str().unwrap_or_default())
}

fn address(url: &SecretFrom) -> Result<Url, Failure> {
    let text = url.read()?;
    let wrong = || Failure::Setting("what its secret holds is no http or https address".to_owned());
    let url = Url::parse(text.expose()).map_err(|_| wrong())?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() { Ok(url) } else { Err(wrong()) }
}

/// Whether what is sent there can be read on the way by nobody else.
pub(super) fn is_private(url: &Url) -> Result<(), Failure> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if url.scheme() == "https" || url.scheme() == "http" && loopback {
        return Ok(());
    }
    Err(Failure::Setting("a secret would be sent without TLS; give an address that begins with https://".to_owned()))
}

fn header_map(headers: &[(String, SecretFrom)]) -> Result<HeaderMap, Failure> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let wrong = || Failure::Setting(format!("{} is no header, or its value is none", text::short(name, 40)));
        let mut value = HeaderValue::from_str(value.read()?.expose()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        map.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
    }
    Ok(map)
}

pub(super) fn client(url: &Url, patience: Patience) -> Result<Client, Failure> {
    // Fails when a provider is already installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("podfit/", env!("CARGO_PKG_VERSION")))
        // A redirect would take the report to where nobody asked for.
        .redirect(reqwest::redirect::Policy::none())
        .timeout(patience.timeout);
    if url.scheme() == "http" {
        // A plain connection needs no CAs of the system, which a bare image may lack.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|e| Failure::Setting(format!("no connection can be made: {}", root(&e))))
}

async fn one_try(client: &Client, call: &Call<'_>) -> Result<String, Failure> {
    let request = client
        .post(call.url.clone())
        .header(CONTENT_TYPE, call.kind)
        .headers(call.headers.clone())
        .body(call.body.clone());
    let response = request.send().await.map_err(|e| unreachable(&e))?;
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let beginning = beginning(response).await;
    if status.is_success() {
        return Ok(beginning);
    }
    let message = message(&beginning, &secrets(call));
    let passing =
        matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) || status.is_server_error();
    if passing {
        return Err(Failure::Busy {
            status: status.as_u16(),
            message,
            retry_after: retry_after.map(Duration::from_secs),
        });
    }
    Err(Failure::Refused { status: status.as_u16(), message })
}

/// The beginning of an answer.
async fn beginning(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= BODY_CAP {
            break;
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

/// What an answer may repeat of the request.
fn secrets(call: &Call<'_>) -> Secrets {
    let mut secrets = Secrets::default();
    secrets.add_address(call.url);
    call.headers.values().filter_map(|value| value.to_str().ok()).for_each(|value| secrets.add_setting(value));
    secrets
}

/// What is shown of it, on one line.
fn message(text: &str, secrets: &Secrets) -> String {
    let struck = secrets.strike(text);
    let clean: String = struck.chars().map(|c| if text::is_unprintable(c) { ' ' } else { c }).take(SHOWN).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn unreachable(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Unreachable("no answer came in time".to_owned());
    }
    Failure::Unreachable(format!("nobody took it: {}", root(error)))
}

/// The innermost cause: the outer ones name the address.
fn root(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let text = last.to_string();
    text.chars().filter(|c| !text::is_unprintable(*c)).take(SHOWN).collect()
}
