//! Reloading: on SIGHUP, or when a file changed, the configuration is built anew as a whole, checked, then swapped.
//!
//! Requests in flight finish on the old one. A bad configuration changes nothing, is logged and shows in a metric.
//! What belongs to the sockets (addresses, TLS on or off, limits) cannot change without a restart, and it is said so.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::assemble::assemble;
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
    current: Resolved,
    parts: Parts,
    /// The public listener's.
    tls: Option<Tls>,
    asked: Arc<Notify>,
}

impl Reloader {
    pub(super) fn new(source: Source, current: Resolved, parts: Parts, tls: Option<Tls>) -> Self {
        Self { source, current, parts, tls, asked: Arc::new(Notify::new()) }
    }

    pub(super) fn handle(&self) -> ReloadHandle {
        ReloadHandle(Arc::clone(&self.asked))
    }

    /// Reloads whenever asked, or when a file changed.
    pub(super) async fn follow(mut self) {
        let mut watch = Watch::new(&self.current.files, self.source.poll);
        loop {
            tokio::select! {
                () = self.asked.notified() => {}
                () = watch.changed() => {}
            }
            match self.reload().await {
                Ok(()) => {
                    watch = Watch::new(&self.current.files, self.source.poll);
                    self.parts.metrics.config_reload("ok");
                    self.parts.metrics.config_in_force(SystemTime::now());
                    tracing::info!("new configuration in force");
                }
                Err(error) => {
                    self.parts.metrics.config_reload("refused");
                    tracing::error!(error = %error, "new configuration refused, the old one stays in force");
                }
            }
        }
    }

    async fn reload(&mut self) -> Result<(), StartError> {
        let resolved = self.source.load()?;
        if let Some(key) = fixed_key_that_changed(&self.current.config, &resolved.config) {
            let message = "cannot change by a reload; restart gsgate for it";
            return Err(resolved.origin.error(key.split('.').map(str::to_owned).collect(), message.to_owned()).into());
        }
        let Parts { metrics, readiness, .. } = &self.parts;
        let gateway = assemble(&resolved, self.source.environment(), metrics, readiness).await?;
        // Last, since it takes effect at once if the files are good.
        if let Some(Err(error)) = self.tls.as_ref().map(Tls::reload) {
            let key = vec!["server".to_owned(), "tls".to_owned()];
            return Err(resolved.origin.error(key, format!("{:#}", anyhow::Error::new(error))).into());
        }
        self.parts.front.0.store(Arc::new(gateway));
        self.parts.in_force.store(Arc::new(resolved.redacted.clone()));
        self.current = resolved;
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
