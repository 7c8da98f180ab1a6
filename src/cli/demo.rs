//! `gsgate demo`: everything in one process, without an account, a network or a configuration.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{Failure, serve};
use crate::demo::{Demo, DemoError, Options, PageCors, example_in_folder};
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Address of the gateway.
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = local(8080))]
    listen: SocketAddr,
    /// Address of the page: another origin than the gateway's, as an annotation UI is.
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = local(8081))]
    page_listen: SocketAddr,
    /// Address of the admin listener.
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = local(9090))]
    admin_listen: SocketAddr,
    /// A folder of your own files to serve as a bucket, too.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Put so many small objects into the bucket demo-many of the embedded GCS, readable by anyone; for measurements.
    #[arg(long, value_name = "N", default_value_t = 0, hide = true)]
    objects: u64,
    /// How far away the embedded GCS is: it waits so long before each answer; for measurements.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, hide = true)]
    latency: Option<Duration>,
    /// Leave the page's origin out of the CORS rules, to see what that breaks.
    #[arg(long)]
    without_cors: bool,
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    telemetry::init(&telemetry::Config::quiet(), None).map_err(Failure::runtime)?;
    let options = Options {
        listen: arguments.listen,
        admin_listen: arguments.admin_listen,
        page_listen: arguments.page_listen,
        data: arguments.data,
        objects: arguments.objects,
        latency: arguments.latency,
        cors: if arguments.without_cors { PageCors::Refused } else { PageCors::Allowed },
    };
    let signals = serve::signals()?;
    let demo = Demo::start(&options).await.map_err(|error| match error {
        DemoError::Gateway(error) => error.into(),
        error => Failure::runtime(format!("{:#}", anyhow::Error::new(error))),
    })?;
    println!("{}", greeting(&demo, &options));
    let Demo { app, scenery: _scenery, .. } = demo;
    serve::until_signalled(app, signals).await
}

fn greeting(demo: &Demo, options: &Options) -> String {
    let Demo { gateway, page, console, .. } = demo;
    let mut text = format!(
        "gsgate demo: sample media in an embedded GCS, a gateway in front of it, a page on another origin.\n\n  \
           page     {page}\n  \
           gateway  {gateway}\n  \
           console  {console}  the operator's page: test, preview, manifests, figures\n\n\
         Try:\n  \
           curl -i {gateway}/proxy/images/crossing.jpg -o /dev/null\n  \
           curl -i -H 'Range: bytes=0-99' -H 'Origin: {page}' {gateway}/auto/video/a%20drive.mp4 -o /dev/null\n  \
           curl -i {gateway}/signed/images/night.jpg\n"
    );
    if options.objects > 0 {
        text = text + "\nstorage " + &demo.scenery.storage.endpoint() + "\n";
    }
    if let Some(folder) = &options.data {
        let example = example_in_folder(gateway, folder);
        text += "\nYour files: ";
        text += example.as_deref().unwrap_or("the folder has none yet");
        text += "\n";
    }
    text += "\nCtrl-C ends it.";
    text
}
