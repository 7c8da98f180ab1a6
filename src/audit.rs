//! The audit log: one JSON line for each media request, saying who read what, how, and how it ended.
//!
//! Lines go through a bounded queue to a thread of their own, so that no slow disk and no stuck pipe holds up media.
//! A full queue loses lines, which is counted and logged. What cannot be written is tried again until it can.
//! No query string, no token and no signature is ever part of a line. `docs/audit.md` has every field.

mod config;
mod queue;
mod record;
mod writer;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use self::config::{Config, Output};
use self::queue::Queue;
pub use self::record::Record;
use self::writer::Writer;

/// Lines that wait at most; a line takes about half a KiB.
const LONGEST_QUEUE: usize = 8192;

/// Told of every loss and every failure, for metrics.
pub trait Observer: Send + Sync + 'static {
    /// A line was lost, since the queue was full or the process ended.
    fn dropped(&self, lines: u64);
    /// Writing or opening failed; it is tried again.
    fn write_failed(&self);
}

/// Takes the lines of one process; clones share one queue and one thread, which ends with the last of them.
#[derive(Clone)]
pub struct Audit {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Arc<Queue>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").finish_non_exhaustive()
    }
}

impl Audit {
    /// Starts the thread. Without an output, lines are thrown away at once.
    pub fn start(output: Option<Output>, observer: Arc<dyn Observer>) -> io::Result<Self> {
        Self::with_queue(LONGEST_QUEUE, output, observer)
    }

    fn with_queue(longest: usize, output: Option<Output>, observer: Arc<dyn Observer>) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(longest, output, observer));
        let writer = Writer::new(Arc::clone(&queue));
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        Ok(Self { inner: Arc::new(Inner { queue }) })
    }

    /// Whether lines are wanted at all.
    pub fn is_on(&self) -> bool {
        self.inner.queue.is_on()
    }

    /// Takes a line, or loses it; never waits.
    pub fn record(&self, record: Record) {
        self.inner.queue.push(record);
    }

    /// Opens the file anew before the next line, or goes on with another output.
    pub fn reopen(&self, output: Option<Output>) {
        self.inner.queue.reopen(output);
    }

    /// Writes what waits, for as long as `patience`; what is left then is counted as lost. Nothing is taken afterwards.
    pub async fn finish(&self, patience: Duration) {
        self.inner.queue.close();
        let queue = Arc::clone(&self.inner.queue);
        // A thread may wait on a condition; the runtime's threads may not.
        let waited = tokio::task::spawn_blocking(move || queue.finished(patience)).await;
        if !matches!(waited, Ok(0)) {
            tracing::error!(lines = waited.unwrap_or_default(), "audit lines could not be written before the end");
        }
    }
}

#[cfg(test)]
mod tests;
