//! The `[budgets]` section.

use bytesize::ByteSize;
use serde::Deserialize;

use super::{Limits, PerNetwork};

/// Where `burst` is not given: as many requests as this many seconds bring.
const BURST_SECONDS: u32 = 5;

/// `[budgets]`: nothing is limited that is not named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What each subject may do.
    pub per_subject: Option<SubjectConfig>,
    /// What each client network may do.
    pub per_network: Option<NetworkConfig>,
}

/// `per_subject`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SubjectConfig {
    /// In the long run.
    pub requests_per_second: Option<u32>,
    /// At once; five seconds' worth unless given.
    pub burst: Option<u32>,
    /// From midnight to midnight, UTC.
    pub bytes_per_day: Option<ByteSize>,
    /// Answers under way at once.
    pub concurrent: Option<u32>,
}

/// `per_network`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// In the long run.
    pub requests_per_second: Option<u32>,
    /// At once; five seconds' worth unless given.
    pub burst: Option<u32>,
    /// From midnight to midnight, UTC.
    pub bytes_per_day: Option<ByteSize>,
    /// Answers under way at once.
    pub concurrent: Option<u32>,
    /// IPv4 addresses with so many leading bits in common are one network.
    pub prefix_v4: u8,
    /// The same for IPv6.
    pub prefix_v6: u8,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        let (requests_per_second, burst, bytes_per_day, concurrent) = (None, None, None, None);
        Self { requests_per_second, burst, bytes_per_day, concurrent, prefix_v4: 32, prefix_v6: 64 }
    }
}

/// Why `[budgets]` was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// Nobody could do anything.
    #[error("0 would refuse every request; leave the key out for no limit")]
    Zero,
    /// Half a bucket.
    #[error("burst goes with requests_per_second; add it, or remove burst")]
    BurstAlone,
    /// Not a prefix.
    #[error("a prefix is {0} bits long at most")]
    Prefix(u8),
}

impl Config {
    /// Whether it can be kept; an error comes with its key.
    pub fn check(&self) -> Result<(), ([&'static str; 2], BudgetError)> {
        if let Some(subject) = &self.per_subject {
            subject.check().map_err(|(key, error)| (["per_subject", key], error))?;
        }
        let Some(network) = &self.per_network else { return Ok(()) };
        let at = |key, error| (["per_network", key], error);
        network.common().check().map_err(|(key, error)| at(key, error))?;
        for (key, given, most) in [("prefix_v4", network.prefix_v4, 32), ("prefix_v6", network.prefix_v6, 128)] {
            if given > most {
                return Err(at(key, BudgetError::Prefix(most)));
            }
        }
        Ok(())
    }

    pub(super) fn per_subject(&self) -> Option<Limits> {
        self.per_subject.map(|subject| subject.limits())
    }

    pub(super) fn per_network(&self) -> Option<PerNetwork> {
        self.per_network.map(|network| PerNetwork {
            limits: network.common().limits(),
            prefix_v4: network.prefix_v4,
            prefix_v6: network.prefix_v6,
        })
    }
}

impl SubjectConfig {
    fn check(&self) -> Result<(), (&'static str, BudgetError)> {
        let zeros = [
            ("requests_per_second", self.requests_per_second == Some(0)),
            ("burst", self.burst == Some(0)),
            ("bytes_per_day", self.bytes_per_day.is_some_and(|bytes| bytes.as_u64() == 0)),
            ("concurrent", self.concurrent == Some(0)),
        ];
        if let Some((key, _)) = zeros.into_iter().find(|(_, zero)| *zero) {
            return Err((key, BudgetError::Zero));
        }
        if self.burst.is_some() && self.requests_per_second.is_none() {
            return Err(("burst", BudgetError::BurstAlone));
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        let burst = |rate: u32| self.burst.unwrap_or_else(|| rate.saturating_mul(BURST_SECONDS));
        Limits {
            requests: self.requests_per_second.map(|rate| (rate, burst(rate))),
            bytes_per_day: self.bytes_per_day.map(|bytes| bytes.as_u64()),
            concurrent: self.concurrent,
        }
    }
}

impl NetworkConfig {
    fn common(&self) -> SubjectConfig {
        let Self { requests_per_second, burst, bytes_per_day, concurrent, .. } = *self;
        SubjectConfig { requests_per_second, burst, bytes_per_day, concurrent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_could_mean_is_refused_with_its_key() {
        for (text, expected) in [
            ("", None),
            ("per_subject = { requests_per_second = 20, bytes_per_day = \"50 GiB\" }", None),
            (
                "per_subject = { requests_per_second = 0 }",
                Some((["per_subject", "requests_per_second"], BudgetError::Zero)),
            ),
            ("per_subject = { burst = 5 }", Some((["per_subject", "burst"], BudgetError::BurstAlone))),
            ("per_network = { concurrent = 0 }", Some((["per_network", "concurrent"], BudgetError::Zero))),
            ("per_network = { prefix_v4 = 33 }", Some((["per_network", "prefix_v4"], BudgetError::Prefix(32)))),
            ("per_network = { prefix_v6 = 129 }", Some((["per_network", "prefix_v6"], BudgetError::Prefix(128)))),
        ] {
            let config: Config = toml::from_str(text).expect("legal TOML");
            assert_eq!(config.check().err(), expected, "{text}");
        }
    }

    #[test]
    fn a_burst_is_five_seconds_unless_it_is_given() {
        let limits = |text: &str| toml::from_str::<Config>(text).expect("legal").per_subject().expect("there").requests;
        assert_eq!(limits("per_subject = { requests_per_second = 20 }"), Some((20, 100)));
        assert_eq!(limits("per_subject = { requests_per_second = 20, burst = 1 }"), Some((20, 1)));
    }
}
