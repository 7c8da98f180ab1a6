//! Signed URLs that stay the same for a while, so that browsers' caches work.
//!
//! The signing time is rounded down to a window that every replica computes alike; RSA signatures are deterministic,
//! so all replicas with the same key give the byte-identical URL. The URL's life is the promised expiry plus the
//! window, so that at the window's end the promise still holds. Nothing expired is ever handed out.
//! What is known is found without a copy of what it is for; only who comes to have a URL signed waits for anybody.
//! Follows <https://cloud.google.com/storage/docs/access-control/signed-urls>.

mod key;

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ahash::RandomState;
use futures_util::future::Either;
use http::{HeaderValue, Method};
use moka::future::Cache;

use self::key::{Key, Wanted};
use super::recent::Recent;
use crate::gcs::{self, Endpoint, Signer};
use crate::object::{BucketName, ObjectName};

/// Signatures that those who came a moment late may still find where they would wait for them.
const JUST_SIGNED: u64 = 64;
/// Into how many parts the capacity is divided, and how many KiB a part has at least.
const PARTS: u64 = 16;
const PART: u64 = 256;
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

    /// The same, of a URL that is needed no more.
    pub fn into_location(self) -> HeaderValue {
        self.url
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

/// What a URL is wanted for: one object.
#[derive(Clone, Copy, Debug)]
pub struct UrlRequest<'a> {
    /// The connection's name; connections never share URLs.
    pub connection: &'a Arc<str>,
    /// The one method that the URL allows.
    pub method: &'a Method,
    /// Where GCS's XML API answers.
    pub endpoint: &'a Endpoint,
    /// The object's bucket.
    pub bucket: &'a BucketName,
    /// The object.
    pub object: &'a ObjectName,
    /// Further query parameters, such as a generation, a project or response headers, not encoded.
    pub query: &'a [(&'a str, &'a str)],
    /// The life that is promised.
    pub expires: Duration,
}

/// The least recently used URLs are forgotten first, by and large.
#[derive(Clone, Debug)]
pub struct SignedUrls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    known: Recent<Arc<Known>>,
    places: RandomState,
    /// Those that are being signed, so that whoever comes meanwhile waits.
    signing: Cache<Key, SignedUrl, RandomState>,
}

/// A URL, and what it was signed for.
#[derive(Debug)]
struct Known {
    key: Key,
    url: SignedUrl,
}

impl SignedUrls {
    /// An empty cache of up to `capacity` KiB.
    pub fn new(capacity: u64) -> Self {
        let places = RandomState::new();
        let signing = Cache::builder().max_capacity(JUST_SIGNED).build_with_hasher(places.clone());
        let known = Recent::new(capacity, (capacity / PART).min(PARTS));
        Self(Arc::new(Inner { known, places, signing }))
    }

    /// The URL of the window that `now` is in; however many wait for it, it is signed once.
    pub fn url<'a>(
        &'a self,
        signer: &'a Signer,
        request: UrlRequest<'a>,
        now: SystemTime,
    ) -> impl Future<Output = Result<SignedUrl, gcs::Error>> + 'a {
        let wanted = signer.known_email().and_then(|account| wanted((signer, account), request, now).ok());
        match wanted.and_then(|wanted| self.0.find(self.0.place(&wanted), &wanted)) {
            Some(known) => Either::Left(ready(Ok(known))),
            // Rare, and large enough to weigh on every request.
            None => Either::Right(Box::pin(self.0.sign(signer, request, now))),
        }
    }
}

fn wanted<'a>(
    (signer, account): (&Signer, &'a Arc<str>),
    request: UrlRequest<'a>,
    now: SystemTime,
) -> Result<Wanted<'a>, WindowError> {
    let window = SigningWindow::new(request.expires, signer.longest_life())?;
    let fingerprint = signer.fingerprint();
    Ok(Wanted { request, account, fingerprint, signed_at: window.at(now), life: window.life() })
}

impl Inner {
    fn place(&self, wanted: &Wanted<'_>) -> u64 {
        self.places.hash_one(wanted)
    }

    fn find(&self, place: u64, wanted: &Wanted<'_>) -> Option<SignedUrl> {
        self.known.find(place, |known| known.key.answers(wanted).then(|| known.url.clone()))
    }

    async fn sign(&self, signer: &Signer, request: UrlRequest<'_>, now: SystemTime) -> Result<SignedUrl, gcs::Error> {
        let account = signer.email().await?;
        let wanted = wanted((signer, &account), request, now).map_err(refused)?;
        let place = self.place(&wanted);
        if let Some(known) = self.find(place, &wanted) {
            return Ok(known);
        }
        let key = wanted.to_key();
        let draft = key.sign.draft(&key.account, key.signed_at).map_err(refused)?;
        let signing = async {
            // It may have become known since it was looked for.
            if let Some(known) = self.find(place, &wanted) {
                return Ok(known);
            }
            let signature = signer.sign(draft.string_to_sign().as_bytes()).await?;
            let mut url = HeaderValue::try_from(draft.into_url(&signature)).map_err(refused)?;
            url.set_sensitive(true);
            let known =
                Known { url: SignedUrl { url, expires_at: key.signed_at + key.sign.expires }, key: key.clone() };
            let (url, weight) = (known.url.clone(), known.kibibytes());
            self.known.keep(place, Arc::new(known), weight);
            Ok(url)
        };
        let url = self.signing.try_get_with_by_ref(&key, signing).await;
        url.map_err(|error| gcs::Error::Signature(gcs::Error::shared_cause(&error)))
    }
}

impl Known {
    /// What an entry takes, its place included.
    fn kibibytes(&self) -> u32 {
        const OVERHEAD: usize = 512;
        let sign = &self.key.sign;
        let name = sign.object.as_ref().map_or(0, |object| object.as_str().len());
        let query: usize = sign.query.iter().map(|(name, value)| name.len() + value.len()).sum();
        u32::try_from((OVERHEAD + name + query + self.url.url.len()).div_ceil(1024)).unwrap_or(u32::MAX)
    }
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
