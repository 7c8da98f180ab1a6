//! Heads of answers, read strictly.
//!
//! Pure. Decides where an answer's body ends. Where two readers could see two ends, there is no answer at all.
//! Follows <https://www.rfc-editor.org/rfc/rfc9112#section-6.3>.

use bytes::Bytes;
use http::{Method, StatusCode};

use super::fields::{Field, Fields};
use super::lines::{Lines, Syntax};
use crate::object::decimal;

/// Far more than GCS sends.
pub(super) const LONGEST: usize = 64 * 1024;

/// Why an answer's head cannot be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::gcs) enum Malformed {
    /// No HTTP.
    #[error("no HTTP/1 answer: {0}")]
    Syntax(Syntax),
    /// A head without end.
    #[error("the head is longer than {LONGEST} bytes")]
    TooLong,
    /// More than one length, or none that is a number.
    #[error("unusable Content-Length")]
    Length,
    /// Anything but `chunked` alone.
    #[error("unusable Transfer-Encoding")]
    Encoding,
    /// Two ends of one body.
    #[error("Content-Length together with Transfer-Encoding")]
    TwoEnds,
    /// Nobody asked for another protocol.
    #[error("unasked switch of protocols")]
    Switch,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// Where the connection does.
    Close,
}

/// An answer's head, how long it is in bytes, and what comes behind it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) fields: Fields,
    pub(super) length: usize,
    pub(super) framing: Framing,
    /// Whether the connection may carry another request afterwards.
    pub(super) persistent: bool,
}

/// Reads the head at the beginning of `bytes`; `None` if it is not all there yet.
pub(super) fn parse(bytes: &Bytes, method: &Method) -> Result<Option<Answer>, Malformed> {
    let Lines { status, newest, known, length } = match Lines::read(bytes).map_err(Malformed::Syntax)? {
        Some(lines) => lines,
        None if bytes.len() >= LONGEST => return Err(Malformed::TooLong),
        None => return Ok(None),
    };
    let fields = Fields::new(bytes.slice(..length), known);
    let framing = framing(status, &fields, method)?;
    let persistent = framing != Framing::Close && newest && !says_close(&fields);
    Ok(Some(Answer { status, fields, length, framing, persistent }))
}

fn framing(status: StatusCode, fields: &Fields, method: &Method) -> Result<Framing, Malformed> {
    let (length, chunked) = (content_length(fields)?, is_chunked(fields)?);
    match status {
        StatusCode::SWITCHING_PROTOCOLS => return Err(Malformed::Switch),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => return Ok(Framing::Length(0)),
        status if status.is_informational() || method == Method::HEAD => return Ok(Framing::Length(0)),
        _ => {}
    }
    match (length, chunked) {
        (Some(_), true) => Err(Malformed::TwoEnds),
        (Some(length), false) => Ok(Framing::Length(length)),
        (None, true) => Ok(Framing::Chunked),
        (None, false) => Ok(Framing::Close),
    }
}

fn content_length(fields: &Fields) -> Result<Option<u64>, Malformed> {
    let mut values = fields.all(Field::ContentLength);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(only), None) => decimal(only).map(Some).ok_or(Malformed::Length),
        _ => Err(Malformed::Length),
    }
}

fn is_chunked(fields: &Fields) -> Result<bool, Malformed> {
    let mut values = fields.all(Field::TransferEncoding);
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some(only), None) if only.eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(Malformed::Encoding),
    }
}

fn says_close(fields: &Fields) -> bool {
    let mut options = fields.all(Field::Connection).flat_map(|value| value.split(|byte| *byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Result<(Framing, bool), Malformed> {
        let answer = parse(&Bytes::copy_from_slice(head.as_bytes()), &Method::GET)?.expect("a whole head");
        assert_eq!(answer.length, head.len());
        Ok((answer.framing, answer.persistent))
    }

    #[test]
    fn a_body_has_one_end_or_the_answer_is_none() {
        for (headers, expected) in [
            ("content-length: 5", Some((Framing::Length(5), true))),
            ("Transfer-Encoding: Chunked", Some((Framing::Chunked, true))),
            ("x: y", Some((Framing::Close, false))),
            ("content-length: 5\r\nconnection: Keep-Alive, Close", Some((Framing::Length(5), false))),
            ("content-length: 5\r\ncontent-length: 5", None),
            ("content-length: 5, 5", None),
            ("content-length: +5", None),
            ("content-length:", None),
            ("content-length: 99999999999999999999", None),
            ("transfer-encoding: gzip, chunked", None),
            ("transfer-encoding: chunked\r\ntransfer-encoding: chunked", None),
            ("transfer-encoding: chunked\r\ncontent-length: 5", None),
        ] {
            let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n");
            assert_eq!(read(&head).ok(), expected, "{headers}");
        }
        let old = read("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n").expect("HTTP/1.0 is one");
        assert_eq!(old, (Framing::Length(5), false));
    }

    #[test]
    fn some_answers_never_have_a_body() {
        for head in ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"] {
            assert_eq!(read(head).expect("an answer"), (Framing::Length(0), true));
        }
        let head = Bytes::from_static(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n");
        let answer = parse(&head, &Method::HEAD).expect("an answer").expect("all of it");
        assert_eq!(answer.framing, Framing::Length(0));
        assert!(matches!(read("HTTP/1.1 101 Switching\r\n\r\n"), Err(Malformed::Switch)));
    }

    #[test]
    fn a_head_may_come_in_pieces_but_not_for_ever() {
        let head = Bytes::from_static(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        for end in 0..head.len() {
            assert!(parse(&head.slice(..end), &Method::GET).expect("so far").is_none(), "{end}");
        }
        let mut endless = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
        endless.resize(LONGEST, b'x');
        assert!(matches!(parse(&endless.into(), &Method::GET), Err(Malformed::TooLong)));
        assert!(matches!(parse(&Bytes::from_static(b"SSH-2.0-x\r\n"), &Method::GET), Err(Malformed::Syntax(_))));
    }
}
