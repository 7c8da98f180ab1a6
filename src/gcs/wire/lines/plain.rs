//! Heads as nearly all are, read in few steps.
//!
//! Decides whether a head is plain: whole, of HTTP/1.1, with CRLF at the end of every line and no other control character
//! in it. Of what is not it says nothing at all. Sixteen bytes are looked at in one step.

use http::StatusCode;

use super::{Field, Line, Lines, MOST, USUAL, is_token, trimmed};

/// One in each byte of a word.
const EACH: u64 = u64::from_ne_bytes([1; 8]);
/// The highest bit of each byte.
const HIGHEST: u64 = u64::from_ne_bytes([0x80; 8]);

/// Reads the head at the beginning of `bytes`, if it is plain.
pub(super) fn read(bytes: &[u8]) -> Option<Lines> {
    let (code, reason) = bytes.strip_prefix(b"HTTP/1.1 ")?.split_first_chunk::<3>()?;
    let status = StatusCode::from_bytes(code).ok()?;
    let (reason, mut rest) = line(reason)?;
    if !reason.is_empty() && !reason.starts_with(b" ") {
        return None;
    }
    let mut known = Vec::with_capacity(USUAL);
    for _ in 0..=MOST {
        if let Some(body) = rest.strip_prefix(b"\r\n") {
            return Some(Lines { status, newest: true, known, length: bytes.len() - body.len() });
        }
        let colon = find(rest, |byte| byte == b':', colons)?;
        let (line, next) = line(rest)?;
        let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
        match Field::of(name) {
            Some(field) => {
                let start = bytes.len() - rest.len() + colon + 1;
                known.push(Line::new(field, trimmed(value, start)));
            }
            None if is_token(name) => {}
            None => return None,
        }
        rest = next;
    }
    None
}

/// A line, and what follows its end.
#[inline]
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, end) = bytes.split_at(find(bytes, is_control, controls)?);
    Some((line, end.strip_prefix(b"\r\n")?))
}

/// Where the first byte of a kind is. `marks` sets the highest bit of each of eight bytes that is of the kind; it may be
/// wrong about those behind the first, because subtracting borrows from them.
#[inline]
fn find(bytes: &[u8], is: impl Fn(u8) -> bool, marks: impl Fn(u64) -> u64) -> Option<usize> {
    let mut start = 0;
    while let Some(block) = bytes.get(start..).and_then(<[u8]>::first_chunk::<16>) {
        // Without branches, the whole block is judged in one step.
        if block.iter().fold(false, |any, byte| any | is(*byte)) {
            let [low, high] = halves(u128::from_le_bytes(*block));
            let in_low = marks(low);
            let place = if in_low == 0 { 64 + marks(high).trailing_zeros() } else { in_low.trailing_zeros() };
            return Some(start + place as usize / 8);
        }
        start += 16;
    }
    bytes[start..].iter().position(|byte| is(*byte)).map(|place| start + place)
}

#[allow(clippy::cast_possible_truncation, reason = "the other half is in the other word")]
fn halves(block: u128) -> [u64; 2] {
    [block as u64, (block >> 64) as u64]
}

fn colons(word: u64) -> u64 {
    let word = word ^ (EACH * u64::from(b':'));
    word.wrapping_sub(EACH) & !word & HIGHEST
}

#[allow(clippy::needless_bitwise_bool, reason = "branches would hold up `find`")]
fn is_control(byte: u8) -> bool {
    (byte < b' ') | (byte == 0x7f)
}

fn controls(word: u64) -> u64 {
    let low = word.wrapping_sub(EACH * u64::from(b' '));
    let delete = (word ^ (EACH * 0x7f)).wrapping_sub(EACH);
    (low | delete) & !word & HIGHEST
}
