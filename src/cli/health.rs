//! `gsgate health`: asks a running gateway's admin listener, for container health checks where there is no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::Failure;
use crate::app::Source;
use crate::config::Environment;
use crate::server::AdminConfig;

const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// URL to ask; by default /healthz of the admin listener that the configuration or `GSGATE_ADMIN__LISTEN` names.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Configuration file to take the admin listener from.
    #[arg(long, value_name = "FILE", env = "GSGATE_CONFIG")]
    config: Option<PathBuf>,
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Result<(), Failure> {
    let url = match arguments.url {
        Some(url) => url,
        None => format!("http://{}/healthz", admin_address(arguments.config, environment)?),
    };
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().redirect(reqwest::redirect::Policy::none());
    let client = client.build().map_err(Failure::runtime)?;
    let response = client.get(&url).send().await.map_err(|error| {
        Failure::runtime(format!("no gateway answers at {url}: {:#}", anyhow::Error::new(error.without_url())))
    })?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(Failure::runtime(format!("{url} answers {status}"))),
    }
}

/// Where the admin listener is, reached from this machine.
fn admin_address(config: Option<PathBuf>, environment: Environment) -> Result<SocketAddr, Failure> {
    let admin = match config {
        Some(path) => Source::file(path, environment).load()?.config.admin,
        None => match environment.var("GSGATE_ADMIN__LISTEN") {
            Some(listen) => {
                let address: SocketAddr = listen.parse().map_err(|_| {
                    Failure::configuration(format!("GSGATE_ADMIN__LISTEN: '{listen}' is no address with a port"))
                })?;
                AdminConfig { listen: address.into(), ..AdminConfig::default() }
            }
            None => AdminConfig::default(),
        },
    };
    let address = admin.listen.addresses().first().copied();
    let address = address.ok_or_else(|| Failure::configuration("admin.listen names no address"))?;
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, address.port()))
}
