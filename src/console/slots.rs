//! How much the console does at once.
//!
//! Decides who has to come back later, so that neither a page left open in many tabs nor a script in a loop takes the
//! gateway's requests to GCS away from its clients. One check of a connection at a time: two would tell the same.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Refusal;

/// Checks of different connections.
const CHECKS: usize = 8;
/// Pages of objects being listed.
const PAGES: usize = 8;
/// Manifests being made.
const MANIFESTS: usize = 4;

/// What is under way; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    checks: Arc<Mutex<HashSet<String>>>,
    pages: Arc<Semaphore>,
    manifests: Arc<Semaphore>,
}

/// A check under way; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct CheckSlot {
    checks: Arc<Mutex<HashSet<String>>>,
    connection: String,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self {
            checks: Arc::default(),
            pages: Arc::new(Semaphore::new(PAGES)),
            manifests: Arc::new(Semaphore::new(MANIFESTS)),
        }
    }

    /// Begins a check of a connection.
    pub(super) fn check(&self, connection: &str) -> Result<CheckSlot, Refusal> {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        if checks.contains(connection) {
            return Err(Refusal::Busy("this connection is being checked; wait for the end of that check"));
        }
        if checks.len() >= CHECKS {
            return Err(Refusal::Busy("too many connections are being checked; try again in a moment"));
        }
        checks.insert(connection.to_owned());
        Ok(CheckSlot { checks: Arc::clone(&self.checks), connection: connection.to_owned() })
    }

    /// Begins to list a page.
    pub(super) fn page(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let busy = "too many listings are under way; try again in a moment";
        Arc::clone(&self.pages).try_acquire_owned().map_err(|_| Refusal::Busy(busy))
    }

    /// Begins a manifest.
    pub(super) fn manifest(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let busy = "too many manifests are being made; wait for the end of one";
        Arc::clone(&self.manifests).try_acquire_owned().map_err(|_| Refusal::Busy(busy))
    }
}

impl Drop for CheckSlot {
    fn drop(&mut self) {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_checked_once_at_a_time_and_few_at_once() {
        let slots = Slots::new();
        let first = slots.check("street").expect("free");
        assert!(matches!(slots.check("street"), Err(Refusal::Busy(_))));
        let others: Vec<_> = (1..CHECKS).map(|at| slots.check(&format!("c{at}")).expect("free")).collect();
        assert!(matches!(slots.check("one-more"), Err(Refusal::Busy(_))));
        drop((first, others));
        assert!(slots.check("street").is_ok());
    }

    #[test]
    fn permits_come_back() {
        let slots = Slots::new();
        let held: Vec<_> = (0..MANIFESTS).map(|_| slots.manifest().expect("free")).collect();
        assert!(slots.manifest().is_err() && slots.page().is_ok());
        drop(held);
        assert!(slots.manifest().is_ok());
    }
}
