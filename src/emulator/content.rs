//! Where an object's bytes come from: memory, a pattern of any length, or a file.
//!
//! Decides how bytes are found by offset and how their checksum is made; knows no HTTP.

use std::io::{self, Read as _};
use std::path::PathBuf;

use bytes::Bytes;

use super::md5::md5;

/// The pattern's period: a prime, so that bytes misplaced by any block size are noticed.
const PERIOD: usize = 1_048_573;
/// The most bytes handed out at a time.
pub(super) const CHUNK: usize = 256 * 1024;
/// Above this the MD5 is not made, as for composite objects.
const MAX_MD5: usize = 4 << 20;

/// An object's bytes.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Held in memory.
    Memory(Bytes),
    /// Made up; see [`pattern`].
    Generated {
        /// How many bytes.
        size: u64,
        /// One period and a chunk more (or all, when that is less), so that any chunk is a slice.
        pattern: Bytes,
    },
    /// In a file.
    File {
        /// Where.
        path: PathBuf,
        /// How many bytes it had when looked at.
        size: u64,
    },
}

impl Content {
    /// Made-up content.
    pub(super) fn generated(size: u64, seed: u64) -> Self {
        let needed = usize::try_from(size).unwrap_or(usize::MAX).min(PERIOD + CHUNK);
        let mut bytes = period(seed, needed.min(PERIOD));
        bytes.extend_from_within(..needed.saturating_sub(PERIOD));
        Self::Generated { size, pattern: bytes.into() }
    }

    /// How many bytes.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Generated { size, .. } | Self::File { size, .. } => *size,
        }
    }

    /// Up to `most` bytes at an offset, never more than a chunk; empty at the end, and for files.
    pub(super) fn slice(&self, at: u64, most: u64) -> Bytes {
        let length = usize::try_from(most.min(self.size().saturating_sub(at))).unwrap_or(CHUNK).min(CHUNK);
        match self {
            Self::Memory(bytes) => {
                let start = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                bytes.slice(start..start + length)
            }
            Self::Generated { pattern, .. } => {
                let start = usize::try_from(at % PERIOD as u64).unwrap_or(0);
                pattern.slice(start..start + length)
            }
            Self::File { .. } => Bytes::new(),
        }
    }

    /// All bytes.
    pub(super) fn whole(&self) -> Bytes {
        if let Self::Memory(bytes) = self {
            return bytes.clone();
        }
        let mut whole = Vec::new();
        loop {
            let piece = self.slice(whole.len() as u64, u64::MAX);
            if piece.is_empty() {
                return whole.into();
            }
            whole.extend_from_slice(&piece);
        }
    }

    /// CRC32C of the whole. Reads a file to its end: not for async code.
    pub(super) fn crc32c(&self) -> io::Result<u32> {
        match self {
            Self::Memory(bytes) => Ok(crc32c::crc32c(bytes)),
            Self::Generated { size, pattern } => Ok(pattern_crc(*size, pattern)),
            Self::File { path, .. } => file_crc(path),
        }
    }

    /// MD5 of the whole, for objects in memory that are not too large.
    pub(super) fn md5(&self) -> Option<[u8; 16]> {
        match self {
            Self::Memory(bytes) if bytes.len() <= MAX_MD5 => Some(md5(bytes)),
            _ => None,
        }
    }
}

/// The bytes of a generated object, for comparison: `length` of them from `offset` on.
pub fn pattern(seed: u64, offset: u64, length: usize) -> Vec<u8> {
    let once = period(seed, PERIOD);
    let start = usize::try_from(offset % PERIOD as u64).unwrap_or(0);
    once.iter().cycle().skip(start).take(length).copied().collect()
}

/// The first bytes of the pattern: splitmix64 over the word's number.
fn period(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    let mut state = seed;
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// CRC32C of the repeated pattern: one period is summed, then doubled as often as needed.
fn pattern_crc(size: u64, pattern: &Bytes) -> u32 {
    let period = pattern.len().min(PERIOD);
    if size <= period as u64 {
        return crc32c::crc32c(&pattern[..period]);
    }
    let (mut times, rest) = (size / PERIOD as u64, usize::try_from(size % PERIOD as u64).unwrap_or(0));
    let (mut part, mut part_length) = (crc32c::crc32c(&pattern[..period]), period);
    let mut whole = 0;
    while times > 0 {
        if times % 2 == 1 {
            whole = crc32c::crc32c_combine(whole, part, part_length);
        }
        times /= 2;
        if times > 0 {
            part = crc32c::crc32c_combine(part, part, part_length);
            part_length *= 2;
        }
    }
    crc32c::crc32c_append(whole, &pattern[..rest])
}

fn file_crc(path: &std::path::Path) -> io::Result<u32> {
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; CHUNK];
    let mut sum = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(sum),
            read => sum = crc32c::crc32c_append(sum, &buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_bytes_can_be_had_at_any_offset() {
        let size = 3 * PERIOD as u64 + 777;
        let content = Content::generated(size, 7);
        let (mut whole, mut at) = (Vec::new(), 0);
        while at < size {
            let chunk = content.slice(at, u64::MAX);
            at += chunk.len() as u64;
            whole.extend_from_slice(&chunk);
        }
        assert_eq!(whole.len() as u64, size);
        assert!(whole == pattern(7, 0, whole.len()));
        assert_eq!(content.crc32c().expect("no file"), crc32c::crc32c(&whole));
        assert!(content.slice(PERIOD as u64 - 5, 10) == pattern(7, PERIOD as u64 - 5, 10));
        assert!(content.slice(size, 10).is_empty());
    }

    #[test]
    fn small_generated_objects_are_whole() {
        for size in [0, 1, 9, 300_000, PERIOD as u64 - 1, PERIOD as u64, PERIOD as u64 + 1] {
            let content = Content::generated(size, 1);
            let expected = pattern(1, 0, usize::try_from(size).expect("small"));
            assert_eq!(content.crc32c().expect("no file"), crc32c::crc32c(&expected), "{size}");
            assert!(content.slice(size.saturating_sub(1), 9) == expected[expected.len().saturating_sub(1)..]);
        }
    }
}
