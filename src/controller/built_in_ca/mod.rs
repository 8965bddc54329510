//! The built-in CA on a cluster: keeps its Secret, brings its bundle into the webhook configurations, and hands out the
//! pair that is to be served. Must not know the clock, nor who serves.
//!
//! Every replica does this, and none of them has to be chosen. A change of the Secret names the version that it was
//! read at (or creates it), so that of several at once the API server takes one; the others are told to read again and
//! go on from what the winner stored. A lease would add a second thing to agree on, with a clock in it, and nothing
//! that this does not give: a step is pure in what was read, and safe to be repeated.
//!
//! What is served comes from the Secret alone, never from a CA that was made and not stored. A replica that has read
//! the Secret before a change may write an older bundle into a configuration after it; the next look of any replica
//! puts that right, and nothing relies on a new bundle before a day has passed.

mod api;
mod configuration;
mod settings;
mod step;

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

pub use api::ApiError;
pub use settings::{SecretName, Settings, object_name};

use crate::certs::authority::AuthorityError;
use crate::certs::bundle::Bundle;
use crate::certs::pair::{CertifiedPair, PairError};
use crate::certs::rotation::Lifetimes;
use api::{Api, Change};
use step::Todo;

/// Most steps and repetitions of one look. A change of CA takes five; the others are for replicas that are quicker.
const MAX_STEPS: usize = 20;

/// What keeps the built-in CA from being as it should be.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The API server.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// No certificate could be made.
    #[error("the built-in CA in Secret {secret}: {cause}")]
    Authority {
        /// Where it is kept.
        secret: SecretName,
        /// Why.
        cause: AuthorityError,
    },
    /// What is stored cannot be served, although nothing is left to be done about it.
    #[error("the certificate in Secret {secret} is not served: {cause}")]
    Pair {
        /// Where it is kept.
        secret: SecretName,
        /// Why.
        cause: PairError,
    },
    /// Others change it all the time.
    #[error(
        "Secret {0} changes again and again while podfit keeps its CA there; see who else writes it, or name another by --built-in-ca"
    )]
    Contended(SecretName),
}

/// What a look came to.
#[derive(Debug, Default)]
pub struct Look {
    /// A pair that was not handed out before, to be served from now on.
    pub fresh: Option<Arc<CertifiedPair>>,
    /// What is wrong; the pair that was handed out last is still to be served.
    pub problem: Option<CaError>,
}

/// Keeps the CA, look by look.
#[derive(Clone)]
pub struct BuiltInCa {
    api: Api,
    settings: Settings,
    lifetimes: Lifetimes,
    handed_out: Option<CertificateDer<'static>>,
}

impl fmt::Debug for BuiltInCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuiltInCa").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl BuiltInCa {
    /// Sends nothing yet. The client needs no time-out of its own.
    pub fn new(client: kube::Client, settings: Settings) -> Self {
        Self { api: Api::new(client), settings, lifetimes: Lifetimes::default(), handed_out: None }
    }

    /// Looks at everything, does what is due at `now`, and looks again where somebody else was quicker.
    pub async fn look(&mut self, now: Timestamp) -> Look {
        let (bundle, mut problem) = match self.settle(now).await {
            Ok(settled) => settled,
            Err(problem) => return Look { problem: Some(problem), fresh: None },
        };
        let fresh = self.hand_out(&bundle, now).unwrap_or_else(|error| {
            problem.get_or_insert(error);
            None
        });
        // Also where nothing was due: configurations are installed later, and applied again without a bundle.
        if problem.is_none() {
            problem = self.publish(&bundle).await.err().map(CaError::from);
        }
        Look { fresh, problem }
    }

    /// Takes steps until none is due; the bundle as it is stored then, and what kept it from getting out.
    async fn settle(&self, now: Timestamp) -> Result<(Bundle, Option<CaError>), CaError> {
        let secret = || self.settings.secret.clone();
        for _ in 0..MAX_STEPS {
            let stored = self.api.secret(&self.settings).await?;
            let todo = stored.todo(&self.settings.names, &self.lifetimes, now);
            let bundle = match todo.map_err(|cause| CaError::Authority { secret: secret(), cause })? {
                Todo::Serve(bundle) => return Ok((bundle, None)),
                Todo::Store(bundle) => bundle,
                Todo::Publish(bundle) => match self.publish(&bundle).await {
                    Ok(()) => bundle,
                    Err(problem) => return Ok((bundle, Some(problem.into()))),
                },
            };
            if self.api.store(&stored, &bundle, &self.settings).await? == Change::Done {
                tracing::info!(secret = %self.settings.secret, "built-in CA stored");
            }
        }
        Err(CaError::Contended(secret()))
    }

    async fn publish(&self, bundle: &Bundle) -> Result<(), ApiError> {
        self.api.publish(&STANDARD.encode(bundle.ca_bundle()), &self.settings).await
    }

    fn hand_out(&mut self, bundle: &Bundle, now: Timestamp) -> Result<Option<Arc<CertifiedPair>>, CaError> {
        let Some(leaf) = bundle.leaf() else { return Ok(None) };
        let pair = CertifiedPair::load(leaf.certificate.as_bytes(), leaf.key.expose().as_bytes(), now)
            .map_err(|cause| CaError::Pair { secret: self.settings.secret.clone(), cause })?;
        let der = &pair.leaf().der;
        if self.handed_out.as_ref() == Some(der) {
            return Ok(None);
        }
        self.handed_out = Some(der.clone());
        Ok(Some(Arc::new(pair)))
    }
}
