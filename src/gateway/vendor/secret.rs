//! A secret shared with a vendor: read from a file, compared in constant time, and shown to nobody.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use zeroize::Zeroizing;

/// 256 bits, if they are random bytes.
const SHORTEST: usize = 32;
/// Tokens have a few KiB at most.
const LONGEST: usize = 16 * 1024;

/// A secret shared with a vendor.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// Why a file holds no usable secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Guessable.
    #[error("the secret has {0} bytes and must have {SHORTEST} at least; `openssl rand -hex 32` makes one")]
    Short(usize),
    /// No secret.
    #[error("the file has more than 16 KiB; it should hold the secret alone")]
    Long,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// What a file holds, without the line end that editors add.
    pub fn new(content: Vec<u8>) -> Result<Self, SecretError> {
        let content = Zeroizing::new(content);
        if content.len() > LONGEST {
            return Err(SecretError::Long);
        }
        let secret = content.trim_ascii_end();
        if secret.len() < SHORTEST {
            Err(SecretError::Short(secret.len()))
        } else {
            Ok(Self(Zeroizing::new(secret.to_vec())))
        }
    }

    /// Whether these are the same bytes.
    pub(super) fn equals(&self, other: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.0, other).is_ok()
    }

    /// Whether this is the HMAC-SHA256 of the message.
    pub(super) fn verifies(&self, message: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), message, tag).is_ok()
    }

    /// For a header; marked sensitive.
    pub(super) fn header(&self, prefix: &str) -> Option<http::HeaderValue> {
        let text = Zeroizing::new([prefix.as_bytes(), &self.0].concat());
        let mut value = http::HeaderValue::from_bytes(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_enough_and_never_shown() {
        assert_eq!(Secret::new(b"short\n".to_vec()).err(), Some(SecretError::Short(5)));
        assert_eq!(Secret::new(vec![b'x'; 17 * 1024]).err(), Some(SecretError::Long));
        let secret = Secret::new([&[b's'; 32][..], b"\r\n"].concat()).expect("long enough");
        assert!(secret.equals(&[b's'; 32]) && !secret.equals(&[b's'; 33]) && !secret.equals(b""));
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
