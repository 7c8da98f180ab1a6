//! How many requests to GCS are under way at once, and how many may wait for their turn.
//!
//! Decides who goes first (who came first) and who is turned away (whoever finds the queue full). A place is held until
//! it is dropped, however the request ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::gcs::Error;
use crate::metrics::Metrics;

/// When to try again after the queue was full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A fair queue with as many places to wait as there are to work.
#[derive(Debug)]
pub(super) struct Queue {
    working: Arc<Semaphore>,
    waiting: Semaphore,
    metrics: Metrics,
}

/// The right to have one request under way.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    metrics: Metrics,
}

impl Queue {
    pub(super) fn new(places: usize, metrics: Metrics) -> Self {
        let places = places.clamp(1, Semaphore::MAX_PERMITS);
        Self { working: Arc::new(Semaphore::new(places)), waiting: Semaphore::new(places), metrics }
    }

    /// Waits for a place, until the deadline at most.
    pub(super) async fn enter(&self, deadline: Instant) -> Result<Place, Error> {
        if let Ok(permit) = Arc::clone(&self.working).try_acquire_owned() {
            return Ok(self.place(permit));
        }
        let overloaded = || Error::Overloaded { retry_after: RETRY_AFTER };
        let _seat = self.waiting.try_acquire().map_err(|_| overloaded())?;
        let _queued = Queued::new(&self.metrics);
        match timeout_at(deadline, Arc::clone(&self.working).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(self.place(permit)),
            Ok(Err(_)) | Err(_) => Err(overloaded()),
        }
    }

    fn place(&self, permit: OwnedSemaphorePermit) -> Place {
        self.metrics.upstream_in_flight().inc();
        Place { _permit: permit, metrics: self.metrics.clone() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.upstream_in_flight().dec();
    }
}

/// Shows in the gauge while it lives.
struct Queued<'a>(&'a Metrics);

impl<'a> Queued<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.upstream_queued().inc();
        Self(metrics)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.upstream_queued().dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_turns_away_and_a_free_place_goes_to_who_waits() {
        let queue = Arc::new(Queue::new(1, Metrics::new()));
        let deadline = Instant::now() + Duration::from_secs(20);
        let place = queue.enter(deadline).await.expect("the first place");
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.enter(deadline).await }
        });
        tokio::task::yield_now().await;
        assert!(matches!(queue.enter(deadline).await, Err(Error::Overloaded { .. })), "one works, one waits");
        drop(place);
        let place = waiting.await.expect("no panic").expect("the freed place");
        let late = queue.enter(deadline).await;
        assert!(matches!(late, Err(Error::Overloaded { .. })), "waits end");
        assert_eq!(queue.metrics.upstream_in_flight().get(), 1);
        drop(place);
        assert_eq!((queue.metrics.upstream_in_flight().get(), queue.metrics.upstream_queued().get()), (0, 0));
    }
}
