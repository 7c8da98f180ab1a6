//! The demo: sample media in an embedded GCS, a gateway in front of it and a page on a second origin.
//!
//! This room holds what is shown and the configuration it is shown with; it opens no bucket of anyone's.

mod page_server;
mod running;
mod samples;

pub use page_server::{Origins, PageServer};
pub use running::{Demo, DemoError, Options, example_in_folder};
pub use samples::{SAMPLES, Sample};

/// The bucket that the demo's connections read.
pub const BUCKET: &str = "demo-media";

/// The demo's connections, in the order the page shows them.
pub const CONNECTIONS: [&str; 3] = ["proxy", "signed", "auto"];

/// The bucket that the user's own folder is served as.
pub const FOLDER_BUCKET: &str = "demo-folder";

/// The connection that serves the user's own folder.
pub const FOLDER: &str = "folder";

/// The bucket of `--objects`: many, and readable by anyone.
pub const MANY_BUCKET: &str = "demo-many";

/// From this size on the connection `auto` redirects; the sample video is larger.
pub const REDIRECT_ABOVE: &str = "80 KiB";

/// Whether the page's origin may read the gateway's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageCors {
    /// As it should be: the page's origin, and no other, is allowed.
    Allowed,
    /// For comparison: the page turns red.
    Refused,
}

/// What the demo's configuration depends on.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// Where the gateway listens, such as `127.0.0.1:8080`.
    pub listen: &'a str,
    /// Where the admin listener listens.
    pub admin_listen: &'a str,
    /// The embedded GCS, such as `http://127.0.0.1:9000`.
    pub storage: &'a str,
    /// The service-account key that the embedded GCS knows.
    pub key_file: &'a str,
    /// The origin of the page.
    pub page_origin: &'a str,
    /// The origin of the operator's page, where it is known; it may read texts, too.
    pub console_origin: Option<&'a str>,
    /// Whether the user's own folder is served, too.
    pub folder: bool,
    /// Whether the page may read the gateway's answers.
    pub cors: PageCors,
}

impl Settings<'_> {
    /// The demo's configuration file.
    pub fn to_toml(&self) -> String {
        let origin = match self.cors {
            PageCors::Allowed => self.page_origin,
            PageCors::Refused => "https://elsewhere.example",
        };
        let origins: Vec<_> = [Some(origin), self.console_origin].into_iter().flatten().collect();
        let [listen, admin, storage, key] =
            [self.listen, self.admin_listen, self.storage, self.key_file].map(toml::Value::from);
        let origins = toml::Value::from(origins);
        let mut text = format!(
            "[server]\nlisten = {listen}\n\n[admin]\nlisten = {admin}\n\n[access]\nallow = \"anyone\"\n\n\
             [cors]\norigins = {origins}\nexpose_headers = [{EXPOSED}]\n\n[gcs]\nendpoint = {storage}\n\n\
             [credentials.default]\nsource = \"file\"\npath = {key}\n"
        );
        let connections = [("proxy", "proxy"), ("signed", "signed-url"), ("auto", "auto")].map(|(name, delivery)| {
            format!(
                "\n[connections.{name}]\nuri = \"gs://{BUCKET}/\"\ndelivery = \"{delivery}\"\n\
                 redirect_above = \"{REDIRECT_ABOVE}\"\n"
            )
        });
        let folder = format!("\n[connections.{FOLDER}]\nuri = \"gs://{FOLDER_BUCKET}/\"\n");
        text += &connections.concat();
        text += if self.folder { &folder } else { "" };
        text
    }
}

const EXPOSED: &str = "\"content-range\", \"accept-ranges\", \"content-length\", \"etag\", \"last-modified\", \
                       \"x-goog-generation\", \"x-gsgate-delivery\", \"content-security-policy\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_toml_and_names_the_connections() {
        let settings = Settings {
            listen: "127.0.0.1:1",
            admin_listen: "127.0.0.1:2",
            storage: "http://127.0.0.1:3",
            key_file: "C:\\keys\\demo.json",
            page_origin: "http://127.0.0.1:4",
            console_origin: Some("http://127.0.0.1:2"),
            folder: true,
            cors: PageCors::Allowed,
        };
        let config: toml::Table = settings.to_toml().parse().expect("TOML");
        assert_eq!(config["credentials"]["default"]["path"].as_str(), Some(settings.key_file));
        assert_eq!(config["cors"]["origins"][0].as_str(), Some(settings.page_origin));
        assert_eq!(config["cors"]["origins"][1].as_str(), settings.console_origin);
        for name in CONNECTIONS {
            assert_eq!(config["connections"][name]["uri"].as_str(), Some("gs://demo-media/"));
        }
    }
}
