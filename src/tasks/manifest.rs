//! Making a manifest: from the listing, through the selection, into the format, page by page.
//!
//! Decides the order of things and what is told about what was left out. Objects that cannot be served or read are
//! counted and told; they end nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};

use super::cover::Cover;
use super::definition::{self, Faults, Kind};
use super::format::{Entry, Format, Pixels, Writer};
use super::known::Known;
use super::listing::{Listing, ListingError, Place};
use super::output::Take;
use super::rewrite::Rewritten;
use super::selection::{Selection, Verdict};
use super::{image_size, import};
use crate::gcs::Listed;
use crate::object::ObjectName;
use crate::telemetry::Causes;

/// Files of definitions that are read at once; each may be as long as is allowed.
const FILES: usize = 2;
/// Troubles of a kind that are told one by one.
const TOLD: usize = 20;

/// What objects are to the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Import {
    /// Each object is a task.
    Files,
    /// Each object defines tasks: JSON, JSON lines or Parquet.
    Json,
}

/// How far it is; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct Counts {
    listed: AtomicU64,
    tasks: AtomicU64,
}

impl Counts {
    /// Objects seen in the listing.
    pub fn listed(&self) -> u64 {
        self.listed.load(Ordering::Relaxed)
    }

    /// Tasks written.
    pub fn tasks(&self) -> u64 {
        self.tasks.load(Ordering::Relaxed)
    }
}

/// What was left out, or left as it was.
#[derive(Debug, Default)]
pub struct Troubles {
    /// Objects that no URL can name.
    pub unservable: Told,
    /// Objects that could not be read, or what in them could not.
    pub bad: Told,
    /// Objects that have no tasks in them; only where tasks were looked for.
    pub without_tasks: u64,
    /// `gs://` URIs that no connection covers, with an example.
    pub uncovered: (u64, Option<String>),
}

/// The first ones in words, and how many there are.
#[derive(Debug, Default)]
pub struct Told {
    /// The first ones.
    pub first: Vec<String>,
    /// All of them.
    pub count: u64,
}

impl Told {
    fn add(&mut self, trouble: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < TOLD {
            self.first.push(trouble());
        }
    }
}

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listing failed.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// Nobody takes the manifest.
    #[error("the manifest cannot be written")]
    Write(#[from] io::Error),
    /// A thread of our own ended.
    #[error("reading task definitions ended unexpectedly")]
    Lost,
}

/// A manifest to make.
#[derive(Debug)]
pub struct Manifest<'a> {
    /// What is listed.
    pub place: Place,
    /// The connection's name.
    pub label: &'a str,
    /// Which objects count.
    pub selection: Selection<'a>,
    /// What they are called.
    pub cover: Arc<Cover>,
    /// How they are written down.
    pub format: Format,
    /// The fields that get the link; at least one.
    pub keys: Vec<String>,
    /// What objects are.
    pub import: Import,
    /// What an earlier manifest has.
    pub known: Option<Arc<Known>>,
    /// Only names after this one.
    pub start_after: Option<String>,
}

impl Manifest<'_> {
    /// Lists, and writes as it goes, as fast as `out` takes it.
    pub async fn write(mut self, out: &mut impl Take, counts: &Counts, troubles: &mut Troubles) -> Result<(), Error> {
        let mut draft = Draft { writer: Writer::new(self.format, self.keys.clone()), buffer: Vec::new() };
        draft.writer.begin(&mut draft.buffer);
        let mut listing = Listing::new(self.place.clone(), self.start_after.take());
        while let Some(page) = listing.next().await? {
            counts.listed.fetch_add(page.len() as u64, Ordering::Relaxed);
            let taken = self.select(&page, troubles);
            match self.import {
                Import::Files => self.files(taken, &mut draft, troubles).await,
                Import::Json => self.definitions(taken, &mut draft, out, troubles).await?,
            }
            counts.tasks.store(draft.writer.written(), Ordering::Relaxed);
            draft.give(out).await?;
        }
        draft.writer.end(&mut draft.buffer);
        draft.give(out).await?;
        Ok(())
    }

    fn select<'p>(&self, page: &'p [Listed], troubles: &mut Troubles) -> Vec<(ObjectName, &'p Listed)> {
        let mut taken = Vec::with_capacity(page.len());
        for object in page {
            match self.selection.judge(object) {
                Verdict::Take(name) => taken.push((name, object)),
                Verdict::Leave => {}
                Verdict::Unservable(why) => troubles.unservable.add(|| format!("{:?}: {why}", object.name)),
            }
        }
        taken
    }

    /// Writes a page's objects.
    async fn files(&self, taken: Vec<(ObjectName, &Listed)>, draft: &mut Draft, troubles: &mut Troubles) {
        let Draft { writer, buffer } = draft;
        let new = taken.into_iter().filter_map(|(name, listed)| {
            let link = self.cover.link(self.label, &name)?;
            let known = self.known.as_ref().is_some_and(|known| known.has(self.identity(&name, &link)));
            (!known).then_some((name, listed, link))
        });
        if self.format != Format::Cvat {
            for (name, listed, link) in new {
                writer.entry(buffer, &self.entry(&name, listed, &link, None));
            }
            return;
        }
        // Futures in a list, not made by the stream: else the compiler cannot tell that all of this may be sent to a thread.
        let place = &self.place;
        let measured: Vec<_> = new
            .map(|(name, listed, link)| async move {
                let pixels = image_size::read(place, &name, listed.size).await;
                (name, listed, link, pixels)
            })
            .collect();
        let mut measured = std::pin::pin!(stream::iter(measured).buffered(place.in_flight.max(1)));
        while let Some((name, listed, link, pixels)) = measured.next().await {
            match pixels {
                Ok(pixels) => writer.entry(buffer, &self.entry(&name, listed, &link, Some(pixels))),
                Err(error) => troubles.bad.add(|| format!("{:?}: {}", name.as_str(), Causes(&error))),
            }
        }
    }

    /// Writes the tasks that a page's objects define, file by file: each may have many.
    async fn definitions(
        &self,
        taken: Vec<(ObjectName, &Listed)>,
        draft: &mut Draft,
        out: &mut impl Take,
        troubles: &mut Troubles,
    ) -> Result<(), Error> {
        let kinds = taken.into_iter().filter_map(|(name, listed)| {
            let kind = Kind::of(&listed.name, listed.content_type.as_deref());
            if kind.is_none() {
                troubles.without_tasks += 1;
            }
            Some((kind?, name, listed.size))
        });
        let place = &self.place;
        let read: Vec<_> = kinds
            .map(|(kind, name, size)| async move {
                let file = import::read(place, &name, size).await;
                (kind, name, file)
            })
            .collect();
        let mut read = std::pin::pin!(stream::iter(read).buffered(FILES));
        while let Some((kind, name, file)) = read.next().await {
            let file = match file {
                Ok(file) => file,
                Err(error) => {
                    troubles.bad.add(|| format!("{:?}: {}", name.as_str(), Causes(&error)));
                    continue;
                }
            };
            let (cover, known) = (Arc::clone(&self.cover), self.known.clone());
            let (writer, buffer) = (draft.writer.clone(), std::mem::take(&mut draft.buffer));
            let work = Definitions { cover, known, writer, buffer };
            let done = tokio::task::spawn_blocking(move || work.read(kind, file)).await;
            let (done, faults, rewritten) = done.map_err(|_| Error::Lost)?;
            (draft.writer, draft.buffer) = (done.writer, done.buffer);
            draft.give(out).await?;
            let untold = faults.count - faults.told.len() as u64;
            faults.told.into_iter().for_each(|fault| troubles.bad.add(|| format!("{:?}: {fault}", name.as_str())));
            troubles.bad.count += untold;
            troubles.uncovered.0 += rewritten.left;
            troubles.uncovered.1 = troubles.uncovered.1.take().or(rewritten.example);
        }
        Ok(())
    }

    fn entry<'e>(
        &'e self,
        name: &'e ObjectName,
        listed: &'e Listed,
        link: &'e str,
        pixels: Option<Pixels>,
    ) -> Entry<'e> {
        Entry { name, listed, link, bucket: &self.place.bucket, relative: self.relative(name), pixels }
    }

    /// By what an earlier manifest knows an object.
    fn identity<'n>(&self, name: &'n ObjectName, link: &'n str) -> &'n str {
        if self.format == Format::Cvat { self.relative(name) } else { link }
    }

    /// The name as seen from the prefix's folder.
    fn relative<'n>(&self, name: &'n ObjectName) -> &'n str {
        let prefix = self.place.prefix.as_str();
        let folder = prefix.rfind('/').map_or(0, |slash| slash + 1);
        name.as_str().get(folder..).unwrap_or(name.as_str())
    }
}

/// What is written and not yet given away.
struct Draft {
    writer: Writer,
    buffer: Vec<u8>,
}

impl Draft {
    async fn give(&mut self, out: &mut impl Take) -> io::Result<()> {
        out.take(&self.buffer).await?;
        self.buffer.clear();
        Ok(())
    }
}

/// Reading one file's tasks, on a thread where that may take its time.
struct Definitions {
    cover: Arc<Cover>,
    known: Option<Arc<Known>>,
    writer: Writer,
    buffer: Vec<u8>,
}

impl Definitions {
    fn read(self, kind: Kind, file: Bytes) -> (Self, Faults, Rewritten) {
        let Self { cover, known, mut writer, mut buffer } = self;
        let mut rewritten = Rewritten::default();
        let faults = definition::read(kind, file, &mut |mut task| {
            if let Some(data) = task.get_mut("data") {
                rewritten.value(data, &cover);
            }
            if !known.as_ref().is_some_and(|known| known.has_task(&task)) {
                writer.task(&mut buffer, &task);
            }
        });
        (Self { cover, known, writer, buffer }, faults, rewritten)
    }
}
