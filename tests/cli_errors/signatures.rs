//! Requests signed for Amazon Managed Prometheus, checked by a reading of AWS' description of its own: "Create a signed
//! AWS API request" of the IAM user guide.

use std::fmt::Write;
use std::process::Command;

use ring::{digest, hmac};

use super::support::cli::{NOON_TEXT, run};
use super::support::fault_server::{FaultServer, Hit, say};
use super::{nightly, recommend, undisturbed};

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalr/XUtnFEMI+K7MDENG+bPxRfiCYEXAMPLEKEY";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// All but letters, digits, `-`, `.`, `_` and `~`, and what is in `also`.
fn encoded(text: &str, also: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.as_bytes().contains(&byte);
        if plain {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
        out
    })
}

/// What is wrong with the signature of a request.
fn check(hit: &Hit, token: Option<&str>) -> Result<(), String> {
    let header = |name: &str| hit.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let (date, hash) = (header("x-amz-date"), header("x-amz-content-sha256"));
    if hash != sha256(&hit.body) {
        return Err("another body".to_owned());
    }
    if token.is_some_and(|token| header("x-amz-security-token") != token) {
        return Err("another session".to_owned());
    }
    let signed_at = date.get(..8).unwrap_or_default();
    let scope = format!("{signed_at}/eu-west-1/aps/aws4_request");
    let authorization = header("authorization");
    let start = format!("AWS4-HMAC-SHA256 Credential={ID}/{scope}, SignedHeaders=");
    let rest = authorization.strip_prefix(&start).ok_or(format!("not in scope {scope}: {authorization}"))?;
    let (names, signature) = rest.split_once(", Signature=").ok_or("no signature")?;
    for needed in ["host", "x-amz-date", "x-amz-content-sha256"] {
        if !names.split(';').any(|name| name == needed) {
            return Err(format!("{needed} is not signed"));
        }
    }
    let headers = names.split(';').fold(String::new(), |mut out, name| {
        writeln!(out, "{name}:{}", header(name).trim()).unwrap();
        out
    });
    let url = reqwest::Url::parse(&format!("http://h/?{}", hit.query)).unwrap();
    let mut pairs: Vec<(String, String)> = url.query_pairs().map(|(n, v)| (encoded(&n, ""), encoded(&v, ""))).collect();
    pairs.sort();
    let query = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("&");
    let path = encoded(&hit.path, "/");
    let canonical = format!("{}\n{path}\n{query}\n{headers}\n{names}\n{hash}", hit.method);
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let key = ["eu-west-1", "aps", "aws4_request"]
        .iter()
        .fold(mac(format!("AWS4{SECRET}").as_bytes(), signed_at), |key, part| mac(&key, part));
    if hex(&mac(&key, &text)) == signature { Ok(()) } else { Err(format!("another signature for {canonical:?}")) }
}

fn signed(server: &FaultServer) -> Command {
    let mut command = recommend(server, NOON_TEXT);
    command.args(["--prometheus-sigv4-region", "eu-west-1", "--prometheus-retries", "0", "-n", "data", "-n", "jobs"]);
    for name in ["AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SESSION_TOKEN", "AWS_SHARED_CREDENTIALS_FILE"] {
        command.env_remove(name);
    }
    command
}

#[test]
fn every_request_is_signed() {
    let server = FaultServer::start(nightly());
    server.script(|hit, _| check(hit, None).err().and_then(|wrong| say(403, wrong)));
    let mut command = signed(&server);
    command.env("AWS_ACCESS_KEY_ID", ID).env("AWS_SECRET_ACCESS_KEY", SECRET);
    // The namespaces hold nothing; what counts is that no request was refused.
    let ran = run(&mut command);
    let refused: Vec<String> = server.hits().iter().filter_map(|hit| check(hit, None).err()).collect();
    assert_eq!(refused, Vec::<String>::new());
    assert!(server.hits().iter().any(|hit| !hit.query.is_empty()) && server.hits().len() > 5, "{ran:?}");
    let mut command = recommend(&server, NOON_TEXT);
    command.args(["--prometheus-sigv4-region", "eu-west-1"]);
    command.env("AWS_ACCESS_KEY_ID", ID).env("AWS_SECRET_ACCESS_KEY", SECRET).env_remove("AWS_SESSION_TOKEN");
    assert_eq!(run(&mut command).report(), *undisturbed());
}

#[test]
fn a_profile_with_keys_and_a_session_is_used() {
    let server = FaultServer::start(nightly());
    let token = "IQoJb3JpZ2luX2VjE//session==";
    server.script(move |hit, _| check(hit, Some(token)).err().and_then(|wrong| say(403, wrong)));
    let file = tempfile::NamedTempFile::new().unwrap();
    let keys = format!("aws_access_key_id={ID}\naws_secret_access_key = {SECRET}\naws_session_token = {token}\n");
    std::fs::write(file.path(), format!("[default]\n\n[observer]\n{keys}")).unwrap();
    let mut command = recommend(&server, NOON_TEXT);
    command.args(["--prometheus-sigv4-region", "eu-west-1"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_WEB_IDENTITY_TOKEN_FILE");
    command.env("AWS_SHARED_CREDENTIALS_FILE", file.path()).env("AWS_PROFILE", "observer");
    assert_eq!(run(&mut command).report(), *undisturbed());
    run(command.env("AWS_PROFILE", "nobody").args(["--prometheus-retries", "0"])).refused_with(&[
        "cannot read ",
        "profile \"nobody\" is not there; `aws configure export-credentials` gives keys for it",
    ]);
}

#[test]
fn another_secret_is_refused() {
    let server = FaultServer::start(nightly());
    server.script(|hit, _| {
        check(hit, None)
            .err()
            .and_then(|_| say(403, r#"{"message":"The request signature we calculated does not match"}"#))
    });
    let mut command = signed(&server);
    command.env("AWS_ACCESS_KEY_ID", ID).env("AWS_SECRET_ACCESS_KEY", "hunter2hunter2");
    run(&mut command).refused_with(&[
        "refuses the credentials (HTTP 403): The request signature we calculated does not match",
        "--prometheus-sigv4-region",
    ]);
}
