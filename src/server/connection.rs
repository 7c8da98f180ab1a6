//! One client connection from its first byte to its end: PROXY header, TLS, requests, limits.
//!
//! Everything here has a deadline. What a request means is the service's business.
//! Follows <https://www.rfc-editor.org/rfc/rfc9112> and <https://www.rfc-editor.org/rfc/rfc9113>.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::metrics::{Held, Metrics};
use crate::server::activity::{Activity, Deadline, Exchange, Overdue};
use crate::server::body::Outgoing;
use crate::server::socket::Socket;
use crate::server::streams::Streams;
use crate::server::{Config, Limits, Peer, Service, Tls, proxy_protocol, refusal, request_head};

/// Largest head and write buffer of an HTTP/1 connection; the least that holds a target and headers at their limits.
const HTTP1_BUFFER: usize = 64 * 1024;
const HTTP2_STREAMS: u32 = 100;
const HTTP2_HEADERS: u32 = 32 * 1024;
/// Clients have nothing to upload.
const HTTP2_RECEIVE_WINDOW: u32 = 64 * 1024;
/// Bytes of one stream that wait for the client.
const HTTP2_SEND_BUFFER: usize = 64 * 1024;
/// Streams that a client may open and reset before we take them, and that may fail by its own fault.
const HTTP2_RESETS: usize = 20;
const HTTP2_ERRORS: usize = 100;
const HTTP2_PING: Duration = Duration::from_secs(20);
/// How long a connection that has just come, or has begun a request, is waited for when the server ends.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// What all connections of a server share.
pub(super) struct Shared<S> {
    pub(super) service: S,
    pub(super) config: Config,
    pub(super) tls: Option<Tls>,
    pub(super) metrics: Metrics,
    /// No further requests.
    pub(super) leave: CancellationToken,
    /// No further bytes.
    pub(super) kill: CancellationToken,
}

impl<S: Service> Shared<S> {
    pub(super) fn new(service: S, config: Config, tls: Option<Tls>, metrics: Metrics) -> Self {
        let (leave, kill) = (CancellationToken::new(), CancellationToken::new());
        Self { service, config, tls, metrics, leave, kill }
    }

    /// Serves a connection until it ends; true if it was killed.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream, address: SocketAddr, listener: SocketAddr) -> bool {
        let _open = Held::new(self.metrics.connections_open());
        self.metrics.connection_accepted();
        let peer = Peer { address, listener, tls: self.tls.is_some() };
        tokio::select! {
            () = self.kill.cancelled() => true,
            () = self.establish(stream, peer) => false,
        }
    }

    async fn establish(&self, mut stream: TcpStream, mut peer: Peer) {
        let opened = Instant::now();
        let deadline = opened + self.config.limits.header_timeout;
        // Pieces are large or last; delaying the last to fill a packet helps nobody.
        let _ = stream.set_nodelay(true);
        if self.config.proxy_protocol {
            match timeout_at(deadline, self.client_of(&mut stream, peer.address)).await {
                Ok(Some(address)) => peer.address = address,
                Ok(None) => return,
                Err(_) => return self.metrics.connection_refused("proxy-header-timeout"),
            }
        }
        let activity = Activity::new(opened);
        let Some(tls) = &self.tls else { return self.drive(stream, peer, activity).await };
        match timeout_at(deadline, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => self.drive(stream, peer, activity).await,
            Ok(Err(error)) => {
                tracing::debug!(peer = %peer.address, %error, "TLS handshake failed");
                self.metrics.connection_refused("tls");
            }
            Err(_) => self.metrics.connection_refused("tls-timeout"),
        }
    }

    async fn client_of(&self, stream: &mut TcpStream, peer: SocketAddr) -> Option<SocketAddr> {
        if !self.config.trusts(peer.ip()) {
            tracing::debug!(%peer, "connection from outside trusted_proxies");
            self.metrics.connection_refused("untrusted-proxy");
            return None;
        }
        match proxy_protocol::read(stream).await {
            Ok(proxy_protocol::Source::Peer) => Some(peer),
            Ok(proxy_protocol::Source::Client(client)) => Some(client),
            Err(error) => {
                tracing::debug!(%peer, %error, "no PROXY header");
                self.metrics.connection_refused("proxy-header");
                None
            }
        }
    }

    async fn drive<T>(&self, stream: T, peer: Peer, activity: Activity)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let socket = TokioIo::new(Socket::new(stream, activity.clone()));
        let service = service_fn(|request: Request<Incoming>| {
            let multiplexed = request.version() == Version::HTTP_2;
            let exchange = activity.begin(multiplexed, !request.body().is_end_stream(), Instant::now());
            let service = self.service.clone();
            async move { Ok::<_, Infallible>(answer(service, request, peer, exchange).await) }
        });
        let http = http(Streams::new(activity.clone()));
        let mut connection = pin!(http.serve_connection(socket, service));
        let mut leave = pin!(self.leave.cancelled());
        let mut alarm = pin!(sleep_until(Instant::now() + self.config.limits.header_timeout));
        let mut course = Course::Open;
        loop {
            let event = poll_fn(|cx| {
                if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                    return Poll::Ready(Event::Ended(result.err()));
                }
                if course == Course::Open && leave.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Leave);
                }
                let due = course.deadline(&activity, &self.config.limits, Instant::now()).at;
                if due < alarm.deadline() {
                    alarm.as_mut().reset(due);
                }
                alarm.as_mut().poll(cx).map(|()| Event::Alarm)
            })
            .await;
            let now = Instant::now();
            match event {
                Event::Ended(error) => return self.ended(error, peer),
                Event::Leave => course = Course::Leaving(now + LAST_REQUEST),
                Event::Alarm => {}
            }
            let deadline = course.deadline(&activity, &self.config.limits, now);
            match deadline.overdue.filter(|_| deadline.at <= now) {
                Some(Overdue::Idle) if course == Course::Open => course = Course::Leaving(now),
                Some(overdue @ Overdue::StalledStream) => {
                    for _ in 0..activity.cut_streams(&self.config.limits, now) {
                        self.cut(overdue, peer);
                    }
                }
                Some(overdue) => return self.cut(overdue, peer),
                None => {}
            }
            if course.is_over(&activity, now) {
                connection.as_mut().graceful_shutdown();
                course = Course::Closing(now + self.config.limits.header_timeout);
            }
            alarm.as_mut().reset(course.deadline(&activity, &self.config.limits, now).at);
        }
    }

    fn ended(&self, error: Option<Box<dyn std::error::Error + Send + Sync>>, peer: Peer) {
        let Some(error) = error else { return };
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            self.metrics.connection_cut("malformed");
        }
        tracing::debug!(peer = %peer.address, error = &*error as &dyn std::error::Error, "connection broke");
    }

    fn cut(&self, overdue: Overdue, peer: Peer) {
        let reason = match overdue {
            Overdue::Header => "header-timeout",
            Overdue::Idle => "idle",
            Overdue::Stalled | Overdue::StalledStream => "stalled",
        };
        tracing::debug!(peer = %peer.address, ?overdue, "cut");
        self.metrics.connection_cut(reason);
    }
}

enum Event {
    Ended(Option<Box<dyn std::error::Error + Send + Sync>>),
    Leave,
    Alarm,
}

/// How a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// Requests are welcome.
    Open,
    /// The server ends, or the client rests: a request that is about to come has until then.
    Leaving(Instant),
    /// Requests in flight are finished, then the connection is closed; if it rests, by then.
    Closing(Instant),
}

impl Course {
    /// Whether it is time to close.
    fn is_over(self, activity: &Activity, now: Instant) -> bool {
        matches!(self, Self::Leaving(until) if now >= until || !activity.expects_request())
    }

    /// When to look again.
    fn deadline(self, activity: &Activity, limits: &Limits, now: Instant) -> Deadline {
        let deadline = activity.deadline(limits, now);
        match self {
            Self::Leaving(_) if !activity.expects_request() => Deadline { at: now, overdue: None },
            Self::Leaving(until) if until < deadline.at => Deadline { at: until, overdue: None },
            Self::Closing(until) if deadline.overdue == Some(Overdue::Idle) => {
                Deadline { at: deadline.at.max(until), ..deadline }
            }
            _ => deadline,
        }
    }
}

async fn answer<S: Service>(
    service: S,
    request: Request<Incoming>,
    peer: Peer,
    exchange: Exchange,
) -> Response<Outgoing<S::Body>> {
    let (head, body) = request.into_parts();
    let is_head = head.method == Method::HEAD;
    let response = if let Err(malformed) = request_head::check(&head) {
        refusal::answer(&head, malformed, peer).map(|body| Outgoing::refused(body, exchange))
    } else {
        let response = service.handle(Request::from_parts(head, body), peer).await;
        response.map(|body| Outgoing::served(body, exchange))
    };
    if is_head { headless(response) } else { response }
}

/// Leaves the answer to HEAD the length that GET would have, but no body.
fn headless<B>(mut response: Response<Outgoing<B>>) -> Response<Outgoing<B>>
where
    Outgoing<B>: Body,
{
    if let Some(length @ 1..) = response.body().size_hint().exact() {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
    }
    response.map(Outgoing::withheld)
}

fn http(streams: Streams) -> auto::Builder<Streams> {
    let mut http = auto::Builder::new(streams);
    // hyper's own header timeout cannot tell a slow head from an idle connection, see `activity`.
    http.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HTTP1_BUFFER).writev(true);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(HTTP2_HEADERS)
        .initial_stream_window_size(HTTP2_RECEIVE_WINDOW)
        .initial_connection_window_size(HTTP2_RECEIVE_WINDOW)
        .max_send_buf_size(HTTP2_SEND_BUFFER)
        .max_pending_accept_reset_streams(HTTP2_RESETS)
        .max_local_error_reset_streams(HTTP2_ERRORS)
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PING);
    http
}
