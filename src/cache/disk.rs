//! Bytes of objects, kept in files: the second place to look, which outlives the process.
//!
//! Decides what a file is called, what it must hold to be believed, and which go when there are too many. Never stands in
//! the way: files are written by a thread of their own, behind a bounded queue, and what cannot be written is not kept.
//! An entry whose checksum or key is wrong is a miss and is removed. Files are readable by their owner alone.

mod entry;
mod index;

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::Semaphore;

pub(super) use self::entry::Name;
use self::index::Index;
use crate::metrics::{Metrics, Tier};

/// Entries that wait to be written; beyond them nothing is kept on the disk.
const QUEUE: usize = 64;
/// Entries that are read at once.
const READERS: usize = 32;

/// A folder of entries.
pub(super) struct Disk {
    folder: Arc<Folder>,
    queue: SyncSender<(Name, Bytes)>,
    readers: Semaphore,
}

struct Folder {
    path: PathBuf,
    index: Mutex<Index>,
    metrics: Metrics,
    /// The last write failed, and it was said.
    is_failing: AtomicBool,
}

impl Disk {
    /// Opens a folder, which need not be there yet. What it holds is found in the background.
    pub(super) fn open(path: &Path, size: u64, metrics: Metrics) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let folder = Arc::new(Folder {
            path: path.to_owned(),
            index: Mutex::new(Index::new(size)),
            metrics,
            is_failing: AtomicBool::new(false),
        });
        let keeper = Arc::clone(&folder);
        thread::Builder::new().name("gsgate-disk".to_owned()).spawn(move || keeper.work(&jobs))?;
        Ok(Self { folder, queue, readers: Semaphore::new(READERS) })
    }

    /// Whether any generation or chunk of the object is there.
    pub(super) fn holds(&self, name: &Name) -> bool {
        self.folder.index().holds(name)
    }

    /// Writes an entry, later; or never, if too many wait.
    pub(super) fn write(&self, name: Name, bytes: Bytes) {
        if self.queue.try_send((name, bytes)).is_err() {
            self.folder.metrics.cache("disk", "skipped");
        }
    }

    /// An entry of `length` bytes, if it is there and whole.
    pub(super) async fn read(&self, name: Name, length: u64) -> Option<Vec<u8>> {
        if !self.folder.index().touch(&name) {
            return None;
        }
        let _reader = self.readers.acquire().await.ok()?;
        let folder = Arc::clone(&self.folder);
        let reading = tokio::task::spawn_blocking(move || folder.read(&name, length));
        reading.await.ok().flatten()
    }
}

impl Folder {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds what is there, then writes until the cache is gone.
    fn work(&self, jobs: &Receiver<(Name, Bytes)>) {
        if let Err(error) = self.scan() {
            self.report(&error);
        }
        while let Ok((name, bytes)) = jobs.recv() {
            match self.keep(&name, &bytes) {
                Ok(()) => self.is_failing.store(false, Ordering::Relaxed),
                Err(error) => {
                    self.metrics.cache("disk", "failed");
                    self.report(&error);
                }
            }
        }
        let (entries, bytes) = self.index().clear();
        self.metrics.cache_forgotten(Tier::Disk, entries, bytes);
    }

    /// One line for a row of failures.
    fn report(&self, error: &io::Error) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "the disk cache cannot be used; serving goes on without it");
        }
    }

    fn scan(&self) -> io::Result<()> {
        create(&self.path)?;
        let mut found = Vec::new();
        for drawer in fs::read_dir(&self.path)? {
            let drawer = drawer?.path();
            if !drawer.file_name().is_some_and(entry::is_drawer) {
                continue;
            }
            for file in fs::read_dir(&drawer)? {
                let file = file?;
                match Name::parse(&file.file_name()) {
                    Some(name) => {
                        let about = file.metadata()?;
                        found.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), name, about.len()));
                    }
                    // Half-written by a process that ended, or nobody's of ours.
                    None if entry::is_draft(&file.file_name()) => drop(fs::remove_file(file.path())),
                    None => {}
                }
            }
        }
        found.sort_by_key(|(modified, ..)| *modified);
        for (_, name, size) in found {
            self.enter(name, size);
        }
        Ok(())
    }

    fn keep(&self, name: &Name, bytes: &[u8]) -> io::Result<()> {
        let path = self.path_of(name);
        let drawer = path.parent().unwrap_or(&self.path);
        create(drawer)?;
        let draft = drawer.join(entry::draft());
        let size = entry::size(name, bytes.len());
        if !self.index().admits(size) {
            return Ok(());
        }
        let written = write(&draft, name, bytes).and_then(|()| fs::rename(&draft, &path));
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written?;
        self.enter(name.clone(), size);
        Ok(())
    }

    /// Notes an entry that is there, and removes those that must go for it.
    fn enter(&self, name: Name, size: u64) {
        let (replaced, evicted) = self.index().insert(name, size);
        if let Some(size) = replaced {
            self.metrics.cache_dropped(Tier::Disk, size);
        }
        self.metrics.cache_kept(Tier::Disk, size);
        for (name, size) in evicted {
            let _ = fs::remove_file(self.path_of(&name));
            self.metrics.cache_dropped(Tier::Disk, size);
            self.metrics.cache_evicted(Tier::Disk);
        }
    }

    fn read(&self, name: &Name, length: u64) -> Option<Vec<u8>> {
        let path = self.path_of(name);
        let bytes = read(&path, name, length);
        if bytes.is_none() {
            let _ = fs::remove_file(&path);
            if let Some(size) = self.index().remove(name) {
                self.metrics.cache_dropped(Tier::Disk, size);
            }
        }
        bytes
    }

    fn path_of(&self, name: &Name) -> PathBuf {
        self.path.join(name.drawer()).join(name.to_string())
    }
}

fn create(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn write(path: &Path, name: &Name, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let (head, tail) = entry::frame(name, bytes);
    file.write_all(&head)?;
    file.write_all(bytes)?;
    file.write_all(&tail)
}

fn read(path: &Path, name: &Name, length: u64) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let length = usize::try_from(length).ok()?;
    let size = entry::size(name, length);
    let mut bytes = Vec::with_capacity(usize::try_from(size).ok()?);
    file.take(size + 1).read_to_end(&mut bytes).ok()?;
    entry::open(name, bytes, length)
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("path", &self.folder.path).finish_non_exhaustive()
    }
}
