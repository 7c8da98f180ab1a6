//! A batch of new tasks, until Label Studio has them.
//!
//! Decides what is done after a refusal, or after an answer that never came: it is looked first what has come of the batch,
//! and what has not is sent again after a pause. Pauses grow and are never the same, so that two imports that stand in each
//! other's way do not do so for ever; their number is bounded.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{ImportCounts, Importer, Known, Summary};
use crate::label_studio::api::Error;

/// How often a batch is sent.
const ATTEMPTS: u32 = 9;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long an unanswered batch may still be under way in Label Studio, at each of several looks.
const LOOKS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

/// An object that becomes a task.
#[derive(Debug)]
pub(super) struct New {
    pub(super) name: String,
    pub(super) link: String,
}

impl Importer<'_> {
    /// Makes a batch's tasks.
    pub(super) async fn make(
        &self,
        mut batch: Vec<New>,
        known: &mut Known,
        counts: &ImportCounts,
        summary: &mut Summary,
    ) -> Result<(), Error> {
        for attempt in 1.. {
            let tasks: Value = batch.iter().map(|new| json!({ "data": { &*self.key: new.link } })).collect();
            let error = match self.api.import(self.project, &tasks).await {
                Ok(()) => {
                    for new in &batch {
                        known.made(&new.name);
                    }
                    done(batch.len(), counts, summary);
                    return Ok(());
                }
                Err(error) => error,
            };
            if !(error.is_unclear() || error.may_pass()) {
                return Err(error);
            }
            tracing::warn!(%error, attempt, "a batch was not taken; looking what has come of it");
            summary.troubled = true;
            // Label Studio is often refused by its database after it has stored the tasks.
            let looks = if error.is_under_way() { &LOOKS[..] } else { &LOOKS[..1] };
            for pause in looks {
                sleep(*pause).await;
                self.learn(known, counts).await?;
                let before = batch.len();
                batch.retain(|new| !known.see(&new.name));
                done(before - batch.len(), counts, summary);
                if batch.is_empty() {
                    return Ok(());
                }
            }
            if attempt >= ATTEMPTS {
                return Err(error);
            }
            sleep(pause(attempt)).await;
        }
        Ok(())
    }
}

/// How long to wait after so many attempts: about twice as long each time.
pub(super) fn pause(attempt: u32) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << (attempt - 1).min(10)).min(LONGEST_PAUSE);
    whole.mul_f64(0.25 + fastrand::f64() * 0.75)
}

fn done(tasks: usize, counts: &ImportCounts, summary: &mut Summary) {
    counts.made.fetch_add(tasks as u64, Ordering::Relaxed);
    summary.made += tasks as u64;
}
