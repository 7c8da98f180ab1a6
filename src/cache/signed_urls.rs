//! Signed URLs that stay the same for a while, so that browsers' caches work.
//!
//! The signing time is rounded down to a window that every replica computes alike; RSA signatures are deterministic,
//! so all replicas with the same key give the byte-identical URL. The URL's life is the promised expiry plus the
//! window, so that at the window's end the promise still holds. Nothing expired is ever handed out.
//! Follows <https://cloud.google.com/storage/docs/access-control/signed-urls>.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ahash::RandomState;
use http::HeaderValue;
use moka::future::Cache;
use moka::policy::EvictionPolicy;

use crate::gcs::{self, Signer, sign};

const MINUTE: Duration = Duration::from_mins(1);
const SECOND: Duration = Duration::from_secs(1);

/// For how long the same URL is handed out: as long as the expiry, a minute at least, an expiry's rest at most.
///
/// A window as long as the expiry doubles the URL's life and lets a browser reuse what it has for as long as the
/// operator lets a URL live anyway. Where expiry and window together would outlive the signature, the window gives way;
/// with an expiry of exactly the longest life it is one second, and the life left may be short by that second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningWindow {
    length: Duration,
    life: Duration,
}

/// An expiry that no signature lives for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signed_url_expiry is {expiry:?}, but must be from 1 s to {longest:?} for URLs signed by this credential")]
pub struct WindowError {
    /// What was asked for.
    pub expiry: Duration,
    /// What the signer can do.
    pub longest: Duration,
}

impl SigningWindow {
    /// The window for URLs that live for `expiry` at least and `longest` at most, both in whole seconds.
    pub fn new(expiry: Duration, longest: Duration) -> Result<Self, WindowError> {
        if expiry < SECOND || expiry > longest {
            return Err(WindowError { expiry, longest });
        }
        let whole = Duration::from_secs(expiry.as_secs() + u64::from(expiry.subsec_nanos() > 0)).min(longest);
        let length = whole.max(MINUTE).min(Duration::from_secs(longest.saturating_sub(whole).as_secs())).max(SECOND);
        Ok(Self { length, life: (whole + length).min(longest) })
    }

    /// The signing time: the start of the window that `now` is in.
    pub fn at(self, now: SystemTime) -> SystemTime {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        UNIX_EPOCH + Duration::from_secs(since - since % self.length.as_secs().max(1))
    }

    /// The life of a URL, counted from the signing time.
    pub fn life(self) -> Duration {
        self.life
    }
}

/// A URL that gives whoever has it access to one object; its text is a secret until it expires.
#[derive(Clone)]
pub struct SignedUrl {
    url: HeaderValue,
    expires_at: SystemTime,
}

impl SignedUrl {
    /// The value of a `Location` header; marked sensitive.
    pub fn location(&self) -> HeaderValue {
        self.url.clone()
    }

    /// When GCS stops accepting the URL.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedUrl").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// What a URL is wanted for.
#[derive(Clone, Debug)]
pub struct UrlRequest {
    /// The connection's name; connections never share URLs.
    pub connection: Arc<str>,
    /// What is signed; its `expires` is the life that is promised. A generation, a project or response headers stand
    /// in its `query`.
    pub sign: sign::Request,
}

/// The least recently used URLs are forgotten first.
#[derive(Clone, Debug)]
pub struct SignedUrls {
    urls: Cache<Key, SignedUrl, RandomState>,
}

/// All that a URL hangs on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    connection: Arc<str>,
    account: Arc<str>,
    /// The signer's.
    fingerprint: [u8; 32],
    sign: sign::Request,
    signed_at: SystemTime,
}

impl SignedUrls {
    /// An empty cache of up to `capacity` KiB.
    pub fn new(capacity: u64) -> Self {
        // LRU: the default policy may refuse new keys, and then every request for them would be signed anew.
        let urls = Cache::builder().max_capacity(capacity).weigher(kibibytes).eviction_policy(EvictionPolicy::lru());
        Self { urls: urls.build_with_hasher(RandomState::new()) }
    }

    /// The URL of the window that `now` is in; however many wait for it, it is signed once.
    pub async fn url(&self, signer: &Signer, request: UrlRequest, now: SystemTime) -> Result<SignedUrl, gcs::Error> {
        let UrlRequest { connection, mut sign } = request;
        let window = SigningWindow::new(sign.expires, signer.longest_life()).map_err(refused)?;
        sign.expires = window.life();
        let (account, fingerprint) = (signer.email().await?, signer.fingerprint());
        let key = Key { connection, account, fingerprint, sign, signed_at: window.at(now) };
        if let Some(known) = self.urls.get(&key).await {
            return Ok(known);
        }
        // Rare, and large enough to weigh on every request.
        Box::pin(self.sign(signer, key)).await
    }

    async fn sign(&self, signer: &Signer, key: Key) -> Result<SignedUrl, gcs::Error> {
        let Key { sign, signed_at, account, .. } = &key;
        let draft = sign.draft(account, *signed_at).map_err(refused)?;
        let expires_at = *signed_at + sign.expires;
        let signing = async {
            let signature = signer.sign(draft.string_to_sign().as_bytes()).await?;
            let mut url = HeaderValue::try_from(draft.into_url(&signature)).map_err(refused)?;
            url.set_sensitive(true);
            Ok(SignedUrl { url, expires_at })
        };
        let url = self.urls.try_get_with(key, signing).await;
        url.map_err(|error| gcs::Error::Signature(gcs::Error::shared_cause(&error)))
    }
}

/// What an entry takes, the queue's places included.
fn kibibytes(key: &Key, url: &SignedUrl) -> u32 {
    const OVERHEAD: usize = 512;
    let name = key.sign.object.as_ref().map_or(0, |object| object.as_str().len());
    let query: usize = key.sign.query.iter().map(|(name, value)| name.len() + value.len()).sum();
    u32::try_from((OVERHEAD + name + query + url.url.len()).div_ceil(1024)).unwrap_or(u32::MAX)
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> gcs::Error {
    gcs::Error::Signature(Box::new(error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn the_window_is_the_expiry_within_its_bounds() {
        for (expiry, longest, length, life) in [
            (900, 7 * DAY, 900, 1800),
            (1, 7 * DAY, 60, 61),
            (10 * 3600, 12 * 3600, 2 * 3600, 12 * 3600),
            (12 * 3600 - 5, 12 * 3600, 5, 12 * 3600),
            (7 * DAY, 7 * DAY, 1, 7 * DAY),
        ] {
            let window = SigningWindow::new(Duration::from_secs(expiry), Duration::from_secs(longest));
            let expected = SigningWindow { length: Duration::from_secs(length), life: Duration::from_secs(life) };
            assert_eq!(window, Ok(expected), "{expiry}");
        }
    }

    #[test]
    fn an_expiry_that_nothing_lives_for_is_refused() {
        let longest = Duration::from_hours(12);
        for expiry in [Duration::ZERO, Duration::from_millis(999), longest + Duration::from_nanos(1), Duration::MAX] {
            assert_eq!(SigningWindow::new(expiry, longest), Err(WindowError { expiry, longest }));
        }
    }

    proptest! {
        #[test]
        fn what_is_promised_is_left_at_any_time(expiry in 1..7 * DAY, now in 0..4_000_000_000_000_u64) {
            let (expiry, now) = (Duration::from_secs(expiry), UNIX_EPOCH + Duration::from_millis(now));
            let longest = Duration::from_secs(7 * DAY);
            let window = SigningWindow::new(expiry, longest).expect("a legal expiry");
            let start = window.at(now);
            prop_assert!(start <= now && window.life() <= longest);
            prop_assert!(start + window.life() >= now + expiry);
            prop_assert_eq!(window.at(start), start);
        }
    }
}
