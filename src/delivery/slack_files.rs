//! Files in a channel of Slack, as a bot with the scope `files:write` puts them there: a place for each is asked for,
//! it is filled, and all are shared in one message (docs.slack.dev, Working with files). The bot's token goes to the
//! API alone, not to the places.

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::http::{self, Call};
use super::{Failure, Form, Patience, SlackFiles, message};
use crate::report::weekly::{Renderer, Weekly};

const API: &str = "https://slack.com/api";
const FORM: &str = "application/x-www-form-urlencoded";

/// A file to be shared.
struct File {
    name: String,
    body: Bytes,
}

pub(super) async fn send(to: &SlackFiles, report: &Weekly, patience: Patience) -> Result<String, Failure> {
    let (api, headers) = (api(to)?, token(to)?);
    let client = http::client(&api, patience)?;
    let mut shared = Vec::new();
    let files = files(&to.forms, report)?;
    for file in &files {
        let (id, place) = place(&client, &api, &headers, file, patience).await?;
        let call =
            Call { url: &place, headers: HeaderMap::new(), kind: "application/octet-stream", body: file.body.clone() };
        http::answered(&client, &call, patience, Failure::is_passing).await?;
        shared.push(json!({"id": id, "title": file.name}));
    }
    let url = method(&api, "files.completeUploadExternal")?;
    let body = json!({"files": shared, "channel_id": to.channel, "initial_comment": message::comment(report)});
    let call =
        Call { url: &url, headers, kind: "application/json; charset=utf-8", body: Bytes::from(body.to_string()) };
    // After silence it may have been shared: better once than twice.
    let again = |failure: &Failure| matches!(failure, Failure::Busy { .. });
    taken(&http::answered(&client, &call, patience, again).await?)?;
    Ok(said(to, &files))
}

/// What would be sent.
pub(super) fn described(to: &SlackFiles, report: &Weekly) -> Result<String, Failure> {
    api(to)?;
    token(to)?;
    Ok(said(to, &files(&to.forms, report)?))
}

fn said(to: &SlackFiles, files: &[File]) -> String {
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    format!("{} to channel {}", names.join(", "), to.channel)
}

fn files(forms: &[Form], report: &Weekly) -> Result<Vec<File>, Failure> {
    let file = |form: &Form| {
        let renderer = Renderer::from(*form);
        Ok(File { name: renderer.file_name(report), body: Bytes::from(renderer.render(report)?) })
    };
    forms.iter().map(file).collect()
}

/// Where the next file may be put, and its name there.
async fn place(
    client: &reqwest::Client,
    api: &Url,
    headers: &HeaderMap,
    file: &File,
    patience: Patience,
) -> Result<(String, Url), Failure> {
    let url = method(api, "files.getUploadURLExternal")?;
    // A file's name is podfit's own and needs no escape.
    let body = Bytes::from(format!("filename={}&length={}", file.name, file.body.len()));
    let call = Call { url: &url, headers: headers.clone(), kind: FORM, body };
    let answer = taken(&http::answered(client, &call, patience, Failure::is_passing).await?)?;
    let text = |key: &str| answer.get(key).and_then(Value::as_str);
    let odd = || Failure::Setting("Slack gave no place to put the file; its API may have changed".to_owned());
    let (id, place) = text("file_id").zip(text("upload_url")).ok_or_else(odd)?;
    let place = Url::parse(place).map_err(|_| odd())?;
    http::is_private(&place)?;
    Ok((id.to_owned(), place))
}

fn api(to: &SlackFiles) -> Result<Url, Failure> {
    let url = Url::parse(to.api.as_deref().unwrap_or(API));
    let url = url.map_err(|_| Failure::Setting("what `api` holds is no address".to_owned()))?;
    http::is_private(&url)?;
    Ok(url)
}

fn method(api: &Url, name: &str) -> Result<Url, Failure> {
    let text = format!("{}/{name}", api.as_str().trim_end_matches('/'));
    Url::parse(&text).map_err(|_| Failure::Setting("what `api` holds is no address".to_owned()))
}

fn token(to: &SlackFiles) -> Result<HeaderMap, Failure> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", to.token.read()?.expose()))
        .map_err(|_| Failure::Setting("what its secret holds is no token".to_owned()))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

/// Slack answers 200 to what it does not do, too, and says so inside.
fn taken(answer: &str) -> Result<Value, Failure> {
    let odd = || Failure::Setting("Slack answered something that is no JSON".to_owned());
    let answer: Value = serde_json::from_str(answer).map_err(|_| odd())?;
    if answer.get("ok") == Some(&Value::Bool(true)) {
        return Ok(answer);
    }
    let error = answer.get("error").and_then(Value::as_str).unwrap_or_default();
    let error: String = error.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(60).collect();
    let advice = match error.as_str() {
        "invalid_auth" | "not_authed" | "token_expired" | "token_revoked" | "account_inactive" => "; check the token",
        "missing_scope" | "no_permission" | "not_allowed_token_type" => "; give its app the bot scope files:write",
        "channel_not_found" | "invalid_channel" => "; give the channel's ID, such as C0123456789",
        "not_in_channel" => "; invite its app to the channel",
        _ => "",
    };
    Err(Failure::Setting(format!("Slack says {error}{advice}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slack_does_not_do_is_said_with_advice() {
        assert!(taken("{\"ok\":true}").is_ok());
        let said = |answer: &str| taken(answer).unwrap_err().to_string();
        assert_eq!(
            said("{\"ok\":false,\"error\":\"not_in_channel\"}"),
            "Slack says not_in_channel; invite its app to the channel"
        );
        assert!(said("{\"error\":\"<script>\"}").ends_with("Slack says script"));
        assert!(said("<html>").contains("no JSON"));
    }
}
