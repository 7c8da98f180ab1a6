//! Who may ask the admin listener: the token, the host, and pages of other origins.

use http::Method;

use crate::faults::wire::{metric, until};
use crate::support::{Answer, Client, Log, TestGateway};

const TOKEN: &str = "s3cret-0123456789abcdef";
const OPERATORS: [(&str, &str); 7] = [
    ("GET", "/config"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/connections"),
    ("GET", "/api/v1/connections/media/objects"),
    ("GET", "/api/v1/connections/media/preview"),
    ("GET", "/api/v1/connections/media/tasks?gs_uri=true"),
    ("POST", "/api/v1/connections/media/check"),
];
const ANYONE: [&str; 4] = ["/healthz", "/livez", "/readyz", "/metrics"];

async fn ask(client: Client, (method, target): (&str, &str), headers: &[(&str, &str)]) -> Answer {
    client.send(method.parse::<Method>().unwrap(), target, headers).await
}

/// A gateway that asks for [`TOKEN`].
async fn guarded(folder: &std::path::Path) -> TestGateway {
    let path = folder.join("admin-token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    let admin = format!("[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{}\"", path.display());
    TestGateway::builder().await.sections(&admin).start().await
}

#[tokio::test]
async fn only_the_whole_token_opens_and_no_log_has_it() {
    let log = Log::capture("trace");
    let folder = tempfile::tempdir().unwrap();
    let gateway = guarded(folder.path()).await;
    let bearer = |token: &str| format!("Bearer {token}");
    for route in OPERATORS {
        for wrong in ["", &TOKEN[..10], &TOKEN[1..], &format!("{TOKEN}0"), &TOKEN.to_uppercase()] {
            let refused = ask(gateway.admin, route, &[("authorization", &bearer(wrong))]).await;
            assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "unauthorized"), "{route:?} {wrong}");
            assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"gsgate\"");
            assert!(!refused.text().contains(TOKEN));
        }
        assert_eq!(ask(gateway.admin, route, &[]).await.status, 401, "{route:?}");
        let in_query = format!("{}{}token={TOKEN}", route.1, if route.1.contains('?') { '&' } else { '?' });
        assert_eq!(ask(gateway.admin, (route.0, &in_query), &[]).await.status, 401);
        let good = ask(gateway.admin, route, &[("authorization", &bearer(TOKEN))]).await;
        assert_eq!(good.status, 200, "{route:?} {:?}", good.body);
        assert!(!good.text().contains(TOKEN) && !good.text().contains("admin-token"), "{route:?}");
    }
    for path in ANYONE.iter().chain(&["/", "/page/icon.svg"]) {
        assert_ne!(gateway.admin.get(path, &[]).await.status, 401, "{path}");
    }
    assert!(log.text().contains("refused on the admin listener"), "a refusal is told");
    assert!(!log.text().contains(TOKEN) && !log.text().contains(&TOKEN[1..]), "the token is in the log");
}

#[tokio::test]
async fn without_a_token_foreign_names_and_foreign_pages_are_kept_out() {
    let gateway = TestGateway::builder().await;
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"\nhosts = [\"ops.example\"]";
    let gateway = gateway.sections(admin).start().await;
    let local = gateway.admin.address.to_string();
    let localhost = format!("http://localhost:{}", gateway.admin.address.port());
    for route in OPERATORS {
        for (headers, status) in [
            (&[("host", local.as_str())][..], 200),
            (&[("host", "localhost:9090"), ("sec-fetch-site", "same-origin")], 200),
            (&[("host", "ops.example"), ("sec-fetch-site", "none")], 200),
            (&[("host", "rebound.example")], 421),
            (&[("host", "rebound.example"), ("sec-fetch-site", "same-origin")], 421),
            (&[("host", "127.0.0.1.rebound.example:9090")], 421),
            (&[("host", "localhost"), ("sec-fetch-site", "cross-site")], 403),
            (&[("host", "localhost"), ("sec-fetch-site", "same-site")], 403),
            (&[("host", "localhost"), ("origin", "https://evil.example")], 403),
            (&[("host", "localhost"), ("origin", "null")], 403),
            (&[("host", &localhost[7..]), ("origin", &localhost)], 200),
        ] {
            let answer = ask(gateway.admin, route, headers).await;
            assert_eq!(answer.status, status, "{route:?} {headers:?}: {:?}", answer.body);
        }
    }
    let asked = gateway.gcs.requests().len();
    let blind = [("host", "localhost"), ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    assert_eq!(ask(gateway.admin, OPERATORS[6], &blind).await.status, 403);
    assert_eq!(gateway.gcs.requests().len(), asked, "a blind request costs nothing");
    assert_eq!(gateway.admin.get("/", &[("host", "rebound.example")]).await.status, 421);
    for path in ANYONE {
        assert_ne!(gateway.admin.get(path, &[("host", "gsgate.monitoring.svc:9090")]).await.status, 421, "{path}");
    }
}

#[tokio::test]
async fn no_answer_lets_another_origin_read_or_frame_it() {
    let gateway = TestGateway::start().await;
    for target in ["/", "/metrics", "/api/v1/connections", "/api/v1/nothing", "/config"] {
        let answer = gateway.admin.get(target, &[("host", "localhost")]).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{target}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{target}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{target}");
        assert_eq!(
            (answer.header("x-content-type-options").as_str(), answer.header("cache-control").as_str()),
            ("nosniff", "no-store")
        );
    }
    let preflight =
        [("host", "localhost"), ("origin", "https://evil.example"), ("access-control-request-method", "POST")];
    let answer = gateway.admin.send(Method::OPTIONS, "/api/v1/connections/media/check", &preflight).await;
    assert!(answer.status == 403 && answer.header("access-control-allow-origin").is_empty(), "{answer:?}");
}

#[tokio::test]
async fn a_listener_that_others_reach_needs_a_token() {
    let start = async |admin: &str| TestGateway::builder().await.sections(admin).try_start().await;
    let error = start("[admin]\nlisten = \"0.0.0.0:0\"").await.err().expect("must be refused").to_string();
    assert!(error.contains("admin.listen") && error.contains("admin.token_file"), "{error}");
    let error = start("[admin]\nlisten = [\"127.0.0.1:0\", \"[::]:0\"]").await.err().expect("refused").to_string();
    assert!(error.contains("[::]:0 is not on loopback"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let with = |listen: &str| format!("[admin]\nlisten = \"{listen}\"\ntoken_file = \"{}\"", path.display());
    let error = start(&with("127.0.0.1:0")).await.err().expect("must be refused").to_string();
    assert!(error.contains("admin.token_file: cannot read"), "{error}");
    for bad in ["", "short", "with a space in the middle"] {
        std::fs::write(&path, bad).unwrap();
        let error = start(&with("0.0.0.0:0")).await.err().expect("must be refused").to_string();
        assert!(error.contains("openssl rand -hex 32") && !error.contains("middle"), "{error}");
    }
    std::fs::write(&path, TOKEN).unwrap();
    let gateway = start(&with("0.0.0.0:0")).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(gateway.admin.address.ip().is_unspecified());
}

#[tokio::test]
async fn a_reload_takes_up_another_token() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = guarded(folder.path()).await;
    let status = async |token: &str| {
        let header = format!("Bearer {token}");
        ask(gateway.admin, OPERATORS[0], &[("authorization", &header)]).await.status.as_u16()
    };
    assert_eq!(status(TOKEN).await, 200);
    let other = "another-token-0123456789";
    std::fs::write(folder.path().join("admin-token"), other).unwrap();
    gateway.reload.reload();
    until("the reload", async || metric(gateway.admin, "gsgate_config_reloads_total{outcome=\"ok\"}").await == 1).await;
    assert_eq!((status(TOKEN).await, status(other).await), (401, 200));
    std::fs::write(folder.path().join("admin-token"), "").unwrap();
    gateway.reload.reload();
    let refused = "gsgate_config_reloads_total{outcome=\"refused\"}";
    until("the refusal", async || metric(gateway.admin, refused).await == 1).await;
    assert_eq!(status(other).await, 200, "the old one stays in force");
}
