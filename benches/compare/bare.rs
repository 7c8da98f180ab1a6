//! hyper with nothing around it: what a proxy costs that neither checks, limits, remembers, counts nor logs anything.
//!
//! Plain text only. Takes requests by hyper's server on one thread, asks the origin on resting connections with a request
//! written by hand, finds the answer's length and passes its bytes on as they come. A measure for gsgate, and no gateway.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderValue, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio_util::io::poll_read_buf;

/// A picture of 100 KB and its head.
const ROOM: usize = 112 * 1024;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// The origin in plain text.
    #[arg(long)]
    origin: SocketAddr,
    /// What redirects lead to.
    #[arg(long)]
    url: String,
}

/// Connections to the origin that rest, each with its buffer.
type Pool = Rc<RefCell<Vec<(TcpStream, BytesMut)>>>;

/// Serves until it is killed.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let (listener, pool) = (TcpListener::bind(arguments.listen).await?, Pool::default());
        let arguments = Rc::new(arguments);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (arguments, pool) = (Rc::clone(&arguments), Rc::clone(&pool));
            let service = service_fn(move |request| answer(Rc::clone(&arguments), Rc::clone(&pool), request));
            spawn_local(async move {
                // Whoever goes away in the middle is no concern of ours.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

async fn answer(
    arguments: Rc<Arguments>,
    pool: Pool,
    request: Request<Incoming>,
) -> Result<Response<Relay>, Infallible> {
    let (folder, name) = request.uri().path()[1..].split_once('/').unwrap_or_default();
    if folder == "signed" {
        let mut response = Response::new(Relay { left: 0, first: Bytes::new(), link: None, pool });
        *response.status_mut() = StatusCode::FOUND;
        response.headers_mut().insert(LOCATION, HeaderValue::from_str(&arguments.url).expect("a legal URL"));
        return Ok(response);
    }
    Ok(fetch(arguments.origin, pool, folder, name).await.expect("the origin answers"))
}

async fn fetch(origin: SocketAddr, pool: Pool, folder: &str, name: &str) -> io::Result<Response<Relay>> {
    let resting = pool.borrow_mut().pop();
    let (mut stream, mut buffer) = match resting {
        Some(link) => link,
        None => (TcpStream::connect(origin).await?, BytesMut::new()),
    };
    stream.set_nodelay(true)?;
    let head = ["GET /storage/v1/b/bench-", folder, "/o/", name, "?alt=media HTTP/1.1\r\nhost: localhost\r\n\r\n"];
    stream.write_all(head.concat().as_bytes()).await?;
    room(&mut buffer);
    let end = loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let left = length(&buffer[..end]).ok_or(io::ErrorKind::InvalidData)?;
    buffer.advance(end);
    let mut response =
        Response::new(Relay { left, first: buffer.split().freeze(), link: Some((stream, buffer)), pool });
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(left));
    Ok(response)
}

fn length(head: &[u8]) -> Option<u64> {
    let name = b"\r\ncontent-length: ";
    let start = head.windows(name.len()).position(|part| part == name)? + name.len();
    let digits = head[start..].split(|byte| *byte == b'\r').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn room(buffer: &mut BytesMut) {
    if buffer.capacity() < ROOM / 4 && !buffer.try_reclaim(ROOM) {
        *buffer = BytesMut::with_capacity(ROOM);
    }
}

/// A body on its way through; gives its connection back at the end.
struct Relay {
    left: u64,
    first: Bytes,
    link: Option<(TcpStream, BytesMut)>,
    pool: Pool,
}

impl Body for Relay {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let Some((stream, buffer)) = &mut this.link else { return Poll::Ready(None) };
        if this.first.is_empty() && this.left > 0 {
            room(buffer);
            if ready!(poll_read_buf(pin!(stream), cx, buffer))? == 0 {
                return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
            }
            this.first = buffer.split().freeze();
        }
        let piece = std::mem::take(&mut this.first);
        this.left -= piece.len() as u64;
        if this.left == 0 {
            this.pool.borrow_mut().extend(this.link.take());
        }
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
