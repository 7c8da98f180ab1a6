//! A JSON Web Key Set: the public keys of an issuer, by id and algorithm.
//!
//! Keys of other kinds, for encryption, or too weak are left out; symmetric ones never are keys here.
//! Follows RFC 7517 (<https://www.rfc-editor.org/rfc/rfc7517>) and RFC 7518 section 3.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::{Algorithm, JwtError, Token};

/// Nobody has more.
const MOST_KEYS: usize = 100;
/// RSA keys of 2048 bits at least and 8192 at most; longer ones cost too much.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
const P256_BYTES: usize = 32;

/// The keys of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// Why a key set is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// Not `{"keys": […]}`.
    #[error("not a JSON Web Key Set: {{\"keys\": [...]}}")]
    Json(#[source] serde_json::Error),
    /// Too many.
    #[error("a key set has {MOST_KEYS} keys at most")]
    TooMany,
    /// None that RS256 or ES256 could use.
    #[error("no key in the set is an RSA key of 2048 bits or more or a P-256 key, for signatures")]
    NoneUsable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    material: Material,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
}

#[derive(Deserialize)]
struct Document {
    /// Each is read by itself, since a set may hold keys that nobody here understands.
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set; its length is the caller's to bound.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        let document: Document = serde_json::from_slice(json).map_err(KeySetError::Json)?;
        if document.keys.len() > MOST_KEYS {
            return Err(KeySetError::TooMany);
        }
        let keys: Vec<_> = document.keys.into_iter().filter_map(key).collect();
        if keys.is_empty() { Err(KeySetError::NoneUsable) } else { Ok(Self { keys }) }
    }

    /// Whether some key could have signed the token.
    pub fn knows(&self, token: &Token) -> bool {
        self.find(token).is_some()
    }

    /// Checks the signature with the one key that fits.
    pub(super) fn verify(&self, token: &Token) -> Result<(), JwtError> {
        let key = self.find(token).ok_or(JwtError::UnknownKey)?;
        let verified = match &key.material {
            Material::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                token.signed(),
                token.signature(),
            ),
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(token.signed(), token.signature())
            }
        };
        verified.map_err(|_| JwtError::Signature)
    }

    /// By id and algorithm; a token without an id is taken only where there is no choice.
    fn find(&self, token: &Token) -> Option<&Key> {
        let mut fitting = self.keys.iter().filter(|key| key.material.algorithm() == token.algorithm());
        match token.key_id() {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id)),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        }
    }
}

impl Material {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
        }
    }
}

fn key(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let material = match jwk.kty.as_str() {
        "RSA" => {
            let (modulus, exponent) = (decode(jwk.n.as_ref())?, decode(jwk.e.as_ref())?);
            let strong = RSA_BYTES.contains(&modulus.len()) && (1..=8).contains(&exponent.len());
            strong.then_some(Material::Rsa { modulus, exponent })?
        }
        "EC" if jwk.crv.as_deref() == Some("P-256") => {
            let (x, y) = (decode(jwk.x.as_ref())?, decode(jwk.y.as_ref())?);
            let whole = x.len() == P256_BYTES && y.len() == P256_BYTES;
            whole.then(|| Material::P256([&[4], &x[..], &y[..]].concat()))?
        }
        _ => return None,
    };
    let for_signatures = jwk.r#use.is_none_or(|purpose| purpose == "sig")
        && jwk.key_ops.is_none_or(|operations| operations.iter().any(|operation| operation == "verify"))
        && jwk.alg.is_none_or(|name| Algorithm::named(&name) == Some(material.algorithm()));
    for_signatures.then_some(Key { id: jwk.kid, material })
}

fn decode(field: Option<&String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(field?).ok()
}
