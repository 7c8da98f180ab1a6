//! What token endpoints are asked and answer, whoever runs them: refresh tokens, JWT bearers, token exchange.
//!
//! Follows RFC 6749 (section 6), RFC 7523 and RFC 8693.

use std::time::{Duration, SystemTime};

use reqwest::Url;
use serde::Deserialize;

use super::control_plane::{Answer, ControlPlane};
use super::{Error, Secret};
use crate::gcs::token::Fresh;

/// Google's tokens live this long, and STS may leave it unsaid.
const USUAL_LIFE: Duration = Duration::from_hours(1);
const LONGEST_LIFE: Duration = Duration::from_hours(12);

/// Google's own endpoint.
pub(crate) const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// A user's grant that gcloud keeps (`authorized_user`).
#[derive(Debug)]
pub(crate) struct AuthorizedUser {
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
    pub(crate) refresh_token: Secret,
    pub(crate) token_uri: Url,
}

impl AuthorizedUser {
    pub(crate) async fn fetch(&self, control: &ControlPlane, now: SystemTime) -> Result<Fresh, Error> {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &self.client_id),
            ("client_secret", self.client_secret.expose()),
            ("refresh_token", self.refresh_token.expose()),
        ];
        let request = control.internet().post(self.token_uri.clone()).form(&form);
        token(&ControlPlane::send("the token endpoint", request).await?, now)
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Secret,
    expires_in: Option<Seconds>,
}

/// Some endpoints write the number as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

/// The token in an answer that was asked for at `now`.
pub(crate) fn token(answer: &Answer, now: SystemTime) -> Result<Fresh, Error> {
    let TokenAnswer { access_token, expires_in } = answer.json("no access_token")?;
    let life = match expires_in {
        None => USUAL_LIFE,
        Some(Seconds::Number(seconds)) => Duration::from_secs(seconds),
        Some(Seconds::Text(text)) => {
            Duration::from_secs(text.parse().map_err(|_| answer.nonsense("expires_in is not a number"))?)
        }
    };
    Ok(Fresh { secret: access_token, expires_at: now + life.min(LONGEST_LIFE) })
}
