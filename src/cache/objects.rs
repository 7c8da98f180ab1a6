//! Bytes of objects, kept in memory: what many ask for is read from GCS once.
//!
//! Decides what is kept, for how long by use, and who fills it: the first who asks, for all who ask meanwhile. Never
//! decides who may see an object, nor whether an entry is current: an entry counts only for the generation that its
//! asker knows to be the present one. Nothing is kept that its checksum did not vouch for.

mod chunk;
mod fill;
mod filling;
mod key;
mod newcomers;
mod run;
mod store;
mod stretch;

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use self::fill::Fill;
pub use self::fill::Wanted;
use self::filling::Filling;
pub use self::filling::{Opened, Reader};
use self::key::Key;
pub use self::key::{Place, Scope};
use self::run::{Pending, Run};
use self::store::{Limits, Store};
pub use self::stretch::Stretch;
use self::stretch::{Rest, Segment};
use super::Config;
use crate::metrics::Metrics;
use crate::object::{Generation, Metadata, Span};

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
        self.store.as_ref().is_some_and(|store| store.holds(place))
    }

    /// The object's bytes, if they are of this generation.
    pub fn kept(&self, place: Place<'_>, generation: Generation) -> Option<Kept> {
        let kept = self.store.as_ref()?.kept.get(&place)?;
        (kept.metadata.generation == generation).then_some(kept)
    }

    /// The object's bytes as they come, read from GCS unless somebody does so already. `None` if switched off, or if
    /// memory is full and nobody has asked for the object lately.
    ///
    /// Must be called inside a runtime: the fill is a task of its own, so that no client's leaving ends it for others.
    pub fn fetch(
        &self,
        place: Place<'_>,
        known: Option<&Arc<Metadata>>,
        wanted: impl FnOnce() -> Wanted,
    ) -> Option<Found> {
        let store = self.store.as_ref()?;
        let key = Key::from(place);
        let mut fills = store.fills.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = fills.get(&key).and_then(Filling::join) {
            return Some(Found::Filling(reader, Role::Joined));
        }
        // A fill that just ended is kept before it is taken off the list.
        let current = |kept: &Kept| known.is_none_or(|known| kept.metadata.generation == known.generation);
        if let Some(kept) = store.kept.get(&place).filter(current) {
            return Some(Found::Kept(kept));
        }
        if !store.welcomes(&key) {
            return None;
        }
        let (filling, reader) = Filling::begin();
        fills.insert(key.clone(), Arc::clone(&filling));
        drop(fills);
        tokio::spawn(Fill { store: Arc::clone(store), key, filling, known: known.cloned(), wanted: wanted() }.run());
        Some(Found::Filling(reader, Role::First))
    }

    /// A part of an object that is not kept whole: out of chunks, which are read from GCS where they are missing.
    /// What memory has no room for, or what is new while it is full, is read as far as it is wanted and not kept. `None`
    /// if that is all of it, or if switched off. Must be called inside a runtime, as [`Self::fetch`].
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
                let room = store.welcomes(&key).then(|| store.room_for(chunk.span.len())).flatten();
                let Some(room) = room else { break };
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
