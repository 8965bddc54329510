//! Requests to the API server whose answers are looked at as text: the client's own parsing would log what it cannot
//! read. Must not repeat what was sent or answered.

use std::time::Duration;

use http::Request;
use serde_json::Value;

use crate::text;

/// Until an answer is there. The API server itself gives up after 60 s.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest reason that is repeated, in characters.
const MAX_REASON_CHARS: usize = 200;

/// What the API server answered.
#[derive(Debug, PartialEq, Eq)]
pub enum ApiResponse {
    /// A success, with its text.
    Text(String),
    /// A refusal's status.
    Status(u16),
}

/// The API server.
#[derive(Clone)]
pub struct Api {
    client: kube::Client,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Api")
    }
}

impl Api {
    /// Give it a client without retries of its own, which would hide how long the API server has been silent.
    pub fn new(client: kube::Client) -> Self {
        Self { client }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// What the network said, in a line.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: Option<&Value>,
    ) -> Result<ApiResponse, String> {
        let body = body.map(|b| b.to_string().into_bytes()).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header("content-type", kind).body(body);
        let request = request.map_err(|error| error.to_string())?;
        match tokio::time::timeout(TIMEOUT, self.client.request_text(request)).await {
            Err(_) => Err(format!("no answer in {} s", TIMEOUT.as_secs())),
            Ok(Ok(text)) => Ok(ApiResponse::Text(text)),
            Ok(Err(kube::Error::Api(status))) => Ok(ApiResponse::Status(status.code)),
            Ok(Err(error)) => Err(text::clip(&text::clean(&innermost(&error)), MAX_REASON_CHARS)),
        }
    }
}

/// What the network said, without the layers that passed it on.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
