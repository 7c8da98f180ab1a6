//! Origins as they stand in rules: exact, `*`, `null`, or any subdomain of a host.
//!
//! Follows RFC 6454 section 6.2 (<https://www.rfc-editor.org/rfc/rfc6454#section-6.2>): scheme, host and port, nothing else.

use std::str::FromStr;

/// One entry of `origins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`
    Any,
    /// An origin as browsers send it, `null` included.
    Exact(String),
    /// `https://*.example.com`: what stands before and behind the star.
    Subdomains {
        /// `https://`
        scheme: String,
        /// `.example.com` or `.example.com:8443`
        suffix: String,
    },
}

/// Why an origin was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginPatternError {
    /// No scheme, or one that browsers have no origins for.
    #[error("'{0}' is no origin: write the scheme, too, such as https://label.example.com")]
    Scheme(String),
    /// A path, a query or a trailing slash.
    #[error("'{0}' is no origin: leave out everything after host and port, the last slash, too")]
    Path(String),
    /// A star anywhere but as the whole first label.
    #[error("'{0}': a star stands for whole labels at the beginning of the host only, as in https://*.example.com")]
    Star(String),
    /// No host, or characters that no host has.
    #[error("'{0}' is no origin: the host or port is not legal")]
    Host(String),
    /// `https://host:443`: browsers leave the scheme's own port out.
    #[error("'{0}': leave out the scheme's own port, as browsers do")]
    DefaultPort(String),
}

impl OriginPattern {
    /// Whether an `Origin` header's value is meant. A star stands for one label or more, never for part of one.
    pub fn matches(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => origin == exact.as_bytes(),
            Self::Subdomains { scheme, suffix } => origin
                .strip_prefix(scheme.as_bytes())
                .and_then(|rest| rest.strip_suffix(suffix.as_bytes()))
                .is_some_and(|labels| !labels.is_empty() && labels.split(|byte| *byte == b'.').all(is_label)),
        }
    }
}

fn is_label(label: &[u8]) -> bool {
    !label.is_empty() && label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
}

impl FromStr for OriginPattern {
    type Err = OriginPatternError;

    fn from_str(text: &str) -> Result<Self, OriginPatternError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let lower = text.to_ascii_lowercase();
        if lower == "null" {
            return Ok(Self::Exact(lower));
        }
        let split = lower.split_once("://").filter(|(scheme, _)| is_scheme(scheme));
        let (scheme, host) = split.ok_or_else(|| OriginPatternError::Scheme(text.to_owned()))?;
        if host.contains(['/', '?', '#']) {
            return Err(OriginPatternError::Path(text.to_owned()));
        }
        let own_port = if scheme == "https" { ":443" } else { ":80" };
        if scheme.starts_with("http") && host.ends_with(own_port) {
            return Err(OriginPatternError::DefaultPort(text.to_owned()));
        }
        let fixed = host.strip_prefix("*.").unwrap_or(host);
        if fixed.contains('*') {
            return Err(OriginPatternError::Star(text.to_owned()));
        }
        if !is_authority(fixed) {
            return Err(OriginPatternError::Host(text.to_owned()));
        }
        if fixed.len() == host.len() {
            return Ok(Self::Exact(lower));
        }
        Ok(Self::Subdomains { scheme: format!("{scheme}://"), suffix: format!(".{fixed}") })
    }
}

/// http and https, and the schemes that desktop shells and extensions use.
fn is_scheme(scheme: &str) -> bool {
    !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn is_authority(text: &str) -> bool {
    let parsed = text.parse::<http::uri::Authority>();
    parsed.is_ok_and(|authority| !authority.host().is_empty() && !text.contains('@') && !text.ends_with([':', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Refusal = fn(String) -> OriginPatternError;

    #[test]
    fn origins_are_read_strictly() {
        for (text, pattern) in [
            ("*", OriginPattern::Any),
            ("null", OriginPattern::Exact("null".into())),
            ("https://Label.Example.com", OriginPattern::Exact("https://label.example.com".into())),
            ("http://localhost:8080", OriginPattern::Exact("http://localhost:8080".into())),
            ("http://[::1]:8080", OriginPattern::Exact("http://[::1]:8080".into())),
            (
                "https://*.example.com:8443",
                OriginPattern::Subdomains { scheme: "https://".into(), suffix: ".example.com:8443".into() },
            ),
        ] {
            assert_eq!(text.parse(), Ok(pattern), "{text}");
        }
        for (text, why) in [
            ("label.example.com", OriginPatternError::Scheme as Refusal),
            ("https://label.example.com/", OriginPatternError::Path),
            ("https://x.example/path", OriginPatternError::Path),
            ("https://*", OriginPatternError::Star),
            ("https://*example.com", OriginPatternError::Star),
            ("https://a.*.example.com", OriginPatternError::Star),
            ("https://", OriginPatternError::Host),
            ("https://*.", OriginPatternError::Host),
            ("https://x example", OriginPatternError::Host),
            ("https://me@x.example", OriginPatternError::Host),
            ("https://x.example:443", OriginPatternError::DefaultPort),
        ] {
            assert_eq!(text.parse::<OriginPattern>(), Err(why(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_whole_labels() {
        let pattern: OriginPattern = "https://*.example.com".parse().expect("legal");
        assert!(pattern.matches(b"https://a.example.com") && pattern.matches(b"https://a.b.example.com"));
        for other in [
            "https://.example.com",
            "https://example.com",
            "https://a..example.com",
            "https://x@a.example.com",
            "https://a/.example.com",
            "https://evil.com?.example.com",
        ] {
            assert!(!pattern.matches(other.as_bytes()), "{other}");
        }
    }
}
