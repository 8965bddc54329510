//! Brings a report to where it is read: files, chats, webhooks, mail. One destination that fails stops no other.
//! Makes no number and no sentence of its own; secrets come from files or the environment and are never printed.

mod config;
mod file;
mod http;
mod mail;
mod message;
mod secret;
mod slack_files;
mod store;

use std::time::Duration;

pub use config::{Bucket, ConfigError, Destination, Form, Mail, Plan, Security, SlackFiles, Target};
pub use file::whole as write_whole;
pub use secret::{SecretError, SecretFrom};

use crate::report::weekly::{Unwritten, Weekly};

/// How patient a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Further tries of what an overloaded or unreachable destination failed.
    pub retries: usize,
    /// Longest silence.
    pub timeout: Duration,
    /// Longest wait between two tries, also where the destination asks for more.
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { retries: 4, timeout: Duration::from_secs(20), longest_wait: Duration::from_secs(60) }
    }
}

/// Why a delivery failed; holds no secret and no address that may be one.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The secret is not there.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The report could not be written in the form asked for.
    #[error(transparent)]
    Form(#[from] Unwritten),
    /// It cannot be done as configured.
    #[error("{0}")]
    Setting(String),
    /// A file cannot be written.
    #[error("{0}")]
    File(String),
    /// Nobody answered, or the connection broke.
    #[error("{0}")]
    Unreachable(String),
    /// It said to come again later.
    #[error("it answered {status}{}", said(.message))]
    Busy {
        /// Its status.
        status: u16,
        /// What it said.
        message: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// It said no.
    #[error("it answered {status}{}{}", said(.message), advice(*.status))]
    Refused {
        /// Its status.
        status: u16,
        /// What it said.
        message: String,
    },
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

const fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 => "; check the secret",
        404 | 410 => "; check the address, the webhook may have been removed",
        413 => "; the report is too large for it",
        _ => "",
    }
}

impl Failure {
    /// Whether it may go better another time.
    const fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Busy { .. })
    }

    const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// What became of one destination.
#[derive(Debug)]
pub struct Delivered {
    /// Its name.
    pub name: String,
    /// What was sent and where, or why not.
    pub result: Result<String, Failure>,
}

/// Sends the report everywhere, at once.
pub async fn deliver(plan: &Plan, report: &Weekly, patience: Patience) -> Vec<Delivered> {
    let all = plan.destinations.iter().map(|destination| async {
        let result = match &destination.target {
            Target::File { folder, forms } => file::write(folder, forms, report),
            Target::Slack { url } => http::post(url, &message::slack(report), &[], patience).await,
            Target::SlackFiles(to) => slack_files::send(to, report, patience).await,
            Target::Teams { url } => http::post(url, &message::teams(report), &[], patience).await,
            Target::Webhook { url, headers } => match message::webhook(report) {
                Ok(body) => http::post(url, &body, headers, patience).await,
                Err(why) => Err(why),
            },
            Target::Bucket(bucket) => store::put(bucket, report, patience).await,
            Target::Mail(mail) => mail::send(mail, report, patience).await,
        };
        Delivered { name: destination.name.clone(), result }
    });
    futures::future::join_all(all).await
}

/// What would be sent and where, without sending it. Secrets are read, so that a missing one is found.
pub fn rehearse(plan: &Plan, report: &Weekly) -> Vec<Delivered> {
    let one = |destination: &Destination| {
        let result = match &destination.target {
            Target::File { folder, forms } => Ok(file::described(folder, forms, report)),
            Target::Slack { url } => http::described(url, &message::slack(report), &[]),
            Target::SlackFiles(to) => slack_files::described(to, report),
            Target::Teams { url } => http::described(url, &message::teams(report), &[]),
            Target::Webhook { url, headers } => {
                message::webhook(report).and_then(|body| http::described(url, &body, headers))
            }
            Target::Bucket(bucket) => store::described(bucket, report, Patience::default()),
            Target::Mail(mail) => mail::described(mail, report),
        };
        Delivered { name: destination.name.clone(), result }
    };
    plan.destinations.iter().map(one).collect()
}
