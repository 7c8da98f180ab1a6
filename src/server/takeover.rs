//! A connection that changes its protocol: what answers 101 takes it over, as bytes both ways.
//!
//! The connection stays the server's: it counts as one, is closed when nothing passes for the idle timeout or when the
//! server ends, and its bytes are noted as before. Decides nothing about who may change to what.
//! Follows <https://www.rfc-editor.org/rfc/rfc9110#section-7.8>.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::server::activity::Activity;

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// What runs in place of HTTP.
pub(super) type Tunnel = Pin<Box<dyn Future<Output = ()> + Send>>;
type Start = Box<dyn FnOnce(Box<dyn Duplex>) -> Tunnel + Send>;

/// An extension of an answer with status 101: what to do with the connection once the answer is out.
#[derive(Clone)]
pub struct Takeover(Arc<Mutex<Option<Start>>>);

impl Takeover {
    /// `start` gets the connection; it ends with the future.
    pub fn new<F>(start: impl FnOnce(Box<dyn Duplex>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let start: Start = Box::new(|connection| Box::pin(start(connection)));
        Self(Arc::new(Mutex::new(Some(start))))
    }

    fn take(&self) -> Option<Start> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Where the answer leaves it for the connection.
#[derive(Clone)]
pub(super) struct Handover {
    activity: Activity,
    offered: Takeover,
}

impl Handover {
    pub(super) fn new(activity: Activity) -> Self {
        Self { activity, offered: Takeover(Arc::default()) }
    }

    /// Looks whether an answer wants the connection.
    pub(super) fn look_at<B>(&self, response: &mut Response<B>) {
        let takeover = response.extensions_mut().remove::<Takeover>();
        if let Some(takeover) = takeover.filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS) {
            *self.offered.0.lock().unwrap_or_else(PoisonError::into_inner) = takeover.take();
        }
    }

    /// The tunnel that begins on a connection that HTTP/1 has left, or the connection if nothing was asked for.
    pub(super) fn begin<C: Duplex + 'static>(&self, connection: Box<C>) -> Result<Tunnel, Box<C>> {
        let Some(start) = self.offered.take() else { return Err(connection) };
        self.activity.tunnels();
        Ok(start(connection))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::server::Limits;
    use crate::server::activity::Overdue;

    #[test]
    fn a_tunnel_is_idle_when_nothing_passes_either_way() {
        let start = Instant::now();
        let activity = Activity::new(start);
        let exchange = activity.begin(false, false);
        activity.tunnels();
        drop(exchange);
        activity.tunnels();
        let idle_from = |after: u64| {
            let limits = Limits { idle_timeout: Duration::from_secs(75), ..Limits::default() };
            let deadline = activity.deadline(&limits, start + Duration::from_secs(after));
            assert_eq!((deadline.overdue, deadline.rests_since), (Some(Overdue::Idle), None));
            (deadline.at - start).as_secs() - 75
        };
        assert_eq!((idle_from(0), idle_from(1)), (0, 0));
        activity.read(b"x");
        assert_eq!((idle_from(10), idle_from(11)), (10, 10));
        activity.wrote();
        assert_eq!((idle_from(20), idle_from(21)), (20, 20));
        assert!(!activity.expects_request());
    }
}
