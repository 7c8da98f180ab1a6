//! Threads that serve connections, each with a runtime to itself.
//!
//! Decides which thread a new connection belongs to: the one with the fewest. It stays there for its life, and so do the
//! connections to GCS that it uses, so that no request wakes another core.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::telemetry;

/// All threads of a server; without any, the caller's own runtime serves.
#[derive(Debug, Default)]
pub(super) struct Workers {
    crew: Vec<Worker>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// Counts one connection of a worker while it lives.
#[derive(Debug)]
struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts `count` threads.
    pub(super) fn start(count: NonZeroUsize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let crew = (0..count.get()).map(|number| Worker::start(number, stop.clone())).collect::<io::Result<_>>()?;
        Ok(Self { crew, stop })
    }

    /// Has a connection served, tracked by `connections`.
    pub(super) fn serve<F, W>(&self, stream: TcpStream, connections: &TaskTracker, work: W) -> io::Result<()>
    where
        W: FnOnce(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(worker) = self.crew.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed)) else {
            connections.spawn(work(stream));
            return Ok(());
        };
        worker.connections.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(Arc::clone(&worker.connections));
        // The socket leaves this runtime's reactor for that of the thread.
        let stream = stream.into_std()?;
        let serving = async move {
            let _seat = seat;
            match TcpStream::from_std(stream) {
                Ok(stream) => work(stream).await,
                Err(error) => tracing::error!(%error, "a connection cannot be served"),
            }
        };
        connections.spawn_on(serving, &worker.runtime);
        Ok(())
    }

    /// Ends the threads; what still runs on them is dropped.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        let threads: Vec<_> = self.crew.drain(..).map(|worker| worker.thread).collect();
        let joined = tokio::task::spawn_blocking(|| threads.into_iter().map(JoinHandle::join).all(|end| end.is_ok()));
        if !joined.await.unwrap_or(false) {
            tracing::error!("a thread that served connections ended badly");
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Worker {
    fn start(number: usize, stop: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().on_thread_park(telemetry::flush).build()?;
        let handle = runtime.handle().clone();
        let serve = move || {
            telemetry::gather();
            runtime.block_on(stop.run_until_cancelled(flush_every_second()));
        };
        let thread = thread::Builder::new().name(format!("serve-{number}")).spawn(serve)?;
        Ok(Self { runtime: handle, connections: Arc::default(), thread })
    }
}

/// A thread that is never without work does not park.
async fn flush_every_second() {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        telemetry::flush();
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn connections_are_spread_evenly_and_stay_on_their_thread() {
        let workers = Workers::start(NonZeroUsize::new(2).expect("two")).expect("threads");
        let (tracker, release) = (TaskTracker::new(), CancellationToken::new());
        let (sender, mut names) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut clients = Vec::new();
        for _ in 0..6 {
            clients.push(TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected"));
            let (stream, _) = listener.accept().await.expect("accepted");
            let (sender, release) = (sender.clone(), release.clone());
            let work = |stream: TcpStream| async move {
                sender.send(thread::current().name().map(str::to_owned)).expect("somebody counts");
                release.cancelled().await;
                drop(stream);
            };
            workers.serve(stream, &tracker, work).expect("served");
        }
        let mut seen = Vec::new();
        for _ in 0..6 {
            seen.push(names.recv().await.flatten().expect("a named thread"));
        }
        seen.sort();
        assert_eq!(seen, ["serve-0", "serve-0", "serve-0", "serve-1", "serve-1", "serve-1"]);
        release.cancel();
        tracker.close();
        tracker.wait().await;
        workers.stop().await;
    }
}
