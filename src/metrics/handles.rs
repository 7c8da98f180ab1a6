//! Metrics at hand: where a family's labels have led before.
//!
//! A family guards its map against chosen keys, which labels never are, and a request looks into several of them.
//! As bounded as the labels are, and never the only place: what is read is what the families hold.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

use ahash::RandomState;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use crate::metrics::families::{DeliveryLabels, Families, RequestLabels};

/// Handles by the labels that they were found under.
#[derive(Debug)]
pub(super) struct Handles<L, H>(RwLock<HashMap<L, H, RandomState>>);

impl<L, H> Default for Handles<L, H> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<L: Eq + Hash, H> Handles<L, H> {
    /// Uses what stands under the labels, after finding it if nobody has yet.
    pub(super) fn with(&self, labels: L, find: impl FnOnce(&L) -> H, used: impl FnOnce(&H)) {
        // A map of handles is whole whatever panicked beside it.
        if let Some(handle) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&labels) {
            return used(handle);
        }
        let handle = find(&labels);
        used(&handle);
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(labels, handle);
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
    pub(super) fn find(families: &Families, labels: &RequestLabels) -> Self {
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
        let find = |label: &&'static str| {
            looked.set(looked.get() + 1);
            label.len()
        };
        for (label, length) in [("a", 1), ("bc", 2), ("a", 1)] {
            handles.with(label, find, |found| assert_eq!(*found, length));
        }
        assert_eq!(looked.get(), 2);
    }
}
