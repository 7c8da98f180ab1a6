//! The metadata server of Google's machines: the service account that is attached to the one we run on.
//!
//! Its answers must carry `Metadata-Flavor: Google`, so that no other server at that address is believed.
//! Follows <https://cloud.google.com/compute/docs/access/authenticate-workloads>.

use std::sync::Arc;
use std::time::SystemTime;

use http::StatusCode;
use tokio::sync::OnceCell;

use super::control_plane::{Answer, ControlPlane};
use super::hosts::{GOOGLE, is_universe};
use super::{Error, oauth};
use crate::gcs::token::Fresh;

const SERVICE: &str = "the metadata server";
const FLAVOR: &str = "metadata-flavor";
const ACCOUNT: &str = "instance/service-accounts/default";

/// The metadata server, and what it said about its account.
#[derive(Debug)]
pub(crate) struct MetadataServer {
    host: String,
    email: OnceCell<Arc<str>>,
    universe: OnceCell<Arc<str>>,
}

impl MetadataServer {
    pub(crate) fn new(host: Option<String>) -> Self {
        let host = host.unwrap_or_else(|| "metadata.google.internal".to_owned());
        let host = host.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { host, email: OnceCell::new(), universe: OnceCell::new() }
    }

    pub(crate) async fn fetch(&self, scope: &str, control: &ControlPlane, now: SystemTime) -> Result<Fresh, Error> {
        oauth::token(&self.ask(&format!("{ACCOUNT}/token"), Some(scope), control).await?, now)
    }

    /// The attached account's address.
    pub(crate) async fn email(&self, control: &ControlPlane) -> Result<Arc<str>, Error> {
        let ask = async {
            let answer = self.ask(&format!("{ACCOUNT}/email"), None, control).await?;
            match super::Account::try_from(answer.text()?.to_owned()) {
                Ok(account) => Ok(Arc::from(account.as_str())),
                Err(_) => Err(answer.nonsense("not a service account's address")),
            }
        };
        self.email.get_or_try_init(|| ask).await.cloned()
    }

    /// The universe that the machine is in.
    pub(crate) async fn universe(&self, control: &ControlPlane) -> Result<Arc<str>, Error> {
        let ask = async {
            match self.ask("universe/universe-domain", None, control).await {
                // Older servers know nothing of universes.
                Err(Error::Refused { status, .. }) if status == StatusCode::NOT_FOUND => Ok(Arc::from(GOOGLE)),
                Err(error) => Err(error),
                Ok(answer) => match answer.text()? {
                    "" => Ok(Arc::from(GOOGLE)),
                    domain if is_universe(domain) => Ok(Arc::from(domain)),
                    _ => Err(answer.nonsense("not a universe domain")),
                },
            }
        };
        self.universe.get_or_try_init(|| ask).await.cloned()
    }

    async fn ask(&self, path: &str, scopes: Option<&str>, control: &ControlPlane) -> Result<Answer, Error> {
        let query = scopes.map(|scopes| format!("?scopes={scopes}")).unwrap_or_default();
        let url = format!("http://{}/computeMetadata/v1/{path}{query}", self.host);
        let answer = ControlPlane::send(SERVICE, control.instance().get(url).header(FLAVOR, "Google")).await?;
        if answer.headers.get(FLAVOR).is_some_and(|flavor| flavor == "Google") {
            Ok(answer)
        } else {
            Err(answer.nonsense("no Metadata-Flavor: Google"))
        }
    }
}
