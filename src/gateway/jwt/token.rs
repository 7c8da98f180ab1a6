//! A token as it was sent: split, decoded, and not believed yet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Algorithm, JwtError};

/// Longer tokens are nobody's: a head has 32 KiB in all.
const LONGEST: usize = 16 * 1024;
/// Ids of keys are short; what is longer fits no key.
const LONGEST_KEY_ID: usize = 512;
/// Types of tokens that let somebody in; others, such as `logout+jwt`, are for something else.
const KINDS: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// A token whose signature is still to be checked. Its text is a secret and in no `Debug`.
pub struct Token {
    algorithm: Algorithm,
    key_id: Option<String>,
    signed: Vec<u8>,
    /// Where the claims begin in `signed`.
    claims_at: usize,
    signature: Vec<u8>,
}

/// What is read of the header. Where to find keys is not among it.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Token {
    /// Reads the compact form: three parts of base64url without padding.
    pub fn parse(text: &str) -> Result<Self, JwtError> {
        if text.len() > LONGEST {
            return Err(JwtError::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtError::Malformed)?;
        if claims.contains('.') {
            return Err(JwtError::Malformed);
        }
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| JwtError::Malformed)?;
        let kind = header.typ.as_ref().map(|kind| kind.to_ascii_lowercase());
        if header.crit.is_some() || kind.is_some_and(|kind| !KINDS.contains(&kind.as_str())) {
            return Err(JwtError::Kind);
        }
        if header.kid.as_ref().is_some_and(|id| id.len() > LONGEST_KEY_ID) {
            return Err(JwtError::UnknownKey);
        }
        Ok(Self {
            algorithm: Algorithm::named(&header.alg).ok_or(JwtError::Algorithm)?,
            key_id: header.kid,
            signed: signed.as_bytes().to_vec(),
            claims_at: signed.len() - claims.len(),
            signature: decode(signature)?,
        })
    }

    /// The algorithm that it says it is signed with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key that it says it is signed with: a name to look up, and nothing else.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    pub(super) fn signed(&self) -> &[u8] {
        &self.signed
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// What it says; for whoever has checked the signature.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, JwtError> {
        let encoded = self.signed.get(self.claims_at..).unwrap_or_default();
        let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| JwtError::Malformed)?;
        serde_json::from_slice(&json).map_err(|_| JwtError::Malformed)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed)
}
