//! A bucket's settings, what a credential may do in it, and what is true of GCS as a whole: its clock, a signed URL.
//!
//! Only what a diagnosis needs; serving asks for none of it. Never changes anything in GCS.
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/buckets/get> and
//! <https://cloud.google.com/storage/docs/json_api/v1/buckets/testIamPermissions>.

use std::time::{Duration, SystemTime};

use http::Uri;
use serde::Deserialize;
use tokio::time::timeout_at;

use super::Client;
use super::call::Call;
use super::refusal::{self, Refusal};
use crate::gcs::wire::{Escaped, Field, RequestLine};
use crate::gcs::{Credential, Error};
use crate::object::{BucketName, ProjectId};

/// The keys asked for.
const FIELDS: &str = "?fields=location,billing,cors,ipFilter";
/// No legal answer is longer: 200 CIDR blocks, 100 rules of CORS.
const LONGEST: usize = 256 * 1024;

/// Which bucket.
#[derive(Clone, Debug)]
pub struct BucketRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// The project that pays.
    pub project: Option<ProjectId>,
}

/// What a bucket's resource says, as far as a diagnosis needs it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BucketSettings {
    /// Where it is, such as `EUROPE-WEST3`.
    pub location: Option<String>,
    /// Who pays.
    pub billing: Billing,
    /// The rules of CORS, as GCS has them.
    pub cors: Vec<serde_json::Value>,
    /// The IP filter, as GCS has it.
    pub ip_filter: Option<serde_json::Value>,
}

/// A bucket's `billing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Billing {
    /// Whether callers must name a project that pays.
    pub requester_pays: bool,
}

#[derive(Deserialize)]
struct Held {
    #[serde(default)]
    permissions: Vec<String>,
}

impl Client {
    /// A bucket's settings; needs `storage.buckets.get`.
    pub async fn bucket(&self, credential: &Credential, request: &BucketRequest) -> Result<BucketSettings, Error> {
        let call = self.bucket_call("bucket", request, |line| line.with(FIELDS));
        self.json(credential, &call, LONGEST, read).await
    }

    /// Which of these permissions the credential has in the bucket; needs none.
    pub async fn permissions(
        &self,
        credential: &Credential,
        request: &BucketRequest,
        asked: &[&str],
    ) -> Result<Vec<String>, Error> {
        let marks = std::iter::once("?permissions=").chain(std::iter::repeat("&permissions="));
        let tail = |line: RequestLine| {
            let add = |line: RequestLine, (asked, mark): (&&str, _)| line.with(mark).with(Escaped(asked));
            asked.iter().zip(marks).fold(line.with("/iam/testPermissions"), add)
        };
        let call = self.bucket_call("permissions", request, tail);
        Ok(self.json(credential, &call, LONGEST, read::<Held>).await?.permissions)
    }

    /// What time it is at GCS, and how long the answer took; asked without a credential, so that it also answers when
    /// a wrong clock makes all tokens worthless.
    pub async fn time(&self, bucket: &BucketName) -> Result<(SystemTime, Duration), Error> {
        let upstream = &self.upstream;
        let call = Call::bucket("time", &upstream.endpoint, (bucket, None), |line| line.with("?fields=name"));
        let asked = tokio::time::Instant::now();
        let answer = upstream.ask(&call, upstream.deadline()).await?;
        let date = answer.fields.text(Field::Date);
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let date = date.ok_or_else(|| Error::Protocol("an answer without a date".to_owned()))?;
        Ok((date, asked.elapsed()))
    }

    /// Fetches the first byte behind a signed URL of the endpoint, as a browser would: without a token.
    pub async fn try_signed(&self, url: &str) -> Result<(), Error> {
        let upstream = &self.upstream;
        let deadline = upstream.deadline();
        let uri: Uri = url.parse().map_err(|_| Error::Protocol("the signed URL is none".to_owned()))?;
        let endpoint = &upstream.endpoint;
        let Some(target) = uri.path_and_query().filter(|_| uri.authority() == Some(endpoint.authority())) else {
            return Err(Error::Protocol("the signed URL leads elsewhere".to_owned()));
        };
        let answer = upstream.ask(&Call::signed(endpoint, target), deadline).await?;
        let Some(refusal) = Refusal::of(&answer, SystemTime::now) else { return Ok(()) };
        let message = timeout_at(deadline, refusal::message(answer.body)).await.unwrap_or_default();
        Err(refusal.error(None, message))
    }

    fn bucket_call(
        &self,
        operation: &'static str,
        request: &BucketRequest,
        tail: impl FnOnce(RequestLine) -> RequestLine,
    ) -> Call {
        Call::bucket(operation, &self.upstream.endpoint, (&request.bucket, request.project.as_ref()), tail)
    }
}

fn read<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(json).map_err(|error| Error::Protocol(format!("unreadable JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_are_not_set_are_not_there() {
        let empty: BucketSettings = read(b"{}").expect("a resource");
        assert_eq!(empty, BucketSettings::default());
        let full: BucketSettings = read(
            br#"{"location":"EU","billing":{"requesterPays":true},"cors":[{"origin":["*"]}],
                "ipFilter":{"mode":"Enabled"},"name":"b"}"#,
        )
        .expect("a resource");
        assert_eq!((full.location.as_deref(), full.billing.requester_pays, full.cors.len()), (Some("EU"), true, 1));
        assert!(full.ip_filter.is_some());
        assert!(matches!(read::<BucketSettings>(b"<html>"), Err(Error::Protocol(_))));
    }
}
