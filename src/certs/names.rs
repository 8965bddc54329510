//! The names under which API servers call the webhook.
//! Must not know certificates: only which names one has to carry.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rustls::pki_types::DnsName;

/// The webhook's Service, as the manifests name it.
pub const SERVICE: &str = "podfit-webhook";
/// Its Namespace.
pub const NAMESPACE: &str = "podfit";
/// The Secret with its certificate.
pub const SECRET: &str = "podfit-webhook-tls";

/// Longest label of a DNS name (RFC 1035 §2.3.4), and so of a Service's or Namespace's name.
const LABEL_BYTES: usize = 63;

/// What cannot be a name in a certificate.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    /// A Service or Namespace that Kubernetes would refuse.
    #[error("`{name}` is no name of a {kind}; give lower-case letters, digits and dashes, at most 63")]
    Label {
        /// What it should name.
        kind: &'static str,
        /// As given, printable.
        name: String,
    },
    /// A DNS name that no client can ask for.
    #[error("`{0}` is no DNS name; give one such as podfit.example.com, and addresses as IP")]
    Dns(String),
}

/// The names that a serving certificate has to cover, each once, in a fixed order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerNames {
    primary: String,
    dns: BTreeSet<String>,
    ips: BTreeSet<IpAddr>,
}

impl ServerNames {
    /// The names of a Service: `SERVICE.NAMESPACE.svc`, which is what API servers ask for, and the two that clients
    /// inside the cluster use.
    ///
    /// # Errors
    /// A name that Kubernetes would refuse.
    pub fn of_service(service: &str, namespace: &str) -> Result<Self, NameError> {
        label("Service", service)?;
        label("Namespace", namespace)?;
        let primary = format!("{service}.{namespace}.svc");
        let dns = [primary.clone(), format!("{service}.{namespace}"), format!("{primary}.cluster.local")];
        Ok(Self { primary, dns: dns.into(), ips: BTreeSet::new() })
    }

    /// A further DNS name, for webhooks that are called by URL.
    ///
    /// # Errors
    /// A text that is no DNS name.
    pub fn with_dns(mut self, name: &str) -> Result<Self, NameError> {
        let lower = name.to_ascii_lowercase();
        let is_name = DnsName::try_from(lower.as_str()).is_ok() && lower.parse::<IpAddr>().is_err();
        if !is_name || lower.ends_with('.') {
            return Err(NameError::Dns(crate::text::name(name)));
        }
        self.dns.insert(lower);
        Ok(self)
    }

    /// A further address.
    #[must_use]
    pub fn with_ip(mut self, ip: IpAddr) -> Self {
        self.ips.insert(ip);
        self
    }

    /// The name that API servers ask for.
    pub fn primary(&self) -> &str {
        &self.primary
    }

    /// DNS names, sorted.
    pub fn dns(&self) -> impl Iterator<Item = &str> {
        self.dns.iter().map(String::as_str)
    }

    /// Addresses, sorted.
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> {
        self.ips.iter().copied()
    }

    /// All names as text, DNS names first.
    pub fn all(&self) -> Vec<String> {
        self.dns.iter().cloned().chain(self.ips.iter().map(ToString::to_string)).collect()
    }
}

fn label(kind: &'static str, name: &str) -> Result<(), NameError> {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let edge = |c: Option<&u8>| c.is_some_and(|c| *c != b'-' && inner(*c));
    let bytes = name.as_bytes();
    if bytes.len() <= LABEL_BYTES && bytes.iter().all(|c| inner(*c)) && edge(bytes.first()) && edge(bytes.last()) {
        return Ok(());
    }
    Err(NameError::Label { kind, name: crate::text::name(name) })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_service_has_three_names_and_more_when_asked() {
        let names = ServerNames::of_service("podfit-webhook", "podfit").unwrap();
        assert_eq!(names.primary(), "podfit-webhook.podfit.svc");
        let names = names.with_dns("Hooks.Example.com").unwrap().with_ip([127, 0, 0, 1].into());
        assert_eq!(
            names.all(),
            [
                "hooks.example.com",
                "podfit-webhook.podfit",
                "podfit-webhook.podfit.svc",
                "podfit-webhook.podfit.svc.cluster.local",
                "127.0.0.1"
            ]
        );
    }

    #[rstest]
    #[case("", "podfit")]
    #[case("Podfit", "podfit")]
    #[case("podfit-", "podfit")]
    #[case("a.b", "podfit")]
    #[case("podfit", "two words")]
    #[case("podfit", "x\u{202e}y")]
    fn what_kubernetes_refuses_is_no_name(#[case] service: &str, #[case] namespace: &str) {
        let said = ServerNames::of_service(service, namespace).unwrap_err().to_string();
        assert!(said.contains("lower-case letters"), "{said}");
        assert!(!said.contains('\u{202e}'), "{said}");
    }

    #[rstest]
    #[case("10.0.0.1")]
    #[case("::1")]
    #[case("https://x")]
    #[case("a..b")]
    #[case("*.example.com")]
    #[case("ends.with.dot.")]
    fn what_nobody_can_ask_for_is_no_dns_name(#[case] name: &str) {
        let names = ServerNames::of_service("a", "b").unwrap();
        assert_eq!(names.with_dns(name), Err(NameError::Dns(name.to_owned())));
    }
}
