//! Annotations into a bucket, each in its newest version.
//!
//! Decides what is written under which name and what is left alone. What is stored is always what Label Studio says now,
//! never what an event said: so an old event, a repeated or a forged one changes nothing. An object carries the time of its
//! annotation's last change, and is replaced only by a newer one, under a generation precondition; whoever loses that race
//! looks again. Objects that were not written here are never touched.
//! Follows <https://cloud.google.com/storage/docs/request-preconditions>.

mod config;
mod sweep;

use std::time::SystemTime;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::api::{self, Api};
use super::task::Annotated;
use crate::gcs::{self, Client, Credential, DeleteRequest, Description, Expected, StatRequest, WriteRequest};
use crate::object::{BucketName, NameError, ObjectName, ObjectPrefix, ProjectId};

pub use config::{Config, NameTemplate, Status};
pub use sweep::{Counts, Extent};

/// When the annotation that an object holds was last changed.
const UPDATED: &str = "gsgate-updated-at";
/// Which annotation an object holds; marks objects as ours.
const ANNOTATION: &str = "gsgate-annotation";
/// What of a task goes with its annotation; the rest changes without it.
const TASK: [&str; 5] = ["data", "meta", "inner_id", "created_at", "updated_at"];
/// How often a race for an object is run.
const RACES: u32 = 16;

/// Why an annotation was not stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Label Studio was asked in vain.
    #[error(transparent)]
    LabelStudio(#[from] api::Error),
    /// GCS did not take it.
    #[error("gs://{bucket}/{object} cannot be written")]
    Gcs {
        /// The bucket.
        bucket: BucketName,
        /// The object.
        object: ObjectName,
        /// What happened.
        #[source]
        source: gcs::Error,
    },
    /// The bucket cannot be listed.
    #[error("the export's connection cannot be listed")]
    List(#[source] gcs::Error),
    /// The object is somebody else's.
    #[error(
        "gs://{bucket}/{object} was not written by gsgate and is left alone; set label_studio.export.name to a name of \
         its own, or move it away"
    )]
    Foreign {
        /// The bucket.
        bucket: BucketName,
        /// The object.
        object: ObjectName,
    },
    /// Others write the object all the time.
    #[error("gs://{bucket}/{object} kept changing")]
    Contended {
        /// The bucket.
        bucket: BucketName,
        /// The object.
        object: ObjectName,
    },
    /// The name cannot be one.
    #[error("label_studio.export.name makes no object's name")]
    Name(#[from] NameError),
}

/// What became of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Written.
    Written,
    /// The bucket had it, or a newer one.
    Same,
    /// Deleted.
    Deleted,
    /// There was nothing to do.
    Nothing,
}

/// Where annotations go.
#[derive(Clone, Debug)]
pub struct Target {
    /// How GCS is asked.
    pub client: Client,
    /// As whom.
    pub credential: Credential,
    /// The bucket.
    pub bucket: BucketName,
    /// What the connection's names begin with.
    pub prefix: ObjectPrefix,
    /// The project that pays.
    pub project: Option<ProjectId>,
}

/// Keeps a bucket in step with Label Studio's annotations.
#[derive(Clone, Debug)]
pub struct Exporter {
    api: Api,
    target: Target,
    config: Config,
}

impl Exporter {
    /// From one to the other.
    pub fn new(api: Api, target: Target, config: Config) -> Self {
        Self { api, target, config }
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Stores these annotations of these tasks as they are now; deletes those that are gone, where that is allowed.
    pub async fn refresh(&self, project: u64, tasks: &[u64], annotations: &[u64]) -> Result<Vec<Outcome>, Error> {
        let found = self.api.tasks(project, tasks).await?;
        let mut outcomes = Vec::with_capacity(annotations.len());
        for id in annotations {
            outcomes.push(match find(&found, *id) {
                Some((task, annotation)) => self.store(task, annotation).await?,
                None => self.remove(project, *id).await?,
            });
        }
        if self.config.can_delete && outcomes.contains(&Outcome::Written) {
            // What was deleted while it was written must not come back: its own event may have passed already.
            let found = self.api.tasks(project, tasks).await?;
            for id in annotations.iter().filter(|id| find(&found, **id).is_none()) {
                self.remove(project, *id).await?;
            }
        }
        Ok(outcomes)
    }

    /// Deletes an annotation's object, if that is allowed and Label Studio has the annotation no more.
    pub async fn remove(&self, project: u64, annotation: u64) -> Result<Outcome, Error> {
        if !self.config.can_delete || self.api.has_annotation(annotation).await? {
            return Ok(Outcome::Nothing);
        }
        let object = self.name(project, annotation)?;
        for _ in 0..RACES {
            let Some(held) = self.held(&object).await? else { return Ok(Outcome::Nothing) };
            let expected = Expected::Generation(held.generation);
            let request = DeleteRequest {
                bucket: self.target.bucket.clone(),
                object: object.clone(),
                expected,
                project: self.target.project.clone(),
            };
            match self.target.client.delete(&self.target.credential, request).await {
                Ok(()) | Err(gcs::Error::NotFound { .. }) => return Ok(Outcome::Deleted),
                Err(gcs::Error::Changed) => {}
                Err(source) => return Err(self.gcs(object, source)),
            }
        }
        Err(Error::Contended { bucket: self.target.bucket.clone(), object })
    }

    /// Stores an annotation, unless the bucket has it or a newer one.
    async fn store(&self, task: &Annotated, annotation: &Map<String, Value>) -> Result<Outcome, Error> {
        // Its task is being deleted, and soon so is the annotation.
        let Some(project) = task.project else { return Ok(Outcome::Nothing) };
        let id = annotation
            .get("id")
            .and_then(Value::as_u64)
            .ok_or_else(|| self.api.nonsense("an annotation without id"))?;
        let text = annotation.get("updated_at").and_then(Value::as_str).unwrap_or_default();
        let updated = time(text).ok_or_else(|| self.api.nonsense("an annotation without updated_at"))?;
        let object = self.name(project, id)?;
        let body = document(task, annotation);
        for _ in 0..RACES {
            let expected = match self.held(&object).await? {
                None => Expected::Nothing,
                Some(held)
                    if held.metadata.get(UPDATED).and_then(|text| time(text)).is_some_and(|held| held >= updated) =>
                {
                    return Ok(Outcome::Same);
                }
                Some(held) => Expected::Generation(held.generation),
            };
            let metadata = [(UPDATED, text.to_owned()), (ANNOTATION, id.to_string())];
            let request = WriteRequest {
                bucket: self.target.bucket.clone(),
                object: object.clone(),
                expected,
                description: Description {
                    content_type: Some("application/json".to_owned()),
                    metadata: metadata.map(|(name, value)| (name.to_owned(), value)).into(),
                    ..Description::default()
                },
                project: self.target.project.clone(),
            };
            match self.target.client.write(&self.target.credential, request, body.clone()).await {
                Ok(_) => return Ok(Outcome::Written),
                // Another write came first, or this one's answer was lost: look which.
                Err(gcs::Error::Changed) => {}
                Err(source) => return Err(self.gcs(object, source)),
            }
        }
        Err(Error::Contended { bucket: self.target.bucket.clone(), object })
    }

    /// What there is under a name now, if it is ours.
    async fn held(&self, object: &ObjectName) -> Result<Option<gcs::Custom>, Error> {
        let target = &self.target;
        let request =
            StatRequest { bucket: target.bucket.clone(), object: object.clone(), project: target.project.clone() };
        match target.client.custom(&target.credential, request).await {
            Ok(held) if held.metadata.contains_key(ANNOTATION) => Ok(Some(held)),
            Ok(_) => Err(Error::Foreign { bucket: target.bucket.clone(), object: object.clone() }),
            Err(gcs::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.gcs(object.clone(), source)),
        }
    }

    fn name(&self, project: u64, annotation: u64) -> Result<ObjectName, Error> {
        let name = self.config.name.render(project, annotation);
        Ok(self.target.prefix.join(name.as_bytes())?)
    }

    fn gcs(&self, object: ObjectName, source: gcs::Error) -> Error {
        Error::Gcs { bucket: self.target.bucket.clone(), object, source }
    }
}

/// The annotation, and the task that has it.
fn find(tasks: &[Annotated], id: u64) -> Option<(&Annotated, &Map<String, Value>)> {
    tasks.iter().find_map(|task| {
        let mut annotations = task.annotations.iter().filter_map(Value::as_object);
        Some((task, annotations.find(|annotation| annotation.get("id").and_then(Value::as_u64) == Some(id))?))
    })
}

/// What is stored: the annotation, with its task and that task's data inside.
fn document(task: &Annotated, annotation: &Map<String, Value>) -> Bytes {
    let mut whole = json!({ "id": task.id, "project": task.project });
    for name in TASK {
        whole[name] = task.rest.get(name).cloned().unwrap_or_default();
    }
    let mut annotation = annotation.clone();
    annotation.insert("task".to_owned(), whole);
    Bytes::from(Value::Object(annotation).to_string())
}

fn time(text: &str) -> Option<SystemTime> {
    text.is_ascii().then(|| humantime::parse_rfc3339(text).ok())?
}
