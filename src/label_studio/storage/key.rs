//! Keys that only the gateway trusts: how one is made, and what the gateway keeps of it.
//!
//! Label Studio gets a key file as Google would hand one out; the gateway keeps the public half alone, and knows the key's
//! owner by it: the name in the key file is made from the public key, so that none can speak in another's name.
//! Private keys are in no `Debug` and no error.
//! Follows RFC 7468 (<https://www.rfc-editor.org/rfc/rfc7468>) and <https://cloud.google.com/iam/docs/keys-create-delete>.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKey};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use zeroize::Zeroizing;

use crate::gcs::sign::hex;

/// No real account has such a name: <https://www.rfc-editor.org/rfc/rfc2606#section-2>.
const DOMAIN: &str = "gsgate.invalid";
/// 2048 bits at least and 8192 at most, as the signatures are verified.
const BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Bytes of base64 in a line of PEM.
const LINE: usize = 64;

/// Why a public key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The half that only Label Studio should have.
    #[error("this is the private half, which only Label Studio needs; name the file that ends in .pub")]
    Private,
    /// No PEM of a public key.
    #[error("it has no line '-----BEGIN PUBLIC KEY-----'; make a key with: gsgate label-studio key")]
    NotPem,
    /// Not RSA, or too weak.
    #[error("it is not an RSA key of 2048 to 8192 bits; make a key with: gsgate label-studio key")]
    NotRsa,
}

/// The public half of a key, and the name of who has the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TrustedKey {
    id: String,
    email: String,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl TrustedKey {
    /// Reads a `PUBLIC KEY` in PEM.
    pub(super) fn read(pem: &str) -> Result<Self, KeyError> {
        if pem.contains("PRIVATE KEY") {
            return Err(KeyError::Private);
        }
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::NotPem)?;
        let public = PublicKey::from_der(&der).map_err(|_| KeyError::NotRsa)?;
        let der: PublicKeyX509Der<'_> = public.as_der().map_err(|_| KeyError::NotRsa)?;
        let id = id(der.as_ref());
        Self::known(email(&id), id, &public)
    }

    fn known(email: String, id: String, public: &PublicKey) -> Result<Self, KeyError> {
        let RsaPublicKeyComponents { n: modulus, e: exponent } = public.into();
        if BYTES.contains(&modulus.len()) { Ok(Self { id, email, modulus, exponent }) } else { Err(KeyError::NotRsa) }
    }

    /// The name of its owner.
    pub(super) fn email(&self) -> &str {
        &self.email
    }

    /// Its id, as the header of a token has it.
    #[cfg(test)]
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The key as a set of one, to check tokens with.
    pub(super) fn jwks(&self) -> String {
        let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let (n, e) = (encode(&self.modulus), encode(&self.exponent));
        json!({ "keys": [{ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.id, "n": n, "e": e }] }).to_string()
    }

    /// Whether a signature over a message was made with the private half: RSASSA-PKCS1-v1_5 with SHA-256.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = RsaPublicKeyComponents { n: &self.modulus, e: &self.exponent };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
    }

    /// A key under a name of its own, such as those of Google's vectors.
    #[cfg(test)]
    pub(super) fn named(email: &str, public: &[u8]) -> Self {
        let public = PublicKey::from_der(public).expect("a public key");
        Self::known(email.to_owned(), String::new(), &public).expect("a strong key")
    }
}

/// A new key: both halves.
pub struct NewKey {
    id: String,
    private: Zeroizing<String>,
    public: String,
}

/// There is no randomness, or the library refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key could be made")]
pub struct NoKey;

impl NewKey {
    /// Makes one of 2048 bits, as Google's are.
    pub fn generate() -> Result<Self, NoKey> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| NoKey)?;
        let private: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| NoKey)?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| NoKey)?;
        Ok(Self {
            id: id(public.as_ref()),
            private: pem("PRIVATE KEY", private.as_ref()),
            public: String::clone(&pem("PUBLIC KEY", public.as_ref())),
        })
    }

    /// What the gateway gets.
    pub fn public_pem(&self) -> &str {
        &self.public
    }

    /// What Label Studio gets: a service account's key file, whose tokens come from `token_uri`.
    pub fn file(&self, token_uri: &str) -> Zeroizing<String> {
        let file = json!({
            "type": "service_account",
            "project_id": "gsgate",
            "private_key_id": self.id,
            "private_key": *self.private,
            "client_email": email(&self.id),
            "client_id": self.id,
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        });
        Zeroizing::new(format!("{file:#}\n"))
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A key's id: the beginning of its sum.
fn id(public: &[u8]) -> String {
    let mut id = hex(digest(&SHA256, public).as_ref());
    id.truncate(40);
    id
}

fn email(id: &str) -> String {
    format!("label-studio-{}@{DOMAIN}", id.get(..16).unwrap_or(id))
}

fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(String::with_capacity(text.len() * 2));
    // Writing into a String cannot fail.
    let _ = writeln!(pem, "-----BEGIN {label}-----");
    for (at, letter) in text.char_indices() {
        if at > 0 && at % LINE == 0 {
            pem.push('\n');
        }
        pem.push(letter);
    }
    let _ = writeln!(pem, "\n-----END {label}-----");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_know_the_same_owner() {
        let new = NewKey::generate().expect("a key");
        let trusted = TrustedKey::read(new.public_pem()).expect("trusted");
        let file: serde_json::Value = serde_json::from_str(&new.file("https://gw/token")).expect("JSON");
        assert_eq!(file["client_email"], trusted.email());
        assert_eq!(file["private_key_id"], trusted.id());
        let private = crate::gcs::sign::RsaKey::from_pem(file["private_key"].as_str().expect("text")).expect("a key");
        let signature = private.sign(b"text").expect("signed");
        assert!(trusted.verifies(b"text", &signature) && !trusted.verifies(b"other", &signature));
        let other = TrustedKey::read(NewKey::generate().expect("a key").public_pem()).expect("trusted");
        assert!(!other.verifies(b"text", &signature) && other.email() != trusted.email());
        assert!(!format!("{new:?}").contains("PRIVATE"));
    }

    #[test]
    fn what_is_no_public_key_is_refused_with_its_cure() {
        let new = NewKey::generate().expect("a key");
        assert_eq!(TrustedKey::read(&new.file("x")), Err(KeyError::Private));
        for bad in ["", "x", "-----BEGIN PUBLIC KEY-----\nAAAA"] {
            assert_eq!(TrustedKey::read(bad), Err(KeyError::NotPem), "{bad}");
        }
        assert_eq!(TrustedKey::read(&pem("PUBLIC KEY", b"abc")), Err(KeyError::NotRsa));
    }
}
