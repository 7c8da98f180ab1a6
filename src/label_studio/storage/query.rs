//! The query of a request to Cloud Storage's JSON API, decoded once as forms are; and escapes, decoded and encoded again.
//!
//! Pure. A parameter that stands twice, or that would change an answer in a way that is not served here, is refused and
//! never passed over.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/parameters>.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::refusal::Refusal;

/// Everything but RFC 3986's unreserved characters.
pub(super) const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same, with the slashes of a path kept.
pub(super) const PATH: &AsciiSet = &STRICT.remove(b'/');

/// Parameters that change nothing here: how much is told, how it is indented, who pays.
const HARMLESS: [&str; 6] = ["fields", "projection", "prettyPrint", "userProject", "quotaUser", "key"];

/// The one parameter of the API that may stand several times.
const REPEATED: &str = "permissions";

/// The parameters of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query.
    pub(super) fn parse(raw: &str) -> Result<Self, Refusal> {
        let pairs = raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((form_decoded(name)?, form_decoded(value)?))
        });
        let pairs: Vec<(String, String)> =
            pairs.collect::<Option<_>>().ok_or_else(|| Refusal::Invalid("The query is not UTF-8.".to_owned()))?;
        let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|two| two[0] == two[1] && two[0] != REPEATED) {
            Some(two) => Err(Refusal::Invalid(format!("The parameter {} stands twice.", two[0]))),
            None => Ok(Self(pairs)),
        }
    }

    /// A parameter's value; an empty one is none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let read = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| digits).ok_or_else(|| Refusal::Invalid(format!("{name} is no number.")))
        };
        // An empty one is no number, and no condition that could be passed over.
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| read(value)).transpose()
    }

    /// Refuses whatever is neither among `served` nor harmless.
    pub(super) fn only(&self, served: &[&str]) -> Result<(), Refusal> {
        let known = |name: &str| served.contains(&name) || HARMLESS.contains(&name);
        match self.0.iter().find(|(name, _)| !known(name)) {
            Some((name, _)) => Err(Refusal::Invalid(format!("The parameter {name} is not supported here."))),
            None => Ok(()),
        }
    }
}

fn form_decoded(text: &str) -> Option<String> {
    decoded(&text.replace('+', " ")).and_then(|bytes| String::from_utf8(bytes).ok())
}

/// The bytes of a text with escapes; `None` if one is broken.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut rest = text.bytes();
    let mut bytes = Vec::with_capacity(text.len());
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

/// The same text in the one spelling that is signed.
pub(super) fn respelled(text: &str, set: &'static AsciiSet) -> Option<String> {
    Some(percent_encode(&decoded(text)?, set).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_once_and_doubles_refused() {
        let query = Query::parse("prefix=a+b%2Bc%252F&maxResults=7&fields=&&x").expect("good");
        assert_eq!(query.get("prefix"), Some("a b+c%2F"));
        assert_eq!((query.get("fields"), query.get("x"), query.get("y")), (None, None, None));
        assert!(matches!(query.number("maxResults"), Ok(Some(7))));
        assert!(query.only(&["prefix", "maxResults"]).is_err() && query.only(&["prefix", "maxResults", "x"]).is_ok());
        for bad in ["a=1&a=1", "a=1&%61=2", "a=%ff", "a=%zz", "a=%2"] {
            assert!(Query::parse(bad).is_err(), "{bad}");
        }
        for bad in ["n=", "n", "n=-1", "n=+1", "n=1.0", "n=99999999999999999999999"] {
            assert!(Query::parse(bad).expect("legal").number("n").is_err(), "{bad}");
        }
        assert_eq!(respelled("/a%2fb/*%c3%bc~+", PATH).as_deref(), Some("/a/b/%2A%C3%BC~%2B"));
    }
}
