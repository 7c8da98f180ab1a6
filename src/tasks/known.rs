//! What an earlier manifest has, as digests: 16 bytes an entry, however long its URL.
//!
//! Decides by what an entry is known: by its URL, or a task by its data, signatures left out since they change with time.
//! Reads the file once, piece by piece.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::Value;

use super::csv;
use super::format::Format;

/// What stands before a link's token in a URL.
const LINK: &str = "?sig=";
/// Less is no token: 29 bytes in base64 are the least.
const SHORTEST_TOKEN: usize = 39;

/// The entries of a manifest.
#[derive(Debug, Default)]
pub struct Known(HashSet<u128>);

/// Why a manifest cannot be read.
#[derive(Debug)]
pub(super) enum Error {
    Read(io::Error),
    Format(String),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl Known {
    /// Reads a manifest of this format; `key` is the field that has the link.
    pub(super) fn read(path: &Path, format: Format, key: &str) -> Result<Self, Error> {
        let (mut known, file) = (Self::default(), BufReader::new(File::open(path)?));
        match format {
            Format::LabelStudio => known.array(file, &|known, task| known.add_task(task, key))?,
            Format::Labelbox => known.array(file, &|known, row| known.add_field(row, "row_data"))?,
            Format::Jsonl => known.lines(file, &|known, line| known.add_task(&json(line)?, key))?,
            Format::Cvat => known.lines(file, &|known, line| known.add_frame(&json(line)?))?,
            Format::Txt => known.lines(file, &|known, line| {
                known.add(line);
                Ok(())
            })?,
            Format::Csv => known.csv(file, key)?,
        }
        Ok(known)
    }

    /// Whether the link, or for CVAT the name, is in the manifest.
    pub(super) fn has(&self, identity: &str) -> bool {
        self.0.contains(&short(identity))
    }

    /// Whether a task with the same data is in it.
    pub(super) fn has_task(&self, task: &Value) -> bool {
        task.get("data").is_some_and(|data| self.has(&data.to_string()))
    }

    fn add(&mut self, identity: &str) {
        self.0.insert(short(identity));
    }

    fn add_field(&mut self, entry: &Value, key: &str) -> Result<(), String> {
        let link = entry.get(key).and_then(Value::as_str).ok_or_else(|| format!("an entry without {key:?}"))?;
        self.add(link);
        Ok(())
    }

    /// A task that names an object in `key`, or one with data of its own.
    fn add_task(&mut self, task: &Value, key: &str) -> Result<(), String> {
        match task.get("data") {
            Some(data @ Value::Object(_)) => {
                if let Some(link) = data.get(key).and_then(Value::as_str) {
                    self.add(link);
                }
                // serde_json keeps keys sorted, so that equal data has equal text.
                self.add(&data.to_string());
                Ok(())
            }
            _ => self.add_field(task, key),
        }
    }

    /// A line of CVAT's manifest; the first two are about the file.
    fn add_frame(&mut self, frame: &Value) -> Result<(), String> {
        if frame.get("version").is_some() || frame.get("type").is_some() {
            return Ok(());
        }
        let text = |key| frame.get(key).and_then(Value::as_str);
        match (text("name"), text("extension")) {
            (Some(name), Some(extension)) => {
                self.add(&format!("{name}{extension}"));
                Ok(())
            }
            _ => Err("a frame without name and extension".to_owned()),
        }
    }

    fn array(
        &mut self,
        file: impl BufRead,
        add: &dyn Fn(&mut Self, &Value) -> Result<(), String>,
    ) -> Result<(), Error> {
        let mut deserializer = serde_json::Deserializer::from_reader(file);
        let read = deserializer.deserialize_seq(Entries { known: self, add }).and_then(|()| deserializer.end());
        read.map_err(|error| match error.io_error_kind() {
            Some(kind) => Error::Read(kind.into()),
            None => Error::Format(error.to_string()),
        })
    }

    fn lines(&mut self, file: impl BufRead, add: &dyn Fn(&mut Self, &str) -> Result<(), String>) -> Result<(), Error> {
        for (at, line) in file.lines().enumerate() {
            let line = line?;
            if !line.trim().is_empty() {
                add(self, line.trim_end_matches('\r'))
                    .map_err(|why| Error::Format(format!("line {}: {why}", at + 1)))?;
            }
        }
        Ok(())
    }

    fn csv(&mut self, file: impl BufRead, key: &str) -> Result<(), Error> {
        let mut lines = file.lines();
        let header = csv::read(&lines.next().transpose()?.unwrap_or_default());
        let column = header.iter().position(|name| name == key);
        let column = column.ok_or_else(|| Error::Format(format!("there is no column {key:?}")))?;
        for line in lines {
            if let Some(link) = csv::read(&line?).get(column) {
                self.add(link);
            }
        }
        Ok(())
    }
}

fn json(line: &str) -> Result<Value, String> {
    serde_json::from_str(line).map_err(|error| error.to_string())
}

/// Half of a SHA-256: that two of a bucket's names meet by chance will not happen.
fn short(text: &str) -> u128 {
    let digest = digest(&SHA256, unsigned(text).as_bytes());
    digest.as_ref().iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// The text without the links' tokens.
fn unsigned(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(LINK) else { return Cow::Borrowed(text) };
    let (mut left, mut rest) = (text[..first].to_owned(), &text[first..]);
    while let Some(at) = rest.find(LINK) {
        let behind = &rest[at + LINK.len()..];
        let is_token = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        let token = behind.find(|letter| !is_token(letter)).unwrap_or(behind.len());
        let keep = if token >= SHORTEST_TOKEN { at } else { at + LINK.len() + token };
        left.push_str(&rest[..keep]);
        rest = &behind[token..];
    }
    left.push_str(rest);
    Cow::Owned(left)
}

struct Entries<'a> {
    known: &'a mut Known,
    add: &'a dyn Fn(&mut Known, &Value) -> Result<(), String>,
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while let Some(entry) = sequence.next_element::<Value>()? {
            (self.add)(self.known, &entry).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(format: Format, text: &str) -> Result<Known, Error> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        Known::read(file.path(), format, "image")
    }

    #[test]
    fn every_format_is_read_back() {
        for (format, text, identity) in [
            (Format::LabelStudio, "[{\"data\":{\"image\":\"u\"}}]", "u"),
            (Format::Jsonl, "{\"image\":\"u\",\"name\":\"n\"}\n", "u"),
            (Format::Csv, "image,name\r\nu,\"a,b\"\r\n", "u"),
            (Format::Labelbox, "[{\"row_data\":\"u\"}]", "u"),
            (
                Format::Cvat,
                "{\"version\":\"1.1\"}\n{\"type\":\"images\"}\n{\"name\":\"u\",\"extension\":\".png\"}\n",
                "u.png",
            ),
            (Format::Txt, "u\r\n", "u"),
        ] {
            let known = known(format, text).expect("a good manifest");
            assert!(known.has(identity) && !known.has("v"), "{format:?}");
        }
        let task = serde_json::json!({"data": {"b": 1, "a": [2]}, "meta": 3});
        let known = known(Format::Jsonl, "{\"data\":{\"a\":[2],\"b\":1}}\n").expect("a good manifest");
        assert!(known.has_task(&task));
    }

    #[test]
    fn an_entry_is_known_whatever_link_it_has() {
        let (one, other) = ("a".repeat(40), "b-_".repeat(20));
        for (text, left) in [
            (format!("https://g/c/a.png?sig={one}"), "https://g/c/a.png".to_owned()),
            (format!("<img src='u?sig={one}'> v?sig={other}\"}}"), "<img src='u'> v\"}".to_owned()),
            ("gs://b/a?sig=short".to_owned(), "gs://b/a?sig=short".to_owned()),
            ("?sig=".to_owned(), "?sig=".to_owned()),
            ("ü".to_owned(), "ü".to_owned()),
        ] {
            assert_eq!(unsigned(&text), left, "{text}");
        }
        let known = known(Format::Txt, &format!("u?sig={one}\n")).expect("a good manifest");
        assert!(known.has(&format!("u?sig={other}")) && known.has("u") && !known.has("v"));
    }

    #[test]
    fn another_format_is_an_error() {
        for (format, text) in [
            (Format::LabelStudio, "{\"image\":\"u\"}\n"),
            (Format::LabelStudio, "[{\"data\":{\"image\":\"u\"}}"),
            (Format::Jsonl, "https://u\n"),
            (Format::Jsonl, "{\"video\":\"u\"}\n"),
            (Format::Csv, "url,name\r\n"),
            (Format::Csv, ""),
            (Format::Labelbox, "[{\"data\":{}}]"),
            (Format::Cvat, "{\"name\":\"u\"}\n"),
        ] {
            assert!(matches!(known(format, text), Err(Error::Format(_))), "{format:?} {text}");
        }
    }
}
