//! Watches whether the credentials work, so that a load balancer learns it before the annotators do.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Front;
use crate::server::readiness::{Observation, Readiness};

/// Tokens are cached, so that a look costs nothing as long as they live.
const EVERY: Duration = Duration::from_secs(10);

/// Looks regularly, for ever.
pub(super) async fn probe(front: Front, readiness: Readiness) {
    loop {
        readiness.observe(observe(&front).await);
        tokio::time::sleep(EVERY).await;
    }
}

/// Usable if any credential is: what still works shall be served.
async fn observe(front: &Front) -> Observation {
    let gateway = front.gateway();
    for connection in gateway.connections.values() {
        match connection.credential.token().await {
            Ok(_) => return Observation::Usable,
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(connection = &*connection.label, error, "the credential gives no token");
            }
        }
    }
    Observation::Unusable
}

/// Says that the process ends, once it does.
pub(super) async fn drain_on(shutdown: CancellationToken, readiness: Readiness) {
    shutdown.cancelled().await;
    readiness.drain();
}
