//! Checks across sections, and the files that sections name: what comes out can be built without further questions of spelling.

mod storage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

use super::{Config, ConfigError, Origin};
use crate::audit::Output;
use crate::gateway::access::ip_filter::IpFilter;
use crate::gateway::access::{self, Access, Demand};
use crate::gateway::connection;
use crate::gateway::cors::{self, Cors};
use crate::gateway::jwt::{self, Carrier, JwksSource, KeySet, Policy};
use crate::gateway::route::ConnectionName;
use crate::gcs::credentials;
use crate::label_studio;
use crate::server::AdminToken;
use crate::telemetry::Causes;

/// What browsers get unless a connection says otherwise: kept privately, asked about each time.
const DEFAULT_CACHE_CONTROL: &str = "private, no-cache";
/// The longest life of any V4 signed URL.
const LONGEST_EXPIRY: Duration = Duration::from_hours(7 * 24);

/// A configuration that was checked.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// As written.
    pub config: Config,
    /// Where it came from.
    pub origin: Origin,
    /// The connections, with their rules.
    pub connections: Vec<ResolvedConnection>,
    /// The default rules, where there are any.
    pub default_access: Option<Access>,
    /// From where Label Studio's storage client may come, where that has rules of its own.
    pub storage_access: Option<Access>,
    /// The default cross-origin rules.
    pub default_cors: Cors,
    /// What the admin listener asks for; `None` only where it stands on loopback.
    pub admin_token: Option<AdminToken>,
    /// All files that it was read from: a change in one of them is a change of the configuration.
    pub files: Vec<PathBuf>,
    /// The text of the configuration in force, without the places where secrets are.
    pub redacted: String,
}

/// A connection with its rules.
#[derive(Clone, Debug)]
pub struct ResolvedConnection {
    /// Its name.
    pub label: Arc<str>,
    /// As written.
    pub config: connection::Config,
    /// Who may ask.
    pub access: Access,
    /// Which pages may read.
    pub cors: Cors,
    /// `Cache-Control` of proxied media.
    pub cache_control: HeaderValue,
    /// Which tokens say who asks, and where their keys are.
    pub jwt: Option<(Policy, KeysAt)>,
}

/// Where keys of tokens are.
#[derive(Clone, Debug)]
pub enum KeysAt {
    /// To be fetched.
    Url(reqwest::Url),
    /// In a file that was read.
    Here(Arc<KeySet>),
}

pub(super) fn resolve(mut config: Config, origin: Origin, redacted: String) -> Result<Resolved, ConfigError> {
    config.credentials.entry("default".to_owned()).or_default();
    for (name, credential) in &mut config.credentials {
        let table = || key(&["credentials", name]);
        credential.check().map_err(|error| origin.error(table(), error.to_string()))?;
        credential.path = credential.path.take().map(|path| origin.locate(&path));
    }
    config.gcs.ca_file = config.gcs.ca_file.take().map(|path| origin.locate(&path));
    if let Some(disk) = &mut config.cache.disk {
        disk.path = origin.locate(&disk.path);
        if config.cache.memory.as_u64() == 0 {
            let cure = "what is on the disk is served through memory; give cache.memory a size, or leave disk out";
            return Err(origin.error(key(&["cache", "disk"]), cure.to_owned()));
        }
    }
    config.label_studio.locate(|path| origin.locate(path));
    if let Some(tls) = &mut config.server.tls {
        tls.certificate = origin.locate(&tls.certificate);
        tls.private_key = origin.locate(&tls.private_key);
    }
    if let Some(Output::File(path)) = &mut config.audit.output {
        *path = origin.locate(path);
    }
    config.links.check().map_err(|error| origin.error(key(&["links", "keys"]), error.to_string()))?;
    for key in &mut config.links.keys {
        key.file = origin.locate(&key.file);
    }
    config.links.revoked = config.links.revoked.take().map(|path| origin.locate(&path));
    if config.connections.is_empty() {
        let cure = "there is no connection; add [connections.NAME] with uri = \"gs://bucket/prefix/\"";
        return Err(origin.error(Vec::new(), cure.to_owned()));
    }
    let section = Section { origin: &origin, config: &config };
    let default_access = section.default_access()?;
    section.label_studio(default_access.as_ref())?;
    let storage_access = section.storage()?;
    let default_cors = section.cors(&["cors"], &config.cors)?;
    let connections = config
        .connections
        .iter()
        .map(|(name, connection)| section.connection(name.as_str(), connection, &default_cors))
        .collect::<Result<_, _>>()?;
    let admin_token = section.admin_token()?;
    section.vendors()?;
    config
        .budgets
        .check()
        .map_err(|(path, error)| origin.error(key(&["budgets", path[0], path[1]]), error.to_string()))?;
    let files = section.files();
    Ok(Resolved {
        config,
        origin,
        connections,
        default_access,
        storage_access,
        default_cors,
        admin_token,
        files,
        redacted,
    })
}

struct Section<'a> {
    origin: &'a Origin,
    config: &'a Config,
}

impl Section<'_> {
    /// The default rules; none at all is fine as long as every connection has its own.
    fn default_access(&self) -> Result<Option<Access>, ConfigError> {
        let config = &self.config.access;
        if *config == access::Config::default() {
            return Ok(None);
        }
        if config.allow.is_none() && config.ip_filter_file.is_none() {
            return Ok(None);
        }
        self.access(&["access"], Demand::Network, config).map(Some)
    }

    /// Whoever comes to Label Studio through the gateway comes by the default rules.
    fn label_studio(&self, default_access: Option<&Access>) -> Result<(), ConfigError> {
        let config = &self.config.label_studio;
        if config.upstream.is_none() {
            return Ok(());
        }
        let taken = |name: &&ConnectionName| label_studio::PATHS.contains(&name.as_str());
        if let Some(name) = self.config.connections.keys().find(taken).filter(|_| config.media_paths) {
            let message = format!("/{name}/ is a path of Label Studio's own; give the connection another name");
            return Err(self.origin.error(key(&["connections", name.as_str()]), message));
        }
        if default_access.is_none() {
            let message = "says who may come to Label Studio, too; list networks, or write allow = \"anyone\"";
            return Err(self.origin.error(key(&["access", "allow"]), message.to_owned()));
        }
        Ok(())
    }

    fn connection(
        &self,
        name: &str,
        config: &connection::Config,
        default_cors: &Cors,
    ) -> Result<ResolvedConnection, ConfigError> {
        let path = ["connections", name];
        let at = |last: &str, message: String| self.origin.error(key(&[path[0], path[1], last]), message);
        if !self.config.credentials.contains_key(&config.credentials) {
            let known: Vec<&str> = self.config.credentials.keys().map(String::as_str).collect();
            let message = format!("there is no [credentials.{}]; there is {}", config.credentials, known.join(", "));
            return Err(at("credentials", message));
        }
        if config.signed_url_expiry < Duration::from_secs(1) || config.signed_url_expiry > LONGEST_EXPIRY {
            return Err(at("signed_url_expiry", "a signed URL lives from 1s to 7days".to_owned()));
        }
        let cache_control = config.cache_control.as_deref().unwrap_or(DEFAULT_CACHE_CONTROL);
        let cache_control = HeaderValue::from_str(cache_control)
            .map_err(|_| at("cache_control", "not a legal header value; write it as in Cache-Control".to_owned()))?;
        let cors = match &config.cors {
            Some(own) => self.cors(&[path[0], path[1], "cors"], own)?,
            None => default_cors.clone(),
        };
        let jwt = config.jwt.as_ref().map(|jwt| self.tokens(name, jwt)).transpose()?;
        let access = self.admission(&path, config)?;
        let (access, cors) = match &jwt {
            // A page of another origin could not send the token without this.
            Some((policy, _)) if policy.carrier == Carrier::Bearer => {
                (access.with_token(), cors.allowing(&AUTHORIZATION))
            }
            Some(_) => (access.with_token(), cors),
            None => (access, cors),
        };
        Ok(ResolvedConnection { label: name.into(), config: config.clone(), access, cors, cache_control, jwt })
    }

    /// Which tokens a connection demands.
    fn tokens(&self, name: &str, config: &jwt::Config) -> Result<(Policy, KeysAt), ConfigError> {
        let at = |last: &str, message: String| self.origin.error(key(&["connections", name, "jwt", last]), message);
        let (policy, jwks) = config.policy().map_err(|error| at(error.key(), error.to_string()))?;
        let keys = match jwks {
            JwksSource::Url(url) => KeysAt::Url(url),
            JwksSource::File(file) => {
                let text = self.file(&file).map_err(|message| at("jwks", message))?;
                let set = KeySet::parse(text.as_bytes());
                KeysAt::Here(set.map_err(|error| at("jwks", format!("{}: {}", file.display(), Causes(&error))))?.into())
            }
        };
        Ok((policy, keys))
    }

    /// Vendors' proofs stand in the place of links; a token cannot be shown together with one.
    fn vendors(&self) -> Result<(), ConfigError> {
        let Config { vendors, connections, server, .. } = self.config;
        for ([vendor, last], name) in vendors.connections() {
            let at = |message: String| self.origin.error(key(&["vendors", vendor, last]), message);
            match connections.get(name) {
                None => return Err(at(format!("there is no [connections.{name}]"))),
                Some(connection) if connection.jwt.is_some() => {
                    let cure =
                        format!("connection \"{name}\" demands a jwt, which media tags cannot show; name another");
                    return Err(at(cure));
                }
                Some(_) => {}
            }
        }
        if vendors.diffgram.is_some() && server.public_url.is_none() {
            let cure = "Diffgram gets URLs of the gateway; say how browsers reach it, in server.public_url";
            return Err(self.origin.error(key(&["vendors", "diffgram"]), cure.to_owned()));
        }
        Ok(())
    }

    /// Who is admitted to a connection. By link alone no network counts, so that one written there would mislead.
    fn admission(&self, path: &[&str], config: &connection::Config) -> Result<Access, ConfigError> {
        let written = [("allow", config.allow.is_some()), ("ip_filter_file", config.ip_filter_file.is_some())];
        if let Some((last, _)) = written.into_iter().find(|(_, there)| *there && config.access == Demand::Link) {
            let cure = "access = \"link\" looks at no network; remove this, or write access = \"network-and-link\"";
            return Err(self.origin.error(with(path, last), cure.to_owned()));
        }
        if config.access.takes_links() && self.config.links.keys.is_empty() {
            let cure = "links need a key; make one with 'gsgate link --new-key FILE', and add \
                        [links] keys = [{ id = \"k1\", file = \"FILE\" }]";
            return Err(self.origin.error(with(path, "access"), cure.to_owned()));
        }
        self.access(path, config.access, &self.effective_access(config))
    }

    /// A connection's `allow` or `ip_filter_file` replaces both of the default's; `deny` adds up.
    fn effective_access(&self, connection: &connection::Config) -> access::Config {
        let default = &self.config.access;
        let deny = default.deny.iter().chain(&connection.deny).cloned().collect();
        if connection.allow.is_none() && connection.ip_filter_file.is_none() {
            return access::Config { deny, ..default.clone() };
        }
        access::Config { allow: connection.allow.clone(), deny, ip_filter_file: connection.ip_filter_file.clone() }
    }

    fn access(&self, path: &[&str], demand: Demand, config: &access::Config) -> Result<Access, ConfigError> {
        let at = |last: &str, message: String| self.origin.error(with(path, last), message);
        let filter = match &config.ip_filter_file {
            Some(file) => {
                let text = self.file(file).map_err(|message| at("ip_filter_file", message))?;
                let parsed = IpFilter::parse(&text);
                Some(parsed.map_err(|error| at("ip_filter_file", format!("{}: {}", file.display(), Causes(&error))))?)
            }
            None => None,
        };
        Access::demanding(demand, config, &self.config.networks, filter)
            .map_err(|error| at(error.key(), error.to_string()))
    }

    fn cors(&self, path: &[&str], config: &cors::Config) -> Result<Cors, ConfigError> {
        let at = |message: String| self.origin.error(key(path), message);
        let text = match &config.file {
            Some(file) => Some(self.file(file).map_err(|message| self.origin.error(with(path, "file"), message))?),
            None => None,
        };
        Cors::new(config, text.as_deref()).map_err(|error| match &config.file {
            Some(file) => at(format!("{}: {}", file.display(), Causes(&error))),
            None => at(error.to_string()),
        })
    }

    /// The admin listener's token; a listener that others can reach needs one.
    fn admin_token(&self) -> Result<Option<AdminToken>, ConfigError> {
        let admin = &self.config.admin;
        let at = |last: &str, message: String| self.origin.error(key(&["admin", last]), message);
        if let Some(file) = &admin.token_file {
            let text = self.file(file).map(Zeroizing::new).map_err(|message| at("token_file", message))?;
            let token = AdminToken::new(&text);
            return token.map(Some).map_err(|error| at("token_file", format!("{}: {error}", file.display())));
        }
        match admin.listen.addresses().iter().find(|address| !address.ip().to_canonical().is_loopback()) {
            None => Ok(None),
            Some(address) => Err(at(
                "listen",
                format!(
                    "{address} is not on loopback, so others can reach the page and the API; name a file with a token \
                     in admin.token_file, or listen on 127.0.0.1"
                ),
            )),
        }
    }

    /// Every file that is read once, at load. Certificates are watched by the server, revoked links by the app; tokens'
    /// files are read at each refresh.
    fn files(&self) -> Vec<PathBuf> {
        let Config { admin, access, cors, links, gcs, credentials, connections, .. } = self.config;
        let rules = [&access.ip_filter_file, &cors.file, &admin.token_file].into_iter().flatten();
        let own = connections.values().flat_map(|connection| {
            connection.ip_filter_file.iter().chain(connection.cors.iter().flat_map(|cors| &cors.file))
        });
        let tokens = connections.values().filter_map(|connection| connection.jwt.as_ref()?.file());
        let vendors = self.config.vendors.files();
        let relative = rules.chain(own).chain(tokens).chain(vendors).map(|path| self.origin.locate(path));
        let absolute = credentials.values().flat_map(|credential| &credential.path).chain(&gcs.ca_file);
        let absolute = absolute.chain(&self.config.label_studio.ca_file).cloned();
        let export = self.config.label_studio.export.iter().flat_map(|export| &export.secret_file).cloned();
        let storage = self.config.label_studio.storage.iter().flat_map(|storage| &storage.keys).cloned();
        let absolute = absolute.chain(export).chain(storage).chain(links.keys.iter().map(|key| key.file.clone()));
        std::iter::once(self.origin.path.clone()).chain(relative).chain(absolute).collect()
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        let path = self.origin.locate(path);
        std::fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    }
}

fn key(path: &[&str]) -> Vec<String> {
    path.iter().map(|&segment| segment.to_owned()).collect()
}

fn with(path: &[&str], last: &str) -> Vec<String> {
    let mut path = key(path);
    path.push(last.to_owned());
    path
}

/// The credentials that connections really use, by name.
impl Resolved {
    /// Names and settings of the credentials that some connection uses.
    pub fn used_credentials(&self) -> BTreeMap<&str, &credentials::Config> {
        self.connections
            .iter()
            .filter_map(|connection| self.config.credentials.get_key_value(&connection.config.credentials))
            .map(|(name, config)| (name.as_str(), config))
            .collect()
    }
}
