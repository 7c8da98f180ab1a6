//! `[label_studio.export]`: where annotations go, and under which names.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use crate::object::limit;

/// The `[label_studio.export]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The connection whose bucket and prefix get the annotations.
    pub connection: String,
    /// The projects; events of others are refused.
    #[serde(deserialize_with = "projects")]
    pub projects: Vec<u64>,
    /// The objects' names, below the connection's prefix.
    #[serde(default)]
    pub name: NameTemplate,
    /// Whether objects of annotations that are gone are deleted.
    #[serde(default)]
    pub can_delete: bool,
    /// File with the secret that webhooks send; without it none is taken.
    pub secret_file: Option<PathBuf>,
    /// How often everything that changed is looked at, whatever events came; zero never does.
    #[serde(default = "often", deserialize_with = "limit::zero_or_more")]
    pub sweep: Duration,
}

fn often() -> Duration {
    Duration::from_mins(5)
}

fn projects<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    let projects = Vec::deserialize(deserializer)?;
    if projects.is_empty() {
        return Err(de::Error::custom("expected at least one project's id, such as [1]"));
    }
    Ok(projects)
}

/// Names of objects; ids are numbers, so that none can lead anywhere else.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct NameTemplate(String);

/// Why a template was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a name with {{annotation}} once and perhaps {{project}}, such as \"{{project}}/{{annotation}}.json\""
)]
pub struct TemplateError;

impl Default for NameTemplate {
    fn default() -> Self {
        Self("{annotation}.json".to_owned())
    }
}

impl TryFrom<String> for NameTemplate {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        let bare = text.replace("{project}", "").replacen("{annotation}", "", 1);
        let rest_is_plain = !bare.contains(['{', '}']) && !bare.chars().any(char::is_control);
        let dots = text.split('/').any(|segment| segment == "." || segment == "..");
        let good = text.matches("{annotation}").count() == 1 && rest_is_plain && !dots && text.len() <= 500;
        if good { Ok(Self(text)) } else { Err(TemplateError) }
    }
}

impl NameTemplate {
    /// An annotation's name.
    pub fn render(&self, project: u64, annotation: u64) -> String {
        self.0.replace("{project}", &project.to_string()).replace("{annotation}", &annotation.to_string())
    }

    /// What stands before and after the annotation's id in the names of a project.
    pub(super) fn around(&self, project: u64) -> (String, String) {
        let text = self.0.replace("{project}", &project.to_string());
        let (before, after) = text.split_once("{annotation}").unwrap_or((&text, ""));
        (before.to_owned(), after.to_owned())
    }
}

/// What an annotation is to its project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Status {
    /// Submitted by an annotator.
    Submitted,
    /// The task was skipped.
    Skipped,
    /// Marked as ground truth.
    GroundTruth,
}

impl Status {
    /// Whether an annotation has it.
    pub(super) fn is_of(self, annotation: &Map<String, Value>) -> bool {
        let is = |key: &str| annotation.get(key).and_then(Value::as_bool).unwrap_or_default();
        match self {
            Self::Submitted => !is("was_cancelled"),
            Self::Skipped => is("was_cancelled"),
            Self::GroundTruth => is("ground_truth"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_the_annotation_once_and_lead_nowhere_else() {
        for good in ["{annotation}.json", "{project}/{annotation}", "a/{annotation}/b {project}"] {
            assert!(NameTemplate::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in
            ["", "a.json", "{annotation}{annotation}", "{task}/{annotation}", "../{annotation}", "{annotation}/.", "{"]
        {
            assert_eq!(NameTemplate::try_from(bad.to_owned()), Err(TemplateError), "{bad}");
        }
        let template = NameTemplate::try_from("{project}/x-{annotation}.json".to_owned()).expect("good");
        assert_eq!(template.render(3, 14), "3/x-14.json");
        assert_eq!(template.around(3), ("3/x-".to_owned(), ".json".to_owned()));
    }
}
