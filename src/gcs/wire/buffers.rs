//! Buffers to read into, used again and again.
//!
//! A buffer is lent while bytes flow and comes back with the connection. Pieces of it may still be on their way to a
//! client then: it is lent again only when the last of them is gone.
//!
//! The more is read at once, the less often both ends are woken; beyond half a megabyte nothing is gained. A few streams
//! at a time read that much, all others half of it, so that many clients that hardly take anything hold little.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The first read of an answer: its head, and all of a picture of 100 KB in TLS records.
pub(super) const SMALL: usize = 112 * 1024;
/// Reads of a body that is still long.
const LARGE: usize = 256 * 1024;
/// The same for streams that read wide.
pub(super) const WIDE: usize = 512 * 1024;
/// How many streams of a runtime may read wide at a time.
const MOST_WIDE: usize = 16;
/// Below this a read would cost more than another buffer.
pub(super) const LEAST: usize = 16 * 1024;
/// Buffers kept for the next answers.
const KEPT: usize = 16;
/// The same for streams that read wide.
const KEPT_WIDE: usize = 2;

/// Where buffers come back to.
#[derive(Clone, Debug)]
pub(in crate::gcs) struct Buffers {
    kept: Arc<Mutex<Kept>>,
    wide: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Kept {
    common: VecDeque<BytesMut>,
    wide: VecDeque<BytesMut>,
}

impl Kept {
    /// Those that were lent for wide reads or for others, and how many are kept of them.
    fn of(&mut self, wide: bool) -> (&mut VecDeque<BytesMut>, usize) {
        if wide { (&mut self.wide, KEPT_WIDE) } else { (&mut self.common, KEPT) }
    }
}

/// Lets a stream read wide, until it is dropped.
pub(super) type Wide = OwnedSemaphorePermit;

impl Default for Buffers {
    fn default() -> Self {
        Self { kept: Arc::default(), wide: Arc::new(Semaphore::new(MOST_WIDE)) }
    }
}

impl Buffers {
    /// Makes room in `buffer` for `wanted` bytes, or as many as a read may have; `wide` is what lets this stream have more.
    pub(super) fn make_room(&self, buffer: &mut BytesMut, wanted: usize, wide: &mut Option<Wide>) {
        if buffer.capacity() - buffer.len() >= LEAST {
            return;
        }
        let was = wide.is_some();
        if wanted > LARGE && !was {
            *wide = Arc::clone(&self.wide).try_acquire_owned().ok();
        }
        let most = if wide.is_some() { WIDE } else { LARGE };
        let wanted = wanted.min(most.saturating_sub(buffer.len())).max(LEAST);
        if buffer.try_reclaim(wanted) {
            return;
        }
        // Those for wide reads are all alike, so that each fits whoever has it next.
        let whole = if wide.is_some() { WIDE } else { wanted + buffer.len() };
        let mut fresh = self.lend(whole, wide.is_some());
        fresh.extend_from_slice(buffer);
        self.keep(std::mem::replace(buffer, fresh), was);
    }

    fn lend(&self, wanted: usize, wide: bool) -> BytesMut {
        let lent = {
            let mut all = self.kept();
            let (kept, _) = all.of(wide);
            // The newest is in the processor's cache, the oldest is the likeliest to be free.
            let newest = kept.pop_back_if(|kept| kept.try_reclaim(wanted));
            newest.or_else(|| kept.pop_front().and_then(|mut kept| kept.try_reclaim(wanted).then_some(kept)))
        };
        lent.unwrap_or_else(|| BytesMut::with_capacity(wanted))
    }

    /// Takes a buffer back, whose bytes are of no interest any more; `wide` says what it was lent for.
    pub(super) fn keep(&self, mut buffer: BytesMut, wide: bool) {
        buffer.clear();
        let mut kept = self.kept();
        let (kept, most) = kept.of(wide);
        if buffer.capacity() > 0 && kept.len() < most {
            kept.push_back(buffer);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A queue of buffers is whole whatever panicked beside it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_lent_again_when_its_last_piece_is_gone() {
        let buffers = Buffers::default();
        let mut buffer = BytesMut::new();
        buffers.make_room(&mut buffer, SMALL, &mut None);
        assert!(buffer.capacity() >= SMALL);
        buffer.extend_from_slice(b"piece");
        let piece = buffer.split().freeze();
        let place = piece.as_ptr();
        buffers.keep(buffer, false);
        let mut busy = BytesMut::new();
        buffers.make_room(&mut busy, SMALL, &mut None);
        busy.extend_from_slice(b"other");
        assert_ne!(busy.as_ptr(), place, "the piece is still read");
        assert_eq!(piece, "piece");
        let last = busy.split().freeze();
        let place = last.as_ptr();
        buffers.keep(busy, false);
        drop(last);
        let mut again = BytesMut::new();
        buffers.make_room(&mut again, SMALL, &mut None);
        again.extend_from_slice(b"third");
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn what_is_in_a_buffer_stays_when_room_is_made() {
        let buffers = Buffers::default();
        let mut buffer = BytesMut::from(&b"half a record"[..]);
        buffers.make_room(&mut buffer, LARGE, &mut None);
        assert_eq!(buffer, "half a record");
        assert!((LARGE..WIDE).contains(&buffer.capacity()));
    }

    #[test]
    fn a_buffer_with_room_is_used_up_before_a_stream_reads_wide() {
        let buffers = Buffers::default();
        let (mut buffer, mut wide) = (BytesMut::new(), None);
        buffers.make_room(&mut buffer, SMALL, &mut wide);
        let place = buffer.as_ptr();
        buffers.make_room(&mut buffer, usize::MAX, &mut wide);
        assert!(wide.is_none());
        assert_eq!(buffer.as_ptr(), place);
        buffer.resize(buffer.capacity(), 0);
        let piece = buffer.split().freeze();
        buffers.make_room(&mut buffer, usize::MAX, &mut wide);
        assert!(wide.is_some());
        assert_eq!(buffer.capacity(), WIDE);
        drop(piece);
    }

    #[test]
    fn a_few_streams_read_wide_and_all_others_less() {
        let buffers = Buffers::default();
        let room = |wide: &mut Option<Wide>| {
            let mut buffer = BytesMut::new();
            buffers.make_room(&mut buffer, usize::MAX, wide);
            buffer.capacity()
        };
        let mut streams: Vec<Option<Wide>> = std::iter::repeat_with(|| None).take(MOST_WIDE).collect();
        assert!(streams.iter_mut().all(|wide| room(wide) >= WIDE));
        assert_eq!(room(&mut None), LARGE);
        assert!(room(&mut streams[0]) >= WIDE, "whoever has it keeps it");
        streams.pop();
        assert!(room(&mut None) >= WIDE, "one has ended");
    }
}
