//! No token or no signature: what the credential's file and the token services say.
//!
//! Follows <https://cloud.google.com/iam/docs/troubleshoot-sa-keys> and
//! <https://cloud.google.com/iam/docs/troubleshooting-workload-identity-federation>.

use super::{Diagnosis, Fault, chain, network, quoted};
use crate::check::scene::{Asked, Scene, project_of};
use crate::gcs::credentials::Error;

/// What an error of the credential means.
pub(super) fn diagnose(error: &Error, asked: Asked, scene: &Scene) -> Diagnosis {
    let text = chain(error);
    match error {
        Error::Shared(inner) => diagnose(inner, asked, scene),
        Error::Unreadable { source, .. } => {
            let diagnosis = Diagnosis::new(Fault::FileUnreadable, text);
            let path = scene.file.as_ref().map(|path| quoted(&path.display().to_string())).unwrap_or_default();
            match source.kind() {
                std::io::ErrorKind::PermissionDenied => diagnosis
                    .remedy("Let the user that gsgate runs as read the file, and nobody else.")
                    .command(format!("chmod 600 {path}")),
                _ => diagnosis
                    .remedy(format!("Correct credentials.{}.path, or put the file there.", scene.credential)),
            }
        }
        Error::NotJson { .. } => {
            new_key(Diagnosis::new(Fault::NotJson, format!("{text}; the file is damaged or another one")), scene)
        }
        Error::File { field, problem, .. } => file(field, problem, Diagnosis::new(Fault::FileWrong, text), scene),
        Error::NoDefault { .. } => Diagnosis::new(Fault::NoCredential, text)
            .remedy("Name a credential file, or run where Google gives machines an account.")
            .command("gcloud auth application-default login")
            .command("export GOOGLE_APPLICATION_CREDENTIALS=/secrets/key.json"),
        Error::Unreachable { service, source } => {
            let host = match *service {
                "the token endpoint" => "oauth2.googleapis.com",
                "STS" => "sts.googleapis.com",
                "IAM" => "iamcredentials.googleapis.com",
                service => service,
            };
            let found = network::diagnose(source.as_ref(), host, scene);
            let through_proxy = scene.proxied && host.ends_with(".googleapis.com") && found.fault != Fault::Tls;
            if through_proxy {
                return network::proxy(&format!("{service} is asked through it, {text}"), host);
            }
            Diagnosis { cause: format!("{service}: {}", found.cause), ..found }
        }
        Error::Refused { service, status, reason } => refused(service, *status, reason, asked, scene),
        Error::Subject { .. } => Diagnosis::new(Fault::SubjectToken, text).remedy(
            "Check credential_source in the credential file: the file, URL or command there must give the workload's token.",
        ),
        Error::Rejected => token_rejected("GCS refused two tokens in a row (401)", scene),
        Error::Nonsense { service, .. } => Diagnosis::new(Fault::NotGcs, text)
            .remedy(format!("Whoever answers in place of {service} is no Google service: look for a proxy on the way.")),
        Error::Config(_) | Error::Setup(_) | Error::Key(_) | Error::Interrupted => Diagnosis::new(Fault::Other, text)
            .remedy(format!("Correct [credentials.{}] or its file.", scene.credential)),
    }
}

fn file(field: &str, problem: &str, mut diagnosis: Diagnosis, scene: &Scene) -> Diagnosis {
    let kind = |fault, mut diagnosis: Diagnosis| {
        diagnosis.fault = fault;
        diagnosis
    };
    if field.ends_with("private_key") {
        let fault = if problem.contains("cut off") { Fault::KeyTruncated } else { Fault::KeyDamaged };
        return new_key(kind(fault, diagnosis), scene);
    }
    if field.rsplit('.').next() == Some("type") {
        return new_key(kind(Fault::WrongType, diagnosis), scene)
            .remedy("Not an OAuth client or an API key: a key of a service account, or a federation's configuration.");
    }
    if problem.contains("trusted_hosts") {
        return diagnosis.remedy("If the file is yours, add the host to gcs.trusted_hosts; else do not use it.");
    }
    if field.ends_with("executable") {
        diagnosis = diagnosis.command("export GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1");
    }
    new_key(diagnosis, scene)
}

/// The guides' remedy for whatever is wrong with a key: another one.
fn new_key(diagnosis: Diagnosis, scene: &Scene) -> Diagnosis {
    let account = quoted(scene.email());
    let path = scene.file.as_ref().map_or_else(|| "key.json".to_owned(), |path| quoted(&path.display().to_string()));
    diagnosis
        .remedy("Download the key file again, or make a new key, put it in the file's place, and delete the old key.")
        .command(format!("gcloud iam service-accounts keys list --iam-account={account}"))
        .command(format!("gcloud iam service-accounts keys create {path} --iam-account={account}"))
        .command(format!("gcloud iam service-accounts keys delete OLD_KEY_ID --iam-account={account}"))
}

/// GCS or a token endpoint does not accept what the credential gives; a wrong clock looks the same.
pub(super) fn token_rejected(what: &str, scene: &Scene) -> Diagnosis {
    if let Some(skew) = scene.skew.filter(|skew| skew.size() >= super::storage::LOUD_SKEW) {
        return super::storage::clock(skew, Some(what));
    }
    match &scene.second_opinion {
        Some(reason) => grant(reason, scene).unwrap_or_else(|| generic(&format!("{what}; {reason}"), scene)),
        None => generic(what, scene),
    }
}

fn generic(what: &str, scene: &Scene) -> Diagnosis {
    let diagnosis = Diagnosis::new(
        Fault::TokenRefused,
        format!("{what}: the key was deleted, or its account was disabled or deleted"),
    );
    enable(new_key(diagnosis, scene), scene)
}

fn enable(diagnosis: Diagnosis, scene: &Scene) -> Diagnosis {
    let account = quoted(scene.email());
    diagnosis
        .command(format!("gcloud iam service-accounts describe {account}"))
        .command(format!("gcloud iam service-accounts enable {account}"))
}

fn refused(service: &str, status: u16, reason: &str, asked: Asked, scene: &Scene) -> Diagnosis {
    let said = format!("{service} refused with status {status}: {reason}");
    let by_service = match service {
        "STS" => federation(reason, scene),
        "IAM" => iam(status, reason, asked, scene),
        _ => grant(reason, scene),
    };
    by_service.unwrap_or_else(|| match status {
        408 | 429 | 500..=599 => {
            Diagnosis::new(Fault::Busy, said).remedy("Google's service is busy; check again later.")
        }
        401 => token_rejected(&said, scene),
        407 => Diagnosis::new(Fault::Proxy, said).remedy("The proxy asks for a password; correct HTTPS_PROXY."),
        300..=399 => Diagnosis::new(Fault::Proxy, said)
            .remedy("Google's services do not redirect: a proxy or a captive portal answers in their place."),
        _ => Diagnosis::new(Fault::TokenRefused, said)
            .remedy(format!("Read the reason; the credential is [credentials.{}].", scene.credential)),
    })
}

/// OAuth's token endpoint: keys and users' grants.
fn grant(reason: &str, scene: &Scene) -> Option<Diagnosis> {
    let text = reason.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["account not found", "disabled", "account has been deleted"]) {
        let diagnosis = Diagnosis::new(Fault::AccountGone, format!("the account was disabled or deleted ({reason})"));
        return Some(
            enable(diagnosis.remedy("Enable the account again, or make another one and a key for it."), scene).command(
                format!("gcloud iam service-accounts undelete UNIQUE_ID  # within 30 days of {}", scene.email()),
            ),
        );
    }
    if has(&["jwt signature", "invalid_signature", "no matching key", "invalid key"]) {
        return Some(new_key(Diagnosis::new(Fault::KeyRevoked, format!("the key was deleted ({reason})")), scene));
    }
    if has(&["reasonable timeframe", "iat and exp", "used too early"]) {
        return Some(match scene.skew {
            Some(skew) => super::storage::clock(skew, Some(reason)),
            None => Diagnosis::new(Fault::ClockSkew, format!("this machine's clock is wrong ({reason})"))
                .remedy("Set the clock by NTP.")
                .command("timedatectl set-ntp true"),
        });
    }
    if has(&["expired or revoked", "invalid_rapt", "reauth"]) {
        return Some(
            Diagnosis::new(Fault::SignInEnded, format!("the user's sign-in has ended or was taken back ({reason})"))
                .remedy("Sign in again; for a server better use a service account.")
                .command("gcloud auth application-default login"),
        );
    }
    None
}

/// STS: workload identity federation.
fn federation(reason: &str, scene: &Scene) -> Option<Diagnosis> {
    let text = reason.to_ascii_lowercase();
    let file = scene.file.as_ref().map_or_else(|| "the credential file".to_owned(), |path| path.display().to_string());
    let describe = "gcloud iam workload-identity-pools providers describe PROVIDER --workload-identity-pool=POOL \
                    --location=global --format='yaml(oidc,attributeMapping,attributeCondition,disabled)'";
    if ["invalid_target", "audience in", "expected audience"].iter().any(|words| text.contains(words)) {
        return Some(
            Diagnosis::new(Fault::FederationAudience, format!("the federation's audience does not fit ({reason})"))
                .remedy(format!("Make \"audience\" in {file} name the project number, pool and provider that exist."))
                .remedy("If the subject token has an \"aud\" of its own, add it to the provider's allowed audiences.")
                .command(describe)
                .command(
                    "gcloud iam workload-identity-pools providers update-oidc PROVIDER --workload-identity-pool=POOL \
                     --location=global --allowed-audiences=AUDIENCE",
                ),
        );
    }
    if ["invalid_grant", "attribute condition", "subject", "unauthorized_client"].iter().any(|word| text.contains(word))
    {
        return Some(
            Diagnosis::new(Fault::FederationSubject, format!("the pool does not accept the workload's token ({reason})"))
                .remedy("The token has ended, is of another issuer, or the provider's mapping or condition excludes its subject.")
                .remedy(format!("Compare the token's iss, sub and exp with the provider that \"audience\" in {file} names."))
                .command(describe),
        );
    }
    text.contains("invalid_client").then(|| {
        Diagnosis::new(Fault::TokenRefused, format!("STS does not know the client ({reason})"))
            .remedy(format!("Correct client_id and client_secret in {file}."))
    })
}

/// IAM: impersonation and signBlob.
fn iam(status: u16, reason: &str, asked: Asked, scene: &Scene) -> Option<Diagnosis> {
    let text = reason.to_ascii_lowercase();
    let target = scene.target();
    if text.contains("has not been used") || text.contains("service_disabled") || text.contains("is disabled") {
        let project = project_of(target).unwrap_or("PROJECT");
        return Some(
            Diagnosis::new(Fault::ApiDisabled, format!("IAM's API is off in the project ({reason})"))
                .remedy("Switch on the IAM Service Account Credentials API.")
                .command(format!("gcloud services enable iamcredentials.googleapis.com --project={}", quoted(project))),
        );
    }
    if text.contains("scope") {
        return Some(scope(reason));
    }
    (status == 403 || status == 404).then(|| {
        let actor = scene.actor();
        let what = if asked == Asked::SignedUrl { "sign as" } else { "act as" };
        Diagnosis::new(Fault::TokenCreator, format!("{actor} may not {what} {target} ({reason})"))
            .remedy(format!("Grant it roles/iam.serviceAccountTokenCreator on {target}; check the address for typos."))
            .command(token_creator(target, &actor))
            .command(format!("gcloud iam service-accounts describe {}", quoted(target)))
    })
}

/// The line that lets `actor` act and sign as `target`.
pub(crate) fn token_creator(target: &str, actor: &str) -> String {
    format!(
        "gcloud iam service-accounts add-iam-policy-binding {} --member={} --role=roles/iam.serviceAccountTokenCreator",
        quoted(target),
        quoted(actor)
    )
}

/// A token that reaches no further than its scopes: of the machine it runs on.
pub(super) fn scope(reason: &str) -> Diagnosis {
    Diagnosis::new(Fault::ScopeMissing, format!("the token's scopes do not reach ({reason})"))
        .remedy("Give the machine the cloud-platform scope (it has to be stopped for that), or use another credential.")
        .command("gcloud compute instances set-service-account INSTANCE --scopes=cloud-platform")
}
