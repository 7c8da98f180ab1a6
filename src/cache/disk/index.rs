//! What is in the folder: how large, and when last used. Pure.
//!
//! Decides which entries go when there is no room: those that were not used for the longest time.

use std::collections::{BTreeMap, HashMap};

use super::entry::Name;

#[derive(Debug)]
pub(super) struct Index {
    limit: u64,
    total: u64,
    turn: u64,
    entries: HashMap<Name, Entry>,
    /// Names by the turn of their last use.
    order: BTreeMap<u64, Name>,
    /// How many entries there are of an object.
    places: HashMap<[u8; 16], usize>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    size: u64,
    used: u64,
}

/// The size of the entry that was replaced, and those that had to go.
type Inserted = (Option<u64>, Vec<(Name, u64)>);

impl Index {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, total: 0, turn: 0, entries: HashMap::new(), order: BTreeMap::new(), places: HashMap::new() }
    }

    /// Whether there is an entry of the same object.
    pub(super) fn holds(&self, name: &Name) -> bool {
        self.places.contains_key(&name.place)
    }

    /// Whether an entry of this size has a place at all.
    pub(super) fn admits(&self, size: u64) -> bool {
        size <= self.limit
    }

    /// Whether it is there; it is used now.
    pub(super) fn touch(&mut self, name: &Name) -> bool {
        let Some(entry) = self.entries.get_mut(name) else { return false };
        self.turn += 1;
        self.order.remove(&entry.used);
        entry.used = self.turn;
        self.order.insert(self.turn, name.clone());
        true
    }

    /// Notes an entry that is there, and names those that must go.
    pub(super) fn insert(&mut self, name: Name, size: u64) -> Inserted {
        let replaced = self.remove(&name);
        self.turn += 1;
        self.total += size;
        *self.places.entry(name.place).or_default() += 1;
        self.order.insert(self.turn, name.clone());
        self.entries.insert(name, Entry { size, used: self.turn });
        let mut evicted = Vec::new();
        while self.total > self.limit {
            let Some((_, oldest)) = self.order.first_key_value() else { break };
            let oldest = oldest.clone();
            let Some(size) = self.remove(&oldest) else { break };
            evicted.push((oldest, size));
        }
        (replaced, evicted)
    }

    /// Forgets an entry; its size, if it was there.
    pub(super) fn remove(&mut self, name: &Name) -> Option<u64> {
        let Entry { size, used } = self.entries.remove(name)?;
        self.order.remove(&used);
        self.total -= size;
        if let Some(count) = self.places.get_mut(&name.place) {
            *count -= 1;
            if *count == 0 {
                self.places.remove(&name.place);
            }
        }
        Some(size)
    }

    /// Forgets all; how many there were, and how large they were together.
    pub(super) fn clear(&mut self) -> (usize, u64) {
        let all = (self.entries.len(), self.total);
        *self = Self::new(self.limit);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Generation;

    fn name(object: &str) -> Name {
        Name::new(&[object.as_bytes()], Generation(1), None)
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first() {
        let mut index = Index::new(30);
        for object in ["a", "b", "c"] {
            assert_eq!(index.insert(name(object), 10), (None, Vec::new()));
        }
        assert!(index.touch(&name("a")));
        assert_eq!(index.insert(name("d"), 10), (None, vec![(name("b"), 10)]));
        assert_eq!(index.insert(name("d"), 20), (Some(10), vec![(name("c"), 10)]));
        assert!(index.holds(&name("a")) && !index.holds(&name("b")) && !index.touch(&name("c")));
        assert!(index.admits(30) && !index.admits(31));
        assert_eq!(index.clear(), (2, 30));
        assert!(!index.holds(&name("a")));
    }
}
