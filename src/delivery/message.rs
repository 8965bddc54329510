//! What chats and webhooks are sent. Names from a cluster are text there: no markup, no mention, no link.

use serde_json::{Value, json};

use super::Failure;
use crate::report::weekly::{Brief, Renderer, Weekly};

/// Slack cuts texts of a section at 3,000 characters and of a header at 150
/// (docs.slack.dev, Block Kit reference).
const SECTION: usize = 2_900;
const HEADER: usize = 150;

/// For an incoming webhook of Slack. All blocks are `plain_text`, in which Slack reads no markup and no mention; the
/// text for notifications has `&`, `<` and `>` escaped as Slack asks for.
pub(super) fn slack(report: &Weekly) -> String {
    let brief = Brief::of(report);
    let plain =
        |text: &str, most: usize| json!({"type": "plain_text", "emoji": false, "text": cut(&joined(text), most)});
    let mut blocks = vec![json!({"type": "header", "text": plain(&format!("podfit: {}", brief.title), HEADER)})];
    let mut section = |text: &str| blocks.push(json!({"type": "section", "text": plain(text, SECTION)}));
    brief.sentences.iter().for_each(|sentence| section(sentence));
    for (title, entries) in lists(&brief) {
        section(&format!("{title}\n{}", entries.iter().map(|e| format!("• {e}")).collect::<Vec<_>>().join("\n")));
    }
    json!({"text": notification(&brief), "blocks": blocks}).to_string()
}

/// What stands beside files in Slack.
pub(super) fn comment(report: &Weekly) -> String {
    notification(&Brief::of(report))
}

fn notification(brief: &Brief) -> String {
    let text = format!("podfit: {}. {}", brief.title, brief.sentences.first().map_or("", String::as_str));
    joined(&text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// For a webhook of Microsoft Teams: an adaptive card. Texts are runs of a `RichTextBlock`, which know no Markdown;
/// without `msteams.entities` there is no mention.
pub(super) fn teams(report: &Weekly) -> String {
    let brief = Brief::of(report);
    let run = |text: &str| json!({"type": "TextRun", "text": joined(text)});
    let block = |run: Value| json!({"type": "RichTextBlock", "inlines": [run]});
    let bold =
        |text: &str, size: &str| json!({"type": "TextRun", "text": joined(text), "weight": "bolder", "size": size});
    let mut body = vec![block(bold(&format!("podfit: {}", brief.title), "large"))];
    body.extend(brief.sentences.iter().map(|sentence| block(run(sentence))));
    for (title, entries) in lists(&brief) {
        body.push(block(bold(title, "default")));
        body.extend(entries.iter().map(|entry| block(run(entry))));
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": {"width": "Full"},
                "body": body,
            },
        }],
    })
    .to_string()
}

/// For any other endpoint: the whole model.
pub(super) fn webhook(report: &Weekly) -> Result<String, Failure> {
    Ok(Renderer::Json.render(report)?)
}

fn lists(brief: &Brief) -> impl Iterator<Item = (&'static str, &Vec<String>)> {
    [("Largest savings", &brief.savings), ("Risks", &brief.risks)]
        .into_iter()
        .filter(|(_, entries)| !entries.is_empty())
}

/// A zero-width word joiner keeps chats from reading a mention after `@`.
fn joined(text: &str) -> String {
    text.replace('@', "@\u{2060}")
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Outcome;
    use crate::report::weekly::tests::{DAY, HOUR, history, key, report_of, run, settings};

    fn hostile() -> Weekly {
        let names = ["<!channel>", "@here", "<https://evil.example|click>", "*bold* [x](http://evil.example)"];
        let killed = || history((0..14).map(|day| run(day * DAY + HOUR, 2, 16, Outcome::OomKilled)));
        let lavish = || history((0..14).map(|day| run(day * DAY + HOUR, 2, 16, Outcome::Completed)));
        let histories: Vec<_> = names
            .iter()
            .flat_map(|name| [(key(name, name, name), killed()), (key(name, "lavish", name), lavish())])
            .collect();
        report_of(&histories, &settings())
    }

    /// Every text of a JSON value, with the type of the object that holds it.
    fn texts(value: &Value, found: &mut Vec<(String, String)>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(text)) = object.get("text") {
                    let kind = object.get("type").and_then(Value::as_str).unwrap_or("message");
                    found.push((kind.to_owned(), text.clone()));
                }
                object.values().for_each(|v| texts(v, found));
            }
            Value::Array(values) => values.iter().for_each(|v| texts(v, found)),
            _ => {}
        }
    }

    #[test]
    fn slack_reads_no_mention_and_no_link() {
        let report = hostile();
        let body: Value = serde_json::from_str(&slack(&report)).unwrap();
        let mut found = Vec::new();
        texts(&body, &mut found);
        assert!(found.iter().any(|(_, text)| text.contains("<!channel>")), "the name is still readable");
        for (kind, text) in found {
            assert!(kind == "plain_text" || !text.contains('<'), "{kind}: {text}");
            assert!(kind != "mrkdwn" && !text.contains("@here"), "{text}");
            assert!(text.chars().count() <= 3_000);
        }
    }

    #[test]
    fn teams_gets_runs_of_text_and_no_entities() {
        let text = teams(&hostile());
        let body: Value = serde_json::from_str(&text).unwrap();
        let mut found = Vec::new();
        texts(&body, &mut found);
        assert!(found.len() > 5 && found.iter().all(|(kind, text)| kind == "TextRun" && !text.contains("@here")));
        assert!(!text.contains("entities") && !text.contains("\"TextBlock\""));
        assert_eq!(body["attachments"][0]["content"]["version"], "1.4");
    }
}
