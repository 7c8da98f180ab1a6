//! The API's document is held to the truth: every route is in it, every status it tells of is had, and every body fits.

use std::collections::BTreeSet;

use gsgate::console::ROUTES;
use gsgate::emulator::{Action, Emulator, Fault, Gate, Object, Operation};
use http::Method;
use serde_json::Value;

use super::schema::faults;
use crate::faults::wire::until;
use crate::support::{Answer, Builder, Client, TestGateway};

const HOST: (&str, &str) = ("host", "localhost");
const LINES: (&str, &str) = ("accept", "application/x-ndjson");

/// The document, and every method, address and status that was seen to fit it.
struct Truth {
    document: Value,
    seen: BTreeSet<(String, String, u16)>,
}

impl Truth {
    async fn of(gateway: &TestGateway) -> Self {
        let answer = gateway.admin.get("/api/v1/openapi.json", &[HOST]).await;
        Self { document: serde_json::from_slice(answer.bytes()).unwrap(), seen: BTreeSet::new() }
    }

    /// Every method, address and status that the document tells of.
    fn told(&self) -> BTreeSet<(String, String, u16)> {
        let mut told = BTreeSet::new();
        for (path, methods) in self.document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                for status in operation["responses"].as_object().unwrap().keys() {
                    told.insert((method.to_uppercase(), path.clone(), status.parse().unwrap()));
                }
            }
        }
        told
    }

    /// The answer is one that the document tells of, and its body fits.
    fn note(&mut self, method: &str, template: &str, answer: &Answer) {
        let status = answer.status.as_str();
        let operation = &self.document["paths"][template][method.to_lowercase()];
        let response = &operation["responses"][status];
        assert!(response.is_object(), "{method} {template}: {status} is not told of: {:?}", answer.body);
        let kind = answer.header("content-type");
        let schema = &response["content"][&kind]["schema"];
        assert!(schema.is_object(), "{method} {template} {status}: {kind} is not told of");
        let values: Vec<Value> = match kind.as_str() {
            "application/json" => vec![serde_json::from_slice(answer.bytes()).unwrap()],
            "application/x-ndjson" => answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            _ => vec![Value::String(answer.text().to_owned())],
        };
        assert!(!values.is_empty(), "{method} {template}");
        for value in values {
            let faults = faults(&self.document, schema, &value);
            assert!(faults.is_empty(), "{method} {template} {status}: {faults:#?}");
        }
        self.seen.insert((method.to_owned(), template.to_owned(), answer.status.as_u16()));
    }

    async fn ask(&mut self, client: Client, (method, template): (&str, &str), target: &str, headers: &[(&str, &str)]) {
        let answer = client.send(method.parse().unwrap(), target, headers).await;
        self.note(method, template, &answer);
    }
}

fn fill(template: &str, name: &str) -> String {
    template.replace("{name}", name).replace("{file}", "icon.svg")
}

fn is_open(template: &str) -> bool {
    !template.starts_with("/api/") && template != "/config"
}

async fn gateway() -> TestGateway {
    let builder =
        TestGateway::builder().await.sections("[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://m.example\"");
    let gateway = builder.start().await;
    gateway.put("a b.jpg", Object::bytes("x").content_type("image/jpeg"));
    gateway.put("b.txt", Object::bytes("x").content_type("text/plain"));
    gateway.put("odd/../name", Object::bytes("x"));
    until("readiness", async || gateway.admin.get("/readyz", &[]).await.status == 200).await;
    gateway
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_in_the_document_and_every_status_of_it_is_true() {
    let gateway = gateway().await;
    let mut truth = Truth::of(&gateway).await;
    let told: BTreeSet<(String, String)> = truth.told().into_iter().map(|(method, path, _)| (method, path)).collect();
    let routes = ROUTES.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(told, routes);
    good(&gateway, &mut truth).await;
    refused(&gateway, &mut truth).await;
    busy(&gateway, &mut truth).await;
    unready(&mut truth).await;
    let missing: Vec<_> = truth.told().difference(&truth.seen).cloned().collect();
    assert!(missing.is_empty(), "told of, and never had: {missing:#?}");
}

/// Everything that can be had where all is well.
async fn good(gateway: &TestGateway, truth: &mut Truth) {
    for &(method, template) in ROUTES {
        truth.ask(gateway.admin, (method, template), &fill(template, "media"), &[HOST]).await;
    }
    let tasks = ("GET", "/api/v1/connections/{name}/tasks");
    for format in ["label-studio", "jsonl", "csv", "labelbox", "cvat", "txt"] {
        truth.ask(gateway.admin, tasks, &format!("{}?format={format}", fill(tasks.1, "media")), &[HOST]).await;
    }
    let check = ("POST", "/api/v1/connections/{name}/check");
    truth.ask(gateway.admin, check, &fill(check.1, "media"), &[HOST, LINES]).await;
    truth.ask(gateway.admin, ("GET", "/page/{file}"), "/page/nothing.js", &[HOST]).await;
}

/// Everything that is refused without asking GCS, and what GCS refuses.
async fn refused(gateway: &TestGateway, truth: &mut Truth) {
    let open = guarded().await;
    for &(method, template) in ROUTES {
        let (route, target) = ((method, template), fill(template, "media"));
        let content =
            format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx");
        truth.note(method, template, &read(&gateway.admin.raw(content).await));
        if !matches!(template, "/healthz" | "/livez" | "/readyz" | "/metrics") {
            truth.ask(gateway.admin, route, &target, &[("host", "evil.example")]).await;
        }
        if !is_open(template) {
            truth.ask(gateway.admin, route, &target, &[HOST, ("sec-fetch-site", "cross-site")]).await;
            truth.ask(open.admin, route, &target, &[HOST]).await;
        }
        if template.contains("{name}") {
            truth.ask(gateway.admin, route, &fill(template, "nobody"), &[HOST]).await;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let linked = super::links::gateway(folder.path()).await;
    for body in [r#"{"uris":["gs://test-media/images/a.jpg"]}"#, r#"{"uris":["gs://nowhere/a"]}"#] {
        truth.note("POST", "/api/v1/links", &super::links::post(linked.admin, body).await);
    }
    let tasks = ("GET", "/api/v1/connections/{name}/tasks");
    let unnamed = TestGateway::start().await;
    truth.ask(unnamed.admin, tasks, &fill(tasks.1, "media"), &[HOST]).await;
    unnamed.gcs.inject(Fault::new(Action::status(403)).on(Operation::List).always());
    for what in ["objects", "preview", "tasks?gs_uri=true"] {
        let template = format!("/api/v1/connections/{{name}}/{}", what.split('?').next().unwrap());
        truth.ask(unnamed.admin, ("GET", &template), &format!("/api/v1/connections/media/{what}"), &[HOST]).await;
    }
}

/// What has to wait until other things are done.
async fn busy(gateway: &TestGateway, truth: &mut Truth) {
    let gate = Gate::new();
    gateway.gcs.inject(Fault::new(Action::Delay(gate.clone())).on(Operation::List).always());
    let admin = gateway.admin;
    let ask = |method: Method, what: &str| {
        let target = format!("/api/v1/connections/media/{what}");
        tokio::spawn(async move { admin.send(method, &target, &[HOST]).await })
    };
    let mut waiting: Vec<_> = (0..8).map(|_| ask(Method::GET, "objects")).collect();
    waiting.extend((0..4).map(|_| ask(Method::GET, "tasks")));
    waiting.push(ask(Method::POST, "check"));
    gate.reached(13).await;
    for (method, what) in [("GET", "objects"), ("GET", "preview"), ("GET", "tasks"), ("POST", "check")] {
        let template = format!("/api/v1/connections/{{name}}/{what}");
        let answer = admin.send(method.parse().unwrap(), &fill(&template, "media"), &[HOST]).await;
        assert_eq!(answer.header("retry-after"), "2", "{what}");
        truth.note(method, &template, &answer);
    }
    gateway.gcs.clear_faults();
    gate.open();
    for task in waiting {
        assert_eq!(task.await.unwrap().status, 200);
    }
    assert_eq!(ask(Method::POST, "check").await.unwrap().status, 200, "the places are free again");
}

/// A gateway whose only credential gives no token.
async fn unready(truth: &mut Truth) {
    let gcs = Emulator::builder().start().await.unwrap();
    gcs.inject(Fault::new(Action::status(400)).on(Operation::Token).always());
    let vendor = format!(
        "[gcs]\ntrusted_hosts = [\"{}\"]\n[credentials.vendor]\nsource = \"file\"\npath = \"key.json\"\ntoken = \"exchange\"",
        gcs.address()
    );
    let gateway = Builder::over(gcs).connection("credentials = \"vendor\"").sections(&vendor).start().await;
    truth.ask(gateway.admin, ("GET", "/readyz"), "/readyz", &[]).await;
}

/// A gateway that asks for a token.
async fn guarded() -> TestGateway {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "0123456789abcdef0123").unwrap();
    let admin = format!("[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{}\"", path.display());
    TestGateway::builder().await.sections(&admin).start().await
}

/// An answer as it stood on the wire.
pub(super) fn read(bytes: &[u8]) -> Answer {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.parse::<http::HeaderName>().ok()?, value.parse().ok()?))
    });
    Answer { status, headers: headers.collect(), body: Ok(body.to_owned().into()) }
}
