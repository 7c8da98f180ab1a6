//! The JSON of all credential files in one: each kind uses some of the fields.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::error::Category;

use crate::gcs::credentials::{Error, Secret};

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(super) struct Shape {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) universe_domain: Option<String>,
    pub(super) quota_project_id: Option<String>,
    pub(super) client_email: Option<String>,
    pub(super) private_key_id: Option<String>,
    pub(super) private_key: Option<Secret>,
    pub(super) token_uri: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Secret>,
    pub(super) refresh_token: Option<Secret>,
    pub(super) service_account_impersonation_url: Option<String>,
    pub(super) service_account_impersonation: Option<Impersonation>,
    pub(super) source_credentials: Option<Box<Shape>>,
    pub(super) delegates: Vec<String>,
    pub(super) audience: Option<String>,
    pub(super) subject_token_type: Option<String>,
    pub(super) token_url: Option<String>,
    pub(super) workforce_pool_user_project: Option<String>,
    pub(super) credential_source: Option<CredentialSource>,
}

#[derive(Deserialize)]
pub(super) struct Impersonation {
    pub(super) token_lifetime_seconds: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct CredentialSource {
    pub(super) file: Option<PathBuf>,
    pub(super) url: Option<String>,
    pub(super) headers: BTreeMap<String, Secret>,
    pub(super) format: Option<FormatShape>,
    pub(super) executable: Option<ExecutableShape>,
    pub(super) environment_id: Option<String>,
    pub(super) region_url: Option<String>,
    pub(super) regional_cred_verification_url: Option<String>,
    pub(super) imdsv2_session_token_url: Option<String>,
    pub(super) certificate: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct FormatShape {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) subject_token_field_name: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ExecutableShape {
    pub(super) command: Option<String>,
    pub(super) timeout_millis: Option<u64>,
    pub(super) output_file: Option<PathBuf>,
}

/// Reads the JSON; of a value of the wrong type only the place is told.
pub(super) fn read(bytes: &[u8], path: &Path) -> Result<Shape, Error> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let not_json = |error: &serde_json::Error| Error::NotJson {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
    };
    let shape: Shape = serde_path_to_error::deserialize(&mut json).map_err(|error| match error.inner().classify() {
        Category::Data => {
            Error::file(path, error.path().to_string(), "has a value of the wrong type; correct the file")
        }
        _ => not_json(error.inner()),
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(shape)
}
