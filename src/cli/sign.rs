//! `gsgate sign`: prints a V4 signed URL, and nothing else, so that scripts can take it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use http::Method;

use super::Failure;
use crate::config::Environment;
use crate::gcs::credentials::{self, Account, ControlPlane, Origin};
use crate::gcs::sign::{Request, Style};
use crate::gcs::{self, Credential, Endpoint};
use crate::object::GsUri;
use crate::telemetry::Causes;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The object, as `gs://bucket/name`.
    #[arg(value_name = "URI")]
    uri: GsUri,
    /// Credential file; without it, Application Default Credentials.
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Service account to sign as, through IAM signBlob.
    #[arg(long, value_name = "EMAIL", value_parser = account)]
    sign_as: Option<Account>,
    /// How long the URL works.
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = humantime::parse_duration)]
    expires: Duration,
    /// The one method that the URL allows.
    #[arg(long, value_name = "METHOD", default_value = "GET", value_parser = method)]
    method: Method,
    /// Signing time (RFC 3339), in place of now.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak)]
    at: Option<SystemTime>,
    /// Where GCS is.
    #[arg(long, value_name = "URL", default_value_t = Endpoint::default())]
    endpoint: Endpoint,
}

fn account(text: &str) -> Result<Account, String> {
    Account::try_from(text.to_owned()).map_err(|error| error.to_string())
}

fn method(text: &str) -> Result<Method, String> {
    match text {
        "GET" => Ok(Method::GET),
        "HEAD" => Ok(Method::HEAD),
        "PUT" => Ok(Method::PUT),
        "DELETE" => Ok(Method::DELETE),
        _ => Err("expected GET, HEAD, PUT or DELETE".to_owned()),
    }
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Result<(), Failure> {
    let object = arguments
        .uri
        .object()
        .map_err(|_| Failure::configuration(format!("{} names no object; write gs://bucket/name", arguments.uri)))?;
    let settings = credentials::Config {
        source: if arguments.credentials.is_some() { Origin::File } else { Origin::Adc },
        path: arguments.credentials,
        sign_as: arguments.sign_as,
        ..credentials::Config::default()
    };
    let fails = |error: &(dyn std::error::Error + Send + Sync)| Failure::configuration(Causes(error));
    let control = ControlPlane::new(&gcs::Config::default()).map_err(|error| fails(&error))?;
    let surroundings = environment.for_credentials();
    let credential = Credential::load(&settings, &surroundings, &control).await.map_err(|error| fails(&error))?;
    let signer = credential.signer().ok_or_else(|| {
        Failure::configuration("this credential cannot sign; use a service account's key, or name one with --sign-as")
    })?;
    if arguments.expires > signer.longest_life() {
        let longest = humantime::format_duration(signer.longest_life());
        return Err(Failure::configuration(format!("--expires: this credential signs for {longest} at most")));
    }
    let request = Request {
        method: arguments.method,
        endpoint: arguments.endpoint,
        style: Style::Path,
        bucket: arguments.uri.bucket,
        object: Some(object),
        query: Vec::new(),
        headers: Vec::new(),
        expires: arguments.expires,
    };
    let at = arguments.at.unwrap_or_else(SystemTime::now);
    let failed = |error: &(dyn std::error::Error + Send + Sync)| Failure::runtime(Causes(error));
    let email = signer.email().await.map_err(|error| failed(&error))?;
    let draft = request.draft(&email, at).map_err(Failure::configuration)?;
    let signature = signer.sign(draft.string_to_sign().as_bytes()).await.map_err(|error| failed(&error))?;
    println!("{}", draft.into_url(&signature));
    Ok(())
}
