//! A small answer of the query API: its status, its data, and what the server remarks on it.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{Error, clean, tidy};
use super::http::Http;
use super::refusal::is_page;

/// Words for an answer of `VictoriaMetrics` that is not whole, which has none of its own.
pub(crate) const IS_PARTIAL: &str = "isPartial: true";

/// Whether a remark is on the query itself, which Prometheus marks. All others are about what the answer holds, and are
/// taken to mean that something is missing: part of a Thanos or a cluster did not answer, or results were cut.
pub(crate) fn is_of_query(note: &str) -> bool {
    note.starts_with("PromQL ")
}

/// A small answer of the API.
#[derive(Deserialize)]
pub(crate) struct ApiResponse<T> {
    status: String,
    pub data: Option<T>,
    #[serde(default)]
    error: String,
    #[serde(default, rename = "errorType")]
    kind: String,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default, rename = "isPartial")]
    is_partial: bool,
}

impl<T> ApiResponse<T> {
    /// What the server says of something that the answer has not.
    pub(crate) fn missing(&self) -> Option<String> {
        let words = self.notes().into_iter().find(|note| !is_of_query(note));
        words.or_else(|| self.is_partial.then(|| IS_PARTIAL.to_owned()))
    }

    /// The server's warnings, cleaned.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.warnings.iter().map(|w| tidy(w)).collect()
    }
}

/// Something that has a status.
pub(crate) trait HasStatus {
    /// The error when the status is not success.
    fn check(&self, url: &str) -> Result<(), Error>;
}

impl<T> HasStatus for ApiResponse<T> {
    fn check(&self, url: &str) -> Result<(), Error> {
        if self.status == "success" {
            return Ok(());
        }
        Err(Error::Server { url: url.to_owned(), kind: tidy(&self.kind), message: tidy(&self.error) })
    }
}

/// Parses a small answer and checks its status.
pub(crate) fn parse<T: DeserializeOwned + HasStatus>(http: &Http, bytes: &[u8]) -> Result<T, Error> {
    let url = http.shown().to_owned();
    if is_page(bytes) {
        return Err(Error::NotPrometheus { url, what: "it answers with a web page".to_owned() });
    }
    let answer: T = serde_json::from_slice(bytes).map_err(|e| Error::NotPrometheus {
        url: url.clone(),
        what: format!("its answer is not that of the query API: {}", clean(&e.to_string())),
    })?;
    answer.check(&url).map_err(|error| http.secrets.struck(error))?;
    Ok(answer)
}
