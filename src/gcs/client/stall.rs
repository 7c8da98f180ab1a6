//! How long a body may be silent.
//!
//! The clock runs only while somebody waits for upstream: a slow reader is not a slow GCS. Waking up costs one timer
//! for the whole body, set anew at most once per time limit and not once per piece.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Patience with a silent body.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    waiting_since: Option<Instant>,
    /// May go off early: it is set again when it does.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, waiting_since: None, timer: None }
    }

    /// Something came: silence begins anew when it is next waited for.
    pub(super) fn rest(&mut self) {
        self.waiting_since = None;
    }

    /// Ready with the limit once that long was waited.
    pub(super) fn poll_spent(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let end = *self.waiting_since.get_or_insert_with(Instant::now) + self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= end {
                return Poll::Ready(self.limit);
            }
            timer.as_mut().reset(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn patience_counts_only_the_time_spent_waiting() {
        let limit = Duration::from_secs(20);
        let mut patience = Patience::new(limit);
        let start = Instant::now();
        let waiting = poll_fn(|cx| patience.poll_spent(cx));
        assert!(tokio::time::timeout(Duration::from_secs(19), waiting).await.is_err());
        patience.rest();
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(poll_fn(|cx| patience.poll_spent(cx)).await, limit);
        assert_eq!(start.elapsed(), Duration::from_secs(19 + 100 + 20));
    }
}
