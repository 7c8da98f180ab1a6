//! The addresses of the admin listener.
//!
//! Pure. [`ROUTES`] is the whole list; the OpenAPI document is held to it by a test. What the API changes or costs decides
//! whom a route is for, see [`super::guard`].

use http::Method;

use super::answer::Refusal;
use super::guard::Audience;
use super::page::{File, Page};

/// Every method and address that the console answers to; `{name}` is a connection's.
pub const ROUTES: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/page/{file}"),
    ("GET", "/healthz"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/config"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/connections"),
    ("GET", "/api/v1/connections/{name}/objects"),
    ("GET", "/api/v1/connections/{name}/preview"),
    ("GET", "/api/v1/connections/{name}/tasks"),
    ("POST", "/api/v1/connections/{name}/check"),
    ("POST", "/api/v1/links"),
];

const READ: &str = "GET, HEAD";
const WRITE: &str = "POST";

/// Where a request leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `/healthz`, `/livez`, `/readyz`, `/metrics`: the listener's own.
    Admin,
    /// `/config`
    Config,
    /// A file of the page.
    Page(&'static File),
    /// `/api/v1/openapi.json`
    OpenApi,
    /// `/api/v1/connections`
    Connections,
    /// `…/{name}/objects`
    Objects(&'a str),
    /// `…/{name}/preview`
    Preview(&'a str),
    /// `…/{name}/tasks`
    Tasks(&'a str),
    /// `…/{name}/check`
    Check(&'a str),
    /// `/api/v1/links`
    Links,
}

impl<'a> Route<'a> {
    /// Reads a path. Names of connections need no escapes, so none are undone.
    pub(super) fn of(path: &'a str) -> Result<Self, Refusal> {
        match path {
            "/healthz" | "/livez" | "/readyz" | "/metrics" => return Ok(Self::Admin),
            "/config" => return Ok(Self::Config),
            "/api/v1/openapi.json" => return Ok(Self::OpenApi),
            "/api/v1/connections" => return Ok(Self::Connections),
            "/api/v1/links" => return Ok(Self::Links),
            _ => {}
        }
        if let Some(file) = Page::file(path) {
            return Ok(Self::Page(file));
        }
        let rest = path.strip_prefix("/api/v1/connections/").and_then(|rest| rest.split_once('/'));
        match rest {
            Some((name, "objects")) => Ok(Self::Objects(name)),
            Some((name, "preview")) => Ok(Self::Preview(name)),
            Some((name, "tasks")) => Ok(Self::Tasks(name)),
            Some((name, "check")) => Ok(Self::Check(name)),
            _ => Err(Refusal::NotFound),
        }
    }

    /// Whether the method is one of the route's.
    pub(super) fn takes(self, method: &Method) -> Result<(), Refusal> {
        let (good, allowed) = match self {
            Self::Check(_) | Self::Links => (method == Method::POST, WRITE),
            _ => (matches!(*method, Method::GET | Method::HEAD), READ),
        };
        if good { Ok(()) } else { Err(Refusal::Method(allowed)) }
    }

    /// Whom it is for.
    pub(super) fn audience(self) -> Audience {
        match self {
            Self::Admin => Audience::Anyone,
            Self::Page(_) => Audience::Visitors,
            Self::Config
            | Self::OpenApi
            | Self::Connections
            | Self::Objects(_)
            | Self::Preview(_)
            | Self::Tasks(_)
            | Self::Check(_)
            | Self::Links => Audience::Operators,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_leads_somewhere_and_no_other_does() {
        for (method, template) in ROUTES {
            let path = template.replace("{name}", "street").replace("{file}", "icon.svg");
            let route = Route::of(&path).expect("a route");
            assert!(route.takes(&method.parse().expect("a method")).is_ok(), "{method} {path}");
            assert!(route.takes(&Method::DELETE).is_err(), "{path}");
            let open = matches!(*template, "/" | "/page/{file}" | "/healthz" | "/livez" | "/readyz" | "/metrics");
            assert_eq!(route.audience() == Audience::Operators, !open, "{path}");
        }
        for path in
            ["", "/api", "/api/v1", "/api/v1/connections/", "/api/v1/connections/a/b/tasks/", "/page/", "/page/x"]
        {
            assert!(matches!(Route::of(path), Err(Refusal::NotFound)), "{path}");
        }
    }
}
