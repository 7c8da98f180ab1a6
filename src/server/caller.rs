//! Whom to wake: the task that asked last.
//!
//! Where something is asked again and again and hardly ever happens, whoever is known to it already needs to be noted no
//! further. Decides only that; wakes nobody.

use std::task::{Context, Waker};

/// The task that asked last.
#[derive(Debug, Default)]
pub(super) struct Caller(Option<Waker>);

impl Caller {
    /// Whether whoever asks now is the one who is known.
    pub(super) fn is(&self, cx: &Context<'_>) -> bool {
        self.0.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
    }

    /// Whoever asks now is the one from now on.
    pub(super) fn note(&mut self, cx: &Context<'_>) {
        self.0 = Some(cx.waker().clone());
    }

    /// Nobody is known.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// A task that counts how often it is woken.
    #[derive(Default)]
    pub(in crate::server) struct Calls(AtomicUsize);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Calls {
        /// How often so far.
        pub(in crate::server) fn count(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn who_asked_last_is_known_and_nobody_else() {
        let tasks = [Waker::from(Arc::new(Calls::default())), Waker::from(Arc::new(Calls::default()))];
        let mut caller = Caller::default();
        let known = |caller: &Caller| tasks.each_ref().map(|task| caller.is(&Context::from_waker(task)));
        assert_eq!(known(&caller), [false, false]);
        caller.note(&Context::from_waker(&tasks[0]));
        assert_eq!(known(&caller), [true, false]);
        caller.note(&Context::from_waker(&tasks[1].clone()));
        assert_eq!(known(&caller), [false, true]);
        caller.forget();
        assert_eq!(known(&caller), [false, false]);
    }
}
