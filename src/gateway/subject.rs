//! Whom a link or a token was made for: an annotator, a task, an account of an identity provider.
//!
//! Decides what such a name may look like: short, visible ASCII without spaces, so that it can stand in any log, header
//! or list as it is. It says nothing about whether the name is to be believed: only what was verified carries one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;

/// What `OpenID` Connect allows for `sub`; see <https://openid.net/specs/openid-connect-core-1_0.html#IDToken>.
const LONGEST: usize = 255;

/// A subject: 1 to 255 visible ASCII characters, no spaces. Safe to log; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Subject(Arc<str>);

/// Not a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a subject is 1 to {LONGEST} visible ASCII characters without spaces, such as annotator-17")]
pub struct SubjectError;

impl Subject {
    /// Reads a subject.
    pub fn new(name: &str) -> Result<Self, SubjectError> {
        let legal = (1..=LONGEST).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        if legal { Ok(Self(name.into())) } else { Err(SubjectError) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(name: &str) -> Result<Self, SubjectError> {
        Self::new(name)
    }
}

impl TryFrom<String> for Subject {
    type Error = SubjectError;

    fn try_from(name: String) -> Result<Self, SubjectError> {
        Self::new(&name)
    }
}

impl std::borrow::Borrow<str> for Subject {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_short_and_visible() {
        let longest = "x".repeat(LONGEST);
        for good in ["annotator-17", "a", "#", "accounts.google.com:118133", "auth0|5f7c", "a@b.example", &longest] {
            assert_eq!(Subject::new(good).map(|subject| subject.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "two words", "a\n", "\u{7f}", "ü", "a\0", &format!("{longest}x")] {
            assert_eq!(Subject::new(bad), Err(SubjectError), "{bad:?}");
        }
    }
}
