//! The operator's page: files inside the binary, and the policy that they are shown under.
//!
//! Decides what the page may load and from where: its own files, the gateway's media, and storage where a connection
//! redirects there. Nothing inline, nothing from anybody else (<https://www.w3.org/TR/CSP3/>). No path of a client's
//! ever reaches a file system, and no data is in these files.

use http::header::{CONTENT_SECURITY_POLICY, HeaderName};
use http::{HeaderValue, Response};

use super::answer::{Body, full};

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// One file of the page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const fn file(path: &'static str, content_type: &'static str, text: &'static str) -> File {
    File { path, content_type, text }
}

static FILES: [File; 11] = [
    file("/", HTML, include_str!("page/index.html")),
    file("/page/page.css", STYLE, include_str!("page/page.css")),
    file("/page/page.js", SCRIPT, include_str!("page/page.js")),
    file("/page/api.js", SCRIPT, include_str!("page/api.js")),
    file("/page/build.js", SCRIPT, include_str!("page/build.js")),
    file("/page/connections.js", SCRIPT, include_str!("page/connections.js")),
    file("/page/check.js", SCRIPT, include_str!("page/check.js")),
    file("/page/preview.js", SCRIPT, include_str!("page/preview.js")),
    file("/page/manifest.js", SCRIPT, include_str!("page/manifest.js")),
    file("/page/figures.js", SCRIPT, include_str!("page/figures.js")),
    file("/page/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// The page.
pub(super) struct Page;

impl Page {
    /// The file at a path.
    pub(super) fn file(path: &str) -> Option<&'static File> {
        FILES.iter().find(|file| file.path == path)
    }
}

impl File {
    /// The file, for a browser that gets media from `gateway` and, where connections redirect, from `storage`.
    pub(super) fn answer(&self, gateway: &str, storage: Option<&str>) -> Response<Body> {
        let mut response = full(self.content_type, self.text);
        let storage = storage.map(|origin| format!(" {origin}")).unwrap_or_default();
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' {gateway}{storage}; \
             media-src {gateway}{storage}; connect-src 'self' {gateway}{storage}; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
        );
        // Origins are made of characters that may stand in a header.
        if let Ok(policy) = HeaderValue::try_from(policy) {
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
        response.headers_mut().insert(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_gateway_and_nothing_wider() {
        let file = Page::file("/").expect("the page");
        let response = file.answer("https://media.example.com", None);
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().expect("plain text");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(policy.contains("img-src 'self' https://media.example.com;"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    }

    #[test]
    fn the_page_names_no_other_origin_and_has_nothing_inline() {
        for file in &FILES {
            let names = file.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!names.contains("http://") && !names.contains("https://"), "{}", file.path);
            for bad in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage"] {
                assert!(!file.text.contains(bad), "{}: {bad}", file.path);
            }
        }
        let html = Page::file("/").expect("the page").text;
        for bad in [" style=", " onclick=", " onload=", "<style"] {
            assert!(!html.contains(bad), "{bad}");
        }
        assert!(html.lines().filter(|line| line.contains("<script")).all(|line| line.contains("src=\"/page/")));
    }
}
