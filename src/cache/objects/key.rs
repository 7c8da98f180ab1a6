//! What bytes are kept under: whose they are, and which part.
//!
//! Decides that nothing is ever shared between two connections, or between two buckets or endpoints that one connection
//! had before and after a change of the configuration. Bytes are kept as they are stored, so that one entry serves those
//! who take gzip and those who do not.

use std::fmt;
use std::hash::{Hash, Hasher};

use aws_lc_rs::digest;
use moka::Equivalent;

use crate::cache::disk::Name;
use crate::gcs::Endpoint;
use crate::object::{BucketName, Generation, ObjectName};

/// A connection with the bucket and the endpoint that it stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope([u8; 16]);

impl Scope {
    /// The same names give the same scope, also in the next process.
    pub fn new(connection: &str, endpoint: &Endpoint, bucket: &BucketName) -> Self {
        // None of the three has a line end.
        let text = format!("{connection}\n{endpoint}\n{bucket}");
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        let mut scope = [0; 16];
        scope.copy_from_slice(&digest.as_ref()[..16]);
        Self(scope)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// Which object, and whose.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Whose.
    pub scope: Scope,
    /// Which.
    pub object: &'a ObjectName,
    part: Part,
}

/// What of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Whole,
    /// So many chunks into one generation.
    Chunk(Generation, u64),
    /// Nothing but the knowledge that there are chunks.
    Chunks,
}

impl<'a> Place<'a> {
    /// All of an object.
    pub fn new(scope: Scope, object: &'a ObjectName) -> Self {
        Self { scope, object, part: Part::Whole }
    }

    pub(super) fn chunk(self, generation: Generation, index: u64) -> Self {
        Self { part: Part::Chunk(generation, index), ..self }
    }

    pub(super) fn chunks(self) -> Self {
        Self { part: Part::Chunks, ..self }
    }
}

/// The same, to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    scope: Scope,
    object: ObjectName,
    part: Part,
}

impl From<Place<'_>> for Key {
    fn from(place: Place<'_>) -> Self {
        Self { scope: place.scope, object: place.object.clone(), part: place.part }
    }
}

impl Key {
    /// What it takes in memory.
    pub(super) fn len(&self) -> usize {
        size_of::<Self>() + self.object.as_str().len()
    }

    /// What it is called on the disk; the note that there are chunks is not written.
    pub(super) fn name(&self, generation: Generation) -> Option<Name> {
        let place = [&self.scope.0[..], self.object.as_str().as_bytes()];
        match self.part {
            Part::Whole => Some(Name::new(&place, generation, None)),
            Part::Chunk(_, index) => Some(Name::new(&place, generation, Some(index))),
            Part::Chunks => None,
        }
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place { scope: self.scope, object: &self.object, part: self.part }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.place().hash(state);
    }
}

impl Hash for Place<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.scope.hash(state);
        self.object.hash(state);
        self.part.hash(state);
    }
}

impl Equivalent<Key> for Place<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.scope == key.scope && *self.object == key.object && self.part == key.part
    }
}
