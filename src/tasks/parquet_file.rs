//! Parquet files: each row an object.
//!
//! Decides what of a Parquet file is believed: sizes, rows and nesting are bounded before a row is read, and reading
//! happens on a thread of its own with room for a hostile schema. Follows <https://parquet.apache.org/docs/file-format/>.

use std::thread;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::{Map, Value};

/// Bytes of all columns after decompression.
const MAX_DECOMPRESSED: i64 = 512 * 1024 * 1024;
/// Bytes of a footer.
const MAX_FOOTER: u32 = 1024 * 1024;
/// Nesting of columns.
const MAX_DEPTH: usize = 32;
/// A schema of a footer's size, each element inside the one before, can be read with so much.
const STACK: usize = 512 * 1024 * 1024;
/// Rows that wait between the threads.
const ROWS: usize = 64;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("this is no Parquet file")]
    NotParquet,
    #[error("the file's description has {0} bytes; {MAX_FOOTER} at most")]
    Footer(u32),
    #[error("the columns have {0} bytes decompressed; {MAX_DECOMPRESSED} at most")]
    TooLarge(i64),
    #[error("columns are nested {0} deep; {MAX_DEPTH} at most")]
    TooDeep(usize),
    #[error("row {row}: {message}")]
    Row { row: u64, message: String },
    #[error("{0}")]
    File(String),
    #[error("the file is damaged")]
    Damaged,
}

/// Passes each row on.
pub(super) fn read(bytes: Bytes, each: &mut dyn FnMut(Map<String, Value>)) -> Result<(), Unreadable> {
    let footer = footer(&bytes).ok_or(Unreadable::NotParquet)?;
    if footer > MAX_FOOTER {
        return Err(Unreadable::Footer(footer));
    }
    let (sender, receiver) = std::sync::mpsc::sync_channel(ROWS);
    let reader = thread::Builder::new().name("parquet".to_owned()).stack_size(STACK);
    let reader = reader
        .spawn(move || rows(bytes, &mut |row| sender.send(row).is_ok()))
        .map_err(|error| Unreadable::File(error.to_string()))?;
    for row in receiver {
        each(row);
    }
    // A panic in the library is a damaged file, no more.
    reader.join().unwrap_or(Err(Unreadable::Damaged))
}

/// The length of the description at the file's end.
fn footer(bytes: &[u8]) -> Option<u32> {
    let (rest, magic) = bytes.split_last_chunk::<4>()?;
    let (_, length) = rest.split_last_chunk::<4>()?;
    (magic == b"PAR1").then(|| u32::from_le_bytes(*length))
}

fn rows(bytes: Bytes, each: &mut dyn FnMut(Map<String, Value>) -> bool) -> Result<(), Unreadable> {
    let unreadable = |error: parquet::errors::ParquetError| Unreadable::File(error.to_string());
    let reader = SerializedFileReader::new(bytes).map_err(unreadable)?;
    let metadata = reader.metadata();
    let depth = depth(metadata.file_metadata().schema());
    if depth > MAX_DEPTH {
        return Err(Unreadable::TooDeep(depth));
    }
    let size =
        metadata.row_groups().iter().fold(0_i64, |sum, group| sum.saturating_add(group.total_byte_size().max(0)));
    if size > MAX_DECOMPRESSED {
        return Err(Unreadable::TooLarge(size));
    }
    for (at, row) in reader.get_row_iter(None).map_err(unreadable)?.enumerate() {
        let row = row.map_err(|error| Unreadable::Row { row: at as u64 + 1, message: error.to_string() })?;
        if !each(object(&row)) {
            break;
        }
    }
    Ok(())
}

fn depth(schema: &Type) -> usize {
    if !schema.is_group() {
        return 1;
    }
    1 + schema.get_fields().iter().map(|field| depth(field)).max().unwrap_or(0)
}

fn object(row: &Row) -> Map<String, Value> {
    row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(is) => (*is).into(),
        Field::Byte(number) => (*number).into(),
        Field::Short(number) => (*number).into(),
        Field::Int(number) | Field::TimeMillis(number) => (*number).into(),
        Field::Long(number) | Field::TimeMicros(number) => (*number).into(),
        Field::UByte(number) => (*number).into(),
        Field::UShort(number) => (*number).into(),
        Field::UInt(number) => (*number).into(),
        Field::ULong(number) => (*number).into(),
        Field::Float(number) => (*number).into(),
        Field::Double(number) => (*number).into(),
        Field::Str(text) => text.as_str().into(),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => text.into(),
            Err(_) => BASE64_STANDARD.encode(bytes.data()).into(),
        },
        Field::Group(row) => Value::Object(object(row)),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => {
            Value::Object(map.entries().iter().map(|(key, field)| (text(key), value(field))).collect())
        }
        // Decimals and times have a text of their own.
        other => other.to_string().into(),
    }
}

fn text(key: &Field) -> String {
    match value(key) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::Compression;
    use parquet::column::writer::ColumnWriter;
    use parquet::data_type::ByteArray;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use serde_json::json;

    use super::*;

    fn file(compression: Compression) -> Vec<u8> {
        let schema = "message m { required binary image (STRING); required int64 n; }";
        let schema = Arc::new(parse_message_type(schema).expect("a schema"));
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).expect("a writer");
        let mut group = writer.next_row_group().expect("a group");
        while let Some(mut column) = group.next_column().expect("a column") {
            match column.untyped() {
                ColumnWriter::ByteArrayColumnWriter(writer) => {
                    let values = ["gs://my-bucket/a", "ü"].map(ByteArray::from);
                    writer.write_batch(&values, None, None).expect("written");
                }
                ColumnWriter::Int64ColumnWriter(writer) => {
                    writer.write_batch(&[1, 2], None, None).expect("written");
                }
                _ => unreachable!("the schema has two columns"),
            }
            column.close().expect("closed");
        }
        group.close().expect("closed");
        writer.close().expect("closed");
        bytes
    }

    fn rows(bytes: Vec<u8>) -> (Vec<Value>, Option<Unreadable>) {
        let mut rows = Vec::new();
        let outcome = read(bytes.into(), &mut |row| rows.push(Value::Object(row)));
        (rows, outcome.err())
    }

    #[test]
    fn rows_become_objects_however_they_are_compressed() {
        for compression in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::ZSTD(parquet::basic::ZstdLevel::default()),
            Compression::GZIP(parquet::basic::GzipLevel::default()),
        ] {
            let (rows, error) = rows(file(compression));
            assert!(error.is_none(), "{error:?}");
            assert_eq!(rows, [json!({"image": "gs://my-bucket/a", "n": 1}), json!({"image": "ü", "n": 2})]);
        }
    }

    #[test]
    fn damaged_files_are_errors() {
        let good = file(Compression::SNAPPY);
        for bad in [Vec::new(), b"PAR1".to_vec(), b"PAR1\xff\xff\xff\xffPAR1".to_vec(), good[..good.len() - 1].to_vec()]
        {
            assert!(rows(bad).1.is_some());
        }
        for at in (0..good.len()).step_by(3) {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            // Whatever comes of it, it is rows or an error.
            let _ = rows(bad);
        }
    }
}
