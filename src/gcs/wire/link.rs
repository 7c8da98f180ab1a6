//! A stream of bytes to GCS and back, plain or in TLS.
//!
//! Decides how much is read at once. A buffer is taken only when there is something to read into it, so that a thousand
//! answers that are waited for hold none.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

use super::buffers::{Buffers, Wide};
use super::records::{Records, Step};

/// A connection's two directions.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    /// What was read and not passed on: of TLS the part of a record that came.
    buffer: BytesMut,
    buffers: Buffers,
    wide: Option<Wide>,
    records: Option<Box<Records>>,
}

impl Link {
    /// Plain text.
    pub(super) fn plain(stream: TcpStream, buffers: Buffers) -> Self {
        Self { stream, buffer: BytesMut::new(), buffers, wide: None, records: None }
    }

    /// TLS, whose handshake is done; `buffer` is what came behind it.
    pub(super) fn secure(stream: TcpStream, buffers: Buffers, (records, buffer): (Records, BytesMut)) -> Self {
        Self { stream, buffer, buffers, wide: None, records: Some(Box::new(records)) }
    }

    /// The next bytes of the stream, in one piece; `None` at its end. `wanted` is how many would be of use.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            let Some(records) = &mut self.records else {
                let read = ready!(self.poll_fill(cx, wanted))?;
                return Poll::Ready(Ok((read > 0).then(|| self.buffer.split().freeze())));
            };
            match records.next(&mut self.buffer)? {
                Step::Data(piece) => return Poll::Ready(Ok(Some(piece))),
                Step::Over => return Poll::Ready(Ok(None)),
                Step::Needs(more) => {
                    // A connection that ends without a word may have been cut by anybody.
                    if ready!(self.poll_fill(cx, more.max(wanted)))? == 0 {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                }
            }
        }
    }

    /// Sends all of `bytes`.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.records {
            None => self.stream.write_all(bytes).await,
            Some(records) => {
                let sealed = records.seal(bytes)?;
                self.stream.write_all(&sealed).await
            }
        }
    }

    /// Whether the other end is still there and has said nothing that nobody asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            match &mut self.records {
                None if self.buffer.is_empty() => {}
                None => return false,
                Some(records) => match records.next(&mut self.buffer) {
                    Ok(Step::Needs(_)) => {}
                    Ok(Step::Data(_) | Step::Over) | Err(_) => return false,
                },
            }
            match self.poll_fill(&mut context, 0) {
                Poll::Pending => return true,
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return false,
            }
        }
    }

    /// Whether further requests may be sent.
    pub(super) fn is_fresh(&self) -> bool {
        self.records.as_ref().is_none_or(|records| records.is_fresh())
    }

    /// Gives the buffer back unless there is something in it.
    pub(super) fn rest(&mut self) {
        let wide = self.wide.take().is_some();
        if self.buffer.is_empty() {
            self.buffers.keep(std::mem::take(&mut self.buffer), wide);
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        ready!(self.stream.poll_read_ready(cx))?;
        self.buffers.make_room(&mut self.buffer, wanted, &mut self.wide);
        poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.buffer)
    }
}
