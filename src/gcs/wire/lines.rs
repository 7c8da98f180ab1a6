//! The lines of an answer's head, read strictly.
//!
//! Decides what is HTTP/1 at all and which lines are kept. A line may end without CR, as RFC 9112 lets recipients take
//! it; a folded line, a space before the colon, a control character or anything but a token as a name make the whole
//! head unusable. Never decides what a line means.
//! Follows <https://www.rfc-editor.org/rfc/rfc9112#section-2.2> and <https://www.rfc-editor.org/rfc/rfc9112#section-5>.

mod plain;

use std::ops::Range;

use http::StatusCode;

use super::fields::{Field, Line};

/// GCS sends about 30; [`Fields`](super::fields::Fields) could number 255.
const MOST: usize = 128;
/// As many of them are known at most, usually.
const USUAL: usize = 20;
/// What a name may consist of: <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2>.
const TOKEN: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0_u8);
    while byte < 0x80 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~');
        byte += 1;
    }
    table
};

/// Where a head is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::gcs) enum Syntax {
    /// Another protocol.
    #[error("invalid HTTP version")]
    Version,
    /// No three digits, or an unreadable reason.
    #[error("invalid response status")]
    Status,
    /// No token before a colon.
    #[error("invalid header name")]
    Name,
    /// A control character.
    #[error("invalid header value")]
    Value,
    /// A CR alone.
    #[error("invalid new line")]
    NewLine,
    /// More than anybody needs.
    #[error("too many headers")]
    TooMany,
}

/// A head as its lines say.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) status: StatusCode,
    /// HTTP/1.1, not 1.0.
    pub(super) newest: bool,
    pub(super) known: Vec<Line>,
    /// The whole head in bytes.
    pub(super) length: usize,
}

/// Why there are no lines.
#[derive(Debug)]
enum Stop {
    /// What came ends here.
    Short,
    Wrong(Syntax),
}

/// What is left to read, byte by byte.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Lines {
    /// Reads the head at the beginning of `bytes`; `None` if it is not all there yet.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, Syntax> {
        if let Some(lines) = plain::read(bytes) {
            return Ok(Some(lines));
        }
        match (Reader { rest: bytes }).lines(bytes.len()) {
            Ok(lines) => Ok(Some(lines)),
            Err(Stop::Short) => Ok(None),
            Err(Stop::Wrong(syntax)) => Err(syntax),
        }
    }
}

impl<'a> Reader<'a> {
    /// All lines of a head; there were `whole` bytes to begin with.
    fn lines(mut self, whole: usize) -> Result<Lines, Stop> {
        while self.is_at_end_of_line()? {}
        let (newest, code) = (self.version()?, self.code()?);
        let mut known = Vec::with_capacity(USUAL);
        for _ in 0..=MOST {
            if self.is_at_end_of_line()? {
                let status = StatusCode::from_u16(code).map_err(|_| Stop::Wrong(Syntax::Status))?;
                return Ok(Lines { status, newest, known, length: whole - self.rest.len() });
            }
            let before = self.rest.len();
            let (name, value) = self.line()?;
            if let Some(field) = Field::of(name) {
                let start = whole - before + name.len() + 1;
                known.push(Line::new(field, trimmed(value, start)));
            }
        }
        Err(Stop::Wrong(Syntax::TooMany))
    }

    fn version(&mut self) -> Result<bool, Stop> {
        let (newest, rest) = match self.rest.split_first_chunk() {
            Some((b"HTTP/1.1", rest)) => (true, rest),
            Some((b"HTTP/1.0", rest)) => (false, rest),
            None if b"HTTP/1.".starts_with(self.rest) => return Err(Stop::Short),
            _ => return Err(Stop::Wrong(Syntax::Version)),
        };
        self.rest = rest;
        if self.next()? == b' ' { Ok(newest) } else { Err(Stop::Wrong(Syntax::Version)) }
    }

    /// The three digits of the status; the reason behind them is of no interest.
    fn code(&mut self) -> Result<u16, Stop> {
        let mut code = 0;
        for _ in 0..3 {
            match self.next()? {
                digit @ b'0'..=b'9' => code = code * 10 + u16::from(digit - b'0'),
                _ => return Err(Stop::Wrong(Syntax::Status)),
            }
        }
        let mut next = self.next()?;
        if next == b' ' {
            while is_text(next) {
                next = self.next()?;
            }
        }
        self.end_line(next, Syntax::Status)?;
        Ok(code)
    }

    /// The name and the value of a line.
    fn line(&mut self) -> Result<(&'a [u8], &'a [u8]), Stop> {
        let name = self.take_while(is_of_token);
        if self.next()? != b':' || name.is_empty() {
            return Err(Stop::Wrong(Syntax::Name));
        }
        let value = self.take_while(is_text);
        let next = self.next()?;
        self.end_line(next, Syntax::Value)?;
        Ok((name, value))
    }

    /// Whether a line ends before it has begun.
    fn is_at_end_of_line(&mut self) -> Result<bool, Stop> {
        match self.rest {
            [first @ (b'\r' | b'\n'), rest @ ..] => {
                self.rest = rest;
                self.end_line(*first, Syntax::NewLine)?;
                Ok(true)
            }
            [] => Err(Stop::Short),
            _ => Ok(false),
        }
    }

    /// The end of a line, whose first byte was `next`.
    fn end_line(&mut self, next: u8, otherwise: Syntax) -> Result<(), Stop> {
        match next {
            b'\n' => Ok(()),
            b'\r' if self.next()? == b'\n' => Ok(()),
            _ => Err(Stop::Wrong(otherwise)),
        }
    }

    fn next(&mut self) -> Result<u8, Stop> {
        let (next, rest) = self.rest.split_first().ok_or(Stop::Short)?;
        self.rest = rest;
        Ok(*next)
    }

    /// The bytes up to the first that does not belong to them.
    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !belongs(*byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

/// Where a value without the space around it is, which begins at `start` with it.
fn trimmed(value: &[u8], start: usize) -> Range<usize> {
    let trimmed = value.trim_ascii_start();
    let start = start + value.len() - trimmed.len();
    start..start + trimmed.trim_ascii_end().len()
}

/// Whether it may be a name.
#[allow(clippy::needless_bitwise_bool, reason = "names are short, and branches cost more than the bytes")]
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() & bytes.iter().fold(true, |all, byte| all & is_of_token(*byte))
}

fn is_of_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Whether a byte may stand in a value: all but control characters, of which only a tab may.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    const HEAD: &str = "HTTP/1.1 206 Partial Content\r\nX-GUploader-UploadID: ABg5-_\u{fc}\r\nx-goog-hash: md5=\t x \t\r\n\
                        Content-Length:7\r\nwarning:\r\nodd_name.1: \"a\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                        \r\nbody";
    /// As GCS writes them.
    const PLAIN: &str = "HTTP/1.1 200 OK\r\nX-Guploader-UploadID: ABg5-_\u{fc}\r\nx-goog-hash: crc32c=AAAAAQ==\r\n\
                         Content-Length: 7  \r\nwarning:\r\nodd_name.1: \"a\"\r\netag:x\r\n\
                         last-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nx-goog-hash: md5=AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\nbody";
    /// What means something somewhere in a head.
    const MARKS: &[u8] = b"\r\n\t :;-_aZ0\0\x0b\x1f\x7f\x80\xff(";

    type Read = Result<Option<(StatusCode, bool, usize, Vec<(Field, Vec<u8>)>)>, String>;

    fn ours(bytes: &[u8]) -> Read {
        let lines = Lines::read(bytes).map_err(|syntax| syntax.to_string())?;
        let value = |line: &Line| (line.field, line.value_in(bytes).to_vec());
        Ok(lines.map(|lines| (lines.status, lines.newest, lines.length, lines.known.iter().map(value).collect())))
    }

    fn httparse(bytes: &[u8]) -> Read {
        let mut lines = [httparse::EMPTY_HEADER; MOST];
        let mut head = httparse::Response::new(&mut lines);
        let length = match head.parse(bytes).map_err(|error| error.to_string())? {
            httparse::Status::Partial => return Ok(None),
            httparse::Status::Complete(length) => length,
        };
        let status = head.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or("invalid response status")?;
        let known =
            head.headers.iter().filter_map(|line| Some((Field::of(line.name.as_bytes())?, line.value.to_vec())));
        Ok(Some((status, head.version == Some(1), length, known.collect())))
    }

    #[test]
    fn a_head_gives_its_known_lines_without_the_space_around_them() {
        let (status, newest, length, known) = ours(HEAD.as_bytes()).expect("good").expect("whole");
        assert_eq!((status.as_u16(), newest, length), (206, true, HEAD.len() - "body".len()));
        let date = b"Sun, 06 Nov 1994 08:49:37 GMT".as_slice();
        let expected = [
            (Field::Hash, b"md5=\t x".as_slice()),
            (Field::ContentLength, b"7"),
            (Field::Warning, b""),
            (Field::LastModified, date),
        ];
        assert_eq!(known, expected.map(|(field, value)| (field, value.to_vec())));
    }

    #[test]
    fn a_head_that_is_not_plain_is_read_all_the_same() {
        for (head, is_plain) in
            [(PLAIN, true), (HEAD, false), ("HTTP/1.1 200 OK\n\n", false), ("HTTP/1.0 200\r\n\r\n", false)]
        {
            assert_eq!(plain::read(head.as_bytes()).is_some(), is_plain, "{head}");
            assert!(ours(head.as_bytes()).is_ok_and(|lines| lines.is_some()), "{head}");
        }
    }

    #[test]
    fn no_byte_in_any_place_is_read_otherwise_than_by_httparse() {
        for original in [HEAD, PLAIN].map(str::as_bytes) {
            for at in 0..original.len() {
                assert_eq!(ours(&original[..at]), httparse(&original[..at]), "{at}");
                for byte in 0..=u8::MAX {
                    let mut head = original.to_vec();
                    head[at] = byte;
                    assert_eq!(ours(&head), httparse(&head), "{byte:#x} at {at}");
                }
            }
        }
    }

    #[test]
    fn there_may_be_many_lines_but_not_more() {
        for (count, good) in [(MOST, true), (MOST + 1, false)] {
            for (version, end) in [("HTTP/1.0", "\n"), ("HTTP/1.1", "\r\n")] {
                let head = format!("{version} 200{end}{}{end}", format!("date:x{end}").repeat(count));
                assert_eq!(ours(head.as_bytes()).is_ok_and(|lines| lines.is_some()), good);
                assert_eq!(ours(head.as_bytes()), httparse(head.as_bytes()));
            }
        }
    }

    proptest! {
        #[test]
        fn no_damage_is_read_otherwise_than_by_httparse(
            original in proptest::sample::select(&[HEAD, PLAIN][..]),
            damage in proptest::collection::vec((any::<Index>(), 0..3_u8, proptest::sample::select(MARKS)), 1..6),
            end in any::<Index>(),
        ) {
            let mut head = original.as_bytes().to_vec();
            for (place, kind, mark) in damage {
                let at = place.index(head.len());
                match kind {
                    0 => head[at] = mark,
                    1 => head.insert(at, mark),
                    _ => drop(head.remove(at)),
                }
            }
            prop_assert_eq!(ours(&head), httparse(&head));
            head.truncate(end.index(head.len() + 1));
            prop_assert_eq!(ours(&head), httparse(&head));
        }
    }
}
