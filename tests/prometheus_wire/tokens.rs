//! Bearer tokens of an OAuth 2.0 server: got once, renewed before and after their end.

use axum::response::IntoResponse;
use podfit::prometheus::{Auth, Client, ClientProof, Config, Mode, OAuth2};
use rstest::rstest;

use crate::faults::{EMPTY, Fault, Hit, message, run, status};

struct Both {
    tokens: Fault,
    prometheus: Fault,
    config: Config,
    secret: tempfile::NamedTempFile,
}

/// A Prometheus that takes tokens of which `accepts` holds, and a token server that numbers them.
async fn both(
    lasts: u32,
    accepts: impl Fn(&str) -> bool + Send + Sync + 'static,
    proof: fn(std::path::PathBuf) -> ClientProof,
    answer: impl Fn(&Hit, usize) -> Option<axum::response::Response> + Send + Sync + 'static,
) -> Both {
    let tokens = Fault::start(move |hit, before| {
        answer(hit, before).unwrap_or_else(|| {
            format!(r#"{{"access_token":"hunter2-{before}","token_type":"Bearer","expires_in":{lasts}}}"#)
                .into_response()
        })
    })
    .await;
    let prometheus = Fault::start(move |hit, _| {
        let sent = hit.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or("");
        if sent.strip_prefix("Bearer ").is_some_and(&accepts) { status(200, EMPTY) } else { status(401, "no") }
    })
    .await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "hunter2 &=+\n").unwrap();
    let mut config = Config::new(prometheus.url());
    (config.mode, config.retries) = (Mode::Query, 0);
    config.auth = Auth::OAuth2(OAuth2 {
        token_url: tokens.url(),
        client_id: "podfit".to_owned(),
        proof: proof(secret.path().to_owned()),
        scopes: vec!["a".to_owned(), "b/.default".to_owned()],
    });
    Both { tokens, prometheus, config, secret }
}

#[rstest]
#[case(3600, 1)]
#[case(10, 3)]
#[tokio::test]
async fn a_token_is_used_until_shortly_before_its_end(#[case] lasts: u32, #[case] asked: usize) {
    let both = both(lasts, |token| token.starts_with("hunter2-"), ClientProof::SecretFile, |_, _| None).await;
    let client = Client::new(&both.config).unwrap();
    for _ in 0..3 {
        assert!(run(&client).await.1.is_none());
    }
    assert_eq!(both.tokens.hits().len(), asked);
    let form = String::from_utf8(both.tokens.hits()[0].body.to_vec()).unwrap();
    let want = "grant_type=client_credentials&client_id=podfit&scope=a+b%2F.default&client_secret=hunter2+%26%3D%2B";
    assert_eq!(form, want);
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once() {
    let both = both(3600, |token| token == "hunter2-1", ClientProof::SecretFile, |_, _| None).await;
    let client = Client::new(&both.config).unwrap();
    assert!(run(&client).await.1.is_none());
    assert!(run(&client).await.1.is_none());
    assert_eq!((both.tokens.hits().len(), both.prometheus.hits().len()), (2, 3));
}

#[tokio::test]
async fn an_assertion_goes_in_the_place_of_a_secret_and_is_read_again() {
    let both = both(0, |_| true, ClientProof::AssertionFile, |_, _| None).await;
    let client = Client::new(&both.config).unwrap();
    for jwt in ["one.two.three", "four.five.six"] {
        std::fs::write(both.secret.path(), jwt).unwrap();
        assert!(run(&client).await.1.is_none());
        let form = String::from_utf8(both.tokens.hits().last().unwrap().body.to_vec()).unwrap();
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        assert!(form.ends_with(&format!("&client_assertion_type={kind}&client_assertion={jwt}")), "{form}");
    }
}

#[tokio::test]
async fn a_token_server_that_wants_basic_authentication_gets_it() {
    let basic = |hit: &Hit, _| (!hit.headers.contains_key("authorization")).then(|| status(401, "invalid_client"));
    let both = both(3600, |_| true, ClientProof::SecretFile, basic).await;
    assert!(run(&Client::new(&both.config).unwrap()).await.1.is_none());
    let hit = both.tokens.hits().pop().unwrap();
    assert!(hit.headers["authorization"].to_str().unwrap().starts_with("Basic cG9kZml0O"));
    assert!(!String::from_utf8_lossy(&hit.body).contains("hunter2"));
}

#[rstest]
#[case(|_: &Hit, _| Some(status(400, r#"{"error":"invalid_scope","error_description":"for hunter2 &=+"}"#)), "HTTP 400: invalid_scope; check")]
#[case(|_: &Hit, _| Some(status(500, "hunter2 &=+ failed")), "HTTP 500: *** failed; check")]
#[case(|_: &Hit, _| Some(status(200, "<html>")), "its answer holds no access_token; check")]
#[case(|_: &Hit, _| Some(status(200, r#"{"access_token":""}"#)), "its access_token is empty; check")]
#[tokio::test]
async fn a_token_server_that_gives_none(
    #[case] answer: fn(&Hit, usize) -> Option<axum::response::Response>,
    #[case] words: &str,
) {
    let both = both(3600, |_| true, ClientProof::SecretFile, answer).await;
    let text = message(&Client::new(&both.config).unwrap()).await;
    assert!(
        text.contains(&format!("cannot get a token from {}: ", both.tokens.url())) && text.contains(words),
        "{text}"
    );
    assert!(text.contains("--prometheus-oauth2-token-url"), "{text}");
}
