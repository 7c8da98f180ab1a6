//! Metrics at hand: where words of the code have led before.
//!
//! A family takes a lock and hashes all labels, and a request moves metrics of several. Here is a chain for all that has the
//! other labels in common, in the order of first use, which is read without a lock.
//! As bounded as the words that the code has, and never the only place: what is read is what the families hold.

use std::ptr;
use std::sync::{Arc, OnceLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use crate::metrics::families::{DeliveryLabels, Families, RequestLabels};

/// Handles by the words that they were found under.
#[derive(Debug)]
pub(super) struct Handles<const N: usize, H>(OnceLock<Box<Link<N, H>>>);

#[derive(Debug)]
struct Link<const N: usize, H> {
    words: [&'static str; N],
    handle: H,
    others: Handles<N, H>,
}

impl<const N: usize, H> Default for Handles<N, H> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<const N: usize, H> Handles<N, H> {
    /// What stands under the words; looked for if nobody has yet.
    pub(super) fn of(&self, words: [&'static str; N], find: impl Fn() -> H) -> &H {
        let mut handles = self;
        loop {
            let link = handles.0.get_or_init(|| Box::new(Link { words, handle: find(), others: Self::default() }));
            if link.has(words) {
                return &link.handle;
            }
            handles = &link.others;
        }
    }
}

impl<const N: usize, H> Link<N, H> {
    /// Goes by where the words stand: one that stands in two places is found twice, and leads to the same.
    fn has(&self, words: [&'static str; N]) -> bool {
        self.words.iter().zip(words).all(|(known, word)| ptr::eq(*known, word))
    }
}

/// The counters of the requests that reached one connection.
#[derive(Debug)]
pub struct Requests {
    families: Arc<Families>,
    connection: Arc<str>,
    handles: Handles<4, RequestHandles>,
}

impl Requests {
    pub(super) fn new(families: &Arc<Families>, connection: Arc<str>) -> Self {
        Self { families: Arc::clone(families), connection, handles: Handles::default() }
    }

    /// What a request moves that is told of by these words.
    pub(super) fn handles(&self, [delivery, reason, status, cache]: [&'static str; 4]) -> &RequestHandles {
        self.handles.of([delivery, reason, status, cache], || {
            let connection = Arc::clone(&self.connection);
            RequestHandles::find(&self.families, &RequestLabels { connection, delivery, reason, status, cache })
        })
    }
}

/// What one request moves.
#[derive(Debug)]
pub(super) struct RequestHandles {
    pub(super) requests: Counter,
    pub(super) first_byte: Histogram,
    pub(super) end: Histogram,
    pub(super) sent: Counter,
}

impl RequestHandles {
    /// Finds them in their families.
    fn find(families: &Families, labels: &RequestLabels) -> Self {
        let delivery = DeliveryLabels { connection: Arc::clone(&labels.connection), delivery: labels.delivery };
        Self {
            requests: families.requests.get_or_create(labels).clone(),
            first_byte: families.first_byte.get_or_create(&delivery).clone(),
            end: families.end.get_or_create(&delivery).clone(),
            sent: families.sent.get_or_create(&delivery).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_was_found_is_not_looked_for_again() {
        let (handles, looked) = (Handles::default(), Cell::new(0));
        let words = ["a", "bc", "d"];
        for place in [0, 1, 0, 2, 1] {
            let found = *handles.of([words[place], words[0]], || {
                looked.set(looked.get() + 1);
                place
            });
            assert_eq!(found, place);
        }
        assert_eq!(looked.get(), 3);
    }

    #[test]
    fn a_word_in_another_place_is_looked_for_once_more_and_leads_to_the_same() {
        let text: &'static str = "aa";
        let (handles, counter) = (Handles::default(), Counter::<u64>::default());
        for word in [&text[..1], &text[1..], &text[..1], text] {
            handles.of([word], || counter.clone()).inc();
        }
        assert_eq!(counter.get(), 4);
    }
}
