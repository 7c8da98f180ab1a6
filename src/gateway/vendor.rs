//! The contracts of annotation vendors: URLs and questions in their own format, answered by the gateway's own rules.
//!
//! Each adapter is off unless `[vendors.NAME]` names its secret and its connections, and only decides which object is
//! asked for and whether the vendor's proof is good. Addresses, prefix, filter, delivery, CORS, budgets and the audit log
//! are the connection's, as everywhere: such a proof stands in the place of a link, and never widens anything.

mod answer;
pub mod config;
pub mod diffgram;
pub mod labelbox;
mod secret;
pub mod toloka;

pub use self::config::Config;
use self::diffgram::Diffgram;
use self::labelbox::Labelbox;
pub use self::secret::{Secret, SecretError};
use self::toloka::Toloka;
use super::route::EncodedPath;
use super::subject::Subject;

/// The adapters that are configured.
#[derive(Clone, Debug, Default)]
pub struct Vendors {
    /// Tokenized URLs.
    pub labelbox: Option<Labelbox>,
    /// The URL signer.
    pub diffgram: Option<Diffgram>,
    /// Data exchange.
    pub toloka: Option<Toloka>,
}

/// Which contract a path under `/-/` belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VendorRoute<'a> {
    /// `/-/labelbox`
    Labelbox,
    /// `/-/diffgram/{bucket}`
    Diffgram {
        /// Still percent-encoded.
        bucket: EncodedPath<'a>,
    },
    /// `/-/toloka/data/{key}`
    Toloka {
        /// Still percent-encoded.
        key: EncodedPath<'a>,
    },
}

impl<'a> VendorRoute<'a> {
    /// Reads what follows `/-/`.
    pub fn parse(rest: &'a str) -> Option<Self> {
        match rest.split_once('/') {
            None if rest == "labelbox" => Some(Self::Labelbox),
            Some(("labelbox", "")) => Some(Self::Labelbox),
            // Diffgram's documentation shows both forms.
            Some(("diffgram", bucket)) => {
                Some(Self::Diffgram { bucket: EncodedPath::new(bucket.strip_suffix('/').unwrap_or(bucket)) })
            }
            Some(("toloka", rest)) => rest.strip_prefix("data/").map(|key| Self::Toloka { key: EncodedPath::new(key) }),
            _ => None,
        }
    }
}

/// What stands in the place of a link: a vendor's proof that was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorProof {
    subject: Option<Subject>,
}

impl VendorProof {
    /// Only who has verified something may call this.
    pub(super) fn of(subject: Option<Subject>) -> Self {
        Self { subject }
    }

    pub(super) fn into_subject(self) -> Option<Subject> {
        self.subject
    }
}

/// Why a vendor's proof is not good. For the log; a client is told no more than about a link.
#[derive(Debug, thiserror::Error)]
pub enum VendorRefusal {
    /// No token, several, or not one of ours.
    #[error("the token is missing, malformed, expired or forged")]
    Token,
    /// Not an assignment's id.
    #[error("the assignment's id is missing or malformed")]
    AssignmentId,
    /// Over, or never there.
    #[error("the assignment is not active")]
    NotActive,
    /// Of another task.
    #[error("the assignment does not name this object")]
    NotNamed,
    /// The caller is not the vendor's server.
    #[error("the Authorization header is missing or wrong")]
    Caller,
    /// `method=put`, no key, or the like.
    #[error("not a request that the contract has, or one to write")]
    Request,
    /// The vendor could not be asked.
    #[error("the vendor could not be asked")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl VendorRefusal {
    /// The word for the log and the metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Token => "vendor-token",
            Self::AssignmentId => "vendor-assignment-id",
            Self::NotActive => "vendor-not-active",
            Self::NotNamed => "vendor-not-named",
            Self::Caller => "vendor-caller",
            Self::Request => "vendor-request",
            Self::Unavailable(_) => "vendor-unavailable",
        }
    }
}

/// The one value of a query parameter, decoded once as forms are; several are none.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut values = query.unwrap_or_default().split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key).as_deref() == Some(name)).then(|| decode(value))
    });
    let value = values.next()?;
    if values.next().is_some() { None } else { value }
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_belong_to_one_contract_or_none() {
        for (rest, expected) in [
            ("labelbox", Some(VendorRoute::Labelbox)),
            ("labelbox/", Some(VendorRoute::Labelbox)),
            ("labelbox/x", None),
            ("diffgram/bucket", Some(VendorRoute::Diffgram { bucket: EncodedPath::new("bucket") })),
            ("diffgram/bucket/", Some(VendorRoute::Diffgram { bucket: EncodedPath::new("bucket") })),
            ("diffgram", None),
            ("toloka/data/a/b.jpg", Some(VendorRoute::Toloka { key: EncodedPath::new("a/b.jpg") })),
            ("toloka/result", None),
            ("healthz", None),
            ("", None),
        ] {
            assert_eq!(VendorRoute::parse(rest), expected, "{rest}");
        }
    }

    #[test]
    fn a_parameter_that_stands_twice_is_none() {
        let key = |query: &str| parameter(Some(query), "key");
        assert_eq!(key("key=a%2Fb+c&method=get"), Some("a/b c".to_owned()));
        assert_eq!(key("method=get&key"), Some(String::new()));
        assert_eq!(key("key=%2B%252F"), Some("+%2F".to_owned()));
        for none in ["", "keys=a", "key=a&key=a", "key=a&k%65y=b", "key=%FF"] {
            assert_eq!(key(none), None, "{none}");
        }
        assert_eq!(parameter(None, "key"), None);
    }
}
