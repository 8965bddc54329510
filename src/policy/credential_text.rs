//! Tells a credential from a setting in a piece of text: by the name it has, by its own shape, by where it stands in an
//! address. Must not know containers, and gives back names and kinds only, never a value.

use std::sync::LazyLock;

use regex::Regex;

/// What sort of credential a text holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// A private key in PEM.
    PrivateKey,
    /// A token whose issuer gave it a form of its own.
    Token,
    /// A password in the address of a server.
    Address,
    /// A value with a telling name.
    Named,
}

/// Names that end like this hold a credential: `DB_PASSWORD`, `spark.hadoop.fs.s3a.secret.key`, `--api-token`.
const TELLING: [&[&str]; 30] = [
    &["password"],
    &["passwd"],
    &["passphrase"],
    &["pwd"],
    &["pass"],
    &["secret"],
    &["token"],
    &["bearer"],
    &["credential"],
    &["credentials"],
    &["apikey"],
    &["secretkey"],
    &["accesskey"],
    &["accountkey"],
    &["privatekey"],
    &["pgpassword"],
    &["api", "key"],
    &["app", "key"],
    &["secret", "key"],
    &["access", "key"],
    &["account", "key"],
    &["shared", "key"],
    &["storage", "key"],
    &["private", "key"],
    &["signing", "key"],
    &["encryption", "key"],
    &["fernet", "key"],
    &["auth", "key"],
    &["sas", "key"],
    &["service", "key"],
];

/// Values that stand for one to be filled in.
const PLACEHOLDERS: [&str; 22] = [
    "none",
    "null",
    "nil",
    "n/a",
    "na",
    "unset",
    "undefined",
    "empty",
    "todo",
    "tbd",
    "fixme",
    "changeme",
    "replaceme",
    "redacted",
    "placeholder",
    "dummy",
    "example",
    "true",
    "false",
    "yes",
    "no",
    "masked",
];

/// Values that name where a credential is to be had.
const REFERENCES: [&str; 20] = [
    "/",
    "./",
    "../",
    "~",
    "$",
    "%",
    "<",
    "{",
    "`",
    "file:",
    "vault:",
    "bao:",
    "secret:",
    "secrets/",
    "arn:",
    "ssm:",
    "awssm:",
    "op:",
    "ref+",
    "projects/",
];

/// Tokens that say by themselves what they are.
static TOKENS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    const SHAPES: [&str; 17] = [
        r"(?:AKIA|ASIA)[A-Z0-9]{16}",                                        // AWS access key id
        r"gh[pousr]_[A-Za-z0-9]{36,}",                                       // GitHub
        r"github_pat_[A-Za-z0-9_]{22,}",                                     // GitHub, fine-grained
        r"glpat-[A-Za-z0-9_-]{20,}",                                         // GitLab
        r"xox[abeoprs]-[A-Za-z0-9-]{10,}",                                   // Slack
        r"AIza[A-Za-z0-9_-]{35}",                                            // Google API key
        r"ya29\.[A-Za-z0-9_-]{20,}",                                         // Google OAuth
        r"dapi[a-f0-9]{32}(?:-\d)?",                                         // Databricks
        r"hf_[A-Za-z0-9]{30,}",                                              // Hugging Face
        r"pn[ub]_[A-Za-z0-9]{36}",                                           // Prefect Cloud
        r"dckr_pat_[A-Za-z0-9_-]{20,}",                                      // Docker Hub
        r"(?:npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,})",                  // npm, PyPI
        r"sk_live_[A-Za-z0-9]{20,}",                                         // Stripe
        r"sk-(?:proj-|ant-)?[A-Za-z0-9_-]*[A-Za-z0-9]{32,}",                 // OpenAI, Anthropic
        r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",                       // SendGrid
        r"hv[sb]\.[A-Za-z0-9_-]{24,}",                                       // Vault
        r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}", // JWT
    ];
    Regex::new(&format!(r"(?:^|[^A-Za-z0-9_])(?:{})(?:$|[^A-Za-z0-9_-])", SHAPES.join("|"))).ok()
});

/// `NAME=VALUE`, `NAME: VALUE`, `"NAME": "VALUE"`, `NAME VALUE` behind dashes: names in the first group, values in the
/// second. A value ends at a blank, a quote or what separates settings in connection strings.
static SETTINGS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"([A-Za-z][A-Za-z0-9_.\-]*)["']?(?:=|[ \t]*:[ \t]+|:["'])[ \t]*["']?([^\s"';&,]+)"#).ok()
});

/// `scheme://user:password@`; the password is the first group.
static ADDRESS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"[A-Za-z][A-Za-z0-9+.\-]*://[^\s/?#"'@:]*:([^\s/?#"']+)@"#).ok());

/// Oracle's own form: `jdbc:oracle:thin:user/password@`.
static ORACLE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)jdbc:oracle:[a-z]+:[^\s/@]+/([^\s/@]+)@").ok());

/// What an environment variable or setting holds, if it is a credential.
pub(super) fn in_setting(name: &str, value: &str) -> Option<Credential> {
    in_text(value).map(|(found, _)| found).or_else(|| {
        // The value of a sensitive name may be a whole document with nothing sensitive in it: a list of scopes.
        (is_telling(name) && is_literal(value)).then_some(Credential::Named)
    })
}

/// A credential inside a longer text, with the name it has there.
pub(super) fn in_text(text: &str) -> Option<(Credential, Option<&str>)> {
    if has_private_key(text) {
        return Some((Credential::PrivateKey, None));
    }
    if captures(&TOKENS, text).any(|c| c.get(0).is_some_and(|m| !m.as_str().contains("EXAMPLE"))) {
        return Some((Credential::Token, None));
    }
    let in_address = |shape: &'static LazyLock<Option<Regex>>| {
        captures(shape, text).any(|c| c.get(1).is_some_and(|password| is_literal_password(password.as_str())))
    };
    if in_address(&ADDRESS) || in_address(&ORACLE) {
        return Some((Credential::Address, None));
    }
    if !text.contains(['=', ':']) {
        return None;
    }
    captures(&SETTINGS, text).find_map(|setting| {
        let (name, value) = (setting.get(1)?.as_str(), setting.get(2)?.as_str());
        (is_telling(name) && is_literal(value) && !is_code(value)).then_some((Credential::Named, Some(name)))
    })
}

/// Whether a name says that its value is a credential. Where it goes on (`TOKEN_URL`, `PASSWORD_FILE`, `SECRET_NAME`)
/// it speaks of something about the credential.
pub(super) fn is_telling(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    // dbt hides what is named so from its logs; Airflow looks these up in its secrets backend.
    if upper.starts_with("DBT_ENV_SECRET_") {
        return true;
    }
    let looked_up = ["_CONN_SECRET", "_KEY_SECRET", "_PASSWORD_SECRET", "_BACKEND_SECRET", "_URL_SECRET"];
    if upper.starts_with("AIRFLOW__") && looked_up.iter().any(|end| upper.ends_with(end)) {
        return false;
    }
    let mut words = words(name);
    // PASSWORD2 and PASSWORD_2
    while let Some(word) = words.last_mut() {
        word.truncate(word.trim_end_matches(|c: char| c.is_ascii_digit()).len());
        if !word.is_empty() {
            break;
        }
        words.pop();
    }
    // `fs.azure.account.key.STORE.dfs.core.windows.net`
    if words.windows(3).any(|three| three == ["azure", "account", "key"]) {
        return true;
    }
    // PWD and OLDPWD are the shell's folder; a word before it makes it a password.
    let alone = matches!(words.as_slice(), [only] if only == "pwd" || only == "oldpwd");
    !alone
        && TELLING
            .iter()
            .any(|end| words.len() >= end.len() && words.iter().rev().zip(end.iter().rev()).all(|(a, b)| a == b))
}

/// The words of a name in lower case: `secretKey`, `SECRET_KEY` and `secret.key` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()) {
        let mut word = String::new();
        let mut before_lower = false;
        for c in part.chars() {
            if c.is_ascii_uppercase() && before_lower {
                words.push(std::mem::take(&mut word));
            }
            before_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
            word.push(c.to_ascii_lowercase());
        }
        words.push(word);
    }
    words
}

/// Whether a value is one that can be used as it stands: no reference, path, placeholder, number or switch.
pub(super) fn is_literal(value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    let lower = value.to_ascii_lowercase();
    let word: String = lower.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).collect();
    let same = |c: char| value.chars().all(|other| other == c);
    !(value.is_empty()
        || value.contains("$(")
        || value.contains("${")
        || value.contains("{{")
        || value.contains("://")
        || REFERENCES.iter().any(|start| lower.starts_with(start))
        || lower.as_bytes().get(1..3).is_some_and(|drive| drive == b":\\")
        || PLACEHOLDERS.contains(&word.as_str())
        || ["your", "insert", "replace"].iter().any(|start| word.starts_with(start))
        || value.parse::<f64>().is_ok()
        || value.chars().next().is_none_or(|c| matches!(c, '*' | 'x' | 'X' | '.' | '?') && same(c)))
}

/// In an address a number is a password as good as any.
fn is_literal_password(value: &str) -> bool {
    is_literal(value) || (!value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a value inside a longer text is an expression or a variable of a program rather than a literal.
fn is_code(value: &str) -> bool {
    value.contains(['(', '[', '$', '{', '<']) || is_telling(value.trim_end_matches([')', ']', '}', ':']))
}

fn has_private_key(text: &str) -> bool {
    text.split("-----BEGIN ")
        .skip(1)
        .any(|rest| rest.split("-----").next().is_some_and(|label| label.len() < 64 && label.contains("PRIVATE KEY")))
}

fn captures<'t>(shape: &'static LazyLock<Option<Regex>>, text: &'t str) -> impl Iterator<Item = regex::Captures<'t>> {
    shape.iter().flat_map(move |regex| regex.captures_iter(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_compile() {
        for shape in [&TOKENS, &SETTINGS, &ADDRESS, &ORACLE] {
            assert!(shape.is_some());
        }
    }
}
