//! Where the bytes of one answer come from: memory, a fill that several share, or a read of its own.
//!
//! Decides what is worth keeping for others, and that whatever comes is the version that was asked for.
//! Touched only by a delivery, which takes proof that the client was admitted.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderValue;

use super::body::Body;
use super::connection::Connection;
use super::exchange::Exchange;
use super::fetch::{AcceptedEncoding, Encoding, Fetch};
use super::headers::Representation;
use super::reject::Rejection;
use super::subject::Subject;
use crate::cache::objects::{Found, Opened, Place, Reader, Role, Stretch, Wanted};
use crate::cache::{Known, MetadataCache, Objects};
use crate::gcs::{self, Client, Form, Read, ReadBody, ReadRequest, StatRequest};
use crate::object::{ByteRange, ContentRange, Generation, Metadata, Metageneration, ObjectName, Span};

/// A part is read on its own if it is of an object larger than this; of smaller ones all is read and kept.
const WORTH_WHOLE: u64 = 1024 * 1024;

/// What one delivery works with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) client: &'a Client,
    pub(super) cache: &'a MetadataCache,
    pub(super) objects: &'a Objects,
    pub(super) connection: &'a Connection,
    pub(super) object: &'a ObjectName,
    /// Whom GCS is told of; of a read that several share, whoever came first.
    pub(super) subject: Option<&'a Subject>,
}

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) range: Option<ByteRange>,
    /// The version that the plan was made for, where no other will do.
    pub(super) pinned: Option<(Generation, Metageneration)>,
}

/// Bytes, with what is to be said about them.
#[derive(Debug)]
pub(super) struct Supply {
    pub(super) metadata: Arc<Metadata>,
    /// Which part the bytes are; `None`: the whole.
    pub(super) part: Option<ContentRange>,
    pub(super) form: Form,
    pub(super) bytes: Content,
}

/// Bytes.
#[derive(Debug)]
pub(super) enum Content {
    Kept(Bytes),
    Filling(Reader),
    Stretch(Box<Stretch>),
    Read(Box<ReadBody>),
}

impl Content {
    /// The bytes as they are.
    pub(super) fn into_body(self) -> Body {
        match self {
            Self::Kept(bytes) => Body::kept(bytes),
            Self::Filling(reader) => Body::filling(reader),
            Self::Stretch(stretch) => Body::stretch(stretch),
            Self::Read(body) => Body::object(body),
        }
    }

    /// The bytes decompressed, if they are gzip.
    pub(super) async fn into_decompressed(self) -> Result<Body, gcs::Error> {
        match self {
            Self::Kept(bytes) => Body::decompressed(http_body_util::Full::new(bytes)).await,
            Self::Filling(reader) => Body::decompressed(reader).await,
            Self::Stretch(stretch) => Body::decompressed(stretch).await,
            Self::Read(body) => Body::decompressed(body).await,
        }
    }
}

impl From<Read> for Supply {
    fn from(read: Read) -> Self {
        let Read { metadata, part, form, body } = read;
        Self { metadata, part, form, bytes: Content::Read(body) }
    }
}

impl Plan {
    /// Whether all of the object is selected, however large it is: players begin with `bytes=0-`.
    fn is_whole(self) -> bool {
        matches!(self.range, None | Some(ByteRange::From { first: 0 }))
    }

    /// Whether this is the version that the plan was made for.
    fn fits(self, metadata: &Metadata) -> Result<(), gcs::Error> {
        match self.pinned {
            Some(planned) if planned != (metadata.generation, metadata.metageneration) => Err(gcs::Error::Changed),
            _ => Ok(()),
        }
    }

    /// The bytes that it selects, and the part that they are, if any.
    fn select(self, metadata: &Metadata) -> Result<(Option<Span>, Option<ContentRange>), gcs::Error> {
        let size = metadata.size;
        match self.range {
            None => Ok((ByteRange::From { first: 0 }.resolve(size), None)),
            Some(range) => {
                let span = range.resolve(size).ok_or(gcs::Error::RangeNotSatisfiable { size: Some(size) })?;
                Ok((Some(span), Some(ContentRange { span, total: size })))
            }
        }
    }
}

impl<'a> Source<'a> {
    pub(super) fn representation<'b>(self, fetch: &Fetch, metadata: &'b Metadata) -> Representation<'b>
    where
        'a: 'b,
    {
        let stored = metadata.is_gzip_stored() && fetch.encoding == AcceptedEncoding::Gzip;
        let encoding = if stored { Encoding::Gzip } else { Encoding::Identity };
        Representation { object: self.object, metadata, encoding }
    }

    /// What the bytes are kept under.
    pub(super) fn place(self) -> Place<'a> {
        Place::new(self.connection.scope, self.object)
    }

    pub(super) async fn stat(self) -> Result<Arc<Metadata>, Rejection> {
        let request = StatRequest {
            bucket: self.connection.config.uri.bucket.clone(),
            object: self.object.clone(),
            project: self.connection.project().cloned(),
        };
        let outcome = self.client.stat(&self.connection.credential, request).await.map(Arc::new);
        self.remember(outcome.as_ref());
        Ok(outcome?)
    }

    /// The planned bytes, from wherever they are nearest.
    pub(super) async fn supply(
        self,
        fetch: &Fetch,
        plan: Plan,
        known: Option<&Arc<Metadata>>,
        exchange: &mut Exchange,
    ) -> Result<Supply, Rejection> {
        if let Some(kept) = known.and_then(|known| self.objects.kept(self.place(), known.generation)) {
            exchange.supplied("hit");
            // What is known of it may be newer than what is kept of it: the same bytes under another type, say.
            let metadata = known.map_or(kept.metadata, Arc::clone);
            return self.part_of(fetch, plan, metadata, |span| Content::Kept(slice(&kept.bytes, span)));
        }
        if self.is_for_all(plan, known)
            && let Some(supply) = self.shared(fetch, plan, known, exchange).await?
        {
            return Ok(supply);
        }
        if let Some(known) = known
            && let Some(supply) = self.stretched(plan, known, exchange).await?
        {
            return Ok(supply);
        }
        if self.objects.are_kept() {
            exchange.supplied("miss");
        }
        self.open(plan).await.map(Supply::from)
    }

    /// Whether the whole object is to be read, for whoever asks.
    fn is_for_all(self, plan: Plan, known: Option<&Arc<Metadata>>) -> bool {
        match (known, plan.range) {
            (None, _) => plan.is_whole(),
            (Some(known), None) => self.objects.takes(known),
            (Some(known), Some(range)) => {
                let whole = range.resolve(known.size).is_some_and(|span| span.len() == known.size);
                self.objects.takes(known) && (whole || known.size <= WORTH_WHOLE)
            }
        }
    }

    /// The planned bytes out of a fill; `None` if the object turns out to be none that is kept.
    async fn shared(
        self,
        fetch: &Fetch,
        plan: Plan,
        known: Option<&Arc<Metadata>>,
        exchange: &mut Exchange,
    ) -> Result<Option<Supply>, Rejection> {
        let found = self.objects.fetch(self.place(), known, || self.wanted());
        let mut reader = match found {
            None => return Ok(None),
            Some(Found::Kept(kept)) => {
                exchange.supplied("hit");
                plan.fits(&kept.metadata)?;
                let bytes = kept.bytes;
                return self.part_of(fetch, plan, kept.metadata, |span| Content::Kept(slice(&bytes, span))).map(Some);
            }
            Some(Found::Filling(reader, role)) => {
                exchange.supplied(if role == Role::First { "fill" } else { "joined" });
                reader
            }
        };
        match reader.opened().await? {
            Opened::Flowing(metadata) => {
                plan.fits(&metadata)?;
                self.part_of(fetch, plan, metadata, |span| Content::Filling(reader.narrow(span))).map(Some)
            }
            Opened::Taken(read) if plan.is_whole() => {
                plan.fits(&read.metadata)?;
                self.whole(fetch, plan, *read).map(Some)
            }
            Opened::Taken(_) | Opened::Alone => Ok(None),
        }
    }

    /// All of an object, named as the part that was asked for.
    fn whole(self, fetch: &Fetch, plan: Plan, read: Read) -> Result<Supply, Rejection> {
        let mut supply = Supply::from(read);
        if supply.form == Form::Stored && !self.representation(fetch, &supply.metadata).is_decompressed() {
            supply.part = plan.select(&supply.metadata)?.1;
        }
        Ok(supply)
    }

    /// A part of an object that is known and not kept whole. The whole of it, also as a part, is read at once instead,
    /// so that its checksum is compared.
    async fn stretched(
        self,
        plan: Plan,
        known: &Arc<Metadata>,
        exchange: &mut Exchange,
    ) -> Result<Option<Supply>, Rejection> {
        let span = plan.range.and_then(|range| range.resolve(known.size)).filter(|span| span.len() < known.size);
        let Some(span) = span else { return Ok(None) };
        let metadata = Arc::clone(known);
        let Some(mut stretch) = self.objects.stretch(self.place(), &metadata, span, || self.wanted()) else {
            return Ok(None);
        };
        exchange.supplied(stretch.result());
        stretch.opened().await?;
        let part = Some(ContentRange { span, total: known.size });
        Ok(Some(Supply { metadata, part, form: Form::Stored, bytes: Content::Stretch(Box::new(stretch)) }))
    }

    /// What a fill reads, and with what.
    fn wanted(self) -> Wanted {
        Wanted {
            client: self.client.clone(),
            credential: self.connection.credential.clone(),
            request: self.request(Plan { range: None, pinned: None }),
            metadata: self.cache.clone(),
            label: Arc::clone(&self.connection.label),
        }
    }

    /// The planned part of an object of which all is there, or will be.
    fn part_of(
        self,
        fetch: &Fetch,
        plan: Plan,
        metadata: Arc<Metadata>,
        content: impl FnOnce(Option<Span>) -> Content,
    ) -> Result<Supply, Rejection> {
        // A range of what is decompressed on the way means nothing.
        let range = plan.range.filter(|_| !self.representation(fetch, &metadata).is_decompressed());
        let (span, part) = Plan { range, ..plan }.select(&metadata)?;
        Ok(Supply { metadata, part, form: Form::Stored, bytes: content(span) })
    }

    /// Opens the object, which must still be the version that the plan was made for.
    pub(super) async fn open(self, plan: Plan) -> Result<Read, Rejection> {
        let outcome = self.client.read(&self.connection.credential, self.request(plan)).await;
        self.remember(outcome.as_ref().map(|read| &read.metadata));
        let read = outcome?;
        plan.fits(&read.metadata)?;
        Ok(read)
    }

    fn request(self, plan: Plan) -> ReadRequest {
        ReadRequest {
            bucket: self.connection.config.uri.bucket.clone(),
            object: self.object.clone(),
            range: plan.range,
            generation: plan.pinned.map(|(generation, _)| generation),
            project: self.connection.project().cloned(),
            subject: self.subject.and_then(|subject| HeaderValue::from_str(subject.as_str()).ok()),
        }
    }

    fn remember(self, outcome: Result<&Arc<Metadata>, &gcs::Error>) {
        let known = match outcome {
            Ok(metadata) => Known::Present(Arc::clone(metadata)),
            Err(gcs::Error::NotFound { .. }) => Known::Missing,
            Err(_) => return,
        };
        self.cache.insert(&self.connection.label, self.object, known, Instant::now());
    }
}

/// A part without copying it; none of an empty object.
fn slice(bytes: &Bytes, span: Option<Span>) -> Bytes {
    let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
    span.map_or_else(Bytes::new, |span| bytes.slice(at(span.first)..at(span.last.saturating_add(1))))
}
