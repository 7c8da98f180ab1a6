//! The revocation list: which links are good no more, by key, subject, link or time.
//!
//! Pure. A line that cannot be read makes the whole list bad: a typing error must not leave a link good in silence.
//!
//! ```text
//! # comments and empty lines are skipped
//! key 2026-11
//! subject annotator-17          # left the project
//! link 3f9c2ab41d07e655
//! all before 2026-11-20T12:00:00Z
//! ```

use std::collections::HashSet;

use super::id::LinkId;
use super::key::KeyId;
use super::moment::Moment;
use crate::gateway::subject::Subject;

/// What is revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revoked {
    keys: HashSet<KeyId>,
    subjects: HashSet<Subject>,
    links: HashSet<LinkId>,
    before: Option<Moment>,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RevokedError {
    line: usize,
    problem: String,
}

/// Which entry a link falls under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Key,
    Subject,
    Link,
    Before,
}

impl Revoked {
    /// Reads a list.
    pub fn parse(text: &str) -> Result<Self, RevokedError> {
        let mut list = Self::default();
        for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            list.add(line).map_err(|problem| RevokedError { line: at + 1, problem })?;
        }
        Ok(list)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split_whitespace();
        match words.next() {
            None => return Ok(()),
            Some(comment) if comment.starts_with('#') => return Ok(()),
            Some("key") => self.keys.insert(read(words.next(), "a key's id")?),
            Some("subject") => self.subjects.insert(read(words.next(), "a subject")?),
            Some("link") => self.links.insert(read(words.next(), "a link's id")?),
            Some("all") if words.next() == Some("before") => {
                let time = read(words.next(), "a time")?;
                self.before = self.before.max(Some(time));
                true
            }
            Some(_) => {
                return Err("expected 'key ID', 'subject NAME', 'link ID' or 'all before TIME'".to_owned());
            }
        };
        match words.next() {
            Some(more) if !more.starts_with('#') => Err("there is more than one entry; write one a line".to_owned()),
            _ => Ok(()),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.keys.len() + self.subjects.len() + self.links.len() + usize::from(self.before.is_some())
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry that a link falls under; a link without a subject or an id yet falls under none for those.
    pub(super) fn entry(&self, key: &str, issued: Moment, subject: Option<&str>, id: Option<LinkId>) -> Option<Entry> {
        if self.keys.contains(key) {
            Some(Entry::Key)
        } else if subject.is_some_and(|subject| self.subjects.contains(subject)) {
            Some(Entry::Subject)
        } else if id.is_some_and(|id| self.links.contains(&id)) {
            Some(Entry::Link)
        } else if self.before.is_some_and(|before| issued < before) {
            Some(Entry::Before)
        } else {
            None
        }
    }
}

fn read<T: std::str::FromStr<Err: std::fmt::Display>>(word: Option<&str>, what: &str) -> Result<T, String> {
    word.ok_or_else(|| format!("{what} is missing"))?.parse().map_err(|error: T::Err| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\u{feff}# people\r\nsubject annotator-17 # left\r\n\n  key old\nlink 00000000000000ff\n\
                        all before 2026-11-20\nall before 2026-11-01T00:00:00Z\nsubject #1\n";

    #[test]
    fn what_is_listed_is_revoked_and_nothing_else() {
        let list = Revoked::parse(LIST).expect("a good list");
        assert_eq!(list.len(), 5);
        let (early, late) = ("2026-11-19".parse().expect("a time"), "2026-11-20".parse().expect("a time"));
        let id = |text: &str| Some(text.parse().expect("an id"));
        for (key, issued, subject, link, expected) in [
            ("new", late, Some("annotator-18"), id("00000000000000fe"), None),
            ("new", late, None, None, None),
            ("new", late, Some("annotator-17"), id("00000000000000fe"), Some(Entry::Subject)),
            ("new", late, Some("#1"), None, Some(Entry::Subject)),
            ("new", late, Some("old"), id("00000000000000ff"), Some(Entry::Link)),
            ("old", late, None, id("00000000000000fe"), Some(Entry::Key)),
            ("new", early, None, id("00000000000000fe"), Some(Entry::Before)),
        ] {
            assert_eq!(list.entry(key, issued, subject, link), expected, "{key} {issued} {subject:?}");
        }
        assert!(Revoked::parse("").is_ok_and(|list| list.is_empty()));
    }

    #[test]
    fn a_bad_line_is_told_by_its_number() {
        for (text, told) in [
            ("# fine\nsubjet annotator-17", "line 2: expected 'key ID'"),
            ("subject", "line 1: a subject is missing"),
            ("subject annotator 17", "line 1: there is more than one entry"),
            ("link 00FF", "line 1: a link's id is 16"),
            ("key ü", "line 1: a key's id is"),
            ("all", "line 1: expected"),
            ("all before", "line 1: a time is missing"),
            ("all before yesterday", "line 1: 'yesterday' is no time"),
            ("all after 2026-11-20", "line 1: expected"),
        ] {
            let error = Revoked::parse(text).expect_err("must be refused").to_string();
            assert!(error.starts_with(told), "{text}: {error}");
        }
    }
}
