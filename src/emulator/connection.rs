//! Connections: accepted, served over HTTP/1.1, and broken when a fault says so.
//!
//! Decides how a connection begins and ends; the answers come from [`super::service`].

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::service;
use super::state::{State, locked};

/// How long accepting rests after a failure.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);
const IDLE: u8 = 0;
const ARMED: u8 = 1;
const FLUSHED: u8 = 2;

/// What a connection and its answers share.
#[derive(Debug)]
pub(super) struct Link {
    /// Who is at the other end.
    pub(super) peer: SocketAddr,
    state: AtomicU8,
    reset: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

impl Link {
    fn new(peer: SocketAddr) -> Self {
        Self { peer, state: AtomicU8::new(IDLE), reset: AtomicU8::new(0), waker: Mutex::default() }
    }

    /// Breaks the connection at once: what is not yet written is lost.
    pub(super) fn break_now(&self, reset: bool) {
        self.reset.store(u8::from(reset), Ordering::Release);
    }

    /// Ready when all that was written so far has been flushed, so that the connection may be broken just there.
    pub(super) fn poll_break(&self, reset: bool, context: &mut Context<'_>) -> Poll<()> {
        self.break_now(reset);
        if self.state.load(Ordering::Acquire) == FLUSHED {
            return Poll::Ready(());
        }
        *locked(&self.waker) = Some(context.waker().clone());
        self.state.store(ARMED, Ordering::Release);
        Poll::Pending
    }

    fn flushed(&self) {
        if self.state.compare_exchange(ARMED, FLUSHED, Ordering::AcqRel, Ordering::Acquire).is_ok()
            && let Some(waker) = locked(&self.waker).take()
        {
            waker.wake();
        }
    }
}

/// What ends the connections of one listener.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    /// Answers under way are finished.
    pub(super) drain: CancellationToken,
    /// Nothing is finished.
    pub(super) kill: CancellationToken,
    /// All tasks of the listener.
    pub(super) tasks: TaskTracker,
}

/// Accepts connections until told to end.
pub(super) async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>, ends: Ends) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ends.drain.cancelled() => return,
            () = ends.kill.cancelled() => return,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of descriptors: give others the time to close some.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (tls, state, inner) = (tls.clone(), Arc::clone(&state), ends.clone());
        ends.tasks.spawn(async move {
            state.journal.connections.fetch_add(1, Ordering::Relaxed);
            state.journal.open.fetch_add(1, Ordering::Relaxed);
            tokio::select! {
                () = connection(stream, peer, tls, &state, &inner.drain) => {}
                () = inner.kill.cancelled() => {}
            }
            state.journal.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    state: &Arc<State>,
    drain: &CancellationToken,
) {
    // A connection without TCP_NODELAY is slow, not wrong.
    let _ = stream.set_nodelay(true);
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let link = Arc::new(Link::new(peer));
    let stream = match tls {
        None => Stream::Plain(stream),
        Some(acceptor) => {
            let accepted = tokio::select! {
                accepted = acceptor.accept(stream) => accepted,
                () = drain.cancelled() => return,
            };
            let Ok(stream) = accepted else { return };
            Stream::Tls(Box::new(stream))
        }
    };
    let wire = Wire { stream, link: Arc::clone(&link) };
    let service = service_fn(|request| service::serve(Arc::clone(state), Arc::clone(&link), request));
    let mut http =
        std::pin::pin!(http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(wire), service));
    // How a connection ended is seen by the other end; here it is of no interest.
    tokio::select! {
        _ = http.as_mut() => return,
        () = drain.cancelled() => http.as_mut().graceful_shutdown(),
    }
    let _ = http.await;
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream that tells its link of flushes and can end with a reset.
struct Wire {
    stream: Stream,
    link: Arc<Link>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.link.reset.load(Ordering::Acquire) == 1 {
            let tcp = match &self.stream {
                Stream::Plain(tcp) => tcp,
                Stream::Tls(tls) => tls.get_ref().0,
            };
            // If the socket is gone already there is nothing left to reset.
            let _ = tcp.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        };
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.link.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
