//! Where a manifest goes: standard output, or a file that is there whole or not at all.
//!
//! Decides when a file takes its place. Until then it is a temporary one in the same folder, and is gone if the run ends
//! early.

use std::fs::Permissions;
use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Bytes gathered before they are written.
const BUFFER: usize = 256 * 1024;

/// Why a manifest cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The folder.
    #[error("cannot write a file in {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The file.
    #[error("cannot write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

/// Who gets a manifest, piece by piece; the manifest waits until each piece is taken.
pub trait Take: Send {
    /// Takes the next piece.
    fn take(&mut self, piece: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
}

/// What writes at once.
impl<W: Write + Send> Take for W {
    async fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.write_all(piece)
    }
}

/// A manifest being written.
#[derive(Debug)]
pub enum Output {
    /// To standard output, as it comes.
    Standard(BufWriter<Stdout>),
    /// To a file that is not there yet.
    File {
        /// What is written meanwhile.
        file: BufWriter<NamedTempFile>,
        /// Where it will be.
        path: PathBuf,
    },
}

impl Output {
    /// Standard output.
    pub fn standard() -> Self {
        Self::Standard(BufWriter::with_capacity(BUFFER, io::stdout()))
    }

    /// A file, which takes its place when the output is finished.
    pub fn file(path: &Path) -> Result<Self, OutputError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = builder(path)
            .tempfile_in(folder)
            .map_err(|source| OutputError::Folder { folder: folder.to_owned(), source })?;
        Ok(Self::File { file: BufWriter::with_capacity(BUFFER, file), path: path.to_owned() })
    }

    /// Writes the rest out and puts a file into its place.
    pub fn finish(self) -> Result<(), OutputError> {
        match self {
            Self::Standard(mut out) => {
                let path = PathBuf::from("standard output");
                out.flush().map_err(|source| OutputError::File { path, source })
            }
            Self::File { file, path } => {
                let failed = |source| OutputError::File { path: path.clone(), source };
                let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
                file.as_file().sync_all().map_err(failed)?;
                file.persist(&path).map_err(|error| failed(error.error))?;
                Ok(())
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Standard(out) => out.write(bytes),
            Self::File { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Standard(out) => out.flush(),
            Self::File { file, .. } => file.flush(),
        }
    }
}

/// A temporary file that may be read by whom any new file of the user may be read, or the file that it replaces.
fn builder(path: &Path) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gsgate-").suffix(".tmp");
    let replaced = std::fs::metadata(path).ok().map(|about| about.permissions());
    if let Some(permissions) = replaced.or_else(usual) {
        builder.permissions(permissions);
    }
    builder
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "other systems have no such permissions")]
fn usual() -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Some(Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn usual() -> Option<Permissions> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("manifest.json");
        let names = || std::fs::read_dir(folder.path()).expect("a folder").count();
        std::fs::write(&path, "before").expect("written");
        let mut output = Output::file(&path).expect("an output");
        output.write_all(b"half").expect("written");
        output.flush().expect("flushed");
        assert_eq!(std::fs::read(&path).expect("a file"), b"before");
        drop(output);
        assert_eq!((std::fs::read(&path).expect("a file"), names()), (b"before".to_vec(), 1));
        let mut output = Output::file(&path).expect("an output");
        output.write_all(b"whole").expect("written");
        output.finish().expect("in place");
        assert_eq!((std::fs::read(&path).expect("a file"), names()), (b"whole".to_vec(), 1));
        assert!(matches!(Output::file(&folder.path().join("no/m")), Err(OutputError::Folder { .. })));
    }
}
