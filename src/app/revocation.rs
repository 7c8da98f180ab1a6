//! Watches the revocation list of links, so that a revocation counts within two seconds, without a reload.
//!
//! Looks at the content, since Kubernetes swaps symbolic links and some file systems tell nobody. A list counts when two
//! looks in a row found the same, so that one which is being written is not taken for short. A bad list changes nothing:
//! the old one stays in force, which is logged once and shows in a metric.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::Front;
use crate::gateway::Gateway;
use crate::metrics::Metrics;
use crate::server::watch::Fingerprint;
use crate::telemetry::Causes;

/// How often it looks.
const EVERY: Duration = Duration::from_millis(400);

/// What was found, and for which gateway: a reload brings a new one, perhaps with another file.
#[derive(Clone)]
struct Look {
    gateway: Weak<Gateway>,
    content: Fingerprint,
}

impl PartialEq for Look {
    fn eq(&self, other: &Self) -> bool {
        self.gateway.ptr_eq(&other.gateway) && self.content == other.content
    }
}

/// Looks for ever.
pub(super) async fn follow(front: Front, metrics: Metrics) {
    let (mut last, mut applied) = (None, None);
    loop {
        sleep(EVERY).await;
        let gateway = front.gateway();
        let Some(path) = gateway.links.list() else { continue };
        // A file system may hang; a worker thread must not hang with it.
        let paths = [path.to_owned()];
        let Ok(content) = spawn_blocking(move || Fingerprint::of(&paths)).await else { continue };
        let look = Some(Look { gateway: Arc::downgrade(&gateway), content });
        if look == last && look != applied {
            let _ = spawn_blocking({
                let metrics = metrics.clone();
                move || reload(&gateway, &metrics)
            })
            .await;
            applied.clone_from(&look);
        }
        last = look;
    }
}

fn reload(gateway: &Gateway, metrics: &Metrics) {
    match gateway.links.reload() {
        Ok(entries) => {
            metrics.revocations_loaded(entries);
            tracing::info!(entries, "revocation list in force");
        }
        Err(error) => {
            metrics.revocations_refused();
            tracing::error!(error = %Causes(&error), "new revocation list refused, the old one stays in force");
        }
    }
}
