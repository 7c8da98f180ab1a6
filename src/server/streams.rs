//! The streams of one HTTP/2 connection as tasks that can be ended one by one.
//!
//! hyper does not ask a body for more while the client's window is closed, so a body cannot end its own stalled stream.
//! The task that drives the stream is dropped instead, and with it the body and what that holds upstream; h2 then resets
//! the stream: <https://www.rfc-editor.org/rfc/rfc9113#section-6.4>. When that is due is decided in `activity`.

use std::future::poll_fn;

use hyper::rt::Executor;
use tokio::time::Instant;

use crate::server::activity::Activity;

/// Where hyper spawns the streams of a connection.
#[derive(Clone, Debug)]
pub(super) struct Streams(Activity);

impl Streams {
    pub(super) fn new(activity: Activity) -> Self {
        Self(activity)
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        // hyper calls the service and spawns the stream in one go, so the newest request is that of the stream.
        let cut = self.0.newest_cut();
        let mut served = Box::pin(async move {
            match cut {
                Some(cut) => _ = cut.run_until_cancelled(stream).await,
                None => _ = stream.await,
            }
        });
        let activity = self.0.clone();
        // What a stream does may not wake the connection, which would tell the time of it.
        tokio::spawn(poll_fn(move |cx| {
            let polled = served.as_mut().poll(cx);
            activity.settle(Instant::now());
            polled
        }));
    }
}
