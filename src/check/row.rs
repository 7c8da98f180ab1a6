//! A row of the table: what was checked, how it went, and what to do if it went badly.

use std::fmt;

use serde::Serialize;

use super::diagnosis::Diagnosis;

/// What is checked, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// What the configuration says.
    Configuration,
    /// The credential's file, or where else it is.
    Credential,
    /// A token of it.
    Token,
    /// The bucket, found and reached.
    Bucket,
    /// What the credential may do there.
    Permissions,
    /// The objects under prefix and filter.
    Objects,
    /// The first byte of one of them.
    FirstByte,
    /// A signed URL, made and fetched.
    SignedUrl,
    /// The bucket's rules of CORS.
    Cors,
    /// The bucket's IP filter.
    IpFilter,
    /// This machine's clock.
    Clock,
}

impl Check {
    /// All, in order.
    pub const ALL: [Self; 11] = [
        Self::Configuration,
        Self::Credential,
        Self::Token,
        Self::Bucket,
        Self::Permissions,
        Self::Objects,
        Self::FirstByte,
        Self::SignedUrl,
        Self::Cors,
        Self::IpFilter,
        Self::Clock,
    ];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Credential => "credential file",
            Self::Token => "token",
            Self::Bucket => "bucket",
            Self::Permissions => "permissions",
            Self::Objects => "objects",
            Self::FirstByte => "first byte",
            Self::SignedUrl => "signed URL",
            Self::Cors => "bucket CORS",
            Self::IpFilter => "bucket IP filter",
            Self::Clock => "clock",
        }
    }
}

/// How a check went; the later, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Not done, and why stands in the finding.
    Skipped,
    /// Good.
    Ok,
    /// It works, but somebody should look at it.
    Warn,
    /// It does not work.
    Fail,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Skipped => "skipped",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

/// One result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The connection's name.
    pub connection: String,
    /// What was checked.
    pub check: Check,
    /// The same for people.
    pub name: &'static str,
    /// How it went.
    pub state: State,
    /// What was found, in one line.
    pub finding: String,
    /// Why it failed and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
}

/// A row in the making: everything but whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) state: State,
    pub(super) finding: String,
    pub(super) diagnosis: Option<Diagnosis>,
}

impl Outcome {
    pub(super) fn ok(finding: impl Into<String>) -> Self {
        Self { state: State::Ok, finding: finding.into(), diagnosis: None }
    }

    pub(super) fn skipped(why: impl Into<String>) -> Self {
        Self { state: State::Skipped, finding: why.into(), diagnosis: None }
    }

    pub(super) fn warn(finding: impl Into<String>, diagnosis: Diagnosis) -> Self {
        Self { state: State::Warn, finding: finding.into(), diagnosis: Some(diagnosis) }
    }

    pub(super) fn fail(finding: impl Into<String>, diagnosis: Diagnosis) -> Self {
        Self { state: State::Fail, finding: finding.into(), diagnosis: Some(diagnosis) }
    }

    /// The row.
    pub(super) fn row(self, connection: String, check: Check) -> Row {
        let Self { state, finding, diagnosis } = self;
        let diagnosis = diagnosis.map(|diagnosis| diagnosis.map(one_line));
        Row { connection, check, name: check.title(), state, finding: one_line(&finding), diagnosis }
    }
}

/// Whatever a bucket's names or GCS's texts hold, nothing printed moves the cursor.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::diagnosis::Fault;
    use super::*;

    #[test]
    fn names_cannot_write_on_the_terminal() {
        let diagnosis = Diagnosis::new(Fault::Other, "a\x1b[2Jb").remedy("c\nd").command("e\u{9b}f");
        let row = Outcome::fail("g\rh", diagnosis).row("street".to_owned(), Check::Objects);
        let diagnosis = row.diagnosis.expect("a diagnosis");
        assert_eq!((row.finding.as_str(), diagnosis.cause.as_str()), ("g h", "a [2Jb"));
        assert_eq!(
            (&diagnosis.remedy[..], &diagnosis.commands[..]),
            (&["c d".to_owned()][..], &["e f".to_owned()][..])
        );
    }
}
