//! The file that says where reports go. Holds no secret: an address that is one is named by its file or variable.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::SecretFrom;
use crate::report::weekly::Renderer;
use crate::text;

/// Where reports go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// All of them, at least one.
    pub destinations: Vec<Destination>,
}

/// One place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// As messages name it: its own name, or its kind and number.
    pub name: String,
    /// What and how.
    pub target: Target,
}

/// Kinds of places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Files in a folder.
    File {
        /// The folder; made where it is not there.
        folder: PathBuf,
        /// Which forms.
        forms: Vec<Form>,
    },
    /// A Slack incoming webhook.
    Slack {
        /// Its address, which is its secret.
        url: SecretFrom,
    },
    /// Files in a channel of Slack.
    SlackFiles(Box<SlackFiles>),
    /// A Microsoft Teams webhook that takes adaptive cards.
    Teams {
        /// Its address, which is its secret.
        url: SecretFrom,
    },
    /// Any endpoint that takes JSON by POST.
    Webhook {
        /// Its address.
        url: SecretFrom,
        /// Headers to send, such as `Authorization`.
        headers: Vec<(String, SecretFrom)>,
    },
    /// Object storage.
    Bucket(Box<Bucket>),
    /// Mail by SMTP with TLS.
    Mail(Box<Mail>),
}

/// A form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A page.
    Html,
    /// Markdown.
    Markdown,
    /// A table.
    Csv,
    /// The model.
    Json,
    /// Text.
    Text,
}

impl From<Form> for Renderer {
    fn from(form: Form) -> Self {
        match form {
            Form::Html => Self::Html,
            Form::Markdown => Self::Markdown,
            Form::Csv => Self::Csv,
            Form::Json => Self::Json,
            Form::Text => Self::Text,
        }
    }
}

/// A channel of Slack, and who puts files there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SlackFiles {
    /// Token of a bot with the scope `files:write`.
    pub token: SecretFrom,
    /// ID of a channel that the bot is in: `C0123456789`.
    pub channel: String,
    /// Which forms.
    #[serde(default = "page_alone")]
    pub forms: Vec<Form>,
    /// Base address of the API, where it is not Slack's own.
    pub api: Option<String>,
}

/// Where in an object store.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bucket {
    /// `s3://bucket/folder`, `gs://bucket/folder` or `az://container/folder`.
    pub url: String,
    /// Which forms.
    #[serde(default = "page_alone")]
    pub forms: Vec<Form>,
    /// Options of the store that are no secrets, such as `region` and `endpoint`.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Options that are: `secret_access_key`. Without, the environment's own credentials are used.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretFrom>,
}

/// How TLS begins. Mail is not sent without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// After STARTTLS, which the server has to offer; port 587.
    #[default]
    StartTls,
    /// At once; port 465.
    Tls,
}

/// A mail server and who writes to whom.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mail {
    /// Host name of the server, which its certificate is for.
    pub host: String,
    /// Port, where it is not the usual one.
    pub port: Option<u16>,
    /// How TLS begins.
    #[serde(default)]
    pub security: Security,
    /// PEM file of the CA that signed the server's certificate, where no public one did.
    pub ca_file: Option<PathBuf>,
    /// Sender.
    pub from: String,
    /// Who gets it.
    pub to: Vec<String>,
    /// User, where the server asks for one.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<SecretFrom>,
    /// Forms that are attached.
    #[serde(default = "page_alone")]
    pub attach: Vec<Form>,
}

fn page_alone() -> Vec<Form> {
    vec![Form::Html]
}

/// A file that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is no such YAML.
    #[error("{0}")]
    Form(String),
    /// It is, and makes no sense.
    #[error("{name}: {why}")]
    Sense {
        /// Which destination.
        name: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// It names no place.
    #[error("it names no destination; write one under `destinations:`")]
    Empty,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    #[serde(default)]
    destinations: Option<Vec<DestinationForm>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DestinationForm {
    name: Option<String>,
    file: Option<FolderForm>,
    slack: Option<UrlForm>,
    slack_files: Option<SlackFiles>,
    teams: Option<UrlForm>,
    webhook: Option<WebhookForm>,
    object_store: Option<Bucket>,
    mail: Option<Mail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FolderForm {
    folder: PathBuf,
    #[serde(default = "page_alone")]
    forms: Vec<Form>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UrlForm {
    url: SecretFrom,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WebhookForm {
    url: SecretFrom,
    #[serde(default)]
    headers: BTreeMap<String, SecretFrom>,
}

impl Plan {
    /// Reads the file's text.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(yaml: &str) -> Result<Self, ConfigError> {
        let form: FileForm = serde_saphyr::from_str(yaml)
            .map_err(|e| ConfigError::Form(without_values(&text::clean(&e.without_snippet().to_string()))))?;
        let destinations = form.destinations.unwrap_or_default();
        if destinations.is_empty() {
            return Err(ConfigError::Empty);
        }
        let destinations = destinations.into_iter().enumerate().map(|(i, d)| d.checked(i + 1));
        Ok(Self { destinations: destinations.collect::<Result<_, _>>()? })
    }
}

impl DestinationForm {
    fn checked(self, number: usize) -> Result<Destination, ConfigError> {
        let mut targets: Vec<(&str, Target)> = Vec::new();
        targets.extend(self.file.map(|f| ("file", Target::File { folder: f.folder, forms: f.forms })));
        targets.extend(self.slack.map(|s| ("slack", Target::Slack { url: s.url })));
        targets.extend(self.slack_files.map(|s| ("slack files", Target::SlackFiles(Box::new(s)))));
        targets.extend(self.teams.map(|t| ("teams", Target::Teams { url: t.url })));
        targets.extend(
            self.webhook.map(|w| ("webhook", Target::Webhook { url: w.url, headers: w.headers.into_iter().collect() })),
        );
        targets.extend(self.object_store.map(|b| ("object store", Target::Bucket(Box::new(b)))));
        targets.extend(self.mail.map(|m| ("mail", Target::Mail(Box::new(m)))));
        let several = targets.len() > 1;
        let kind = targets.first().map_or("destination", |(kind, _)| kind);
        let name = self.name.map_or_else(|| format!("{kind} {number}"), |name| text::name(&name));
        let wrong = |why: &str| ConfigError::Sense { name: name.clone(), why: why.to_owned() };
        if several {
            return Err(wrong("it is of several kinds; write each as a destination of its own"));
        }
        let Some((_, target)) = targets.pop() else {
            return Err(wrong("say what it is: file, slack, slackFiles, teams, webhook, objectStore or mail"));
        };
        match &target {
            Target::File { forms, .. } if forms.is_empty() => return Err(wrong("no form is named under `forms`")),
            Target::SlackFiles(to) if to.forms.is_empty() => return Err(wrong("no form is named under `forms`")),
            Target::SlackFiles(to)
                if to.channel.is_empty() || !to.channel.bytes().all(|b| b.is_ascii_alphanumeric()) =>
            {
                return Err(wrong("`channel` is the channel's ID, such as C0123456789, not its name"));
            }
            Target::Bucket(bucket) if bucket.forms.is_empty() => return Err(wrong("no form is named under `forms`")),
            Target::Bucket(bucket) if bucket.options.keys().any(|name| is_secret(name)) => {
                return Err(wrong("a secret is written under `options`; name its file or variable under `secrets`"));
            }
            Target::Mail(mail) if mail.to.is_empty() => return Err(wrong("nobody is named under `to`")),
            Target::Mail(mail) if mail.user.is_some() != mail.password.is_some() => {
                return Err(wrong("user and password go together; give both or none"));
            }
            _ => {}
        }
        Ok(Destination { name, target })
    }
}

/// What is wrong, without what stands there: a secret may have been written where none belongs. Names of fields stay.
fn without_values(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '"']) {
        let quote = if rest[at..].starts_with('`') { '`' } else { '"' };
        let (before, quoted) = (&rest[..at], &rest[at + 1..]);
        out.push_str(before);
        // Without its end all that follows may belong to it.
        let (inside, after) = quoted.split_once(quote).unwrap_or((quoted, ""));
        let is_name = quote == '`' && inside.len() <= 24 && inside.bytes().all(|b| b.is_ascii_alphabetic());
        out.push_str(if is_name { inside } else { "…" });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Whether an option of a store is one that opens it.
fn is_secret(option: &str) -> bool {
    let option = option.to_ascii_lowercase();
    ["secret", "password", "token", "sas", "service_account_key"].iter().any(|word| option.contains(word))
        || ["access_key", "account_key", "azure_storage_access_key", "azure_storage_account_key"]
            .contains(&option.as_str())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn every_kind_is_understood() {
        let plan = Plan::parse(
            "destinations:\n\
             - file: {folder: /reports, forms: [html, csv]}\n\
             - slack: {url: {file: /secrets/slack}}\n\
             - name: ops\n  teams: {url: {env: TEAMS_URL}}\n\
             - webhook: {url: {env: HOOK}, headers: {Authorization: {file: /secrets/token}}}\n\
             - objectStore: {url: 's3://reports/weekly', options: {region: eu-central-1}}\n\
             - mail: {host: smtp.example, from: podfit@example.com, to: [team@example.com]}\n",
        )
        .unwrap();
        let names: Vec<&str> = plan.destinations.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["file 1", "slack 2", "ops", "webhook 4", "object store 5", "mail 6"]);
        let Target::Mail(mail) = &plan.destinations[5].target else { panic!("no mail") };
        assert_eq!((mail.security, mail.attach.as_slice()), (Security::StartTls, [Form::Html].as_slice()));
    }

    #[rstest]
    #[case("destinations: []", "names no destination")]
    #[case("destinations:", "names no destination")]
    #[case("- slack", "")]
    #[case("destinations: [{name: a}]", "a: say what it is")]
    #[case("destinations: [{slack: {url: https://hooks.example/T0/hunter2}}]", "")]
    #[case("destinations: [{slack: https://hooks.example/T0/hunter2}]", "")]
    #[case("destinations: [{webhook: {url: {file: /a}, headers: {Authorization: Bearer hunter2}}}]", "{env: NAME}")]
    #[case("destinations: [{webhook: {url: {file: /a, hunter2: b}}}]", "{env: NAME}")]
    #[case("destinations: [{slak: {url: {file: /a}}}]", "slak")]
    #[case("destinations: [{slack: {url: {file: /a}}, teams: {url: {file: /b}}}]", "several kinds")]
    #[case("destinations: [{objectStore: {url: 's3://b', options: {secret_access_key: hunter2}}}]", "under `options`")]
    #[case("destinations: [{slackFiles: {token: {env: A}, channel: '#data'}}]", "the channel's ID")]
    #[case("destinations: [{slackFiles: {token: xoxb-hunter2, channel: C0}}]", "{env: NAME}")]
    #[case("destinations: [{mail: {host: a, from: b, to: [], password: {env: A}}}]", "nobody is named")]
    #[case("destinations: [{mail: {host: a, from: b, to: [c], user: d}}]", "go together")]
    #[case("destinations: [{mail: {host: a, from: b, to: [c], password: hunter2}}]", "")]
    fn what_makes_no_sense_is_said_without_secrets(#[case] yaml: &str, #[case] piece: &str) {
        let said = Plan::parse(yaml).unwrap_err().to_string();
        assert!(said.contains(piece), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
