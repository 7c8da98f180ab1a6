//! Every kind of credential, and the one thing they have in common: giving a token for a scope.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::control_plane::ControlPlane;
use super::external_account::ExternalAccount;
use super::hosts::GOOGLE;
use super::impersonated::Impersonated;
use super::metadata_server::MetadataServer;
use super::oauth::AuthorizedUser;
use super::service_account::ServiceAccount;
use super::{Environment, Error};
use crate::gcs::sign::timestamp;
use crate::gcs::token::{Fresh, Slot};

/// Reading and listing objects.
const READ_ONLY: &str = "https://www.googleapis.com/auth/devstorage.read_only";
/// Writing and deleting objects; asked for only when something is to be written.
const READ_WRITE: &str = "https://www.googleapis.com/auth/devstorage.read_write";
/// Calling IAM; nothing narrower is enough for signBlob.
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Where tokens come from.
#[derive(Debug)]
pub(crate) enum Kind {
    ServiceAccount(ServiceAccount),
    AuthorizedUser(AuthorizedUser),
    Impersonated(Impersonated),
    ExternalAccount(Box<ExternalAccount>),
    MetadataServer(MetadataServer),
    Anonymous,
}

/// A kind of credential and the universe it belongs to.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) kind: Kind,
    /// `None`: only the metadata server knows.
    pub(crate) universe: Option<Arc<str>>,
}

/// The scope that a token in this slot needs.
pub(crate) fn scope(slot: Slot) -> &'static str {
    match slot {
        Slot::Reading => READ_ONLY,
        Slot::Writing => READ_WRITE,
        Slot::Calling | Slot::Source => CLOUD_PLATFORM,
    }
}

impl Source {
    /// A new token; boxed because an impersonation's source may be an impersonation.
    pub(crate) fn fetch<'a>(
        &'a self,
        slot: Slot,
        control: &'a ControlPlane,
        environment: &'a Environment,
    ) -> Pin<Box<dyn Future<Output = Result<Fresh, Error>> + Send + 'a>> {
        Box::pin(async move {
            let (scope, now) = (scope(slot), environment.now());
            // A clock outside 1970 to 9999 would make dates that nobody takes.
            timestamp(now).map_err(|error| Error::Key(Box::new(error)))?;
            match &self.kind {
                Kind::ServiceAccount(key) => key.fetch(scope, control, now).await,
                Kind::AuthorizedUser(user) => user.fetch(control, now).await,
                Kind::ExternalAccount(account) => account.fetch(scope, control, environment).await,
                Kind::MetadataServer(server) => server.fetch(scope, control, now).await,
                Kind::Impersonated(account) => {
                    let Fresh { secret, .. } = account.source.fetch(Slot::Source, control, environment).await?;
                    let bearer = super::bearer(&secret)?;
                    account.exchange(bearer, scope, (control, environment)).await
                }
                Kind::Anonymous => Err(Error::Config("an anonymous credential has no token".to_owned())),
            }
        })
    }

    /// The universe's domain.
    pub(crate) async fn universe(&self, control: &ControlPlane) -> Result<Arc<str>, Error> {
        let mut source = self;
        loop {
            match (&source.universe, &source.kind) {
                (Some(universe), _) => return Ok(universe.clone()),
                (None, Kind::MetadataServer(server)) => return server.universe(control).await,
                (None, Kind::Impersonated(account)) => source = &account.source,
                (None, _) => return Ok(Arc::from(GOOGLE)),
            }
        }
    }
}
