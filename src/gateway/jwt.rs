//! JSON Web Tokens: whether a request shows one that was made for this connection, and who it says is asking.
//!
//! Pure: no I/O and no clock; `now` and the keys are arguments, and fetching keys is the matter of [`fetched`].
//! The signature is checked before any claim is read. Algorithms are pinned and asymmetric; what a token says about
//! where its key is to be found (`jku`, `jwk`, `x5u`) is never looked at. The client never learns what was wrong.
//! Follows RFC 7519 (<https://www.rfc-editor.org/rfc/rfc7519>), RFC 8725 (<https://www.rfc-editor.org/rfc/rfc8725>) and
//! <https://cloud.google.com/iap/docs/signed-headers-howto>.

mod config;
pub mod fetched;
mod key_set;
mod token;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};

pub(in crate::gateway) use self::config::is_confidential;
pub use self::config::{Algorithm, Config, Iap, JwksSource, JwtConfigError};
use self::fetched::Fetched;
pub use self::key_set::{KeySet, KeySetError};
pub use self::token::Token;
use super::subject::Subject;

const IAP_ASSERTION: HeaderName = HeaderName::from_static("x-goog-iap-jwt-assertion");

/// Where the token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// `Authorization: Bearer …`
    Bearer,
    /// `X-Goog-IAP-JWT-Assertion`, set by Google's Identity-Aware Proxy.
    Iap,
}

/// Which tokens are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Where the token stands.
    pub carrier: Carrier,
    /// The one `iss`.
    pub issuer: Arc<str>,
    /// `aud` must have one of these.
    pub audience: Vec<String>,
    /// The only algorithms.
    pub algorithms: Vec<Algorithm>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// The claim that says who.
    pub subject_claim: String,
}

/// What a connection demands: which tokens, and the keys that they are checked with.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Which tokens are good.
    pub policy: Policy,
    /// The keys.
    pub keys: Keys,
}

/// Where keys come from.
#[derive(Clone, Debug)]
pub enum Keys {
    /// A file, read at load.
    Fixed(Arc<KeySet>),
    /// A URL.
    Fetched(Fetched),
}

/// Why a token is not good. For the log: every client gets the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// No header, or not of the scheme.
    #[error("the request shows no token")]
    Missing,
    /// Several headers.
    #[error("the request shows more than one token")]
    Repeated,
    /// Not three parts of base64url with a JSON header, or too long.
    #[error("the token is malformed")]
    Malformed,
    /// `crit`, or a type that is for something else.
    #[error("the token is of a kind that is not understood here")]
    Kind,
    /// Not one that is pinned.
    #[error("the token's algorithm is not one that is allowed")]
    Algorithm,
    /// No key of that id and algorithm.
    #[error("no key fits the token")]
    UnknownKey,
    /// Forged, or damaged.
    #[error("the token's signature is wrong")]
    Signature,
    /// Of somebody else.
    #[error("the token is of another issuer")]
    Issuer,
    /// For somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Over.
    #[error("the token has expired, or says not when it does")]
    Expired,
    /// `nbf` or `iat` in the future.
    #[error("the token is not valid yet")]
    NotYet,
    /// No subject, or none that can be written into a log.
    #[error("the token names no usable subject")]
    Subject,
}

impl JwtError {
    /// The word for the log and the metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "jwt-missing",
            Self::Repeated => "jwt-repeated",
            Self::Malformed => "jwt-malformed",
            Self::Kind => "jwt-kind",
            Self::Algorithm => "jwt-algorithm",
            Self::UnknownKey => "jwt-unknown-key",
            Self::Signature => "jwt-signature",
            Self::Issuer => "jwt-issuer",
            Self::Audience => "jwt-audience",
            Self::Expired => "jwt-expired",
            Self::NotYet => "jwt-not-yet",
            Self::Subject => "jwt-subject",
        }
    }
}

/// Why nobody could be identified.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IdentityError {
    /// The token's fault.
    #[error(transparent)]
    Token(#[from] JwtError),
    /// There is no key at all to check any token with.
    #[error("the keys of the token's issuer cannot be had")]
    KeysUnavailable,
}

/// Who asks, as a token proves; only [`Policy::check`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    subject: Subject,
}

impl Identified {
    /// Who.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }
}

impl Identity {
    /// Identifies who sent these headers.
    pub async fn identify(&self, headers: &HeaderMap, now: SystemTime) -> Result<Identified, IdentityError> {
        let token = Token::parse(self.policy.carrier.token(headers)?)?;
        self.policy.admits(&token)?;
        let keys = match &self.keys {
            Keys::Fixed(keys) => Arc::clone(keys),
            Keys::Fetched(fetched) => fetched.keys(&token).await.ok_or(IdentityError::KeysUnavailable)?,
        };
        Ok(self.policy.check(&token, &keys, now)?)
    }
}

impl Carrier {
    /// The one token in a request's headers.
    pub fn token(self, headers: &HeaderMap) -> Result<&str, JwtError> {
        let name = match self {
            Self::Bearer => AUTHORIZATION,
            Self::Iap => IAP_ASSERTION,
        };
        let mut values = headers.get_all(name).iter();
        let value = values.next().ok_or(JwtError::Missing)?;
        if values.next().is_some() {
            return Err(JwtError::Repeated);
        }
        let text = value.to_str().map_err(|_| JwtError::Malformed)?;
        match self {
            Self::Iap => Ok(text),
            Self::Bearer => {
                let (scheme, token) = text.split_once(' ').ok_or(JwtError::Missing)?;
                if scheme.eq_ignore_ascii_case("bearer") {
                    Ok(token.trim_start_matches(' '))
                } else {
                    Err(JwtError::Missing)
                }
            }
        }
    }
}

impl Policy {
    /// What can be said before any key is at hand, so that no other token makes us fetch one.
    fn admits(&self, token: &Token) -> Result<(), JwtError> {
        if self.algorithms.contains(&token.algorithm()) { Ok(()) } else { Err(JwtError::Algorithm) }
    }

    /// Whether the token holds at `now`, and for whom.
    pub fn check(&self, token: &Token, keys: &KeySet, now: SystemTime) -> Result<Identified, JwtError> {
        self.admits(token)?;
        keys.verify(token)?;
        let claims = token.claims()?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(&*self.issuer) {
            return Err(JwtError::Issuer);
        }
        if !self.is_for_us(claims.get("aud")) {
            return Err(JwtError::Audience);
        }
        self.check_time(&claims, now)?;
        let subject = text(&self.subject_claim).ok_or(JwtError::Subject)?;
        Ok(Identified { subject: Subject::new(subject).map_err(|_| JwtError::Subject)? })
    }

    fn is_for_us(&self, audience: Option<&Value>) -> bool {
        let is_known = |value: &Value| value.as_str().is_some_and(|one| self.audience.iter().any(|known| known == one));
        match audience {
            Some(Value::Array(several)) => several.iter().any(is_known),
            Some(one) => is_known(one),
            None => false,
        }
    }

    /// `exp` must be there; `nbf` and `iat` need not be. At `exp` itself a token is over, as RFC 7519 has it.
    fn check_time(&self, claims: &Map<String, Value>, now: SystemTime) -> Result<(), JwtError> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| JwtError::NotYet)?.as_secs_f64();
        let leeway = self.leeway.as_secs_f64();
        let expires = claims.get("exp").and_then(Value::as_f64).ok_or(JwtError::Expired)?;
        if now >= expires + leeway {
            return Err(JwtError::Expired);
        }
        for name in ["nbf", "iat"] {
            if let Some(begins) = claims.get(name) {
                let begins = begins.as_f64().ok_or(JwtError::NotYet)?;
                if now + leeway < begins {
                    return Err(JwtError::NotYet);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
