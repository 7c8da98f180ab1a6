//! The export of annotations at work: the receiver of Label Studio's events, and the sweeps in the background.
//!
//! Decides when everything is looked at: at the start, since Label Studio sends an event once and whatever came while
//! nobody listened is lost; then what changed, as often as configured; and everything again once a day.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Front;
use crate::config::{ConfigError, Resolved};
use crate::gateway::Gateway;
use crate::gcs::credentials::ControlPlane;
use crate::label_studio::api::Api;
use crate::label_studio::export::{Exporter, Extent, Target};
use crate::label_studio::webhook::{self, Receiver};
use crate::server::{Peer, Service};
use crate::telemetry::Causes;

/// How often everything is looked at.
const FULL: Duration = Duration::from_hours(24);
/// What happened this long before a sweep began is looked at by the next one again: clocks differ, and Label Studio may
/// have been storing something.
const OVERLAP: Duration = Duration::from_mins(10);
/// A configuration without an export is looked at again after this long, or when it changes.
const IDLE: Duration = Duration::from_hours(1);

/// Whichever export is in force; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Exports(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    export: ArcSwapOption<Export>,
    changed: Notify,
}

/// One configuration's export.
#[derive(Debug)]
pub(super) struct Export {
    exporter: Arc<Exporter>,
    receiver: Option<Arc<Receiver>>,
}

impl Export {
    /// What the configuration asks for, over the gateway's connections.
    pub(super) fn new(resolved: &Resolved, gateway: &Gateway) -> Result<Option<Arc<Self>>, ConfigError> {
        let config = &resolved.config.label_studio;
        let Some(export) = &config.export else { return Ok(None) };
        let at = |path: &[&str], message: String| {
            let path = ["label_studio"].iter().chain(path).map(|&part| part.to_owned()).collect();
            resolved.origin.error(path, message)
        };
        let Some(connection) = gateway.connections.get(&export.connection) else {
            return Err(at(&["export", "connection"], format!("there is no connection {:?}", export.connection)));
        };
        let server = config.server().cloned();
        let server =
            server.ok_or_else(|| at(&["url"], "it is not set, and the export asks Label Studio".to_owned()))?;
        let token = config.token_file.clone();
        let token =
            token.ok_or_else(|| at(&["token_file"], "it is not set, and the export asks Label Studio".to_owned()))?;
        let control =
            ControlPlane::new(&resolved.config.gcs).map_err(|error| at(&["export"], Causes(&error).to_string()))?;
        let target = Target {
            client: gateway.client.clone(),
            credential: connection.credential.clone(),
            bucket: connection.config.uri.bucket.clone(),
            prefix: connection.config.uri.path.clone(),
            project: connection.project().cloned(),
        };
        let exporter = Arc::new(Exporter::new(Api::new(server, token, &control), target, export.clone()));
        let receiver = match &export.secret_file {
            None => None,
            Some(path) => {
                let secret = zeroize::Zeroizing::new(std::fs::read_to_string(path).map_err(|error| {
                    at(&["export", "secret_file"], format!("cannot read {}: {error}", path.display()))
                })?);
                let receiver = Receiver::new(Arc::clone(&exporter), &secret);
                let weak = |error| at(&["export", "secret_file"], format!("{}: {error}", path.display()));
                Some(Arc::new(receiver.map_err(weak)?))
            }
        };
        Ok(Some(Arc::new(Self { exporter, receiver })))
    }
}

impl Exports {
    /// Puts an export in force.
    pub(super) fn store(&self, export: Option<Arc<Export>>) {
        self.0.export.store(export);
        self.0.changed.notify_one();
    }

    /// Sweeps for ever.
    pub(super) async fn sweep(self) {
        let mut swept = Swept::default();
        loop {
            let export = self.0.export.load_full();
            let every = export.as_ref().map_or(Duration::ZERO, |export| export.exporter.config().sweep);
            if let Some(export) = export.filter(|_| !every.is_zero()) {
                for project in &export.exporter.config().projects {
                    swept.sweep(&export.exporter, *project).await;
                }
            }
            // Jitter, so that replicas do not ask all at once.
            let pause = if every.is_zero() { IDLE } else { every.mul_f64(0.9 + fastrand::f64() / 5.0) };
            let _ = timeout(pause, self.0.changed.notified()).await;
        }
    }
}

/// When which project was swept well.
#[derive(Debug, Default)]
struct Swept(BTreeMap<u64, Times>);

#[derive(Clone, Copy, Debug)]
struct Times {
    full: SystemTime,
    last: SystemTime,
}

impl Swept {
    async fn sweep(&mut self, exporter: &Exporter, project: u64) {
        let began = SystemTime::now();
        let times = self.0.get(&project).copied();
        let due = |times: &Times| began.duration_since(times.full).is_ok_and(|since| since < FULL);
        let extent = match times.filter(due) {
            Some(times) => Extent::Since(times.last - OVERLAP),
            None => Extent::All,
        };
        match exporter.sweep(project, extent).await {
            Ok(counts) => {
                let full = times.filter(due).map_or(began, |times| times.full);
                self.0.insert(project, Times { full, last: began });
                let (written, deleted) = (counts.written, counts.deleted);
                if written + deleted > 0 {
                    tracing::info!(project, written, deleted, "annotations swept up");
                }
            }
            Err(error) => tracing::warn!(project, error = %Causes(&error), "the sweep of annotations ended early"),
        }
    }
}

/// The public listener: events for the export, everything else for the gateway.
#[derive(Clone, Debug)]
pub(super) struct Public {
    pub(super) front: Front,
    pub(super) exports: Exports,
}

impl Service for Public {
    type Body = <Front as Service>::Body;

    fn handle(
        &self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Self::Body>> + Send + use<> {
        let is_event = request.uri().path() == webhook::PATH;
        let export = is_event.then(|| self.exports.0.export.load_full()).flatten();
        match export.and_then(|export| export.receiver.clone()) {
            Some(receiver) => Either::Left(Box::pin(async move { receiver.handle(request).await.map(Into::into) })),
            None => Either::Right(self.front.handle(request, peer)),
        }
    }
}
