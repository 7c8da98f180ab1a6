//! Connections that change their protocol, such as WebSocket: bytes both ways until one side ends.
//!
//! Bounded in number. How long one may be silent, and that it ends with the server, is the server's business.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::server::{Duplex, Takeover};

/// Tunnels open at once.
const MOST: usize = 1024;

/// Places for tunnels.
#[derive(Clone, Debug)]
pub(super) struct Tunnels(Arc<Semaphore>);

impl Tunnels {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }

    /// A place for one more, if there is one.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// Connects the client with `upstream` once its answer is out; keeps `place` until then.
pub(super) fn to(upstream: OnUpgrade, place: OwnedSemaphorePermit) -> Takeover {
    Takeover::new(move |mut client: Box<dyn Duplex>| async move {
        match upstream.await {
            Ok(upstream) => {
                let outcome = copy_bidirectional(&mut client, &mut TokioIo::new(upstream)).await;
                tracing::debug!(?outcome, "tunnel closed");
            }
            Err(error) => tracing::debug!(%error, "the change of protocol failed"),
        }
        drop(place);
    })
}
