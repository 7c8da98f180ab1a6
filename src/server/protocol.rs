//! What of HTTP a connection holds at the moment: nothing while it is quiet, or the state of the protocol that it speaks.
//!
//! The client's first bytes tell HTTP/2 from HTTP/1. Between two requests of HTTP/1 nothing but the socket is kept, since
//! hyper's state takes three times as much memory as all the rest of an idle connection.
//! Decides nothing about time: `connection` says when a connection has been quiet for long enough.
//! Follows <https://www.rfc-editor.org/rfc/rfc9113#section-3.4> (the preface).

use std::convert::Infallible;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf as _;
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::server::body::BoxError;
use crate::server::socket::Socket;
use crate::server::streams::Streams;
use crate::server::takeover::{Handover, Tunnel};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Most heads come in one piece of this size.
const FIRST_READ: usize = 4096;
/// Largest head of a request, and largest trailers; the least that holds a target and headers at their limits.
const HTTP1_HEAD: usize = 64 * 1024;
/// Bytes of an answer that wait for the client before more are asked for: what is read from GCS at once is written at once.
/// To hyper it is the most that it reads ahead as well, of which [`Socket`] gives it less.
const HTTP1_BUFFER: usize = 256 * 1024;
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

type Io<T> = TokioIo<Box<Socket<T>>>;

/// A connection's protocol.
pub(super) struct Protocol<T, S: HttpService<Incoming>> {
    state: State<T, S>,
    streams: Streams,
    handover: Handover,
}

enum State<T, S: HttpService<Incoming>> {
    /// No byte of a request is there, or too few to tell.
    Quiet {
        socket: Box<Socket<T>>,
        service: S,
        heard: Vec<u8>,
        spoken: Spoken,
    },
    Http1(Box<http1::Connection<Io<T>, S>>),
    Http2(Pin<Box<http2::Connection<Io<T>, S, Streams>>>),
    /// HTTP/1 has given way to another protocol.
    Tunnel(Tunnel),
    Closing(Box<Socket<T>>),
    Closed,
}

/// What a quiet connection has spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Nothing,
    Http1,
}

/// What bytes may be the beginning of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    Unclear,
    Http1,
    Http2,
}

impl<T, S, B> Protocol<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = B, Error = Infallible>,
    S::Future: Send + 'static,
    B: Body<Error = BoxError> + Send + 'static,
    B::Data: Send,
{
    pub(super) fn new(socket: Box<Socket<T>>, service: S, streams: Streams, handover: Handover) -> Self {
        let state = State::Quiet { socket, service, heard: Vec::new(), spoken: Spoken::Nothing };
        Self { state, streams, handover }
    }

    /// Serves until the connection ends.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            match &mut self.state {
                State::Quiet { socket, heard, spoken, .. } => match ready!(listen(socket, heard, cx)) {
                    Err(error) => return Poll::Ready(Err(error.into())),
                    // Nobody is there who could be answered.
                    Ok(0) if heard.is_empty() => self.close(),
                    Ok(0) => self.speak(Beginning::Http1),
                    Ok(_) if *spoken == Spoken::Http1 => self.speak(Beginning::Http1),
                    Ok(_) => {
                        let beginning = Beginning::of(heard);
                        self.speak(beginning);
                    }
                },
                State::Http1(connection) => match ready!(Pin::new(&mut **connection).poll(cx)) {
                    Ok(()) => self.hand_over(),
                    Err(error) => return Poll::Ready(Err(error.into())),
                },
                State::Http2(connection) => return connection.as_mut().poll(cx).map_err(Into::into),
                State::Tunnel(tunnel) => return tunnel.as_mut().poll(cx).map(Ok),
                State::Closing(socket) => return Pin::new(&mut **socket).poll_shutdown(cx).map_err(Into::into),
                State::Closed => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Takes no further request.
    pub(super) fn graceful_shutdown(&mut self) {
        match &mut self.state {
            State::Quiet { .. } => self.close(),
            State::Http1(connection) => Pin::new(&mut **connection).graceful_shutdown(),
            State::Http2(connection) => connection.as_mut().graceful_shutdown(),
            State::Tunnel(_) => self.state = State::Closed,
            State::Closing(_) | State::Closed => {}
        }
    }

    /// Whether there is more than a socket.
    pub(super) fn is_http1(&self) -> bool {
        matches!(self.state, State::Http1(_))
    }

    /// Lets go of all but the socket. Only for a connection on which nothing is under way.
    pub(super) fn rest(&mut self) {
        self.state = match mem::replace(&mut self.state, State::Closed) {
            State::Http1(connection) => {
                let http1::Parts { io, mut read_buf, service, .. } = connection.into_parts();
                let mut socket = io.into_inner();
                // Empty lines are nothing: given back, they would be read and rested on for ever.
                let empty = read_buf.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                read_buf.advance(empty);
                socket.unread(read_buf);
                State::Quiet { socket, service, heard: Vec::new(), spoken: Spoken::Http1 }
            }
            other => other,
        };
    }

    /// The last request of HTTP/1 is answered: with a change of protocol, or the connection ends. hyper does not end one on
    /// which a change was only asked for.
    fn hand_over(&mut self) {
        self.state = match mem::replace(&mut self.state, State::Closed) {
            State::Http1(connection) => {
                let http1::Parts { io, read_buf, .. } = connection.into_parts();
                let mut socket = io.into_inner();
                socket.unread(read_buf);
                self.handover.begin(socket).map_or_else(State::Closing, State::Tunnel)
            }
            other => other,
        };
    }

    fn close(&mut self) {
        self.state = match mem::replace(&mut self.state, State::Closed) {
            State::Quiet { socket, .. } => State::Closing(socket),
            other => other,
        };
    }

    fn speak(&mut self, beginning: Beginning) {
        if beginning == Beginning::Unclear {
            return;
        }
        self.state = match mem::replace(&mut self.state, State::Closed) {
            State::Quiet { mut socket, service, heard, .. } => {
                socket.unread(heard.into());
                let io = TokioIo::new(socket);
                if beginning == Beginning::Http2 {
                    State::Http2(Box::pin(http2(self.streams.clone()).serve_connection(io, service)))
                } else {
                    State::Http1(Box::new(http1().serve_connection(io, service)))
                }
            }
            other => other,
        };
    }
}

impl Beginning {
    fn of(heard: &[u8]) -> Self {
        if heard.starts_with(PREFACE) {
            Self::Http2
        } else if PREFACE.starts_with(heard) {
            Self::Unclear
        } else {
            Self::Http1
        }
    }
}

/// Waits for bytes, with no buffer of its own meanwhile; tells how many came.
fn listen<T: AsyncRead + Unpin>(
    socket: &mut Socket<T>,
    heard: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut bytes = [mem::MaybeUninit::uninit(); FIRST_READ];
    let mut buf = ReadBuf::uninit(&mut bytes);
    ready!(Pin::new(socket).poll_read(cx, &mut buf))?;
    heard.extend_from_slice(buf.filled());
    Poll::Ready(Ok(buf.filled().len()))
}

fn http1() -> http1::Builder {
    let mut http = http1::Builder::new();
    // hyper's own header timeout cannot tell a slow head from an idle connection, see `activity`.
    http.timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_header_size(HTTP1_HEAD)
        .max_buf_size(HTTP1_BUFFER)
        .writev(true);
    http
}

fn http2(streams: Streams) -> http2::Builder<Streams> {
    let mut http = http2::Builder::new(streams);
    http.timer(TokioTimer::new())
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt as _, Full};
    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::time::Instant;

    use super::*;
    use crate::server::activity::Activity;

    async fn answer(client: &mut DuplexStream, end: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        while !answer.ends_with(end) {
            assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0, "{}", String::from_utf8_lossy(&answer));
        }
        answer
    }

    #[tokio::test]
    async fn a_connection_that_has_rested_goes_on() {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let activity = Activity::new(Instant::now());
        let service = service_fn(|request: Request<Incoming>| async move {
            let path = Bytes::from(request.uri().path().to_owned());
            Ok::<_, Infallible>(Response::new(Full::new(path).map_err(BoxError::from)))
        });
        let socket = Box::new(Socket::new(server, activity.clone()));
        let handover = Handover::new(activity.clone());
        let mut protocol = Protocol::new(socket, service, Streams::new(activity), handover);
        for path in ["/1", "/2", "/3"] {
            // An empty line too many is what a rest may find unread.
            client.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n\r\n").as_bytes()).await.unwrap();
            tokio::select! {
                _ = poll_fn(|cx| protocol.poll(cx)) => panic!("the connection ended"),
                _ = answer(&mut client, path.as_bytes()) => {}
            }
            assert!(protocol.is_http1());
            protocol.rest();
            let quiet = poll_fn(|cx| Poll::Ready(protocol.poll(cx).is_pending())).await;
            assert!(quiet && !protocol.is_http1(), "an empty line is nothing to wake up for");
        }
        drop(client);
        poll_fn(|cx| protocol.poll(cx)).await.unwrap();
    }

    #[test]
    fn the_preface_is_told_from_every_other_beginning() {
        for (heard, beginning) in [
            (&b"P"[..], Beginning::Unclear),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", Beginning::Unclear),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", Beginning::Http2),
            (b"GET", Beginning::Http1),
            (b"PUT", Beginning::Http1),
            (b"PRI * HTTP/2.0\r\n\r\nSN", Beginning::Http1),
            (b"\r\n", Beginning::Http1),
        ] {
            assert_eq!(Beginning::of(heard), beginning, "{}", String::from_utf8_lossy(heard));
        }
    }
}
