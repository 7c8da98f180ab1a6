//! TLS of the public listener: the certificate in force, and how a new one takes its place.
//!
//! A reload changes what new handshakes see; connections that are open keep theirs.
//! A certificate that cannot be used never replaces one that can.
//! TLS 1.2 and 1.3 with aws-lc-rs; HTTP/2 before HTTP/1.1 by ALPN: <https://www.rfc-editor.org/rfc/rfc7301>.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use crate::server::TlsConfig;

/// No certificate chain and no key is larger.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// A file beyond all measure.
    #[error("{} is larger than 1 MiB", .0.display())]
    TooLarge(PathBuf),
    /// A file without a certificate.
    #[error("{} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", .0.display())]
    NoCertificate(PathBuf),
    /// A file without a key.
    #[error("{} holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)", .0.display())]
    NoKey(PathBuf),
    /// A certificate of another key.
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A certificate or key that rustls does not take.
    #[error("the certificate in {} and the key in {} are of no use", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        #[source]
        source: rustls::Error,
    },
    /// No protocol version is left.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// The listener's TLS; clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    files: TlsConfig,
    provider: Arc<CryptoProvider>,
    certificate: Arc<Certificate>,
    acceptor: TlsAcceptor,
}

/// The certificate that new handshakes get.
struct Certificate(ArcSwap<CertifiedKey>);

impl Tls {
    /// Reads both files and sets TLS up.
    pub fn load(files: &TlsConfig) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificate = Arc::new(Certificate(ArcSwap::from_pointee(certified_key(files, &provider)?)));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(Error::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { files: files.clone(), provider, certificate, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Reads both files again; after an error the certificate in force stays.
    pub fn reload(&self) -> Result<(), Error> {
        self.certificate.0.store(Arc::new(certified_key(&self.files, &self.provider)?));
        Ok(())
    }

    /// The files whose change calls for a reload.
    pub fn files(&self) -> [&Path; 2] {
        [&self.files.certificate, &self.files.private_key]
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}

fn certified_key(files: &TlsConfig, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
    let (certificate, key) = (&files.certificate, &files.private_key);
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|_| Error::NoCertificate(certificate.clone()))?;
    if chain.is_empty() {
        return Err(Error::NoCertificate(certificate.clone()));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| Error::NoKey(key.clone()))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|source| match source {
        rustls::Error::InconsistentKeys(_) => Error::Mismatch { certificate: certificate.clone(), key: key.clone() },
        source => Error::Unusable { certificate: certificate.clone(), key: key.clone(), source },
    })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut bytes = Zeroizing::new(Vec::new());
    let read = File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if read as u64 > LARGEST_FILE { Err(Error::TooLarge(path.to_owned())) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn every_way_to_get_it_wrong_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let files =
            TlsConfig { certificate: folder.path().join("tls.crt"), private_key: folder.path().join("tls.key") };
        let ((certificate, key), (_, other)) = (pair(), pair());
        let refused = || Tls::load(&files).unwrap_err().to_string();
        assert!(refused().contains("cannot read") && refused().contains("tls.crt"), "{}", refused());
        fs::write(&files.certificate, &key).unwrap();
        assert!(refused().contains("tls.crt holds no certificate"), "{}", refused());
        fs::write(&files.certificate, &certificate).unwrap();
        assert!(refused().contains("tls.key"), "{}", refused());
        fs::write(&files.private_key, &certificate).unwrap();
        assert!(refused().contains("tls.key holds no private key"), "{}", refused());
        fs::write(&files.private_key, &other).unwrap();
        assert!(refused().contains("does not belong"), "{}", refused());
        fs::write(&files.private_key, key).unwrap();
        let tls = Tls::load(&files).unwrap();
        fs::write(&files.private_key, other).unwrap();
        assert!(tls.reload().is_err());
        fs::write(&files.private_key, vec![b'x'; 1024 * 1024 + 1]).unwrap();
        assert!(refused().contains("larger than 1 MiB"), "{}", refused());
    }
}
