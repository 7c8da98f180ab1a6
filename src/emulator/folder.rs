//! A folder on disk as a bucket's content.
//!
//! Decides which files are objects; nothing outside the folder ever is, also not through a link.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::stored::Stored;

/// The most files of a folder that are listed.
const MAX_FILES: usize = 100_000;
/// The deepest nesting of folders.
const MAX_DEPTH: usize = 32;

/// The file that an object's name stands for.
pub(super) async fn find(root: PathBuf, name: String) -> Option<Stored> {
    tokio::task::spawn_blocking(move || look(&root, name).ok().flatten()).await.ok().flatten()
}

/// All files by their objects' names.
pub(super) async fn walk(root: PathBuf) -> BTreeMap<String, Arc<Stored>> {
    let walked = tokio::task::spawn_blocking(move || {
        let mut files = BTreeMap::new();
        if let Ok(root) = root.canonicalize() {
            // A folder that cannot be read is like an empty one.
            let _ = descend(&root, &root, "", MAX_DEPTH, &mut files);
        }
        files
    });
    walked.await.unwrap_or_default()
}

fn look(root: &Path, name: String) -> io::Result<Option<Stored>> {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
    if !name.split('/').all(plain) {
        return Ok(None);
    }
    let root = root.canonicalize()?;
    let path = root.join(&name).canonicalize()?;
    if !path.starts_with(&root) {
        return Ok(None);
    }
    stored(name, path)
}

fn stored(name: String, path: PathBuf) -> io::Result<Option<Stored>> {
    let about = path.metadata()?;
    if !about.is_file() {
        return Ok(None);
    }
    Ok(Some(Stored::file(name, path, about.len(), about.modified()?)))
}

fn descend(
    root: &Path,
    folder: &Path,
    prefix: &str,
    depth: usize,
    files: &mut BTreeMap<String, Arc<Stored>>,
) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        if files.len() >= MAX_FILES || depth == 0 {
            break;
        }
        let entry = entry?;
        let Ok(file) = entry.file_name().into_string() else { continue };
        let (name, Ok(path)) = (format!("{prefix}{file}"), entry.path().canonicalize()) else { continue };
        if !path.starts_with(root) {
            continue;
        }
        if path.is_dir() {
            descend(root, &path, &format!("{name}/"), depth - 1, files)?;
        } else if let Ok(Some(object)) = stored(name, path) {
            files.insert(object.name.clone(), Arc::new(object));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_folder_is_an_object() {
        let outside = tempfile::tempdir().expect("a folder");
        let root = outside.path().join("root");
        std::fs::create_dir_all(root.join("sub")).expect("folders");
        std::fs::write(outside.path().join("secret"), "x").expect("a file");
        std::fs::write(root.join("sub/a.png"), "x").expect("a file");
        #[cfg(unix)]
        std::os::unix::fs::symlink(outside.path().join("secret"), root.join("link")).expect("a link");
        let found = |name: &str| look(&root, name.to_owned()).ok().flatten();
        let object = found("sub/a.png").expect("an object");
        assert_eq!(object.fields.content_type.as_deref(), Some("image/png"));
        for bad in ["../secret", "sub/../sub/a.png", "sub//a.png", "/etc/passwd", "link", "sub", "", "a\0"] {
            assert!(found(bad).is_none(), "{bad}");
        }
        let mut files = BTreeMap::new();
        let root = root.canonicalize().expect("a path");
        descend(&root, &root, "", 9, &mut files).expect("readable");
        assert_eq!(files.keys().collect::<Vec<_>>(), ["sub/a.png"]);
    }
}
