//! Where the built-in CA is kept and whom it is for: a Secret, a Service, webhook configurations.
//! Must not know the command line. Names become parts of paths, so nothing but names gets through.

use std::fmt;
use std::str::FromStr;

use crate::certs::names::{NameError, ServerNames};

/// Longest name of an object (RFC 1123 subdomain).
const NAME_BYTES: usize = 253;

/// What the built-in CA goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it is kept.
    pub secret: SecretName,
    /// The webhook's Service, in the Secret's namespace.
    pub service: String,
    /// Name of the mutating and of the validating webhook configuration.
    pub configuration: String,
    /// Names that the certificate covers.
    pub names: ServerNames,
}

impl Settings {
    /// For a Service, under its own names.
    ///
    /// # Errors
    /// A Service or namespace that Kubernetes would refuse.
    pub fn new(secret: SecretName, service: &str, configuration: &str) -> Result<Self, NameError> {
        let names = ServerNames::of_service(service, &secret.namespace)?;
        Ok(Self { secret, service: service.to_owned(), configuration: configuration.to_owned(), names })
    }
}

/// A Secret's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl FromStr for SecretName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, name) =
            text.split_once('/').ok_or("give NAMESPACE/SECRET, such as podfit/podfit-webhook-tls")?;
        Ok(Self { namespace: object_name(namespace)?, name: object_name(name)? })
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The name of an object.
///
/// # Errors
/// What Kubernetes would refuse.
pub fn object_name(text: &str) -> Result<String, String> {
    let alphanumeric = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let ok = text.len() <= NAME_BYTES
        && text.bytes().all(|b| alphanumeric(Some(b)) || b == b'-' || b == b'.')
        && alphanumeric(text.bytes().next())
        && alphanumeric(text.bytes().last());
    let expected = "a name has 1 to 253 lower-case letters, digits and inner hyphens or dots";
    if ok { Ok(text.to_owned()) } else { Err(expected.to_owned()) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("podfit/podfit-webhook-tls", true)]
    #[case("podfit/tls.v1", true)]
    #[case("podfit", false)]
    #[case("/tls", false)]
    #[case("podfit/", false)]
    #[case("podfit/a/b", false)]
    #[case("podfit/..", false)]
    #[case("podfit/tls?x", false)]
    #[case("Podfit/tls", false)]
    fn a_secret_is_named_with_its_namespace(#[case] text: &str, #[case] is_name: bool) {
        let name: Result<SecretName, _> = text.parse();
        assert_eq!(name.map(|n| n.to_string()).ok().as_deref(), is_name.then_some(text));
    }
}
