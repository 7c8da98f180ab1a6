//! RSA keys: made, read, written, used to sign and to verify.
//!
//! Decides how keys look outside (PKCS#8 PEM, an id); never who owns one.
//! Follows <https://www.rfc-editor.org/rfc/rfc8017#section-8.2> (RSASSA-PKCS1-v1_5) with SHA-256.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{self, KeyPair as _, UnparsedPublicKey};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::Error;

/// An RSA key pair.
pub(super) struct Key {
    pair: KeyPair,
    id: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Key {
    /// A new key of 2048 bits.
    pub(super) fn generate() -> Result<Self, Error> {
        KeyPair::generate(KeySize::Rsa2048).map(Self::new).map_err(|_| Error::Key)
    }

    /// Reads a PKCS#8 PEM.
    pub(super) fn from_pem(pem: &str) -> Result<Self, Error> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| Error::Key)?;
        KeyPair::from_pkcs8(der.secret_pkcs8_der()).map(Self::new).map_err(|_| Error::Key)
    }

    fn new(pair: KeyPair) -> Self {
        let mut id = hex_sha256(pair.public_key().as_ref());
        id.truncate(40);
        Self { pair, id }
    }

    /// The key's id: made from the public key.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The private key as PKCS#8 PEM.
    pub(super) fn pem(&self) -> Result<String, Error> {
        let der: Pkcs8V1Der<'static> = self.pair.as_der().map_err(|_| Error::Key)?;
        let text = BASE64_STANDARD.encode(der.as_ref());
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        for line in text.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        Ok(pem)
    }

    /// Signs a message.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut signed = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signed)
            .map_err(|_| Error::Key)?;
        Ok(signed)
    }

    /// Whether the signature over the message was made with this key.
    pub(super) fn verify(&self, message: &[u8], signed: &[u8]) -> bool {
        UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, self.pair.public_key().as_ref())
            .verify(message, signed)
            .is_ok()
    }
}

/// SHA-256 in lower-case hexadecimal.
pub(super) fn hex_sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads hexadecimal of either case.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_pem_and_verifies_only_its_own_signatures() {
        let key = Key::generate().expect("a key");
        let again = Key::from_pem(&key.pem().expect("a PEM")).expect("a key");
        let signed = again.sign(b"text").expect("a signature");
        assert!(key.verify(b"text", &signed));
        assert!(!key.verify(b"other", &signed));
        assert_eq!(unhex(&hex(&signed)), Some(signed));
        assert_eq!((unhex("0"), unhex("0g")), (None, None));
    }
}
