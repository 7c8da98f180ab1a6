//! Credentials: where they come from, the tokens they give and the signer they are.
//!
//! A file is read again at each refresh, so a key that was exchanged on disk comes into use without a restart.
//! A failure is never kept for good. Nothing here reads the process's environment or clock: both come as a value.
//! Follows <https://cloud.google.com/docs/authentication/application-default-credentials>.

mod config;
mod control_plane;
mod environment;
mod error;
mod external_account;
mod file;
mod hosts;
mod identity;
mod impersonated;
mod metadata_server;
mod oauth;
mod secret;
mod service_account;
mod source;

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use http::HeaderValue;
use tokio::sync::Semaphore;

use crate::gcs;
use crate::gcs::sign::signer::Signer;
use crate::gcs::token::{Fresh, Slot, Token, Tokens};
use crate::object::ProjectId;

pub use config::{Account, AccountError, Config, Origin, TokenMethod};
pub use control_plane::ControlPlane;
pub use environment::{Environment, Refresh};
pub use error::Error;
pub use identity::{Identity, Principal};
pub(crate) use impersonated::{SIGN_BLOB, sign_blob};
pub(crate) use secret::Secret;
pub(crate) use source::{Kind, Source};

use external_account::read_bounded;
use hosts::GOOGLE;
use impersonated::Impersonated;
use metadata_server::MetadataServer;

/// Signatures of one credential that IAM is asked for at once; others wait.
const SIGNATURES_AT_ONCE: usize = 32;

/// An identity towards Google: gives tokens, and signs where it can. Cheap to clone.
#[derive(Clone)]
pub struct Credential(Arc<Inner>);

pub(crate) struct Inner {
    config: Config,
    place: Place,
    pub(crate) control: ControlPlane,
    pub(crate) environment: Environment,
    pub(crate) tokens: Arc<Tokens>,
    loaded: ArcSwap<Loaded>,
    quota_project: Option<ProjectId>,
    pub(crate) signatures: Arc<Semaphore>,
}

/// Where the credential stands.
#[derive(Debug)]
enum Place {
    File(PathBuf),
    /// The metadata server, after nothing was found at this path.
    Metadata {
        looked: String,
    },
    Nowhere,
}

/// A source, and the content it was made from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) source: Source,
    digest: Option<[u8; 32]>,
}

impl Credential {
    /// Finds and reads the credential of a `[credentials.*]` table; nobody is asked for a token yet.
    pub async fn load(config: &Config, environment: &Environment, control: &ControlPlane) -> Result<Self, Error> {
        config.check()?;
        let place = Place::find(config, environment).await?;
        let (loaded, quota_project) = match &place {
            Place::File(path) => {
                let bytes = read(path).await?;
                warn_if_readable(path).await;
                let parsed = file::parse(&bytes, path, config, (&control.hosts, environment))?;
                (Loaded { source: wrapped(parsed.source, config), digest: Some(sha256(&bytes)) }, parsed.quota_project)
            }
            Place::Metadata { .. } => (Loaded { source: wrapped(metadata(environment), config), digest: None }, None),
            Place::Nowhere => {
                let source = Source { kind: Kind::Anonymous, universe: Some(GOOGLE.into()) };
                (Loaded { source, digest: None }, None)
            }
        };
        Ok(Self(Arc::new(Inner {
            config: config.clone(),
            quota_project: quota_override(environment)?.or(quota_project).filter(|_| !matches!(place, Place::Nowhere)),
            place,
            control: control.clone(),
            environment: environment.clone(),
            tokens: Arc::new(Tokens::new(environment.clone())),
            loaded: ArcSwap::from_pointee(loaded),
            signatures: Arc::new(Semaphore::new(SIGNATURES_AT_ONCE)),
        })))
    }

    /// A token for reading objects; `None` for an anonymous credential.
    pub async fn token(&self) -> Result<Option<Token>, gcs::Error> {
        self.storage_token(Slot::Reading).await
    }

    /// A token for writing and deleting objects; `None` for an anonymous credential.
    pub async fn writing_token(&self) -> Result<Option<Token>, gcs::Error> {
        self.storage_token(Slot::Writing).await
    }

    async fn storage_token(&self, slot: Slot) -> Result<Option<Token>, gcs::Error> {
        if matches!(self.0.place, Place::Nowhere) {
            return Ok(None);
        }
        let token = self.0.token(slot).await;
        token.map(Some).map_err(|error| gcs::Error::Credential(Box::new(Error::Shared(error))))
    }

    /// Drops this very token, after GCS answered it with 401.
    pub fn invalidate(&self, token: &Token) {
        self.0.tokens.invalidate(token);
    }

    /// What signs URLs for this credential; `None` if nothing can.
    pub fn signer(&self) -> Option<Signer> {
        Signer::of(&self.0)
    }

    /// Whether there is a signer.
    pub fn can_sign(&self) -> bool {
        Signer::exists(&self.0)
    }

    /// The project that the credential's owner wants to be charged.
    pub fn quota_project(&self) -> Option<&ProjectId> {
        self.0.quota_project.as_ref()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) async fn token(self: &Arc<Self>, slot: Slot) -> Result<Token, Arc<Error>> {
        self.tokens.get(slot, || self.clone().fetch(slot)).await
    }

    pub(crate) fn loaded(&self) -> Arc<Loaded> {
        self.loaded.load_full()
    }

    /// The same for a moment, without keeping it alive.
    pub(crate) fn peek(&self) -> impl Deref<Target = Arc<Loaded>> {
        self.loaded.load()
    }

    pub(crate) fn sign_as(&self) -> Option<&Account> {
        self.config.sign_as.as_ref()
    }

    /// A new token; boxed because that of an impersonation needs the source's.
    fn fetch(self: Arc<Self>, slot: Slot) -> Pin<Box<dyn Future<Output = Result<Fresh, Error>> + Send>> {
        Box::pin(async move {
            let loaded = self.reload().await?;
            match (&loaded.source.kind, slot) {
                (Kind::Impersonated(account), Slot::Source) => account
                    .source
                    .fetch(slot, &self.control, &self.environment)
                    .await
                    .map_err(|error| self.explain(error)),
                (Kind::Impersonated(account), _) => self.impersonate(account, slot).await,
                _ => {
                    let fetched = loaded.source.fetch(slot, &self.control, &self.environment).await;
                    fetched.map_err(|error| self.explain(error))
                }
            }
        })
    }

    /// A token of the impersonated account, with the source's token out of the cache, and with another if that was refused.
    async fn impersonate(self: &Arc<Self>, account: &Impersonated, slot: Slot) -> Result<Fresh, Error> {
        let around = (&self.control, &self.environment);
        let token = self.token(Slot::Source).await.map_err(Error::Shared)?;
        let outcome = account.exchange(token.authorization(), source::scope(slot), around).await;
        if !outcome.as_ref().is_err_and(Error::is_unauthorized) {
            return outcome;
        }
        self.tokens.invalidate(&token);
        let token = self.token(Slot::Source).await.map_err(Error::Shared)?;
        account.exchange(token.authorization(), source::scope(slot), around).await
    }

    /// The file as it is now; the key is parsed again only if the file changed.
    async fn reload(&self) -> Result<Arc<Loaded>, Error> {
        let loaded = self.loaded();
        let Place::File(path) = &self.place else { return Ok(loaded) };
        let bytes = read(path).await?;
        let digest = Some(sha256(&bytes));
        if loaded.digest == digest {
            return Ok(loaded);
        }
        let parsed = file::parse(&bytes, path, &self.config, (&self.control.hosts, &self.environment))?;
        let loaded = Arc::new(Loaded { source: wrapped(parsed.source, &self.config), digest });
        self.loaded.store(loaded.clone());
        tracing::info!(path = %path.display(), "the credential file changed and was read again");
        Ok(loaded)
    }

    /// An unreachable metadata server usually means that there is none, and no credential anywhere.
    fn explain(&self, error: Error) -> Error {
        match (&self.place, error) {
            (Place::Metadata { looked }, error @ Error::Unreachable { .. })
                if self.environment.variable("GCE_METADATA_HOST").is_none() =>
            {
                Error::NoDefault { looked: looked.clone(), source: Some(Box::new(error)) }
            }
            (_, error) => error,
        }
    }
}

impl Place {
    /// Google's order: the variable, gcloud's file, the metadata server.
    async fn find(config: &Config, environment: &Environment) -> Result<Self, Error> {
        match (config.source, &config.path) {
            (Origin::Anonymous, _) => return Ok(Self::Nowhere),
            (Origin::File, Some(path)) => return Ok(Self::File(path.clone())),
            _ => {}
        }
        if let Some(path) = environment.variable("GOOGLE_APPLICATION_CREDENTIALS") {
            return Ok(Self::File(path.into()));
        }
        let gcloud = environment.gcloud_folder().map(|folder| folder.join("application_default_credentials.json"));
        let looked = gcloud.as_ref().map_or("gcloud's file".to_owned(), |path| path.display().to_string());
        if let Some(path) = gcloud
            && tokio::fs::try_exists(&path).await.unwrap_or(true)
        {
            return Ok(Self::File(path));
        }
        if environment.variable("NO_GCE_CHECK").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(Error::NoDefault { looked, source: None });
        }
        Ok(Self::Metadata { looked })
    }
}

fn metadata(environment: &Environment) -> Source {
    let kind = Kind::MetadataServer(MetadataServer::new(environment.variable("GCE_METADATA_HOST")));
    Source { kind, universe: None }
}

/// The source, or the account that the configuration wants it to act as.
fn wrapped(source: Source, config: &Config) -> Source {
    let Some(account) = &config.impersonate else { return source };
    let universe = source.universe.clone();
    let kind = Kind::Impersonated(Impersonated {
        source: Box::new(source),
        email: account.as_str().into(),
        resource_url: None,
        delegates: config.delegates.iter().map(Account::resource).collect(),
        lifetime: file::HOUR,
    });
    Source { kind, universe }
}

fn quota_override(environment: &Environment) -> Result<Option<ProjectId>, Error> {
    let Some(id) = environment.variable("GOOGLE_CLOUD_QUOTA_PROJECT") else { return Ok(None) };
    let wrong = |error| Error::Config(format!("GOOGLE_CLOUD_QUOTA_PROJECT is wrong: {error}; correct or unset it"));
    ProjectId::new(id).map(Some).map_err(wrong)
}

async fn read(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, Error> {
    read_bounded(path).await.map_err(|source| Error::Unreadable { path: path.to_owned(), source })
}

#[cfg(unix)]
async fn warn_if_readable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = tokio::fs::metadata(path).await else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o044 != 0 {
        let (path, mode) = (path.display(), format!("{mode:03o}"));
        tracing::warn!(%path, %mode, "others can read this credential file; run chmod 600 on it");
    }
}

#[cfg(not(unix))]
async fn warn_if_readable(_: &Path) {}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    digest
}

/// `Bearer …`, marked sensitive.
pub(crate) fn bearer(secret: &Secret) -> Result<HeaderValue, Error> {
    let value = HeaderValue::try_from(format!("Bearer {}", secret.expose()));
    let mut value =
        value.map_err(|_| Error::Nonsense { service: "the token's issuer", problem: "the token cannot be sent" })?;
    value.set_sensitive(true);
    Ok(value)
}
