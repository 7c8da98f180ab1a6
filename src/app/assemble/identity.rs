//! Who may say who asks: the keys of token issuers, and what is shared with annotation vendors.

use std::io::Read as _;
use std::path::Path;

use super::refused;
use crate::config::{ConfigError, KeysAt, Resolved, ResolvedConnection};
use crate::gateway::jwt::fetched::Issuers;
use crate::gateway::jwt::{Identity, Keys};
use crate::gateway::route::ConnectionName;
use crate::gateway::vendor::diffgram::Diffgram;
use crate::gateway::vendor::labelbox::Labelbox;
use crate::gateway::vendor::toloka::Toloka;
use crate::gateway::vendor::{Secret, Vendors};
use crate::gcs::credentials::ControlPlane;

/// More than any secret has.
const LONGEST: u64 = 64 * 1024;

/// Which tokens a connection demands. Keys are fetched when the first token comes.
pub(super) async fn identity(
    connection: &ResolvedConnection,
    issuers: &Issuers,
    control: &ControlPlane,
) -> Option<Identity> {
    let (policy, keys) = connection.jwt.clone()?;
    let keys = match keys {
        KeysAt::Here(set) => Keys::Fixed(set),
        KeysAt::Url(url) => Keys::Fetched(issuers.at(url, control.internet().clone()).await),
    };
    Some(Identity { policy, keys })
}

/// The adapters that are configured.
pub(super) fn vendors(resolved: &Resolved, control: &ControlPlane) -> Result<Vendors, ConfigError> {
    let config = &resolved.config.vendors;
    let names = |names: &[ConnectionName]| names.iter().map(ToString::to_string).collect();
    let mut vendors = Vendors::default();
    if let Some(labelbox) = &config.labelbox {
        let secret = secret(resolved, ["vendors", "labelbox", "secret"], &labelbox.secret)?;
        vendors.labelbox = Some(Labelbox { secret, connections: names(&labelbox.connections) });
    }
    if let Some(diffgram) = &config.diffgram {
        let authorization = secret(resolved, ["vendors", "diffgram", "authorization"], &diffgram.authorization)?;
        let public_url = resolved.config.server.public_url.as_ref().map(ToString::to_string).unwrap_or_default();
        let public_url = public_url.trim_end_matches('/').to_owned();
        vendors.diffgram = Some(Diffgram { authorization, connections: names(&diffgram.connections), public_url });
    }
    if let Some(toloka) = &config.toloka {
        let key = ["vendors", "toloka", "token"];
        let token = secret(resolved, key, &toloka.token)?;
        let client = control.internet().clone();
        let adapter = Toloka::new(toloka.connection.to_string(), toloka.api.as_str(), &token, client);
        vendors.toloka = Some(adapter.ok_or_else(|| {
            resolved.origin.error(key.map(str::to_owned).to_vec(), "the token cannot stand in a header".to_owned())
        })?);
    }
    Ok(vendors)
}

fn secret(resolved: &Resolved, key: [&str; 3], file: &Path) -> Result<Secret, ConfigError> {
    let path = resolved.origin.locate(file);
    let mut content = Vec::new();
    let read = std::fs::File::open(&path).and_then(|file| file.take(LONGEST).read_to_end(&mut content));
    if let Err(error) = read {
        let message = format!("cannot read {}: {error}", path.display());
        return Err(resolved.origin.error(key.map(str::to_owned).to_vec(), message));
    }
    Secret::new(content).map_err(|error| refused(resolved, &key, error))
}
