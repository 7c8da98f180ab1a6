//! Everything at once: what events did not bring, or brought while nobody listened.
//!
//! Decides what is looked at: all annotations of a project, or those of the tasks that changed since a time. Label Studio
//! sends each event once and forgets it, so that only a sweep heals what was lost.

use std::collections::HashSet;
use std::time::SystemTime;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Map, Value};

use super::{Error, Exporter, Outcome, Status};
use crate::gcs::{Detail, ListRequest};
use crate::label_studio::task::Annotated;
use crate::object::ObjectPrefix;

/// Annotations stored at once.
const AT_ONCE: usize = 8;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub enum Extent<'a> {
    /// Everything, and what is gone.
    All,
    /// Tasks that changed after this time.
    Since(SystemTime),
    /// Annotations that have one of these; nothing is deleted.
    Statuses(&'a [Status]),
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Annotations that Label Studio has and that were looked at.
    pub seen: u64,
    /// Annotations with another status.
    pub other: u64,
    /// Written.
    pub written: u64,
    /// The bucket had them.
    pub same: u64,
    /// Deleted.
    pub deleted: u64,
}

impl Exporter {
    /// Brings a project's objects up to date.
    pub async fn sweep(&self, project: u64, extent: Extent<'_>) -> Result<Counts, Error> {
        let mut counts = Counts::default();
        // Listed first: whatever is written meanwhile is not mistaken for something that is gone.
        let mut held = match extent {
            Extent::All if self.config.can_delete => self.held_ids(project).await?,
            _ => HashSet::new(),
        };
        let since = if let Extent::Since(time) = extent { Some(time) } else { None };
        let mut after = 0;
        loop {
            let page = self.api.annotated(project, after, since).await?.tasks;
            let Some(last) = page.last() else { break };
            after = last.id;
            for task in &page {
                for id in task.annotations.iter().filter_map(|annotation| annotation["id"].as_u64()) {
                    held.remove(&id);
                }
            }
            self.store_page(&page, extent, &mut counts).await?;
        }
        for id in held {
            // Asked about one by one: it may have been made since.
            if self.remove(project, id).await? == Outcome::Deleted {
                counts.deleted += 1;
            }
        }
        Ok(counts)
    }

    async fn store_page(&self, page: &[Annotated], extent: Extent<'_>, counts: &mut Counts) -> Result<(), Error> {
        let wanted = |annotation: &Map<String, Value>| match extent {
            Extent::Statuses(statuses) => statuses.iter().any(|status| status.is_of(annotation)),
            _ => true,
        };
        let mut stores = Vec::new();
        for task in page {
            for annotation in task.annotations.iter().filter_map(Value::as_object) {
                counts.seen += 1;
                if wanted(annotation) {
                    stores.push(self.store(task, annotation));
                } else {
                    counts.other += 1;
                }
            }
        }
        let mut stores = stream::iter(stores).buffer_unordered(AT_ONCE);
        while let Some(outcome) = stores.try_next().await? {
            match outcome {
                Outcome::Written => counts.written += 1,
                _ => counts.same += 1,
            }
        }
        Ok(())
    }

    /// The annotations of a project that have an object, by the objects' names.
    async fn held_ids(&self, project: u64) -> Result<HashSet<u64>, Error> {
        let target = &self.target;
        let (before, after) = self.config.name.around(project);
        let before = ObjectPrefix::new(format!("{}{before}", target.prefix))?;
        let mut request = ListRequest::new(target.bucket.clone(), before.clone());
        request.detail = Detail::Brief;
        request.project.clone_from(&target.project);
        let mut ids = HashSet::new();
        loop {
            let page = target.client.list(&target.credential, request.clone()).await.map_err(Error::List)?;
            let names =
                page.items.iter().filter_map(|item| item.name.strip_prefix(before.as_str())?.strip_suffix(&after));
            ids.extend(names.filter_map(|id| id.parse::<u64>().ok().filter(|number| number.to_string() == id)));
            match page.next {
                Some(next) => request.page_token = Some(next),
                None => return Ok(ids),
            }
        }
    }
}
