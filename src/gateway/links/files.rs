//! Reads keys and the revocation list, and writes new keys.
//!
//! A key file that others can read is good and gets a warning. No error holds anything of a key.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::config::Config;
use super::key::{Key, KeyTextError, Keyring};
use super::revoked::{Revoked, RevokedError};

/// More than any key's text.
const LONGEST_KEY: u64 = 4 * 1024;
/// More than any list; some 200,000 links.
const LONGEST_LIST: u64 = 8 * 1024 * 1024;
/// Bytes of a new key.
const NEW: usize = 32;

/// Why `[links]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A key's file.
    #[error("cannot read the key file {}; make one with: gsgate link --new-key FILE", path.display())]
    KeyFile {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in it.
    #[error("the key file {} is of no use", path.display())]
    Key {
        /// Where.
        path: PathBuf,
        /// Why.
        source: KeyTextError,
    },
    /// The list's file.
    #[error("cannot read the revocation list {}; create it, empty if nothing is revoked", path.display())]
    ListFile {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in it.
    #[error("the revocation list {} is wrong", path.display())]
    List {
        /// Where.
        path: PathBuf,
        /// Why.
        source: RevokedError,
    },
}

impl LoadError {
    /// The key of `[links]` that it is about.
    pub fn key(&self) -> &'static str {
        match self {
            Self::KeyFile { .. } | Self::Key { .. } => "keys",
            Self::ListFile { .. } | Self::List { .. } => "revoked",
        }
    }
}

/// Reads all keys.
pub(super) fn keyring(config: &Config) -> Result<Keyring, LoadError> {
    let mut keys = Vec::with_capacity(config.keys.len());
    for key in &config.keys {
        let path = || key.file.clone();
        let text = read(&key.file, LONGEST_KEY).map_err(|source| LoadError::KeyFile { path: path(), source })?;
        warn_if_readable(&key.file);
        let read = Key::read(key.id.clone(), &text, key.not_after);
        keys.push(read.map_err(|source| LoadError::Key { path: path(), source })?);
    }
    Ok(Keyring::new(keys))
}

/// Reads the list.
pub(super) fn revoked(path: &Path) -> Result<Revoked, LoadError> {
    let unreadable = |source| LoadError::ListFile { path: path.to_owned(), source };
    let text = read(path, LONGEST_LIST).map_err(unreadable)?;
    Revoked::parse(&text).map_err(|source| LoadError::List { path: path.to_owned(), source })
}

/// Makes a key that nobody else can read. A file that is there stays as it is.
pub fn new_key(path: &Path) -> io::Result<()> {
    let mut bytes = Zeroizing::new([0; NEW]);
    rand::fill(bytes.as_mut()).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    let text = Zeroizing::new(format!("{}\n", STANDARD.encode(bytes.as_ref())));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn read(path: &Path, longest: u64) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    File::open(path)?.take(longest + 1).read_to_string(&mut text)?;
    if text.len() as u64 > longest {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {longest} bytes")));
    }
    Ok(text)
}

#[cfg(unix)]
fn warn_if_readable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = std::fs::metadata(path) else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o044 != 0 {
        let (path, mode) = (path.display(), format!("{mode:03o}"));
        tracing::warn!(%path, %mode, "others can read this link key; run chmod 600 on it");
    }
}

#[cfg(not(unix))]
fn warn_if_readable(_: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_private_good_and_never_written_over_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("link.key");
        new_key(&path).expect("written");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(Key::read("a".parse().expect("an id"), &text, None).is_ok());
        assert_eq!(new_key(&path).expect_err("it is there").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).expect("text"), text);
    }
}
