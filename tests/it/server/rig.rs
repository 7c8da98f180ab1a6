//! A server on a port of its own in front of a service that records, and clients that speak bytes.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use gsgate::metrics::Metrics;
use gsgate::server::{BoxError, Config, Drained, Peer, Server, Service};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, PollSemaphore};

/// Longer than anything here takes; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) const GET_OK: &str = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n";

/// Answers by path, and counts.
#[derive(Clone)]
pub(super) struct Probe {
    pub(super) calls: Arc<AtomicUsize>,
    /// `/hold` answers with a permit.
    pub(super) gate: Arc<Semaphore>,
    /// Bodies that exist.
    pub(super) bodies: Arc<AtomicUsize>,
}

/// What a body does.
#[derive(Clone, Copy)]
pub(super) enum Script {
    Text(&'static str),
    /// Never ends.
    Endless,
    /// Four bytes and, with a permit of the gate, an error; with or without a length that promises more.
    Broken {
        length: Option<u64>,
    },
}

pub(super) struct Scripted {
    script: Script,
    text: Option<Bytes>,
    gate: PollSemaphore,
    _alive: Alive,
}

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let data = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        match (self.script, self.text.take()) {
            (Script::Endless, _) => data(Bytes::from_static(&[b'x'; 16 * 1024])),
            (_, Some(text)) => data(text),
            (Script::Broken { .. }, None) => {
                ready!(self.gate.poll_acquire(cx)).expect("the gate is never closed").forget();
                Poll::Ready(Some(Err("upstream broke".into())))
            }
            (Script::Text(_), None) => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.text, self.script) {
            (Some(text), Script::Text(_)) => SizeHint::with_exact(text.len() as u64),
            (_, Script::Broken { length: Some(length) }) => SizeHint::with_exact(length),
            _ => SizeHint::default(),
        }
    }
}

impl Service for Probe {
    type Body = Scripted;

    fn handle(
        &self,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Scripted>> + Send + use<> {
        let probe = self.clone();
        async move { probe.respond(request, peer).await }
    }
}

impl Probe {
    async fn respond(&self, request: Request<Incoming>, peer: Peer) -> Response<Scripted> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let script = match request.uri().path() {
            "/hold" => {
                self.gate.acquire().await.expect("the gate is never closed").forget();
                Script::Text("held")
            }
            "/endless" => Script::Endless,
            "/broken" => Script::Broken { length: Some(100) },
            "/broken-chunked" => Script::Broken { length: None },
            _ => Script::Text("ok"),
        };
        let text = match script {
            Script::Text(text) => Some(Bytes::from_static(text.as_bytes())),
            Script::Broken { .. } => Some(Bytes::from_static(b"half")),
            Script::Endless => None,
        };
        self.bodies.fetch_add(1, Ordering::SeqCst);
        let gate = PollSemaphore::new(Arc::clone(&self.gate));
        let mut response = Response::new(Scripted { script, text, gate, _alive: Alive(Arc::clone(&self.bodies)) });
        let peer = format!("{} tls={}", peer.address, peer.tls);
        response.headers_mut().insert("x-peer", peer.parse().expect("an address is a header value"));
        response
    }
}

/// A server that runs.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) probe: Probe,
    pub(super) metrics: Metrics,
    pub(super) stop: CancellationToken,
    pub(super) tls: Option<gsgate::server::Tls>,
    done: JoinHandle<Drained>,
}

/// Starts a server from the text of a `[server]` section.
pub(super) fn serve(section: &str) -> Running {
    let text = format!("listen = \"127.0.0.1:0\"\n{section}");
    serve_config(&toml::from_str(&text).expect("the section is good"))
}

pub(super) fn serve_config(config: &Config) -> Running {
    let metrics = Metrics::new();
    let probe = Probe { calls: Arc::default(), gate: Arc::new(Semaphore::new(0)), bodies: Arc::default() };
    let server = Server::bind(config, metrics.clone())
        .expect("the server binds")
        .with_certificate_poll(Duration::from_millis(5));
    let (address, tls) = (server.local_addrs()[0], server.tls().cloned());
    let stop = CancellationToken::new();
    let done = tokio::spawn(server.run(probe.clone(), stop.clone()));
    Running { address, probe, metrics, stop, tls, done }
}

impl Running {
    pub(super) fn calls(&self) -> usize {
        self.probe.calls.load(Ordering::SeqCst)
    }

    pub(super) async fn connect(&self) -> TcpStream {
        within(TcpStream::connect(self.address)).await.expect("the server accepts")
    }

    /// Everything that comes back until the connection ends.
    pub(super) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // The server may close before it has read everything.
        let _ = stream.write_all(bytes.as_ref()).await;
        rest(&mut stream).await
    }

    pub(super) async fn h2(&self) -> http2::SendRequest<String> {
        h2_over(self.connect().await).await
    }

    /// A client that opens its windows only so far.
    pub(super) async fn h2_with_window(&self, bytes: u32) -> http2::SendRequest<String> {
        let mut client = http2::Builder::new(TokioExecutor::new());
        client.initial_stream_window_size(bytes);
        let handshake = client.handshake(TokioIo::new(self.connect().await));
        let (sender, connection) = within(handshake).await.expect("the server speaks HTTP/2");
        tokio::spawn(connection);
        sender
    }

    /// Waits until a line of the metrics page is there.
    pub(super) async fn counted(&self, line: &str) {
        until(|| self.metrics.encode().lines().any(|l| l == line)).await;
    }

    pub(super) async fn drained(self) -> Drained {
        self.stop.cancel();
        within(self.done).await.expect("the server does not panic")
    }
}

pub(super) async fn h2_over<T>(stream: T) -> http2::SendRequest<String>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        within(http2::handshake(TokioExecutor::new(), TokioIo::new(stream))).await.expect("the server speaks HTTP/2");
    tokio::spawn(connection);
    sender
}

pub(super) fn h2_get(path: &str) -> Request<String> {
    Request::get(format!("http://a{path}")).body(String::new()).expect("a request")
}

pub(super) fn h2_head(path: &str) -> Request<String> {
    Request::head(format!("http://a{path}")).body(String::new()).expect("a request")
}

/// Everything up to the end of the stream, be it neat or not.
pub(super) async fn rest<T: AsyncRead + Unpin>(stream: &mut T) -> String {
    let mut bytes = Vec::new();
    let _ = within(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one answer whose end is known, so that the connection can go on.
pub(super) async fn answer<T: AsyncRead + Unpin>(stream: &mut T, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let Ok(byte) = within(stream.read_u8()).await else { break };
        bytes.push(byte);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(super) async fn until(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub(super) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("this does not take half a minute")
}
