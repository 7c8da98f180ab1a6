//! The task that fills: one read of GCS for all who wait.
//!
//! Decides whether what GCS sends is kept or only passed on. Lives on when the client that began it goes away, and ends
//! when the last reader does, unless one took all that was asked for. A fill that breaks, or whose checksum is wrong,
//! leaves nothing behind.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use http_body::Body;
use tokio::sync::OwnedSemaphorePermit;

use super::Kept;
use super::filling::Filling;
use super::key::Key;
use super::store::{Housed, Store};
use crate::cache::{Known, MetadataCache};
use crate::gcs::{Client, Credential, Error, Form, Read, ReadBody, ReadRequest};
use crate::object::Metadata;

/// What is to be read, and with what.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Reads.
    pub client: Client,
    /// Whose right it is.
    pub credential: Credential,
    /// The live object, whole.
    pub request: ReadRequest,
    /// Learns what GCS says about it.
    pub metadata: MetadataCache,
    /// The connection's name.
    pub label: Arc<str>,
}

/// One fill.
pub(super) struct Fill {
    pub(super) store: Arc<Store>,
    pub(super) key: Key,
    pub(super) filling: Arc<Filling>,
    /// What is current, if that is known.
    pub(super) known: Option<Arc<Metadata>>,
    pub(super) wanted: Wanted,
}

impl Fill {
    /// Reads until all is there, something breaks, or nobody wants it any more.
    pub(super) async fn run(self) {
        match self.unless_abandoned(self.recalled()).await {
            None | Some(Some(())) => return,
            Some(None) => {}
        }
        let reading = self.wanted.client.read(&self.wanted.credential, self.wanted.request.clone());
        let Some(outcome) = self.unless_abandoned(reading).await else { return };
        let known = match &outcome {
            Ok(read) => Some(Known::Present(Arc::clone(&read.metadata))),
            Err(Error::NotFound { .. }) => Some(Known::Missing),
            Err(_) => None,
        };
        if let Some(known) = known {
            let Wanted { metadata, label, request, .. } = &self.wanted;
            metadata.insert(label, &request.object, known, Instant::now());
        }
        match outcome {
            Ok(read) => self.take(read).await,
            Err(error) => self.filling.fail(error),
        }
    }

    /// Takes it from the disk, where the object's own checksum must hold as well.
    async fn recalled(&self) -> Option<()> {
        let metadata = self.known.as_ref().filter(|known| self.store.takes(known))?;
        let bytes = self.store.recall(&self.key, metadata, metadata.size).await?;
        if metadata.crc32c != Some(crc32c::crc32c(&bytes).into()) {
            return None;
        }
        let bytes = Housed::whole(bytes, self.store.room_for(metadata.size)?);
        self.filling.opened(Arc::clone(metadata));
        let kept = Kept { metadata: Arc::clone(metadata), bytes: bytes.clone() };
        self.store.keep_here(self.key.clone(), kept);
        self.filling.whole(Arc::clone(metadata), bytes);
        Some(())
    }

    async fn take(&self, read: Read) {
        let metadata = Arc::clone(&read.metadata);
        let whole = read.part.is_none() && read.form == Form::Stored;
        let room = (whole && self.store.takes(&metadata)).then(|| self.store.room_for(metadata.size)).flatten();
        match room {
            Some(room) => {
                self.filling.opened(Arc::clone(&metadata));
                if let Err(error) = self.pump(metadata, read.body, room).await {
                    self.filling.fail(error);
                }
            }
            None => self.filling.pass(read),
        }
    }

    async fn pump(
        &self,
        metadata: Arc<Metadata>,
        mut body: Box<ReadBody>,
        room: OwnedSemaphorePermit,
    ) -> Result<(), Error> {
        loop {
            let next = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
            match self.unless_abandoned(next).await {
                None => return Ok(()),
                Some(Some(Ok(frame))) => {
                    if let Ok(piece) = frame.into_data()
                        && !piece.is_empty()
                    {
                        self.filling.push(piece);
                    }
                }
                Some(Some(Err(error))) => return Err(error),
                Some(None) => break,
            }
        }
        let bytes = Housed::join(&self.filling.pieces(), room);
        let (received, expected) = (bytes.len() as u64, metadata.size);
        if received != expected {
            return Err(Error::EndedEarly { received, expected });
        }
        // Kept first: whoever finds no fill on the list must find this.
        self.store.keep(self.key.clone(), Kept { metadata: Arc::clone(&metadata), bytes: bytes.clone() });
        self.filling.whole(metadata, bytes);
        Ok(())
    }

    /// `None` once nobody wants it any more.
    async fn unless_abandoned<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        poll_fn(|cx| match self.filling.poll_abandoned(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => work.as_mut().poll(cx).map(Some),
        })
        .await
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        // Also where the task itself was dropped: nobody shall wait for ever.
        self.filling.fail(Error::Broken("the fill ended early".into()));
        self.store.leave(&self.key, &self.filling);
    }
}
