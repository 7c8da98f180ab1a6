//! `gsgate link`: prints URLs that carry the right to read, one a line and nothing else, so that scripts can take them.

pub(super) mod terms;

use std::path::{Path, PathBuf};

use self::terms::TermsArguments;
use super::{ConfigArgument, Failure};
use crate::app::Source;
use crate::config::{ConfigError, Environment, Resolved};
use crate::gateway::links;
use crate::object::GsUri;
use crate::tasks::Linker;
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Objects as `gs://bucket/name`, or everything under a prefix as `gs://bucket/prefix/`.
    #[arg(value_name = "URI", required_unless_present = "new_key")]
    uris: Vec<GsUri>,
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    terms: TermsArguments,
    /// The connection to lead through, where several cover a URI.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// How browsers reach the gateway, in place of `server.public_url`.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Make a new key that only you can read, and no link. Name it in [links] keys.
    #[arg(long, value_name = "FILE", conflicts_with = "uris")]
    new_key: Option<PathBuf>,
}

#[expect(clippy::unused_async, reason = "every command is a future")]
pub(super) async fn run(arguments: Arguments, environment: Environment) -> Result<(), Failure> {
    telemetry::init(&telemetry::Config::quiet(), None).map_err(Failure::runtime)?;
    if let Some(path) = &arguments.new_key {
        return new_key(path);
    }
    let environment = match &arguments.public_url {
        Some(url) => environment.with_flag("--public-url", "server.public_url", url.as_str()),
        None => environment,
    };
    let resolved = Source::file(&arguments.config.config, environment).load()?;
    let linker = Linker::new(
        public_url(&resolved)?,
        resolved.connections.iter().map(|connection| (&connection.label, &connection.config)),
        arguments.terms.signer(&resolved)?,
    );
    // All or nothing: a script shall not take a part for the whole.
    let mut urls = Vec::with_capacity(arguments.uris.len());
    for uri in &arguments.uris {
        let link = linker.link(uri, arguments.connection.as_deref()).map_err(Failure::configuration)?;
        urls.push(link.url);
    }
    println!("{}", urls.join("\n"));
    Ok(())
}

fn new_key(path: &Path) -> Result<(), Failure> {
    links::new_key(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::runtime(format!("--new-key: {} exists; name a file that does not", path.display()))
        }
        _ => Failure::runtime(format!("--new-key: cannot write {}: {error}", path.display())),
    })
}

fn public_url(resolved: &Resolved) -> Result<&str, ConfigError> {
    let cure = "it is not set, but links begin with it; add public_url = \"https://media.example.com\" to [server], \
                or give --public-url";
    let url = resolved.config.server.public_url.as_ref();
    url.map(crate::server::PublicUrl::as_str).ok_or_else(|| {
        let key = ["server", "public_url"].map(str::to_owned).to_vec();
        resolved.origin.error(key, cure.to_owned())
    })
}
