//! What was asked for lately, within a bound.
//!
//! There are two generations. What is kept or asked for is put into the young one; when that weighs half of the bound, it
//! becomes the old one, and what the old one still held is forgotten: nobody has asked for it for as long as half of the
//! bound took to come together. So a question changes nothing but when it finds something old, and most only read.
//! What is forgotten goes a little at a time, with what comes, so that no request waits for thousands of entries to go.

use std::collections::hash_map::{self, HashMap};
use std::mem;
use std::sync::{PoisonError, RwLock};

use ahash::RandomState;

/// Values by the hash of what they are for. Two that share a place push each other out, so whoever looks must see for
/// himself whether what stands there is meant.
#[derive(Debug)]
pub(super) struct Recent<V> {
    /// Of one part.
    half: u64,
    /// Each with a lock of its own, so that threads seldom meet.
    parts: Vec<RwLock<Generations<V>>>,
}

#[derive(Debug)]
struct Generations<V> {
    young: HashMap<u64, Kept<V>, RandomState>,
    /// Of the young one.
    weight: u64,
    old: HashMap<u64, Kept<V>, RandomState>,
    /// What is forgotten and still takes room.
    leaving: hash_map::IntoIter<u64, Kept<V>>,
}

#[derive(Clone, Copy, Debug)]
struct Kept<V> {
    value: V,
    weight: u32,
}

/// What goes for one that comes: two, so that all are gone when half of the bound has come together anew; and the rest,
/// should what came be so heavy that there is one.
type Gone<V> = ([Option<(u64, Kept<V>)>; 2], Option<hash_map::IntoIter<u64, Kept<V>>>);

impl<V: Clone> Recent<V> {
    /// Keeps what weighs `most` together, in as many parts, one at least.
    pub(super) fn new(most: u64, parts: u64) -> Self {
        let parts = parts.max(1);
        let half = most / parts / 2;
        Self { half, parts: (0..parts).map(|_| RwLock::default()).collect() }
    }

    /// What `read` makes of the value that stands at a place; it sees to it that this is the one that is meant.
    pub(super) fn find<T>(&self, place: u64, read: impl Fn(&V) -> Option<T>) -> Option<T> {
        // Maps are whole whatever panicked beside them.
        let generations = self.part(place).read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = generations.young.get(&place).and_then(|kept| read(&kept.value)) {
            return Some(found);
        }
        let kept = generations.old.get(&place)?;
        let found = read(&kept.value)?;
        let kept = kept.clone();
        drop(generations);
        self.keep(place, kept.value, kept.weight);
        Some(found)
    }

    /// Keeps a value.
    pub(super) fn keep(&self, place: u64, value: V, weight: u32) {
        self.keep_unless(place, (value, weight), || false);
    }

    /// Forgets what stands at a place.
    pub(super) fn forget(&self, place: u64) {
        let mut generations = self.part(place).write().unwrap_or_else(PoisonError::into_inner);
        if let Some(young) = generations.young.remove(&place) {
            generations.weight -= u64::from(young.weight);
        }
        generations.old.remove(&place);
    }

    /// Keeps a value unless it is kept `elsewhere`, and gives it back then. Nobody else comes near the place meanwhile.
    pub(super) fn keep_unless(
        &self,
        place: u64,
        (value, weight): (V, u32),
        elsewhere: impl FnOnce() -> bool,
    ) -> Option<V> {
        let mut generations = self.part(place).write().unwrap_or_else(PoisonError::into_inner);
        if elsewhere() {
            return Some(value);
        }
        let gone = generations.put(place, Kept { value, weight }, self.half);
        drop(generations);
        // Nobody is to wait for it to go.
        drop(gone);
        None
    }

    /// Gives the newest value at a place to `then`, if it is the one that is meant, and forgets it. Another one stays.
    /// Nobody else comes near the place meanwhile.
    pub(super) fn take<T>(&self, place: u64, is_meant: impl Fn(&V) -> bool, then: impl FnOnce(V) -> T) -> Option<T> {
        let part = self.part(place);
        if !part.read().unwrap_or_else(PoisonError::into_inner).holds(place) {
            return None;
        }
        let mut generations = part.write().unwrap_or_else(PoisonError::into_inner);
        let value = generations.take(place, is_meant)?;
        let taken = then(value);
        drop(generations);
        Some(taken)
    }

    fn part(&self, place: u64) -> &RwLock<Generations<V>> {
        let index = place % self.parts.len() as u64;
        &self.parts[usize::try_from(index).expect("less than there are parts")]
    }
}

impl<V> Generations<V> {
    fn put(&mut self, place: u64, kept: Kept<V>, half: u64) -> Gone<V> {
        self.weight += u64::from(kept.weight);
        if let Some(replaced) = self.young.insert(place, kept) {
            self.weight -= u64::from(replaced.weight);
        }
        let mut rest = None;
        if self.weight >= half {
            self.weight = 0;
            let next = HashMap::with_capacity_and_hasher(self.young.len(), RandomState::default());
            let young = mem::replace(&mut self.young, next);
            rest = Some(mem::replace(&mut self.leaving, mem::replace(&mut self.old, young).into_iter()));
        }
        ([self.leaving.next(), self.leaving.next()], rest)
    }

    fn holds(&self, place: u64) -> bool {
        self.young.contains_key(&place) || self.old.contains_key(&place)
    }

    fn take(&mut self, place: u64, is_meant: impl Fn(&V) -> bool) -> Option<V> {
        let other = |kept: &Kept<V>| !is_meant(&kept.value);
        // What is young is newer than what is old.
        if self.young.get(&place).is_some_and(other) {
            return None;
        }
        let young = self.young.remove(&place);
        self.weight -= young.as_ref().map_or(0, |young| u64::from(young.weight));
        let old = if self.old.get(&place).is_some_and(other) { None } else { self.old.remove(&place) };
        young.or(old).map(|kept| kept.value)
    }
}

impl<V> Default for Generations<V> {
    fn default() -> Self {
        Self { young: HashMap::default(), weight: 0, old: HashMap::default(), leaving: HashMap::new().into_iter() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that are kept, each at a place of its own, and asked for no further.
    fn kept(recent: &Recent<u64>, numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let generations = recent.parts[0].read().unwrap();
        let holds = |number: &u64| generations.young.contains_key(number) || generations.old.contains_key(number);
        numbers.into_iter().filter(holds).collect()
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_forgotten() {
        let recent = Recent::new(10, 1);
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
        let recent = Recent::new(10, 1);
        recent.keep(0, 0, 1);
        for number in [1; 100] {
            recent.keep(number, number, 2);
        }
        assert_eq!(kept(&recent, 0..2), [0, 1]);
    }

    #[test]
    fn what_is_too_heavy_is_kept_until_the_next() {
        let recent = Recent::new(1, 1);
        recent.keep(0, 0, 3);
        assert_eq!(recent.find(0, |found| Some(*found)), Some(0));
        recent.keep(1, 1, 3);
        assert_eq!(kept(&recent, 0..2), [1]);
    }

    #[test]
    fn another_value_at_the_place_is_none() {
        let recent = Recent::new(10, 1);
        recent.keep(0, 7, 1);
        assert_eq!(recent.find(0, |found| (*found == 8).then_some(())), None);
        recent.keep(0, 8, 1);
        assert_eq!(recent.find(0, |found| (*found == 8).then_some(())), Some(()));
    }

    #[test]
    fn what_is_forgotten_is_found_no_more() {
        let recent = Recent::new(10, 1);
        for number in 0..7 {
            recent.keep(number, number, 1);
        }
        let generations = recent.parts[0].read().unwrap();
        assert!(generations.old.contains_key(&0) && generations.young.contains_key(&6));
        drop(generations);
        recent.forget(0);
        recent.forget(6);
        assert_eq!(kept(&recent, 0..7), [1, 2, 3, 4, 5]);
        assert_eq!([0, 6].map(|number| recent.find(number, |found| Some(*found))), [None, None]);
        assert_eq!(recent.parts[0].read().unwrap().weight, 1);
    }

    #[test]
    fn what_is_taken_is_the_newest_and_is_gone() {
        let recent = Recent::new(10, 1);
        recent.keep(0, 1, 1);
        for number in 1..6 {
            recent.keep(number, 7, 1);
        }
        recent.keep(0, 2, 1);
        assert_eq!(recent.take(0, |found| *found == 1, |found| found), None, "another one");
        assert_eq!(recent.take(0, |_| true, |found| found), Some(2));
        assert_eq!(recent.take(0, |_| true, |found| found), None);
        assert_eq!(recent.take(1, |_| true, |found| found), Some(7), "an old one");
        assert_eq!(kept(&recent, 0..6), [2, 3, 4, 5]);
    }

    #[test]
    fn what_is_not_meant_stays_whoever_looks_for_another_at_its_place() {
        let recent = Recent::new(10, 1);
        let take = |wanted| recent.take(0, |found| *found == wanted, |found| found);
        for number in 0..5 {
            recent.keep(number, 7, 1);
        }
        assert!(recent.parts[0].read().unwrap().young.is_empty(), "all of them are old");
        assert_eq!(take(8), None);
        recent.keep(0, 8, 1);
        assert_eq!((take(8), take(8)), (Some(8), None));
        assert_eq!((take(7), take(7)), (Some(7), None));
    }

    #[test]
    fn what_is_kept_elsewhere_is_given_back() {
        let recent = Recent::new(10, 1);
        assert_eq!(recent.keep_unless(0, (5, 1), || true), Some(5));
        assert_eq!(kept(&recent, 0..1), [0; 0]);
        assert_eq!(recent.keep_unless(0, (5, 1), || false), None);
        assert_eq!(kept(&recent, 0..1), [0]);
    }

    #[test]
    fn no_more_takes_room_than_the_bound_allows() {
        let recent = Recent::new(1000, 4);
        let value = std::sync::Arc::new(());
        let places = RandomState::new();
        for number in 0..10_000_u64 {
            recent.keep(places.hash_one(number), std::sync::Arc::clone(&value), 1);
            assert!(std::sync::Arc::strong_count(&value) <= 1001, "{number}");
        }
        assert!(std::sync::Arc::strong_count(&value) > 500);
    }
}
