//! Task definitions in files: a JSON object or array, JSON lines, or Parquet rows.
//!
//! Decides what in a file is a task. A file that cannot be read as a whole gives no task; of JSON lines and of arrays the
//! bad ones are told by their place and the rest goes on. Files are bounded by their reader, nesting by the parsers.

use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::parquet_file;

/// Troubles of one file that are told one by one.
const MAX_TROUBLES: usize = 20;

/// How a file's tasks are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    JsonLines,
    Parquet,
}

impl Kind {
    /// The kind of an object, by its extension or its type; `None` for anything that has no tasks in it.
    pub(super) fn of(name: &str, content_type: Option<&str>) -> Option<Self> {
        let extension = name.rsplit('/').next()?.rsplit_once('.').map(|(_, last)| last.to_ascii_lowercase());
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let by_extension = match extension.as_deref().unwrap_or_default() {
            "json" => Some(Self::Json),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "parquet" => Some(Self::Parquet),
            _ => None,
        };
        by_extension.or(match essence {
            "application/json" => Some(Self::Json),
            "application/jsonl" | "application/x-ndjson" => Some(Self::JsonLines),
            "application/vnd.apache.parquet" => Some(Self::Parquet),
            _ => None,
        })
    }
}

/// What was wrong in a file, by place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// The first ones, each with its place.
    pub(super) told: Vec<String>,
    /// All of them.
    pub(super) count: u64,
}

impl Faults {
    fn add(&mut self, fault: impl fmt::Display) {
        self.count += 1;
        if self.told.len() < MAX_TROUBLES {
            self.told.push(fault.to_string());
        }
    }
}

/// Reads a file's tasks; each is an object that has `data`.
pub(super) fn read(kind: Kind, bytes: bytes::Bytes, each: &mut dyn FnMut(Value)) -> Faults {
    let mut faults = Faults::default();
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    match kind {
        Kind::Json => json(text, each, &mut faults),
        Kind::JsonLines => lines(text, each, &mut faults),
        Kind::Parquet => {
            let mut row = 0_u64;
            let read = parquet_file::read(bytes, &mut |fields| {
                row += 1;
                pass(Value::Object(fields), &format_args!("row {row}"), each, &mut faults);
            });
            if let Err(error) = read {
                faults.add(error);
            }
        }
    }
    faults
}

fn json(text: &[u8], each: &mut dyn FnMut(Value), faults: &mut Faults) {
    match serde_json::from_slice::<IgnoredAny>(text) {
        Ok(_) if text.trim_ascii_start().starts_with(b"[") => {
            let mut deserializer = serde_json::Deserializer::from_slice(text);
            // It was read through before, so that no fault is left but nesting that is too deep.
            if let Err(error) = deserializer.deserialize_seq(Elements { each, faults: &mut *faults }) {
                faults.add(place(&error));
            }
        }
        Ok(_) => match serde_json::from_slice(text) {
            Ok(value) => pass(value, &"line 1", each, faults),
            Err(error) => faults.add(place(&error)),
        },
        Err(_) if first_line_is_json(text) => lines(text, each, faults),
        Err(error) => faults.add(place(&error)),
    }
}

/// Some name JSON lines `.json`.
fn first_line_is_json(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let first = lines.next().is_some_and(|line| serde_json::from_slice::<Map<String, Value>>(line).is_ok());
    first && lines.next().is_some()
}

fn lines(text: &[u8], each: &mut dyn FnMut(Value), faults: &mut Faults) {
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(value) => pass(value, &format_args!("line {}", at + 1), each, faults),
            Err(error) => faults.add(format_args!("line {}: {}", at + 1, what(&error))),
        }
    }
}

/// Passes on what is a task.
fn pass(value: Value, place: &dyn fmt::Display, each: &mut dyn FnMut(Value), faults: &mut Faults) {
    match task(value) {
        Ok(task) => each(task),
        Err(why) => faults.add(format_args!("{place}: {why}")),
    }
}

/// A task as it stands, or a task whose data this is.
fn task(value: Value) -> Result<Value, &'static str> {
    let Value::Object(fields) = value else { return Err("a task must be an object") };
    match fields.get("data") {
        Some(Value::Object(_)) => Ok(Value::Object(fields)),
        Some(_) => Err("\"data\" must be an object"),
        None if fields.contains_key("annotations") || fields.contains_key("predictions") => {
            Err("annotations and predictions need \"data\" beside them")
        }
        None if fields.is_empty() => Err("the task is empty"),
        None => Ok(Value::Object(Map::from_iter([("data".to_owned(), Value::Object(fields))]))),
    }
}

/// `line 3, column 7: expected …`.
fn place(error: &serde_json::Error) -> String {
    format!("line {}, column {}: {}", error.line(), error.column(), what(error))
}

/// The error without its place.
fn what(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

/// Takes an array's elements one by one, so that only one is in memory.
struct Elements<'a> {
    each: &'a mut dyn FnMut(Value),
    faults: &'a mut Faults,
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of tasks")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let mut at = 0_u64;
        while let Some(value) = sequence.next_element()? {
            at += 1;
            pass(value, &format_args!("item {at}"), self.each, self.faults);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tasks(kind: Kind, text: &str) -> (Vec<Value>, Vec<String>) {
        let mut found = Vec::new();
        let faults = read(kind, bytes::Bytes::copy_from_slice(text.as_bytes()), &mut |task| found.push(task));
        (found, faults.told)
    }

    #[test]
    fn objects_arrays_and_lines_give_tasks() {
        let (a, b) = (json!({"data": {"image": "a"}}), json!({"data": {"image": "b"}, "meta": 1}));
        for (kind, text) in [
            (Kind::Json, r#"[{"image":"a"},{"data":{"image":"b"},"meta":1}]"#),
            (Kind::JsonLines, "{\"image\":\"a\"}\r\n\n{\"data\":{\"image\":\"b\"},\"meta\":1}"),
            (Kind::Json, "{\"image\":\"a\"}\n{\"data\":{\"image\":\"b\"},\"meta\":1}\n"),
            (Kind::Json, "\u{feff} [{\"image\":\"a\"},{\"data\":{\"image\":\"b\"},\"meta\":1}]"),
        ] {
            assert_eq!(tasks(kind, text), (vec![a.clone(), b.clone()], vec![]), "{text}");
        }
        assert_eq!(tasks(Kind::Json, "{\"image\":\n\"a\"}"), (vec![a], vec![]));
        assert_eq!(tasks(Kind::Json, "[]"), (vec![], vec![]));
    }

    #[test]
    fn bad_ones_are_told_by_place_and_the_rest_goes_on() {
        let (found, faults) = tasks(Kind::JsonLines, "{\"a\":1}\nnonsense\n3\n{\"data\":1}\n{}\n{\"b\":2}");
        assert_eq!(found.len(), 2);
        let expected = ["line 2: expected ident", "line 3: a task", "line 4: \"data\"", "line 5: the task is empty"];
        assert!(faults.iter().zip(expected).all(|(fault, expected)| fault.starts_with(expected)), "{faults:?}");
        let (found, faults) = tasks(Kind::Json, "[{\"a\":1},2,{\"annotations\":[]}]");
        assert_eq!((found.len(), faults.len()), (1, 2));
        assert!(faults[0].starts_with("item 2: "), "{faults:?}");
        let (found, faults) = tasks(Kind::Json, "[{\"a\":1},\n{\"b\":}]");
        assert_eq!((found.len(), faults), (0, vec!["line 2, column 6: expected value".to_owned()]));
        for bad in ["", "3", "\"x\"", "[", "{\"a\":1", &"[".repeat(100_000), &"{\"a\":".repeat(1000)] {
            let (found, faults) = tasks(Kind::Json, bad);
            assert!(found.is_empty() && faults.len() == 1, "{faults:?}");
        }
    }

    #[test]
    fn kinds_are_told_by_extension_or_type() {
        for (name, stored, expected) in [
            ("a.json", Some("text/plain"), Some(Kind::Json)),
            ("a.JSONL", None, Some(Kind::JsonLines)),
            ("a.ndjson", None, Some(Kind::JsonLines)),
            ("a.parquet", None, Some(Kind::Parquet)),
            ("17", Some("application/json; charset=utf-8"), Some(Kind::Json)),
            ("a.png", Some("image/png"), None),
            ("json", None, None),
        ] {
            assert_eq!(Kind::of(name, stored), expected, "{name}");
        }
    }
}
