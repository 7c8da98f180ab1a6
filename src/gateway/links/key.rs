//! The keys that links are signed with: their names, how a key's text is read, and which of several is used.
//!
//! Pure. A key's bytes are in no error and no `Debug`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::moment::Moment;

/// 256 bits: what HMAC-SHA256 can use fully; see RFC 2104 section 3.
const SHORTEST: usize = 32;
/// Characters of a key's name.
const LONGEST_ID: usize = 32;

/// A key's name, which its links carry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct KeyId(Arc<str>);

/// Not a key's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key's id is 1 to {LONGEST_ID} letters, digits, '-', '_' or '.', such as 2026-11")]
pub struct KeyIdError;

/// Why a key's text was refused. Never holds a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    /// Neither of the encodings.
    #[error("it is neither hexadecimal nor base64; make a key with: gsgate link --new-key FILE")]
    Encoding,
    /// Too short.
    #[error(
        "the key has {0} bits, and must have {bits} or more; make one with: gsgate link --new-key FILE",
        bits = SHORTEST * 8
    )]
    Short(usize),
}

/// A key.
pub struct Key {
    id: KeyId,
    hmac: hmac::Key,
    not_after: Option<Moment>,
}

/// The keys in their order. The first one that has not ended signs; all of them verify.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    keys: Vec<Arc<Key>>,
}

impl KeyId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(id: &str) -> Result<Self, KeyIdError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let good = (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(legal);
        if good { Ok(Self(id.into())) } else { Err(KeyIdError) }
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyIdError;

    fn try_from(id: String) -> Result<Self, KeyIdError> {
        id.parse()
    }
}

impl std::borrow::Borrow<str> for KeyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Key {
    /// Reads a key's text: hexadecimal, or base64 of either alphabet. What can be read as hexadecimal is.
    pub fn read(id: KeyId, text: &str, not_after: Option<Moment>) -> Result<Self, KeyTextError> {
        let bytes = decode(text.trim())?;
        if bytes.len() < SHORTEST {
            return Err(KeyTextError::Short(bytes.len() * 8));
        }
        Ok(Self { id, hmac: hmac::Key::new(hmac::HMAC_SHA256, &bytes), not_after })
    }

    /// Its name.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The second from which neither it nor its links are good.
    pub fn not_after(&self) -> Option<Moment> {
        self.not_after
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self, now: Moment) -> bool {
        self.not_after.is_some_and(|end| end <= now)
    }

    /// For what is authenticated with it.
    pub(super) fn hmac(&self) -> &hmac::Key {
        &self.hmac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, [redacted])", self.id)
    }
}

impl Keyring {
    /// The keys, in the order of the configuration.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        Self { keys: keys.into_iter().map(Arc::new).collect() }
    }

    /// The key with this name.
    pub(super) fn find(&self, id: &str) -> Option<&Key> {
        self.keys.iter().map(AsRef::as_ref).find(|key| key.id.as_str() == id)
    }

    /// The key that signs.
    pub(super) fn signing(&self, now: Moment) -> Option<&Arc<Key>> {
        self.keys.iter().find(|key| !key.has_ended(now))
    }
}

fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyTextError> {
    if text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or(0);
        let pairs = text.as_bytes().chunks_exact(2);
        let bytes = pairs.map(|pair| pair.iter().fold(0, |number, byte| number << 4 | digit(byte)));
        return Ok(Zeroizing::new(bytes.filter_map(|byte| u8::try_from(byte).ok()).collect()));
    }
    let bare = text.trim_end_matches('=');
    let mut bytes = Zeroizing::new(vec![0; bare.len()]);
    let read =
        STANDARD_NO_PAD.decode_slice(bare, &mut bytes).or_else(|_| URL_SAFE_NO_PAD.decode_slice(bare, &mut bytes));
    let length = read.map_err(|_| KeyTextError::Encoding)?;
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<u8>, KeyTextError> {
        let key = Key::read("k1".parse().expect("an id"), text, None)?;
        assert_eq!(format!("{key:?}"), "Key(k1, [redacted])");
        Ok(hmac::sign(key.hmac(), b"x").as_ref().to_vec())
    }

    #[test]
    fn keys_are_read_in_every_usual_spelling() {
        let bytes: Vec<u8> = (0..32).map(|n| 255 - n).collect();
        let expected = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), b"x").as_ref().to_vec();
        let hex = "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0efeeedecebeae9e8e7e6e5e4e3e2e1e0";
        let base64 = base64::engine::general_purpose::STANDARD.encode(&bytes);
        for text in [
            hex.to_owned(),
            hex.to_uppercase(),
            base64.clone(),
            base64.trim_end_matches('=').to_owned(),
            URL_SAFE_NO_PAD.encode(&bytes),
            format!("  {base64}\r\n"),
        ] {
            assert_eq!(read(&text), Ok(expected.clone()), "{text}");
        }
    }

    #[test]
    fn weak_and_broken_keys_are_refused() {
        assert_eq!(read(&"ab".repeat(31)), Err(KeyTextError::Short(248)));
        assert_eq!(read(""), Err(KeyTextError::Short(0)));
        assert_eq!(read("c2hvcnQ="), Err(KeyTextError::Short(40)));
        for bad in ["not a key!", "{\"type\":\"service_account\"}", "ü"] {
            assert_eq!(read(bad), Err(KeyTextError::Encoding), "{bad}");
        }
    }

    #[test]
    fn the_first_key_that_has_not_ended_signs() {
        let key = |id: &str, end: Option<&str>| {
            let end = end.map(|end| end.parse().expect("a time"));
            Key::read(id.parse().expect("an id"), &"0f".repeat(32), end).expect("a key")
        };
        let ring = Keyring::new([key("old", Some("2027-01-01")), key("new", None)]);
        let signing = |now: &str| ring.signing(now.parse().expect("a time")).map(|key| key.id().to_string());
        assert_eq!(signing("2026-12-31").as_deref(), Some("old"));
        assert_eq!(signing("2027-01-01").as_deref(), Some("new"));
        assert!(ring.find("old").is_some() && ring.find("other").is_none());
        let ended = Keyring::new([key("old", Some("2027-01-01"))]);
        assert!(ended.signing("2027-01-02".parse().expect("a time")).is_none());
    }

    #[test]
    fn ids_are_plain() {
        for good in ["k1", "2026-11", "a_b.c", &"x".repeat(32)] {
            assert!(good.parse::<KeyId>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "ü", "a/b", &"x".repeat(33)] {
            assert_eq!(bad.parse::<KeyId>(), Err(KeyIdError), "{bad}");
        }
    }
}
