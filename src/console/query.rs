//! Queries of the API, read strictly: what nobody knows or nobody can mean is refused, with the parameter's name.
//!
//! Pure. Follows <https://url.spec.whatwg.org/#application/x-www-form-urlencoded>.

use clap::ValueEnum;
use percent_encoding::percent_decode_str;

use super::answer::Refusal;

/// The parameters of one request.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query; `known` are the parameters that the route has.
    pub(super) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Refusal> {
        let mut read = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if !known.contains(&name.as_str()) {
                let there = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
                return Err(Refusal::Query(format!("unknown parameter {name:?}; expected: {there}")));
            }
            read.push((name, value));
        }
        Ok(Self(read))
    }

    /// All values of a parameter.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that may stand once; an empty one is none.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Refusal::Query(format!("{name} may be given once"))),
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
        }
    }

    /// A number from 1 to `most`.
    pub(super) fn number(&self, name: &str, default: usize, most: usize) -> Result<usize, Refusal> {
        let Some(text) = self.one(name)? else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| Refusal::Query(format!("{name} is a number from 1 to {most}")))
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.one(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refusal::Query(format!("{name} is true or false"))),
        }
    }

    /// One of the words that the command line knows, too.
    pub(super) fn word<T: ValueEnum>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        T::from_str(text, false).map(Some).map_err(|_| {
            let known = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
            let known: Vec<_> = known.map(|value| value.get_name().to_owned()).collect();
            Refusal::Query(format!("{name} is one of {}", known.join(", ")))
        })
    }
}

fn decode(text: &str) -> Result<String, Refusal> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| Refusal::Query("the query is no UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::DataType;

    fn query(text: &str) -> Result<Query, Refusal> {
        Query::parse(Some(text), &["limit", "key", "kind", "flag"])
    }

    #[test]
    fn parameters_are_decoded_once() {
        let read = query("key=a%2Bb+%2525&key=%C3%BC&&limit=7&kind=video&flag=true").expect("legal");
        assert_eq!(read.all("key").collect::<Vec<_>>(), ["a+b %25", "ü"]);
        assert_eq!(read.number("limit", 1, 7).ok(), Some(7));
        assert_eq!(read.word::<DataType>("kind").ok(), Some(Some(DataType::Video)));
        assert_eq!(read.flag("flag").ok(), Some(true));
        let none = Query::parse(None, &[]).expect("legal");
        assert_eq!((none.number("limit", 5, 7).ok(), none.flag("flag").ok()), (Some(5), Some(false)));
    }

    #[test]
    fn what_nobody_can_mean_is_refused_by_name() {
        assert!(query("limits=1").is_err_and(|error| error.to_string().contains("expected: limit, key")));
        assert!(query("key=%FF").is_err());
        for bad in ["limit=0", "limit=8", "limit=-1", "limit=99999999999999999999", "limit=x", "limit=1&limit=2"] {
            let read = query(bad).and_then(|query| query.number("limit", 1, 7));
            assert!(read.is_err_and(|error| error.to_string().starts_with("limit ")), "{bad}");
        }
        let word = query("kind=Video").and_then(|query| query.word::<DataType>("kind"));
        assert!(word.is_err_and(|error| error.to_string().contains("image, video")));
        assert!(query("flag=1").and_then(|query| query.flag("flag")).is_err());
    }
}
