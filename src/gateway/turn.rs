//! Whose turn it is on a thread.
//!
//! Decides that an answer which waited for GCS, other than for a large object's chunks, lets others go first, once. So
//! all that came in is read before anything is written, answers leave in quick succession, and whoever receives them, a
//! device or another process, is woken once instead of for each. A turn costs nothing where nobody else has anything to
//! do.

use std::future::poll_fn;
use std::mem;
use std::task::Poll;

/// Bytes of a body that may wait for a turn. More would have left the core's cache when it comes.
pub(super) const SMALL: u64 = 32 * 1024;

/// Ends when every task that is ready now has had its turn.
pub(super) async fn give_way() {
    let mut gave = false;
    poll_fn(|cx| {
        if mem::replace(&mut gave, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn whoever_gives_way_comes_after_all_that_are_ready_and_no_later() {
        let order = RefCell::new(Vec::new());
        let tell = |who| order.borrow_mut().push(who);
        let polite = async {
            give_way().await;
            tell("polite");
        };
        let hasty = async {
            tell("hasty");
            give_way().await;
            give_way().await;
            tell("last");
        };
        futures_util::future::join(polite, hasty).await;
        assert_eq!(order.take(), ["hasty", "polite", "last"]);
    }
}
