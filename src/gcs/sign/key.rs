//! An RSA private key, parsed once and held; PEM and DER buffers are zeroized.
//!
//! Takes PKCS#8 (`BEGIN PRIVATE KEY`, what Google hands out) and PKCS#1 (`BEGIN RSA PRIVATE KEY`).
//! Follows RFC 7468 and <https://cloud.google.com/iam/docs/keys-create-delete>.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Why a private key cannot be used. Never holds a part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// No `-----BEGIN …-----`.
    #[error("is not PEM: it has no line '-----BEGIN PRIVATE KEY-----'; download the key file again")]
    NotPem,
    /// No matching `-----END …-----`.
    #[error("is cut off: its '-----END …-----' line is missing; download the key file again")]
    Truncated,
    /// Needs a pass phrase.
    #[error("is encrypted; gsgate takes only unencrypted keys, as Google hands them out")]
    Encrypted,
    /// Not RSA.
    #[error("is not an RSA private key")]
    NotRsa,
    /// Broken inside.
    #[error("is damaged: what stands between its BEGIN and END lines is not an RSA key; download the key file again")]
    Damaged,
}

/// An RSA key that signs with PKCS#1 v1.5 and SHA-256.
pub(crate) struct RsaKey {
    pair: RsaKeyPair,
    fingerprint: [u8; 32],
}

impl RsaKey {
    /// Reads an unencrypted key.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let (_, rest) = pem.split_once("-----BEGIN ").ok_or(KeyError::NotPem)?;
        let (label, rest) = rest.split_once("-----").ok_or(KeyError::Truncated)?;
        let end = rest.find("-----END ").ok_or(KeyError::Truncated)?;
        let mut text = Zeroizing::new(Vec::with_capacity(end));
        text.extend(rest.bytes().take(end).filter(|byte| !byte.is_ascii_whitespace()));
        let mut der = Zeroizing::new(vec![0; text.len()]);
        let length = STANDARD.decode_slice(text.as_slice(), &mut der).map_err(|_| KeyError::Damaged)?;
        let der = der.get(..length).ok_or(KeyError::Damaged)?;
        let key = match label {
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8(der),
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(der),
            "ENCRYPTED PRIVATE KEY" => return Err(KeyError::Encrypted),
            _ => return Err(KeyError::NotRsa),
        };
        let pair = key.map_err(|_| KeyError::Damaged)?;
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest::digest(&digest::SHA256, pair.public_key().as_ref()).as_ref());
        Ok(Self { pair, fingerprint })
    }

    /// Signs; about a millisecond of work, so not for a thread that drives sockets.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        // aws-lc ignores the generator for PKCS#1 v1.5, which is deterministic.
        let signed = self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
        signed.map_err(|_| KeyError::Damaged)?;
        Ok(signature)
    }

    /// The public half.
    #[cfg(test)]
    pub(crate) fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// SHA-256 of the public half, which tells one key from another.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};

    use super::*;

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    fn key_pem() -> String {
        let file = include_str!("../../../tests/vectors/test_service_account.not-a-test.json");
        let file: serde_json::Value = serde_json::from_str(file).expect("JSON");
        file["private_key"].as_str().expect("a key").to_owned()
    }

    #[test]
    fn both_encodings_of_a_key_are_read() {
        let pkcs8 = RsaKey::from_pem(&key_pem()).expect("a good key");
        let der: Pkcs8V1Der<'_> = pkcs8.pair.as_der().expect("can be written");
        // PKCS#8 of an RSA key ends in the octet string that is PKCS#1; its header has a fixed length.
        let pkcs1 = RsaKey::from_pem(&pem("RSA PRIVATE KEY", &der.as_ref()[26..])).expect("a good key");
        assert_eq!(pkcs1.fingerprint(), pkcs8.fingerprint());
        assert_eq!(pkcs1.sign(b"x"), pkcs8.sign(b"x"));
    }

    #[test]
    fn bad_keys_are_told_apart_and_never_shown() {
        let good = key_pem();
        let cut = &good[..good.len() / 2];
        let middle_gone = format!("{}\n-----END PRIVATE KEY-----\n", &good[..800]);
        let (encrypted, elliptic) = (pem("ENCRYPTED PRIVATE KEY", b"x"), pem("EC PRIVATE KEY", b"x"));
        for (bad, why) in [
            ("", KeyError::NotPem),
            ("just text", KeyError::NotPem),
            ("-----BEGIN PRIV", KeyError::Truncated),
            (cut, KeyError::Truncated),
            (&middle_gone, KeyError::Damaged),
            (&encrypted, KeyError::Encrypted),
            (&elliptic, KeyError::NotRsa),
        ] {
            assert_eq!(RsaKey::from_pem(bad).map(|_| ()), Err(why));
        }
        assert_eq!(format!("{:?}", RsaKey::from_pem(&good)), "Ok(RsaKey([redacted]))");
    }
}
