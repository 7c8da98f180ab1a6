//! When a connection has to be looked at, if nothing else happens before.
//!
//! A connection is polled several times for each request, and its timer hardly ever goes off. A timer notes each time that
//! it is asked whom to wake; who is known to it needs to look no further than at a flag.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep};

use crate::server::caller::Caller;

/// A timer that is set anew again and again, and asked more often than that.
pub(super) struct Alarm<'a> {
    timer: Pin<&'a mut Sleep>,
    /// Whom the timer wakes.
    known: Caller,
}

impl<'a> Alarm<'a> {
    pub(super) fn new(timer: Pin<&'a mut Sleep>) -> Self {
        Self { timer, known: Caller::default() }
    }

    pub(super) fn set(&mut self, time: Instant) {
        self.known.forget();
        self.timer.as_mut().reset(time);
    }

    /// Goes off at this time, unless it does before.
    pub(super) fn bring_forward(&mut self, time: Instant) {
        if time < self.timer.deadline() {
            self.set(time);
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.known.is(cx) && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        self.known.note(cx);
        // Where a task has done enough for one turn, the timer would note nobody.
        Pin::new(&mut unconstrained(self.timer.as_mut())).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::{advance, sleep};

    use super::*;
    use crate::server::caller::tests::Calls;

    #[tokio::test(start_paused = true)]
    async fn whoever_asked_last_is_woken_at_the_time_that_was_set_last() {
        let second = Duration::from_secs(1);
        let timer = pin!(sleep(10 * second));
        let mut alarm = Alarm::new(timer);
        let callers = [Arc::new(Calls::default()), Arc::new(Calls::default())];
        let ask = |alarm: &mut Alarm<'_>, caller: usize| {
            let waker = Arc::clone(&callers[caller]).into();
            alarm.poll(&mut Context::from_waker(&waker))
        };
        assert!(ask(&mut alarm, 0).is_pending() && ask(&mut alarm, 0).is_pending());
        alarm.bring_forward(Instant::now() + 20 * second);
        alarm.bring_forward(Instant::now() + 5 * second);
        assert!(ask(&mut alarm, 0).is_pending() && ask(&mut alarm, 1).is_pending() && ask(&mut alarm, 1).is_pending());
        let called = || callers.each_ref().map(|calls| calls.count());
        advance(4 * second).await;
        assert!(called() == [0, 0] && ask(&mut alarm, 1).is_pending());
        advance(2 * second).await;
        assert_eq!(called(), [0, 1]);
        assert!(ask(&mut alarm, 1).is_ready() && ask(&mut alarm, 1).is_ready());
        alarm.set(Instant::now() + second);
        assert!(ask(&mut alarm, 1).is_pending());
        advance(2 * second).await;
        assert_eq!(called(), [0, 2]);
        assert!(ask(&mut alarm, 1).is_ready());
    }
}
