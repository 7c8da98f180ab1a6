//! Which connections the endpoint serves, and which of them an object belongs to.
//!
//! Pure. What belongs to none of them does not exist here; of several, the longest prefix counts. Writing takes a
//! connection that was named for it.

use std::sync::Arc;

use crate::gateway::access::Access;
use crate::gateway::connection::Connection;
use crate::gateway::decide::Delivery;
use crate::object::{BucketName, ObjectName};

/// A connection of the endpoint.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// As browsers come to it, with signed URLs.
    pub(super) browsers: Arc<Connection>,
    /// As Label Studio's client comes to it: through the gateway alone, and from where the API may be used.
    pub(super) api: Arc<Connection>,
    /// Whether it may be written to.
    pub(super) writable: bool,
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Places(Vec<Place>);

impl Place {
    /// A connection; `access` replaces its own for the API.
    pub(super) fn new(connection: &Arc<Connection>, access: Option<&Access>, writable: bool) -> Self {
        let mut api = Connection::clone(connection);
        // Label Studio shall not be sent to the bucket, for which it has no credential.
        api.config.delivery = Delivery::Proxy;
        if let Some(access) = access {
            api.access = access.clone();
        }
        Self { browsers: Arc::clone(connection), api: Arc::new(api), writable }
    }

    fn prefix(&self) -> &str {
        self.api.config.uri.path.as_str()
    }

    /// Whether it serves an object of this name.
    fn contains(&self, name: &ObjectName) -> bool {
        self.api.contains(name)
    }

    /// Whether objects that it serves may begin with `folded`, a name that ends in a slash.
    fn reaches(&self, folded: &str) -> bool {
        self.prefix().starts_with(folded) || (self.api.config.recursive && folded.starts_with(self.prefix()))
    }
}

impl Places {
    pub(super) fn new(places: Vec<Place>) -> Self {
        Self(places)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Place> {
        self.0.iter()
    }

    /// Those of a bucket.
    pub(super) fn of(&self, bucket: &BucketName) -> Vec<&Place> {
        self.0.iter().filter(|place| place.api.config.uri.bucket == *bucket).collect()
    }

    /// The one that an object belongs to, among those that are asked for.
    pub(super) fn covering(
        &self,
        (bucket, object): (&BucketName, &ObjectName),
        wanted: impl Fn(&Place) -> bool,
    ) -> Option<&Place> {
        let fitting = self.0.iter().filter(|place| wanted(place) && place.api.leads_to(bucket, object));
        fitting.max_by_key(|place| place.api.precedence())
    }

    /// Whether an object of this name is served.
    pub(super) fn shows(&self, bucket: &BucketName, name: &str) -> bool {
        let Ok(object) = ObjectName::new(name) else { return false };
        self.of(bucket).iter().any(|place| place.contains(&object))
    }

    /// Whether there may be anything to see under a folded name.
    pub(super) fn shows_folded(&self, bucket: &BucketName, folded: &str) -> bool {
        self.of(bucket).iter().any(|place| place.reaches(folded))
    }

    /// What a listing of everything that begins with `wanted` consists of, in the order of names.
    pub(super) fn pieces(&self, bucket: &BucketName, wanted: &str, fold: Fold) -> Vec<Piece<'_>> {
        let narrowed = |place: &'_ Place| match (place.prefix(), wanted) {
            (own, wanted) if wanted.starts_with(own) => Some(wanted.to_owned()),
            (own, wanted) => own.starts_with(wanted).then(|| own.to_owned()),
        };
        let mut pieces: Vec<(String, &Place)> =
            self.of(bucket).into_iter().filter_map(|place| Some((narrowed(place)?, place))).collect();
        pieces.sort_by(|(a, one), (b, other)| a.cmp(b).then(other.prefix().len().cmp(&one.prefix().len())));
        let mut found: Vec<Piece<'_>> = Vec::new();
        for (prefix, place) in pieces {
            let folded = match fold {
                Fold::Slash => prefix.get(wanted.len()..).and_then(|rest| rest.find('/')),
                Fold::None => None,
            };
            let piece = match folded {
                Some(at) => Piece::Folded(prefix.get(..=wanted.len() + at).unwrap_or_default().to_owned()),
                None => Piece::Listed { prefix, place },
            };
            if !found.iter().any(|before| before.includes(&piece)) {
                found.push(piece);
            }
        }
        found
    }
}

/// Whether a listing folds what lies deeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    /// Every name.
    None,
    /// At the next slash.
    Slash,
}

/// A part of a listing.
#[derive(Clone, Debug)]
pub(super) enum Piece<'a> {
    /// A folded name above a connection.
    Folded(String),
    /// What the bucket has under a prefix that lies within a connection.
    Listed {
        /// The prefix.
        prefix: String,
        /// The connection.
        place: &'a Place,
    },
}

impl Piece<'_> {
    /// Whether all of another piece is in this one.
    fn includes(&self, other: &Piece<'_>) -> bool {
        match (self, other) {
            (Self::Folded(one), Piece::Folded(other)) => one == other,
            (Self::Listed { prefix, .. }, Piece::Listed { prefix: other, .. }) => other.starts_with(prefix),
            (Self::Listed { prefix, .. }, Piece::Folded(folded)) => folded.starts_with(prefix),
            (Self::Folded(_), Piece::Listed { .. }) => false,
        }
    }
}
