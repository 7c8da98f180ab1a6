//! The configuration file: good, or an error that names the file.

use std::path::Path;

use gsgate::config::{Config, Environment};

/// The file's text. Keys that name other files are left out: only the text is of interest.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if text.contains("file") || text.contains('\\') {
        return;
    }
    if let Err(error) = Config::parse(Path::new("gsgate.toml"), text.to_owned(), &Environment::default()) {
        assert!(error.to_string().contains("gsgate.toml"), "{error}");
    }
}
