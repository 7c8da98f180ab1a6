//! No connection: DNS, TCP, TLS or a proxy, told apart by what the libraries say.

use std::error::Error as StdError;
use std::io::ErrorKind;

use super::{Diagnosis, Fault, chain};
use crate::check::scene::Scene;

/// What it means that `authority` cannot be connected to.
pub(super) fn diagnose(error: &(dyn StdError + 'static), authority: &str, scene: &Scene) -> Diagnosis {
    let text = chain(error);
    let said = text.to_ascii_lowercase();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let unproxied = "HTTPS_PROXY is set, but reads from GCS go straight to it: let this machine reach GCS directly, or set \
                 gcs.connect_to to a Private Google Access address.";
    let with_proxy = |diagnosis: Diagnosis| if scene.proxied { diagnosis.remedy(unproxied) } else { diagnosis };
    if ["proxy", "tunnel"].iter().any(|word| said.contains(word)) {
        return proxy(&text, host);
    }
    if is_tls(error) || ["certificate", "handshake"].iter().any(|word| said.contains(word)) {
        return Diagnosis::new(Fault::Tls, format!("the TLS connection to {authority} fails: {text}"))
            .remedy("If a proxy on the way opens TLS, give its authority in gcs.ca_file (PEM).")
            .remedy("If gcs.endpoint or gcs.connect_to is yours, check that its certificate names the host.")
            .command(format!("openssl s_client -connect {} -servername {host} </dev/null", with_port(authority)));
    }
    if ["dns", "lookup", "resolve", "name or service"].iter().any(|word| said.contains(word)) {
        return with_proxy(
            Diagnosis::new(Fault::Dns, format!("the name {host} is not known to this machine's DNS: {text}")).remedy(
                "Check gcs.endpoint for a typo, and this machine's DNS (in a VPC: the zone for googleapis.com).",
            ),
        )
        .command(format!("getent hosts {host}"));
    }
    if io_kind(error) == Some(ErrorKind::TimedOut) || said.contains("timed out") {
        return with_proxy(
            Diagnosis::new(Fault::ConnectTimeout, format!("no connection to {authority} in time: {text}"))
                .remedy("Let the firewall pass outgoing TCP 443, or use Private Google Access by gcs.connect_to."),
        );
    }
    with_proxy(
        Diagnosis::new(Fault::Connect, format!("nobody can be connected to at {authority}: {text}"))
            .remedy("Check gcs.endpoint, gcs.connect_to and STORAGE_EMULATOR_HOST, and that a route leads there."),
    )
}

/// The proxy that the environment names does not lead to `host`.
pub(super) fn proxy(text: &str, host: &str) -> Diagnosis {
    Diagnosis::new(Fault::Proxy, format!("the proxy that HTTPS_PROXY or HTTP_PROXY names fails: {text}"))
        .remedy("Correct HTTPS_PROXY, or name the host in NO_PROXY so that it is reached directly.")
        .command(format!("export NO_PROXY={host}"))
}

fn with_port(authority: &str) -> String {
    if authority.rsplit_once(':').is_some() { authority.to_owned() } else { format!("{authority}:443") }
}

/// The innermost cause's kind, if it is one of the system's.
fn io_kind(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    let mut kind = None;
    let mut cause = Some(error);
    while let Some(error) = cause {
        kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind).or(kind);
        cause = error.source();
    }
    kind
}

fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>() || matches!(inside, Some(inside) if inside.is::<rustls::Error>()) {
            return true;
        }
        cause = error.source();
    }
    false
}
