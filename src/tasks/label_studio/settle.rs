//! The end of an import: what is there twice, and what is gone.
//!
//! Decides when it is time to look, and looks until there is nothing left to do. Whatever it takes back it has seen
//! untouched a moment before, and looks afterwards whether the object still has a task: if somebody else took that one back,
//! it is made again.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::batch::pause;
use super::doubles::{Verdict, judge};
use super::known::Double;
use super::{ImportError, Importer, Known, Summary, TOLD};
use crate::label_studio::api::Error;
use crate::label_studio::task::Annotated;

/// What was under way when an import began is stored after this time, unless the database was locked.
const SETTLED: Duration = Duration::from_secs(6);
/// Label Studio tries again by itself after three seconds, and after six more, when its database is locked.
const QUIET: Duration = Duration::from_secs(10);
/// The longest wait for quiet: others may import for hours, and look for themselves.
const LONGEST: Duration = Duration::from_mins(1);
/// How often it is looked whether there are more tasks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Looks for doubles, each after others were taken back.
const ROUNDS: u32 = 6;
/// Tasks that are looked at, and taken back, at once.
const AT_ONCE: usize = 500;
const ATTEMPTS: u32 = 9;

impl Importer<'_> {
    /// Looks again, and takes doubles back. False where objects have lost their task meanwhile and are to be gone through
    /// once more.
    pub(super) async fn settle(
        &self,
        began: Instant,
        known: &mut Known,
        summary: &mut Summary,
    ) -> Result<bool, ImportError> {
        if summary.made > 0 {
            sleep_until(began + SETTLED).await;
            self.wait_for_quiet(known.before(), summary).await?;
            self.review(known).await?;
        }
        for _ in 0..ROUNDS {
            if known.forget_lost() {
                return Ok(false);
            }
            summary.doubles = 0;
            let taken_back = self.resolve(known, summary).await?;
            summary.taken_back += taken_back;
            if taken_back == 0 && !known.forget_lost() {
                return Ok(true);
            }
            self.review(known).await?;
        }
        Err(ImportError::Unsettled)
    }

    /// Waits until nobody makes tasks any more, if there are signs that somebody else does.
    async fn wait_for_quiet(&self, before: u64, summary: &Summary) -> Result<(), Error> {
        let mut last = self.api.count(self.project, before).await?;
        if last == summary.made && !summary.troubled {
            return Ok(());
        }
        let (began, mut since) = (Instant::now(), Instant::now());
        while since.elapsed() < QUIET && began.elapsed() < LONGEST {
            sleep(LOOK_EVERY).await;
            let now = self.api.count(self.project, before).await?;
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// Reads once more what has come since the beginning.
    async fn review(&self, known: &mut Known) -> Result<(), Error> {
        known.review();
        self.learn(known, &super::ImportCounts::default()).await
    }

    /// Takes back what is there twice; how many tasks.
    async fn resolve(&self, known: &mut Known, summary: &mut Summary) -> Result<u64, Error> {
        let mut taken_back = 0;
        let mut some: Vec<Double> = Vec::new();
        for double in known.take_doubles() {
            some.push(double);
            if some.iter().map(|double| double.tasks.len()).sum::<usize>() >= AT_ONCE {
                taken_back += self.resolve_some(std::mem::take(&mut some), known, summary).await?;
            }
        }
        Ok(taken_back + self.resolve_some(some, known, summary).await?)
    }

    async fn resolve_some(&self, doubles: Vec<Double>, known: &mut Known, summary: &mut Summary) -> Result<u64, Error> {
        let ids: Vec<u64> = doubles.iter().flat_map(|double| double.tasks.iter().copied()).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let mut asked: HashSet<u64> = HashSet::new();
        for attempt in 1.. {
            let found = self.api.tasks(self.project, &ids).await?;
            let still = |id: &u64| found.iter().any(|task| task.id == *id);
            let verdicts: Vec<Verdict> = doubles.iter().map(|double| judge(of(double, &found))).collect();
            let doomed: Vec<u64> = verdicts.iter().flat_map(|verdict| verdict.doomed.iter().copied()).collect();
            if doomed.is_empty() {
                for (double, _) in doubles.iter().zip(&verdicts).filter(|(_, verdict)| verdict.is_gone) {
                    known.lose(double.object);
                }
                summary.doubles += verdicts.iter().map(|verdict| verdict.kept).sum::<u64>();
                return Ok(asked.iter().filter(|id| !still(id)).count() as u64);
            }
            asked.extend(&doomed);
            match self.api.delete_untouched(self.project, &doomed).await {
                Ok(()) if attempt < ATTEMPTS => {}
                // Label Studio says that it is done, and they are still there.
                Ok(()) => return Err(self.api.nonsense("tasks that it has deleted")),
                Err(error) if attempt >= ATTEMPTS || !(error.is_unclear() || error.may_pass()) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, attempt, "tasks that are there twice were not taken back; trying again");
                    sleep(pause(attempt)).await;
                }
            }
        }
        Ok(0)
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

fn of<'a>(double: &'a Double, found: &'a [Annotated]) -> impl Iterator<Item = &'a Annotated> {
    found.iter().filter(|task| double.tasks.contains(&task.id))
}
