//! Arguments of the built-in CA: where it is kept and whom it is for.
//! Must not know what becomes of them.

use std::net::IpAddr;

use crate::certs::names::{NameError, SERVICE};
use crate::controller::built_in_ca::{SecretName, Settings, object_name};

/// Which Secret, Service and webhook configurations.
#[derive(clap::Args)]
pub struct BuiltInCaArgs {
    /// Use podfit's own CA, kept and renewed in this Secret, instead of certificate files
    #[arg(long, value_name = "NAMESPACE/SECRET", help_heading = "TLS")]
    built_in_ca: Option<SecretName>,
    /// Service of the webhook, in the Secret's namespace; the certificate is issued for its names
    #[arg(long, value_name = "NAME", default_value = SERVICE, conflicts_with = "tls_cert_file", help_heading = "TLS")]
    webhook_service: String,
    /// Name of the mutating and validating webhook configurations whose caBundle is kept up to date
    #[arg(long, value_name = "NAME", default_value = SERVICE, conflicts_with = "tls_cert_file", value_parser = object_name, help_heading = "TLS")]
    webhook_configuration: String,
    /// Additional DNS name for the certificate (repeatable)
    #[arg(long, value_name = "NAME", conflicts_with = "tls_cert_file", help_heading = "TLS")]
    tls_dns: Vec<String>,
    /// Additional IP address for the certificate (repeatable)
    #[arg(long, value_name = "ADDRESS", conflicts_with = "tls_cert_file", help_heading = "TLS")]
    tls_ip: Vec<IpAddr>,
}

impl BuiltInCaArgs {
    /// What the built-in CA goes by; `None` where files are served.
    ///
    /// # Errors
    /// A name that is none.
    pub fn settings(self) -> Result<Option<Settings>, NameError> {
        let Some(secret) = self.built_in_ca else { return Ok(None) };
        let mut settings = Settings::new(secret, &self.webhook_service, &self.webhook_configuration)?;
        for name in &self.tls_dns {
            settings.names = settings.names.with_dns(name)?;
        }
        for ip in self.tls_ip {
            settings.names = settings.names.with_ip(ip);
        }
        Ok(Some(settings))
    }
}
