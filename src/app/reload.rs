//! Reloading: on SIGHUP, or when a file changed, the configuration is built anew as a whole, checked, then swapped.
//!
//! Requests in flight finish on the old one. A bad configuration changes nothing, is logged and shows in a metric.
//! What belongs to the sockets (addresses, TLS on or off, limits) cannot change without a restart, and it is said so.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::assemble::{Lasting, assemble, shown};
use super::export::Export;
use super::{Parts, StartError};
use crate::config::{Config, ConfigError, Environment, Resolved};
use crate::server::watch::Watch;
use crate::server::{Tls, TlsConfig};

/// How often the files are looked at.
const POLL: Duration = Duration::from_secs(5);

/// Where the configuration is read from, again and again.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    text: Option<String>,
    environment: Environment,
    poll: Duration,
}

impl Source {
    /// A file.
    pub fn file(path: impl Into<PathBuf>, environment: Environment) -> Self {
        Self { path: path.into(), text: None, environment, poll: POLL }
    }

    /// A text that is already there; `path` is for messages and relative paths.
    pub fn text(path: impl Into<PathBuf>, text: impl Into<String>, environment: Environment) -> Self {
        Self { path: path.into(), text: Some(text.into()), environment, poll: POLL }
    }

    /// Looks at the files this often.
    pub fn with_poll(self, poll: Duration) -> Self {
        Self { poll, ..self }
    }

    /// Reads and checks.
    pub fn load(&self) -> Result<Resolved, ConfigError> {
        match &self.text {
            Some(text) => Config::parse(&self.path, text.clone(), &self.environment),
            None => Config::load(&self.path, &self.environment),
        }
    }

    /// Watches the files that a configuration was read from.
    pub(super) fn watch(&self, resolved: &Resolved) -> Watch {
        Watch::new(&resolved.files, self.poll)
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// Asks for a reload.
#[derive(Clone, Debug)]
pub struct ReloadHandle(Arc<Notify>);

impl ReloadHandle {
    /// Now, or once the present reload is done.
    pub fn reload(&self) {
        self.0.notify_one();
    }
}

/// Replaces the gateway in force.
#[derive(Debug)]
pub(super) struct Reloader {
    source: Source,
    current: Arc<Resolved>,
    watch: Watch,
    parts: Parts,
    /// The listener's certificate, reloaded along.
    tls: Option<Tls>,
    asked: Arc<Notify>,
    /// Why the newest configuration is not in force.
    refused: Option<String>,
}

impl Reloader {
    /// Looks at the files at once, so that a change from now on is noticed.
    pub(super) fn new(
        source: Source,
        (current, watch): (Arc<Resolved>, Watch),
        parts: Parts,
        tls: Option<Tls>,
    ) -> Self {
        Self { source, current, watch, parts, tls, asked: Arc::new(Notify::new()), refused: None }
    }

    pub(super) fn handle(&self) -> ReloadHandle {
        ReloadHandle(Arc::clone(&self.asked))
    }

    /// Reloads whenever asked, or when a file changed. After a refusal it tries again by itself, since what was missing
    /// may be a file that is not watched yet.
    pub(super) async fn follow(mut self) {
        loop {
            let again = async {
                match self.refused {
                    Some(_) => tokio::time::sleep(self.source.poll).await,
                    None => std::future::pending().await,
                }
            };
            let retried = tokio::select! {
                () = self.asked.notified() => false,
                () = self.watch.changed() => false,
                () = again => true,
            };
            let outcome = self.reload().await;
            if !retried {
                // Whatever became of the configuration: the file may have been moved away.
                self.parts.audit.reopen(self.current.config.audit.output.clone());
            }
            self.report(outcome.map_err(|error| error.to_string()), retried);
        }
    }

    fn report(&mut self, outcome: Result<(), String>, retried: bool) {
        let metrics = &self.parts.metrics;
        match outcome {
            Ok(()) => {
                self.refused = None;
                metrics.config_reload("ok");
                metrics.config_in_force(SystemTime::now());
                tracing::info!("new configuration in force");
            }
            // The same refusal again is no news.
            Err(error) if retried && self.refused.as_ref() == Some(&error) => {}
            Err(error) => {
                metrics.config_reload("refused");
                tracing::error!(error, "new configuration refused, the old one stays in force");
                self.refused = Some(error);
            }
        }
    }

    async fn reload(&mut self) -> Result<(), StartError> {
        let resolved = Arc::new(self.source.load()?);
        let watch = self.source.watch(&resolved);
        if let Some(key) = fixed_key_that_changed(&self.current.config, &resolved.config) {
            let message = "cannot change by a reload; restart gsgate for it";
            return Err(resolved.origin.error(key.split('.').map(str::to_owned).collect(), message.to_owned()).into());
        }
        // A task of its own: whatever happens in there, the next reload must still be possible.
        let (fresh, environment, parts) = (Arc::clone(&resolved), self.source.environment.clone(), self.parts.clone());
        let building = tokio::spawn(async move {
            let before = parts.front.gateway();
            let Parts { metrics, readiness, audit, accounts, issuers, .. } = &parts;
            let objects = Some(&before.objects);
            assemble(&fresh, &environment, Lasting { metrics, readiness, audit, objects, accounts, issuers }).await
        });
        let serving = building.await.map_err(|error| StartError::Runtime(anyhow::Error::new(error)))??;
        let in_force = shown(&resolved, &self.source.environment, &self.parts.metrics, &serving.gateway)?;
        let export = Export::new(&resolved, &serving.gateway)?;
        // Last, since it takes effect at once if the files are good.
        if let Some(Err(error)) = self.tls.as_ref().map(Tls::reload) {
            let key = vec!["server".to_owned(), "tls".to_owned()];
            return Err(resolved.origin.error(key, format!("{:#}", anyhow::Error::new(error))).into());
        }
        self.parts.front.0.store(Arc::new(serving));
        self.parts.exports.store(export);
        self.parts.in_force.store(Arc::new(in_force));
        (self.current, self.watch) = (resolved, watch);
        Ok(())
    }
}

/// The first key of the sockets' that differs.
fn fixed_key_that_changed(old: &Config, new: &Config) -> Option<&'static str> {
    let files = |tls: &TlsConfig| (tls.certificate.clone(), tls.private_key.clone());
    let (before, after) = (&old.server, &new.server);
    let keys = [
        ("server.listen", before.listen != after.listen),
        ("server.tls", before.tls.as_ref().map(files) != after.tls.as_ref().map(files)),
        ("server.proxy_protocol", before.proxy_protocol != after.proxy_protocol),
        ("server.trusted_proxies", before.proxy_protocol && before.trusted_proxies != after.trusted_proxies),
        ("server.drain_timeout", before.drain_timeout != after.drain_timeout),
        ("server.limits", before.limits != after.limits),
        ("admin.listen", old.admin.listen != new.admin.listen),
        ("log", old.log != new.log),
    ];
    keys.into_iter().find(|(_, changed)| *changed).map(|(key, _)| key)
}
