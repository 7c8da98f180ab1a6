//! A picture's width and height, from its first kilobytes.
//!
//! Decides how much of an object is read: a little, and more only if its header goes on. Never the whole of a large file.

use http_body_util::BodyExt;

use super::format::Pixels;
use super::listing::Place;
use crate::gcs::{Error, Form, Read, ReadRequest};
use crate::object::{ByteRange, ObjectName};

/// First and further lengths that are read; a camera's JPEG may have a preview before its size.
const LENGTHS: [u64; 3] = [16 * 1024, 256 * 1024, 2 * 1024 * 1024];

/// Why there is no size.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSize {
    #[error("the object is empty")]
    Empty,
    #[error("it is stored compressed, so that its beginning cannot be read")]
    Compressed,
    #[error("its width and height cannot be read: {0}")]
    Header(String),
    #[error("it cannot be read")]
    Read(#[from] Error),
}

/// Reads an object's width and height; `size` is its length.
pub(super) async fn read(place: &Place, name: &ObjectName, size: u64) -> Result<Pixels, NoSize> {
    if size == 0 {
        return Err(NoSize::Empty);
    }
    let mut why = String::new();
    for (at, length) in LENGTHS.into_iter().enumerate() {
        let head = head(place, name, length).await?;
        match imagesize::blob_size(&head) {
            Ok(found) => return Ok(upright(&head, Pixels { width: found.width, height: found.height })),
            Err(imagesize::ImageError::NotSupported) => return Err(NoSize::Header("no picture".to_owned())),
            Err(error) => why = error.to_string(),
        }
        if length >= size || at + 1 == LENGTHS.len() {
            break;
        }
    }
    Err(NoSize::Header(why))
}

async fn head(place: &Place, name: &ObjectName, length: u64) -> Result<Vec<u8>, NoSize> {
    let request = ReadRequest {
        bucket: place.bucket.clone(),
        object: name.clone(),
        range: Some(ByteRange::FromTo { first: 0, last: length - 1 }),
        generation: None,
        project: place.project.clone(),
        subject: None,
    };
    let Read { mut body, metadata, form, .. } = place.client.read(&place.credential, request).await?;
    if form == Form::Decompressed || metadata.is_gzip_stored() {
        return Err(NoSize::Compressed);
    }
    let mut head = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data() {
            head.extend_from_slice(&piece);
        }
        // Some servers send more than the part that was asked for.
        if head.len() as u64 >= length {
            break;
        }
    }
    Ok(head)
}

/// Width and height as they are shown: a JPEG may be stored lying on its side.
fn upright(head: &[u8], stored: Pixels) -> Pixels {
    match orientation(head) {
        Some(5..=8) => Pixels { width: stored.height, height: stored.width },
        _ => stored,
    }
}

/// The EXIF orientation of a JPEG (tag 0x0112 of the first directory).
fn orientation(head: &[u8]) -> Option<u16> {
    let mut rest = head.strip_prefix(&[0xFF, 0xD8])?;
    loop {
        let (marker, length) = (rest.get(..2)?, rest.get(2..4)?);
        if marker[0] != 0xFF || marker[1] == 0xDA {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let segment = rest.get(4..)?;
        if marker[1] == 0xE1 && segment.starts_with(b"Exif\0\0") {
            return tiff_orientation(&segment[6..]);
        }
        rest = rest.get(2 + length.max(2)..)?;
    }
}

fn tiff_orientation(tiff: &[u8]) -> Option<u16> {
    let big = tiff.starts_with(b"MM");
    let short = |at: usize| {
        let bytes = [*tiff.get(at)?, *tiff.get(at + 1)?];
        Some(if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let (low, high) = if big { (6, 4) } else { (4, 6) };
    // A directory beyond the first 64 KiB would not be in the segment.
    let directory = usize::from(short(low)?) | usize::from(short(high)?) << 16;
    let entries = usize::from(short(directory)?);
    let first = directory + 2;
    (0..entries).map(|entry| first + entry * 12).find(|at| short(*at) == Some(0x0112)).and_then(|at| short(at + 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A JPEG's beginning with this orientation.
    fn jpeg(orientation: u8) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 34];
        bytes.extend_from_slice(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0");
        bytes.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn pictures_on_their_side_are_turned() {
        let stored = Pixels { width: 3, height: 2 };
        for (orientation, width) in [(1, 3), (3, 3), (5, 2), (6, 2), (8, 2), (9, 3)] {
            assert_eq!(upright(&jpeg(orientation), stored).width, width, "{orientation}");
        }
        for cut in 0..jpeg(6).len() {
            let _ = orientation(&jpeg(6)[..cut]);
        }
        assert_eq!(orientation(b"\x89PNG"), None);
    }
}
