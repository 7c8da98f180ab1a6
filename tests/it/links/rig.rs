//! A gateway that takes links, and a signer with the same keys.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use gsgate::emulator::{Object, Operation};
use gsgate::gateway::links::{Expiry, Key, Keyring, Links, Scope, Target, Terms};
use gsgate::gateway::subject::Subject;
use gsgate::object::{BucketName, ObjectName, ObjectPrefix};
use tempfile::TempDir;

use crate::support::gateway::{BUCKET, Builder};
use crate::support::{Answer, TestGateway};

/// The test's own peer may speak for any address.
pub(super) const TRUSTING: &str =
    "[server]\nlisten = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\n[cors]\norigins = [\"https://ui.example\"]";

/// A running gateway, its keys and its revocation list.
pub(super) struct Rig {
    pub(super) gateway: TestGateway,
    pub(super) folder: TempDir,
}

/// A key's text: 256 bits of one digit.
pub(super) fn key_text(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// Links of the key `id`.
pub(super) fn signing(id: &str, digit: char) -> Links {
    let key = Key::read(id.parse().unwrap(), &key_text(digit), None).unwrap();
    Links::new(Keyring::new([key]), Duration::ZERO)
}

/// An hour, from anywhere, for nobody in particular.
pub(super) fn terms() -> Terms {
    Terms { expires: Expiry::In(Duration::from_hours(1)), not_before: None, networks: Vec::new(), subject: None }
}

pub(super) fn for_subject(name: &str) -> Terms {
    Terms { subject: Some(Subject::new(name).unwrap()), ..terms() }
}

/// A token for an object of the connection `media`, as of `now`.
pub(super) fn token_at(links: &Links, terms: &Terms, object: &str, now: SystemTime) -> String {
    let (bucket, object) = (BucketName::new(BUCKET).unwrap(), ObjectName::new(object).unwrap());
    let scope = Scope { connection: "media", bucket: &bucket, target: Target::Object(&object) };
    links.signer(terms, now).unwrap().sign(scope).token().to_owned()
}

/// A token of the key `k1` for an object of the connection `media`.
pub(super) fn token(terms: &Terms, object: &str) -> String {
    token_at(&signing("k1", 'a'), terms, object, SystemTime::now())
}

/// The same for everything under a prefix.
pub(super) fn tree_token(terms: &Terms, prefix: &str) -> String {
    let (bucket, prefix) = (BucketName::new(BUCKET).unwrap(), ObjectPrefix::new(prefix).unwrap());
    let scope = Scope { connection: "media", bucket: &bucket, target: Target::Prefix(&prefix) };
    signing("k1", 'a').signer(terms, SystemTime::now()).unwrap().sign(scope).token().to_owned()
}

impl Rig {
    /// `[connections.media]` with these keys, and links of `k1`.
    pub(super) async fn start(connection: &str) -> Self {
        Self::with(connection, |builder| builder).await
    }

    /// The same, changed further.
    pub(super) async fn with(connection: &str, change: impl FnOnce(Builder) -> Builder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_key(&folder, "k1", 'a');
        std::fs::write(folder.path().join("revoked.txt"), "# nobody\n").unwrap();
        let mut links = format!("[links]\nkeys = [{}]\n", key_entry(&folder, "k1"));
        writeln!(links, "revoked = '{}'", folder.path().join("revoked.txt").display()).unwrap();
        let builder = TestGateway::builder().await.connection(connection).sections(TRUSTING).sections(&links);
        let gateway = change(builder).start().await;
        gateway.put("a", Object::bytes("bytes of a"));
        Self { gateway, folder }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts another revocation list in place, at once.
    pub(super) fn revoke(&self, list: &str) {
        let fresh = self.path("revoked.new");
        std::fs::write(&fresh, list).unwrap();
        std::fs::rename(fresh, self.path("revoked.txt")).unwrap();
    }

    /// GET by an address.
    pub(super) async fn from(&self, address: &str, target: &str) -> Answer {
        self.gateway.client.get(target, &[("x-forwarded-for", address), ("origin", "https://ui.example")]).await
    }

    /// Asserts that the target gives the one answer that all bad links give, and that GCS was not asked.
    pub(super) async fn refuses(&self, target: &str, why: &str) {
        let before = self.gateway.gcs.count(Operation::Media) + self.gateway.gcs.count(Operation::Metadata);
        let answer = self.from("203.0.113.9", target).await;
        assert_eq!(answer.status, 403, "{why}: {target}");
        assert_eq!(answer.code(), "link_invalid", "{why}");
        assert_eq!(answer.header("access-control-allow-origin"), "https://ui.example", "{why}");
        let after = self.gateway.gcs.count(Operation::Media) + self.gateway.gcs.count(Operation::Metadata);
        assert_eq!(before, after, "{why}: GCS was asked");
    }
}

/// Writes a key that nobody else can read.
pub(super) fn write_key(folder: &TempDir, id: &str, digit: char) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.path().join(format!("{id}.key"));
    std::fs::write(&path, key_text(digit)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// An entry of `links.keys`.
pub(super) fn key_entry(folder: &TempDir, id: &str) -> String {
    format!("{{ id = {id:?}, file = '{}' }}", folder.path().join(format!("{id}.key")).display())
}
