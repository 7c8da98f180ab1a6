//! What was asked for lately, within a bound.
//!
//! There are two generations. What is kept or asked for is put into the young one; when that weighs half of the bound, it
//! becomes the old one, and what the old one still held is forgotten: nobody has asked for it for as long as half of the
//! bound took to come together. So a question changes nothing but when it finds something old, and most only read.

use std::collections::HashMap;
use std::mem;
use std::sync::{PoisonError, RwLock};

use ahash::RandomState;

/// Values by the hash of what they are for. Two that share a place push each other out, so whoever looks must see for
/// himself whether what stands there is meant.
#[derive(Debug)]
pub(super) struct Recent<V> {
    half: u64,
    generations: RwLock<Generations<V>>,
}

#[derive(Debug)]
struct Generations<V> {
    young: HashMap<u64, Kept<V>, RandomState>,
    /// Of the young one.
    weight: u64,
    old: HashMap<u64, Kept<V>, RandomState>,
}

#[derive(Clone, Copy, Debug)]
struct Kept<V> {
    value: V,
    weight: u32,
}

impl<V: Clone> Recent<V> {
    /// Keeps what weighs `most` together.
    pub(super) fn new(most: u64) -> Self {
        let generations = Generations { young: HashMap::default(), weight: 0, old: HashMap::default() };
        Self { half: most / 2, generations: RwLock::new(generations) }
    }

    /// What `read` makes of the value that stands at a place; it sees to it that this is the one that is meant.
    pub(super) fn find<T>(&self, place: u64, read: impl Fn(&V) -> Option<T>) -> Option<T> {
        // Maps are whole whatever panicked beside them.
        let generations = self.generations.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = generations.young.get(&place).and_then(|kept| read(&kept.value)) {
            return Some(found);
        }
        let kept = generations.old.get(&place)?;
        let found = read(&kept.value)?;
        let kept = kept.clone();
        drop(generations);
        self.put(place, kept);
        Some(found)
    }

    /// Keeps a value.
    pub(super) fn keep(&self, place: u64, value: V, weight: u32) {
        self.put(place, Kept { value, weight });
    }

    fn put(&self, place: u64, kept: Kept<V>) {
        let mut generations = self.generations.write().unwrap_or_else(PoisonError::into_inner);
        let forgotten = generations.put(place, kept, self.half);
        drop(generations);
        // There may be many, and nobody is to wait for them to go.
        drop(forgotten);
    }
}

impl<V> Generations<V> {
    /// Gives back what is forgotten.
    fn put(&mut self, place: u64, kept: Kept<V>, half: u64) -> HashMap<u64, Kept<V>, RandomState> {
        self.weight += u64::from(kept.weight);
        if let Some(replaced) = self.young.insert(place, kept) {
            self.weight -= u64::from(replaced.weight);
        }
        if self.weight < half {
            return HashMap::default();
        }
        self.weight = 0;
        mem::replace(&mut self.old, mem::take(&mut self.young))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that are kept, each at a place of its own, and asked for no further.
    fn kept(recent: &Recent<u64>, numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let generations = recent.generations.read().unwrap();
        let holds = |number: &u64| generations.young.contains_key(number) || generations.old.contains_key(number);
        numbers.into_iter().filter(holds).collect()
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_forgotten() {
        let recent = Recent::new(10);
        recent.keep(0, 0, 1);
        for number in 1..100 {
            recent.keep(number, number, 1);
            assert_eq!(recent.find(0, |found| Some(*found)), Some(0), "{number}");
            assert!(kept(&recent, 0..100).len() <= 10, "{number}");
        }
        assert_eq!(recent.find(50, |found| Some(*found)), None);
        assert_eq!(recent.find(99, |found| Some(*found)), Some(99));
    }

    #[test]
    fn a_value_counts_once_however_often_it_is_kept() {
        let recent = Recent::new(10);
        recent.keep(0, 0, 1);
        for number in [1; 100] {
            recent.keep(number, number, 2);
        }
        assert_eq!(kept(&recent, 0..2), [0, 1]);
    }

    #[test]
    fn what_is_too_heavy_is_kept_until_the_next() {
        let recent = Recent::new(1);
        recent.keep(0, 0, 3);
        assert_eq!(recent.find(0, |found| Some(*found)), Some(0));
        recent.keep(1, 1, 3);
        assert_eq!(kept(&recent, 0..2), [1]);
    }

    #[test]
    fn another_value_at_the_place_is_none() {
        let recent = Recent::new(10);
        recent.keep(0, 7, 1);
        assert_eq!(recent.find(0, |found| (*found == 8).then_some(())), None);
        recent.keep(0, 8, 1);
        assert_eq!(recent.find(0, |found| (*found == 8).then_some(())), Some(()));
    }
}
