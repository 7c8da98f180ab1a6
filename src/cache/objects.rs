//! Bytes of objects, kept in memory: what many ask for is read from GCS once.
//!
//! Decides what is kept, for how long by use, and who fills it: the first who asks, for all who ask meanwhile. Never
//! decides who may see an object, nor whether an entry is current: an entry counts only for the generation that its
//! asker knows to be the present one. Nothing is kept that its checksum did not vouch for.

mod chunk;
mod fill;
mod filling;
mod key;
mod run;
mod stretch;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use moka::notification::RemovalCause;
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::fill::Fill;
pub use self::fill::Wanted;
use self::filling::Filling;
pub use self::filling::{Opened, Reader};
use self::key::Key;
pub use self::key::{Place, Scope};
use self::run::{Pending, Run};
pub use self::stretch::Stretch;
use self::stretch::{Rest, Segment};
use super::Config;
use crate::metrics::{Metrics, Tier};
use crate::object::{Generation, Metadata, Span};

/// What an entry takes besides its bytes and its name: metadata and book-keeping.
const OVERHEAD: usize = 1024;
/// What permits count.
const PERMIT: u64 = 1024;

/// The cache of bytes; clones share it. Switched off, it holds nothing and takes nothing.
#[derive(Clone, Debug)]
pub struct Objects {
    store: Option<Arc<Store>>,
}

/// A whole object.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What GCS said about it with its bytes.
    pub metadata: Arc<Metadata>,
    /// All of it, as stored.
    pub bytes: Bytes,
}

/// What somebody who asks for an object gets.
#[derive(Debug)]
pub enum Found {
    /// All of it.
    Kept(Kept),
    /// A fill that was under way, with or without this request.
    Filling(Reader, Role),
}

/// Whose request a fill began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This request.
    First,
    /// Another one.
    Joined,
}

/// What is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    memory: u64,
    max_object: u64,
}

impl Limits {
    fn of(config: &Config) -> Self {
        Self { memory: config.memory.as_u64(), max_object: config.max_object.as_u64() }
    }

    /// The largest object that is kept whole.
    fn largest(self) -> u64 {
        self.max_object.min(self.memory / 2)
    }
}

struct Store {
    limits: Limits,
    kept: Cache<Key, Kept>,
    fills: Mutex<HashMap<Key, Arc<Filling>>>,
    /// Room for all bytes that live: kept, being filled, or evicted and still being sent.
    room: Arc<Semaphore>,
    metrics: Metrics,
}

/// Bytes that give their room back when the last who reads them is done.
struct Housed {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Objects {
    /// An empty cache of the configured size.
    pub fn new(config: &Config, metrics: Metrics) -> Self {
        let limits = Limits::of(config);
        Self { store: (limits.memory > 0).then(|| Arc::new(Store::new(limits, metrics))) }
    }

    /// A cache of the configured size: the one before, if its limits are the same.
    pub fn succeeding(before: Option<&Self>, config: &Config, metrics: &Metrics) -> Self {
        let limits = Limits::of(config);
        before
            .filter(|before| before.store.as_ref().is_some_and(|store| store.limits == limits))
            .cloned()
            .unwrap_or_else(|| Self::new(config, metrics.clone()))
    }

    /// Whether anything is kept at all.
    pub fn are_kept(&self) -> bool {
        self.store.is_some()
    }

    /// Whether an object of this kind may be kept whole.
    pub fn takes(&self, metadata: &Metadata) -> bool {
        self.store.as_ref().is_some_and(|store| store.takes(metadata))
    }

    /// Whether some generation of the object is kept, so that it is worth asking which one is current.
    pub fn holds(&self, place: Place<'_>) -> bool {
        let kept = |store: &Arc<Store>| store.kept.contains_key(&place) || store.kept.contains_key(&place.chunks());
        self.store.as_ref().is_some_and(kept)
    }

    /// The object's bytes, if they are of this generation.
    pub fn kept(&self, place: Place<'_>, generation: Generation) -> Option<Kept> {
        let kept = self.store.as_ref()?.kept.get(&place)?;
        (kept.metadata.generation == generation).then_some(kept)
    }

    /// The object's bytes as they come, read from GCS unless somebody does so already. `None` if switched off.
    ///
    /// Must be called inside a runtime: the fill is a task of its own, so that no client's leaving ends it for others.
    pub fn fetch(
        &self,
        place: Place<'_>,
        generation: Option<Generation>,
        wanted: impl FnOnce() -> Wanted,
    ) -> Option<Found> {
        let store = self.store.as_ref()?;
        let key = Key::from(place);
        let mut fills = store.fills.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = fills.get(&key).and_then(Filling::join) {
            return Some(Found::Filling(reader, Role::Joined));
        }
        // A fill that just ended is kept before it is taken off the list.
        let current = |kept: &Kept| generation.is_none_or(|generation| kept.metadata.generation == generation);
        if let Some(kept) = store.kept.get(&place).filter(current) {
            return Some(Found::Kept(kept));
        }
        let (filling, reader) = Filling::begin();
        fills.insert(key.clone(), Arc::clone(&filling));
        drop(fills);
        tokio::spawn(Fill::new(Arc::clone(store), key, filling, wanted()).run());
        Some(Found::Filling(reader, Role::First))
    }

    /// A part of an object that is not kept whole: out of chunks, which are read from GCS where they are missing.
    /// `None` if switched off, or if there is no room. Must be called inside a runtime, as [`Self::fetch`].
    pub fn stretch(
        &self,
        place: Place<'_>,
        metadata: &Arc<Metadata>,
        part: Span,
        wanted: impl Fn() -> Wanted,
    ) -> Option<Stretch> {
        let store = self.store.as_ref().filter(|_| !metadata.forbids_storing())?;
        let (mut segments, mut runs, mut next) = (VecDeque::new(), Vec::<VecDeque<Pending>>::new(), part.first);
        let mut fills = store.fills.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in chunk::window(part, metadata.size) {
            let key = Key::from(place.chunk(metadata.generation, chunk.index));
            let present = fills.get(&key).and_then(Filling::join);
            let segment = if let Some(reader) = present {
                Segment::Filling(reader.narrow(Some(chunk.wanted)), Role::Joined)
            } else if let Some(kept) = store.kept.get(&key) {
                Segment::Kept(cut(&kept.bytes, chunk.wanted))
            } else {
                let Some(room) = store.room_for(chunk.span.len()) else { break };
                let (filling, reader) = Filling::begin();
                fills.insert(key.clone(), Arc::clone(&filling));
                let pending = Pending { key, filling, span: chunk.span, room };
                match runs.last_mut() {
                    Some(run) if run.back().is_some_and(|last| last.span.last + 1 == chunk.span.first) => {
                        run.push_back(pending);
                    }
                    _ => runs.push(VecDeque::from([pending])),
                }
                Segment::Filling(reader.narrow(Some(chunk.wanted)), Role::First)
            };
            segments.push_back(segment);
            next = chunk.span.first + chunk.wanted.last + 1;
        }
        drop(fills);
        for chunks in runs {
            let run = Run { store: Arc::clone(store), chunks, wanted: wanted(), metadata: Arc::clone(metadata) };
            tokio::spawn(run.run());
        }
        if segments.is_empty() {
            return None;
        }
        let rest = if next > part.last {
            Rest::Nothing
        } else {
            Rest::Later(Box::new(wanted()), Span { first: next, last: part.last }, metadata.generation)
        };
        Some(Stretch { segments, rest, left: part.len() })
    }
}

/// A part without copying it.
fn cut(bytes: &Bytes, span: Span) -> Bytes {
    let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(at(span.first)..at(span.last.saturating_add(1)))
}

impl Store {
    fn new(limits: Limits, metrics: Metrics) -> Self {
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
            .build();
        let room = usize::try_from((memory + memory / 4) / PERMIT).unwrap_or(usize::MAX);
        Self {
            kept,
            fills: Mutex::default(),
            room: Arc::new(Semaphore::new(room.clamp(1, Semaphore::MAX_PERMITS))),
            limits,
            metrics,
        }
    }

    /// Without a checksum a wrong byte would be served again and again; what is marked `no-store` is nobody's to store.
    fn takes(&self, metadata: &Metadata) -> bool {
        metadata.size <= self.limits.largest() && metadata.crc32c.is_some() && !metadata.forbids_storing()
    }

    /// Room for so many bytes, or none: then they stream through.
    fn room_for(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from((bytes + OVERHEAD as u64).div_ceil(PERMIT)).ok()?;
        let take = || Arc::clone(&self.room).try_acquire_many_owned(permits).ok();
        take().or_else(|| {
            // What was evicted gives its room back when the cache gets round to it.
            self.kept.run_pending_tasks();
            take()
        })
    }

    fn keep(&self, key: Key, kept: Kept) {
        self.metrics.cache_kept(Tier::Memory, weight(&key, &kept).into());
        self.kept.insert(key, kept);
        // Whatever must go for it goes now, not with some later request.
        self.kept.run_pending_tasks();
    }

    /// Keeps a chunk, and that there is one.
    fn keep_chunk(&self, key: Key, kept: Kept) {
        let chunks = Key::from(key.place().chunks());
        if !self.kept.contains_key(&chunks) {
            self.keep(chunks, Kept { metadata: Arc::clone(&kept.metadata), bytes: Bytes::new() });
        }
        self.keep(key, kept);
    }

    /// Takes a fill off the list, unless another one has its place by now.
    fn leave(&self, key: &Key, filling: &Arc<Filling>) {
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
    fn join(pieces: &[Bytes], room: OwnedSemaphorePermit) -> Bytes {
        let mut bytes = Vec::with_capacity(pieces.iter().map(Bytes::len).sum());
        for piece in pieces {
            bytes.extend_from_slice(piece);
        }
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
