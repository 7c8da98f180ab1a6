//! What has come of a body, what is still to come, and whether it may be believed.
//!
//! Pure accounting: decides which pieces may be passed on, holds the last one back until the checksum agrees, and never
//! lets a byte through that is more than was announced. Knows no connections.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

use crate::gcs::Error;

/// The accounts of one body.
#[derive(Debug)]
pub(super) struct Tally {
    /// How many bytes there should be; `None` if only the body's end can tell.
    expected: Option<u64>,
    received: u64,
    passed: u64,
    sum: Option<Sum>,
    /// The last piece, until the end is certain.
    held: Option<Bytes>,
}

/// A running CRC32C and what it should become.
#[derive(Clone, Copy, Debug)]
struct Sum {
    expected: u32,
    digest: Digest,
}

impl Sum {
    fn new(expected: u32) -> Self {
        Self { expected, digest: Digest::new(CrcAlgorithm::Crc32Iscsi) }
    }

    /// The sum so far; it has 32 bits, whatever the type says.
    fn actual(&self) -> u32 {
        u32::try_from(self.digest.finalize()).unwrap_or(u32::MAX)
    }
}

impl Tally {
    /// `crc32c` is that of the whole body, if it is known.
    pub(super) fn new(expected: Option<u64>, crc32c: Option<u32>) -> Self {
        Self { expected, received: 0, passed: 0, sum: crc32c.map(Sum::new), held: None }
    }

    /// Takes the next piece in, and gives it back unless it must be held.
    pub(super) fn take(&mut self, piece: Bytes) -> Result<Option<Bytes>, Error> {
        if piece.is_empty() {
            return Ok(None);
        }
        self.received = self.received.saturating_add(piece.len() as u64);
        if let Some(expected) = self.expected
            && self.received > expected
        {
            return Err(Error::Protocol(format!("more than the announced {expected} bytes")));
        }
        if let Some(sum) = &mut self.sum {
            sum.digest.update(&piece);
        }
        if self.is_complete() {
            self.held = Some(piece);
            return Ok(None);
        }
        self.passed += piece.len() as u64;
        Ok(Some(piece))
    }

    /// Ends a body: its last piece, if the sum agrees. The caller has made sure that nothing is missing.
    pub(super) fn close(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(sum) = &self.sum {
            let (expected, actual) = (sum.expected, sum.actual());
            if expected != actual {
                return Err(Error::Corrupt { expected, actual });
            }
        }
        let last = self.held.take();
        self.passed += last.as_ref().map_or(0, |piece| piece.len() as u64);
        Ok(last)
    }

    /// Forgets a body of which nothing was passed on, so that it can be read again.
    pub(super) fn restart(&mut self) -> bool {
        let possible = self.passed == 0;
        if possible {
            *self = Self::new(self.expected, self.sum.map(|sum| sum.expected));
        }
        possible
    }

    /// Whether all announced bytes are here.
    pub(super) fn is_complete(&self) -> bool {
        self.expected == Some(self.received)
    }

    /// Whether only the end of the body can tell its length.
    pub(super) fn is_open_ended(&self) -> bool {
        self.expected.is_none()
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// How many bytes are still to be passed on.
    pub(super) fn left(&self) -> Option<u64> {
        self.expected.map(|expected| expected.saturating_sub(self.passed))
    }

    /// The error of a body that ended here.
    pub(super) fn ended_early(&self) -> Error {
        Error::EndedEarly { received: self.received, expected: self.expected.unwrap_or(self.received) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(bytes: &'static [u8]) -> Bytes {
        Bytes::from_static(bytes)
    }

    #[test]
    fn the_last_piece_waits_for_the_sum() {
        for (sum, good) in [(Some(crc32c::crc32c(b"abcdef")), true), (Some(1), false), (None, true)] {
            let mut tally = Tally::new(Some(6), sum);
            assert!(matches!(tally.take(piece(b"abc")), Ok(Some(passed)) if passed == "abc"));
            assert_eq!(tally.left(), Some(3));
            assert!(matches!(tally.take(piece(b"def")), Ok(None)));
            assert!(tally.is_complete());
            assert_eq!(tally.close().is_ok_and(|last| last == Some(piece(b"def"))), good);
        }
    }

    #[test]
    fn a_body_is_read_again_only_if_nothing_was_passed_on() {
        let mut tally = Tally::new(Some(3), Some(crc32c::crc32c(b"abc")));
        assert!(matches!(tally.take(piece(b"abx")), Ok(None)));
        assert!(matches!(tally.close(), Err(Error::Corrupt { .. })));
        assert!(tally.restart());
        assert!(matches!(tally.take(piece(b"a")), Ok(Some(_))));
        assert!(!tally.restart());
        assert!(matches!(tally.take(piece(b"bc")), Ok(None)));
        assert!(matches!(tally.close(), Ok(Some(_))));
        assert_eq!(tally.left(), Some(0));
    }

    #[test]
    fn no_byte_beyond_the_announced_ones_passes() {
        let mut tally = Tally::new(Some(3), None);
        assert!(matches!(tally.take(piece(b"abcd")), Err(Error::Protocol(_))));
        let mut empty = Tally::new(Some(0), Some(0));
        assert!(empty.is_complete());
        assert!(matches!(empty.close(), Ok(None)));
        let mut open = Tally::new(None, None);
        assert!(matches!(open.take(piece(b"abcd")), Ok(Some(_))));
        assert_eq!((open.is_complete(), open.left()), (false, None));
    }
}
