//! Buffers to read into, used again and again.
//!
//! A buffer is lent while bytes flow and comes back with the connection. Pieces of it may still be on their way to a
//! client then: it is lent again only when the last of them is gone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;

/// The first read of an answer: its head, and all of a picture of 100 KB in TLS records.
pub(super) const SMALL: usize = 112 * 1024;
/// Reads of a body that is still long.
pub(super) const LARGE: usize = 256 * 1024;
/// Below this a read would cost more than another buffer.
pub(super) const LEAST: usize = 16 * 1024;
/// Buffers kept for the next answers.
const KEPT: usize = 16;

/// Where buffers come back to.
#[derive(Clone, Debug, Default)]
pub(in crate::gcs) struct Buffers(Arc<Mutex<VecDeque<BytesMut>>>);

impl Buffers {
    /// Makes room in `buffer` for `wanted` bytes, or as many as a read may have.
    pub(super) fn make_room(&self, buffer: &mut BytesMut, wanted: usize) {
        let wanted = wanted.clamp(LEAST, LARGE);
        let room = buffer.capacity() - buffer.len();
        if room >= LEAST.min(wanted) || buffer.try_reclaim(wanted) {
            return;
        }
        let mut fresh = self.lend(wanted + buffer.len());
        fresh.extend_from_slice(buffer);
        self.keep(std::mem::replace(buffer, fresh));
    }

    fn lend(&self, wanted: usize) -> BytesMut {
        // The oldest is the likeliest to be free.
        let kept = self.kept().pop_front();
        kept.and_then(|mut kept| kept.try_reclaim(wanted).then_some(kept))
            .unwrap_or_else(|| BytesMut::with_capacity(wanted))
    }

    /// Takes a buffer back, whose bytes are of no interest any more.
    pub(super) fn keep(&self, mut buffer: BytesMut) {
        buffer.clear();
        let mut kept = self.kept();
        if buffer.capacity() > 0 && kept.len() < KEPT {
            kept.push_back(buffer);
        }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<BytesMut>> {
        // A queue of buffers is whole whatever panicked beside it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_lent_again_when_its_last_piece_is_gone() {
        let buffers = Buffers::default();
        let mut buffer = BytesMut::new();
        buffers.make_room(&mut buffer, SMALL);
        assert!(buffer.capacity() >= SMALL);
        buffer.extend_from_slice(b"piece");
        let piece = buffer.split().freeze();
        let place = piece.as_ptr();
        buffers.keep(buffer);
        let mut busy = BytesMut::new();
        buffers.make_room(&mut busy, SMALL);
        busy.extend_from_slice(b"other");
        assert_ne!(busy.as_ptr(), place, "the piece is still read");
        assert_eq!(piece, "piece");
        let last = busy.split().freeze();
        let place = last.as_ptr();
        buffers.keep(busy);
        drop(last);
        let mut again = BytesMut::new();
        buffers.make_room(&mut again, SMALL);
        again.extend_from_slice(b"third");
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn what_is_in_a_buffer_stays_when_room_is_made() {
        let buffers = Buffers::default();
        let mut buffer = BytesMut::from(&b"half a record"[..]);
        buffers.make_room(&mut buffer, LARGE);
        assert_eq!(buffer, "half a record");
        assert!(buffer.capacity() - buffer.len() >= LARGE);
    }
}
