//! Storing what Label Studio's client uploads: below the prefix of a connection that was named for it, whole or not at all.

use std::sync::Arc;

use http::header::{HeaderValue, LOCATION};
use http::{Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use super::super::body::{Progress, Watched};
use super::call::{self, Call, Stop};
use super::multipart::{self, Content, Fault};
use super::query::Query;
use super::refusal::Refusal;
use super::route::PATH;
use super::token::Caller;
use super::upload::{self, Piece, Plan, Way};
use super::{Place, Storage, host, resource};
use crate::gateway::body::Body;
use crate::gcs::WriteRequest;
use crate::object::BucketName;

/// Longest resource by itself.
const LONGEST_RESOURCE: usize = 64 * 1024;
/// What stands around the content of a multipart upload at most.
const AROUND: u64 = 128 * 1024;
const UPLOAD_LENGTH: &str = "x-upload-content-length";
const UPLOAD_TYPE: &str = "x-upload-content-type";

impl Storage {
    /// Stores an upload, or begins a resumable one.
    pub(super) async fn upload(
        &self,
        call: &mut Call<'_>,
        (bucket, query): (&BucketName, &Query),
        caller: &Caller,
        body: Incoming,
    ) -> Result<Response<Body>, Stop> {
        let way = Way::parse(query)?;
        let headers = &call.head.headers;
        let around = if way == Way::Multipart { AROUND } else { 0 };
        let announced = match way {
            Way::Resumable => upload::text(headers, UPLOAD_LENGTH).and_then(|text| text.parse().ok()),
            Way::Simple | Way::Multipart => upload::length(headers),
        };
        self.fits(announced, around)?;
        let source = self.watched(body);
        match way {
            Way::Simple => {
                let plan = Plan::new((bucket, query), &[], upload::content_type(headers))?;
                self.store(call, (bucket, query), (plan, caller), Content::plain(source, self.max_upload, None)).await
            }
            Way::Multipart => {
                let boundary = upload::content_type(headers).and_then(multipart::boundary).map(str::to_owned);
                let boundary = boundary.ok_or_else(|| self.faulty(Fault::Malformed))?;
                let opened = multipart::open(source, &boundary, self.max_upload).await;
                let (head, content) = opened.map_err(|fault| self.faulty(fault))?;
                let plan = Plan::new((bucket, query), &head.resource, head.content_type.as_deref())?;
                self.store(call, (bucket, query), (plan, caller), content).await
            }
            Way::Resumable => {
                let resource = Limited::new(source, LONGEST_RESOURCE).collect().await;
                let resource = resource.map_err(|_| Refusal::Broken)?.to_bytes();
                let plan = Plan::new((bucket, query), &resource, upload::text(&call.head.headers, UPLOAD_TYPE))?;
                self.target(call, (bucket, &plan), caller)?;
                self.begun(call, bucket, &plan)
            }
        }
    }

    /// Takes the content of a resumable upload, or answers how much of it is there.
    pub(super) async fn resume(
        &self,
        call: &mut Call<'_>,
        (bucket, query): (&BucketName, &Query),
        caller: &Caller,
        body: Incoming,
    ) -> Result<Response<Body>, Stop> {
        let headers = &call.head.headers;
        let plan = Plan::begun(query, headers)?;
        self.target(call, (bucket, &plan), caller)?;
        match Piece::parse(&call.head.headers)? {
            // None of it: there is nothing between nothing and everything.
            Piece::Question => Ok(call::empty(StatusCode::PERMANENT_REDIRECT)),
            Piece::Whole(length) => {
                self.fits(length, 0)?;
                let content = Content::plain(self.watched(body), self.max_upload, length);
                self.store(call, (bucket, query), (plan, caller), content).await
            }
        }
    }

    async fn store(
        &self,
        call: &mut Call<'_>,
        (bucket, query): (&BucketName, &Query),
        (plan, caller): (Plan, &Caller),
        content: Content,
    ) -> Result<Response<Body>, Stop> {
        let connection = Arc::clone(&self.target(call, (bucket, &plan), caller)?.api);
        let Plan { object, description, expected, announced } = plan;
        let project = connection.project().cloned();
        let request = WriteRequest { bucket: bucket.clone(), object: object.clone(), expected, description, project };
        let fault = content.fault();
        let written = call.gateway.client.write_announced(&connection.credential, request, &announced, content).await;
        // What is stored is not what is remembered, whatever became of the answer.
        call.gateway.forget((bucket, &object));
        match (written, fault.get()) {
            (Ok(metadata), _) => {
                call.exchange.found(metadata.generation);
                let resource = resource::object(bucket, object.as_str(), &metadata);
                Ok(call::json(StatusCode::OK, &resource::masked(resource, query.get("fields"))))
            }
            (Err(_), Some(fault)) => Err(self.faulty(*fault).into()),
            (Err(error), None) => Err(Refusal::from(error).into()),
        }
    }

    /// The connection that an upload goes to, if there is one for it and the client may come near that.
    fn target(
        &self,
        call: &mut Call<'_>,
        (bucket, plan): (&BucketName, &Plan),
        caller: &Caller,
    ) -> Result<&Place, Stop> {
        let place = self.covering((bucket, &plan.object), true);
        call.exchange.asks_for_media(place.map(|place| &place.api.label));
        let denied = || Refusal::Denied { email: caller.email.clone(), permission: "storage.objects.create" };
        let place = place.ok_or_else(denied)?;
        call.come_near([&place.api])?;
        call.exchange.admitted_to(&place.api);
        call.exchange.wants(&plan.object);
        Ok(place)
    }

    fn watched(&self, body: Incoming) -> Watched {
        Watched::new(body, self.upload_stall, Progress::now())
    }

    fn fits(&self, announced: Option<u64>, around: u64) -> Result<(), Refusal> {
        let limit = self.max_upload.saturating_add(around);
        if announced.is_some_and(|length| length > limit) { Err(Refusal::TooLarge(self.max_upload)) } else { Ok(()) }
    }

    fn faulty(&self, fault: Fault) -> Refusal {
        match fault {
            Fault::TooLarge => Refusal::TooLarge(self.max_upload),
            Fault::Stalled => Refusal::Stalled,
            Fault::Broken => Refusal::Broken,
            Fault::Malformed => {
                Refusal::Invalid("Expected multipart/related with a resource and a content.".to_owned())
            }
        }
    }

    /// The answer with the URL that the content goes to: at the very address at which the client found the endpoint.
    fn begun(&self, call: &Call<'_>, bucket: &BucketName, plan: &Plan) -> Result<Response<Body>, Stop> {
        let host = host(&call.head);
        let authority = |url: &str| url.parse::<Uri>().ok().and_then(|uri| uri.into_parts().authority);
        let known = self.public.as_deref().filter(|url| authority(url).is_some_and(|authority| authority == host));
        let endpoint = known.map_or_else(|| format!("{}://{host}{PATH}", call.scheme()), str::to_owned);
        let url = format!("{endpoint}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={}", plan.id()?);
        let url =
            HeaderValue::try_from(url).map_err(|_| Refusal::Invalid("The host is no header's value.".to_owned()))?;
        let mut response = call::empty(StatusCode::OK);
        response.headers_mut().insert(LOCATION, url);
        Ok(response)
    }
}
