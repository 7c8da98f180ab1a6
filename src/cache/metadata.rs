//! Object metadata, kept briefly: what is known about an object, or that it does not exist.
//!
//! Freshness is decided here, by the `now` that is passed in. What is no longer fresh stays until it is learned anew or
//! its room is needed: moka bounds the bytes, and drops first what nobody has asked for the longest. To drop it in time,
//! moka would need more memory for each entry than some of its metadata does.
//! Never decides who may see an object: access comes first, always.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::RandomState;
use moka::Equivalent;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::object::{Metadata, ObjectName};

/// Bytes at most, so that neither many names nor long ones cost more.
const CAPACITY: u64 = 48 * 1024 * 1024;
/// Places in the table from the beginning, which with those that moka adds take a megabyte; a table that grows is copied
/// again and again.
const PLACES: usize = 64 * 1024 - 384;
/// What an entry takes besides its metadata and the letters of its name, moka's own book-keeping included: 170,000 of
/// them, with names of 11 letters, made the process 69 MiB larger.
const OVERHEAD: usize = 360;

/// What is known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It exists.
    Present(Arc<Metadata>),
    /// It does not.
    Missing,
}

#[derive(Clone, Debug)]
struct Entry {
    known: Known,
    /// Nanoseconds after the cache began, which take half of the room of an [`Instant`].
    since: u64,
}

/// Connection and object.
#[derive(Debug, PartialEq, Eq)]
struct Key(Arc<str>, ObjectName);

/// A key that is only looked for.
#[derive(Clone, Copy, Hash)]
struct Place<'a>(&'a str, &'a ObjectName);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Place(&self.0, &self.1).hash(state);
    }
}

impl Equivalent<Key> for Place<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.0 == *key.0 && *self.1 == key.1
    }
}

/// The cache. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MetadataCache {
    entries: Cache<Key, Entry, RandomState>,
    began: Instant,
    present_for: Duration,
    missing_for: Duration,
}

impl MetadataCache {
    /// An empty cache that trusts metadata for `present_for` and absence for `missing_for`.
    pub fn new(present_for: Duration, missing_for: Duration) -> Self {
        Self::bounded(CAPACITY, present_for, missing_for)
    }

    fn bounded(capacity: u64, present_for: Duration, missing_for: Duration) -> Self {
        let entries = Cache::builder()
            .initial_capacity(PLACES)
            .max_capacity(capacity)
            .weigher(|key: &Key, entry: &Entry| weight(key, &entry.known))
            // TinyLFU would keep what was asked for often and is stale, and refuse what is new.
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(RandomState::new());
        Self { entries, began: Instant::now(), present_for, missing_for }
    }

    /// What is known and still fresh at `now`.
    pub fn lookup(&self, connection: &str, object: &ObjectName, now: Instant) -> Option<Known> {
        let entry = self.entries.get(&Place(connection, object))?;
        let age = Duration::from_nanos(self.nanos(now).saturating_sub(entry.since));
        (age < self.lifetime(&entry.known)).then_some(entry.known)
    }

    /// Remembers what GCS said at `now`.
    pub fn insert(&self, connection: &Arc<str>, object: &ObjectName, known: Known, now: Instant) {
        if self.lifetime(&known).is_zero() {
            return self.forget(connection, object);
        }
        let entry = Entry { known, since: self.nanos(now) };
        self.entries.insert(Key(Arc::clone(connection), object.clone()), entry);
    }

    /// Forgets an object, because it turned out to be another one.
    pub fn forget(&self, connection: &str, object: &ObjectName) {
        self.entries.invalidate(&Place(connection, object));
    }

    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }

    fn lifetime(&self, known: &Known) -> Duration {
        match known {
            Known::Present(_) => self.present_for,
            Known::Missing => self.missing_for,
        }
    }
}

/// What an entry takes in memory, in bytes.
fn weight(Key(_, object): &Key, known: &Known) -> u32 {
    let metadata = match known {
        Known::Missing => 0,
        Known::Present(metadata) => size_of::<Metadata>() + metadata.texts.weight(),
    };
    u32::try_from(OVERHEAD + object.as_str().len() + metadata).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Generation, Metageneration, Texts, Told};

    #[test]
    fn freshness_is_decided_by_the_time_that_is_passed_in() {
        let cache = MetadataCache::new(Duration::from_mins(1), Duration::from_secs(5));
        let connection: Arc<str> = "street".into();
        let object = ObjectName::new("a").expect("legal");
        let then = Instant::now();
        let missing = || Known::Missing;
        cache.insert(&connection, &object, missing(), then);
        let after = |seconds| then + Duration::from_secs(seconds);
        assert_eq!(cache.lookup(&connection, &object, after(4)), Some(missing()));
        assert_eq!(cache.lookup(&connection, &object, after(5)), None);
        let other: Arc<str> = "other".into();
        assert_eq!(cache.lookup(&other, &object, then), None, "connections share nothing");
        cache.forget(&connection, &object);
        assert_eq!(cache.lookup(&connection, &object, then), None);
    }

    #[test]
    fn what_is_never_fresh_takes_no_room() {
        let cache = MetadataCache::new(Duration::from_mins(1), Duration::ZERO);
        let (connection, object): (Arc<str>, _) = ("street".into(), ObjectName::new("a").expect("legal"));
        let now = Instant::now();
        let texts = Texts::new(Told::default());
        let (generation, metageneration) = (Generation(1), Metageneration(1));
        let (last_modified, crc32c, md5) = (None, None, None);
        let metadata = Metadata { generation, metageneration, size: 0, texts, last_modified, crc32c, md5 };
        cache.insert(&connection, &object, Known::Present(Arc::new(metadata)), now);
        assert!(cache.lookup(&connection, &object, now).is_some());
        cache.insert(&connection, &object, Known::Missing, now);
        cache.entries.run_pending_tasks();
        assert_eq!((cache.lookup(&connection, &object, now), cache.entries.entry_count()), (None, 0));
    }

    #[test]
    fn a_full_cache_learns_what_is_new_and_forgets_what_nobody_asks_for() {
        const ROOM: u64 = 100;
        let minute = Duration::from_mins(1);
        let cache = MetadataCache::bounded(ROOM * (OVERHEAD as u64 + 4), minute, minute);
        let (connection, now): (Arc<str>, _) = ("street".into(), Instant::now());
        let objects: Vec<_> = (1000..2000).map(|number| ObjectName::new(number.to_string()).expect("legal")).collect();
        let is_known = |object| cache.lookup(&connection, object, now).is_some();
        for object in &objects {
            cache.insert(&connection, object, Known::Missing, now);
            assert!(is_known(object) && is_known(&objects[0]), "{object}");
            cache.entries.run_pending_tasks();
            assert!(cache.entries.entry_count() <= ROOM);
        }
        assert!(objects.iter().rev().take(50).all(is_known), "as many as there is room for");
        assert!(!objects[1..800].iter().any(is_known));
    }
}
