//! JSON by POST to an address that may be a secret: it is never printed, only its host. Tries again what may pass.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use super::{Failure, Patience, SecretFrom};
use crate::report::units;

/// Waits between tries start here and double.
const MIN_DELAY: Duration = Duration::from_millis(500);
/// Of an answer's body this much is read and this many characters are shown.
const BODY_CAP: usize = 4 << 10;
const SHOWN: usize = 200;

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
    let once = || one_try(&client, &url, body, &headers);
    let backoff = ExponentialBuilder::default()
        .with_min_delay(MIN_DELAY.min(patience.longest_wait))
        .with_max_delay(patience.longest_wait)
        .with_max_times(patience.retries);
    once.retry(backoff)
        .sleep(tokio::time::sleep)
        .when(Failure::is_passing)
        .adjust(|failure, wait| {
            let asked = failure.retry_after().map(|asked| asked.min(patience.longest_wait));
            wait.map(|wait| asked.unwrap_or(wait))
        })
        .await?;
    Ok(said(&url, body))
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

fn header_map(headers: &[(String, SecretFrom)]) -> Result<HeaderMap, Failure> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let wrong = || Failure::Setting(format!("{} is no header, or its value is none", units::name(name, 40)));
        let mut value = HeaderValue::from_str(value.read()?.expose()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        map.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
    }
    Ok(map)
}

fn client(url: &Url, patience: Patience) -> Result<Client, Failure> {
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

async fn one_try(client: &Client, url: &Url, body: &str, headers: &HeaderMap) -> Result<(), Failure> {
    let request = client
        .post(url.clone())
        .header(CONTENT_TYPE, "application/json")
        .headers(headers.clone())
        .body(body.to_owned());
    let response = request.send().await.map_err(|e| unreachable(&e))?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let message = message(response).await;
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

/// The beginning of an answer, on one line.
async fn message(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= BODY_CAP {
            break;
        }
    }
    let text = String::from_utf8_lossy(&body);
    let clean: String = text.chars().map(|c| if units::is_unprintable(c) { ' ' } else { c }).take(SHOWN).collect();
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
    text.chars().filter(|c| !units::is_unprintable(*c)).take(SHOWN).collect()
}
