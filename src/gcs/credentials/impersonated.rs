//! Acting as a service account: IAM's generateAccessToken and signBlob, called with the source's token.
//!
//! Follows <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts>.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde::Deserialize;

use super::control_plane::ControlPlane;
use super::source::Source;
use super::{Environment, Error, Secret};
use crate::gcs::token::Fresh;

const SERVICE: &str = "IAM";
/// The method that gives tokens.
pub(crate) const GENERATE: &str = "generateAccessToken";
/// The method that signs.
pub(crate) const SIGN_BLOB: &str = "signBlob";

/// A service account that the source may act as.
#[derive(Debug)]
pub(crate) struct Impersonated {
    pub(crate) source: Box<Source>,
    pub(crate) email: Arc<str>,
    /// IAM's URL up to the method, as the credential file has it; `None`: made from the universe.
    pub(crate) resource_url: Option<String>,
    /// Resource names, nearest to the source first.
    pub(crate) delegates: Arc<[String]>,
    pub(crate) lifetime: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GeneratedToken {
    access_token: Secret,
    expire_time: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedBlob {
    signed_blob: String,
}

impl Impersonated {
    /// A token of the account, for the source's token.
    pub(crate) async fn exchange(
        &self,
        bearer: HeaderValue,
        scope: &str,
        (control, environment): (&ControlPlane, &Environment),
    ) -> Result<Fresh, Error> {
        let url = self.url(GENERATE, control, environment).await?;
        let body = serde_json::json!({
            "scope": [scope], "lifetime": format!("{}s", self.lifetime.as_secs()), "delegates": &*self.delegates,
        });
        let request = control.internet().post(url).header(AUTHORIZATION, bearer).json(&body);
        let answer = ControlPlane::send(SERVICE, request).await?;
        let GeneratedToken { access_token, expire_time } = answer.json("no accessToken and expireTime")?;
        let expires_at =
            humantime::parse_rfc3339(&expire_time).map_err(|_| answer.nonsense("expireTime is not a time"))?;
        Ok(Fresh { secret: access_token, expires_at })
    }

    /// IAM's URL of a method on the account.
    pub(crate) async fn url(
        &self,
        method: &str,
        control: &ControlPlane,
        environment: &Environment,
    ) -> Result<String, Error> {
        if let Some(resource) = &self.resource_url {
            return Ok(format!("{resource}:{method}"));
        }
        let universe = self.source.universe(control).await?;
        Ok(environment.iam_url(&universe, &self.email, method))
    }
}

/// A signature by IAM, with a key that Google holds.
pub(crate) async fn sign_blob(
    url: &str,
    bearer: HeaderValue,
    delegates: &[String],
    (payload, control): (&[u8], &ControlPlane),
) -> Result<Vec<u8>, Error> {
    let body = serde_json::json!({ "payload": STANDARD.encode(payload), "delegates": delegates });
    let request = control.internet().post(url).header(AUTHORIZATION, bearer).json(&body);
    let answer = ControlPlane::send(SERVICE, request).await?;
    let SignedBlob { signed_blob } = answer.json("no signedBlob")?;
    STANDARD.decode(signed_blob).map_err(|_| answer.nonsense("signedBlob is not base64"))
}
