//! Bearer tokens by OAuth 2.0 client credentials (RFC 6749 §4.4), by a secret or by an assertion that somebody else
//! signed (RFC 7523 §2.2: workload identity of Azure and others). Knows nothing of what the tokens are for.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::Mutex;

use super::address::Base;
use super::body::{Body, Bounds};
use super::error::Error;
use super::refusal::{message_of, root_cause};
use super::secrets::{Secrets, read_secret};
use crate::secret::Secret;

/// The longest answer of a token endpoint.
const CAP: usize = 1 << 20;
/// A token is renewed this long before it ends, or the request that carries it might arrive too late.
const MARGIN: Duration = Duration::from_secs(30);
/// How long a token is used of which nothing is said.
const UNSAID: Duration = Duration::from_secs(60);

/// Where tokens come from, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth2 {
    /// Address of the token endpoint.
    pub token_url: String,
    /// The client's id.
    pub client_id: String,
    /// What proves that the client is who it says; the file is read again for every token.
    pub proof: ClientProof,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
}

/// What proves who the client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientProof {
    /// A file that holds the client's secret.
    SecretFile(PathBuf),
    /// A file that holds a signed assertion (JWT).
    AssertionFile(PathBuf),
}

/// Tokens, renewed before they end.
pub(crate) struct Tokens {
    settings: OAuth2,
    base: Base,
    client: reqwest::Client,
    timeout: Duration,
    current: Mutex<Option<(Secret, Instant)>>,
}

impl Tokens {
    pub(crate) fn new(settings: OAuth2, timeout: Duration) -> Result<Self, Error> {
        let base = Base::parse(&settings.token_url).map_err(|_| Error::Config {
            setting: "--prometheus-oauth2-token-url",
            problem: "not an http:// or https:// address".to_owned(),
        })?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("podfit/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout);
        if base.url.scheme() == "http" {
            builder = builder.tls_certs_only([]);
        }
        let client =
            builder.build().map_err(|e| Error::Tls { url: base.shown.clone(), cause: root_cause(&e.without_url()) })?;
        Ok(Self { settings, base, client, timeout, current: Mutex::new(None) })
    }

    /// A token that is still good for a while.
    pub(crate) async fn current(&self, secrets: &Secrets) -> Result<Secret, Error> {
        let mut current = self.current.lock().await;
        if let Some((token, until)) = &*current
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let (token, lasts) = self.ask(secrets).await?;
        secrets.add(token.expose());
        *current = Some((token.clone(), Instant::now() + lasts.saturating_sub(MARGIN)));
        Ok(token)
    }

    /// Forgets the token; false where there was none.
    pub(crate) async fn forget(&self) -> bool {
        self.current.lock().await.take().is_some()
    }

    async fn ask(&self, secrets: &Secrets) -> Result<(Secret, Duration), Error> {
        let id = self.settings.client_id.as_str();
        let scopes = self.settings.scopes.join(" ");
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", id)];
        if !scopes.is_empty() {
            form.push(("scope", &scopes));
        }
        let proof = match &self.settings.proof {
            ClientProof::SecretFile(file) | ClientProof::AssertionFile(file) => read_secret(file)?,
        };
        secrets.add_login(id, proof.expose());
        if matches!(self.settings.proof, ClientProof::AssertionFile(_)) {
            form.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
            form.push(("client_assertion", proof.expose()));
            return self.send(self.client.post(self.base.url.clone()).form(&form), secrets).await;
        }
        // Most servers take the secret in the form; some only as basic authentication.
        let mut with_secret = form.clone();
        with_secret.push(("client_secret", proof.expose()));
        match self.send(self.client.post(self.base.url.clone()).form(&with_secret), secrets).await {
            Err(Error::Token { status: Some(400 | 401), .. }) => {
                let basic = self.client.post(self.base.url.clone()).basic_auth(id, Some(proof.expose()));
                self.send(basic.form(&form), secrets).await
            }
            answer => answer,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder, secrets: &Secrets) -> Result<(Secret, Duration), Error> {
        let failed =
            |status: Option<u16>, problem: String| Error::Token { url: self.base.shown.clone(), status, problem };
        let response = request.send().await.map_err(|e| failed(None, root_cause(&e.without_url())))?;
        let status = response.status();
        let bounds = Bounds { silence: self.timeout, whole: self.timeout, bytes: CAP as u64 };
        let mut body = Body::new(response, &self.base.shown, bounds, Duration::ZERO);
        let bytes = body.read_up_to(CAP).await;
        if !status.is_success() {
            let words = secrets.shown(&message_of(&bytes));
            return Err(failed(Some(status.as_u16()), format!("HTTP {}: {words}", status.as_u16())));
        }
        read_token(&bytes).map_err(|problem| failed(None, problem.to_owned()))
    }
}

/// The token in an answer, and how long it lasts.
pub(super) fn read_token(body: &[u8]) -> Result<(Secret, Duration), &'static str> {
    #[derive(Deserialize)]
    struct TokenResponse {
        access_token: String,
        #[serde(default)]
        token_type: String,
        #[serde(default)]
        expires_in: serde_json::Value,
    }
    let answer: TokenResponse = serde_json::from_slice(body).map_err(|_| "its answer holds no access_token")?;
    let token = answer.access_token.trim();
    if token.is_empty() {
        return Err("its access_token is empty");
    }
    if !answer.token_type.is_empty() && !answer.token_type.eq_ignore_ascii_case("bearer") {
        return Err("its token is not a bearer token");
    }
    // Some write the number as a text.
    let seconds = match &answer.expires_in {
        serde_json::Value::Number(n) => n.as_f64(),
        serde_json::Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let lasts = seconds.filter(|s| (0.0..1e9).contains(s)).map_or(UNSAID, Duration::from_secs_f64);
    Ok((Secret::new(token), lasts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_token_endpoints() {
        let read = |text: &str| read_token(text.as_bytes()).map(|(token, lasts)| (token.expose().to_owned(), lasts));
        let token = |seconds| Ok(("t".to_owned(), Duration::from_secs(seconds)));
        assert_eq!(read(r#"{"access_token":"t","token_type":"Bearer","expires_in":3600}"#), token(3600));
        assert_eq!(read(r#"{"access_token":"t","expires_in":"3599"}"#), token(3599));
        assert_eq!(read(r#"{"access_token":"t","expires_in":-1}"#), token(60));
        assert!(read(r#"{"access_token":""}"#).is_err());
        assert!(read(r#"{"access_token":"t","token_type":"mac"}"#).is_err());
        assert!(read("<html>").is_err());
    }
}
