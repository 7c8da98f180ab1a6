//! A service account's key: a JWT that it signs is the token, or is exchanged for one.
//!
//! The self-signed JWT has a `scope` and no `aud`, and lives an hour at most; no token endpoint is needed for it.
//! Follows <https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth> and RFC 7523.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;

use super::control_plane::ControlPlane;
use super::{Error, Secret, oauth};
use crate::gcs::sign::Desk;
use crate::gcs::token::Fresh;

const LIFE: Duration = Duration::from_hours(1);
/// Google's clock may be a little behind ours; the JWT begins earlier and lives no longer for it.
const SKEW: Duration = Duration::from_secs(10);
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A key and whose it is.
#[derive(Debug)]
pub(crate) struct ServiceAccount {
    pub(crate) email: Arc<str>,
    pub(crate) key: Desk,
    pub(crate) key_id: Option<String>,
    /// Where JWTs are exchanged; `None`: they are the tokens.
    pub(crate) exchange: Option<Url>,
}

impl ServiceAccount {
    pub(crate) async fn fetch(&self, scope: &str, control: &ControlPlane, now: SystemTime) -> Result<Fresh, Error> {
        let audience = self.exchange.as_ref().map(Url::as_str);
        let (jwt, expires_at) = self.jwt(scope, audience, now).await?;
        let Some(url) = &self.exchange else {
            return Ok(Fresh { secret: jwt, expires_at });
        };
        let form = [("grant_type", JWT_BEARER), ("assertion", jwt.expose())];
        let request = control.internet().post(url.clone()).form(&form);
        oauth::token(&ControlPlane::send("the token endpoint", request).await?, now)
    }

    async fn jwt(&self, scope: &str, audience: Option<&str>, now: SystemTime) -> Result<(Secret, SystemTime), Error> {
        let input = Self::claims(&self.email, self.key_id.as_deref(), scope, audience, now)?;
        let signed = self.key.sign_ahead(input.as_bytes()).await.ok_or(Error::Interrupted)?;
        let signature = signed.map_err(|error| Error::Key(Box::new(error)))?;
        let jwt = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
        Ok((Secret::new(jwt), now - SKEW + LIFE))
    }

    /// Header and claims, encoded: what the JWT's signature is made of.
    fn claims(
        email: &str,
        key_id: Option<&str>,
        scope: &str,
        audience: Option<&str>,
        now: SystemTime,
    ) -> Result<String, Error> {
        let issued = (now - SKEW).duration_since(UNIX_EPOCH).map_err(|error| Error::Key(Box::new(error)))?.as_secs();
        let mut header = serde_json::json!({ "alg": "RS256", "typ": "JWT" });
        let mut claims = serde_json::json!({
            "iss": email, "sub": email, "scope": scope, "iat": issued, "exp": issued + LIFE.as_secs(),
        });
        if let Some(id) = key_id {
            header["kid"] = id.into();
        }
        if let Some(audience) = audience {
            claims["aud"] = audience.into();
        }
        let encode = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        Ok(format!("{}.{}", encode(header), encode(claims)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(input: &str, index: usize) -> serde_json::Value {
        let text = input.split('.').nth(index).expect("a part");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64")).expect("JSON")
    }

    #[test]
    fn the_token_has_a_scope_no_audience_and_lives_an_hour() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_007);
        let input = ServiceAccount::claims("a@b.c", Some("id"), "scope", None, now).expect("claims");
        assert_eq!(part(&input, 0), serde_json::json!({ "alg": "RS256", "typ": "JWT", "kid": "id" }));
        let claims = part(&input, 1);
        assert_eq!(
            (&claims["iss"], &claims["sub"], &claims["scope"]),
            (&"a@b.c".into(), &"a@b.c".into(), &"scope".into())
        );
        assert!(claims.get("aud").is_none());
        assert_eq!(claims["exp"].as_u64().zip(claims["iat"].as_u64()).map(|(end, start)| end - start), Some(3600));
        assert!(claims["iat"].as_u64() < Some(1_800_000_007));
    }

    #[test]
    fn an_assertion_names_its_receiver() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_007);
        let input = ServiceAccount::claims("a@b.c", None, "scope", Some("https://x/token"), now).expect("claims");
        assert_eq!(part(&input, 1)["aud"], "https://x/token");
        assert!(part(&input, 0).get("kid").is_none());
    }
}
