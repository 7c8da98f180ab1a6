//! Projects, tasks and annotations, as far as an import and an export need them.
//!
//! Decides which questions Label Studio is asked: tasks are paged by their ids, never by number of page, so that nothing
//! is missed or seen twice while others add and delete.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::api::{Api, Error, encoded};

/// Tasks asked for at once.
const PAGE: usize = 1000;
/// The same with annotations, which may be long.
const ANNOTATED_PAGE: usize = 100;
/// Some editions import in the background: how often and how long it is asked whether it is done.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOKS: u32 = 600;

/// A project.
#[derive(Clone, Debug, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: u64,
    /// Its title.
    #[serde(default)]
    pub title: String,
    /// The labelling configuration, XML.
    #[serde(default)]
    pub label_config: String,
    /// How many tasks it has.
    #[serde(default)]
    pub task_number: Option<u64>,
}

/// A task without anything but its data.
#[derive(Clone, Debug, Deserialize)]
pub struct Stub {
    /// Its id.
    pub id: u64,
    /// Its data.
    #[serde(default)]
    pub data: Map<String, Value>,
}

/// Some of a project's tasks.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    /// How many there are that were asked for, this page's included.
    #[serde(default)]
    pub total: u64,
    /// The tasks, in the order of their ids.
    pub tasks: Vec<T>,
}

/// A task with its annotations.
#[derive(Clone, Debug, Deserialize)]
pub struct Annotated {
    /// Its id.
    pub id: u64,
    /// Its project; none while it is being deleted.
    pub project: Option<u64>,
    /// The annotations.
    #[serde(default)]
    pub annotations: Vec<Value>,
    /// Predictions of models.
    #[serde(default)]
    pub predictions: Vec<Value>,
    /// What somebody is working on.
    #[serde(default)]
    pub drafts: Vec<Value>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A user of Label Studio.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    /// Who it is.
    pub email: String,
}

/// A webhook, as Label Studio has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Webhook {
    /// Where it sends.
    pub url: String,
    /// Whether it sends more than the event's name.
    pub send_payload: bool,
    /// Whether all events are sent.
    pub send_for_all_actions: bool,
    /// What it sends along.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// Whether it is switched on.
    pub is_active: bool,
    /// The events, unless all are sent.
    #[serde(default)]
    pub actions: Vec<String>,
}

impl Api {
    /// A project.
    pub async fn project(&self, id: u64) -> Result<Project, Error> {
        self.get(&format!("/api/projects/{id}/")).await
    }

    /// The release, such as `1.23.2`.
    pub async fn version(&self) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Version {
            release: String,
        }
        Ok(self.get::<Version>("/api/version/").await?.release)
    }

    /// Whose token it is.
    pub async fn user(&self) -> Result<User, Error> {
        self.get("/api/current-user/whoami").await
    }

    /// A project's webhooks.
    pub async fn webhooks(&self, project: u64) -> Result<Vec<Webhook>, Error> {
        self.get(&format!("/api/webhooks/?project={project}")).await
    }

    /// The tasks with ids above `after`, a page of them.
    pub async fn stubs(&self, project: u64, after: u64) -> Result<Page<Stub>, Error> {
        let query = query(&[above(after)]);
        self.get(&format!("/api/tasks?project={project}&page_size={PAGE}&resolve_uri=false&include=id,data&{query}"))
            .await
    }

    /// How many tasks have ids above `after`.
    pub async fn count(&self, project: u64, after: u64) -> Result<u64, Error> {
        let query = query(&[above(after)]);
        let path = format!("/api/tasks?project={project}&page_size=1&resolve_uri=false&include=id&{query}");
        Ok(self.get::<Page<Value>>(&path).await?.total)
    }

    /// The tasks with annotations and with ids above `after`, a page of them; only those that changed since, if a time is
    /// given.
    pub async fn annotated(
        &self,
        project: u64,
        after: u64,
        since: Option<SystemTime>,
    ) -> Result<Page<Annotated>, Error> {
        let mut filters = vec![above(after)];
        match since {
            Some(since) => {
                let since = humantime::format_rfc3339_millis(since).to_string();
                let filter = "filter:tasks:updated_at";
                filters.push(json!({ "filter": filter, "operator": "greater", "type": "Datetime", "value": since }));
            }
            // Skipped tasks have cancelled annotations and no others.
            None => filters.push(json!({
                "filter": "filter:tasks:annotators", "operator": "empty", "type": "List", "value": false
            })),
        }
        self.whole(project, ANNOTATED_PAGE, &query(&filters)).await
    }

    /// These tasks, as far as they exist.
    pub async fn tasks(&self, project: u64, ids: &[u64]) -> Result<Vec<Annotated>, Error> {
        let mut found: Vec<Annotated> = Vec::with_capacity(ids.len());
        for ids in ids.chunks(ANNOTATED_PAGE) {
            let query = encoded(&json!({ "selectedItems": { "all": false, "included": ids } }));
            found.extend(self.whole(project, ANNOTATED_PAGE, &format!("query={query}")).await?.tasks);
        }
        // A task that is being deleted leaves its project first.
        found.retain(|task| task.project == Some(project));
        Ok(found)
    }

    async fn whole(&self, project: u64, size: usize, query: &str) -> Result<Page<Annotated>, Error> {
        // No `include`: it would be taken for the annotations' fields too.
        self.get(&format!("/api/tasks?project={project}&page_size={size}&resolve_uri=false&fields=all&{query}")).await
    }

    /// Whether an annotation exists.
    pub async fn has_annotation(&self, id: u64) -> Result<bool, Error> {
        match self.get::<Value>(&format!("/api/annotations/{id}/")).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes tasks; all of them or none. Not repeated: see [`Error::is_unclear`].
    pub async fn import(&self, project: u64, tasks: &Value) -> Result<(), Error> {
        let answer: Value = self.post(&format!("/api/projects/{project}/import"), tasks).await?;
        let Some(background) = answer["import"].as_u64() else { return Ok(()) };
        for _ in 0..LOOKS {
            let state: Value = self.get(&format!("/api/projects/{project}/imports/{background}/")).await?;
            match state["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed") => {
                    let message = state["error"].as_str().unwrap_or("no reason given").to_owned();
                    return Err(Error::Refused { status: 400, message });
                }
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
        Err(self.nonsense("an import that does not end"))
    }

    /// Deletes those of these tasks that have no annotation and no prediction.
    pub async fn delete_untouched(&self, project: u64, ids: &[u64]) -> Result<(), Error> {
        let none = |of: &str| json!({ "filter": format!("filter:tasks:{of}"), "operator": "equal", "type": "Number", "value": 0 });
        let selection = json!({
            "selectedItems": { "all": false, "included": ids },
            "filters": { "conjunction": "and", "items": [none("total_annotations"), none("cancelled_annotations"), none("total_predictions")] },
        });
        self.post::<Value>(&format!("/api/dm/actions?id=delete_tasks&project={project}"), &selection).await.map(drop)
    }
}

fn above(id: u64) -> Value {
    json!({ "filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": id })
}

fn query(filters: &[Value]) -> String {
    let query = json!({ "filters": { "conjunction": "and", "items": filters }, "ordering": ["tasks:id"] });
    format!("query={}", encoded(&query))
}
