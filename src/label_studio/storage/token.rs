//! Who asks: the assertion that a client signs with its key, and the token that it becomes.
//!
//! A token is the assertion itself, checked again with each request: nothing has to be kept, no replica needs a secret,
//! and taking a key away takes its tokens away. It lives as long as the client asked for, an hour at most.
//! Pure: no I/O and no clock.
//! Follows RFC 7523 (<https://www.rfc-editor.org/rfc/rfc7523>) and
//! <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde::Deserialize;

use super::key::{KeyError, TrustedKey};
use crate::gateway::jwt::{Algorithm, Carrier, JwtError, KeySet, Policy, Token};

/// The audience that Google's client writes, wherever its key file sends it for tokens.
const GOOGLE: &str = "https://oauth2.googleapis.com/token";
/// How far clocks may differ.
const LEEWAY: Duration = Duration::from_mins(1);
/// The longest life of a token.
const LONGEST: Duration = Duration::from_hours(1);
const SCOPES: &str = "https://www.googleapis.com/auth/";

/// The keys that are trusted.
#[derive(Clone, Debug)]
pub(super) struct Keyring {
    keys: Vec<Trusted>,
}

#[derive(Clone, Debug)]
struct Trusted {
    key: TrustedKey,
    set: KeySet,
    policy: Policy,
}

/// Who asks, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// The owner of the key.
    pub(super) email: String,
    /// What the token is for.
    pub(super) reach: Reach,
    /// How long it still lives.
    pub(super) left: Duration,
}

/// What a token is for, by its scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// Nothing here.
    Nothing,
    /// Reading.
    Read,
    /// Writing as well.
    Write,
}

#[derive(Deserialize)]
struct Claims {
    iat: f64,
    exp: f64,
    #[serde(default)]
    scope: String,
    sub: Option<String>,
}

impl Keyring {
    /// Trusts these keys, for tokens that were made for Google's or one of `audiences`.
    pub(super) fn new(pems: &[String], audiences: &[String]) -> Result<Self, (usize, KeyError)> {
        let trust = |(at, pem): (usize, &String)| {
            let key = TrustedKey::read(pem).map_err(|error| (at, error))?;
            Self::trust(key, audiences).ok_or((at, KeyError::NotRsa))
        };
        Ok(Self { keys: pems.iter().enumerate().map(trust).collect::<Result<_, _>>()? })
    }

    fn trust(key: TrustedKey, audiences: &[String]) -> Option<Trusted> {
        let set = KeySet::parse(key.jwks().as_bytes()).ok()?;
        let policy = Policy {
            carrier: Carrier::Bearer,
            issuer: Arc::from(key.email()),
            audience: std::iter::once(GOOGLE.to_owned()).chain(audiences.iter().cloned()).collect(),
            algorithms: vec![Algorithm::Rs256],
            leeway: LEEWAY,
            subject_claim: "iss".to_owned(),
        };
        Some(Trusted { key, set, policy })
    }

    /// One key under a name of its own.
    #[cfg(test)]
    pub(super) fn of(key: TrustedKey) -> Self {
        let set = KeySet::parse(key.jwks().as_bytes()).expect("a set");
        let policy = Policy {
            carrier: Carrier::Bearer,
            issuer: Arc::from(key.email()),
            audience: Vec::new(),
            algorithms: Vec::new(),
            leeway: LEEWAY,
            subject_claim: "iss".to_owned(),
        };
        Self { keys: vec![Trusted { key, set, policy }] }
    }

    /// Whether a message was signed with the key of this owner.
    pub(super) fn verifies(&self, email: &str, message: &[u8], signature: &[u8]) -> bool {
        self.keys.iter().any(|trusted| trusted.key.email() == email && trusted.key.verifies(message, signature))
    }

    /// Who sent these headers.
    pub(super) fn caller(&self, headers: &HeaderMap, now: SystemTime) -> Result<Caller, JwtError> {
        self.check(Carrier::Bearer.token(headers)?, now)
    }

    /// Whose an assertion is. The signature is checked before a claim is read.
    pub(super) fn check(&self, text: &str, now: SystemTime) -> Result<Caller, JwtError> {
        let token = Token::parse(text)?;
        let mut why = JwtError::UnknownKey;
        for trusted in &self.keys {
            match trusted.policy.check(&token, &trusted.set, now) {
                Ok(_) => return caller(text, trusted, now),
                // Of several keys, the one that knew the token says what is wrong with it.
                Err(JwtError::UnknownKey) => {}
                Err(error) => why = error,
            }
        }
        Err(why)
    }
}

fn caller(text: &str, trusted: &Trusted, now: SystemTime) -> Result<Caller, JwtError> {
    let part = text.split('.').nth(1).unwrap_or_default();
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed)?;
    let claims: Claims = serde_json::from_slice(&json).map_err(|_| JwtError::Malformed)?;
    // An account speaks for itself alone.
    if claims.sub.is_some_and(|subject| subject != trusted.key.email()) {
        return Err(JwtError::Subject);
    }
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| JwtError::NotYet)?;
    let longest = (LONGEST + LEEWAY).as_secs_f64();
    if !(0.0..=longest).contains(&(claims.exp - claims.iat)) {
        return Err(JwtError::Expired);
    }
    let left = (claims.exp - now.as_secs_f64()).clamp(0.0, longest);
    let reach = claims.scope.split_ascii_whitespace().map(reach).max().unwrap_or(Reach::Nothing);
    Ok(Caller { email: trusted.key.email().to_owned(), reach, left: Duration::from_secs_f64(left) })
}

fn reach(scope: &str) -> Reach {
    match scope.strip_prefix(SCOPES) {
        Some("devstorage.read_only" | "cloud-platform.read-only") => Reach::Read,
        Some("devstorage.read_write" | "devstorage.full_control" | "cloud-platform") => Reach::Write,
        _ => Reach::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use serde_json::{Value, json};

    use super::super::key::NewKey;
    use super::*;
    use crate::gcs::sign::RsaKey;

    const NOW: u64 = 1_800_000_000;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    struct Rig {
        ring: Keyring,
        private: RsaKey,
        email: String,
        id: String,
    }

    fn rig() -> Rig {
        let new = NewKey::generate().expect("a key");
        let file: Value = serde_json::from_str(&new.file("x")).expect("JSON");
        let text = |name: &str| file[name].as_str().expect("text").to_owned();
        let ring = Keyring::new(&[new.public_pem().to_owned()], &["https://gw/token".to_owned()]).expect("a ring");
        let private = RsaKey::from_pem(&text("private_key")).expect("a key");
        Rig { ring, private, email: text("client_email"), id: text("private_key_id") }
    }

    impl Rig {
        fn claims(&self) -> Value {
            json!({ "iss": self.email, "aud": GOOGLE, "iat": NOW, "exp": NOW + 3600,
                "scope": "https://www.googleapis.com/auth/devstorage.read_only x" })
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(header), part(claims));
            let signature = self.private.sign(signed.as_bytes()).expect("signed");
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        }

        fn check(&self, change: &Value) -> Result<Caller, JwtError> {
            let mut claims = self.claims();
            for (name, value) in change.as_object().expect("an object") {
                claims[name] = value.clone();
            }
            self.ring.check(&self.sign(&json!({ "alg": "RS256", "kid": self.id, "typ": "JWT" }), &claims), at(NOW))
        }
    }

    #[test]
    fn a_good_assertion_says_who_and_what_for() {
        let rig = rig();
        let caller = rig.check(&json!({})).expect("good");
        assert_eq!((caller.email, caller.reach, caller.left.as_secs()), (rig.email.clone(), Reach::Read, 3600));
        let full = json!({ "scope": "https://www.googleapis.com/auth/devstorage.full_control" });
        assert_eq!(rig.check(&full).expect("good").reach, Reach::Write);
        assert_eq!(rig.check(&json!({ "scope": "" })).expect("good").reach, Reach::Nothing);
        assert!(rig.check(&json!({ "aud": "https://gw/token" })).is_ok());
    }

    #[test]
    fn what_is_wrong_with_an_assertion_is_found() {
        let rig = rig();
        for (change, why) in [
            (json!({ "iss": "other@gsgate.invalid" }), JwtError::Issuer),
            (json!({ "aud": "https://storage.googleapis.com/" }), JwtError::Audience),
            (json!({ "iat": NOW - 7200, "exp": NOW - 3600 }), JwtError::Expired),
            (json!({ "exp": NOW + 86_400 }), JwtError::Expired),
            (json!({ "iat": NOW + 600, "exp": NOW + 1200 }), JwtError::NotYet),
            (json!({ "sub": "somebody@example.com" }), JwtError::Subject),
            (json!({ "iat": "x" }), JwtError::NotYet),
        ] {
            assert_eq!(rig.check(&change), Err(why), "{change}");
        }
        let header = |alg: &str| json!({ "alg": alg, "kid": rig.id });
        for alg in ["none", "HS256", "ES256", "RS512"] {
            assert!(rig.ring.check(&rig.sign(&header(alg), &rig.claims()), at(NOW)).is_err(), "{alg}");
        }
        let other = self::rig();
        let foreign = other.sign(&header("RS256"), &rig.claims());
        assert_eq!(rig.ring.check(&foreign, at(NOW)), Err(JwtError::Signature));
        let own = rig.sign(&header("RS256"), &rig.claims());
        assert_eq!(other.ring.check(&own, at(NOW)), Err(JwtError::UnknownKey));
        assert!(rig.ring.check(&own[..own.len() - 4], at(NOW)).is_err());
    }
}
