//! Bearer tokens and Google's Identity-Aware Proxy: nobody gets a byte without a good token, and nobody learns why not.

use gsgate::emulator::Object;
use http::{Method, Response};
use serde_json::{Value, json};

use crate::support::little_server::LittleServer;
use crate::support::tokens::{AUDIENCE, ISSUER, Issuer, claims, hs256, key_set};
use crate::support::{Answer, TestGateway};

const CORS: &str = "[cors]\norigins = [\"https://label.example\"]";
const ORIGIN: (&str, &str) = ("origin", "https://label.example");

fn connection(jwks: &str) -> String {
    format!("delivery = \"proxy\"\njwt = {{ issuer = \"{ISSUER}\", audience = \"{AUDIENCE}\", jwks = \"{jwks}\" }}")
}

/// A gateway whose one connection takes tokens that this server's keys have signed.
async fn gateway(jwks: &str, sections: &str) -> TestGateway {
    let gateway = TestGateway::builder()
        .await
        .connection(&connection(jwks))
        .sections(&format!("{CORS}\n{sections}"))
        .start()
        .await;
    gateway.put("a.jpg", Object::bytes("pixels"));
    gateway
}

fn ok(text: String) -> impl Fn(&http::request::Parts) -> Response<String> + Send + Sync + 'static {
    move |_| Response::new(text.clone())
}

async fn get(gateway: &TestGateway, token: &str) -> Answer {
    let authorization = format!("Bearer {token}");
    gateway.client.get("/media/a.jpg", &[("authorization", &authorization), ORIGIN]).await
}

/// The fixed part of an answer's body.
fn told(answer: &Answer) -> (u16, String, String, String) {
    let mut json: Value = serde_json::from_slice(answer.bytes()).unwrap();
    json["error"].as_object_mut().unwrap().remove("request_id");
    let allowed = answer.header("access-control-allow-origin");
    (answer.status.as_u16(), json.to_string(), answer.header("www-authenticate"), allowed)
}

#[tokio::test]
async fn good_tokens_of_both_algorithms_get_the_object() {
    let (ec, rsa) = (Issuer::es256("ec"), Issuer::rs256("rsa"));
    let server = LittleServer::start(ok(key_set(&[&ec, &rsa]))).await;
    let gateway = gateway(&server.url("/keys"), "").await;
    for issuer in [&ec, &rsa, &ec, &rsa] {
        let answer = get(&gateway, &issuer.token("annotator-17")).await;
        assert_eq!((answer.status.as_u16(), answer.bytes()), (200, &b"pixels"[..]));
    }
    let head = format!("bearer {}", ec.token("annotator-17"));
    assert_eq!(gateway.client.head("/media/a.jpg", &[("authorization", &head)]).await.status, 200);
    assert_eq!(server.heads().len(), 1, "keys are kept");
    assert!(!server.heads()[0].headers.contains_key("authorization"), "the issuer sees no token");
    let service_account =
        gateway.gcs.requests().iter().all(|request| request.credential.contains(&gateway.gcs.email()));
    assert!(service_account, "GCS sees no token of a client");
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_the_answer_is_the_same_and_gcs_is_not_asked() {
    let (ec, rsa, stranger) = (Issuer::es256("ec"), Issuer::rs256("rsa"), Issuer::es256("ec"));
    let keys = key_set(&[&ec, &rsa]);
    let server = LittleServer::start(ok(keys.clone())).await;
    let gateway = gateway(&server.url("/keys"), "").await;
    let good = ec.token("annotator-17");
    let with = |name: &str, value: Value| {
        let mut claims = claims("annotator-17");
        claims[name] = value;
        ec.sign(&ec.header(), &claims)
    };
    let header = |name: &str, value: Value| {
        let mut header = ec.header();
        header[name] = value;
        stranger.sign(&header, &claims("annotator-17"))
    };
    let hs = |key: &[u8]| hs256(key, &json!({"alg": "HS256", "kid": "ec"}), &claims("annotator-17"));
    let unsigned = |alg: &str| {
        let token = ec.sign(&json!({"alg": alg, "kid": "ec"}), &claims("annotator-17"));
        format!("{}.", token.rsplit_once('.').unwrap().0)
    };
    let bad = [
        String::new(),
        "a.b.c".to_owned(),
        good[..good.len() - 1].to_owned(),
        format!("{good}A"),
        format!("{good}, Bearer {good}"),
        stranger.token("annotator-17"),
        unsigned("none"),
        unsigned("ES256"),
        // A public key as the secret of a symmetric algorithm.
        hs(keys.as_bytes()),
        hs(ec.jwk()["x"].as_str().unwrap().as_bytes()),
        hs(b""),
        header("jwk", stranger.jwk()),
        header("jku", json!(server.url("/stranger"))),
        header("kid", json!("../../../dev/null")),
        header("kid", json!("rsa")),
        header("alg", json!("RS256")),
        header("crit", json!(["exp"])),
        with("iss", json!("https://other.example")),
        with("aud", json!("other")),
        with("exp", json!(1)),
        with("exp", Value::Null),
        with("nbf", json!(4_000_000_000_u64)),
        with("sub", json!("")),
        with("sub", json!("a b")),
        format!("{good}{}", "A".repeat(20_000)),
    ];
    let missing = told(&gateway.client.get("/media/a.jpg", &[ORIGIN]).await);
    assert_eq!((missing.0, missing.2.as_str(), missing.3.as_str()), (401, "Bearer", "https://label.example"));
    assert!(missing.1.contains("unauthenticated"));
    for token in &bad {
        assert_eq!(told(&get(&gateway, token).await), missing, "{token}");
    }
    assert_eq!(gateway.gcs.requests().len(), 0);
    assert_eq!(get(&gateway, &good).await.status, 200);
    assert!(server.heads().iter().all(|head| head.uri.path() == "/keys"), "a token sends us nowhere");
}

#[tokio::test]
async fn a_token_counts_in_its_own_header_and_once() {
    let ec = Issuer::es256("ec");
    let server = LittleServer::start(ok(key_set(&[&ec]))).await;
    let gateway = gateway(&server.url("/keys"), "").await;
    let good = ec.token("annotator-17");
    let missing = told(&gateway.client.get("/media/a.jpg", &[ORIGIN]).await);
    let bearer = format!("Bearer {good}");
    let twice = [("authorization", bearer.as_str()), ("authorization", bearer.as_str()), ORIGIN];
    assert_eq!(told(&gateway.client.get("/media/a.jpg", &twice).await), missing);
    let elsewhere = [("x-goog-iap-jwt-assertion", good.as_str()), ORIGIN];
    assert_eq!(told(&gateway.client.get("/media/a.jpg", &elsewhere).await), missing);
    let in_query = format!("/media/a.jpg?access_token={good}");
    assert_eq!(told(&gateway.client.get(&in_query, &[ORIGIN]).await), missing);
    assert_eq!(told(&gateway.client.get("/media/missing.jpg", &[ORIGIN]).await), missing, "nothing is said of objects");
}

#[tokio::test]
async fn a_preflight_needs_no_token_and_allows_to_send_one() {
    let ec = Issuer::es256("ec");
    let server = LittleServer::start(ok(key_set(&[&ec]))).await;
    let plain = "[connections.plain]\nuri = \"gs://test-media/\"";
    let gateway = gateway(&server.url("/keys"), plain).await;
    let preflight =
        [ORIGIN, ("access-control-request-method", "GET"), ("access-control-request-headers", "authorization")];
    for (target, allowed) in
        [("/media/a.jpg", "range, if-none-match, authorization"), ("/plain/a.jpg", "range, if-none-match")]
    {
        let answer = gateway.client.send(Method::OPTIONS, target, &preflight).await;
        assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-headers").as_str()), (204, allowed));
    }
    assert_eq!(server.heads().len(), 0);
}

#[tokio::test]
async fn a_good_token_opens_no_network_and_no_other_connection() {
    let ec = Issuer::es256("ec");
    let server = LittleServer::start(ok(key_set(&[&ec]))).await;
    let jwks = server.url("/keys");
    let closed =
        format!("[connections.closed]\nuri = \"gs://test-media/\"\nallow = [\"192.0.2.1\"]\n{}", &connection(&jwks));
    let other = format!(
        "[connections.other]\nuri = \"gs://test-media/\"\njwt = {{ issuer = \"{ISSUER}\", audience = \"somebody-else\", jwks = \"{jwks}\" }}"
    );
    let gateway = gateway(&jwks, &format!("{closed}\n{other}")).await;
    let bearer = format!("Bearer {}", ec.token("annotator-17"));
    for (target, status) in [("/media/a.jpg", 200), ("/closed/a.jpg", 404), ("/other/a.jpg", 401)] {
        assert_eq!(gateway.client.get(target, &[("authorization", &bearer)]).await.status, status, "{target}");
    }
}

#[tokio::test]
async fn an_outage_of_the_issuer_is_survived_with_the_keys_that_are_known() {
    let (ec, newer) = (Issuer::es256("ec"), Issuer::es256("newer"));
    let server = LittleServer::start(ok(key_set(&[&ec]))).await;
    let gateway = gateway(&server.url("/keys"), "").await;
    assert_eq!(get(&gateway, &ec.token("a")).await.status, 200);
    server.answer(|_| Response::builder().status(500).body("no".to_owned()).unwrap());
    gateway.rewrite(|text| format!("{text}\n[connections.more]\nuri = \"gs://test-media/\"\n"));
    gateway.reload.reload();
    while gateway.client.get("/more/a.jpg", &[]).await.status != 200 {}
    assert_eq!(get(&gateway, &ec.token("a")).await.status, 200, "keys outlive a reload");
    for _ in 0..20 {
        assert_eq!(get(&gateway, &newer.token("a")).await.status, 401);
    }
    assert_eq!(server.heads().len(), 1, "unknown keys are not asked for again and again");
}

#[tokio::test]
async fn without_any_key_nobody_is_let_in_and_the_issuer_is_asked_once() {
    let ec = Issuer::es256("ec");
    for (status, body, location) in [
        (500, "no".to_owned(), ""),
        (200, "<html>".to_owned(), ""),
        (200, format!("{{\"keys\": [], \"x\": \"{}\"}}", "x".repeat(300_000)), ""),
        (302, String::new(), "/elsewhere"),
    ] {
        let keys = key_set(&[&ec]);
        let server = LittleServer::start(move |head| {
            if head.uri.path() == "/elsewhere" {
                return Response::new(keys.clone());
            }
            Response::builder().status(status).header("location", location).body(body.clone()).unwrap()
        })
        .await;
        let gateway = gateway(&server.url("/keys"), "").await;
        for _ in 0..3 {
            let answer = get(&gateway, &ec.token("a")).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "identity_unavailable"), "{status}");
            assert_eq!(answer.header("access-control-allow-origin"), "https://label.example");
            assert!(!answer.header("retry-after").is_empty());
        }
        assert_eq!(get(&gateway, "nonsense").await.status, 401, "what is no token needs no key");
        assert_eq!(server.heads().len(), 1, "{status}");
        let metrics = gateway.admin.get("/metrics", &[]).await;
        assert!(metrics.text().contains("gsgate_jwks_fetches_total{outcome=\"failed\"} 1"));
    }
}

#[tokio::test]
async fn many_at_once_make_one_fetch() {
    let ec = Issuer::es256("ec");
    let server = LittleServer::start(ok(key_set(&[&ec]))).await;
    let gateway = gateway(&server.url("/keys"), "").await;
    let token = ec.token("annotator-17");
    let answers = futures_util::future::join_all((0..32).map(|_| get(&gateway, &token))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn iap_assertions_are_taken_from_their_header_alone() {
    let (ec, rsa) = (Issuer::es256("ec"), Issuer::rs256("rsa"));
    let server = LittleServer::start(ok(key_set(&[&ec, &rsa]))).await;
    let audience = "/projects/1/global/backendServices/2";
    let connection = format!(
        "delivery = \"auto\"\njwt = {{ subject_claim = \"email\", iap = {{ audience = \"{audience}\", jwks = \"{}\" }} }}",
        server.url("/keys")
    );
    let gateway =
        TestGateway::builder().await.connection(&connection).sections("[audit]\noutput = \"audit.log\"").start().await;
    gateway.put("a.jpg", Object::bytes("pixels"));
    let mut claims = claims("accounts.google.com:1");
    (claims["iss"], claims["aud"]) = (json!("https://cloud.google.com/iap"), json!(audience));
    claims["email"] = json!("annotator@example.com");
    let (good, wrong) = (ec.sign(&ec.header(), &claims), rsa.sign(&rsa.header(), &claims));
    let bearer = format!("Bearer {good}");
    for (header, value, status) in [
        ("x-goog-iap-jwt-assertion", &good, 200),
        ("x-goog-iap-jwt-assertion", &wrong, 401),
        ("authorization", &bearer, 401),
    ] {
        let answer = gateway.client.get("/media/a.jpg", &[(header, value)]).await;
        assert_eq!(answer.status, status, "{header}");
        if status == 200 {
            assert_eq!(answer.header("x-gsgate-delivery"), "proxy; reason=restricted");
        }
    }
    let log = gateway.folder.path().join("audit.log");
    let text = loop {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if text.lines().count() == 3 {
            break text;
        }
        tokio::task::yield_now().await;
    };
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["subject"], "annotator@example.com");
    assert_eq!((&lines[1]["subject"], lines[1]["reason"].as_str()), (&Value::Null, Some("jwt-algorithm")));
    assert_eq!(lines[2]["reason"], "jwt-missing");
    assert!(!text.contains(&good[..40]));
}

#[tokio::test]
async fn keys_may_come_from_a_file_which_a_reload_reads_again() {
    let (one, other) = (Issuer::es256("one"), Issuer::es256("other"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, key_set(&[&one])).unwrap();
    let gateway = gateway(path.to_str().unwrap(), "").await;
    assert_eq!(get(&gateway, &one.token("a")).await.status, 200);
    assert_eq!(get(&gateway, &other.token("a")).await.status, 401);
    std::fs::write(&path, key_set(&[&other])).unwrap();
    gateway.reload.reload();
    while get(&gateway, &other.token("a")).await.status != 200 {}
    assert_eq!(get(&gateway, &one.token("a")).await.status, 401);
}

#[tokio::test]
async fn a_configuration_that_would_not_hold_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.json");
    std::fs::write(&bad, "{\"keys\": []}").unwrap();
    let full = connection("https://keys.example/");
    for (connection, words) in [
        (connection("http://keys.example/"), "https only"),
        (full.replace(" }", ", algorithms = [\"HS256\"] }"), "HS256"),
        (full.replace(" }", ", key = \"x\" }"), "unknown field"),
        (connection("missing.json"), "missing.json"),
        (connection(bad.to_str().unwrap()), "no key in the set"),
        ("jwt = { iap = { audience = \"\" } }".to_owned(), "audience is empty"),
    ] {
        let refused = TestGateway::builder().await.connection(&connection).try_start().await;
        let message = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains(words) && message.contains("connections.media"), "{connection}: {message}");
    }
}
