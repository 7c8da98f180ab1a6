//! A request's head, written as it is sent: once, from its first byte on.
//!
//! Never decides what is asked. A target consists of words, whose types have neither spaces nor line ends, and a field of
//! a word or a legal value, so that no name and no token can end a line or begin one.
//! Follows <https://www.rfc-editor.org/rfc/rfc9112#section-3>.

use std::fmt;
use std::io::Write;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method};
use http_body::Body;
use percent_encoding::utf8_percent_encode;

use crate::object::{BucketName, ByteRange, Generation, ObjectName, ProjectId, RESERVED};

/// What most heads take, all told.
const USUAL: usize = 384;
/// The names of the fields that are added when it is sent, and its end.
const FRAME: usize = 96;

/// A method and a target that grows. It may hold a signature, so that nothing shows it.
pub(in crate::gcs) struct RequestLine {
    method: Method,
    bytes: Vec<u8>,
}

/// A head whose end, which says how long the body is, is still to come.
pub(in crate::gcs) struct RequestHead {
    method: Method,
    bytes: Vec<u8>,
}

/// Text without spaces and line ends.
pub(in crate::gcs) trait Word {
    /// Writes it, escaped where it needs to be.
    fn write(&self, bytes: &mut Vec<u8>);
}

/// Any text, as a value in a query.
pub(in crate::gcs) struct Escaped<'a>(pub(in crate::gcs) &'a str);

/// What a request's body needs to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    Nothing,
    Length(u64),
    Chunked,
}

impl RequestLine {
    /// The beginning of a target.
    pub(in crate::gcs) fn new(method: Method) -> Self {
        let mut bytes = Vec::with_capacity(USUAL);
        bytes.extend_from_slice(method.as_str().as_bytes());
        bytes.push(b' ');
        Self { method, bytes }
    }

    /// The same with another word at its end.
    pub(in crate::gcs) fn with(mut self, word: impl Word) -> Self {
        word.write(&mut self.bytes);
        self
    }

    /// The target so far.
    pub(in crate::gcs) fn target(&self) -> &[u8] {
        self.bytes.get(self.method.as_str().len() + 1..).unwrap_or_default()
    }

    /// The whole line, and who is to read it.
    pub(in crate::gcs) fn to(mut self, authority: &Authority) -> RequestHead {
        self.bytes.extend_from_slice(b" HTTP/1.1\r\n");
        let mut head = RequestHead { method: self.method, bytes: self.bytes };
        head.line("host", authority.as_str().as_bytes());
        head
    }
}

impl RequestHead {
    /// What is to be done.
    pub(in crate::gcs) fn method(&self) -> &Method {
        &self.method
    }

    /// Adds a whole line that we wrote ourselves, with its end.
    pub(in crate::gcs) fn add_line(&mut self, line: &'static str) {
        self.bytes.extend_from_slice(line.as_bytes());
    }

    /// Adds a field that has a word for a value.
    pub(in crate::gcs) fn add(&mut self, name: &'static str, value: impl Word) {
        self.begin(name);
        value.write(&mut self.bytes);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Adds a field with any legal value.
    pub(in crate::gcs) fn add_value(&mut self, name: &'static str, value: &HeaderValue) {
        self.line(name, value.as_bytes());
    }

    /// The lines so far.
    #[cfg(test)]
    pub(in crate::gcs) fn lines(&self) -> &[u8] {
        &self.bytes
    }

    /// The same head once more, with room for fields of so many bytes.
    pub(in crate::gcs) fn again(&self, room: usize) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len() + room + FRAME);
        bytes.extend_from_slice(&self.bytes);
        Self { method: self.method.clone(), bytes }
    }

    /// The whole head, which says what comes behind it.
    pub(super) fn end(mut self, sending: Sending) -> Vec<u8> {
        match sending {
            Sending::Nothing => {}
            Sending::Length(length) => self.line("content-length", itoa::Buffer::new().format(length).as_bytes()),
            Sending::Chunked => self.line("transfer-encoding", b"chunked"),
        }
        self.bytes.extend_from_slice(b"\r\n");
        self.bytes
    }

    fn line(&mut self, name: &'static str, value: &[u8]) {
        self.begin(name);
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn begin(&mut self, name: &'static str) {
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
    }
}

/// Neither the target nor the values: there are secrets among them.
impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead").field("method", &self.method).finish_non_exhaustive()
    }
}

impl Sending {
    /// Decides by what the body says of itself.
    pub(super) fn of<B: Body>(method: &Method, body: &B) -> Self {
        match body.size_hint().exact() {
            Some(0) if [Method::GET, Method::HEAD, Method::DELETE].contains(method) => Self::Nothing,
            Some(length) => Self::Length(length),
            None => Self::Chunked,
        }
    }
}

/// A chunk as it is sent.
pub(super) fn chunk(piece: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(piece.len() + 20);
    // Writing to a vector does not fail.
    let _ = write!(bytes, "{:x}\r\n", piece.len());
    bytes.extend_from_slice(piece);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// What we wrote ourselves.
impl Word for &'static str {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.as_bytes());
    }
}

impl Word for u64 {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
    }
}

impl Word for Generation {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.0.write(bytes);
    }
}

impl Word for &BucketName {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.as_str().as_bytes());
    }
}

/// One segment of a path.
impl Word for &ObjectName {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.as_segment().for_each(|part| bytes.extend_from_slice(part.as_bytes()));
    }
}

impl Word for &ProjectId {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.as_str().as_bytes());
    }
}

impl Word for &PathAndQuery {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.as_str().as_bytes());
    }
}

impl Word for ByteRange {
    fn write(&self, bytes: &mut Vec<u8>) {
        // Writing to a vector does not fail.
        let _ = write!(bytes, "{self}");
    }
}

impl Word for Escaped<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        utf8_percent_encode(self.0, RESERVED).for_each(|part| bytes.extend_from_slice(part.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_as_it_is() {
        let object = ObjectName::new("a/b").expect("a legal name");
        let line = RequestLine::new(Method::GET).with("/storage/v1/b/b/o/").with(&object).with("?alt=media");
        assert_eq!(line.target(), b"/storage/v1/b/b/o/a%2Fb?alt=media");
        let mut head = line.to(&Authority::from_static("127.0.0.1:9000"));
        head.add("range", ByteRange::From { first: 0 });
        let again = |sending| String::from_utf8(head.again(0).end(sending)).expect("plain text");
        let fields = "host: 127.0.0.1:9000\r\nrange: bytes=0-\r\n";
        let expected = format!("GET /storage/v1/b/b/o/a%2Fb?alt=media HTTP/1.1\r\n{fields}\r\n");
        assert_eq!(again(Sending::Nothing), expected);
        assert!(again(Sending::Length(7)).ends_with("\r\ncontent-length: 7\r\n\r\n"));
        assert!(again(Sending::Chunked).ends_with("\r\ntransfer-encoding: chunked\r\n\r\n"));
        assert_eq!(chunk(&[b'x'; 17]), b"11\r\nxxxxxxxxxxxxxxxxx\r\n");
    }

    #[test]
    fn any_text_is_a_word_when_it_is_escaped() {
        let line = RequestLine::new(Method::GET).with("/?x=").with(Escaped("a b\r\nhost: ü&=#"));
        assert_eq!(line.target(), b"/?x=a%20b%0D%0Ahost%3A%20%C3%BC%26%3D%23");
    }

    #[test]
    fn neither_target_nor_values_are_shown() {
        let mut head = RequestLine::new(Method::GET).with("/secret").to(&Authority::from_static("b"));
        head.add_value("authorization", &HeaderValue::from_static("Bearer secret"));
        assert_eq!(format!("{head:?}"), "RequestHead { method: GET, .. }");
    }
}
