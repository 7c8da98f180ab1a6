//! Chunked bodies, read piece by piece.
//!
//! Pure. Decides which bytes are content and when the body is over. Extensions and trailers are passed over, within limits.
//! Follows <https://www.rfc-editor.org/rfc/rfc9112#section-7.1>.

use bytes::{Buf, Bytes};

/// Of one line: a size with its extensions, or a trailer.
const LONGEST_LINE: usize = 4 * 1024;
/// Of all trailers together.
const LONGEST_TRAILERS: usize = 16 * 1024;

/// What is malformed about chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed chunks: {0}")]
pub(super) struct Malformed(&'static str);

/// How far the reading is.
#[derive(Debug)]
pub(super) struct Chunks {
    state: State,
    /// The part of a line that came.
    line: Vec<u8>,
    /// Bytes of trailers that came.
    trailers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    /// The end of line behind a chunk.
    Gap,
    Trailers,
    Over,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { state: State::Size, line: Vec::new(), trailers: 0 }
    }

    /// Whether the last chunk and the trailers came.
    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// The next content in `input`, which is taken out of it; `None` if it has no more.
    pub(super) fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, Malformed> {
        while !input.is_empty() {
            match self.state {
                State::Over => return Ok(None),
                State::Data(left) => return Ok(Some(self.content(left, input))),
                State::Size | State::Gap | State::Trailers => {
                    let Some(line) = self.line(input)? else { return Ok(None) };
                    self.state = self.after(&line)?;
                }
            }
        }
        Ok(None)
    }

    fn content(&mut self, left: u64, input: &mut Bytes) -> Bytes {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let left = left - length as u64;
        self.state = if left == 0 { State::Gap } else { State::Data(left) };
        input.split_to(length)
    }

    /// A whole line without its end, once it is there.
    fn line(&mut self, input: &mut Bytes) -> Result<Option<Vec<u8>>, Malformed> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(input.len(), |end| end + 1);
        if self.line.len() + taken > LONGEST_LINE {
            return Err(Malformed("a line is too long"));
        }
        self.line.extend_from_slice(&input[..taken]);
        input.advance(taken);
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        if !line.ends_with(b"\r\n") {
            return Err(Malformed("a line ends without CR"));
        }
        line.truncate(line.len() - 2);
        Ok(Some(line))
    }

    fn after(&mut self, line: &[u8]) -> Result<State, Malformed> {
        match self.state {
            State::Size => Ok(match size(line)? {
                0 => State::Trailers,
                size => State::Data(size),
            }),
            State::Gap if line.is_empty() => Ok(State::Size),
            State::Gap => Err(Malformed("a chunk is longer than announced")),
            State::Trailers if line.is_empty() => Ok(State::Over),
            State::Trailers => {
                self.trailers += line.len();
                if self.trailers > LONGEST_TRAILERS { Err(Malformed("too many trailers")) } else { Ok(State::Trailers) }
            }
            State::Data(_) | State::Over => Ok(self.state),
        }
    }
}

fn size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    text.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or(Malformed("a size is no number"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All content of `pieces`, and whether the body was over after it.
    fn read(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, usize), Malformed> {
        let (mut chunks, mut content, mut left) = (Chunks::new(), Vec::new(), 0);
        for piece in pieces {
            let mut piece = Bytes::copy_from_slice(piece);
            while let Some(found) = chunks.next(&mut piece)? {
                content.extend_from_slice(&found);
            }
            left += piece.len();
        }
        Ok((content, chunks.is_over(), left))
    }

    #[test]
    fn only_well_formed_chunks_are_content() {
        for (body, expected) in [
            ("5\r\nhello\r\n0\r\n\r\n", Some(("hello", true, 0))),
            ("5;a=b\r\nhello\r\n1 ;x\r\n!\r\n0\r\nx: y\r\n\r\n", Some(("hello!", true, 0))),
            ("5\r\nhello\r\n0\r\n\r\nHTTP/1.1", Some(("hello", true, 8))),
            ("5\r\nhel", Some(("hel", false, 0))),
            ("5\r\nhello\r\n0\r\n", Some(("hello", false, 0))),
            ("5\nhello\r\n0\r\n\r\n", None),
            ("5\r\nhelloo\r\n0\r\n\r\n", None),
            ("-5\r\nhello", None),
            ("+5\r\nhello", None),
            ("\r\nhello", None),
            ("0x5\r\nhello", None),
            (" 5\r\nhello", None),
            ("11111111111111111\r\n", None),
        ] {
            let read = read(&[body.as_bytes()]).ok();
            let expected = expected.map(|(content, over, left)| (content.as_bytes().to_vec(), over, left));
            assert_eq!(read, expected, "{body:?}");
        }
        let long = [b"1;".as_slice(), &[b'x'; LONGEST_LINE]].concat();
        assert!(read(&[&long]).is_err());
        let trailers = [b"0\r\n".to_vec(), b"x: yyyyyyyyyyyyyyyyy\r\n".repeat(1000)].concat();
        assert!(read(&[&trailers]).is_err());
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_pieces_are_cut(content in proptest::collection::vec(any::<u8>(), 1..300), cut in 1_usize..40) {
            let mut body = Vec::new();
            for chunk in content.chunks(37) {
                body.extend_from_slice(&super::super::request::chunk(chunk));
            }
            body.extend_from_slice(b"0\r\nx: y\r\n\r\n");
            let pieces: Vec<&[u8]> = body.chunks(cut).collect();
            prop_assert_eq!(read(&pieces), Ok((content, true, 0)));
        }
    }
}
