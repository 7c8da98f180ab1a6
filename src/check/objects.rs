//! The rows that touch objects: a listing, one byte of one object, a signed URL.

use std::time::{Duration, SystemTime};

use http_body_util::BodyExt as _;
use tokio::time::Instant;

use super::diagnosis::{self, Contents, Diagnosis, Fault};
use super::probe::{GET, LIST, Probe};
use super::row::{Outcome, State};
use super::scene::Asked;
use super::settings::Redirects;
use crate::cache::SigningWindow;
use crate::gateway::decide::Delivery;
use crate::gcs::sign::{Request, Style};
use crate::gcs::{self, Depth, Form, ListPage, ListRequest, ReadRequest, Signer};
use crate::object::{ByteRange, ObjectName, ObjectPrefix, Text};

/// So many pages are asked for to find one that is not empty.
const PAGES: usize = 5;
/// So many folders are gone up to find a near miss.
const STEPS_UP: usize = 8;
/// How long the URL lives that is tried.
const TRIAL: Duration = Duration::from_mins(1);

impl Probe {
    pub(super) async fn objects(&mut self) -> Outcome {
        if let Some(why) = self.cannot(LIST) {
            return Outcome::skipped(why);
        }
        let page = match self.first_page().await {
            Ok(page) => page,
            Err(error) => return self.failed("the bucket cannot be listed", &error, Asked::Listing),
        };
        let config = &self.connection.config;
        let contents = Contents::of(&page, config);
        let near = if contents.is_empty() { self.near_misses().await } else { Vec::new() };
        self.sample = contents.sample();
        diagnosis::contents(&contents, &near, config, &self.scene)
    }

    /// Tries what the credential seems not to be allowed: a role under a condition, or on a managed folder, is one that
    /// the bucket's `testIamPermissions` does not tell of. Whether something was found to work all the same.
    pub(super) async fn try_missing(&mut self) -> bool {
        let (lists, reads) = (self.cannot(LIST).is_none(), self.cannot(GET).is_none());
        if self.held.is_none() || (lists && reads) {
            return false;
        }
        let Ok(page) = self.first_page().await else { return false };
        let mut found = if lists { Vec::new() } else { vec![LIST.to_owned()] };
        if !reads && let Some((object, size)) = Contents::of(&page, &self.connection.config).sample() {
            found.extend(self.read_byte(&object, size).await.is_ok().then(|| GET.to_owned()));
        }
        self.held.get_or_insert_default().extend_from_slice(&found);
        !found.is_empty()
    }

    /// The first page that has something on it, of the first few.
    async fn first_page(&self) -> Result<ListPage, gcs::Error> {
        let uri = &self.connection.config.uri;
        let mut request = ListRequest::new(uri.bucket.clone(), uri.path.clone());
        let mut page = self.list(&request).await?;
        for _ in 1..PAGES {
            if !page.items.is_empty() || page.next.is_none() {
                break;
            }
            request.page_token = page.next.take();
            page = self.list(&request).await?;
        }
        Ok(page)
    }

    /// Names in the nearest folder that exists which look like the one that is asked for.
    async fn near_misses(&self) -> Vec<String> {
        let bucket = &self.connection.config.uri.bucket;
        let mut wanted = self.connection.config.uri.path.as_str().trim_end_matches('/');
        for _ in 0..STEPS_UP {
            let parent = wanted.rfind('/').map_or("", |at| &wanted[..=at]);
            let Ok(prefix) = ObjectPrefix::new(parent) else { break };
            let request = ListRequest { depth: Depth::OneLevel, ..ListRequest::new(bucket.clone(), prefix) };
            let Ok(page) = self.list(&request).await else { break };
            let mut there = page.prefixes;
            there.extend(page.items.into_iter().map(|item| item.name).filter(|name| name != parent));
            if !there.is_empty() || parent.is_empty() {
                return diagnosis::near(wanted, &there);
            }
            wanted = parent.trim_end_matches('/');
        }
        Vec::new()
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, gcs::Error> {
        let Some(credential) = &self.credential else { return Ok(ListPage::default()) };
        let request = ListRequest { project: self.project(), ..request.clone() };
        self.common.client.list(credential, request).await
    }

    pub(super) async fn first_byte(&self) -> Outcome {
        let (object, size) = match (self.cannot(GET), &self.sample) {
            (Some(why), _) => return Outcome::skipped(why),
            (None, None) => return Outcome::skipped("no object is known that could be read"),
            (None, Some(sample)) => sample,
        };
        let started = Instant::now();
        match self.read_byte(object, *size).await {
            Ok(found) => {
                let elapsed = started.elapsed().as_millis();
                let finding = format!("{object}: {found}, first byte after {elapsed} ms");
                if *size > 0 { Outcome::ok(finding) } else { Outcome::warn(finding, no_content()) }
            }
            Err(error) => self.failed(&format!("{object} cannot be read"), &error, Asked::Object),
        }
    }

    async fn read_byte(&self, object: &ObjectName, size: u64) -> Result<String, gcs::Error> {
        let Some(credential) = &self.credential else { return Ok(String::new()) };
        let request = ReadRequest {
            bucket: self.connection.config.uri.bucket.clone(),
            object: object.clone(),
            range: (size > 0).then_some(ByteRange::FromTo { first: 0, last: 0 }),
            generation: None,
            project: self.project(),
            subject: None,
        };
        let mut read = self.common.client.read(credential, request).await?;
        if let Some(frame) = read.body.frame().await {
            frame?;
        }
        let kind = read.metadata.texts.content_type.as_ref().map_or("no content type", Text::as_str);
        let form = if read.form == Form::Decompressed { ", decompressed by GCS" } else { "" };
        Ok(format!("{kind}, {} bytes{form}", read.metadata.size))
    }

    pub(super) async fn signed_url(&self) -> Outcome {
        let config = &self.connection.config;
        let Some(credential) = &self.credential else { return Outcome::skipped("there is no credential to sign with") };
        if config.delivery == Delivery::Proxy {
            return Outcome::skipped("delivery = \"proxy\" needs none");
        }
        let Some(signer) = credential.signer() else {
            return match config.delivery {
                Delivery::SignedUrl => Outcome::fail("cannot be made", self.cannot_sign()),
                _ => Outcome::skipped("this credential cannot sign, so everything is proxied"),
            };
        };
        if let Err(error) = SigningWindow::new(config.signed_url_expiry, signer.longest_life()) {
            let diagnosis = Diagnosis::new(Fault::CannotSign, error.to_string())
                .remedy(format!("Shorten connections.{}.signed_url_expiry.", self.scene.connection));
            return Outcome::fail("cannot live as long as it should", diagnosis);
        }
        let Some((object, _)) = &self.sample else {
            return Outcome::skipped("no object is known that it could lead to");
        };
        match self.try_signed(&signer, object).await {
            Ok(email) => Outcome::ok(format!("signed by {email}, and GCS takes it")),
            Err(error) => {
                let outcome = self.failed("does not work", &error, Asked::SignedUrl);
                // Where no client is ever redirected it is no failure of the connection.
                let state = if self.redirects() == Redirects::Never { State::Warn } else { State::Fail };
                Outcome { state, ..outcome }
            }
        }
    }

    async fn try_signed(&self, signer: &Signer, object: &ObjectName) -> Result<std::sync::Arc<str>, gcs::Error> {
        let config = &self.connection.config;
        let project = config.project_id.as_ref();
        let request = Request {
            method: http::Method::GET,
            endpoint: self.common.resolved.config.gcs.endpoint.clone(),
            style: Style::Path,
            bucket: config.uri.bucket.clone(),
            object: Some(object.clone()),
            query: project.map(|project| ("userProject".to_owned(), project.as_str().to_owned())).into_iter().collect(),
            headers: Vec::new(),
            expires: TRIAL,
        };
        let email = signer.email().await?;
        let draft = request.draft(&email, SystemTime::now());
        let draft = draft.map_err(|error| gcs::Error::Signature(Box::new(error)))?;
        let signature = signer.sign(draft.string_to_sign().as_bytes()).await?;
        self.common.client.try_signed(&draft.into_url(&signature)).await?;
        Ok(email)
    }

    fn cannot_sign(&self) -> Diagnosis {
        let name = &self.scene.credential;
        Diagnosis::new(Fault::CannotSign, "delivery = \"signed-url\", but this credential cannot sign")
            .remedy(format!("Name a service account in credentials.{name}.sign_as, and let the caller sign as it."))
            .remedy(format!("Or set connections.{}.delivery = \"auto\".", self.scene.connection))
            .command(diagnosis::token_creator("SERVICE_ACCOUNT_ADDRESS", &self.scene.member()))
    }

    /// Why a row that needs this permission cannot be asked.
    fn cannot(&self, permission: &str) -> Option<String> {
        match &self.held {
            None => Some("the bucket cannot be reached".to_owned()),
            Some(held) if held.iter().any(|held| held == permission) => None,
            Some(_) => Some(format!("{permission} is missing")),
        }
    }
}

fn no_content() -> Diagnosis {
    Diagnosis::new(Fault::EmptyObjects, "all objects on the first page are empty")
        .remedy("Check whether the upload went wrong.")
}
