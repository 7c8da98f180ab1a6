//! Subject tokens made on AWS: a signed `GetCallerIdentity` request, which Google's STS sends to prove who we are.
//!
//! Keys come from the usual environment variables, else from the instance's metadata (`IMDSv2` where the file has it).
//! Follows <https://google.aip.dev/auth/4117#determining-the-subject-token-in-aws>.

use http::HeaderValue;
use reqwest::{RequestBuilder, Url};
use serde::Deserialize;

use super::sigv4::{self, Keys};
use super::{missing, sensitive};
use crate::gcs::credentials::control_plane::ControlPlane;
use crate::gcs::credentials::hosts::TrustedHosts;
use crate::gcs::credentials::{Environment, Error, Secret};

const SERVICE: &str = "AWS instance metadata";
const SESSION_HEADER: &str = "x-aws-ec2-metadata-token";

/// Where keys and region are, and whom the signed request is for.
#[derive(Debug)]
pub(crate) struct Aws {
    pub(crate) region_url: Option<Url>,
    pub(crate) keys_url: Option<Url>,
    pub(crate) session_url: Option<Url>,
    /// With `{region}` in it.
    pub(crate) verification_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceKeys {
    access_key_id: String,
    secret_access_key: Secret,
    token: Option<Secret>,
}

impl Aws {
    pub(super) async fn subject_token(
        &self,
        audience: &str,
        control: &ControlPlane,
        environment: &Environment,
    ) -> Result<Secret, Error> {
        let from_environment = environment_keys(environment);
        let region = environment.variable("AWS_REGION").or_else(|| environment.variable("AWS_DEFAULT_REGION"));
        let session = if from_environment.is_some() && region.is_some() { None } else { self.session(control).await? };
        let keys = match from_environment {
            Some(keys) => keys,
            None => self.instance_keys(session.as_ref(), control).await?,
        };
        let region = match region {
            Some(region) => region,
            None => self.instance_region(session.as_ref(), control).await?,
        };
        let url = self.verification_url(&region, &control.hosts).map_err(missing)?;
        let signed = sigv4::get_caller_identity(&url, &region, audience, (&keys, environment.now()))
            .map_err(|error| Error::Key(Box::new(error)))?;
        Ok(signed)
    }

    /// The verification URL of a region, checked against the trusted hosts.
    pub(crate) fn verification_url(&self, region: &str, hosts: &TrustedHosts) -> Result<Url, String> {
        if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err("the AWS region has characters that no region has".to_owned());
        }
        let url = self.verification_url.replace("{region}", region);
        hosts.aws(&url).map_err(|problem| format!("regional_cred_verification_url {problem}"))
    }

    /// `IMDSv2`'s session token.
    async fn session(&self, control: &ControlPlane) -> Result<Option<HeaderValue>, Error> {
        let Some(url) = &self.session_url else { return Ok(None) };
        let request = control.instance().put(url.clone()).header("x-aws-ec2-metadata-token-ttl-seconds", "300");
        let answer = ControlPlane::send(SERVICE, request).await?;
        sensitive(answer.text()?).map(Some).ok_or_else(|| answer.nonsense("a session token that cannot be sent"))
    }

    async fn instance_region(&self, session: Option<&HeaderValue>, control: &ControlPlane) -> Result<String, Error> {
        let url = self.region_url.clone();
        let url = url.ok_or_else(|| missing("no AWS region; set AWS_REGION or credential_source.region_url"))?;
        let answer = ControlPlane::send(SERVICE, with(control.instance().get(url), session)).await?;
        // It answers with a zone: a region and a letter.
        let mut zone = answer.text()?.to_owned();
        zone.pop();
        Ok(zone)
    }

    async fn instance_keys(&self, session: Option<&HeaderValue>, control: &ControlPlane) -> Result<Keys, Error> {
        let url = self.keys_url.clone();
        let url = url.ok_or_else(|| missing("no AWS keys; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"))?;
        let answer = ControlPlane::send(SERVICE, with(control.instance().get(url.clone()), session)).await?;
        let role = answer.text()?;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
        if role.is_empty() || role == "." || role == ".." || !role.bytes().all(legal) {
            return Err(answer.nonsense("no role name"));
        }
        let url = format!("{}/{role}", url.as_str().trim_end_matches('/'));
        let answer = ControlPlane::send(SERVICE, with(control.instance().get(url), session)).await?;
        let InstanceKeys { access_key_id, secret_access_key, token } = answer.json("no access key")?;
        Ok(Keys { id: access_key_id, secret: secret_access_key, session: token })
    }
}

fn environment_keys(environment: &Environment) -> Option<Keys> {
    Some(Keys {
        id: environment.variable("AWS_ACCESS_KEY_ID")?,
        secret: Secret::new(environment.variable("AWS_SECRET_ACCESS_KEY")?),
        session: environment.variable("AWS_SESSION_TOKEN").map(Secret::new),
    })
}

fn with(request: RequestBuilder, session: Option<&HeaderValue>) -> RequestBuilder {
    match session {
        Some(session) => request.header(SESSION_HEADER, session.clone()),
        None => request,
    }
}
