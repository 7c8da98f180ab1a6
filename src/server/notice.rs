//! A word that is given once, to all connections.
//!
//! Each listens for it at every turn. A token would be asked each time, which takes a lock that all of them share; who has
//! left word with it where to be called needs to look no further than at a flag.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio_util::sync::CancellationToken;

use crate::server::caller::Caller;

/// The word.
#[derive(Debug, Default)]
pub(super) struct Notice {
    is_given: AtomicBool,
    token: CancellationToken,
}

impl Notice {
    /// Gives it, for good.
    pub(super) fn give(&self) {
        // Before anybody is called who will look.
        self.is_given.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Waits for it.
    pub(super) async fn given(&self) {
        let mut called = pin!(self.token.cancelled());
        let mut left_word = Caller::default();
        std::future::poll_fn(|cx: &mut Context<'_>| self.poll(cx, &mut left_word, called.as_mut())).await;
    }

    fn poll(
        &self,
        cx: &mut Context<'_>,
        left_word: &mut Caller,
        called: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<()> {
        if left_word.is(cx) && !self.is_given.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        left_word.note(cx);
        called.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::server::caller::tests::Calls;

    #[test]
    fn whoever_listened_last_is_called_and_then_hears_it() {
        let notice = Notice::default();
        let mut given = pin!(notice.given());
        let listeners = [Arc::new(Calls::default()), Arc::new(Calls::default())];
        for listener in [0, 0, 1, 1] {
            let waker = Arc::clone(&listeners[listener]).into();
            assert!(given.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        notice.give();
        assert_eq!(listeners.each_ref().map(|calls| calls.count()), [0, 1]);
        let waker = Arc::clone(&listeners[1]).into();
        assert!(given.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        assert!(pin!(notice.given()).poll(&mut Context::from_waker(&waker)).is_ready(), "for good");
    }
}
