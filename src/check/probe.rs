//! The order of a check: each row asks one question and keeps what later rows need.
//!
//! Decides which rows can still be asked after one has failed; the others are skipped, and say why.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::diagnosis::{self, Diagnosis, Fault};
use super::row::{Check, Outcome, Row};
use super::scene::{Asked, Scene, Skew};
use super::settings::{self, Redirects};
use super::{Common, diagnosis::diagnose};
use crate::config::ResolvedConnection;
use crate::gateway::decide::Delivery;
use crate::gcs::credentials::{self, Account, Identity, Principal, TokenMethod};
use crate::gcs::{self, BucketRequest, BucketSettings, Credential};
use crate::object::{ObjectName, ProjectId};

pub(super) const GET: &str = "storage.objects.get";
pub(super) const LIST: &str = "storage.objects.list";
const CREATE: &str = "storage.objects.create";
const DELETE: &str = "storage.objects.delete";
const BUCKET_GET: &str = "storage.buckets.get";
const BUCKET_UPDATE: &str = "storage.buckets.update";
/// No credential file is larger.
const LONGEST_FILE: u64 = 64 * 1024;

/// A check under way.
pub(super) struct Probe {
    pub(super) common: Arc<Common>,
    pub(super) connection: ResolvedConnection,
    next: usize,
    pub(super) scene: Scene,
    pub(super) credential: Option<Credential>,
    has_token: bool,
    /// What the credential may do in the bucket, once that could be asked.
    pub(super) held: Option<Vec<String>>,
    settings: Option<Result<BucketSettings, gcs::Error>>,
    /// An object to try, with its size.
    pub(super) sample: Option<(ObjectName, u64)>,
    clock: Option<Result<Skew, String>>,
}

impl Probe {
    pub(super) fn new(common: Arc<Common>, connection: ResolvedConnection) -> Self {
        let config = &connection.config;
        let scene = Scene {
            connection: connection.label.to_string(),
            bucket: config.uri.bucket.to_string(),
            uri: config.uri.to_string(),
            credential: config.credentials.clone(),
            file: common.settings(&connection).path,
            identity: None,
            project: config.project_id.as_ref().map(|project| project.as_str().to_owned()),
            endpoint: common.resolved.config.gcs.endpoint.to_string(),
            proxied: common.proxied,
            skew: None,
            second_opinion: None,
        };
        let (credential, held, settings, sample, clock) = (None, None, None, None, None);
        Self { common, connection, next: 0, scene, credential, has_token: false, held, settings, sample, clock }
    }

    /// The next row; `None` after the last.
    pub(super) async fn next(&mut self) -> Option<Row> {
        let check = *Check::ALL.get(self.next)?;
        self.next += 1;
        let outcome = match check {
            Check::Configuration => self.configuration(),
            Check::Credential => self.load().await,
            Check::Token => self.token().await,
            Check::Bucket => self.bucket().await,
            Check::Permissions => self.permissions().await,
            Check::Objects => self.objects().await,
            Check::FirstByte => self.first_byte().await,
            Check::SignedUrl => self.signed_url().await,
            Check::Cors => self.with_settings(settings::cors),
            Check::IpFilter => self.with_settings(settings::ip_filter),
            Check::Clock => self.clock().await,
        };
        Some(outcome.row(self.scene.connection.clone(), check))
    }

    fn configuration(&self) -> Outcome {
        let config = &self.connection.config;
        let delivery = match config.delivery {
            Delivery::Auto => "auto",
            Delivery::Proxy => "proxy",
            Delivery::SignedUrl => "signed-url",
        };
        Outcome::ok(format!("{}, delivery {delivery}, credentials {}", config.uri, config.credentials))
    }

    async fn load(&mut self) -> Outcome {
        let settings = self.common.settings(&self.connection);
        match Credential::load(&settings, &self.common.surroundings, &self.common.control).await {
            Ok(credential) => {
                let identity = credential.identity().await;
                self.scene.file.clone_from(&identity.file);
                let finding = describe(&identity);
                let open = identity.file.as_deref().and_then(open_to_others);
                self.scene.identity = Some(identity);
                self.credential = Some(credential);
                match (open, &self.scene.file) {
                    (Some(mode), Some(path)) => Outcome::warn(finding, open_file(path, mode)),
                    _ => Outcome::ok(finding),
                }
            }
            Err(error) => {
                use credentials::Error::{File, NotJson, Unreadable};
                if let File { path, .. } | NotJson { path, .. } | Unreadable { path, .. } = &error {
                    self.scene.identity = named_in(path).await;
                    self.scene.file = Some(path.clone());
                }
                Outcome::fail(error.to_string(), diagnosis::diagnose_credential(&error, Asked::Credential, &self.scene))
            }
        }
    }

    async fn token(&mut self) -> Outcome {
        let Some(credential) = self.credential.clone() else {
            return Outcome::skipped("there is no credential to ask for one");
        };
        match credential.token().await {
            Ok(None) => {
                self.has_token = true;
                Outcome::skipped("anonymous access needs none")
            }
            Ok(Some(token)) => {
                self.has_token = true;
                let life = token.expires_at().duration_since(SystemTime::now()).unwrap_or_default();
                Outcome::ok(format!("good for {} minutes", life.as_secs().div_ceil(60)))
            }
            Err(error) => {
                self.compare_clocks().await;
                self.failed("no token", &error, Asked::Token)
            }
        }
    }

    async fn bucket(&mut self) -> Outcome {
        let Some(credential) = self.credential.clone().filter(|_| self.has_token) else {
            return Outcome::skipped("there is no token to ask with");
        };
        let request = BucketRequest { bucket: self.connection.config.uri.bucket.clone(), project: self.project() };
        let asked = [GET, LIST, CREATE, DELETE, BUCKET_GET, BUCKET_UPDATE];
        match self.common.client.permissions(&credential, &request, &asked).await {
            Ok(held) => {
                self.held = Some(held);
                let settings = self.common.client.bucket(&credential, &request).await;
                let finding = self.found(settings.as_ref().ok());
                self.settings = Some(settings);
                Outcome::ok(finding)
            }
            Err(error) => {
                if matches!(error, gcs::Error::Unauthorized { .. } | gcs::Error::Credential(_)) {
                    self.compare_clocks().await;
                    self.ask_again().await;
                }
                self.failed("the bucket cannot be reached", &error, Asked::Bucket)
            }
        }
    }

    fn found(&self, settings: Option<&BucketSettings>) -> String {
        let mut finding = format!("gs://{} is there", self.scene.bucket);
        if let Some(location) = settings.and_then(|settings| settings.location.as_ref()) {
            finding.push_str(", in ");
            finding.push_str(location);
        }
        if let (true, Some(project)) = (settings.is_some_and(|s| s.billing.requester_pays), self.project()) {
            finding.push_str(", requester pays: ");
            finding.push_str(project.as_str());
        }
        finding
    }

    async fn permissions(&mut self) -> Outcome {
        let tried = self.try_missing().await;
        let Some(held) = &self.held else { return Outcome::skipped("the bucket cannot be reached") };
        let has = |permission: &str| held.iter().any(|held| held == permission);
        let word = |permission| if has(permission) { "held" } else { "not held" };
        let rest = format!(
            "export: {CREATE} {}, {DELETE} {} (gsgate only reads); {BUCKET_GET} {} (only this check uses it); \
             {BUCKET_UPDATE} not needed{}",
            word(CREATE),
            word(DELETE),
            word(BUCKET_GET),
            if has(BUCKET_UPDATE) { ", and held all the same" } else { "" }
        );
        let missing: Vec<&str> = [GET, LIST].into_iter().filter(|permission| !has(permission)).collect();
        let finding = if missing.is_empty() {
            let narrowly = if tried { ", but only under a condition or on a folder" } else { "" };
            format!("import: {GET}, {LIST} held{narrowly}; {rest}")
        } else {
            format!("import: {} missing; {rest}", missing.join(", "))
        };
        if missing.is_empty() {
            return Outcome::ok(finding);
        }
        let diagnosis = diagnosis::missing(&missing, None, &self.scene);
        if has(GET) {
            let cause = format!("{}; serving works without it, listing and manifests do not", diagnosis.cause);
            return Outcome::warn(finding, Diagnosis { cause, ..diagnosis });
        }
        Outcome::fail(finding, diagnosis)
    }

    fn with_settings(&self, judge: fn(&BucketSettings, Redirects, &Scene) -> Outcome) -> Outcome {
        match &self.settings {
            Some(Ok(settings)) => judge(settings, self.redirects(), &self.scene),
            Some(Err(gcs::Error::Forbidden { .. })) => {
                Outcome::skipped(format!("{BUCKET_GET} is not held; serving does not need it"))
            }
            Some(Err(error)) => Outcome::skipped(format!("the bucket's settings cannot be read: {error}")),
            None => Outcome::skipped("the bucket cannot be reached"),
        }
    }

    async fn clock(&mut self) -> Outcome {
        self.compare_clocks().await;
        match &self.clock {
            Some(Ok(skew)) => settings::clock(*skew),
            Some(Err(error)) => Outcome::skipped(format!("GCS gives no time to compare with: {error}")),
            None => Outcome::skipped("not compared"),
        }
    }

    /// Compares the clocks, once.
    pub(super) async fn compare_clocks(&mut self) {
        if self.clock.is_none() {
            let answer = self.common.client.time(&self.connection.config.uri.bucket).await;
            let clock = answer.map(|(theirs, age)| settings::skew(theirs, SystemTime::now(), age));
            self.scene.skew = clock.as_ref().ok().copied();
            self.clock = Some(clock.map_err(|error| error.to_string()));
        }
    }

    /// GCS says of a bad token only that it is bad; the token endpoint says why.
    async fn ask_again(&mut self) {
        let settings = credentials::Config { token: TokenMethod::Exchange, ..self.common.settings(&self.connection) };
        let credential = Credential::load(&settings, &self.common.surroundings, &self.common.control).await;
        if let Ok(credential) = credential
            && let Err(gcs::Error::Credential(source)) = credential.token().await
        {
            self.scene.second_opinion = source.downcast_ref::<credentials::Error>().map(ToString::to_string);
        }
    }

    /// The project to name: as the gateway does it.
    pub(super) fn project(&self) -> Option<ProjectId> {
        let own = self.connection.config.project_id.as_ref();
        own.or_else(|| self.credential.as_ref()?.quota_project()).cloned()
    }

    pub(super) fn redirects(&self) -> Redirects {
        let can_sign = self.credential.as_ref().is_some_and(Credential::can_sign);
        Redirects::of(self.connection.config.delivery, self.connection.access.is_anyone(), can_sign)
    }

    pub(super) fn failed(&self, what: &str, error: &gcs::Error, asked: Asked) -> Outcome {
        let diagnosis = diagnose(error, asked, &self.scene);
        Outcome::fail(format!("{what}{}", short(error)), diagnosis)
    }
}

/// The error without what stands in the cause: GCS's own text, and what the credential says.
fn short(error: &gcs::Error) -> String {
    if matches!(error, gcs::Error::Credential(_) | gcs::Error::Signature(_)) {
        return String::new();
    }
    let text = error.to_string();
    text.split_once("): ").map_or_else(|| format!(": {text}"), |(head, _)| format!(": {head})"))
}

fn describe(identity: &Identity) -> String {
    let whose = match identity.caller {
        Principal::Anyone => "only what everyone may read".to_owned(),
        ref caller => format!("of {caller}"),
    };
    let place = identity.file.as_ref().map(|path| format!(", {}", path.display())).unwrap_or_default();
    format!("{} {whose}{place}", identity.kind)
}

/// What is read of a key file that cannot be used.
#[derive(serde::Deserialize)]
struct Named {
    client_email: String,
}

/// Whom a key file that cannot be used names, so that commands can name it too.
async fn named_in(path: &Path) -> Option<Identity> {
    use tokio::io::AsyncReadExt as _;
    let file = tokio::fs::File::open(path).await.ok()?;
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    file.take(LONGEST_FILE).read_to_end(&mut bytes).await.ok()?;
    let named: Named = serde_json::from_slice(&bytes).ok()?;
    let account = Account::try_from(named.client_email).ok()?;
    let caller = Principal::ServiceAccount(account.as_str().into());
    Some(Identity { kind: "service account key", file: Some(path.to_owned()), caller, source: None, sign_as: None })
}

/// The mode of a file that others can read.
#[cfg(unix)]
fn open_to_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o044 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_to_others(_: &Path) -> Option<u32> {
    None
}

fn open_file(path: &Path, mode: u32) -> Diagnosis {
    let path = path.display().to_string();
    Diagnosis::new(Fault::FileOpenToOthers, format!("others on this machine can read the credential file ({mode:03o})"))
        .remedy("Let only the user that gsgate runs as read it.")
        .command(format!("chmod 600 {}", diagnosis::quoted(&path)))
}
