//! The task that fills chunks: one read of GCS for as many as follow on each other.
//!
//! Every chunk is a fill of its own, so that others may wait for it. The read is pinned to the generation; what comes is
//! held against the answer's Content-Range, total and generation. Chunks have no checksum of their own: GCS has one of
//! the whole only, and TLS towards GCS is what protects a part.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::Body;
use tokio::sync::OwnedSemaphorePermit;

use super::filling::Filling;
use super::key::Key;
use super::store::{Housed, Store};
use super::{Kept, Wanted};
use crate::gcs::{Error, Form, Read};
use crate::object::{Metadata, Span};

/// One chunk that is being filled.
pub(super) struct Pending {
    pub(super) key: Key,
    pub(super) filling: Arc<Filling>,
    pub(super) span: Span,
    pub(super) room: OwnedSemaphorePermit,
}

/// Chunks that follow on each other.
pub(super) struct Run {
    pub(super) store: Arc<Store>,
    pub(super) chunks: VecDeque<Pending>,
    pub(super) wanted: Wanted,
    pub(super) metadata: Arc<Metadata>,
}

impl Run {
    /// Reads until all is there, something breaks, or nobody wants it any more.
    pub(super) async fn run(mut self) {
        self.recall().await;
        let (Some(first), Some(last)) = (self.chunks.front(), self.chunks.back()) else { return };
        let span = Span { first: first.span.first, last: last.span.last };
        let mut request = self.wanted.request.clone();
        request.range = Some(span.into());
        request.generation = Some(self.metadata.generation);
        let (client, credential) = (self.wanted.client.clone(), self.wanted.credential.clone());
        let Some(read) = self.unless_abandoned(client.read(&credential, request)).await else { return };
        let outcome = match read {
            Ok(read) => self.pump(read, span).await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            self.fail(error);
        }
    }

    /// Takes from the disk what is there of the first chunks.
    async fn recall(&mut self) {
        while let Some(chunk) = self.chunks.front() {
            let (key, filling) = (chunk.key.clone(), Arc::clone(&chunk.filling));
            let recalled = self.store.recall(&key, &self.metadata, chunk.span.len()).await;
            let Some((bytes, chunk)) = recalled.and_then(|bytes| Some((bytes, self.chunks.pop_front()?))) else {
                return;
            };
            filling.opened(Arc::clone(&self.metadata));
            let bytes = Housed::whole(bytes, chunk.room);
            let kept = Kept { metadata: Arc::clone(&self.metadata), bytes: bytes.clone() };
            self.store.note_chunks(&key, &self.metadata);
            self.store.keep_here(key.clone(), kept);
            filling.whole(Arc::clone(&self.metadata), bytes);
            self.store.leave(&key, &filling);
        }
    }

    async fn pump(&mut self, read: Read, span: Span) -> Result<(), Error> {
        let fits = read.metadata.generation == self.metadata.generation
            && read.form == Form::Stored
            && read.part.is_some_and(|part| part.span == span && part.total == self.metadata.size);
        if !fits {
            return Err(Error::Changed);
        }
        for chunk in &self.chunks {
            chunk.filling.opened(Arc::clone(&self.metadata));
        }
        let mut body = read.body;
        let mut left = self.chunks.front().map_or(0, |chunk| chunk.span.len());
        loop {
            let next = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
            let mut piece = match self.unless_abandoned(next).await {
                None | Some(None) => return Ok(()),
                Some(Some(frame)) => frame?.into_data().unwrap_or_default(),
            };
            while !piece.is_empty() {
                let Some(chunk) = self.chunks.front() else { return Ok(()) };
                let taken = piece.split_to(usize::try_from(left).unwrap_or(usize::MAX).min(piece.len()));
                left -= taken.len() as u64;
                chunk.filling.push(taken);
                if left == 0 {
                    self.complete();
                    left = self.chunks.front().map_or(0, |chunk| chunk.span.len());
                }
            }
        }
    }

    /// Keeps the first chunk, which is whole.
    fn complete(&mut self) {
        let Some(Pending { key, filling, span, room }) = self.chunks.pop_front() else { return };
        let bytes = Housed::join(&filling.pieces(), room);
        // What would be found at the wrong place is found nowhere.
        if bytes.len() as u64 != span.len() {
            filling.fail(Error::Broken("a chunk has not its length".into()));
            self.store.leave(&key, &filling);
            return;
        }
        self.store.note_chunks(&key, &self.metadata);
        self.store.keep(key.clone(), Kept { metadata: Arc::clone(&self.metadata), bytes: bytes.clone() });
        filling.whole(Arc::clone(&self.metadata), bytes);
        self.store.leave(&key, &filling);
    }

    /// `None` once nobody wants any of the chunks any more.
    async fn unless_abandoned<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        poll_fn(|cx| {
            // All are asked, so that each remembers whom to wake; a chunk that nobody wants is read for those behind it.
            let wanted = self.chunks.iter().filter(|chunk| chunk.filling.poll_unwanted(cx).is_pending()).count();
            if wanted == 0 && abandon(self.chunks.iter().map(|chunk| &*chunk.filling), cx) {
                return Poll::Ready(None);
            }
            work.as_mut().poll(cx).map(Some)
        })
        .await
    }

    fn fail(&mut self, error: Error) {
        let error = Arc::new(error);
        for chunk in self.chunks.drain(..) {
            chunk.filling.fail(Error::shared(&error));
            self.store.leave(&chunk.key, &chunk.filling);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.fail(Error::Broken("the fill ended early".into()));
    }
}

/// Whether all are given up. What has come is the first one's, which is given up last: somebody may want another one
/// meanwhile, and then the read goes on where it was.
fn abandon<'a>(fillings: impl DoubleEndedIterator<Item = &'a Filling>, cx: &mut Context<'_>) -> bool {
    fillings.rev().all(|filling| filling.poll_abandoned(cx).is_ready())
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_has_come_of_a_chunk_stays_while_one_behind_it_is_wanted() {
        let ((first, reader), (second, later)) = (Filling::begin(), Filling::begin());
        let cx = &mut Context::from_waker(Waker::noop());
        first.push(Bytes::from_static(b"its beginning"));
        drop(reader);
        assert!(!abandon([&*first, &second].into_iter(), cx));
        assert_eq!(first.pieces(), ["its beginning"]);
        drop(later);
        assert!(abandon([&*first, &second].into_iter(), cx));
        assert!(first.pieces().is_empty() && first.join().is_none() && second.join().is_none());
    }
}
