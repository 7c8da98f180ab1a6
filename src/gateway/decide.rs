//! Proxy or signed URL: decides how one request is delivered, and says why.
//!
//! Pure. In `auto` the first rule that applies wins; see [`decide`].

use std::fmt;

use http::HeaderValue;
use serde::Deserialize;

/// `delivery` of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Decided per request.
    #[default]
    Auto,
    /// Always through the gateway.
    Proxy,
    /// Always by a redirect to a signed URL.
    SignedUrl,
}

impl Delivery {
    /// The word that stands in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Proxy => "proxy",
            Self::SignedUrl => "signed-url",
        }
    }
}

/// How this request is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Bytes stream through the gateway.
    Proxy(Reason),
    /// A redirect to a signed URL.
    SignedUrl(Reason),
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The connection says so.
    Configured,
    /// HEAD is answered by the gateway itself.
    Head,
    /// The credential cannot sign.
    CannotSign,
    /// A cross-origin request would arrive at the bucket with `Origin: null`.
    Cors,
    /// A signed URL works from anywhere, the connection does not.
    Restricted,
    /// At least `redirect_above`.
    Large,
    /// Less than `redirect_above`.
    Small,
}

/// What `auto` looks at, as far as it is known before GCS was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// What the connection says.
    pub delivery: Delivery,
    /// Whether the credential can sign.
    pub signing: Signing,
    /// Whether a script or a CORS-mode element asks.
    pub mode: RequestMode,
    /// Who is admitted to the connection.
    pub audience: Audience,
}

/// Whether signed URLs can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// There is a signer.
    Possible,
    /// There is none.
    Impossible,
}

/// The Fetch standard's request mode, as far as it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestMode {
    /// `Sec-Fetch-Mode: cors`, or an `Origin`.
    Cors,
    /// Anything else.
    Other,
}

/// Who may read a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// `allow = "anyone"`, without exceptions.
    Anyone,
    /// Some networks.
    Restricted,
}

/// A decision, or what it still hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Decided.
    Final(Decision),
    /// The object's size decides; see [`by_size`].
    DependsOnSize,
}

/// Decides as far as is possible without the object's size.
pub fn decide(circumstances: Circumstances) -> Verdict {
    let proxy = |reason| Verdict::Final(Decision::Proxy(reason));
    match circumstances {
        Circumstances { delivery: Delivery::Proxy, .. } => proxy(Reason::Configured),
        Circumstances { delivery: Delivery::SignedUrl, .. } => Verdict::Final(Decision::SignedUrl(Reason::Configured)),
        Circumstances { signing: Signing::Impossible, .. } => proxy(Reason::CannotSign),
        Circumstances { mode: RequestMode::Cors, .. } => proxy(Reason::Cors),
        Circumstances { audience: Audience::Restricted, .. } => proxy(Reason::Restricted),
        _ => Verdict::DependsOnSize,
    }
}

/// Decides by the object's size in bytes.
pub fn by_size(size: u64, redirect_above: u64) -> Decision {
    if size >= redirect_above { Decision::SignedUrl(Reason::Large) } else { Decision::Proxy(Reason::Small) }
}

/// The value for one delivery and any reason, checked when this is compiled.
macro_rules! because {
    ($delivery:literal, $reason:expr) => {
        match $reason {
            Reason::Configured => const { HeaderValue::from_static(concat!($delivery, "; reason=configured")) },
            Reason::Head => const { HeaderValue::from_static(concat!($delivery, "; reason=head")) },
            Reason::CannotSign => const { HeaderValue::from_static(concat!($delivery, "; reason=cannot-sign")) },
            Reason::Cors => const { HeaderValue::from_static(concat!($delivery, "; reason=cors")) },
            Reason::Restricted => const { HeaderValue::from_static(concat!($delivery, "; reason=restricted")) },
            Reason::Large => const { HeaderValue::from_static(concat!($delivery, "; reason=large")) },
            Reason::Small => const { HeaderValue::from_static(concat!($delivery, "; reason=small")) },
        }
    };
}

impl Decision {
    /// The value of `X-Gsgate-Delivery`.
    pub fn header(self) -> HeaderValue {
        match self {
            Self::Proxy(reason) => because!("proxy", reason),
            Self::SignedUrl(reason) => because!("signed-url", reason),
        }
    }

    /// `proxy` or `signed-url`.
    pub fn delivery(self) -> &'static str {
        match self {
            Self::Proxy(_) => "proxy",
            Self::SignedUrl(_) => "signed-url",
        }
    }

    /// Why.
    pub fn reason(self) -> Reason {
        match self {
            Self::Proxy(reason) | Self::SignedUrl(reason) => reason,
        }
    }
}

impl Reason {
    /// The word that stands in `X-Gsgate-Delivery`, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Head => "head",
            Self::CannotSign => "cannot-sign",
            Self::Cors => "cors",
            Self::Restricted => "restricted",
            Self::Large => "large",
            Self::Small => "small",
        }
    }
}

/// As in `X-Gsgate-Delivery`.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; reason={}", self.delivery(), self.reason().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_what_was_decided_and_why() {
        use Reason::{CannotSign, Configured, Cors, Head, Large, Restricted, Small};
        for reason in [Configured, Head, CannotSign, Cors, Restricted, Large, Small] {
            for decision in [Decision::Proxy(reason), Decision::SignedUrl(reason)] {
                let expected = format!("{}; reason={}", decision.delivery(), reason.as_str());
                assert_eq!(decision.header(), expected);
                assert_eq!(decision.to_string(), expected);
            }
        }
    }

    #[test]
    fn the_first_rule_that_applies_wins() {
        use {Audience as A, Delivery as D, RequestMode as M, Signing as S};
        for (delivery, signing, mode, audience, expected) in [
            (D::Proxy, S::Possible, M::Other, A::Anyone, "proxy; reason=configured"),
            (D::SignedUrl, S::Possible, M::Cors, A::Restricted, "signed-url; reason=configured"),
            (D::Auto, S::Impossible, M::Cors, A::Restricted, "proxy; reason=cannot-sign"),
            (D::Auto, S::Possible, M::Cors, A::Restricted, "proxy; reason=cors"),
            (D::Auto, S::Possible, M::Other, A::Restricted, "proxy; reason=restricted"),
        ] {
            let verdict = decide(Circumstances { delivery, signing, mode, audience });
            assert!(matches!(verdict, Verdict::Final(decision) if decision.to_string() == expected), "{verdict:?}");
        }
        let open = Circumstances { delivery: D::Auto, signing: S::Possible, mode: M::Other, audience: A::Anyone };
        assert_eq!(decide(open), Verdict::DependsOnSize);
        assert_eq!(by_size(64, 64).to_string(), "signed-url; reason=large");
        assert_eq!(by_size(63, 64).to_string(), "proxy; reason=small");
    }
}
