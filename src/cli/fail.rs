//! Errors as the user reads them: one line that begins with the program's name, free of control characters.
//! Knows the arguments that may hold a secret, nothing of what failed.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};

/// Arguments whose value is not repeated, since it may hold a password or a token.
const SECRET: [&str; 6] =
    ["--prometheus-header", "--prometheus-param", "--prometheus-url", "--org-id", "--url", "--webhook-url"];

/// Prints an error with what caused it.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    tell(&one_line(error));
    ExitCode::from(2)
}

/// An error with what caused it, in one line.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if !line.contains(&text) {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&text);
        }
    }
    line
}

/// Prints a line on standard error.
pub fn tell(line: &str) {
    let line: String = line.chars().map(|c| if crate::text::is_unprintable(c) { ' ' } else { c }).collect();
    anstream::eprintln!("podfit: {line}");
}

/// What is wrong with the arguments.
pub fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        error.exit();
    }
    tell(&usage_line(error));
    ExitCode::from(2)
}

fn usage_line(error: &clap::Error) -> String {
    let mut text = error.render().to_string();
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let (argument, value) = (context(ContextKind::InvalidArg), context(ContextKind::InvalidValue));
    if !value.is_empty() && SECRET.iter().any(|s| argument.starts_with(s)) {
        text = text.replace(&value, "…");
    }
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let text = text.split("\n\nUsage:").next().unwrap_or(text);
    let text = text.split("\n\nFor more information").next().unwrap_or(text);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace(" tip: ", "; ");
    format!("{text}; --help says more")
}

/// Makes a line of every panic but those that the history store answers for.
pub fn catch_panics() {
    if std::env::var_os("RUST_BACKTRACE").is_some() {
        return;
    }
    std::panic::set_hook(Box::new(|panic| {
        if crate::history::panic_is_handled() {
            return;
        }
        let payload = panic.payload();
        let said = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        let said = said.unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tell(&format!("this is a fault of podfit itself, please report it: {said} ({place})"));
    }));
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::usage_line;
    use crate::cli::Cli;

    fn line(args: &[&str]) -> String {
        usage_line(&Cli::try_parse_from(args).err().unwrap())
    }

    #[test]
    fn arguments_that_are_wrong_are_one_line_without_secrets() {
        assert_eq!(
            line(&["podfit", "recommend", "--history", "0d"]),
            "invalid value '0d' for '--history <TIME>': from one minute to 400 days; --help says more"
        );
        let header = line(&["podfit", "recommend", "--prometheus-header", "Bearer hunter2"]);
        assert_eq!(
            header,
            "invalid value '…' for '--prometheus-header <NAME: VALUE>': a name, a colon and a value; --help says more"
        );
        let unknown = line(&["podfit", "recommend", "--prometheus-password=hunter2"]);
        assert_eq!(
            unknown,
            "unexpected argument '--prometheus-password' found; a similar argument exists: \
             '--prometheus-password-file'; --help says more"
        );
        assert!(!line(&["podfit", "identify"]).contains('\n'));
    }
}
