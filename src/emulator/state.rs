//! All that outlives a listener: buckets, identities, faults, records and the clock.
//!
//! Decides nothing by itself; every lock here is held for a moment and never across an await.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use super::bucket::Bucket;
use super::fault::Script;
use super::identity::Identity;
use super::record::Journal;

/// How an emulator behaves.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Whether callers need a credential.
    pub(super) require_auth: bool,
    /// Added to every request.
    pub(super) latency: Option<Duration>,
    /// The project of everything.
    pub(super) project: String,
}

/// The state of an emulated GCS.
#[derive(Debug)]
pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) buckets: RwLock<BTreeMap<String, Arc<Bucket>>>,
    pub(super) identity: Mutex<Identity>,
    pub(super) script: Script,
    pub(super) journal: Arc<Journal>,
    ahead: AtomicU64,
    last_generation: AtomicU64,
}

impl State {
    /// A state without buckets.
    pub(super) fn new(settings: Settings, identity: Identity) -> Self {
        Self {
            settings,
            buckets: RwLock::default(),
            identity: Mutex::new(identity),
            script: Script::default(),
            journal: Arc::default(),
            ahead: AtomicU64::new(0),
            last_generation: AtomicU64::new(0),
        }
    }

    /// The time of the emulator's clock.
    pub(super) fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_millis(self.ahead.load(Ordering::Relaxed))
    }

    /// Sets the clock forward.
    pub(super) fn advance(&self, by: Duration) {
        self.ahead.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A generation that no object had before: microseconds, as in GCS.
    pub(super) fn next_generation(&self) -> u64 {
        let micros = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
        let now = u64::try_from(micros).unwrap_or(1);
        let next = |last: u64| now.max(last + 1);
        self.last_generation
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)))
            .map_or(now, next)
    }

    /// A bucket.
    pub(super) fn bucket(&self, name: &str) -> Option<Arc<Bucket>> {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// A bucket, made if there is none.
    pub(super) fn bucket_or_new(&self, name: &str) -> Arc<Bucket> {
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(buckets.entry(name.to_owned()).or_insert_with(|| Arc::new(Bucket::new(name.to_owned(), self.now()))))
    }

    /// Drops a bucket.
    pub(super) fn remove_bucket(&self, name: &str) {
        self.buckets.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// The identities.
    pub(super) fn identity(&self) -> MutexGuard<'_, Identity> {
        locked(&self.identity)
    }
}

/// A lock's content, also after a panic elsewhere: nothing here is left half-changed.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
