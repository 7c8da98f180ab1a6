//! Notices that files changed, by their content.
//!
//! Kubernetes swaps a symbolic link instead of writing a file, and some file systems tell nobody: so it looks, regularly.
//! A file that vanishes or cannot be read counts as a change too; what to do about it is the caller's decision.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{Digest, SHA256, digest};
use tokio::time::sleep;

/// How long a file must stay the same to count as written.
const SETTLE: Duration = Duration::from_secs(1);
/// More than any configuration, certificate or key; the rest of a larger file is not looked at.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A set of files and what they held.
#[derive(Debug)]
pub struct Watch {
    paths: Vec<PathBuf>,
    every: Duration,
    seen: Fingerprint,
}

/// What a set of files holds; nothing for a file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Fingerprint(Vec<Option<Vec<u8>>>);

impl Watch {
    /// Takes the first look.
    pub fn new<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>, every: Duration) -> Self {
        let paths: Vec<_> = paths.into_iter().map(|path| path.as_ref().to_owned()).collect();
        let seen = Fingerprint::of(&paths);
        Self { paths, every, seen }
    }

    /// Looks this often.
    pub fn with_period(self, every: Duration) -> Self {
        Self { every, ..self }
    }

    /// Ends when the files hold something else than at the last look.
    pub async fn changed(&mut self) {
        loop {
            sleep(self.every).await;
            let Some(mut found) = self.look().await else { continue };
            if found == self.seen {
                continue;
            }
            // Somebody may be writing: what counts is what two looks in a row find.
            loop {
                sleep(self.every.min(SETTLE)).await;
                match self.look().await {
                    Some(again) if again == found => break,
                    Some(again) => found = again,
                    None => {}
                }
            }
            if found != self.seen {
                self.seen = found;
                return;
            }
        }
    }

    /// A file system may hang; a worker thread must not hang with it.
    async fn look(&self) -> Option<Fingerprint> {
        let paths = self.paths.clone();
        tokio::task::spawn_blocking(move || Fingerprint::of(&paths)).await.ok()
    }
}

impl Fingerprint {
    /// Looks at the files.
    pub fn of(paths: &[PathBuf]) -> Self {
        Self(paths.iter().map(|path| content(path).map(|digest| digest.as_ref().to_owned())).collect())
    }
}

fn content(path: &Path) -> Option<Digest> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    File::open(path).ok()?.take(LARGEST).read_to_end(&mut bytes).ok()?;
    Some(digest(&SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_another_content_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let look = || Fingerprint::of(std::slice::from_ref(&path));
        let missing = look();
        fs::write(&path, "one").unwrap();
        let one = look();
        assert_ne!(missing, one);
        fs::write(&path, "one").unwrap();
        assert_eq!(one, look(), "written again, with a new time");
        fs::write(&path, "two").unwrap();
        assert_ne!(one, look());
    }

    #[tokio::test]
    async fn a_swapped_symbolic_link_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["v1", "v2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("tls.crt"), version).unwrap();
        }
        symlink("v1", at("..data")).unwrap();
        symlink("..data/tls.crt", at("tls.crt")).unwrap();
        let mut watch = Watch::new([at("tls.crt")], Duration::from_millis(1));
        symlink("v2", at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
        tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.unwrap();
    }
}
