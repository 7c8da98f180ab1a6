//! The admin listener's token: what a caller must know to be told more than health and figures.
//!
//! Decides what a token looks like and whether a presented one is it. Keeps a digest only, so that nothing can show the
//! token itself. Follows <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

/// Fewer characters could be guessed.
const SHORTEST: usize = 16;
/// More would not fit beside the other headers of a request.
const LONGEST: usize = 4096;

/// What a token must be presented as.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken([u8; SHA256_OUTPUT_LEN]);

/// Why a file holds no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminTokenError {
    /// Too short to be a secret, or too long to be sent.
    #[error("a token has {SHORTEST} to {LONGEST} characters; make one with: openssl rand -hex 32")]
    Length,
    /// Something that no `Authorization` header can carry.
    #[error("a token has letters, digits and -._~+/= only, in one line; make one with: openssl rand -hex 32")]
    Character,
}

impl AdminToken {
    /// Reads a token; white space around it is no part of it.
    pub fn new(text: &str) -> Result<Self, AdminTokenError> {
        let text = text.trim();
        if !(SHORTEST..=LONGEST).contains(&text.len()) {
            return Err(AdminTokenError::Length);
        }
        if text.bytes().any(|byte| !byte.is_ascii_alphanumeric() && !b"-._~+/=".contains(&byte)) {
            return Err(AdminTokenError::Character);
        }
        Ok(Self(hash(text.as_bytes())))
    }

    /// Whether it is this one. How long that takes tells nothing about the token, its length neither.
    pub fn matches(&self, presented: &[u8]) -> bool {
        verify_slices_are_equal(&self.0, &hash(presented)).is_ok()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

fn hash(text: &[u8]) -> [u8; SHA256_OUTPUT_LEN] {
    let mut bytes = [0; SHA256_OUTPUT_LEN];
    bytes.copy_from_slice(digest(&SHA256, text).as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = AdminToken::new(" 0123456789abcdef0123\n").expect("a good token");
        assert!(token.matches(b"0123456789abcdef0123"));
        for other in [&b""[..], b"0123456789abcdef012", b"0123456789abcdef01234", b"0123456789ABCDEF0123", b" "] {
            assert!(!token.matches(other), "{other:?}");
        }
        assert_eq!(format!("{token:?}"), "[redacted]");
    }

    #[test]
    fn what_is_no_token_is_refused_with_a_cure() {
        for bad in ["", "\n", "0123456789abcde", "0123456789abcdef 0123", "0123456789abcdef\n0123", "0123456789abcdefü"]
        {
            let error = AdminToken::new(bad).expect_err("must be refused");
            assert!(error.to_string().contains("openssl rand"), "{bad}");
        }
        assert_eq!(AdminToken::new(&"a".repeat(LONGEST + 1)), Err(AdminTokenError::Length));
    }
}
