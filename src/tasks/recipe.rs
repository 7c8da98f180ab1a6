//! What somebody wants in a manifest, and whether it goes together.
//!
//! Pure: the command line and the API ask for the same things, and are told the same.

use super::data_type::DataType;
use super::format::Format;
use super::manifest::Import;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// What the annotation tool reads.
    pub format: Format,
    /// The fields that get the URL; the usual one, if none is named.
    pub data_keys: Vec<String>,
    /// What objects are.
    pub import: Import,
    /// The kind of data; any, if none is named.
    pub data_type: Option<DataType>,
}

/// What does not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Whole tasks in a format of mere addresses.
    #[error("only the formats label-studio and jsonl have room for whole tasks")]
    NoRoomForTasks,
    /// A kind of what has none.
    #[error("files of task definitions have no kind; use the connection's filter instead")]
    TasksHaveNoKind,
    /// Other kinds in a manifest of images.
    #[error("CVAT's manifest lists images; leave the data type out")]
    OnlyImages,
}

impl Recipe {
    /// Whether it goes together.
    pub fn check(&self) -> Result<(), Conflict> {
        if self.import == Import::Json && !matches!(self.format, Format::LabelStudio | Format::Jsonl) {
            return Err(Conflict::NoRoomForTasks);
        }
        if self.import == Import::Json && self.data_type.is_some() {
            return Err(Conflict::TasksHaveNoKind);
        }
        if self.format == Format::Cvat && self.data_type.is_some_and(|kind| kind != DataType::Image) {
            return Err(Conflict::OnlyImages);
        }
        Ok(())
    }

    /// The kind of data that is listed.
    pub fn data_type(&self) -> Option<DataType> {
        if self.format == Format::Cvat { Some(DataType::Image) } else { self.data_type }
    }

    /// The fields that get the URL, at least one.
    pub fn keys(&self) -> Vec<String> {
        if !self.data_keys.is_empty() {
            return self.data_keys.clone();
        }
        let key = match self.format {
            Format::LabelStudio => self.data_type.unwrap_or(DataType::Image).key(),
            _ => "url",
        };
        vec![key.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_go_together_is_refused() {
        let recipe = |format, import, data_type| Recipe { format, data_keys: Vec::new(), import, data_type };
        for (recipe, expected) in [
            (recipe(Format::LabelStudio, Import::Json, None), Ok(())),
            (recipe(Format::Csv, Import::Json, None), Err(Conflict::NoRoomForTasks)),
            (recipe(Format::Jsonl, Import::Json, Some(DataType::Image)), Err(Conflict::TasksHaveNoKind)),
            (recipe(Format::Cvat, Import::Files, Some(DataType::Video)), Err(Conflict::OnlyImages)),
            (recipe(Format::Cvat, Import::Files, Some(DataType::Image)), Ok(())),
        ] {
            assert_eq!(recipe.check(), expected, "{recipe:?}");
        }
    }

    #[test]
    fn the_usual_key_is_the_kind_for_label_studio_and_else_url() {
        let keys = |format, data_type, keys: &[&str]| {
            let data_keys = keys.iter().map(|&key| key.to_owned()).collect();
            Recipe { format, data_keys, import: Import::Files, data_type }.keys().join(" ")
        };
        assert_eq!(keys(Format::LabelStudio, None, &[]), "image");
        assert_eq!(keys(Format::LabelStudio, Some(DataType::Document), &[]), "pdf");
        assert_eq!(keys(Format::Csv, Some(DataType::Video), &[]), "url");
        assert_eq!(keys(Format::LabelStudio, None, &["a", "b"]), "a b");
    }
}
