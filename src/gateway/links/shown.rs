//! The link that a request shows, in its path or in its query; what is not `sig` in a query is nobody's business here.
//!
//! Nothing is decoded: a token consists of characters that need no percent-encoding, so an encoded one is another text.

use std::fmt;

/// The name of the query parameter. Label Studio's player and others leave URLs with `sig` alone.
const PARAMETER: &str = "sig";

/// The link that a request shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shown<'a> {
    /// None.
    Nothing,
    /// One.
    Token(&'a str),
    /// More than one, so that two readers could take different ones.
    Several,
}

impl<'a> Shown<'a> {
    /// Looks at what the path shows and at the query.
    pub fn of(in_path: Option<&'a str>, query: Option<&'a str>) -> Self {
        let pairs = query.into_iter().flat_map(|query| query.split('&'));
        let in_query = pairs.filter_map(|pair| match pair.strip_prefix(PARAMETER)? {
            "" => Some(""),
            rest => rest.strip_prefix('='),
        });
        let mut tokens = in_path.into_iter().chain(in_query);
        let Some(token) = tokens.next() else { return Self::Nothing };
        if tokens.next().is_none() { Self::Token(token) } else { Self::Several }
    }
}

/// Never shows a token.
impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Token(_) => "Token([redacted])",
            Self::Several => "Several",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_link_is_found_and_other_parameters_are_left_alone() {
        for (in_path, query, shown) in [
            (None, None, Shown::Nothing),
            (None, Some(""), Shown::Nothing),
            (None, Some("lsref=1"), Shown::Nothing),
            (None, Some("sigx=a&SIG=a&x-sig=a&asig=a"), Shown::Nothing),
            (None, Some("lsref=1&sig=abc&sigx=1"), Shown::Token("abc")),
            (None, Some("sig=a=b"), Shown::Token("a=b")),
            (None, Some("sig=a%62"), Shown::Token("a%62")),
            (None, Some("sig"), Shown::Token("")),
            (None, Some("sig=a&sig=a"), Shown::Several),
            (None, Some("sig&sig=a"), Shown::Several),
            (Some("a"), None, Shown::Token("a")),
            (Some(""), Some("lsref=1"), Shown::Token("")),
            (Some("a"), Some("sig=a"), Shown::Several),
        ] {
            assert_eq!(Shown::of(in_path, query), shown, "{in_path:?} {query:?}");
        }
        assert!(!format!("{:?}", Shown::Token("secret")).contains("secret"));
    }
}
