//! A link's token: its payload and half of an HMAC-SHA256, in base64url without padding.
//!
//! The MAC binds the payload to a connection, its bucket and an object's name or the beginning of one, so that the token
//! needs to carry none of them. Each part is preceded by its length, all of it by a name that no other use has.
//! Follows RFC 2104 (<https://www.rfc-editor.org/rfc/rfc2104>) and RFC 4648 section 5.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::id::{self, LinkId};
use super::payload;

/// What separates links from anything else that may ever be authenticated with the same key.
const DOMAIN: &[u8] = b"gsgate link v1";
/// Bytes of the MAC that a token carries: half of it, as RFC 2104 section 5 has it.
const MAC: usize = 16;
/// The longest token, as bytes.
const LONGEST: usize = payload::LONGEST + MAC;

/// What a link is for, as the MAC binds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Binding<'a> {
    pub(super) connection: &'a str,
    pub(super) bucket: &'a str,
    /// The object's full name, or the prefix.
    pub(super) name: &'a [u8],
}

/// A token that was read, and is not yet to be believed.
pub(super) struct Token {
    bytes: [u8; LONGEST],
    /// Where the MAC begins.
    end: usize,
}

/// The whole MAC of a link.
pub(super) struct Mac(hmac::Tag);

impl Token {
    /// Decodes; `None` unless it is what [`write()`] would have written.
    pub(super) fn read(text: &str) -> Option<Self> {
        // The decoder wants room for its own estimate, so length is looked at first.
        if text.len() > LONGEST.div_ceil(3) * 4 {
            return None;
        }
        let mut room = [0; LONGEST + 3];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut room).ok()?;
        let mut bytes = [0; LONGEST];
        bytes.get_mut(..length)?.copy_from_slice(room.get(..length)?);
        Some(Self { bytes, end: length.checked_sub(MAC)? })
    }

    /// What it says.
    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    /// Whether it was made with this key for this. Takes the same time wherever the difference is.
    pub(super) fn authenticate(&self, key: &hmac::Key, binding: Binding<'_>) -> Option<LinkId> {
        let mac = Mac::new(key, binding, self.payload());
        let shown = &self.bytes[self.end..self.end + MAC];
        verify_slices_are_equal(mac.shown(), shown).ok().map(|()| mac.id())
    }
}

impl Mac {
    pub(super) fn new(key: &hmac::Key, binding: Binding<'_>, payload: &[u8]) -> Self {
        let mut context = hmac::Context::with_key(key);
        for part in [DOMAIN, binding.connection.as_bytes(), binding.bucket.as_bytes(), binding.name, payload] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        Self(context.sign())
    }

    /// The half that a token carries.
    fn shown(&self) -> &[u8] {
        &self.0.as_ref()[..MAC]
    }

    /// The link's id: of the other half, so that who reads it in a log is no nearer to a token.
    pub(super) fn id(&self) -> LinkId {
        let mut bytes = [0; id::LENGTH];
        bytes.copy_from_slice(&self.0.as_ref()[MAC..MAC + id::LENGTH]);
        LinkId::new(bytes)
    }
}

/// The token's text.
pub(super) fn write(payload: &[u8], mac: &Mac) -> String {
    URL_SAFE_NO_PAD.encode([payload, mac.shown()].concat())
}
