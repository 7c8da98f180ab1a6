//! The objects that exist: any `SIZE-ID`, whose bytes both ends can tell.
//!
//! Bytes come out of one pattern, begun at a place that depends on the id, so that one object's bytes in place of
//! another's are noticed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crc_fast::{CrcAlgorithm, Digest};

/// Odd, so that the pattern never falls in step with anybody's buffers.
const PATTERN: usize = 8 * 1024 * 1024 + 4099;
const VARIANTS: u64 = 64;
const STEP: usize = 65_537;

/// One object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) size: u64,
    pub(crate) id: u64,
}

impl Object {
    /// Reads `SIZE-ID`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (size, id) = name.split_once('-')?;
        Some(Self { size: size.parse().ok()?, id: id.parse().ok()? })
    }

    fn variant(self) -> usize {
        usize::try_from(self.id % VARIANTS).unwrap_or(0)
    }
}

/// The bytes of all objects.
#[derive(Debug)]
pub(crate) struct Content {
    pattern: Vec<u8>,
    sums: Mutex<HashMap<(u64, usize), u32>>,
}

impl Content {
    pub(crate) fn new() -> Self {
        let mut random = fastrand::Rng::with_seed(1);
        let mut pattern = vec![0; PATTERN];
        random.fill(&mut pattern);
        Self { pattern, sums: Mutex::default() }
    }

    /// As many of an object's bytes from a place on as lie in one piece.
    pub(crate) fn piece(&self, object: Object, from: u64, length: u64) -> &[u8] {
        let from = usize::try_from(from % PATTERN as u64).unwrap_or(0);
        let begin = (object.variant() * STEP + from) % PATTERN;
        let length = usize::try_from(length).unwrap_or(PATTERN).min(PATTERN - begin);
        &self.pattern[begin..begin + length]
    }

    /// Whether these are an object's bytes from a place on.
    pub(crate) fn is(&self, object: Object, mut from: u64, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let piece = self.piece(object, from, bytes.len() as u64);
            if piece != &bytes[..piece.len()] {
                return false;
            }
            from += piece.len() as u64;
            bytes = &bytes[piece.len()..];
        }
        true
    }

    /// The CRC32C of a whole object.
    pub(crate) fn crc32c(&self, object: Object) -> u32 {
        let key = (object.size, object.variant());
        let known = self.sums.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        known.unwrap_or_else(|| {
            let sum = self.compute(object);
            self.sums.lock().unwrap_or_else(PoisonError::into_inner).insert(key, sum);
            sum
        })
    }

    fn compute(&self, object: Object) -> u32 {
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        let mut from = 0;
        while from < object.size {
            let piece = self.piece(object, from, object.size - from);
            digest.update(piece);
            from += piece.len() as u64;
        }
        u32::try_from(digest.finalize()).expect("a CRC32C has 32 bits")
    }
}
