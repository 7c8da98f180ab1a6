//! The least-privilege script: the roles that the configured connections need, as `gcloud` lines. Pure.
//!
//! Reading takes a custom role with `storage.objects.get` and `storage.objects.list`; signing without a key takes the
//! token-creator role on the account that signs; a project that pays takes the consumer role. Never
//! `storage.buckets.update`: the gateway answers CORS itself.
//! Follows <https://cloud.google.com/iam/docs/creating-custom-roles>.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::diagnosis::{binding, consumer, quoted, token_creator};
use super::scene::project_of;
use crate::config::ResolvedConnection;
use crate::gateway::decide::Delivery;
use crate::gcs::credentials::{Identity, Principal};

/// What one connection needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The connection's name.
    pub connection: String,
    /// Bucket and prefix.
    pub uri: String,
    /// The bucket.
    pub bucket: String,
    /// The project that pays.
    pub project: Option<String>,
    /// Whether URLs are signed for it.
    pub signs: bool,
    /// Who reads it, or why that is not known.
    pub identity: Result<Identity, String>,
}

impl Need {
    /// What a connection needs when this is its credential.
    pub fn of(connection: &ResolvedConnection, identity: Result<Identity, String>) -> Self {
        let config = &connection.config;
        let signs = match config.delivery {
            Delivery::Proxy => false,
            Delivery::SignedUrl => true,
            // With an access list everything is proxied.
            Delivery::Auto => connection.access.is_anyone(),
        };
        Self {
            connection: connection.label.to_string(),
            uri: config.uri.to_string(),
            bucket: config.uri.bucket.to_string(),
            project: config.project_id.as_ref().map(|project| project.as_str().to_owned()),
            signs,
            identity,
        }
    }

    fn member(&self) -> String {
        match &self.identity {
            Ok(identity) => identity.caller.member(),
            Err(_) => "serviceAccount:ADDRESS".to_owned(),
        }
    }

    /// The line without which URLs cannot be signed; a key of one's own needs none.
    fn signing(&self) -> Option<String> {
        let identity = self.identity.as_ref().ok()?;
        let caller = identity.caller.email();
        let keyless =
            identity.kind != "service account key" || identity.sign_as.as_deref().is_some_and(|a| Some(a) != caller);
        let target = identity.sign_as.as_deref().or(caller)?;
        let actor = match &identity.source {
            Some(source) if Some(target) == caller => source.member(),
            _ => identity.caller.member(),
        };
        (self.signs && keyless).then(|| token_creator(target, &actor))
    }

    /// An impersonation needs the same role for its tokens.
    fn impersonation(&self) -> Option<String> {
        let identity = self.identity.as_ref().ok()?;
        Some(token_creator(identity.caller.email()?, &identity.source.as_ref()?.member()))
    }
}

/// The script.
pub fn script(needs: &[Need]) -> String {
    let mut text = String::from(
        "#!/bin/sh\n# What gsgate's connections need, and nothing more. Read it before you run it.\nset -eu\n\n",
    );
    let emails = needs.iter().filter_map(|need| need.identity.as_ref().ok()?.caller.email());
    let projects: BTreeSet<&str> = emails.filter_map(project_of).collect();
    match (projects.len(), projects.first()) {
        (1, Some(project)) => {
            let _ = writeln!(text, ": \"${{PROJECT:={project}}}\"  # the buckets' project, where the role is made");
        }
        _ => text.push_str(": \"${PROJECT:?set it to the buckets' project, where the role is made}\"\n"),
    }
    text.push_str(
        "\n# Reading and listing; no permission on buckets, none to write.\n\
         gcloud iam roles create gsgateReader --project=\"$PROJECT\" --title='gsgate reader' --stage=GA \
         --permissions=storage.objects.get,storage.objects.list\n",
    );
    let mut written = BTreeSet::new();
    for need in needs {
        let _ = writeln!(text, "\n# {}: {}", need.connection, need.uri);
        match &need.identity {
            Err(why) => {
                let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                let _ = writeln!(text, "# Its credential cannot be read, so fill in ADDRESS: {why}");
            }
            Ok(identity) if identity.caller == Principal::Anyone => {
                text.push_str("# Anonymous: the bucket has to be public, and nothing is granted here.\n");
                continue;
            }
            Ok(_) => {}
        }
        let member = need.member();
        let role = "projects/$PROJECT/roles/gsgateReader";
        let reading = binding(&need.bucket, &member, role).replace(&quoted(role), &format!("\"{role}\""));
        let paying = need.project.as_ref().map(|project| consumer(project, &member));
        let lines = [Some(reading), need.impersonation(), need.signing(), paying];
        for line in lines.into_iter().flatten() {
            if written.insert(line.clone()) {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(kind: &'static str, caller: Principal, source: Option<Principal>, sign_as: Option<&str>) -> Need {
        let identity = Identity { kind, file: None, caller, source, sign_as: sign_as.map(Into::into) };
        Need {
            connection: "street".to_owned(),
            uri: "gs://my-bucket/data/".to_owned(),
            bucket: "my-bucket".to_owned(),
            project: None,
            signs: true,
            identity: Ok(identity),
        }
    }

    fn account(email: &str) -> Principal {
        Principal::ServiceAccount(email.into())
    }

    const MEDIA: &str = "media@p.iam.gserviceaccount.com";
    const CREATOR: &str = "roles/iam.serviceAccountTokenCreator";

    #[test]
    fn a_key_needs_only_the_readers_role() {
        let text = script(&[need("service account key", account(MEDIA), None, None)]);
        assert!(text.contains(": \"${PROJECT:=p}\""), "{text}");
        assert!(text.contains("--permissions=storage.objects.get,storage.objects.list"), "{text}");
        assert!(
            text.contains(&format!(
                "gs://my-bucket --member=serviceAccount:{MEDIA} --role=\"projects/$PROJECT/roles/gsgateReader\""
            )),
            "{text}"
        );
        assert!(!text.contains("buckets.update") && !text.contains(CREATOR), "{text}");
    }

    #[test]
    fn signing_without_a_key_needs_the_token_creator_role() {
        for (need, target, member) in [
            (need("metadata server", account(MEDIA), None, None), MEDIA, format!("serviceAccount:{MEDIA}")),
            (
                need("impersonation", account(MEDIA), Some(account("a@b.c")), None),
                MEDIA,
                "serviceAccount:a@b.c".to_owned(),
            ),
            (
                need("service account key", account(MEDIA), None, Some("s@b.c")),
                "s@b.c",
                format!("serviceAccount:{MEDIA}"),
            ),
            (need("user's sign-in", Principal::User, None, Some("s@b.c")), "s@b.c", "user:YOUR_ADDRESS".to_owned()),
        ] {
            let text = script(&[need]);
            let line = format!("add-iam-policy-binding {target} --member={member} --role={CREATOR}");
            assert_eq!(text.matches(&line).count(), 1, "{line}\n{text}");
        }
    }

    #[test]
    fn what_two_connections_need_is_granted_once() {
        let one = need("service account key", account(MEDIA), None, None);
        let two = Need { connection: "again".to_owned(), project: Some("payer".to_owned()), ..one.clone() };
        let text = script(&[one, two]);
        assert_eq!(text.matches("buckets add-iam-policy-binding").count(), 1, "{text}");
        assert!(text.contains("gcloud projects add-iam-policy-binding payer"), "{text}");
    }

    #[test]
    fn unknown_and_anonymous_callers_are_said_to_be_so() {
        let unknown = Need { identity: Err("no such\nfile".to_owned()), ..need("", Principal::User, None, None) };
        assert!(script(&[unknown]).contains("fill in ADDRESS: no such file"));
        let text = script(&[need("anonymous", Principal::Anyone, None, None)]);
        assert!(text.contains("has to be public") && !text.contains("allUsers"), "{text}");
    }
}
