//! Self-signed JWTs: read and checked against a key and the clock.
//!
//! Decides whether claims are in order; who owns the key is asked of [`super::identity`].
//! Follows <https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth>.

use std::time::{Duration, SystemTime};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::Value;

/// How far clocks may differ.
const SKEW: u64 = 60;
/// The longest life.
const LONGEST: u64 = 3600;
/// The longest token read.
const MAX_TOKEN: usize = 16 * 1024;

/// A JWT whose signature is not yet checked.
#[derive(Clone, Debug)]
pub(super) struct Jwt {
    /// The key's id, if it is named.
    pub(super) kid: Option<String>,
    /// The claims.
    pub(super) claims: Value,
    /// What was signed.
    pub(super) signed: String,
    /// The signature.
    pub(super) signature: Vec<u8>,
}

/// Claims that hold at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claims {
    /// Who.
    pub(super) email: String,
    /// For what; empty if an audience stands in its place.
    pub(super) scopes: Vec<String>,
    /// For whom.
    pub(super) audience: Option<String>,
    /// Until when.
    pub(super) expires: SystemTime,
}

impl Jwt {
    /// Reads a JWT signed with RS256.
    pub(super) fn parse(token: &str) -> Option<Self> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json =
            |part: &str| -> Option<Value> { serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
        let header = json(header)?;
        if header["alg"] != "RS256" || header.get("typ").is_some_and(|kind| kind != "JWT") {
            return None;
        }
        Some(Self {
            kid: header["kid"].as_str().map(str::to_owned),
            claims: json(claims).filter(Value::is_object)?,
            signed: signed.to_owned(),
            signature: BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// The account that says it is the issuer.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims["iss"].as_str()
    }

    /// The claims, if they hold at this time.
    pub(super) fn claims_at(&self, now: SystemTime) -> Option<Claims> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        let email = self.issuer()?;
        if self.claims.get("sub").is_some_and(|subject| subject != email) {
            return None;
        }
        let (issued, expires) = (self.claims["iat"].as_u64()?, self.claims["exp"].as_u64()?);
        if issued > now + SKEW || expires <= now || expires <= issued || expires - issued > LONGEST + SKEW {
            return None;
        }
        let scope = self.claims["scope"].as_str().unwrap_or_default();
        Some(Claims {
            email: email.to_owned(),
            scopes: scope.split_ascii_whitespace().map(str::to_owned).collect(),
            audience: self.claims["aud"].as_str().map(str::to_owned),
            expires: SystemTime::UNIX_EPOCH + Duration::from_secs(expires),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(header: Value, claims: Value) -> String {
        let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{}", part(header), part(claims), BASE64_URL_SAFE_NO_PAD.encode("signature"))
    }

    fn claims(header: Value, claims: Value) -> Option<Claims> {
        Jwt::parse(&token(header, claims))?.claims_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1000))
    }

    #[test]
    fn only_claims_in_order_hold() {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": "k"});
        let good = json!({"iss": "a@b", "sub": "a@b", "scope": "x y", "iat": 990, "exp": 4590});
        let held = claims(header.clone(), good.clone()).expect("good claims");
        assert_eq!((held.email.as_str(), held.scopes.len(), held.audience), ("a@b", 2, None));
        for (name, value) in [
            ("sub", json!("c@d")),
            ("iss", json!(null)),
            ("iat", json!(1061)),
            ("iat", json!(900)),
            ("exp", json!(1000)),
            ("exp", json!("4590")),
            ("exp", json!(990)),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            assert_eq!(claims(header.clone(), bad.clone()), None, "{bad}");
        }
        assert_eq!(claims(json!({"alg": "none"}), good.clone()), None);
        assert_eq!(claims(json!({"alg": "HS256"}), good), None);
        assert!(Jwt::parse("a.b").is_none() && Jwt::parse("").is_none());
    }
}
