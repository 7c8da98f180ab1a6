//! Object metadata, kept briefly: what is known about an object, or that it does not exist.
//!
//! Freshness is decided here, by the `now` that is passed in. What is no longer fresh stays until it is learned anew or
//! its room is needed. What is asked for once is kept apart from what is asked for again, which moka keeps: so whoever
//! reads a whole bucket once pushes out no metadata that is in use, and pays little for what nobody asks for again.
//! Never decides who may see an object: access comes first, always.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::RandomState;
use moka::Equivalent;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::recent::Recent;
use crate::object::{Metadata, ObjectName};

/// Bytes at most, of what was asked for once, so that neither many names nor long ones cost more.
const CAPACITY: u64 = 16 * 1024 * 1024;
/// The same, of what was asked for again.
const CAPACITY_AGAIN: u64 = 32 * 1024 * 1024;
/// Into how many parts the former is divided.
const PARTS: u64 = 16;
/// Places in moka's table from the beginning; a table that grows is copied again and again.
const PLACES: usize = 16 * 1024 - 384;
/// What an entry takes besides its metadata and the letters of its name. Of moka's book-keeping: 170,000 of them, with
/// names of 11 letters, made the process 69 MiB larger. Of what was asked for once: a place in tables that are half empty
/// and of which one may be on its way out; 47,000 of them took about 22 MiB.
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

/// What is known of what was asked for once; its place is known where it is kept.
#[derive(Clone, Debug)]
struct Seen {
    connection: Arc<str>,
    object: ObjectName,
    entry: Entry,
}

/// Connection and object, with the hash of both, so that neither is read again where many keys are moved or compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    place: u64,
    connection: Arc<str>,
    object: ObjectName,
}

/// A key that is only looked for.
#[derive(Clone, Copy)]
struct Sought<'a> {
    place: u64,
    connection: &'a str,
    object: &'a ObjectName,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.place.hash(state);
    }
}

impl Hash for Sought<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.place.hash(state);
    }
}

impl Equivalent<Key> for Sought<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.place == key.place && self.is(&key.connection, &key.object)
    }
}

impl Sought<'_> {
    fn is(&self, connection: &str, object: &ObjectName) -> bool {
        self.connection == connection && self.object == object
    }
}

/// The cache. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MetadataCache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    once: Recent<Seen>,
    again: Cache<Key, Entry, RandomState>,
    places: RandomState,
    began: Instant,
    present_for: Duration,
    missing_for: Duration,
}

impl MetadataCache {
    /// An empty cache that trusts metadata for `present_for` and absence for `missing_for`.
    pub fn new(present_for: Duration, missing_for: Duration) -> Self {
        Self::bounded(Recent::new(CAPACITY, PARTS), CAPACITY_AGAIN, (present_for, missing_for))
    }

    fn bounded(once: Recent<Seen>, again: u64, (present_for, missing_for): (Duration, Duration)) -> Self {
        let places = RandomState::new();
        let again = Cache::builder()
            .initial_capacity(PLACES)
            .max_capacity(again)
            .weigher(|key: &Key, entry: &Entry| weight(&key.object, &entry.known))
            // TinyLFU would keep what was asked for often and is stale, and refuse what is new.
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(places.clone());
        Self(Arc::new(Inner { once, again, places, began: Instant::now(), present_for, missing_for }))
    }

    /// What is known and still fresh at `now`. What another thread asks for again at this very moment may be missed.
    pub fn lookup(&self, connection: &str, object: &ObjectName, now: Instant) -> Option<Known> {
        let inner = &*self.0;
        let sought = inner.sought(connection, object);
        let entry = match inner.again.get(&sought) {
            Some(entry) => entry,
            None => inner.promote(sought)?,
        };
        let age = Duration::from_nanos(inner.nanos(now).saturating_sub(entry.since));
        (age < inner.lifetime(&entry.known)).then_some(entry.known)
    }

    /// Remembers what GCS said at `now`.
    pub fn insert(&self, connection: &Arc<str>, object: &ObjectName, known: Known, now: Instant) {
        let inner = &*self.0;
        if inner.lifetime(&known).is_zero() {
            return self.forget(connection, object);
        }
        let sought = inner.sought(connection, object);
        let (connection, object) = (Arc::clone(connection), object.clone());
        let entry = Entry { known, since: inner.nanos(now) };
        let weight = weight(&object, &entry.known);
        let seen = Seen { connection, object, entry };
        // Whoever asks again at this moment takes this one along, or is found to have been here.
        if let Some(seen) = inner.once.keep_unless(sought.place, (seen, weight), || inner.again.contains_key(&sought)) {
            inner.keep_again(sought.place, seen);
        }
    }

    /// Forgets an object, because it turned out to be another one.
    pub fn forget(&self, connection: &str, object: &ObjectName) {
        let sought = self.0.sought(connection, object);
        self.0.once.forget(sought.place);
        self.0.again.invalidate(&sought);
    }
}

impl Inner {
    fn sought<'a>(&self, connection: &'a str, object: &'a ObjectName) -> Sought<'a> {
        Sought { place: self.places.hash_one((connection, object)), connection, object }
    }

    /// What was asked for once, and is now asked for again.
    fn promote(&self, sought: Sought<'_>) -> Option<Entry> {
        let is_sought = |seen: &Seen| sought.is(&seen.connection, &seen.object);
        self.once.take(sought.place, is_sought, |seen| self.keep_again(sought.place, seen))
    }

    fn keep_again(&self, place: u64, Seen { connection, object, entry }: Seen) -> Entry {
        self.again.insert(Key { place, connection, object }, entry.clone());
        entry
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
fn weight(object: &ObjectName, known: &Known) -> u32 {
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
        cache.0.again.run_pending_tasks();
        assert_eq!((cache.lookup(&connection, &object, now), cache.0.again.entry_count()), (None, 0));
    }

    /// A cache for `once` objects with names of four letters that are asked for once, and `again` that are again.
    fn of(once: u64, again: u64) -> MetadataCache {
        let minute = Duration::from_mins(1);
        let once = Recent::new(once * (OVERHEAD as u64 + 4), 1);
        MetadataCache::bounded(once, again * (OVERHEAD as u64 + 4), (minute, minute))
    }

    fn names(numbers: std::ops::Range<u32>) -> Vec<ObjectName> {
        numbers.map(|number| ObjectName::new(number.to_string()).expect("legal")).collect()
    }

    #[test]
    fn a_full_cache_learns_what_is_new_and_forgets_what_nobody_asks_for() {
        let cache = of(100, 100);
        let (connection, now): (Arc<str>, _) = ("street".into(), Instant::now());
        let objects = names(1000..2000);
        let is_known = |object| cache.lookup(&connection, object, now).is_some();
        for object in &objects {
            cache.insert(&connection, object, Known::Missing, now);
            assert!(is_known(object) && is_known(&objects[0]), "{object}");
            cache.0.again.run_pending_tasks();
            assert!(cache.0.again.entry_count() <= 100);
        }
        assert!(objects.iter().rev().take(50).all(is_known), "as many as there is room for");
        assert!(!objects[1..800].iter().any(is_known));
    }

    #[test]
    fn what_is_read_once_pushes_out_nothing_that_is_in_use() {
        let cache = of(100, 100);
        let (connection, now): (Arc<str>, _) = ("street".into(), Instant::now());
        let (used, scanned) = (names(1000..1050), names(2000..9000));
        let is_known = |object| cache.lookup(&connection, object, now).is_some();
        for object in &used {
            cache.insert(&connection, object, Known::Missing, now);
            assert!(is_known(object), "{object}");
        }
        for object in &scanned {
            cache.insert(&connection, object, Known::Missing, now);
        }
        assert!(used.iter().all(is_known));
        assert!(!scanned[..6000].iter().any(is_known), "forgotten, since nobody asked again");
        assert!(scanned[6950..].iter().all(is_known), "still there, should somebody ask");
    }

    #[test]
    fn what_is_learned_or_forgotten_later_counts_however_often_it_was_asked_for() {
        let cache = of(100, 100);
        let (connection, object): (Arc<str>, _) = ("street".into(), ObjectName::new("a").expect("legal"));
        let then = Instant::now();
        let at = |seconds| then + Duration::from_secs(seconds);
        for questions in 0..3 {
            let ask = |seconds| cache.lookup(&connection, &object, at(seconds));
            cache.insert(&connection, &object, Known::Missing, at(0));
            assert!((0..questions).all(|_| ask(0) == Some(Known::Missing)));
            cache.insert(&connection, &object, Known::Missing, at(50));
            assert_eq!(ask(70), Some(Known::Missing), "learned anew");
            cache.forget(&connection, &object);
            assert_eq!(ask(70), None);
        }
    }

    #[test]
    fn what_is_forgotten_or_learned_anew_stays_so_while_others_ask() {
        let cache = of(100, 100);
        let (connection, object): (Arc<str>, _) = ("street".into(), ObjectName::new("a").expect("legal"));
        let then = Instant::now();
        let later = then + Duration::from_secs(50);
        let ask = |now| cache.lookup(&connection, &object, now);
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    ask(then);
                }
            });
            let all_held = (0..2000).all(|_| {
                cache.insert(&connection, &object, Known::Missing, then);
                cache.insert(&connection, &object, Known::Missing, later);
                // What is on its way from one room to the other may be missed, once.
                let then_known = || ask(then + Duration::from_secs(70));
                let learned = then_known().or_else(then_known).is_some();
                cache.forget(&connection, &object);
                learned && ask(then).is_none()
            });
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(all_held);
        });
    }
}
