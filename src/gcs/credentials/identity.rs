//! Who a credential is towards Google: for messages and for the grants that they name.
//!
//! Decides nothing; never tells a secret.
//! Follows <https://cloud.google.com/iam/docs/principal-identifiers>.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Credential, Kind, Place, Source};

/// What a credential is, and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// In words, such as "service account key".
    pub kind: &'static str,
    /// The file that it was read from.
    pub file: Option<PathBuf>,
    /// Whom GCS sees.
    pub caller: Principal,
    /// Who acts as the caller, where that is another.
    pub source: Option<Principal>,
    /// The service account that URLs are signed as, where the configuration names one.
    pub sign_as: Option<Arc<str>>,
}

/// Somebody whom a role can be granted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A service account.
    ServiceAccount(Arc<str>),
    /// Identities of another provider: all of a pool, as the credential does not say which one it is.
    Federated(Arc<str>),
    /// A person; the credential does not say who.
    User,
    /// Nobody in particular.
    Anyone,
    /// The account of this machine, which the metadata server does not tell.
    Machine,
}

impl Principal {
    /// As IAM takes it, such as `serviceAccount:media@project.iam.gserviceaccount.com`.
    pub fn member(&self) -> String {
        match self {
            Self::ServiceAccount(email) => format!("serviceAccount:{email}"),
            Self::Federated(pool) => pool.to_string(),
            Self::User => "user:YOUR_ADDRESS".to_owned(),
            Self::Anyone => "allUsers".to_owned(),
            Self::Machine => "serviceAccount:ACCOUNT_OF_THIS_MACHINE".to_owned(),
        }
    }

    /// The address of a service account.
    pub fn email(&self) -> Option<&str> {
        match self {
            Self::ServiceAccount(email) => Some(email),
            _ => None,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceAccount(email) => f.write_str(email),
            Self::Federated(pool) => f.write_str(pool),
            Self::User => f.write_str("the signed-in user"),
            Self::Anyone => f.write_str("anyone"),
            Self::Machine => f.write_str("this machine's service account"),
        }
    }
}

impl Credential {
    /// Who the credential is; only of the metadata server that has to be asked.
    pub async fn identity(&self) -> Identity {
        let inner = &self.0;
        let loaded = inner.loaded();
        let file = match &inner.place {
            Place::File(path) => Some(path.clone()),
            Place::Metadata { .. } | Place::Nowhere => None,
        };
        let source = match &loaded.source.kind {
            Kind::Impersonated(account) => {
                let nearest = account.delegates.last().and_then(|name| name.rsplit_once('/'));
                match nearest {
                    Some((_, delegate)) => Some(Principal::ServiceAccount(delegate.into())),
                    None => Some(self.principal(&account.source).await),
                }
            }
            _ => None,
        };
        let sign_as = inner.sign_as().map(|account| Arc::from(account.as_str()));
        let caller = self.principal(&loaded.source).await;
        Identity { kind: kind(&loaded.source.kind), file, caller, source, sign_as }
    }

    async fn principal(&self, source: &Source) -> Principal {
        match &source.kind {
            Kind::ServiceAccount(account) => Principal::ServiceAccount(account.email.clone()),
            Kind::Impersonated(account) => Principal::ServiceAccount(account.email.clone()),
            Kind::AuthorizedUser(_) => Principal::User,
            Kind::ExternalAccount(account) => Principal::Federated(pool(&account.audience).into()),
            Kind::MetadataServer(server) => {
                server.email(&self.0.control).await.map_or(Principal::Machine, Principal::ServiceAccount)
            }
            Kind::Anonymous => Principal::Anyone,
        }
    }
}

fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::ServiceAccount(_) => "service account key",
        Kind::AuthorizedUser(_) => "user's sign-in",
        Kind::Impersonated(account) if matches!(account.source.kind, Kind::ExternalAccount(_)) => {
            "federation, impersonating a service account"
        }
        Kind::Impersonated(_) => "impersonation",
        Kind::ExternalAccount(_) => "workload identity federation",
        Kind::MetadataServer(_) => "metadata server",
        Kind::Anonymous => "anonymous",
    }
}

/// All identities of the pool that an audience such as
/// `//iam.googleapis.com/projects/N/locations/global/workloadIdentityPools/P/providers/X` belongs to.
fn pool(audience: &str) -> String {
    let pool = audience.split_once("/providers/").map_or(audience, |(pool, _)| pool);
    format!("principalSet:{pool}/*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_named_as_iam_takes_it() {
        let audience = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x";
        let expected = "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/*";
        assert_eq!(pool(audience), expected);
    }
}
