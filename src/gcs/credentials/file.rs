//! Credential files: which kind each is, and what it must have. Secrets in it never reach an error.
//!
//! Unknown fields are Google's business; missing or wrong ones are told by name. Hosts are confined to Google's, the
//! file's universe and those the operator trusts.
//! Follows <https://google.aip.dev/auth/4110>.

mod external;
mod shape;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::config::{Account, Config, TokenMethod};
use super::hosts::{GOOGLE, TrustedHosts, is_universe};
use super::impersonated::{GENERATE, Impersonated};
use super::oauth::{AuthorizedUser, TOKEN_URI};
use super::service_account::ServiceAccount;
use super::source::{Kind, Source};
use super::{Environment, Error};
use crate::gcs::sign::{Desk, RsaKey};
use crate::object::ProjectId;
use shape::Shape;

const SUPPORTED: &str = "service_account, authorized_user, impersonated_service_account or external_account";
/// An impersonation in an impersonation in an impersonation is enough.
const MAX_DEPTH: usize = 3;
/// What IAM gives without an organisation's leave for more.
pub(super) const HOUR: Duration = Duration::from_hours(1);

/// What a credential file says.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) source: Source,
    pub(crate) quota_project: Option<ProjectId>,
}

/// Reads a credential file's content.
pub(crate) fn parse(
    bytes: &[u8],
    path: &Path,
    config: &Config,
    (hosts, environment): (&TrustedHosts, &Environment),
) -> Result<Parsed, Error> {
    let shape = shape::read(bytes, path)?;
    let quota_project = match &shape.quota_project_id {
        Some(id) => Some(ProjectId::new(id).map_err(|error| Error::file(path, "quota_project_id", error.to_string()))?),
        None => None,
    };
    let reader = Reader { path, config, hosts, environment };
    Ok(Parsed { source: reader.source(shape, "", 0)?, quota_project })
}

struct Reader<'a> {
    path: &'a Path,
    config: &'a Config,
    hosts: &'a TrustedHosts,
    environment: &'a Environment,
}

impl Reader<'_> {
    fn source(&self, shape: Shape, prefix: &str, depth: usize) -> Result<Source, Error> {
        let universe = shape.universe_domain.as_deref().unwrap_or(GOOGLE).to_owned();
        if !is_universe(&universe) {
            return Err(self.wrong(prefix, "universe_domain", "is not a domain such as googleapis.com"));
        }
        let kind = shape.kind.clone().ok_or_else(|| {
            self.wrong(
                prefix,
                "type",
                format!("is missing, so this is no Google credential file; expected {SUPPORTED}"),
            )
        })?;
        let kind = match kind.as_str() {
            "service_account" => self.service_account(shape, prefix, &universe)?,
            "authorized_user" => self.authorized_user(shape, prefix, &universe)?,
            "impersonated_service_account" => self.impersonated(shape, prefix, (&universe, depth))?,
            "external_account" => return self.external_account(shape, prefix, universe),
            "gdch_service_account" | "external_account_authorized_user" => {
                let problem = format!("{kind:?} is not supported; use {SUPPORTED}");
                return Err(self.wrong(prefix, "type", problem));
            }
            _ => {
                let shown: String = kind.chars().take(60).collect();
                return Err(self.wrong(prefix, "type", format!("{shown:?} is unknown; expected {SUPPORTED}")));
            }
        };
        Ok(Source { kind, universe: Some(universe.into()) })
    }

    fn service_account(&self, shape: Shape, prefix: &str, universe: &str) -> Result<Kind, Error> {
        let email = self.need(shape.client_email, prefix, "client_email")?;
        let pem = self.need(shape.private_key, prefix, "private_key")?;
        let email = Account::try_from(email)
            .map_err(|error| self.wrong(prefix, "client_email", format!("is wrong: {error}")))?;
        let key =
            RsaKey::from_pem(pem.expose()).map_err(|error| self.wrong(prefix, "private_key", error.to_string()))?;
        let exchange = match self.config.token {
            TokenMethod::SelfSigned => None,
            TokenMethod::Exchange if universe != GOOGLE => {
                let problem = format!("is {universe:?}, where only token = \"self-signed\" works; set it");
                return Err(self.wrong(prefix, "universe_domain", problem));
            }
            TokenMethod::Exchange => {
                let url = self.need(shape.token_uri, prefix, "token_uri")?;
                Some(self.google_url(&url, prefix, "token_uri", universe)?)
            }
        };
        let key_id = shape.private_key_id.filter(|id| !id.is_empty());
        let (email, key) = (email.as_str().into(), Desk::new(key));
        Ok(Kind::ServiceAccount(ServiceAccount { email, key, key_id, exchange }))
    }

    fn authorized_user(&self, shape: Shape, prefix: &str, universe: &str) -> Result<Kind, Error> {
        let token_uri = shape.token_uri.as_deref().unwrap_or(TOKEN_URI);
        Ok(Kind::AuthorizedUser(AuthorizedUser {
            token_uri: self.google_url(token_uri, prefix, "token_uri", universe)?,
            client_id: self.need(shape.client_id, prefix, "client_id")?,
            client_secret: self.need(shape.client_secret, prefix, "client_secret")?,
            refresh_token: self.need(shape.refresh_token, prefix, "refresh_token")?,
        }))
    }

    fn impersonated(&self, shape: Shape, prefix: &str, (universe, depth): (&str, usize)) -> Result<Kind, Error> {
        if depth >= MAX_DEPTH {
            let problem = format!("is nested more than {MAX_DEPTH} deep; shorten the chain, or use delegates");
            return Err(self.wrong(prefix, "source_credentials", problem));
        }
        let source = self.need(shape.source_credentials, prefix, "source_credentials")?;
        let url = self.need(shape.service_account_impersonation_url, prefix, "service_account_impersonation_url")?;
        let source = self.source(*source, &format!("{prefix}source_credentials."), depth + 1)?;
        let (resource_url, email) = self.target(&url, prefix, universe)?;
        let delegates =
            shape.delegates.into_iter().map(|delegate| self.delegate(delegate, prefix)).collect::<Result<_, _>>()?;
        Ok(Kind::Impersonated(Impersonated {
            source: Box::new(source),
            email,
            resource_url: Some(resource_url),
            delegates,
            lifetime: HOUR,
        }))
    }

    /// IAM's URL without its method, and the account it names.
    fn target(&self, url: &str, prefix: &str, universe: &str) -> Result<(String, Arc<str>), Error> {
        let field = "service_account_impersonation_url";
        let checked = self.google_url(url, prefix, field, universe)?;
        let resource = checked.as_str().strip_suffix(GENERATE).and_then(|url| url.strip_suffix(':'));
        let email = resource.and_then(|url| url.rsplit_once("/serviceAccounts/")).map(|(_, email)| email);
        let decoded = email.map(|email| percent_encoding::percent_decode_str(email).decode_utf8_lossy().into_owned());
        match (resource, decoded.and_then(|email| Account::try_from(email).ok())) {
            (Some(resource), Some(account)) => Ok((resource.to_owned(), account.as_str().into())),
            _ => Err(self.wrong(prefix, field, "does not end in /serviceAccounts/ADDRESS:generateAccessToken")),
        }
    }

    fn delegate(&self, delegate: String, prefix: &str) -> Result<String, Error> {
        let email = delegate.rsplit_once("serviceAccounts/").map_or(delegate.as_str(), |(_, email)| email);
        let account = Account::try_from(email.to_owned());
        let account =
            account.map_err(|error| self.wrong(prefix, "delegates", format!("has a wrong entry: {error}")))?;
        Ok(account.resource())
    }

    fn google_url(&self, url: &str, prefix: &str, field: &str, universe: &str) -> Result<Url, Error> {
        self.hosts.google(url, universe).map_err(|problem| self.wrong(prefix, field, problem))
    }

    fn need<T>(&self, value: Option<T>, prefix: &str, field: &str) -> Result<T, Error> {
        value.ok_or_else(|| self.wrong(prefix, field, "is missing; create the credential file anew"))
    }

    fn wrong(&self, prefix: &str, field: &str, problem: impl Into<String>) -> Error {
        Error::file(self.path, format!("{prefix}{field}"), problem)
    }
}

#[cfg(test)]
mod tests;
