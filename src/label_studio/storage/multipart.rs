//! A `multipart/related` upload, taken apart as it comes: the resource is read whole, the object's bytes stream.
//!
//! Never holds more than the resource and a piece of the bytes. An upload that ends before its last boundary, rests for too
//! long or grows over the limit ends in an error, so that nothing is stored of it; what went wrong is kept for the answer.
//! Follows RFC 2046 section 5.1.1 (<https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1>) and
//! <https://cloud.google.com/storage/docs/uploading-objects#rest-upload-objects>.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;

use super::super::body::{Stalled, Watched};
use crate::server::BoxError;

/// The resource and the heads of the parts together.
const LONGEST_HEAD: usize = 64 * 1024;
/// A boundary's characters, as RFC 2046 allows them.
const LONGEST_BOUNDARY: usize = 70;
/// How much more has to come before it is looked at again, so that many small pieces cost no more than few large ones.
const STEP: usize = 1024;
/// What may follow the last boundary.
const LONGEST_EPILOGUE: usize = 1024;

/// What went wrong with an upload, on the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Over the limit.
    #[error("the upload is too large")]
    TooLarge,
    /// The client fell silent.
    #[error("the upload stalled")]
    Stalled,
    /// The client went, or its body ended too early.
    #[error("the upload broke off")]
    Broken,
    /// The parts cannot be told apart.
    #[error("the upload is not multipart/related with a resource and a content")]
    Malformed,
}

impl Fault {
    fn of(error: &BoxError) -> Self {
        if error.is::<Stalled>() { Self::Stalled } else { Self::Broken }
    }
}

/// What an upload begins with.
pub(super) struct Head {
    /// The resource, as JSON.
    pub(super) resource: Bytes,
    /// The type that stands above the content; perhaps none.
    pub(super) content_type: Option<String>,
}

/// The object's bytes.
pub(super) struct Content<S = Watched> {
    source: S,
    /// What was read and is not yet passed on.
    held: BytesMut,
    /// `CR LF -- boundary`; without one, the body is the content.
    delimiter: Option<Vec<u8>>,
    left: u64,
    /// How long the content was said to be, and is not yet.
    missing: Option<u64>,
    ended: bool,
    fault: Arc<OnceLock<Fault>>,
}

/// What an upload is read from.
pub(super) trait Source: Body<Data = Bytes, Error = BoxError> + Unpin {}

impl<S: Body<Data = Bytes, Error = BoxError> + Unpin> Source for S {}

/// The boundary that a content type names.
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/related") {
        return None;
    }
    let boundary = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches(['"', '\'']))
    })?;
    let legal = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    Some(boundary).filter(|text| (1..=LONGEST_BOUNDARY).contains(&text.len()) && text.bytes().all(legal))
}

/// Reads as far as the content begins.
pub(super) async fn open<S: Source>(mut source: S, boundary: &str, limit: u64) -> Result<(Head, Content<S>), Fault> {
    let (mut buffer, mut seen, mut ended) = (BytesMut::new(), 0, false);
    let (head, begins) = loop {
        if ended || buffer.len() >= seen + STEP {
            seen = buffer.len();
            match head(&buffer, boundary)? {
                Some(found) if found.1 <= LONGEST_HEAD => break found,
                None if buffer.len() <= LONGEST_HEAD && !ended => {}
                _ => return Err(Fault::Malformed),
            }
        }
        match source.frame().await {
            Some(Ok(frame)) => buffer.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Some(Err(error)) => return Err(Fault::of(&error)),
            None => ended = true,
        }
    };
    // The line's end before the content is part of a delimiter that follows at once.
    let buffer = buffer.split_off(begins);
    let delimiter = Some(format!("\r\n--{boundary}").into_bytes());
    Ok((
        head,
        Content { source, held: buffer, delimiter, left: limit, missing: None, ended: false, fault: Arc::default() },
    ))
}

/// Two heads and the resource between them, and where the content begins; `None` if more has to come.
fn head(bytes: &[u8], boundary: &str) -> Result<Option<(Head, usize)>, Fault> {
    let first = format!("--{boundary}");
    // Some clients begin with an empty line.
    let preamble = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let rest = bytes.get(preamble..).unwrap_or_default();
    let shown = rest.len().min(first.len());
    if rest.get(..shown) != first.as_bytes().get(..shown) {
        return Err(Fault::Malformed);
    }
    let Some(resource_at) = find(bytes, b"\r\n\r\n", preamble).map(|at| at + 4) else { return Ok(None) };
    let between = format!("\r\n--{boundary}\r\n");
    let Some(resource_to) = find(bytes, between.as_bytes(), resource_at) else { return Ok(None) };
    let second_at = resource_to + between.len();
    // A head without fields is a line's end alone.
    let fields_from = second_at - 2;
    let Some(fields_to) = find(bytes, b"\r\n\r\n", fields_from) else { return Ok(None) };
    let fields = std::str::from_utf8(bytes.get(second_at..fields_to.max(second_at)).unwrap_or_default());
    let fields = fields.map_err(|_| Fault::Malformed)?;
    let mut fields = fields.split("\r\n").filter_map(|field| field.split_once(':'));
    let content_type = fields.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-type"));
    let content_type = content_type.map(|(_, value)| value.trim().to_owned());
    let resource = Bytes::copy_from_slice(bytes.get(resource_at..resource_to).unwrap_or_default());
    Ok(Some((Head { resource, content_type }, fields_to + 4)))
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(wanted.len()).position(|window| window == wanted).map(|at| from + at)
}

impl<S: Source> Content<S> {
    /// A body that is nothing but the content, of a length that was perhaps said before.
    pub(super) fn plain(source: S, limit: u64, length: Option<u64>) -> Self {
        let (held, fault) = (BytesMut::new(), Arc::default());
        Self { source, held, delimiter: None, left: limit, missing: length, ended: false, fault }
    }

    /// Where it will be said what went wrong.
    pub(super) fn fault(&self) -> Arc<OnceLock<Fault>> {
        Arc::clone(&self.fault)
    }

    fn failed(&mut self, fault: Fault) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.ended = true;
        let _ = self.fault.set(fault);
        Poll::Ready(Some(Err(fault.into())))
    }

    /// What of the held bytes is certainly content, and whether the delimiter follows.
    fn ready(&mut self) -> (Bytes, bool) {
        let Some(delimiter) = &self.delimiter else { return (self.held.split().freeze(), false) };
        let mut from = 0;
        while let Some(at) = self.held.get(from..).and_then(|rest| rest.iter().position(|byte| *byte == b'\r')) {
            let at = from + at;
            let rest = self.held.get(at..).unwrap_or_default();
            if rest.starts_with(delimiter) {
                return (self.held.split_to(at).freeze(), true);
            }
            if delimiter.starts_with(rest) {
                // It may be the beginning of one.
                return (self.held.split_to(at).freeze(), false);
            }
            from = at + 1;
        }
        (self.held.split().freeze(), false)
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        let frame = ready!(Pin::new(&mut self.source).poll_frame(cx));
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => Ok(frame.into_data().unwrap_or_default()),
            Err(error) => Err(Fault::of(&error)),
        }))
    }

    /// Reads the last boundary and what little may follow it. Only a body that ends well is a whole one.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let delimiter = self.delimiter.as_ref().map_or(0, Vec::len);
        loop {
            let after = self.held.get(delimiter..).unwrap_or_default();
            let shown = after.len().min(2);
            if self.held.len() > delimiter + LONGEST_EPILOGUE || after.get(..shown) != b"--".get(..shown) {
                return Poll::Ready(Err(Fault::Malformed));
            }
            match ready!(self.poll_source(cx)) {
                Some(Ok(piece)) => self.held.extend_from_slice(&piece),
                Some(Err(fault)) => return Poll::Ready(Err(fault)),
                None if shown == 2 => return Poll::Ready(Ok(())),
                None => return Poll::Ready(Err(Fault::Broken)),
            }
        }
    }
}

impl<S: Source> Body for Content<S> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            let (content, at_end) = this.ready();
            if !content.is_empty() {
                let Some(left) = this.left.checked_sub(content.len() as u64) else {
                    return this.failed(Fault::TooLarge);
                };
                this.left = left;
                this.missing = match this.missing.map(|missing| missing.checked_sub(content.len() as u64)) {
                    Some(None) => return this.failed(Fault::Broken),
                    missing => missing.flatten(),
                };
                return Poll::Ready(Some(Ok(Frame::data(content))));
            }
            if at_end {
                match ready!(this.poll_end(cx)) {
                    Ok(()) => this.ended = true,
                    Err(fault) => return this.failed(fault),
                }
                continue;
            }
            match ready!(this.poll_source(cx)) {
                Some(Ok(piece)) => this.held.extend_from_slice(&piece),
                Some(Err(fault)) => return this.failed(fault),
                None if this.delimiter.is_none() && this.missing.unwrap_or_default() == 0 => this.ended = true,
                None => return this.failed(Fault::Broken),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body_util::StreamBody;
    use proptest::prelude::*;

    use super::*;

    const BODY: &str = "--x y\r\nContent-Type: application/json\r\n\r\n{\"name\":\"a\"}\r\n--x y\r\ncontent-type: \
        text/plain\r\n\r\n\r\n--x\r\r\n--x z\r\n--x y--\r\n";

    fn source(bytes: &[u8], piece: usize) -> impl Source {
        let pieces: VecDeque<Bytes> = bytes.chunks(piece).map(Bytes::copy_from_slice).collect();
        StreamBody::new(futures_util::stream::iter(pieces.into_iter().map(|piece| Ok(Frame::data(piece)))))
    }

    async fn read(bytes: &[u8], piece: usize, limit: u64) -> Result<(Bytes, Option<String>, Bytes), Fault> {
        let (head, content) = open(source(bytes, piece), "x y", limit).await?;
        let fault = content.fault();
        match content.collect().await {
            Ok(content) => Ok((head.resource, head.content_type, content.to_bytes())),
            Err(_) => Err(*fault.get().expect("said")),
        }
    }

    #[tokio::test]
    async fn parts_are_told_apart_however_they_come() {
        for piece in 1..=BODY.len() {
            let (resource, kind, content) = read(BODY.as_bytes(), piece, 100).await.expect("good");
            assert_eq!((&resource[..], kind.as_deref()), (&b"{\"name\":\"a\"}"[..], Some("text/plain")), "{piece}");
            assert_eq!(&content[..], b"\r\n--x\r\r\n--x z", "{piece}");
        }
        let empty = b"--x y\r\n\r\n{}\r\n--x y\r\n\r\n\r\n--x y--";
        let (resource, kind, content) = read(empty, 7, 0).await.expect("good");
        assert_eq!((&resource[..], kind, content.len()), (&b"{}"[..], None, 0));
    }

    #[tokio::test]
    async fn only_a_whole_upload_ends_well() {
        let whole = BODY.as_bytes();
        for end in 0..whole.len() - 2 {
            assert!(read(&whole[..end], 5, 100).await.is_err(), "{end}");
        }
        assert_eq!(read(whole, 3, 13).await.map(|_| ()), Ok(()));
        assert_eq!(read(whole, 3, 12).await.map(|_| ()), Err(Fault::TooLarge));
        let long = [whole, &vec![b'x'; 2000][..]].concat();
        assert_eq!(read(&long, 64, 100).await.map(|_| ()), Err(Fault::Malformed));
        let endless = [&b"--x y\r\n\r\n"[..], &vec![b'x'; 2 * LONGEST_HEAD][..]].concat();
        assert_eq!(read(&endless, 4096, 100).await.map(|_| ()), Err(Fault::Malformed));
        assert_eq!(read(b"{}", 4096, 100).await.map(|_| ()), Err(Fault::Malformed));
    }

    #[test]
    fn boundaries_are_found_in_content_types() {
        assert_eq!(boundary("multipart/related; boundary=\"==1==\""), Some("==1=="));
        assert_eq!(boundary("Multipart/Related; charset=x; Boundary=abc"), Some("abc"));
        let long = format!("multipart/related; boundary={}", "x".repeat(71));
        for bad in ["", "multipart/related", "multipart/mixed; boundary=a", "multipart/related; boundary=", &long] {
            assert_eq!(boundary(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_content_comes_out_as_it_went_in(
            content in prop::collection::vec(prop::sample::select(&b"\r\n-xy "[..]), 0..60), piece in 1_usize..20
        ) {
            prop_assume!(find(&content, b"\r\n--x y", 0).is_none() && !content.ends_with(b"\r"));
            let body = [b"--x y\r\n\r\n{}\r\n--x y\r\n\r\n", &content[..], b"\r\n--x y--\r\n"].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let (_, _, read) = runtime.block_on(read(&body, piece, 100)).expect("good");
            prop_assert_eq!(&read[..], &content[..]);
        }
    }
}
