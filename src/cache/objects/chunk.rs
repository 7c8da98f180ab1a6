//! Large objects in pieces of one size, so that who jumps about in a video finds what others saw. Pure.
//!
//! Decides which chunks a part needs, and how far it is worth keeping: only the beginning of a long part is cut into
//! chunks, so that one client who reads on and on does not fill the cache.

use crate::object::Span;

/// The size of a chunk; the last of an object is shorter.
pub(super) const SIZE: u64 = 1024 * 1024;
/// How many chunks of one part are kept at most.
const WINDOW: u64 = 8;

/// One chunk, and what of it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) index: u64,
    /// Where it lies in the object.
    pub(super) span: Span,
    /// What is wanted, counted from its beginning.
    pub(super) wanted: Span,
}

/// The chunks at the beginning of a part of an object of `size` bytes.
pub(super) fn window(part: Span, size: u64) -> impl Iterator<Item = Chunk> {
    let first = part.first / SIZE;
    let last = (part.last / SIZE).min(first.saturating_add(WINDOW - 1));
    (first..=last).map(move |index| {
        let begins = index * SIZE;
        let span = Span { first: begins, last: (begins + SIZE - 1).min(size.saturating_sub(1)) };
        let wanted = Span { first: part.first.max(begins) - begins, last: part.last.min(span.last) - begins };
        Chunk { index, span, wanted }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunks_and_the_rest_are_the_part(size in 1..40 * SIZE, at: u64, length: u64) {
            let first = at % size;
            let last = first + length % (size - first);
            let mut next = first;
            for chunk in window(Span { first, last }, size) {
                prop_assert_eq!(chunk.span.first, chunk.index * SIZE);
                prop_assert!(chunk.span.len() == SIZE || chunk.span.last == size - 1);
                prop_assert_eq!(chunk.span.first + chunk.wanted.first, next);
                prop_assert!(chunk.span.first + chunk.wanted.last <= chunk.span.last);
                next = chunk.span.first + chunk.wanted.last + 1;
            }
            prop_assert!(next == last + 1 || (next < last && next % SIZE == 0 && next - first > (WINDOW - 1) * SIZE));
        }
    }
}
