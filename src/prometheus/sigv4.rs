//! AWS Signature Version 4, which Amazon Managed Service for Prometheus asks for. The signature itself and the
//! credentials of pods and machines are `object_store`'s; the shared state credentials file is read here.

use std::path::PathBuf;

use object_store::aws::{AmazonS3Builder, AwsAuthorizer, AwsCredential, AwsCredentialProvider};
use object_store::client::{HttpRequest, HttpRequestBody};
use reqwest::Request;
use reqwest::header::HeaderValue;

use super::error::{Error, clean, unreadable};
use super::secrets::Secrets;

const HOW: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE with keys in ~/.aws/credentials, or run \
                   where a role is given (IRSA, EKS Pod Identity, ECS, EC2)";

/// Signs requests.
pub(crate) struct Signer {
    region: String,
    service: String,
    source: Source,
}

/// Where the keys come from, in the order of AWS' own tools.
enum Source {
    /// The environment, a web identity (IRSA), a container's or a machine's role.
    Role(AwsCredentialProvider),
    /// A profile of the shared state credentials file, which is read again for every request.
    Profile { file: PathBuf, profile: String },
}

impl Signer {
    /// Finds out where the keys come from; asks nobody yet.
    pub(crate) fn new(region: String, service: String) -> Result<Self, Error> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let given = set("AWS_ACCESS_KEY_ID").is_some() || set("AWS_WEB_IDENTITY_TOKEN_FILE").is_some();
        let file = set("AWS_SHARED_CREDENTIALS_FILE")
            .map(PathBuf::from)
            .or_else(|| Some(std::env::home_dir()?.join(".aws").join("credentials")));
        let file = file.filter(|file| !given && (set("AWS_PROFILE").is_some() || file.is_file()));
        let source = if let Some(file) = file {
            Source::Profile { file, profile: set("AWS_PROFILE").unwrap_or_else(|| "default".to_owned()) }
        } else {
            // A bucket has to be named, and is never asked for.
            let builder = AmazonS3Builder::from_env().with_region(&region).with_bucket_name("none");
            let store = builder.build().map_err(|e| aws(&e.to_string()))?;
            Source::Role(store.credentials().clone())
        };
        Ok(Self { region, service, source })
    }

    /// Signs method, address and body; none of them may change afterwards.
    pub(crate) async fn sign(&self, request: &mut Request, secrets: &Secrets) -> Result<(), Error> {
        let credential = self.credential().await?;
        secrets.add(&credential.secret_key);
        if let Some(token) = &credential.token {
            secrets.add(token);
            HeaderValue::try_from(token)
                .map_err(|_| aws("the session token has characters that no header may have"))?;
        }
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default().to_vec();
        let mut signed = HttpRequest::new(HttpRequestBody::from(body));
        *signed.method_mut() = request.method().clone();
        *signed.uri_mut() =
            request.url().as_str().parse().map_err(|_| aws("the address of the server cannot be signed"))?;
        AwsAuthorizer::new(&credential, &self.service, &self.region)
            .try_authorize(&mut signed, None)
            .map_err(|e| aws(&e.to_string()))?;
        for (name, value) in signed.headers() {
            request.headers_mut().insert(name, value.clone());
        }
        Ok(())
    }

    async fn credential(&self) -> Result<std::sync::Arc<AwsCredential>, Error> {
        match &self.source {
            Source::Role(provider) => provider.get_credential().await.map_err(|e| aws(&e.to_string())),
            Source::Profile { file, profile } => {
                let failed = |problem: String| Error::File { path: file.clone(), problem };
                let text = std::fs::read_to_string(file).map_err(|e| failed(unreadable(&e)))?;
                let keys = profile_keys(&text, profile).map_err(|problem| {
                    failed(format!(
                        "profile {profile:?} {problem}; `aws configure export-credentials` gives keys for it"
                    ))
                })?;
                Ok(std::sync::Arc::new(keys))
            }
        }
    }
}

fn aws(problem: &str) -> Error {
    Error::Config { setting: "--prometheus-sigv4-region", problem: format!("{}; {HOW}", clean(problem)) }
}

/// The keys of a profile in the text of a shared credentials file.
pub(super) fn profile_keys(text: &str, profile: &str) -> Result<AwsCredential, &'static str> {
    let mut inside = false;
    let mut found = false;
    let (mut key_id, mut secret_key, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            inside = name.0.trim() == profile;
            found |= inside;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| inside && !line.starts_with(['#', ';'])) {
            let slot = match name.trim() {
                "aws_access_key_id" => &mut key_id,
                "aws_secret_access_key" => &mut secret_key,
                "aws_session_token" => &mut token,
                _ => continue,
            };
            *slot = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        }
    }
    match (found, key_id, secret_key) {
        (true, Some(key_id), Some(secret_key)) => Ok(AwsCredential { key_id, secret_key, token }),
        (true, ..) => Err("holds no aws_access_key_id and aws_secret_access_key"),
        (false, ..) => Err("is not there"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_profile() {
        let text = "# old\n[default]\naws_access_key_id = A1\naws_secret_access_key=s/+=1\n\n[ other ]\r\n\
                    aws_access_key_id=B2\n;aws_session_token=no\naws_session_token = tok\naws_secret_access_key = s2\n\
                    [sso]\nsso_start_url = https://example\n";
        let keys = |profile| profile_keys(text, profile).map(|k| (k.key_id, k.secret_key, k.token));
        assert_eq!(keys("default"), Ok(("A1".to_owned(), "s/+=1".to_owned(), None)));
        assert_eq!(keys("other"), Ok(("B2".to_owned(), "s2".to_owned(), Some("tok".to_owned()))));
        assert_eq!(keys("sso"), Err("holds no aws_access_key_id and aws_secret_access_key"));
        assert_eq!(keys("none"), Err("is not there"));
    }
}
