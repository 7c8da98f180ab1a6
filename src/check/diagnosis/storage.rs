//! What GCS's own refusals mean: which 403 it is, what is not found, who has to pay.
//!
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/status-codes> and
//! <https://cloud.google.com/vpc-service-controls/docs/troubleshooting>.

use std::time::Duration;

use super::{Diagnosis, Fault, chain, credential, quoted};
use crate::check::scene::{Asked, Scene, Skew};
use crate::gcs::Error;

/// From this difference on a clock may be what is wrong.
pub(in crate::check) const LOUD_SKEW: Duration = Duration::from_mins(1);

/// What a refusal or a broken answer means.
pub(super) fn diagnose(error: &Error, asked: Asked, scene: &Scene) -> Diagnosis {
    match error {
        Error::Unauthorized { message } if scene.is_anonymous() => permission(message, asked, scene),
        Error::Unauthorized { message } => {
            credential::token_rejected(&format!("GCS refused the token (401: {})", said(message)), scene)
        }
        Error::Forbidden { message } => forbidden(message, asked, scene),
        Error::NotFound { message } if asked == Asked::Object || asked == Asked::SignedUrl => {
            Diagnosis::new(Fault::ObjectNotFound, format!("the object is gone ({})", said(message)))
                .remedy("It was deleted or renamed since it was listed; check again.")
        }
        Error::NotFound { .. } => no_bucket(scene),
        Error::Refused { message, .. } => refused(message, scene),
        Error::Redirected { .. } | Error::Protocol(_) => Diagnosis::new(Fault::NotGcs, chain(error))
            .remedy(format!("Whoever answers at {} is not GCS: check gcs.endpoint and gcs.connect_to.", scene.endpoint))
            .remedy("A proxy or a captive portal on the way may answer in its place."),
        Error::Throttled { .. } | Error::Unavailable { .. } | Error::Overloaded { .. } => {
            Diagnosis::new(Fault::Busy, chain(error))
                .remedy("GCS is busy or down; check again later.")
                .remedy("See https://status.cloud.google.com for the bucket's region.")
        }
        Error::FirstByteTimeout(_) | Error::Stalled(_) | Error::Broken(_) | Error::EndedEarly { .. } => {
            Diagnosis::new(Fault::Interrupted, chain(error))
                .remedy("Connected, but the answer does not come through: look for a firewall or proxy that inspects.")
        }
        Error::RangeNotSatisfiable { .. } | Error::Changed | Error::Corrupt { .. } => {
            Diagnosis::new(Fault::Other, chain(error)).remedy("The object changed while it was read; check again.")
        }
        // Decided before this is asked.
        Error::Credential(_) | Error::Signature(_) | Error::Connect { .. } => {
            Diagnosis::new(Fault::Other, chain(error)).remedy("Read the cause.")
        }
    }
}

fn forbidden(message: &str, asked: Asked, scene: &Scene) -> Diagnosis {
    let text = message.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["vpcservicecontrols", "organization's policy", "security_policy_violated"]) {
        return perimeter(message, scene);
    }
    if has(&["ip filter"]) {
        return ip_filter(asked, scene);
    }
    if has(&["billing account", "accountdisabled", "billing is disabled", "billing to be enabled"]) {
        return Diagnosis::new(
            Fault::BillingDisabled,
            format!("billing is off in the bucket's project ({})", said(message)),
        )
        .remedy("Link the project to an open billing account; the objects are kept for a while.")
        .command("gcloud billing accounts list")
        .command("gcloud billing projects link PROJECT_OF_THE_BUCKET --billing-account=ACCOUNT_ID");
    }
    if has(&["serviceusage.services.use", "user_project_denied"]) {
        let project = scene.project.as_deref().unwrap_or("PROJECT");
        let member = scene.member();
        return Diagnosis::new(
            Fault::PayerDenied,
            format!("{} may not charge the project {project} ({})", scene.caller(), said(message)),
        )
        .remedy(format!("Grant it roles/serviceusage.serviceUsageConsumer in {project}, or correct project_id."))
        .command(consumer(project, &member));
    }
    if has(&["signaturedoesnotmatch", "signature we calculated"]) {
        return Diagnosis::new(Fault::SignatureRefused, "GCS does not accept the signature of the signed URL")
            .remedy("If something between here and GCS rewrites URLs or the Host header, leave both as they are.")
            .remedy("If the key was just changed, check again; else use delivery = \"proxy\".");
    }
    if has(&["scope"]) && !text.contains("storage.") {
        return credential::scope(&said(message));
    }
    permission(message, asked, scene)
}

/// 403 for want of a permission: which, which role has it, for whom.
fn permission(message: &str, asked: Asked, scene: &Scene) -> Diagnosis {
    let usual = match asked {
        Asked::Listing => "storage.objects.list",
        _ => "storage.objects.get",
    };
    let named = named_permission(message).unwrap_or(usual);
    let text = said(message);
    missing(&[named], Some(&text), scene)
}

/// Permissions that the caller does not have in the bucket.
pub(in crate::check) fn missing(permissions: &[&str], said: Option<&str>, scene: &Scene) -> Diagnosis {
    let role = if permissions.iter().all(|permission| *permission == "storage.buckets.get") {
        "roles/storage.bucketViewer"
    } else {
        "roles/storage.objectViewer"
    };
    let said = said.map(|text| format!(" ({text})")).unwrap_or_default();
    let list = permissions.join(" and ");
    let (bucket, member) = (&scene.bucket, scene.member());
    Diagnosis::new(
        Fault::PermissionMissing,
        format!("{} does not have {list} in gs://{bucket}{said}", scene.caller()),
    )
    .remedy(format!("Grant {member} a role with {list} on the bucket itself: {role}, or the narrower custom role of `gsgate check --grant`."))
    .remedy("It takes up to a few minutes until a grant works.")
    .command(binding(bucket, &member, role))
}

/// The line that grants a role on a bucket.
pub(in crate::check) fn binding(bucket: &str, member: &str, role: &str) -> String {
    format!(
        "gcloud storage buckets add-iam-policy-binding gs://{bucket} --member={} --role={}",
        quoted(member),
        quoted(role)
    )
}

/// The line that lets a member charge a project.
pub(in crate::check) fn consumer(project: &str, member: &str) -> String {
    format!(
        "gcloud projects add-iam-policy-binding {} --member={} --role=roles/serviceusage.serviceUsageConsumer",
        quoted(project),
        quoted(member)
    )
}

fn perimeter(message: &str, scene: &Scene) -> Diagnosis {
    let id = message.split("vpcServiceControlsUniqueIdentifier:").nth(1).map(|rest| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        rest.trim_start().chars().take_while(|c| word(*c)).collect::<String>()
    });
    let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| "UNIQUE_ID".to_owned());
    Diagnosis::new(
        Fault::VpcServiceControls,
        format!("the bucket is in a VPC Service Controls perimeter that this gateway is outside of ({})", said(message)),
    )
    .remedy("Run the gateway inside the perimeter and reach GCS by the restricted VIP: gcs.connect_to = \"199.36.153.4:443\".")
    .remedy(format!("Or add an ingress rule for {} and this gateway's address; the perimeter's administrator finds the denial by its id.", scene.member()))
    .command(format!(
        "gcloud logging read 'protoPayload.metadata.vpcServiceControlsUniqueId=\"{id}\"' --project=PROJECT_OF_THE_BUCKET"
    ))
    .command("gcloud access-context-manager perimeters update PERIMETER --policy=POLICY --set-ingress-policies=ingress.yaml")
}

fn ip_filter(asked: Asked, scene: &Scene) -> Diagnosis {
    let bucket = &scene.bucket;
    let who = if asked == Asked::SignedUrl { "whoever follows the signed URL" } else { "this gateway" };
    Diagnosis::new(Fault::IpFilter, format!("the bucket's IP filter does not admit the address of {who}"))
        .remedy("Add the gateway's outgoing address (of its NAT, or its VPC network and range) to the filter.")
        .remedy("Browsers' addresses need not be in it with delivery = \"proxy\": then only the gateway reads.")
        .command(format!("gcloud storage buckets describe gs://{bucket} --raw --format='json(ipFilter)'"))
        .command(format!("gcloud storage buckets update gs://{bucket} --ip-filter-file=ip-filter.json"))
        .command(format!("gcloud storage buckets update gs://{bucket} --clear-ip-filter  # to be rid of it"))
}

fn no_bucket(scene: &Scene) -> Diagnosis {
    let bucket = &scene.bucket;
    let project = scene.project.as_deref().or(scene.account_project()).unwrap_or("PROJECT");
    Diagnosis::new(Fault::BucketNotFound, format!("there is no bucket {bucket:?}"))
        .remedy(format!("Check connections.{}.uri ({}) for typos.", scene.connection, scene.uri))
        .remedy("Check that the bucket exists, and in which project.")
        .remedy("Check the format: gs://exact-bucket-name/folder/")
        .command(format!("gcloud storage buckets list --project={} --format='value(name)'", quoted(project)))
        .command(format!("gcloud storage buckets describe gs://{bucket}"))
}

fn refused(message: &str, scene: &Scene) -> Diagnosis {
    let text = message.to_ascii_lowercase();
    if text.contains("requester pays") || text.contains("userprojectmissing") {
        let project = scene.account_project().unwrap_or("PROJECT");
        return Diagnosis::new(
            Fault::RequesterPays,
            format!("gs://{} is a requester pays bucket, and no project is named", scene.bucket),
        )
        .remedy(format!("Set connections.{}.project_id to a project that you pay for.", scene.connection))
        .remedy("The caller needs roles/serviceusage.serviceUsageConsumer there.")
        .command(consumer(project, &scene.member()));
    }
    if ["signature expired", "expiredtoken", "too far in the future"].iter().any(|words| text.contains(words)) {
        return clock(
            scene.skew.unwrap_or(Skew::Behind(Duration::ZERO)),
            Some("GCS says that the signed URL has expired"),
        );
    }
    if text.contains("project") {
        return Diagnosis::new(Fault::PayerDenied, format!("GCS does not take the project ({})", said(message)))
            .remedy(format!("Correct connections.{}.project_id.", scene.connection))
            .command("gcloud projects list");
    }
    Diagnosis::new(Fault::Other, format!("GCS refused the request ({})", said(message)))
        .remedy(format!("Check connections.{}.uri: gs://exact-bucket-name/folder/", scene.connection))
}

/// This machine's clock.
pub(in crate::check) fn clock(skew: Skew, what: Option<&str>) -> Diagnosis {
    let by = humantime::format_duration(Duration::from_secs(skew.size().as_secs()));
    let way = match skew {
        Skew::Ahead(_) => "ahead of",
        Skew::Behind(_) => "behind",
    };
    let what = what.map(|what| format!("{what}; ")).unwrap_or_default();
    Diagnosis::new(Fault::ClockSkew, format!("{what}this machine's clock is {by} {way} GCS's"))
        .remedy("Set the clock by NTP: tokens and signed URLs carry the time and end by it.")
        .command("timedatectl set-ntp true")
        .command("chronyc makestep")
}

/// The first `storage.objects.get` or the like in GCS's text.
fn named_permission(message: &str) -> Option<&str> {
    let starts = ["storage.objects.", "storage.buckets.", "storage.managedFolders.", "storage.folders."];
    let at = starts.iter().filter_map(|start| message.find(start)).min()?;
    let rest = &message[at..];
    let end = rest.find(|c: char| !c.is_ascii_alphabetic() && c != '.').unwrap_or(rest.len());
    Some(rest[..end].trim_end_matches('.'))
}

/// GCS's text, shortened; of XML only code and message.
fn said(message: &str) -> String {
    let element = |name: &str| {
        let (_, rest) = message.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
    };
    let text = match (element("Code"), element("Details").or_else(|| element("Message"))) {
        (Some(code), Some(text)) => format!("{code}: {text}"),
        (Some(code), None) => code.to_owned(),
        _ => message.to_owned(),
    };
    let text = text.trim_end_matches('.');
    if text.chars().count() <= 220 { text.to_owned() } else { text.chars().take(220).chain(['…']).collect() }
}
