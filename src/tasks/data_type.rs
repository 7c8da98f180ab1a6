//! Kinds of data that annotation tools tell apart, by stored type and by extension.
//!
//! Decides what kind an object is; a stored type that says nothing is repaired from the extension, as the gateway does
//! when it serves the object.

use clap::ValueEnum;

/// A kind of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DataType {
    /// Pictures.
    Image,
    /// Films.
    Video,
    /// Sound.
    Audio,
    /// PDF and office documents.
    Document,
    /// Text, JSON and XML included.
    Text,
}

impl DataType {
    /// The kind of an object; `None` for anything else.
    pub fn of(name: &str, content_type: Option<&str>) -> Option<Self> {
        let stored = content_type.map(essence).filter(|stored| !says_nothing(stored));
        match stored {
            Some(stored) => Self::of_type(&stored),
            None => mime_guess::from_path(name).first_raw().and_then(Self::of_type),
        }
    }

    /// The name of the field that tools usually keep such data in.
    pub fn key(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "pdf",
            Self::Text => "text",
        }
    }

    fn of_type(essence: &str) -> Option<Self> {
        let (kind, subtype) = essence.split_once('/')?;
        match (kind, subtype) {
            ("image", _) => Some(Self::Image),
            ("video", _) | ("application", "mp4") => Some(Self::Video),
            ("audio", _) | ("application", "ogg") => Some(Self::Audio),
            ("text", _) | ("application", "json" | "jsonl" | "x-ndjson" | "xml" | "yaml" | "x-yaml") => {
                Some(Self::Text)
            }
            ("application", "pdf" | "msword" | "rtf" | "epub+zip") => Some(Self::Document),
            ("application", office)
                if office.starts_with("vnd.openxmlformats-officedocument.")
                    || office.starts_with("vnd.oasis.opendocument.")
                    || office.starts_with("vnd.ms-") =>
            {
                Some(Self::Document)
            }
            _ => None,
        }
    }
}

fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn says_nothing(essence: &str) -> bool {
    matches!(essence, "" | "application/octet-stream" | "binary/octet-stream" | "application/x-unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_type_decides_unless_it_says_nothing() {
        for (name, stored, expected) in [
            ("a.jpg", None, Some(DataType::Image)),
            ("a.JPG", Some("application/octet-stream"), Some(DataType::Image)),
            ("a.jpg", Some("video/mp4"), Some(DataType::Video)),
            ("a", Some("Image/PNG; x=y"), Some(DataType::Image)),
            ("a.mp4", Some(""), Some(DataType::Video)),
            ("a.mp3", None, Some(DataType::Audio)),
            ("a.pdf", None, Some(DataType::Document)),
            ("a.docx", None, Some(DataType::Document)),
            ("a.txt", None, Some(DataType::Text)),
            ("a.json", Some("application/json"), Some(DataType::Text)),
            ("a.zip", None, None),
            ("a", None, None),
            ("a.jpg/b", None, None),
            ("a.jpg", Some("nonsense"), None),
        ] {
            assert_eq!(DataType::of(name, stored), expected, "{name} {stored:?}");
        }
    }
}
