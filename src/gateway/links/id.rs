//! What a link is known by in logs and lists: a part of its MAC that is not in the token, so that it gives nothing away.

use std::fmt;
use std::str::FromStr;

/// Bytes of an id.
pub(super) const LENGTH: usize = 8;

/// A link's id, written as 16 hexadecimal digits. The same link has the same id everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId([u8; LENGTH]);

/// Not a link's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link's id is 16 lower-case hexadecimal digits")]
pub struct LinkIdError;

impl LinkId {
    /// From what the MAC holds.
    pub(super) fn new(bytes: [u8; LENGTH]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for LinkId {
    type Err = LinkIdError;

    fn from_str(text: &str) -> Result<Self, LinkIdError> {
        let legal = text.len() == 2 * LENGTH && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = u64::from_str_radix(text, 16).ok().filter(|_| legal).ok_or(LinkIdError)?;
        Ok(Self::new(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = LinkId::new([0, 1, 2, 0xfd, 0xfe, 0xff, 0x10, 0x20]);
        assert_eq!(id.to_string(), "000102fdfeff1020");
        assert_eq!("000102fdfeff1020".parse(), Ok(id));
        for bad in ["", "000102fdfeff102", "000102FDFEFF1020", "+00102fdfeff1020", "000102fdfeff10200", "xx"] {
            assert_eq!(bad.parse::<LinkId>(), Err(LinkIdError), "{bad}");
        }
    }
}
