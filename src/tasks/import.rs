//! Reading a whole file of task definitions, within bounds.
//!
//! Decides how long such a file may be; gzip-stored ones are unpacked.

use async_compression::tokio::bufread::GzipDecoder;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::io::AsyncReadExt as _;

use super::listing::Place;
use crate::gcs::{Error, Form, Read, ReadRequest};
use crate::object::ObjectName;

/// The longest file, as stored and unpacked.
pub(super) const LONGEST: u64 = 64 * 1024 * 1024;

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoFile {
    #[error("it has {0} bytes, {LONGEST} at most; split it")]
    TooLong(u64),
    #[error("unpacked it has more than {LONGEST} bytes; split it")]
    Unpacked,
    #[error("its gzip is damaged")]
    Damaged,
    #[error("it cannot be read")]
    Read(#[from] Error),
}

/// Reads an object whole.
pub(super) async fn read(place: &Place, name: &ObjectName, size: u64) -> Result<Bytes, NoFile> {
    if size > LONGEST {
        return Err(NoFile::TooLong(size));
    }
    let request = ReadRequest {
        bucket: place.bucket.clone(),
        object: name.clone(),
        range: None,
        generation: None,
        project: place.project.clone(),
        subject: None,
    };
    let Read { mut body, metadata, form, .. } = place.client.read(&place.credential, request).await?;
    let mut file = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data() {
            file.extend_from_slice(&piece);
        }
        if file.len() as u64 > LONGEST {
            return Err(NoFile::Unpacked);
        }
    }
    let file = file.freeze();
    if form == Form::Stored && metadata.is_gzip_stored() && file.starts_with(&[0x1F, 0x8B]) {
        return unpack(&file).await;
    }
    Ok(file)
}

async fn unpack(file: &[u8]) -> Result<Bytes, NoFile> {
    let mut decoder = GzipDecoder::new(file);
    decoder.multiple_members(true);
    let mut plain = Vec::new();
    decoder.take(LONGEST + 1).read_to_end(&mut plain).await.map_err(|_| NoFile::Damaged)?;
    if plain.len() as u64 > LONGEST { Err(NoFile::Unpacked) } else { Ok(plain.into()) }
}
