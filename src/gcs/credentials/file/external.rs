//! The part of a credential file that says where a subject token comes from.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName};

use super::shape::{CredentialSource, ExecutableShape, FormatShape, Shape};
use super::{HOUR, Reader};
use crate::gcs::credentials::Error;
use crate::gcs::credentials::external_account::{
    ALLOW_EXECUTABLES, Aws, Executable, ExternalAccount, Format, Subject, is_own_header, sensitive, split_words,
};
use crate::gcs::credentials::impersonated::Impersonated;
use crate::gcs::credentials::source::{Kind, Source};

const SOURCE: &str = "credential_source.";
/// What STS and IAM take.
const LIFETIMES: std::ops::RangeInclusive<u64> = 600..=43_200;
/// What Google's libraries take for executables.
const TIMEOUTS: std::ops::RangeInclusive<u64> = 5_000..=120_000;

impl Reader<'_> {
    pub(super) fn external_account(&self, shape: Shape, prefix: &str, universe: String) -> Result<Source, Error> {
        // Such a file may send local files and signed requests away: its word for where to is not enough.
        self.hosts.universe(&universe).map_err(|problem| self.wrong(prefix, "universe_domain", problem))?;
        let target = match &shape.service_account_impersonation_url {
            Some(url) => Some(self.target(url, prefix, &universe)?),
            None => None,
        };
        let lifetime = self.lifetime(&shape, prefix)?;
        let token_url = self.need(shape.token_url, prefix, "token_url")?;
        let source = self.need(shape.credential_source, prefix, "credential_source")?;
        let account = ExternalAccount {
            audience: self.need(shape.audience, prefix, "audience")?,
            subject_token_type: self.need(shape.subject_token_type, prefix, "subject_token_type")?,
            token_url: self.google_url(&token_url, prefix, "token_url", &universe)?,
            client: shape.client_id.zip(shape.client_secret),
            workforce_project: shape.workforce_pool_user_project,
            impersonated: target.as_ref().map(|(_, email)| email.clone()),
            subject: self.subject(source, &format!("{prefix}{SOURCE}"))?,
        };
        let source =
            Source { kind: Kind::ExternalAccount(Box::new(account)), universe: Some(universe.as_str().into()) };
        let Some((resource_url, email)) = target else { return Ok(source) };
        let impersonated = Impersonated {
            source: Box::new(source),
            email,
            resource_url: Some(resource_url),
            delegates: [].into(),
            lifetime,
        };
        Ok(Source { kind: Kind::Impersonated(impersonated), universe: Some(universe.into()) })
    }

    fn lifetime(&self, shape: &Shape, prefix: &str) -> Result<Duration, Error> {
        match shape.service_account_impersonation.as_ref().and_then(|options| options.token_lifetime_seconds) {
            None => Ok(HOUR),
            Some(seconds) if LIFETIMES.contains(&seconds) => Ok(Duration::from_secs(seconds)),
            Some(_) => Err(self.wrong(
                prefix,
                "service_account_impersonation.token_lifetime_seconds",
                "is not from 600 to 43200; correct it",
            )),
        }
    }

    fn subject(&self, source: CredentialSource, prefix: &str) -> Result<Subject, Error> {
        if source.certificate.is_some() {
            let problem = "is not supported: gsgate has no X.509 federation yet; use file, url, executable or AWS";
            return Err(self.wrong(prefix, "certificate", problem));
        }
        if let Some(id) = &source.environment_id {
            if id != "aws1" {
                return Err(self.wrong(prefix, "environment_id", "is not \"aws1\", the one that gsgate knows"));
            }
            return self.aws(source, prefix).map(Subject::Aws);
        }
        let format = self.format(source.format, prefix)?;
        match (source.file, source.url, source.executable) {
            (Some(path), None, None) => Ok(Subject::File { path, format }),
            (None, Some(url), None) => {
                let checked = self.hosts.google(&url, super::GOOGLE).or_else(|_| self.hosts.instance(&url));
                let url = checked.map_err(|problem| self.wrong(prefix, "url", problem))?;
                let headers = source.headers.iter().map(|(name, value)| {
                    let name = HeaderName::try_from(name).ok().filter(|name| !is_own_header(name));
                    name.zip(sensitive(value.expose()))
                        .ok_or_else(|| self.wrong(prefix, "headers", "has one that cannot be sent"))
                });
                Ok(Subject::Url { url, headers: headers.collect::<Result<HeaderMap, _>>()?, format })
            }
            (None, None, Some(executable)) => self.executable(executable, prefix).map(Subject::Executable),
            _ => {
                let problem = "needs exactly one of file, url, executable and environment_id";
                Err(self.wrong(prefix.trim_end_matches('.'), "", problem))
            }
        }
    }

    fn format(&self, format: Option<FormatShape>, prefix: &str) -> Result<Format, Error> {
        let Some(FormatShape { kind, subject_token_field_name }) = format else { return Ok(Format::Text) };
        match kind.as_deref() {
            None | Some("text") => Ok(Format::Text),
            Some("json") => {
                let field = self.need(subject_token_field_name, prefix, "format.subject_token_field_name")?;
                Ok(Format::Json { field })
            }
            Some(_) => Err(self.wrong(prefix, "format.type", "is neither \"text\" nor \"json\"")),
        }
    }

    fn executable(&self, shape: ExecutableShape, prefix: &str) -> Result<Executable, Error> {
        if self.environment.variable(ALLOW_EXECUTABLES).as_deref() != Some("1") {
            let problem = format!("would run a command; allow it with {ALLOW_EXECUTABLES}=1 if the file is yours");
            return Err(self.wrong(prefix, "executable", problem));
        }
        let command = self.need(shape.command, prefix, "executable.command")?;
        let command = split_words(&command)
            .ok_or_else(|| self.wrong(prefix, "executable.command", "is empty or has an open quote"))?;
        let millis = shape.timeout_millis.unwrap_or(30_000);
        if !TIMEOUTS.contains(&millis) {
            return Err(self.wrong(prefix, "executable.timeout_millis", "is not from 5000 to 120000; correct it"));
        }
        Ok(Executable { command, timeout: Duration::from_millis(millis), output_file: shape.output_file })
    }

    fn aws(&self, source: CredentialSource, prefix: &str) -> Result<Aws, Error> {
        let field = "regional_cred_verification_url";
        let instance = |url: Option<String>, field: &str| match url {
            Some(url) => self.hosts.instance(&url).map(Some).map_err(|problem| self.wrong(prefix, field, problem)),
            None => Ok(None),
        };
        let aws = Aws {
            region_url: instance(source.region_url, "region_url")?,
            keys_url: instance(source.url, "url")?,
            session_url: instance(source.imdsv2_session_token_url, "imdsv2_session_token_url")?,
            verification_url: self.need(source.regional_cred_verification_url, prefix, field)?,
        };
        // Any region will do to see the host.
        aws.verification_url("us-east-1", self.hosts)
            .map_err(|problem| self.wrong(prefix.trim_end_matches('.'), "", problem))?;
        Ok(aws)
    }
}
