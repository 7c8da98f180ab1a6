//! `gsgate label-studio key`: a key for Label Studio's own Cloud Storage client, which nobody trusts but the gateway.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::app::Source;
use crate::cli::{ConfigArgument, Failure};
use crate::config::Environment;
use crate::label_studio::storage::{NewKey, PATH, TOKEN};
use crate::server::PublicUrl;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where the key file goes that Label Studio gets; the public half goes beside it, and ends in .pub.
    #[arg(value_name = "FILE", default_value = "label-studio-key.json")]
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArgument,
    /// How Label Studio and browsers reach the gateway, in place of `server.public_url`.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

pub(super) fn run(arguments: Arguments, environment: Environment) -> Result<(), Failure> {
    let Arguments { file, config, public_url } = arguments;
    let base = match public_url {
        Some(url) => PublicUrl::try_from(url).map_err(|why| Failure::usage(format!("--public-url: {why}")))?,
        None => configured(&config, environment)?,
    };
    let endpoint = format!("{}{PATH}", base.as_str().trim_end_matches('/'));
    let public = file.with_extension("pub");
    if public == file {
        return Err(Failure::usage("FILE must not end in .pub: the public half goes there"));
    }
    let key = NewKey::generate().map_err(Failure::runtime)?;
    write(&file, key.file(&format!("{endpoint}{TOKEN}")).as_bytes(), Readers::Owner)?;
    write(&public, key.public_pem().as_bytes(), Readers::All).inspect_err(|_| {
        // Half a key is of no use to anybody.
        let _ = std::fs::remove_file(&file);
    })?;
    tell(&file, &public, &endpoint);
    Ok(())
}

fn configured(config: &ConfigArgument, environment: Environment) -> Result<PublicUrl, Failure> {
    let resolved = Source::file(&config.config, environment).load()?;
    resolved.config.server.public_url.clone().ok_or_else(|| {
        let cure = "it is not set, but the key file has to say where tokens are had; add public_url = \
                    \"https://label.example.com\" to [server], or give --public-url";
        resolved.origin.error(["server", "public_url"].map(str::to_owned).to_vec(), cure.to_owned()).into()
    })
}

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    Owner,
    All,
}

fn write(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), Failure> {
    let written = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, if readers == Readers::Owner { 0o600 } else { 0o644 });
        let mut file = options.open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    written().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::runtime(format!("{} exists; name a file that does not", path.display()))
        }
        _ => Failure::runtime(format!("cannot write {}: {error}", path.display())),
    })
}

/// What to do with the two halves; never what is in them.
fn tell(file: &Path, public: &Path, endpoint: &str) {
    let (file, public) = (file.display(), public.display());
    println!(
        "{file}: the private half, for Label Studio alone. Paste it as Google Application Credentials of each storage,\n\
         then keep it elsewhere or delete it: gsgate does not need it.\n\
         {public}: the public half, for gsgate:\n\n\
         [label_studio.storage]\n\
         keys = [\"{public}\"]                # add to those that are there; take old ones out later\n\
         connections = [\"…\"]                # what Label Studio may read\n\
         export = []                        # what it may write to\n\n\
         Label Studio's environment:\n\n\
         STORAGE_EMULATOR_HOST={endpoint}\n\
         RESOLVER_PROXY_GCS_DOWNLOAD_URL={endpoint}/download/storage/v1/b/{{bucket_name}}/o/{{blob_name}}?alt=media"
    );
}
