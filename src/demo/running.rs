//! Starting the demo: the embedded GCS, the gateway and the page, each on a socket of its own, in one process.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{
    BUCKET, CONNECTIONS, FOLDER, FOLDER_BUCKET, MANY_BUCKET, Origins, PageCors, PageServer, SAMPLES, Settings,
};
use crate::app::{App, Source, StartError};
use crate::config::Environment;
use crate::emulator::{self, Emulator, Object};

/// What the demo is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Where the admin listener listens.
    pub admin_listen: SocketAddr,
    /// Where the page listens.
    pub page_listen: SocketAddr,
    /// A folder of one's own to serve as a bucket, too.
    pub data: Option<PathBuf>,
    /// Small objects in a further bucket, to list.
    pub objects: u64,
    /// How long the embedded GCS waits before each answer.
    pub latency: Option<Duration>,
    /// Whether the page may read the gateway's answers.
    pub cors: PageCors,
}

/// Why the demo cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The page's port.
    #[error("cannot listen on {address} for the page; is the port in use? --page-listen names another")]
    Page {
        /// The address.
        address: SocketAddr,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The folder.
    #[error("--data: {} is no folder that can be read", .0.display())]
    Folder(PathBuf),
    /// The embedded GCS.
    #[error("cannot start the embedded storage")]
    Storage(#[from] emulator::Error),
    /// The key file.
    #[error("cannot write the demo's key to a temporary file")]
    Key(#[source] io::Error),
    /// The gateway.
    #[error(transparent)]
    Gateway(#[from] StartError),
}

/// A demo whose sockets are bound; the gateway is served by running [`Demo::app`].
#[derive(Debug)]
pub struct Demo {
    /// The gateway.
    pub app: App,
    /// The gateway's URL.
    pub gateway: String,
    /// The page's URL.
    pub page: String,
    /// The URL of the operator's page.
    pub console: String,
    /// All the rest.
    pub scenery: Scenery,
}

impl Demo {
    /// Fills the bucket and binds everything.
    pub async fn start(options: &Options) -> Result<Self, DemoError> {
        let page_error = |source| DemoError::Page { address: options.page_listen, source };
        let page = TcpListener::bind(options.page_listen).await.map_err(page_error)?;
        let page_url = format!("http://{}", page.local_addr().map_err(page_error)?);
        let storage = Emulator::builder().listen((Ipv4Addr::LOCALHOST, 0).into());
        let storage = match options.latency {
            Some(latency) => storage.latency(latency).start().await?,
            None => storage.start().await?,
        };
        fill(&storage, options)?;
        let key = key_file(&storage)?;
        let known = (options.admin_listen.port() != 0).then_some(options.admin_listen);
        let console_origin = known.map(|address| format!("http://{address}"));
        let settings = Settings {
            listen: &options.listen.to_string(),
            admin_listen: &options.admin_listen.to_string(),
            storage: &storage.endpoint(),
            key_file: &key.path().display().to_string(),
            page_origin: &page_url,
            console_origin: console_origin.as_deref(),
            folder: options.data.is_some(),
            cors: options.cors,
        };
        let app = App::build(Source::text("demo", settings.to_toml(), Environment::default())).await?;
        let address = app.public_addrs().first().copied().unwrap_or(options.listen);
        let gateway = format!("http://{address}");
        let console = format!("http://{}", app.admin_addrs().first().copied().unwrap_or(options.admin_listen));
        let origins = Origins { gateway: gateway.clone(), storage: storage.endpoint() };
        let server = PageServer::on(page, &origins, &CONNECTIONS).map_err(page_error)?;
        let page_task = tokio::spawn(async move {
            server.run().await;
        });
        let scenery = Scenery { _page: Task(page_task), _key: key, storage };
        Ok(Self { app, gateway, page: page_url, console, scenery })
    }
}

/// Ends a task when dropped.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What must live as long as the demo is shown: the page, and the key that the gateway reads.
#[derive(Debug)]
pub struct Scenery {
    _page: Task,
    _key: NamedTempFile,
    /// The embedded GCS.
    pub storage: Emulator,
}

fn fill(storage: &Emulator, options: &Options) -> Result<(), DemoError> {
    let bucket = storage.bucket(BUCKET);
    for sample in SAMPLES {
        let object = Object::bytes(sample.bytes).content_type(sample.content_type);
        let object = match sample.content_encoding {
            Some(encoding) => object.content_encoding(encoding),
            None => object,
        };
        bucket.put(sample.name, object);
    }
    if options.objects > 0 {
        let many = storage.bucket(MANY_BUCKET);
        many.set_public();
        for number in 0..options.objects {
            let name = format!("camera-{:02}/2026-11-{:02}/frame_{number:08}.jpg", number % 7, number % 30 + 1);
            many.put(name, Object::bytes(&b"frame"[..]).content_type("image/jpeg"));
        }
    }
    if let Some(folder) = &options.data {
        if !folder.is_dir() || std::fs::read_dir(folder).is_err() {
            return Err(DemoError::Folder(folder.clone()));
        }
        storage.bucket(FOLDER_BUCKET).serve_folder(folder);
    }
    Ok(())
}

/// The key of the embedded GCS's service account, readable for this user alone.
fn key_file(storage: &Emulator) -> Result<NamedTempFile, DemoError> {
    let json = storage.service_account_json()?;
    let mut file = NamedTempFile::with_prefix("gsgate-demo-").map_err(DemoError::Key)?;
    file.write_all(json.as_bytes()).map_err(DemoError::Key)?;
    Ok(file)
}

/// The URL of the first file in the user's own folder, as an example.
pub fn example_in_folder(gateway: &str, folder: &std::path::Path) -> Option<String> {
    let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let mut names: Vec<String> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    let name = crate::object::ObjectName::new(names.into_iter().next()?).ok()?;
    Some(format!("{gateway}/{FOLDER}/{}", name.as_path()))
}
