//! Bucket IP filters: the JSON file that `gcloud storage buckets update --ip-filter-file` takes, used as the gateway's own rule.
//!
//! Follows <https://cloud.google.com/storage/docs/ip-filtering-overview>: at most 200 CIDR blocks and 25 VPC networks.
//! `//` comments are tolerated, because the guides that people copy from have them.

use std::net::IpAddr;

use serde::Deserialize;

use crate::gateway::client_addr::Network;

/// GCS's limit for CIDR blocks in one filter.
const MAX_BLOCKS: usize = 200;
/// GCS's limit for VPC networks in one filter.
const MAX_NETWORKS: usize = 25;

/// A filter as GCS has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IpFilter {
    mode: Mode,
    #[serde(default)]
    public_network_source: Option<PublicSource>,
    #[serde(default)]
    vpc_network_sources: Vec<VpcSource>,
    /// GCS's own switch for foreign organisations' VPCs; means nothing here.
    #[serde(default, rename = "allowCrossOrgVpcs")]
    _allow_cross_org_vpcs: bool,
    /// GCS's own switch for its service agents; means nothing here.
    #[serde(default, rename = "allowAllServiceAgentAccess")]
    _allow_all_service_agent_access: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Mode {
    Enabled,
    Disabled,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PublicSource {
    #[serde(default)]
    allowed_ip_cidr_ranges: Vec<Network>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VpcSource {
    network: String,
    #[serde(default)]
    allowed_ip_cidr_ranges: Vec<Network>,
}

/// Why a filter file was refused.
#[derive(Debug, thiserror::Error)]
pub enum IpFilterError {
    /// Not the JSON that gcloud takes.
    #[error("not an IP filter as gcloud takes it")]
    Json(#[from] serde_json::Error),
    /// Over GCS's limit.
    #[error("{0} CIDR blocks; GCS allows {MAX_BLOCKS} in one filter")]
    TooManyBlocks(usize),
    /// Over GCS's limit.
    #[error("{0} VPC networks; GCS allows {MAX_NETWORKS} in one filter")]
    TooManyNetworks(usize),
}

impl IpFilter {
    /// Reads the text of a filter file.
    pub fn parse(text: &str) -> Result<Self, IpFilterError> {
        let filter: Self = serde_json::from_str(&without_comments(text))?;
        let vpc_blocks: usize =
            filter.vpc_network_sources.iter().map(|source| source.allowed_ip_cidr_ranges.len()).sum();
        let blocks = filter.public_ranges().len() + vpc_blocks;
        if blocks > MAX_BLOCKS {
            return Err(IpFilterError::TooManyBlocks(blocks));
        }
        if filter.vpc_network_sources.len() > MAX_NETWORKS {
            return Err(IpFilterError::TooManyNetworks(filter.vpc_network_sources.len()));
        }
        Ok(filter)
    }

    /// Whether the filter is in force; a disabled one says nothing.
    pub fn is_enabled(&self) -> bool {
        self.mode == Mode::Enabled
    }

    /// Whether the public ranges hold the address, or those of the VPC network that the listener stands in.
    pub fn admits(&self, address: IpAddr, listener_network: Option<&str>) -> bool {
        let holds = |ranges: &[Network]| ranges.iter().any(|network| network.contains(address));
        let in_vpc = |source: &VpcSource| {
            listener_network == Some(source.network.as_str()) && holds(&source.allowed_ip_cidr_ranges)
        };
        holds(self.public_ranges()) || self.vpc_network_sources.iter().any(in_vpc)
    }

    fn public_ranges(&self) -> &[Network] {
        self.public_network_source.as_ref().map_or(&[], |source| &source.allowed_ip_cidr_ranges)
    }
}

/// Blanks out `//` comments outside of strings, so that line and column of an error stay right.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_string, mut escaped, mut in_comment) = (false, false, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if in_comment {
            in_comment = character != '\n';
        } else if in_string {
            in_string = escaped || character != '"';
            escaped = character == '\\' && !escaped;
        } else if character == '"' {
            in_string = true;
        } else if character == '/' && characters.peek() == Some(&'/') {
            in_comment = true;
        }
        out.push(if in_comment { ' ' } else { character });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: &str = r#"{ "mode": "Enabled", "publicNetworkSource": { "allowedIpCidrRanges": [
        "203.0.113.7", // Your first "IP" address
        "198.51.100.0/24" // Your IP range in CIDR notation
    ] } }"#;
    const VPC: &str = r#"{ "mode": "Enabled", "vpcNetworkSources": [
        { "network": "projects/P/global/networks/N", "allowedIpCidrRanges": ["10.1.0.0/16"] } ] }"#;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("legal")
    }

    #[test]
    fn the_guides_example_is_read_with_its_comments() {
        let filter = IpFilter::parse(GUIDE).expect("the guide's example");
        assert!(filter.admits(ip("203.0.113.7"), None));
        assert!(filter.admits(ip("198.51.100.200"), None));
        assert!(!filter.admits(ip("203.0.113.8"), None));
    }

    #[test]
    fn vpc_ranges_count_only_on_a_listener_in_that_network() {
        let filter = IpFilter::parse(VPC).expect("legal");
        assert!(filter.admits(ip("10.1.2.3"), Some("projects/P/global/networks/N")));
        assert!(!filter.admits(ip("10.1.2.3"), Some("projects/P/global/networks/M")));
        assert!(!filter.admits(ip("10.1.2.3"), None));
        assert!(!filter.admits(ip("10.2.2.3"), Some("projects/P/global/networks/N")));
    }

    #[test]
    fn what_gcs_would_refuse_is_refused() {
        let blocks: Vec<String> = (0..201).map(|n| format!("\"10.0.{n}.0/24\"")).collect();
        let many =
            format!(r#"{{"mode":"Enabled","publicNetworkSource":{{"allowedIpCidrRanges":[{}]}}}}"#, blocks.join(","));
        assert!(matches!(IpFilter::parse(&many), Err(IpFilterError::TooManyBlocks(201))));
        let nets: Vec<String> = (0..26).map(|n| format!(r#"{{"network":"n{n}"}}"#)).collect();
        let many = format!(r#"{{"mode":"Enabled","vpcNetworkSources":[{}]}}"#, nets.join(","));
        assert!(matches!(IpFilter::parse(&many), Err(IpFilterError::TooManyNetworks(26))));
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"mode":"On"}"#,
            r#"{"mode":"Enabled","publicNetworkSource":{"allowedIpCidrRanges":["x"]}}"#,
        ] {
            assert!(matches!(IpFilter::parse(bad), Err(IpFilterError::Json(_))), "{bad}");
        }
    }

    #[test]
    fn slashes_inside_strings_are_no_comments() {
        assert_eq!(without_comments(r#"{"a":"x//y\"//z"} // end"#), r#"{"a":"x//y\"//z"}       "#);
    }
}
