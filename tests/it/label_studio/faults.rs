//! What Label Studio's own proxy answers, and what the gateway answers in its place.

use std::io::Write as _;
use std::process::Stdio;

use gsgate::emulator::{Action, Emulator, Fault, Gate, Object, Operation, pattern};
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::time::{Duration, interval, timeout};

use super::stage::{IMAGE, Stage, VIDEO, gs, resolve};
use crate::support::label_studio::{EMAIL, PASSWORD, Session};
use crate::support::{Answer, Client};

const SMALL: usize = 532;
const LONG: usize = 20 * 1024 * 1024;

/// What an answer comes down to: status, length of the body, `Content-Range`.
fn told(answer: &Answer) -> String {
    let length = answer.body.as_ref().map_or_else(|_| "broken".to_owned(), |body| body.len().to_string());
    format!("{} {length} {}", answer.status.as_u16(), answer.header("content-range")).trim_end().to_owned()
}

/// Prints what both answered, and says whether it is what was expected.
fn compare(asked: &str, seen: (&str, &str), expected: (&str, &str)) {
    println!("{asked:<44} | Label Studio: {:<44} | gsgate: {}", seen.0, seen.1);
    assert!(seen.0.starts_with(expected.0), "Label Studio, {asked}: {} in place of {}", seen.0, expected.0);
    assert!(seen.1.starts_with(expected.1), "gsgate, {asked}: {} in place of {}", seen.1, expected.1);
}

struct Scene {
    stage: Stage,
    /// Of each object, its path.
    paths: Vec<(&'static str, String)>,
    session: Session,
}

impl Scene {
    async fn of(stage: Stage, config: &str, names: &[&'static str]) -> Self {
        let (_, tasks) = stage.project(config, names).await;
        let paths = names.iter().zip(tasks).map(|(name, task)| (*name, resolve(task, &gs(name)))).collect();
        let session = stage.studio.api().sign_in(EMAIL, PASSWORD).await;
        Self { stage, paths, session }
    }

    fn path(&self, name: &str) -> &str {
        &self.paths.iter().find(|(known, _)| *known == name).unwrap().1
    }

    fn gateway(&self) -> Client {
        self.stage.gateway.client
    }

    /// What Label Studio answers, and what the gateway answers.
    async fn both(&self, method: Method, name: &str, headers: &[(&str, &str)]) -> (Answer, Answer) {
        let headers = [headers, &[("cookie", self.session.cookies.as_str())]].concat();
        let own = self.stage.bare().send(method.clone(), self.path(name), &headers).await;
        (own, self.gateway().send(method, self.path(name), &headers).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_methods_and_contents_are_answered_as_they_should_be() {
    let Some(stage) = Stage::set(Emulator::builder().start().await.unwrap(), "").await else { return };
    stage.gateway.put("small.bin", Object::bytes(pattern(1, 0, SMALL)).content_type("image/png"));
    stage.gateway.put("long.bin", Object::bytes(pattern(2, 0, LONG)).content_type("video/mp4"));
    stage.gateway.put("empty.txt", Object::bytes(Vec::new()).content_type("text/plain"));
    stage.gateway.put("page.html", Object::bytes("<script>alert(1)</script>").content_type("text/html"));
    let text = "all that there is to say, ".repeat(100);
    stage.gateway.put("packed.txt", Object::bytes(gzip(&text)).content_type("text/plain").content_encoding("gzip"));
    let scene = Scene::of(stage, IMAGE, &["small.bin", "long.bin", "empty.txt", "page.html", "packed.txt"]).await;

    for (name, range, own, ours) in [
        ("small.bin", "bytes=0-", "206 2 bytes 0-1/532", "206 532 bytes 0-531/532"),
        ("small.bin", "bytes=0-0", "206 2 bytes 0-1/532", "206 1 bytes 0-0/532"),
        ("small.bin", "bytes=-500", "206 2 bytes 0-1/532", "206 500 bytes 32-531/532"),
        ("small.bin", "bytes=0-9,20-29", "206 2 bytes 0-1/532", "200 532"),
        ("small.bin", "garbage", "206 2 bytes 0-1/532", "200 532"),
        ("small.bin", "bytes=532-", "424", "416"),
        (
            "long.bin",
            "bytes=1000-",
            "206 8388609 bytes 1000-8389608/20971520",
            "206 20970520 bytes 1000-20971519/20971520",
        ),
    ] {
        let (without, with) = scene.both(Method::GET, name, &[("range", range)]).await;
        compare(&format!("GET {name}, {range}"), (&told(&without), &told(&with)), (own, ours));
    }
    for (method, name, own, ours) in
        [(Method::HEAD, "small.bin", "405", "200"), (Method::GET, "empty.txt", "424", "200 0")]
    {
        let (without, with) = scene.both(method.clone(), name, &[]).await;
        compare(&format!("{method} {name}"), (&told(&without), &told(&with)), (own, ours));
    }
    let (without, with) = scene.both(Method::GET, "packed.txt", &[]).await;
    compare("GET, stored as gzip, 2600 bytes", (&told(&without), &told(&with)), ("200", "200 2600"));
    assert!(without.bytes().len() < text.len() && text.starts_with(without.text()), "cut, and nobody is told");
    assert_eq!(with.text(), text);
    let (without, with) = scene.both(Method::GET, "page.html", &[]).await;
    let policies = [without, with].map(|answer| answer.header("content-security-policy"));
    compare("GET, a page: its policy", (&policies[0], &policies[1]), ("", "sandbox"));
    assert_eq!(policies[0], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_trouble_of_the_storage_has_its_own_answer() {
    let Some(stage) = Stage::set(Emulator::builder().start().await.unwrap(), "[gcs]\nretries = 0").await else {
        return;
    };
    stage.gateway.put("a.png", Object::bytes(pattern(1, 0, SMALL)).content_type("image/png"));
    let scene = Scene::of(stage, IMAGE, &["a.png", "missing.png"]).await;
    let (without, with) = scene.both(Method::GET, "missing.png", &[]).await;
    compare("no such object", (&told(&without), &told(&with)), ("424", "404"));
    let (without, with) = scene.both(Method::GET, "a.png", &[("range", "bytes=900-")]).await;
    compare("a range beyond the end", (&told(&without), &told(&with)), ("424", "416"));
    for (code, ours) in [(401, "502"), (403, "502"), (429, "503"), (503, "503")] {
        let gcs = &scene.stage.gateway.gcs;
        gcs.inject(Fault::new(Action::status(code)).on(Operation::Media).always());
        let (without, with) = scene.both(Method::GET, "a.png", &[]).await;
        gcs.clear_faults();
        compare(&format!("{code} of the storage"), (&told(&without), &told(&with)), ("424", ours));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_is_one_request_to_the_storage() {
    let Some(stage) = Stage::set(Emulator::builder().start().await.unwrap(), "").await else { return };
    stage.gateway.put("a.png", Object::bytes(pattern(1, 0, SMALL)).content_type("image/png"));
    let scene = Scene::of(stage, IMAGE, &["a.png"]).await;
    let cookie = [("cookie", scene.session.cookies.as_str())];
    let gcs = &scene.stage.gateway.gcs;
    let mut asked = [0, 0];
    for (asked, client) in asked.iter_mut().zip([scene.stage.bare(), scene.gateway()]) {
        gcs.clear_requests();
        assert_eq!(client.get(scene.path("a.png"), &cookie).await.status, 200);
        *asked = gcs.requests().iter().filter(|request| request.operation != Operation::Token).count();
    }
    println!("requests to the storage for one answer      | Label Studio: {} | gsgate: {}", asked[0], asked[1]);
    assert!(asked[0] >= 3 && asked[1] == 1, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_not_cut_however_long_it_takes() {
    const SIZE: usize = 16 * 1024 * 1024;
    const PIECE: usize = 256 * 1024;
    // Twenty seconds unless it is set; two are as good to show it.
    let limit = [("RESOLVER_PROXY_TIMEOUT", "2")];
    let Some(stage) = Stage::set_with(Emulator::builder().start().await.unwrap(), "", &limit).await else { return };
    stage.gateway.put("long.bin", Object::bytes(pattern(3, 0, SIZE)).content_type("video/mp4"));
    let scene = Scene::of(stage, VIDEO, &["long.bin"]).await;
    let cookie = [("cookie", scene.session.cookies.as_str())];
    let mut came = Vec::new();
    for client in [scene.stage.bare(), scene.gateway()] {
        let gate = Gate::new();
        let slow = Action::Dribble { piece: PIECE, gate: gate.clone() };
        scene.stage.gateway.gcs.inject(Fault::new(slow).on(Operation::Media).after_bytes(0).always());
        let pace = tokio::spawn(async move {
            let mut beat = interval(Duration::from_millis(60));
            for _ in 0..SIZE / PIECE {
                beat.tick().await;
                gate.release(1);
            }
            gate.open();
        });
        let (status, headers, mut body) = client.open(Method::GET, scene.path("long.bin"), &cookie).await;
        assert_eq!((status.as_u16(), &headers["content-length"]), (200, &SIZE.to_string().parse().unwrap()));
        let mut length = 0;
        // Label Studio neither sends on nor ends the connection: nobody is ever told.
        while let Ok(Some(Ok(frame))) = timeout(Duration::from_secs(5), body.frame()).await {
            length += frame.into_data().map_or(0, |data| data.len());
        }
        pace.abort();
        scene.stage.gateway.gcs.clear_faults();
        came.push(length);
    }
    println!("{SIZE} bytes that take 4 s, with a limit of 2 s | Label Studio: {} | gsgate: {}", came[0], came[1]);
    assert!(came[0] < SIZE && came[1] == SIZE, "{came:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_holds_no_worker() {
    const READERS: usize = 8;
    let Some(stage) = Stage::set(Emulator::builder().start().await.unwrap(), "").await else { return };
    stage.gateway.put("long.bin", Object::generated(200 * 1024 * 1024, 1).content_type("video/mp4"));
    let scene = Scene::of(stage, VIDEO, &["long.bin"]).await;
    let cookie = [("cookie", scene.session.cookies.as_str())];
    let quiet = scene.stage.studio.threads();
    let mut held = Vec::new();
    // The gateway first: a worker that Label Studio has blocked stays so for twenty seconds.
    for client in [scene.gateway(), scene.stage.bare()] {
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let (status, _, mut body) = client.open(Method::GET, scene.path("long.bin"), &cookie).await;
            assert_eq!(status, 200);
            assert!(body.frame().await.unwrap().is_ok());
            readers.push(body);
        }
        // What Label Studio was asked for in between ends a moment later.
        let mut looks = interval(Duration::from_millis(50));
        let mut fewest = usize::MAX;
        for _ in 0..20 {
            looks.tick().await;
            fewest = fewest.min(scene.stage.studio.threads());
        }
        held.push(fewest.saturating_sub(quiet));
    }
    println!("workers held by {READERS} readers that rest      | Label Studio: {} | gsgate: {}", held[1], held[0]);
    assert!(held[1] >= READERS / 2 && held[0] <= 1, "{held:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_reads_nothing_outside_of_what_a_task_names() {
    let Some(stage) = Stage::set(Emulator::builder().start().await.unwrap(), "").await else { return };
    stage.gateway.put("in/a.jpg", Object::bytes(vec![1; 200]).content_type("image/jpeg"));
    stage.gateway.put("secret.txt", Object::bytes("nobody's business").content_type("text/plain"));
    let api = stage.studio.api();
    let project = api.project("pictures", IMAGE).await;
    // The storage is for this prefix alone, and no task names anything else.
    stage.storage(&api, project, json!({ "prefix": "in", "presign": false })).await;
    api.import(project, &json!([{ "media": gs("in/a.jpg") }])).await;
    let task = api.tasks(project).await[0];
    let stranger = api.sign_up("stranger@example.com", "whoever I may be").await;
    let path = resolve(task, &gs("secret.txt"));
    let cookie = [("cookie", stranger.cookies.as_str())];
    let (without, with) = (stage.bare().get(&path, &cookie).await, stage.gateway.client.get(&path, &cookie).await);
    compare("a stranger, outside of the prefix", (&told(&without), &told(&with)), ("200 17", "404"));
    assert_eq!(without.text(), "nobody's business", "{}", stage.studio.log());
    assert!(!with.text().contains("business"));
}

fn gzip(text: &str) -> Vec<u8> {
    let mut child = std::process::Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap().stdout
}
