//! All that a signed URL hangs on: as a question, which borrows it, and as it is kept.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::UrlRequest;
use crate::gcs::sign::{Request, Style};

/// A question for a URL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) request: UrlRequest<'a>,
    pub(super) account: &'a Arc<str>,
    /// The signer's.
    pub(super) fingerprint: [u8; 32],
    pub(super) signed_at: SystemTime,
    /// Counted from the signing time.
    pub(super) life: Duration,
}

/// What a URL was signed for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    connection: Arc<str>,
    pub(super) account: Arc<str>,
    fingerprint: [u8; 32],
    pub(super) sign: Request,
    pub(super) signed_at: SystemTime,
}

/// Only what tells apart the URLs of one connection; the rest is the same for almost all of them.
impl Hash for Wanted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let UrlRequest { connection, object, query, .. } = self.request;
        (connection, object, query, self.signed_at).hash(state);
    }
}

impl Wanted<'_> {
    pub(super) fn to_key(self) -> Key {
        let UrlRequest { connection, method, endpoint, bucket, object, query, expires: _ } = self.request;
        let query = query.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let sign = Request {
            method: method.clone(),
            endpoint: endpoint.clone(),
            style: Style::Path,
            bucket: bucket.clone(),
            object: Some(object.clone()),
            query,
            headers: Vec::new(),
            expires: self.life,
        };
        let Self { account, fingerprint, signed_at, .. } = self;
        Key { connection: Arc::clone(connection), account: Arc::clone(account), fingerprint, sign, signed_at }
    }
}

impl Key {
    /// Whether this is what a question would be kept under.
    pub(super) fn answers(&self, wanted: &Wanted<'_>) -> bool {
        let Self { connection, account, fingerprint, sign, signed_at } = self;
        let UrlRequest { method, endpoint, bucket, object, query, .. } = wanted.request;
        sign.object.as_ref() == Some(object)
            && *signed_at == wanted.signed_at
            && connection == wanted.request.connection
            && sign.expires == wanted.life
            && sign.query.iter().map(|(name, value)| (&**name, &**value)).eq(query.iter().copied())
            && *fingerprint == wanted.fingerprint
            && account == wanted.account
            && sign.method == *method
            && sign.bucket == *bucket
            && sign.endpoint.scheme() == endpoint.scheme()
            // Spelled alike, which is more than equal and takes no look at each letter.
            && sign.endpoint.authority().as_str() == endpoint.authority().as_str()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};
    use std::time::UNIX_EPOCH;

    use http::Method;

    use super::*;
    use crate::gcs::Endpoint;
    use crate::object::{BucketName, ObjectName};

    #[test]
    fn a_key_answers_the_question_it_was_made_of_and_no_other() {
        let names: [Arc<str>; 2] = ["one".into(), "two".into()];
        let endpoints = [Endpoint::default(), "https://storage.example".parse().unwrap()];
        let buckets = ["bucket", "basket"].map(|name| BucketName::new(name).unwrap());
        let objects = ["a", "b"].map(|name| ObjectName::new(name).unwrap());
        let wanted = Wanted {
            request: UrlRequest {
                connection: &names[0],
                method: &Method::GET,
                endpoint: &endpoints[0],
                bucket: &buckets[0],
                object: &objects[0],
                query: &[("userProject", "p")],
                expires: Duration::from_mins(15),
            },
            account: &names[0],
            fingerprint: [1; 32],
            signed_at: UNIX_EPOCH,
            life: Duration::from_mins(30),
        };
        let request = wanted.request;
        let others = [
            Wanted { request: UrlRequest { connection: &names[1], ..request }, ..wanted },
            Wanted { request: UrlRequest { method: &Method::HEAD, ..request }, ..wanted },
            Wanted { request: UrlRequest { endpoint: &endpoints[1], ..request }, ..wanted },
            Wanted { request: UrlRequest { bucket: &buckets[1], ..request }, ..wanted },
            Wanted { request: UrlRequest { object: &objects[1], ..request }, ..wanted },
            Wanted { request: UrlRequest { query: &[("userProject", "q")], ..request }, ..wanted },
            Wanted { request: UrlRequest { query: &[], ..request }, ..wanted },
            Wanted { account: &names[1], ..wanted },
            Wanted { fingerprint: [2; 32], ..wanted },
            Wanted { signed_at: UNIX_EPOCH + Duration::from_mins(15), ..wanted },
            Wanted { life: Duration::from_secs(1801), ..wanted },
        ];
        let hash = RandomState::new();
        for question in others.into_iter().chain([wanted]) {
            let key = question.to_key();
            assert!(key.answers(&question), "{question:?}");
            assert_eq!(key.answers(&wanted), key == wanted.to_key(), "{question:?}");
            let UrlRequest { connection, bucket, object, .. } = question.request;
            // The same in other places of memory.
            let (connection, account) = (Arc::from(&**connection), Arc::from(&**question.account));
            let (bucket, object) =
                (BucketName::new(bucket.as_str()).unwrap(), ObjectName::new(object.as_str()).unwrap());
            let request = UrlRequest { connection: &connection, bucket: &bucket, object: &object, ..question.request };
            let again = Wanted { request, account: &account, ..question };
            assert!(key.answers(&again));
            assert_eq!(hash.hash_one(question), hash.hash_one(again));
        }
        assert!(others.iter().all(|other| !wanted.to_key().answers(other)));
    }
}
