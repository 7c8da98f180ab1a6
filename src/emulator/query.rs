//! Query strings and percent-encoding as they arrive on the wire.
//!
//! Decides how encoded text is read; never gives a meaning to a parameter.
//! Follows <https://www.rfc-editor.org/rfc/rfc3986#section-2.1>.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// Everything but RFC 3986's unreserved characters.
pub(super) const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Decoded pairs in the order of the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query or a form: `+` is a space. `None` if an escape is broken or the text is not UTF-8.
    pub(super) fn form(raw: &str) -> Option<Self> {
        pairs(raw).map(|(name, value)| Some((text(&plus(name))?, text(&plus(value))?))).collect::<Option<_>>().map(Self)
    }

    /// Reads a query in which `+` is itself, as in signed URLs.
    pub(super) fn literal(raw: &str) -> Option<Self> {
        pairs(raw).map(|(name, value)| Some((text(name)?, text(value)?))).collect::<Option<_>>().map(Self)
    }

    /// The first value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A parameter's values.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

/// The raw pairs of a query; empty ones are skipped.
pub(super) fn pairs(raw: &str) -> impl Iterator<Item = (&str, &str)> {
    raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Decodes percent escapes; `None` if one is broken.
pub(super) fn decode(raw: &str) -> Option<Vec<u8>> {
    let mut bytes = raw.bytes();
    let mut out = Vec::with_capacity(raw.len());
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            out.push(digit(bytes.next())? << 4 | digit(bytes.next())?);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

/// Decodes to text.
pub(super) fn text(raw: &str) -> Option<String> {
    decode(raw).and_then(|bytes| String::from_utf8(bytes).ok())
}

/// Decodes and encodes again, so that each text has one form.
pub(super) fn reencode(raw: &str, set: &'static AsciiSet) -> Option<String> {
    decode(raw).map(|bytes| percent_encode(&bytes, set).to_string())
}

fn plus(raw: &str) -> String {
    raw.replace('+', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_once_and_broken_ones_refused() {
        assert_eq!(text("a%2Fb%252F"), Some("a/b%2F".to_owned()));
        for bad in ["%", "%2", "%zz", "%+1", "%C0%AF"] {
            assert_eq!(text(bad), None, "{bad}");
        }
        let form = Query::form("a=1+2&b&a=3&&c=%2B").expect("a legal form");
        assert_eq!(form.all("a").collect::<Vec<_>>(), ["1 2", "3"]);
        assert_eq!((form.get("b"), form.get("c"), form.get("d")), (Some(""), Some("+"), None));
        assert_eq!(Query::literal("a=1+2").expect("legal").get("a"), Some("1+2"));
    }
}
