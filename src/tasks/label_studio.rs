//! Importing a connection's objects into a Label Studio project: only what is new, nothing twice.
//!
//! Decides which objects become tasks. Label Studio itself is asked what it has, so that nothing is kept beside it and any
//! replica can do the work. Two imports at once, or one that was killed while Label Studio stored its last batch, can make
//! tasks twice: each import looks again when it has ended, and takes back equal tasks that nobody has touched, whoever made
//! them.

mod batch;
mod doubles;
mod known;
mod settle;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use self::batch::New;
pub use self::known::{Known, Names};
use super::cover::Cover;
use super::listing::{Listing, ListingError, Place};
use super::selection::{Selection, Verdict};
use crate::gcs::Listed;
use crate::label_studio::api::{Api, Error};

/// Tasks made at once.
const BATCH: usize = 1000;
/// How often the bucket is gone through, if tasks that were made are gone when it is looked again.
const PASSES: u32 = 3;
/// Things of a kind that are told one by one.
const TOLD: usize = 20;

/// Why an import ended early.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The bucket cannot be listed.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// Label Studio did not do what it was asked.
    #[error(transparent)]
    LabelStudio(#[from] Error),
    /// Somebody else keeps changing the same tasks.
    #[error("the project's tasks keep changing while it is looked what is there twice; run it again")]
    Unsettled,
}

/// How far it is; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct ImportCounts {
    known: AtomicU64,
    expected: AtomicU64,
    listed: AtomicU64,
    made: AtomicU64,
}

impl ImportCounts {
    /// Tasks that Label Studio has told of.
    pub fn known(&self) -> u64 {
        self.known.load(Ordering::Relaxed)
    }

    /// Tasks that Label Studio said it would tell of.
    pub fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    /// Objects seen in the listing.
    pub fn listed(&self) -> u64 {
        self.listed.load(Ordering::Relaxed)
    }

    /// Tasks made.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

/// What came of one import.
#[derive(Debug, Default)]
pub struct Summary {
    /// Objects that were selected.
    pub selected: u64,
    /// Objects that had a task already.
    pub already: u64,
    /// Tasks made.
    pub made: u64,
    /// Tasks taken back because there was one like it, whichever run made them.
    pub taken_back: u64,
    /// Tasks that are there twice and were left, because somebody has worked on both.
    pub doubles: u64,
    /// The first objects that no URL can name.
    pub unservable: Vec<String>,
    /// All of them.
    pub unservable_count: u64,
    /// The first tasks whose object is gone: id and name.
    pub vanished: Vec<(u64, String)>,
    /// All of them.
    pub vanished_count: u64,
    /// Whether a batch was not taken at once.
    troubled: bool,
}

/// An import to make, perhaps again and again.
#[derive(Debug)]
pub struct Importer<'a> {
    /// Label Studio.
    pub api: &'a Api,
    /// The project's id.
    pub project: u64,
    /// The field that gets the link.
    pub key: String,
    /// What is listed.
    pub place: Place,
    /// The connection's name.
    pub label: &'a str,
    /// Which objects count.
    pub selection: Selection<'a>,
    /// What they are called.
    pub cover: Arc<Cover>,
    /// How the names of objects are read out of tasks.
    pub names: Names,
}

impl Importer<'_> {
    /// Asks Label Studio what it has, lists the bucket and makes what is missing. `known` is what an earlier run of the same
    /// process learned; only what is newer is asked for.
    pub async fn run(&self, known: &mut Known, counts: &ImportCounts) -> Result<Summary, ImportError> {
        let began = Instant::now();
        let mut summary = Summary::default();
        known.begin();
        self.learn(known, counts).await?;
        known.started();
        self.go_through(known, counts, &mut summary).await?;
        for pass in 1..=PASSES {
            if self.settle(began, known, &mut summary).await? {
                self.vanished(known, &mut summary).await?;
                return Ok(summary);
            }
            if pass < PASSES {
                // What counts as known was told the first time.
                let mut again = Summary::default();
                self.go_through(known, counts, &mut again).await?;
                summary.made += again.made;
                summary.troubled |= again.troubled;
            }
        }
        Err(ImportError::Unsettled)
    }

    /// Lists the bucket, and makes what has no task.
    async fn go_through(
        &self,
        known: &mut Known,
        counts: &ImportCounts,
        summary: &mut Summary,
    ) -> Result<(), ImportError> {
        let mut listing = Listing::new(self.place.clone(), None);
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(page) = listing.next().await? {
            counts.listed.fetch_add(page.len() as u64, Ordering::Relaxed);
            for object in page {
                self.take(&object, known, &mut batch, summary);
                if batch.len() == BATCH {
                    self.make(std::mem::take(&mut batch), known, counts, summary).await?;
                }
            }
        }
        if !batch.is_empty() {
            self.make(batch, known, counts, summary).await?;
        }
        Ok(())
    }

    /// Reads what Label Studio has that is not known yet.
    async fn learn(&self, known: &mut Known, counts: &ImportCounts) -> Result<(), Error> {
        let mut first = true;
        loop {
            let page = self.api.stubs(self.project, known.newest()).await?;
            if first {
                counts.expected.store(counts.known() + page.total, Ordering::Relaxed);
                first = false;
            }
            if page.tasks.is_empty() {
                return Ok(());
            }
            counts.known.fetch_add(page.tasks.len() as u64, Ordering::Relaxed);
            for task in &page.tasks {
                // A task that holds more than the object is somebody's own, and never equal to another.
                let is_plain = task.data.len() == 1 && task.data.contains_key(&self.key);
                known.learn(task.id, self.names.of(&task.data, &self.key).as_deref(), is_plain);
            }
        }
    }

    /// Puts an object into the batch, if it is new.
    fn take(&self, object: &Listed, known: &mut Known, batch: &mut Vec<New>, summary: &mut Summary) {
        // Whatever is listed has not vanished, selected or not.
        let has_a_task = known.see(&object.name);
        match self.selection.judge(object) {
            Verdict::Leave => {}
            Verdict::Unservable(why) => {
                summary.unservable_count += 1;
                if summary.unservable.len() < TOLD {
                    summary.unservable.push(format!("{:?}: {why}", object.name));
                }
            }
            Verdict::Take(name) => {
                let Some(link) = self.cover.link(self.label, &name) else { return };
                summary.selected += 1;
                if has_a_task {
                    summary.already += 1;
                } else {
                    batch.push(New { name: name.to_string(), link });
                }
            }
        }
    }
}
