//! How each annotation tool wants to be told of objects.
//!
//! Pure: an object or a task in, bytes out. Every name comes out as it went in, whatever it has in it.
//! Follows <https://labelstud.io/guide/tasks>, <https://docs.labelbox.com/docs/json-import> and
//! <https://docs.cvat.ai/docs/dataset_management/dataset_manifest/>.

use std::time::SystemTime;

use clap::ValueEnum;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use super::csv;
use super::data_type::DataType;
use crate::gcs::Listed;
use crate::object::{BucketName, ObjectName};

/// The longest global key that Labelbox takes.
const LONGEST_KEY: usize = 200;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Label Studio: a JSON array of tasks.
    LabelStudio,
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
    /// Labelbox: data rows with global keys.
    Labelbox,
    /// CVAT: manifest.jsonl of images, with width and height.
    Cvat,
    /// One URL a line.
    Txt,
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// One object to write down.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its full name.
    pub name: &'a ObjectName,
    /// What the listing told of it.
    pub listed: &'a Listed,
    /// The gateway's URL, or a `gs://` URI.
    pub link: &'a str,
    /// Its bucket.
    pub bucket: &'a BucketName,
    /// The name as seen from the folder that the connection's prefix names.
    pub relative: &'a str,
    /// Its size as a picture; CVAT's manifest needs it.
    pub pixels: Option<Pixels>,
}

/// Writes a manifest, piece by piece.
#[derive(Clone, Debug)]
pub struct Writer {
    format: Format,
    keys: Vec<String>,
    written: u64,
}

impl Writer {
    /// A writer; `keys` are the fields that get the link, at least one.
    pub fn new(format: Format, keys: Vec<String>) -> Self {
        Self { format, keys, written: 0 }
    }

    /// What stands before the first entry.
    pub fn begin(&self, out: &mut Vec<u8>) {
        match self.format {
            Format::LabelStudio | Format::Labelbox => out.extend_from_slice(b"["),
            Format::Csv => {
                let fixed = ["name", "size", "content_type", "updated"];
                csv::write(out, self.keys.iter().map(String::as_str).chain(fixed));
            }
            Format::Cvat => out.extend_from_slice(b"{\"version\":\"1.1\"}\n{\"type\":\"images\"}\n"),
            Format::Jsonl | Format::Txt => {}
        }
    }

    /// An object.
    pub fn entry(&mut self, out: &mut Vec<u8>, entry: &Entry<'_>) {
        match self.format {
            Format::LabelStudio => {
                let data = Fields { keys: &self.keys, link: entry.link, about: None };
                self.element(out, &LabelStudioTask { data });
            }
            Format::Jsonl => line(out, &Fields { keys: &self.keys, link: entry.link, about: Some(About::of(entry)) }),
            Format::Csv => self.csv(out, entry),
            Format::Labelbox => self.element(out, &DataRow::of(entry)),
            Format::Cvat => line(out, &Frame::of(entry)),
            Format::Txt => {
                out.extend_from_slice(entry.link.as_bytes());
                out.push(b'\n');
            }
        }
        self.written += 1;
    }

    /// A task that was defined in the bucket; only for formats that have room for it.
    pub fn task(&mut self, out: &mut Vec<u8>, task: &Value) {
        if self.format == Format::LabelStudio {
            self.element(out, task);
        } else {
            line(out, task);
        }
        self.written += 1;
    }

    /// What stands after the last entry.
    pub fn end(&self, out: &mut Vec<u8>) {
        if matches!(self.format, Format::LabelStudio | Format::Labelbox) {
            out.extend_from_slice(if self.written == 0 { b"]\n" } else { b"\n]\n" });
        }
    }

    /// Entries and tasks so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    fn element(&self, out: &mut Vec<u8>, element: &impl Serialize) {
        out.extend_from_slice(if self.written == 0 { b"\n" } else { b",\n" });
        json(out, element);
    }

    fn csv(&self, out: &mut Vec<u8>, entry: &Entry<'_>) {
        let about = About::of(entry);
        let size = about.size.to_string();
        let fixed =
            [about.name, &size, about.content_type.unwrap_or_default(), about.updated.as_deref().unwrap_or_default()];
        csv::write(out, self.keys.iter().map(|_| entry.link).chain(fixed));
    }
}

fn line(out: &mut Vec<u8>, value: &impl Serialize) {
    json(out, value);
    out.push(b'\n');
}

fn json(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("text, numbers and maps with text as keys, written to memory");
}

#[derive(Serialize)]
struct LabelStudioTask<'a> {
    data: Fields<'a>,
}

/// `{"image": link, …}`.
struct Fields<'a> {
    keys: &'a [String],
    link: &'a str,
    about: Option<About<'a>>,
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for key in self.keys {
            map.serialize_entry(key, self.link)?;
        }
        if let Some(about) = &self.about {
            map.serialize_entry("name", about.name)?;
            map.serialize_entry("size", &about.size)?;
            map.serialize_entry("content_type", &about.content_type)?;
            map.serialize_entry("updated", &about.updated)?;
        }
        map.end()
    }
}

/// What a person wants to know of an object.
struct About<'a> {
    name: &'a str,
    size: u64,
    content_type: Option<&'a str>,
    updated: Option<String>,
}

impl<'a> About<'a> {
    fn of(entry: &'a Entry<'_>) -> Self {
        let listed = entry.listed;
        Self {
            name: entry.name.as_str(),
            size: listed.size,
            content_type: listed.content_type.as_deref(),
            updated: listed.updated.filter(|time| *time >= SystemTime::UNIX_EPOCH).map(rfc3339),
        }
    }
}

/// A time as GCS writes it.
pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

#[derive(Serialize)]
struct DataRow<'a> {
    row_data: &'a str,
    global_key: String,
    external_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<&'static str>,
}

impl<'a> DataRow<'a> {
    fn of(entry: &'a Entry<'_>) -> Self {
        let kind = DataType::of(entry.name.as_str(), entry.listed.content_type.as_deref());
        let media_type = kind.map(|kind| match kind {
            DataType::Image => "IMAGE",
            DataType::Video => "VIDEO",
            DataType::Audio => "AUDIO",
            DataType::Document => "PDF",
            DataType::Text => "TEXT",
        });
        let global_key = global_key(&format!("gs://{}/{}", entry.bucket, entry.name));
        Self { row_data: entry.link, global_key, external_id: entry.name.as_str(), media_type }
    }
}

/// The object's URI, or something as unique that is short enough.
fn global_key(uri: &str) -> String {
    if uri.chars().count() <= LONGEST_KEY {
        return uri.to_owned();
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, uri.as_bytes());
    digest.as_ref().iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[derive(Serialize)]
struct Frame<'a> {
    name: &'a str,
    extension: &'a str,
    width: usize,
    height: usize,
    meta: FrameMeta<'a>,
}

#[derive(Serialize)]
struct FrameMeta<'a> {
    related_images: [(); 0],
    url: &'a str,
}

impl<'a> Frame<'a> {
    fn of(entry: &Entry<'a>) -> Self {
        let (name, extension) = split_extension(entry.relative);
        let Pixels { width, height } = entry.pixels.unwrap_or(Pixels { width: 0, height: 0 });
        Self { name, extension, width, height, meta: FrameMeta { related_images: [], url: entry.link } }
    }
}

/// As CVAT puts them together again; a name of dots at its beginning has no extension.
fn split_extension(name: &str) -> (&str, &str) {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    let stem = file + name[file..].len() - name[file..].trim_start_matches('.').len();
    match name[stem..].rfind('.') {
        Some(dot) => name.split_at(stem + dot),
        None => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::object::{Generation, Metageneration};

    const ODD: &str = "d/a \"b\", c\\ü🦀 #?&=.tar.png";

    fn written(format: Format, keys: &[&str], names: &[&str]) -> String {
        let mut writer = Writer::new(format, keys.iter().map(|&key| key.to_owned()).collect());
        let mut out = Vec::new();
        let bucket = BucketName::new("my-bucket").expect("a legal name");
        writer.begin(&mut out);
        for name in names {
            let listed = Listed {
                name: (*name).to_owned(),
                size: 7,
                generation: Generation(1),
                metageneration: Metageneration(1),
                content_type: Some("image/png".to_owned()),
                content_encoding: None,
                updated: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1500)),
                crc32c: None,
                md5: None,
            };
            let name = ObjectName::new(*name).expect("a legal name");
            let link = format!("https://g/c/{}", name.as_path());
            let entry = Entry {
                name: &name,
                listed: &listed,
                link: &link,
                bucket: &bucket,
                relative: name.as_str().trim_start_matches("d/"),
                pixels: Some(Pixels { width: 3, height: 2 }),
            };
            writer.entry(&mut out, &entry);
        }
        writer.end(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn each_format_is_what_its_tool_reads() {
        let url = "https://g/c/d/a%20%22b%22%2C%20c%5C%C3%BC%F0%9F%A6%80%20%23%3F%26%3D.tar.png";
        let json = r#"d/a \"b\", c\\ü🦀 #?&=.tar.png"#;
        for (format, keys, expected) in [
            (
                Format::LabelStudio,
                &["image", "thumb"][..],
                format!("[\n{{\"data\":{{\"image\":\"{url}\",\"thumb\":\"{url}\"}}}}\n]\n"),
            ),
            (
                Format::Jsonl,
                &["image"],
                format!(
                    "{{\"image\":\"{url}\",\"name\":\"{json}\",\"size\":7,\"content_type\":\"image/png\",\
                     \"updated\":\"1970-01-01T00:00:01.500Z\"}}\n"
                ),
            ),
            (
                Format::Csv,
                &["url"],
                format!(
                    "url,name,size,content_type,updated\r\n{url},\"d/a \"\"b\"\", c\\ü🦀 #?&=.tar.png\",7,image/png,\
                     1970-01-01T00:00:01.500Z\r\n"
                ),
            ),
            (
                Format::Labelbox,
                &["url"],
                format!(
                    "[\n{{\"row_data\":\"{url}\",\"global_key\":\"gs://my-bucket/{json}\",\"external_id\":\"{json}\",\
                     \"media_type\":\"IMAGE\"}}\n]\n"
                ),
            ),
            (
                Format::Cvat,
                &["url"],
                format!(
                    "{{\"version\":\"1.1\"}}\n{{\"type\":\"images\"}}\n{{\"name\":\"a \\\"b\\\", c\\\\ü🦀 #?&=.tar\",\
                     \"extension\":\".png\",\"width\":3,\"height\":2,\"meta\":{{\"related_images\":[],\
                     \"url\":\"{url}\"}}}}\n"
                ),
            ),
            (Format::Txt, &["url"], format!("{url}\n")),
        ] {
            assert_eq!(written(format, keys, &[ODD]), expected, "{format:?}");
        }
    }

    #[test]
    fn arrays_of_none_and_of_two_are_json() {
        for format in [Format::LabelStudio, Format::Labelbox] {
            for names in [&[][..], &["a"], &["a", "b"]] {
                let value: Value = serde_json::from_str(&written(format, &["image"], names)).expect("JSON");
                assert_eq!(value.as_array().map(Vec::len), Some(names.len()));
            }
        }
    }

    #[test]
    fn long_names_have_short_global_keys_of_their_own() {
        let long = |end: &str| global_key(&format!("gs://b/{}{end}", "x".repeat(300)));
        assert!(long("a").starts_with("sha256:") && long("a").len() == 71 && long("a") != long("b"));
    }

    #[test]
    fn extensions_are_split_as_cvat_does() {
        for (name, expected) in [
            ("a/b.jpg", ("a/b", ".jpg")),
            ("a.b/c", ("a.b/c", "")),
            (".hidden", (".hidden", "")),
            ("a/..x.y", ("a/..x", ".y")),
            ("a.", ("a", ".")),
        ] {
            assert_eq!(split_extension(name), expected, "{name}");
        }
    }
}
