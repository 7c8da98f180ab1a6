//! Who was asked for lately: what an object must have been before it takes the room of others.
//!
//! A scan reads everything once. Keeping what is read once costs a copy of it and somebody else's place, and gains
//! nothing. Decides only whether a key was seen before; forgets by being written over, and may take one key for another.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

/// Each takes four bytes, and is written over by about the next so many keys.
const SLOTS: usize = 1 << 16;

/// The marks of the keys that were seen last.
#[derive(Debug)]
pub(super) struct Newcomers {
    hasher: RandomState,
    marks: Box<[AtomicU32]>,
}

impl Newcomers {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), marks: (0..SLOTS).map(|_| AtomicU32::new(0)).collect() }
    }

    /// Notes a key; tells whether it was here before.
    pub(super) fn is_known(&self, key: &impl Hash) -> bool {
        let hash = self.hasher.hash_one(key);
        let slot = usize::try_from(hash % SLOTS as u64).unwrap_or_default();
        // Zero is what nobody has left.
        let mark = u32::try_from(hash >> 32).unwrap_or_default() | 1;
        self.marks.get(slot).is_some_and(|slot| slot.swap(mark, Ordering::Relaxed) == mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_from_the_second_time_on_and_not_for_ever() {
        let newcomers = Newcomers::new();
        assert_eq!(["a", "b", "a", "a"].map(|key| newcomers.is_known(&key)), [false, false, true, true]);
        let known = (0..SLOTS * 16).filter(|number| newcomers.is_known(number)).count();
        assert!(known < SLOTS / 64, "{known} of a scan were taken for others");
        assert!(!newcomers.is_known(&"a"), "the scan has written over it");
    }
}
