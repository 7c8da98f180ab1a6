//! One request from its arrival to its answer.
//!
//! Routes, notes, plays the faults that come before the head, asks the API that is meant, and dresses the answer as
//! Google's front end does. Decides nothing about objects or callers.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{
    ALT_SVC, CONTENT_LENGTH, DATE, EXPIRES, HOST, HeaderName, HeaderValue, LOCATION, SERVER, TRANSFER_ENCODING, VARY,
};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use super::body::Body;
use super::connection::Link;
use super::fault::{Action, Planned};
use super::query::Query;
use super::record::Ticket;
use super::refusal::{Refusal, Style};
use super::route::Route;
use super::state::State;
use super::{aws, iam, json_api, metadata_server, tokens, upload, xml_api};

/// A request as the APIs see it.
pub(super) struct Call<'a> {
    pub(super) state: &'a Arc<State>,
    pub(super) head: &'a Parts,
    pub(super) link: &'a Link,
    /// The query, `+` read as a space.
    pub(super) query: Query,
    pub(super) ticket: &'a Ticket,
    pub(super) style: Style,
}

impl Call<'_> {
    /// A header's text.
    pub(super) fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The raw path.
    pub(super) fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// The raw query.
    pub(super) fn raw_query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    /// Host and port as the client named them.
    pub(super) fn host(&self) -> &str {
        self.header(HOST).unwrap_or_default()
    }
}

/// Answers one request. An error breaks the connection.
pub(super) async fn serve(
    state: Arc<State>,
    link: Arc<Link>,
    request: Request<Incoming>,
) -> Result<Response<Body>, io::Error> {
    let (head, body) = request.into_parts();
    let query = Query::form(head.uri.query().unwrap_or_default());
    let route = if query.is_some() { Route::of(head.uri.path(), hosted(&state, &head)) } else { Route::Broken };
    let query = query.unwrap_or_default();
    let operation = route.operation(&head.method, &query);
    let ticket = state.journal.begin(&head, link.peer, operation, route.object());
    let plan = state.script.meet(operation, route.object());
    if let Some(latency) = state.settings.latency {
        tokio::time::sleep(latency).await;
    }
    let (early, late): (Vec<_>, Vec<_>) = plan.into_iter().partition(is_early);
    let mut response = None;
    for fault in early {
        match fault.action {
            Action::Delay(gate) | Action::Stall(gate) => gate.pass().await,
            Action::Status { code, headers, body } => response = Some(scripted(code, &headers, body)),
            other => {
                link.break_now(matches!(other, Action::Reset));
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
    }
    let mut response = if let Some(response) = response {
        response
    } else {
        let style = Style::of(operation);
        let call = Call { state: &state, head: &head, link: &link, query, ticket: &ticket, style };
        answer(&call, route, body).await.unwrap_or_else(|refusal| refusal.answer(style))
    };
    if head.method == http::Method::HEAD {
        response = headless(response);
    }
    dress(&mut response, state.now());
    ticket.status(response.status().as_u16());
    Ok(finish(response, late, link, ticket))
}

/// Whether a fault plays before the answer's head.
fn is_early(fault: &Planned) -> bool {
    match fault.action {
        Action::Delay(_) | Action::Status { .. } => true,
        Action::Reset | Action::Close | Action::Stall(_) => fault.after_bytes.is_none(),
        _ => false,
    }
}

async fn answer(call: &Call<'_>, route: Route, body: Incoming) -> Result<Response<Body>, Refusal> {
    match route {
        Route::Bucket(bucket) => json_api::bucket(call, &bucket),
        Route::List(bucket) => json_api::list(call, &bucket).await,
        Route::Object(bucket, object) => json_api::object(call, &bucket, &object).await,
        Route::Permissions(bucket) => json_api::permissions(call, &bucket),
        Route::Upload(bucket) => upload::upload(call, &bucket, body).await,
        Route::Xml(bucket, object) => xml_api::object(call, &bucket, &object).await,
        Route::Token => Ok(tokens::token(call, body).await),
        Route::Sts => Ok(tokens::exchange(call, body).await),
        Route::Iam(email, verb) => Ok(iam::act(call, &email, &verb, body).await),
        Route::Compute(path) => Ok(metadata_server::answer(call, &path)),
        Route::Aws(path) => Ok(aws::answer(call, &path)),
        Route::Subject => Ok(tokens::subject(call)),
        Route::Unknown => Err(Refusal::no_route()),
        Route::Broken => Err(Refusal::invalid("Invalid URL encoding.")),
    }
}

/// The bucket that the host names: the longest part before a dot that is a bucket's name.
fn hosted(state: &State, head: &Parts) -> Option<String> {
    let host = head.headers.get(HOST)?.to_str().ok()?;
    let bytes = host.as_bytes();
    if bytes.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'[') {
        return None;
    }
    let dots = host.rmatch_indices('.').map(|(place, _)| &host[..place]);
    dots.into_iter().find(|name| state.bucket(name).is_some()).map(str::to_owned)
}

fn scripted(code: u16, headers: &[(String, String)], body: String) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        set(&mut response, name, Some(value));
    }
    response
}

/// Leaves a HEAD's answer its length but no body.
fn headless(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.length().filter(|_| !head.headers.contains_key(TRANSFER_ENCODING)) {
        head.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    Response::from_parts(head, Body::empty())
}

/// Adds what Google's front end adds: a gateway has to strip it.
fn dress(response: &mut Response<Body>, now: SystemTime) {
    let headers = response.headers_mut();
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(now)) {
        headers.entry(DATE).or_insert(date);
    }
    for (name, value) in [
        (SERVER, "UploadServer"),
        (ALT_SVC, "h3=\":443\"; ma=2592000,h3-29=\":443\"; ma=2592000"),
        (HeaderName::from_static("x-guploader-uploadid"), "ABPtcPemulated"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if !headers.contains_key(LOCATION) {
        headers.entry(EXPIRES).or_insert(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"));
    }
    headers.append(VARY, HeaderValue::from_static("Origin"));
    headers.append(VARY, HeaderValue::from_static("X-Origin"));
}

/// Plays what happens to the head and hands the rest to the body.
fn finish(mut response: Response<Body>, late: Vec<Planned>, link: Arc<Link>, ticket: Ticket) -> Response<Body> {
    let (headers, bodily): (Vec<_>, Vec<_>) =
        late.into_iter().partition(|fault| matches!(fault.action, Action::Header { .. }));
    for fault in headers {
        if let Action::Header { name, value } = fault.action {
            if name.eq_ignore_ascii_case("content-length") {
                response.body_mut().hide_length();
            }
            set(&mut response, &name, value.as_deref());
        }
    }
    let cut = bodily.iter().any(|fault| matches!(fault.action, Action::Truncate));
    if cut {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response.map(|body| body.attend(bodily, link, ticket))
}

/// Sets a header; what is no legal header is left out.
fn set(response: &mut Response<Body>, name: &str, value: Option<&str>) {
    let Ok(name) = HeaderName::try_from(name) else { return };
    match value.map(HeaderValue::try_from) {
        Some(Ok(value)) => _ = response.headers_mut().insert(name, value),
        Some(Err(_)) => {}
        None => _ = response.headers_mut().remove(name),
    }
}
