//! Object storage: S3 and what speaks like it, Google Cloud Storage, Azure. Credentials are those of the environment
//! (variables, instance and workload identities), or secrets that the plan names.

use std::str::FromStr;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, BackoffConfig, ObjectStore, ObjectStoreScheme, PutOptions, PutPayload, RetryConfig,
};
use reqwest::Url;

use super::{Bucket, Failure, Form, Patience};
use crate::report::weekly::{Renderer, Weekly};
use crate::secret::Secrets;
use crate::text;

/// Of what a store says this many characters are shown.
const SHOWN: usize = 200;

pub(super) async fn put(bucket: &Bucket, report: &Weekly, patience: Patience) -> Result<String, Failure> {
    let (store, folder) = open(bucket, patience)?;
    for form in &bucket.forms {
        let renderer = Renderer::from(*form);
        let attributes = Attributes::from_iter([(Attribute::ContentType, renderer.media_type())]);
        let options = PutOptions { attributes, ..PutOptions::default() };
        let at = folder.clone().join(renderer.file_name(report));
        store
            .put_opts(&at, PutPayload::from(renderer.render(report)?), options)
            .await
            .map_err(|e| failure(bucket, &e))?;
    }
    Ok(said(bucket, report))
}

/// What would be sent.
pub(super) fn described(bucket: &Bucket, report: &Weekly, patience: Patience) -> Result<String, Failure> {
    open(bucket, patience)?;
    Ok(said(bucket, report))
}

fn said(bucket: &Bucket, report: &Weekly) -> String {
    let name = |form: &Form| Renderer::from(*form).file_name(report);
    format!("{} to {}", bucket.forms.iter().map(name).collect::<Vec<_>>().join(", "), text::short(&bucket.url, 120))
}

fn open(bucket: &Bucket, patience: Patience) -> Result<(Box<dyn ObjectStore>, Path), Failure> {
    // Fails when a provider is already installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let shown = text::short(&bucket.url, 120);
    let wrong = |why: &str| Failure::Setting(format!("{shown} {why}"));
    let url = Url::parse(&bucket.url).map_err(|_| wrong("is no address"))?;
    let (scheme, path) = ObjectStoreScheme::parse(&url).map_err(|_| wrong("is no address of an object store"))?;
    let retry = RetryConfig {
        backoff: BackoffConfig { max_backoff: patience.longest_wait, ..BackoffConfig::default() },
        max_retries: patience.retries,
        ..RetryConfig::default()
    };
    let mut options: Vec<(String, String)> = bucket.options.clone().into_iter().collect();
    options.push(("timeout".to_owned(), format!("{} s", patience.timeout.as_secs())));
    for (name, secret) in &bucket.secrets {
        options.push((name.clone(), secret.read()?.expose().to_owned()));
    }
    let unknown = |name: &str| wrong(&format!("has no option {}", text::short(name, 60)));
    macro_rules! built {
        ($builder:ty) => {{
            let mut builder = <$builder>::from_env().with_url(bucket.url.clone()).with_retry(retry);
            for (name, value) in options {
                builder = builder.with_config(FromStr::from_str(&name).map_err(|_| unknown(&name))?, value);
            }
            Box::new(builder.build().map_err(|e| failure(bucket, &e))?) as Box<dyn ObjectStore>
        }};
    }
    let store = match scheme {
        ObjectStoreScheme::AmazonS3 => built!(AmazonS3Builder),
        ObjectStoreScheme::GoogleCloudStorage => built!(GoogleCloudStorageBuilder),
        ObjectStoreScheme::MicrosoftAzure => built!(MicrosoftAzureBuilder),
        _ => return Err(wrong("is neither s3://, gs:// nor az://")),
    };
    Ok((store, path))
}

/// What went wrong, without what may hold a signed address.
fn failure(bucket: &Bucket, error: &object_store::Error) -> Failure {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let mut secrets = Secrets::default();
    bucket.secrets.values().filter_map(|from| from.read().ok()).for_each(|secret| secrets.add(secret.expose()));
    let text = secrets.strike(&last.to_string());
    let text = text.split_whitespace().filter(|word| !word.contains("://")).collect::<Vec<_>>().join(" ");
    let why: String = text.chars().filter(|c| !text::is_unprintable(*c)).take(SHOWN).collect();
    match error {
        object_store::Error::Unauthenticated { .. } | object_store::Error::PermissionDenied { .. } => {
            Failure::Setting(format!("it did not let us in: {why}; check the credentials and what they may do"))
        }
        object_store::Error::NotFound { .. } => Failure::Setting(format!("there is no such bucket: {why}")),
        _ => Failure::Unreachable(why),
    }
}
