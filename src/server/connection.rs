//! One client connection from its first byte to its end: PROXY header, TLS, requests, limits.
//!
//! Everything here has a deadline. What a request means is the service's business.
//! Follows <https://www.rfc-editor.org/rfc/rfc9112> and <https://www.rfc-editor.org/rfc/rfc9113>.

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::Either;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::metrics::{Held, Metrics};
use crate::server::activity::{Activity, Deadline, Exchange, Overdue};
use crate::server::alarm::Alarm;
use crate::server::body::Outgoing;
use crate::server::notice::Notice;
use crate::server::protocol::Protocol;
use crate::server::request_head::Wish;
use crate::server::socket::Socket;
use crate::server::streams::Streams;
use crate::server::takeover::Handover;
use crate::server::{Config, Limits, Peer, Service, Tls, proxy_protocol, refusal, request_head};

/// How long a connection rests before it lets go of all memory that it can do without.
const REST: Duration = Duration::from_millis(200);
/// How long a connection that has just come, or has begun a request, is waited for when the server ends.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// What all connections of a server share.
pub(super) struct Shared<S> {
    pub(super) service: S,
    pub(super) config: Config,
    pub(super) tls: Option<Tls>,
    pub(super) metrics: Metrics,
    /// No further requests.
    pub(super) leave: Notice,
    /// No further bytes.
    pub(super) kill: Notice,
}

impl<S: Service> Shared<S> {
    pub(super) fn new(service: S, config: Config, tls: Option<Tls>, metrics: Metrics) -> Self {
        Self { service, config, tls, metrics, leave: Notice::default(), kill: Notice::default() }
    }

    /// Serves a connection until it ends; true if it was killed.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream, address: SocketAddr, listener: SocketAddr) -> bool {
        let _open = Held::new(self.metrics.connections_open());
        self.metrics.connection_accepted();
        let peer = Peer { address, listener, tls: self.tls.is_some() };
        tokio::select! {
            biased;
            () = self.kill.given() => true,
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
        let Some(tls) = &self.tls else {
            let socket = Box::new(Socket::new(stream, activity.clone()));
            return self.drive(socket, peer, activity).await;
        };
        let accepted = timeout_at(deadline, tls.acceptor().accept(stream)).await;
        match accepted.map(|accepted| accepted.map(|stream| Box::new(Socket::new(stream, activity.clone())))) {
            Ok(Ok(socket)) => self.drive(socket, peer, activity).await,
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

    async fn drive<T>(&self, socket: Box<Socket<T>>, peer: Peer, activity: Activity)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handover = Handover::new(activity.clone());
        let service = service_fn(|request: Request<Incoming>| {
            let multiplexed = request.version() == Version::HTTP_2;
            let exchange = activity.begin(multiplexed, !request.body().is_end_stream());
            answer(&self.service, request, (peer, exchange), &handover)
        });
        let mut protocol = Protocol::new(socket, service, Streams::new(activity.clone()), handover.clone());
        let mut leave = pin!(self.leave.given());
        let timer = pin!(sleep_until(Instant::now() + self.config.limits.header_timeout));
        let mut alarm = Alarm::new(timer);
        let mut course = Course::Open;
        loop {
            let event = poll_fn(|cx| {
                if let Poll::Ready(result) = protocol.poll(cx) {
                    return Poll::Ready(Event::Ended(result.err()));
                }
                if course == Course::Open && leave.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Leave);
                }
                if let Some(due) = course.look_at(&activity, &self.config.limits, protocol.is_http1()) {
                    alarm.bring_forward(due);
                }
                alarm.poll(cx).map(|()| Event::Alarm)
            })
            .await;
            let now = Instant::now();
            match event {
                Event::Ended(error) => return self.ended(error, peer),
                Event::Leave => course = Course::Leaving(now + LAST_REQUEST),
                Event::Alarm => {}
            }
            let deadline = course.deadline(&activity, &self.config.limits, now);
            if course == Course::Open
                && protocol.is_http1()
                && deadline.rests_since.is_some_and(|since| since + REST <= now)
            {
                protocol.rest();
            }
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
                protocol.graceful_shutdown();
                course = Course::Closing(now + self.config.limits.header_timeout);
            }
            alarm.set(course.deadline(&activity, &self.config.limits, now).at);
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

    /// When to look again, if it is not before; `awake` says whether there is something to let go of.
    ///
    /// Reads the clock, for all that has happened since it was read before, unless none of that has a limit.
    fn look_at(self, activity: &Activity, limits: &Limits, awake: bool) -> Option<Instant> {
        let deadline = match self {
            Self::Open => activity.look(limits, Instant::now)?,
            Self::Leaving(_) | Self::Closing(_) => self.deadline(activity, limits, Instant::now()),
        };
        let rest = deadline.rests_since.filter(|_| awake && self == Self::Open);
        Some(rest.map_or(deadline.at, |since| deadline.at.min(since + REST)))
    }

    /// When something is overdue.
    fn deadline(self, activity: &Activity, limits: &Limits, now: Instant) -> Deadline {
        let deadline = activity.deadline(limits, now);
        match self {
            Self::Leaving(_) if !activity.expects_request() => Deadline { at: now, overdue: None, ..deadline },
            Self::Leaving(until) if until < deadline.at => Deadline { at: until, overdue: None, ..deadline },
            Self::Closing(until) if deadline.overdue == Some(Overdue::Idle) => {
                Deadline { at: deadline.at.max(until), ..deadline }
            }
            _ => deadline,
        }
    }
}

/// Not an async function: that would hold the service's future twice, and all that a future holds is moved for each request.
fn answer<S: Service>(
    service: &S,
    request: Request<Incoming>,
    (peer, exchange): (Peer, Exchange),
    handover: &Handover,
) -> impl Future<Output = Result<Response<Outgoing<S::Body>>, Infallible>> + use<S> {
    let (head, body) = request.into_parts();
    let is_head = head.method == Method::HEAD;
    let complete = move |response| Ok(if is_head { headless(response) } else { response });
    let wish = match request_head::check(&head) {
        Ok(wish) => wish,
        Err(malformed) => {
            let refusal = refusal::answer(&head, malformed, peer).map(|body| Outgoing::refused(body, exchange));
            return Either::Left(ready(complete(refusal)));
        }
    };
    let handover = (wish == Wish::Upgrade).then(|| handover.clone());
    let answer = service.handle(Request::from_parts(head, body), peer);
    Either::Right(answer.map(move |mut response| {
        if let Some(handover) = handover {
            handover.look_at(&mut response);
        }
        complete(response.map(|body| Outgoing::served(body, exchange)))
    }))
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
