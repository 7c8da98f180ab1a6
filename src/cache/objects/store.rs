//! Where bytes of objects are: in memory by use, on the disk by its leave, and how much there is room for.
//!
//! Decides what may be kept, and that all bytes that live stay within the bound: kept, being filled, or given up and
//! still being sent.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ahash::RandomState;
use bytes::Bytes;
use moka::notification::RemovalCause;
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Kept;
use super::filling::Filling;
use super::key::{Key, Place};
use super::newcomers::Newcomers;
use crate::cache::disk::Disk;
use crate::cache::{Config, DiskConfig};
use crate::metrics::{Metrics, Tier};
use crate::object::{Generation, Metadata};

/// What an entry takes besides its bytes and its name: metadata and book-keeping.
const OVERHEAD: usize = 1024;
/// What permits count.
const PERMIT: u64 = 1024;

/// What is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) memory: u64,
    max_object: u64,
    disk: Option<DiskConfig>,
}

impl Limits {
    pub(super) fn of(config: &Config) -> Self {
        Self { memory: config.memory.as_u64(), max_object: config.max_object.as_u64(), disk: config.disk.clone() }
    }

    /// The largest object that is kept whole.
    fn largest(&self) -> u64 {
        self.max_object.min(self.memory / 2)
    }
}

pub(super) struct Store {
    pub(super) limits: Limits,
    pub(super) kept: Cache<Key, Kept, RandomState>,
    pub(super) fills: Mutex<HashMap<Key, Arc<Filling>>>,
    /// Room for all bytes that live: kept, being filled, or evicted and still being sent.
    room: Arc<Semaphore>,
    newcomers: Newcomers,
    disk: Option<Disk>,
    metrics: Metrics,
}

/// Bytes that give their room back when the last who reads them is done.
pub(super) struct Housed {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Store {
    pub(super) fn new(limits: Limits, metrics: Metrics) -> Self {
        let memory = limits.memory;
        let gauges = metrics.clone();
        let kept = Cache::builder()
            .max_capacity(memory)
            .weigher(|key: &Key, kept: &Kept| weight(key, kept))
            .eviction_listener(move |key: Arc<Key>, kept: Kept, cause| {
                gauges.cache_dropped(Tier::Memory, weight(&key, &kept).into());
                if cause == RemovalCause::Size {
                    gauges.cache_evicted(Tier::Memory);
                }
            })
            .build_with_hasher(RandomState::new());
        let room = usize::try_from((memory + memory / 4) / PERMIT).unwrap_or(usize::MAX);
        Self {
            kept,
            fills: Mutex::default(),
            room: Arc::new(Semaphore::new(room.clamp(1, Semaphore::MAX_PERMITS))),
            newcomers: Newcomers::new(),
            disk: limits.disk.as_ref().and_then(|disk| open(disk, &metrics)),
            limits,
            metrics,
        }
    }

    /// Without a checksum a wrong byte would be served again and again; what is marked `no-store` is nobody's to store.
    pub(super) fn takes(&self, metadata: &Metadata) -> bool {
        metadata.size <= self.limits.largest() && metadata.crc32c.is_some() && !metadata.forbids_storing()
    }

    /// Whether this is to be kept: while there is room, everything; then what the disk has, or was asked for lately.
    pub(super) fn welcomes(&self, key: &Key) -> bool {
        !self.is_full() || self.newcomers.is_known(key) || self.has_on_disk(key)
    }

    fn is_full(&self) -> bool {
        self.kept.weighted_size() >= self.limits.memory - self.limits.memory / 8
    }

    fn has_on_disk(&self, key: &Key) -> bool {
        self.disk.as_ref().is_some_and(|disk| key.name(Generation(0)).is_some_and(|name| disk.holds(&name)))
    }

    /// Room for so many bytes, or none: then they stream through.
    pub(super) fn room_for(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from((bytes + OVERHEAD as u64).div_ceil(PERMIT)).ok()?;
        let take = || Arc::clone(&self.room).try_acquire_many_owned(permits).ok();
        take().or_else(|| {
            // What was evicted gives its room back when the cache gets round to it.
            self.kept.run_pending_tasks();
            take()
        })
    }

    /// Whether some of it is kept anywhere.
    pub(super) fn holds(&self, place: Place<'_>) -> bool {
        self.kept.contains_key(&place)
            || self.kept.contains_key(&place.chunks())
            || (self.disk.is_some() && self.has_on_disk(&Key::from(place)))
    }

    /// What the disk has of it, if that is what it should be.
    pub(super) async fn recall(&self, key: &Key, metadata: &Metadata, length: u64) -> Option<Vec<u8>> {
        let disk = self.disk.as_ref()?;
        let name = key.name(metadata.generation)?;
        let bytes = disk.read(name, length).await;
        self.metrics.cache("disk", if bytes.is_some() { "hit" } else { "miss" });
        bytes
    }

    /// Keeps what came from GCS, on the disk as well.
    pub(super) fn keep(&self, key: Key, kept: Kept) {
        if let (Some(disk), Some(name)) = (&self.disk, key.name(kept.metadata.generation)) {
            disk.write(name, kept.bytes.clone());
        }
        self.keep_here(key, kept);
    }

    /// Keeps in memory alone.
    pub(super) fn keep_here(&self, key: Key, kept: Kept) {
        self.metrics.cache_kept(Tier::Memory, weight(&key, &kept).into());
        self.kept.insert(key, kept);
        // Whatever must go for it goes now, not with some later request.
        self.kept.run_pending_tasks();
    }

    /// Notes that there are chunks, for when nothing is known of the object any more.
    pub(super) fn note_chunks(&self, key: &Key, metadata: &Arc<Metadata>) {
        let chunks = Key::from(key.place().chunks());
        if !self.kept.contains_key(&chunks) {
            self.keep_here(chunks, Kept { metadata: Arc::clone(metadata), bytes: Bytes::new() });
        }
    }

    /// Takes a fill off the list, unless another one has its place by now.
    pub(super) fn leave(&self, key: &Key, filling: &Arc<Filling>) {
        let mut fills = self.fills.lock().unwrap_or_else(PoisonError::into_inner);
        if fills.get(key).is_some_and(|present| Arc::ptr_eq(present, filling)) {
            fills.remove(key);
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        for (key, kept) in &self.kept {
            self.metrics.cache_dropped(Tier::Memory, weight(&key, &kept).into());
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("entries", &self.kept.entry_count()).finish_non_exhaustive()
    }
}

impl Housed {
    /// The pieces in one.
    pub(super) fn join(pieces: &[Bytes], room: OwnedSemaphorePermit) -> Bytes {
        let mut bytes = Vec::with_capacity(pieces.iter().map(Bytes::len).sum());
        for piece in pieces {
            bytes.extend_from_slice(piece);
        }
        Self::whole(bytes, room)
    }

    pub(super) fn whole(bytes: Vec<u8>, room: OwnedSemaphorePermit) -> Bytes {
        Bytes::from_owner(Self { bytes, _room: room })
    }
}

impl AsRef<[u8]> for Housed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn weight(key: &Key, kept: &Kept) -> u32 {
    u32::try_from(OVERHEAD + key.len() + kept.bytes.len()).unwrap_or(u32::MAX)
}

/// Opens the folder; without it the gateway serves as well.
fn open(disk: &DiskConfig, metrics: &Metrics) -> Option<Disk> {
    match Disk::open(&disk.path, disk.size.as_u64(), metrics.clone()) {
        Ok(disk) => Some(disk),
        Err(error) => {
            tracing::warn!(%error, "the disk cache has no thread; serving goes on without it");
            None
        }
    }
}
