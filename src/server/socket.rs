//! The socket as hyper sees it: it reports its traffic and closes without losing the last answer.
//!
//! A socket that is closed with unread bytes sends a reset, which can destroy an answer such as 431 on its way.
//! So closing shuts down our direction, then reads and forgets for a short while: RFC 9112, section 9.6.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::server::activity::Activity;

/// How long a closed connection goes on reading.
const LINGER: Duration = Duration::from_secs(1);
/// How much it reads.
const LINGER_BYTES: usize = 512 * 1024;
/// Bytes of one read. hyper makes its buffer larger whenever a read fills it, and would go on up to 256 KiB for whoever
/// sends much.
const MOST_READ: usize = 64 * 1024 - 1;

/// What is known of the bytes on their way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// The socket took all that it was given.
    Flows,
    /// The socket did not take the last bytes.
    HeldBack,
    /// There will be no more.
    Closed,
}

/// A stream whose traffic is noted.
pub(super) struct Socket<T> {
    stream: T,
    activity: Activity,
    /// Was read, and noted, before; comes first.
    unread: Bytes,
    /// The stream did not take the last bytes.
    held_back: bool,
    closing: Option<Pin<Box<Sleep>>>,
    forgotten: usize,
}

impl<T> Socket<T> {
    pub(super) fn new(stream: T, activity: Activity) -> Self {
        Self { stream, activity, unread: Bytes::new(), held_back: false, closing: None, forgotten: 0 }
    }

    /// Takes bytes back, to be read once more.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        self.unread = bytes;
        self.let_go();
    }

    /// Nothing of a buffer may still be all of it.
    fn let_go(&mut self) {
        if self.unread.is_empty() {
            self.unread = Bytes::new();
        }
    }

    fn wrote(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(result, Poll::Ready(Ok(1..))) {
            self.activity.wrote();
        }
        self.flows(result.is_ready());
        result
    }

    /// Notes whether the stream takes what it is given.
    fn flows(&mut self, flows: bool) {
        if self.held_back == flows {
            self.held_back = !flows;
            self.activity.output(if flows { Output::Flows } else { Output::HeldBack });
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Socket<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let count = buf.remaining().min(self.unread.len()).min(MOST_READ);
            buf.put_slice(&self.unread[..count]);
            self.unread.advance(count);
            self.let_go();
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut (&mut self.stream).take(MOST_READ as u64)).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.read(&buf.filled()[before..]);
        }
        result
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.flows(result.is_ready());
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            this.activity.output(Output::Closed);
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let closing = this.closing.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut bytes = [0; 4096];
        loop {
            if closing.as_mut().poll(cx).is_ready() || this.forgotten > LINGER_BYTES {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => this.forgotten += buf.filled().len(),
                // Our answer is out; how the client leaves does not matter.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;
    use crate::server::Limits;

    fn rests(activity: &Activity) -> bool {
        activity.deadline(&Limits::default(), Instant::now()).rests_since.is_some()
    }

    /// A connection that has answered one request, and the client's end of it.
    fn answered(content: bool) -> (Activity, Socket<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (client, server) = tokio::io::duplex(8);
        let activity = Activity::new(Instant::now());
        drop(activity.begin(false, content));
        (activity.clone(), Socket::new(server, activity), client)
    }

    #[tokio::test]
    async fn a_connection_rests_once_the_client_has_taken_all() {
        let (activity, mut socket, mut client) = answered(false);
        assert!(rests(&activity));
        let (sent, ()) = tokio::join!(socket.write_all(b"more than eight"), async {
            assert!(!rests(&activity), "the client has not taken all");
            client.read_exact(&mut [0; 15]).await.unwrap();
        });
        sent.unwrap();
        assert!(rests(&activity));
        client.write_all(b"GET").await.unwrap();
        socket.read_exact(&mut [0; 3]).await.unwrap();
        assert!(!rests(&activity), "a head has begun");
    }

    #[tokio::test]
    async fn a_connection_does_not_rest_that_closes_or_may_still_get_content() {
        let (activity, _socket, _client) = answered(true);
        assert!(!rests(&activity));
        let (activity, mut socket, client) = answered(false);
        drop(client);
        socket.shutdown().await.unwrap();
        assert!(!rests(&activity));
    }

    #[tokio::test]
    async fn what_was_taken_back_comes_first() {
        let (_activity, mut socket, mut client) = answered(false);
        socket.unread(Bytes::from_static(b"abc"));
        client.write_all(b"def").await.unwrap();
        let mut bytes = [0; 6];
        socket.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"abcdef");
    }

    #[tokio::test]
    async fn what_was_read_once_more_is_let_go_of() {
        struct Owner(std::sync::Arc<[u8; 4]>);
        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                &*self.0
            }
        }
        let (_, mut socket, _client) = answered(false);
        let held = std::sync::Arc::new(*b"GET ");
        socket.unread(Bytes::from_owner(Owner(held.clone())));
        let mut bytes = [0; 4];
        socket.read_exact(&mut bytes).await.unwrap();
        assert_eq!((&bytes, std::sync::Arc::strong_count(&held)), (b"GET ", 1));
    }
}
