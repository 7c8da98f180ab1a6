//! The end of an import: what was made twice, and what is gone.
//!
//! Decides which of two equal tasks goes: the later one, and only if nobody has annotated, drafted or predicted anything
//! on it, and only if this import had asked for it. Every import decides alike, so that several agree.

use tokio::time::Instant;

use super::{ImportCounts, Importer, Known, SETTLED, Summary, TOLD};
use crate::label_studio::api::Error;
use crate::label_studio::task::Annotated;

impl Importer<'_> {
    /// Looks again, and takes doubles back.
    pub(super) async fn settle(
        &self,
        began: Instant,
        known: &mut Known,
        counts: &ImportCounts,
        summary: &mut Summary,
    ) -> Result<(), Error> {
        if summary.made == 0 {
            return Ok(());
        }
        tokio::time::sleep_until(began + SETTLED).await;
        self.learn(known, counts).await?;
        let doubles = known.doubles();
        let mut ids: Vec<u64> = doubles.iter().map(|double| double.second).collect();
        ids.sort_unstable();
        ids.dedup();
        let found = self.api.tasks(self.project, &ids).await?;
        let untouched: Vec<u64> = found.iter().filter(|task| is_untouched(task)).map(|task| task.id).collect();
        summary.doubles = (found.len() - untouched.len()) as u64;
        for ids in untouched.chunks(super::BATCH) {
            self.api.delete_tasks(self.project, ids).await?;
            summary.taken_back += ids.len() as u64;
        }
        Ok(())
    }

    /// Finds out which tasks' objects are gone.
    pub(super) async fn vanished(&self, known: &Known, summary: &mut Summary) -> Result<(), Error> {
        let ids = known.vanished();
        summary.vanished_count = ids.len() as u64;
        let first = &ids[..ids.len().min(TOLD)];
        for task in self.api.tasks(self.project, first).await? {
            let data = task.rest.get("data").and_then(|data| data.as_object()).cloned().unwrap_or_default();
            summary.vanished.push((task.id, self.names.of(&data, &self.key).unwrap_or_default()));
        }
        Ok(())
    }
}

fn is_untouched(task: &Annotated) -> bool {
    task.annotations.is_empty() && task.drafts.is_empty() && task.predictions.is_empty()
}
