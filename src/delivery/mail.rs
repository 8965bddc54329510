//! Mail by SMTP, never without TLS: a few lines as text and HTML, the report attached.

use backon::{ExponentialBuilder, Retryable};
use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::{Failure, Mail, Patience, SecretFrom, Security};
use crate::prometheus::unreadable;
use crate::report::weekly::{Brief, Renderer, Weekly};
use crate::secret::Secrets;
use crate::text;

/// Of what a server says this many characters are shown.
const SHOWN: usize = 200;

pub(super) async fn send(mail: &Mail, report: &Weekly, patience: Patience) -> Result<String, Failure> {
    let message = message(mail, report)?;
    let transport = transport(mail, patience)?;
    let once = || async {
        let sent = tokio::time::timeout(patience.timeout, transport.send(message.clone())).await;
        match sent {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failure(mail, &error)),
            Err(_) => Err(Failure::Unreachable("no answer came in time".to_owned())),
        }
    };
    let backoff = ExponentialBuilder::default().with_max_delay(patience.longest_wait).with_max_times(patience.retries);
    once.retry(backoff).sleep(tokio::time::sleep).when(Failure::is_passing).await?;
    Ok(said(mail, &message))
}

/// What would be sent.
pub(super) fn described(mail: &Mail, report: &Weekly) -> Result<String, Failure> {
    let message = message(mail, report)?;
    password(mail)?;
    Ok(said(mail, &message))
}

fn said(mail: &Mail, message: &Message) -> String {
    let to = if mail.to.len() == 1 { "1 address".to_owned() } else { format!("{} addresses", mail.to.len()) };
    format!("a mail of {} bytes to {to} by {}", message.formatted().len(), text::short(&mail.host, 80))
}

fn message(mail: &Mail, report: &Weekly) -> Result<Message, Failure> {
    let brief = Brief::of(report);
    let mailbox = |text: &str| {
        text.parse::<Mailbox>().map_err(|_| Failure::Setting(format!("{} is no mail address", text::short(text, 80))))
    };
    let mut builder = Message::builder().from(mailbox(&mail.from)?).subject(format!("podfit: {}", brief.title));
    for to in &mail.to {
        builder = builder.to(mailbox(to)?);
    }
    let bodies = MultiPart::alternative()
        .singlepart(SinglePart::plain(Renderer::Text.render(report)?))
        .singlepart(SinglePart::html(brief.html()));
    let mut parts = MultiPart::mixed().multipart(bodies);
    for form in &mail.attach {
        let renderer = Renderer::from(*form);
        let kind = ContentType::parse(renderer.media_type())
            .map_err(|_| Failure::Setting(format!("{} is no media type", renderer.media_type())))?;
        parts = parts.singlepart(Attachment::new(renderer.file_name(report)).body(renderer.render(report)?, kind));
    }
    builder.multipart(parts).map_err(|e| Failure::Setting(format!("the mail cannot be put together: {e}")))
}

fn password(mail: &Mail) -> Result<Option<Credentials>, Failure> {
    let (Some(user), Some(password)) = (&mail.user, &mail.password) else { return Ok(None) };
    Ok(Some(Credentials::new(user.clone(), password.read()?.expose().to_owned())))
}

fn transport(mail: &Mail, patience: Patience) -> Result<AsyncSmtpTransport<Tokio1Executor>, Failure> {
    // Fails when a provider is already installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut tls = TlsParameters::builder(mail.host.clone());
    if let Some(path) = &mail.ca_file {
        let failed = |why: String| Failure::File(format!("the CA in {} cannot be read: {why}", path.display()));
        let pem = std::fs::read(path).map_err(|e| failed(unreadable(&e)))?;
        tls = tls.add_root_certificate(Certificate::from_pem(&pem).map_err(|_| failed("it is no PEM".to_owned()))?);
    }
    let tls = tls.build().map_err(|e| Failure::Setting(format!("TLS to {}: {e}", text::short(&mail.host, 80))))?;
    let (tls, port) = match mail.security {
        Security::StartTls => (Tls::Required(tls), 587),
        Security::Tls => (Tls::Wrapper(tls), 465),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.host)
        .port(mail.port.unwrap_or(port))
        .tls(tls)
        .timeout(Some(patience.timeout));
    if let Some(credentials) = password(mail)? {
        builder = builder.credentials(credentials);
    }
    Ok(builder.build())
}

fn failure(mail: &Mail, error: &lettre::transport::smtp::Error) -> Failure {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let mut secrets = Secrets::default();
    if let (Some(user), Some(Ok(password))) = (&mail.user, mail.password.as_ref().map(SecretFrom::read)) {
        secrets.add_login(user, password.expose());
    }
    let why: String =
        secrets.strike(&last.to_string()).chars().filter(|c| !text::is_unprintable(*c)).take(SHOWN).collect();
    let host = text::short(&mail.host, 80);
    match error.status().map(u16::from) {
        Some(status @ (530 | 534 | 535 | 538)) => {
            Failure::Setting(format!("{host} answered {status}: {why}; check user and password"))
        }
        Some(status) if error.is_permanent() => Failure::Setting(format!("{host} answered {status}: {why}")),
        Some(status) => Failure::Unreachable(format!("{host} answered {status}: {why}")),
        None if error.is_tls() => Failure::Setting(format!("TLS to {host}: {why}")),
        None if error.is_client() => Failure::Setting(format!("{host}: {why}")),
        None => Failure::Unreachable(format!("{host}: {why}")),
    }
}
