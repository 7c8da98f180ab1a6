//! One entry: its name, which says whose bytes these are, and its form, which proves it. Pure.
//!
//! Form: a mark, the key in full, the length, the bytes, and the CRC32C of all that. The file's name has a digest of
//! connection, bucket, endpoint and object in it; neither a bucket's nor an object's name can be read off it.

use std::ffi::OsStr;
use std::fmt;

use aws_lc_rs::digest;

use crate::object::Generation;

const MARK: &[u8; 8] = b"gsgate1\n";
const KEY: usize = 16 + 8 + 8;
const HEAD: usize = MARK.len() + KEY + 8;
const TAIL: usize = 4;
const DRAFT: &str = "draft-";

/// Whose bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::cache) struct Name {
    /// Of scope and object.
    pub(super) place: [u8; 16],
    generation: u64,
    /// 0: the whole; else the chunk's number, counted from 1.
    part: u64,
}

impl Name {
    /// The name of an object, or of one of its chunks.
    pub(in crate::cache) fn new(place: &[&[u8]], generation: Generation, chunk: Option<u64>) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for text in place {
            context.update(text);
        }
        let mut place = [0; 16];
        place.copy_from_slice(&context.finish().as_ref()[..16]);
        Self { place, generation: generation.0, part: chunk.map_or(0, |index| index.saturating_add(1)) }
    }

    /// One of 256 folders.
    pub(super) fn drawer(&self) -> String {
        format!("{:02x}", self.place[0])
    }

    /// Reads a file's name.
    pub(super) fn parse(name: &OsStr) -> Option<Self> {
        let mut parts = name.to_str()?.split('-');
        let (place, generation, part) = (parts.next()?, parts.next()?, parts.next()?);
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let (place, generation, part) = (u128::from_str_radix(place, 16).ok()?, number(generation)?, number(part)?);
        let read = Self { place: place.to_be_bytes(), generation, part };
        (read.to_string() == name.to_str()?).then_some(read)
    }

    fn key(&self) -> [u8; KEY] {
        let mut key = [0; KEY];
        key[..16].copy_from_slice(&self.place);
        key[16..24].copy_from_slice(&self.generation.to_le_bytes());
        key[24..].copy_from_slice(&self.part.to_le_bytes());
        key
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}-{:x}-{:x}", u128::from_be_bytes(self.place), self.generation, self.part)
    }
}

/// Whether a folder is one of ours.
pub(super) fn is_drawer(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A name for a file that is being written.
pub(super) fn draft() -> String {
    format!("{DRAFT}{:016x}", fastrand::u64(..))
}

pub(super) fn is_draft(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(DRAFT))
}

/// The size of an entry's file.
pub(super) fn size(_name: &Name, length: usize) -> u64 {
    (HEAD + length + TAIL) as u64
}

/// What stands before and after the bytes.
pub(super) fn frame(name: &Name, bytes: &[u8]) -> ([u8; HEAD], [u8; TAIL]) {
    let mut head = [0; HEAD];
    head[..MARK.len()].copy_from_slice(MARK);
    head[MARK.len()..MARK.len() + KEY].copy_from_slice(&name.key());
    head[MARK.len() + KEY..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    let sum = crc32c::crc32c_append(crc32c::crc32c(&head), bytes);
    (head, sum.to_le_bytes())
}

/// The bytes of a file, if all of it is as it was written for this name.
pub(super) fn open(name: &Name, mut file: Vec<u8>, length: usize) -> Option<Vec<u8>> {
    if file.len() != HEAD + length + TAIL {
        return None;
    }
    let (head, tail) = frame(name, &file[HEAD..HEAD + length]);
    if file[..HEAD] != head || file[HEAD + length..] != tail {
        return None;
    }
    file.truncate(HEAD + length);
    file.drain(..HEAD);
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(generation: u64, chunk: Option<u64>) -> Name {
        Name::new(&[b"scope", b"object"], Generation(generation), chunk)
    }

    #[test]
    fn a_name_reads_back_as_written() {
        for name in [name(1, None), name(u64::MAX, Some(7)), name(0, Some(0))] {
            assert_eq!(Name::parse(OsStr::new(&name.to_string())), Some(name));
        }
        for odd in ["", "draft-0", "a-b", "0-0-0", "xyz-1-0", "00000000000000000000000000000000-+1-0"] {
            assert_eq!(Name::parse(OsStr::new(odd)), None, "{odd}");
        }
    }

    #[test]
    fn any_byte_that_changed_makes_it_a_miss() {
        let bytes = b"some bytes".to_vec();
        let name = name(7, None);
        let (head, tail) = frame(&name, &bytes);
        let file: Vec<u8> = head.iter().chain(&bytes).chain(&tail).copied().collect();
        assert_eq!(open(&name, file.clone(), bytes.len()), Some(bytes.clone()));
        for at in 0..file.len() {
            let mut wrong = file.clone();
            wrong[at] ^= 1;
            assert_eq!(open(&name, wrong, bytes.len()), None, "{at}");
            assert_eq!(open(&name, file[..at].to_vec(), bytes.len()), None, "{at}");
        }
        assert_eq!(open(&super::tests::name(8, None), file.clone(), bytes.len()), None);
        assert_eq!(open(&name, [file, vec![0]].concat(), bytes.len()), None);
    }
}
