//! The signals that end or reload the process.
//!
//! The first SIGTERM or SIGINT drains, the second ends at once; SIGHUP reloads.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The handlers, from their installation on.
#[derive(Debug)]
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hangup: Stream,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT.
    End,
    /// SIGHUP.
    Reload,
}

impl Signals {
    /// Takes the signals over from the system, which would end the process.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End,
            _ = self.interrupt.recv() => Signal::End,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }

    /// Cancels `shutdown` at the first signal to end, and returns at the second; calls `reload` for each SIGHUP before.
    pub async fn conduct(mut self, shutdown: CancellationToken, mut reload: impl FnMut()) {
        loop {
            match self.next().await {
                Signal::End if shutdown.is_cancelled() => return,
                Signal::End => shutdown.cancel(),
                Signal::Reload if shutdown.is_cancelled() => {}
                Signal::Reload => reload(),
            }
        }
    }
}
