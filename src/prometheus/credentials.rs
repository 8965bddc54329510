//! Lets each request in: user and password, tokens, AWS signatures. What may change while podfit runs is read again.
//! Knows nothing of what is asked.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Request;
use reqwest::header::{AUTHORIZATION, HeaderValue};

use super::config::Auth;
use super::error::Error;
use super::oauth2::Tokens;
use super::secrets::{Secrets, read_secret};
use super::sigv4::Signer;
use crate::secret::Secret;

/// How requests are let in.
pub(crate) enum Credentials {
    None,
    Basic { user: String, password: Secret },
    BasicFile { user: String, file: PathBuf },
    Bearer(Secret),
    BearerFile(PathBuf),
    OAuth2(Box<Tokens>),
    Sigv4(Box<Signer>),
}

impl Credentials {
    /// Checks the settings; asks nobody yet.
    pub(crate) fn new(auth: &Auth, timeout: Duration) -> Result<Self, Error> {
        Ok(match auth.clone() {
            Auth::None => Self::None,
            Auth::Basic { user, password } => Self::Basic { user, password },
            Auth::BasicFile { user, password_file } => Self::BasicFile { user, file: password_file },
            Auth::Bearer(token) => Self::Bearer(token),
            Auth::BearerFile(file) => Self::BearerFile(file),
            Auth::OAuth2(settings) => Self::OAuth2(Box::new(Tokens::new(settings, timeout)?)),
            Auth::Sigv4 { region, service } => Self::Sigv4(Box::new(Signer::new(region, service)?)),
        })
    }

    /// Lets a request in; nothing of it may change afterwards. What must not be repeated goes to `secrets`.
    pub(crate) async fn authorize(&self, request: &mut Request, secrets: &Secrets) -> Result<(), Error> {
        match self {
            Self::None => Ok(()),
            Self::Basic { user, password } => basic(request, user, password, secrets),
            Self::BasicFile { user, file } => basic(request, user, &read_secret(file)?, secrets),
            Self::Bearer(token) => bearer(request, token, secrets),
            Self::BearerFile(file) => bearer(request, &read_secret(file)?, secrets),
            Self::OAuth2(tokens) => bearer(request, &tokens.current(secrets).await?, secrets),
            Self::Sigv4(signer) => signer.sign(request, secrets).await,
        }
    }

    /// The server refused what was sent: whether there is something newer to send.
    pub(crate) async fn renew(&self) -> bool {
        match self {
            Self::OAuth2(tokens) => tokens.forget().await,
            _ => false,
        }
    }
}

fn basic(request: &mut Request, user: &str, password: &Secret, secrets: &Secrets) -> Result<(), Error> {
    secrets.add_login(user, password.expose());
    let pair = STANDARD.encode(format!("{user}:{}", password.expose()));
    set(request, &format!("Basic {pair}"), "--prometheus-user")
}

fn bearer(request: &mut Request, token: &Secret, secrets: &Secrets) -> Result<(), Error> {
    secrets.add(token.expose());
    set(request, &format!("Bearer {}", token.expose()), "--prometheus-token-file")
}

fn set(request: &mut Request, value: &str, setting: &'static str) -> Result<(), Error> {
    let mut value = HeaderValue::try_from(value).map_err(|_| Error::Config {
        setting,
        problem: "the token holds a line break or another character that no header may have".to_owned(),
    })?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}
