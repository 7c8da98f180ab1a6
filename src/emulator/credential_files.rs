//! Ready credential files whose URLs point at the emulator.
//!
//! Decides their content and registers what they need to work; the shapes are Google's.
//! Follows <https://google.aip.dev/auth/4110> to 4118.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::identity::User;
use super::{Emulator, Error, aws, default_email};

const AUDIENCE: &str =
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/emulated/providers/emulated";
const SUBJECT: &str =
    "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/emulated/subject/";

/// Where a workload's own token comes from.
#[derive(Clone, Debug)]
pub enum SubjectSource<'a> {
    /// A file that holds the token as text; the token must be registered.
    File(&'a Path),
    /// A URL of the emulator's.
    Url,
    /// AWS's metadata server, imitated by the emulator.
    Aws,
    /// A command line.
    Executable(&'a str),
}

impl Emulator {
    /// The default service account's e-mail.
    pub fn email(&self) -> String {
        default_email(&self.state.settings.project)
    }

    /// A key file of the default service account. Its key is made on the first call.
    pub fn service_account_json(&self) -> Result<String, Error> {
        self.key_file(&self.email())
    }

    /// A key file of an account, which is made if there is none.
    pub fn key_file(&self, email: &str) -> Result<String, Error> {
        let (id, key) = self.state.identity().account(email).own_key()?;
        let value = json!({
            "type": "service_account",
            "project_id": self.state.settings.project,
            "private_key_id": id,
            "private_key": key.pem()?,
            "client_email": email,
            "client_id": "123456789012345678901",
            "auth_uri": format!("{}/auth", self.endpoint()),
            "token_uri": format!("{}/token", self.endpoint()),
            "auth_provider_x509_cert_url": format!("{}/certs", self.endpoint()),
            "client_x509_cert_url": format!("{}/x509", self.endpoint()),
            "universe_domain": "googleapis.com",
        });
        Ok(value.to_string())
    }

    /// A user's credentials, as `gcloud auth application-default login` writes them.
    pub fn authorized_user_json(&self) -> String {
        self.authorized_user().to_string()
    }

    fn authorized_user(&self) -> Value {
        let user = User {
            email: "annotator@example.com".to_owned(),
            client_id: "emulated.apps.googleusercontent.com".to_owned(),
            client_secret: "emulated-client-secret".to_owned(),
        };
        let value = json!({
            "type": "authorized_user",
            "client_id": user.client_id,
            "client_secret": user.client_secret,
            "refresh_token": "1//emulated-refresh-token",
            "token_uri": format!("{}/token", self.endpoint()),
            "universe_domain": "googleapis.com",
        });
        self.state.identity().users.insert("1//emulated-refresh-token".to_owned(), user);
        value
    }

    /// Takes the user's refresh token back.
    pub fn revoke_user(&self) {
        self.state.identity().users.clear();
    }

    /// Impersonation of the default service account by the user, through delegates that trust each other in turn.
    pub fn impersonated_json(&self, delegates: &[&str]) -> String {
        let target = self.email();
        let mut actor = "annotator@example.com".to_owned();
        for next in delegates.iter().copied().chain([target.as_str()]) {
            self.grant_token_creator(&actor, next);
            next.clone_into(&mut actor);
        }
        let path = |email: &str| format!("projects/-/serviceAccounts/{email}");
        json!({
            "type": "impersonated_service_account",
            "service_account_impersonation_url": self.impersonation_url(&target),
            "source_credentials": self.authorized_user(),
            "delegates": delegates.iter().map(|email| path(email)).collect::<Vec<_>>(),
        })
        .to_string()
    }

    /// Workload identity federation, with or without impersonation of the default service account.
    pub fn external_account_json(&self, source: &SubjectSource<'_>, impersonate: bool) -> String {
        let endpoint = self.endpoint();
        let (kind, source) = match source {
            SubjectSource::File(path) => ("jwt", json!({"file": path, "format": {"type": "text"}})),
            SubjectSource::Url => (
                "jwt",
                json!({
                    "url": format!("{endpoint}/subject-token"),
                    "headers": {"Metadata": "True"},
                    "format": {"type": "json", "subject_token_field_name": "id_token"},
                }),
            ),
            SubjectSource::Executable(command) => {
                ("id_token", json!({"executable": {"command": command, "timeout_millis": 5000}}))
            }
            SubjectSource::Aws => (
                "aws4_request",
                json!({
                    "environment_id": "aws1",
                    "region_url": format!("{endpoint}/latest/meta-data/placement/availability-zone"),
                    "url": format!("{endpoint}/latest/meta-data/iam/security-credentials"),
                    "imdsv2_session_token_url": format!("{endpoint}/latest/api/token"),
                    "regional_cred_verification_url":
                        "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
                }),
            ),
        };
        let mut value = json!({
            "type": "external_account",
            "audience": AUDIENCE,
            "subject_token_type": match kind {
                "aws4_request" => "urn:ietf:params:aws:token-type:aws4_request".to_owned(),
                kind => format!("urn:ietf:params:oauth:token-type:{kind}"),
            },
            "token_url": format!("{endpoint}/v1/token"),
            "credential_source": source,
        });
        if impersonate {
            value["service_account_impersonation_url"] = self.impersonation_url(&self.email()).into();
            let principals: Vec<String> = self.state.identity().subjects.values().cloned().collect();
            for principal in principals.iter().map(String::as_str).chain([aws::PRINCIPAL]) {
                self.grant_token_creator(principal, &self.email());
            }
        }
        value.to_string()
    }

    /// Makes the Security Token Service accept a workload's token; returns the principal that it stands for.
    pub fn register_subject_token(&self, token: &str, subject: &str) -> String {
        let principal = format!("{SUBJECT}{subject}");
        self.state.identity().subjects.insert(token.to_owned(), principal.clone());
        principal
    }

    /// Makes the Security Token Service ask for this client, by Basic authentication.
    pub fn require_sts_client(&self, id: &str, secret: &str) {
        self.state.identity().sts_client = Some((id.to_owned(), secret.to_owned()));
    }

    /// Lets a caller act as a service account (roles/iam.serviceAccountTokenCreator).
    pub fn grant_token_creator(&self, caller: &str, target: &str) {
        let mut identity = self.state.identity();
        identity.account(target);
        identity.creators.insert((caller.to_owned(), target.to_owned()));
    }

    /// Takes such a grant back.
    pub fn revoke_token_creator(&self, caller: &str, target: &str) {
        self.state.identity().creators.remove(&(caller.to_owned(), target.to_owned()));
    }

    /// Adds a service account with a key of its own (PKCS#8 PEM) under a key id.
    pub fn register_key(&self, email: &str, id: &str, pem: &str) -> Result<(), Error> {
        let key = super::key::Key::from_pem(pem)?;
        self.state.identity().account(email).add(id.to_owned(), key);
        Ok(())
    }

    /// Deletes all keys of an account that users hold: their JWTs and signed URLs end at once.
    pub fn revoke_keys(&self, email: &str) {
        let mut identity = self.state.identity();
        let account = identity.account(email);
        account.keys.clear();
        account.own = None;
    }

    /// Changes the key that `signBlob` uses for an account: what it signed before ends.
    pub fn rotate_system_key(&self, email: &str) {
        self.state.identity().account(email).system = std::sync::Arc::default();
    }

    /// Disables a service account, or enables it again.
    pub fn disable_account(&self, email: &str, disabled: bool) {
        self.state.identity().account(email).disabled = disabled;
    }

    /// Makes every token seen or issued so far invalid.
    pub fn revoke_tokens(&self) {
        self.state.identity().revoke_tokens();
    }

    /// From now on tokens live no longer than this.
    pub fn set_token_life(&self, life: Duration) {
        self.state.identity().token_life = Some(life);
    }

    /// Issues a token directly: a principal, its scopes, one hour.
    pub fn issue_token(&self, principal: &str, scopes: &[&str]) -> String {
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        self.state.identity().issue(principal, scopes, self.state.now(), Duration::from_hours(1))
    }

    fn impersonation_url(&self, email: &str) -> String {
        format!("{}/v1/projects/-/serviceAccounts/{email}:generateAccessToken", self.endpoint())
    }
}
