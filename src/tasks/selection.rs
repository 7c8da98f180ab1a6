//! Which of the listed objects become tasks.
//!
//! Pure: decides by name, size, type and time. What the gateway would not serve is never taken: a task whose address
//! leads nowhere helps nobody.

use std::time::SystemTime;

use super::data_type::DataType;
use crate::gateway::connection::Config;
use crate::gcs::Listed;
use crate::object::{NameError, ObjectName};

/// The rules.
#[derive(Clone, Debug)]
pub struct Selection<'a> {
    /// The connection: prefix, filter and depth.
    pub connection: &'a Config,
    /// The kind of data wanted; `None` for any.
    pub data_type: Option<DataType>,
    /// Only objects written after this time.
    pub newer_than: Option<SystemTime>,
}

/// What becomes of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    Take(ObjectName),
    /// It is not wanted.
    Leave,
    /// It would be wanted, but no URL can name it.
    Unservable(NameError),
}

impl Selection<'_> {
    /// Judges an object.
    pub fn judge(&self, object: &Listed) -> Verdict {
        let marker = object.size == 0 && object.name.ends_with('/');
        let wanted = |kind| DataType::of(&object.name, object.content_type.as_deref()) == Some(kind);
        let old = self.newer_than.is_some_and(|time| object.updated.is_some_and(|updated| updated <= time));
        if marker || old || !self.data_type.is_none_or(wanted) {
            return Verdict::Leave;
        }
        match ObjectName::new(object.name.as_str()) {
            Ok(name) if !self.connection.contains(&name) => Verdict::Leave,
            Ok(name) => match self.rest(&name) {
                Ok(()) => Verdict::Take(name),
                Err(error) => Verdict::Unservable(error),
            },
            Err(error) => Verdict::Unservable(error),
        }
    }

    /// Whether what follows the prefix can stand in a URL by itself.
    fn rest(&self, name: &ObjectName) -> Result<(), NameError> {
        ObjectName::new(self.connection.uri.path.strip(name).unwrap_or_default()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::gcs::Listed;
    use crate::object::{Generation, Metageneration};

    pub(crate) fn listed(name: &str, size: u64) -> Listed {
        Listed {
            name: name.to_owned(),
            size,
            generation: Generation(1),
            metageneration: Metageneration(1),
            content_type: None,
            content_encoding: None,
            updated: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(100)),
            crc32c: None,
            md5: None,
        }
    }

    #[test]
    fn objects_are_taken_left_or_reported() {
        let connection: Config =
            toml::from_str("uri = \"gs://my-bucket/d\"\nfilter = \"d.*(jpg|/)$\"\nrecursive = true").expect("legal");
        let selection = Selection { connection: &connection, data_type: None, newer_than: None };
        for (name, size, expected) in [
            ("d/a.jpg", 1, "take"),
            ("d/a.jpg", 0, "take"),
            ("d/folder/", 0, "leave"),
            ("d/folder/", 1, "take"),
            ("d/a.png", 1, "leave"),
            ("d/../a.jpg", 1, "unservable"),
            ("d/a\n.jpg", 1, "unservable"),
            ("d./a.jpg", 1, "unservable"),
            ("e/a.jpg", 1, "leave"),
        ] {
            let verdict = match selection.judge(&listed(name, size)) {
                Verdict::Take(taken) if taken.as_str() == name => "take",
                Verdict::Take(_) => "another",
                Verdict::Leave => "leave",
                Verdict::Unservable(_) => "unservable",
            };
            assert_eq!(verdict, expected, "{name}");
        }
        for (seconds, taken) in [(99, true), (100, false), (101, false)] {
            let newer_than = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            let verdict = Selection { newer_than, ..selection.clone() }.judge(&listed("d/a.jpg", 1));
            assert_eq!(matches!(verdict, Verdict::Take(_)), taken, "{seconds}");
        }
        let images = Selection { data_type: Some(DataType::Video), ..selection };
        assert_eq!(images.judge(&listed("d/a.jpg", 1)), Verdict::Leave);
    }
}
