//! Wiring: from a checked configuration to listeners that answer, and its replacement while they do.
//!
//! Everything that lives as long as the process is made here and passed on; there are no globals.

mod assemble;
mod export;
mod readiness;
mod reload;
mod revocation;
mod storage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use self::export::{Export, Exports, Public};
use self::reload::Reloader;
pub use self::reload::{ReloadHandle, Source};
use crate::audit::{self, Audit};
use crate::config::{ConfigError, Resolved};
use crate::console::{Console, InForce, Reach};
use crate::gateway::Gateway;
use crate::gateway::budget::Accounts;
use crate::gateway::jwt::fetched::Issuers;
use crate::label_studio::storage::Storage;
use crate::label_studio::{self, Body};
use crate::metrics::Metrics;
use crate::server::admin::Admin;
use crate::server::readiness::Readiness;
use crate::server::{self, Drained, Peer, Server, Service};

/// How long what waits for the audit log is given at the end.
const AUDIT_PATIENCE: Duration = Duration::from_secs(5);

/// Why the process cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration's fault; exit code 64.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The machine's fault, such as a port in use; exit code 1.
    #[error(transparent)]
    Runtime(#[from] anyhow::Error),
}

/// The process: two listeners, one gateway behind the public one.
#[derive(Debug)]
pub struct App {
    public: Server,
    admin: Server,
    parts: Parts,
    reloader: Reloader,
}

/// What outlives a reload.
#[derive(Clone, Debug)]
struct Parts {
    metrics: Metrics,
    readiness: Readiness,
    audit: Audit,
    /// What everybody has used of their budgets.
    accounts: Accounts,
    /// The keys of token issuers.
    issuers: Issuers,
    /// Whichever gateway is in force.
    front: Front,
    /// Whichever export of annotations is in force.
    exports: Exports,
    /// What the admin listener shows of the configuration in force.
    in_force: Arc<ArcSwap<InForce>>,
}

/// The gateway as the server sees it: whichever is in force when a request comes.
#[derive(Clone, Debug)]
struct Front(Arc<ArcSwap<Serving>>);

/// One configuration, at work.
#[derive(Debug)]
struct Serving {
    gateway: Arc<Gateway>,
    /// Label Studio, where the gateway stands in front of one.
    label_studio: Option<label_studio::Front>,
    /// What Label Studio's own client takes for Cloud Storage.
    storage: Option<Storage>,
}

impl Serving {
    /// Answers beside Label Studio.
    async fn handle(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        let Self { gateway, label_studio, storage } = &*self;
        match (storage, label_studio) {
            (Some(storage), _) if Storage::is_asked(request.uri().path()) => {
                storage.handle(gateway, request, peer).await.map(Body::from)
            }
            (_, Some(front)) => front.handle(gateway, request, peer).await,
            (_, None) => Arc::clone(gateway).handle(request, peer.address).await.map(Body::from),
        }
    }
}

impl Front {
    fn gateway(&self) -> Arc<Gateway> {
        Arc::clone(&self.0.load().gateway)
    }
}

/// Shows in the metrics what becomes of audit lines.
struct AuditCounts(Metrics);

impl audit::Observer for AuditCounts {
    fn dropped(&self, lines: u64) {
        self.0.audit_dropped(lines);
    }

    fn write_failed(&self) {
        self.0.audit_write_failed();
    }
}

impl Service for Front {
    type Body = Body;

    fn handle(&self, request: Request<Incoming>, peer: Peer) -> impl Future<Output = Response<Body>> + Send + use<> {
        let serving = self.0.load();
        let is_storages = serving.storage.is_some() && Storage::is_asked(request.uri().path());
        if is_storages || serving.label_studio.is_some() {
            Either::Left(Box::pin(Arc::clone(&serving).handle(request, peer)))
        } else {
            let answer = Arc::clone(&serving.gateway).handle(request, peer.address);
            Either::Right(answer.map(|response| response.map(Body::from)))
        }
    }
}

impl App {
    /// Builds everything and binds the listeners; nothing is served yet. Must be called inside a tokio runtime.
    pub async fn build(source: Source) -> Result<Self, StartError> {
        let resolved = Arc::new(source.load()?);
        let watch = source.watch(&resolved);
        let (metrics, readiness) = (Metrics::new(), Readiness::new());
        let audit = Audit::start(resolved.config.audit.output.clone(), Arc::new(AuditCounts(metrics.clone())))
            .map_err(|error| anyhow::Error::new(error).context("cannot start the thread of the audit log"))?;
        let (accounts, issuers) = (Accounts::new(metrics.clone()), Issuers::new(metrics.clone()));
        let lasting = assemble::Lasting {
            metrics: &metrics,
            readiness: &readiness,
            audit: &audit,
            accounts: &accounts,
            issuers: &issuers,
            objects: None,
        };
        let serving = assemble::assemble(&resolved, source.environment(), lasting).await?;
        let in_force = assemble::shown(&resolved, source.environment(), &metrics, &serving.gateway)?;
        let exports = Exports::default();
        exports.store(Export::new(&resolved, &serving.gateway)?);
        let public = bind("server", &resolved.config.server, &metrics, &resolved)?;
        let admin_config = server::Config::for_admin(&resolved.config.admin);
        // The admin listener's few connections are not what the connection metrics are about.
        let admin = bind("admin", &admin_config, &Metrics::new(), &resolved)?;
        metrics.config_in_force(SystemTime::now());
        let front = Front(Arc::new(ArcSwap::from_pointee(serving)));
        let in_force = Arc::new(ArcSwap::from_pointee(in_force));
        let parts = Parts { metrics, readiness, audit, accounts, issuers, front, exports, in_force };
        let reloader = Reloader::new(source, (resolved, watch), parts.clone(), public.tls().cloned());
        Ok(Self { public, admin, parts, reloader })
    }

    /// Serves the public listener's connections on one thread for each core.
    pub fn on_all_cores(self) -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism().context("how many cores there are")?;
        let public = self.public.with_threads(cores).context("threads to serve with")?;
        Ok(Self { public, ..self })
    }

    /// The addresses of the public listener.
    pub fn public_addrs(&self) -> Vec<SocketAddr> {
        self.public.local_addrs()
    }

    /// The addresses of the admin listener.
    pub fn admin_addrs(&self) -> Vec<SocketAddr> {
        self.admin.local_addrs()
    }

    /// Asks for a reload, now or later.
    pub fn reload_handle(&self) -> ReloadHandle {
        self.reloader.handle()
    }

    /// Serves until `shutdown`, then drains. The admin listener stays until the last answer is out.
    pub async fn run(self, shutdown: CancellationToken) -> Drained {
        let Self { public, admin, parts, reloader } = self;
        let admin_shutdown = CancellationToken::new();
        let pages = Admin::new(parts.metrics.clone(), parts.readiness.clone());
        let reach = Reach { listeners: public.local_addrs(), tls: public.tls().is_some() };
        let console = Console::new(pages, Arc::clone(&parts.in_force), reach);
        let admin = tokio::spawn(admin.run(console, admin_shutdown.clone()));
        let background = [
            tokio::spawn(reloader.follow()),
            tokio::spawn(parts.exports.clone().sweep()),
            tokio::spawn(revocation::follow(parts.front.clone(), parts.metrics.clone())),
            tokio::spawn(readiness::probe(parts.front.clone(), parts.readiness.clone())),
            tokio::spawn(readiness::drain_on(shutdown.clone(), parts.readiness.clone())),
        ];
        let drained = public.run(Public { front: parts.front, exports: parts.exports }, shutdown).await;
        for task in background {
            task.abort();
        }
        parts.audit.finish(AUDIT_PATIENCE).await;
        admin_shutdown.cancel();
        if let Err(error) = admin.await {
            tracing::error!(%error, "the admin listener ended badly");
        }
        drained
    }
}

fn bind(section: &str, config: &server::Config, metrics: &Metrics, resolved: &Resolved) -> Result<Server, StartError> {
    Server::bind(config, metrics.clone()).map_err(|error| match error {
        server::Error::Tls(error) => {
            let key = vec!["server".to_owned(), "tls".to_owned()];
            resolved.origin.error(key, format!("{:#}", anyhow::Error::new(error))).into()
        }
        server::Error::NobodyTrusted => {
            let key = vec!["server".to_owned(), "proxy_protocol".to_owned()];
            resolved.origin.error(key, error.to_string()).into()
        }
        error @ server::Error::Listen(_) => anyhow::Error::new(error).context(format!("{section}.listen")).into(),
    })
}
