//! What the API tells of connections and objects.

use gsgate::emulator::{Object, Operation};
use serde_json::{Value, json};

use crate::support::{Answer, TestGateway};

const HOST: (&str, &str) = ("host", "localhost");

async fn get(gateway: &TestGateway, target: &str) -> Answer {
    gateway.admin.get(&format!("/api/v1/connections{target}"), &[HOST]).await
}

async fn value(gateway: &TestGateway, target: &str) -> Value {
    let answer = get(gateway, target).await;
    assert_eq!(answer.status, 200, "{target}: {:?}", answer.body);
    serde_json::from_slice(answer.bytes()).unwrap()
}

fn names(page: &Value) -> Vec<String> {
    let objects = page["objects"].as_array().unwrap();
    objects.iter().map(|object| object["name"].as_str().unwrap().to_owned()).collect()
}

/// All names, page after page, and how many pages that took.
async fn walk(gateway: &TestGateway, target: &str) -> (Vec<String>, usize) {
    let (mut all, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = value(gateway, &format!("{target}&cursor={cursor}")).await;
        all.extend(names(&page));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return (all, pages),
        }
    }
}

#[tokio::test]
async fn connections_are_told_with_what_the_browser_may_expect() {
    let sections = "[cors]\norigins = [\"http://localhost\"]\n[connections.closed]\nuri = \"gs://other-media/a/\"\n\
                    title = \"Closed <b>\"\ndescription = \"nobody\"\nallow = [\"192.0.2.1\"]\nrecursive = false";
    let gateway = TestGateway::builder().await.connection("delivery = \"auto\"").sections(sections).start().await;
    let told = value(&gateway, "").await;
    assert_eq!(told["gateway"], json!({"url": format!("http://{}", gateway.client.address), "configured": false}));
    assert_eq!(told["client"], "127.0.0.1");
    let closed = json!({"name": "closed", "title": "Closed <b>", "description": "nobody", "uri": "gs://other-media/a/",
        "credentials": "default", "delivery": "auto", "signing": true, "recursive": false, "access": "restricted",
        "demand": "network", "links": false,
        "admitted": false, "readable": true});
    assert_eq!(told["connections"][0], closed);
    let media = &told["connections"][1];
    assert_eq!((&media["access"], &media["admitted"], &media["title"]), (&json!("anyone"), &json!(true), &Value::Null));
    let other = gateway.admin.get("/api/v1/connections", &[("host", "127.0.0.1:9")]).await;
    let other: Value = serde_json::from_slice(other.bytes()).unwrap();
    assert_eq!(other["connections"][0]["readable"], false, "the page's origin is another one");
}

#[tokio::test]
async fn objects_are_paged_without_a_gap_or_a_double() {
    let sections = "[connections.flat]\nuri = \"gs://test-media/d/\"\nrecursive = false\n\
                    [connections.picky]\nuri = \"gs://test-media/\"\nfilter = \".*7\\\\.jpg$\"";
    let gateway = TestGateway::builder().await.sections(sections).start().await;
    let mut expected: Vec<String> = (0..1203).map(|number| format!("d/{number:04}.jpg")).collect();
    expected.extend((0..40).map(|number| format!("d/folder-{number:02}/x.jpg")));
    expected.push("d/ü #?%2F+.jpg".to_owned());
    for name in &expected {
        gateway.put(name, Object::bytes("x"));
    }
    expected.sort();
    for limit in [1000, 100, 7] {
        let (found, pages) = walk(&gateway, &format!("/media/objects?limit={limit}")).await;
        assert_eq!(found, expected, "{limit}");
        assert_eq!(pages, expected.len().div_ceil(limit), "{limit}");
    }
    let flat: Vec<_> = expected.iter().filter(|name| !name.contains("folder")).cloned().collect();
    for limit in [1000, 1] {
        let (found, _) = walk(&gateway, &format!("/flat/objects?limit={limit}")).await;
        assert_eq!(found, flat, "{limit}");
    }
    let sevens: Vec<_> = expected.iter().filter(|name| name.ends_with("7.jpg")).cloned().collect();
    assert_eq!(walk(&gateway, "/picky/objects?limit=50").await.0, sevens);
}

#[tokio::test]
async fn a_filter_that_nothing_passes_does_not_list_a_whole_bucket_at_once() {
    let sections = "[connections.none]\nuri = \"gs://test-media/\"\nfilter = \"never\"";
    let gateway = TestGateway::builder().await.sections(sections).start().await;
    for number in 0..9_500 {
        gateway.put(&format!("{number:05}"), Object::bytes(""));
    }
    let page = value(&gateway, "/none/objects?limit=1").await;
    assert!(page["next"].is_string() && names(&page).is_empty());
    assert_eq!(gateway.gcs.count(Operation::List), 8);
    assert_eq!(walk(&gateway, "/none/objects?limit=1").await, (Vec::new(), 2));
}

#[tokio::test]
async fn previews_have_the_url_the_decision_and_its_reason() {
    let sections = "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://m.example/base\"";
    let connection = "delivery = \"auto\"\nredirect_above = \"10 B\"";
    let gateway = TestGateway::builder().await.connection(connection).sections(sections).start().await;
    let html = "<img src=x onerror=alert(1)>.jpg";
    gateway.put(html, Object::bytes("small").content_type("application/octet-stream"));
    gateway.put("large.wav", Object::bytes("0123456789").content_type("audio/wav"));
    gateway.put("a/../b", Object::bytes("x"));
    let page = value(&gateway, "/media/preview").await;
    let small = json!({"name": html, "size": 5, "content_type": "image/jpeg", "kind": "image",
        "updated": page["objects"][0]["updated"],
        "url": "https://m.example/base/media/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E.jpg",
        "delivery": {"by": "proxy", "reason": "small"}, "delivery_to_scripts": {"by": "proxy", "reason": "cors"}});
    assert_eq!(page["objects"][0], small);
    let large = &page["objects"][1];
    assert_eq!(
        (&large["kind"], &large["delivery"]),
        (&json!("audio"), &json!({"by": "signed-url", "reason": "large"}))
    );
    assert_eq!(page["unservable"][0]["name"], "a/../b");
    for (object, reason) in [("large.wav", "signed-url; reason=large"), (html, "proxy; reason=small")] {
        let url = page["objects"].as_array().unwrap().iter().find(|known| known["name"] == object).unwrap();
        let path = url["url"].as_str().unwrap().strip_prefix("https://m.example/base").unwrap().to_owned();
        let answer = gateway.client.get(&path, &[("host", "m.example")]).await;
        assert_eq!(answer.header("x-gsgate-delivery"), reason, "the gateway decides the same");
    }
    let audio = value(&gateway, "/media/preview?data_type=audio").await;
    assert_eq!(names(&audio), ["large.wav"]);
}

#[tokio::test]
async fn what_nobody_can_mean_is_refused() {
    let gateway = TestGateway::start().await;
    for (target, word) in [
        ("/media/objects?limit=0", "limit is a number from 1 to 1000"),
        ("/media/objects?limit=1001", "1000"),
        ("/media/objects?limit=18446744073709551616", "1000"),
        ("/media/objects?limit=-1", "1000"),
        ("/media/preview?limit=101", "100"),
        ("/media/objects?limit=1&limit=2", "once"),
        ("/media/objects?cursor=%00", "cursor"),
        ("/media/objects?cursor=_w", "cursor"),
        ("/media/objects?size=1", "unknown parameter \"size\""),
        ("/media/preview?data_type=song", "audio"),
        ("/media/tasks?format=xml", "label-studio"),
        ("/media/tasks?format=csv&import=json", "label-studio and jsonl"),
        ("/media/tasks?since=/etc/passwd", "since is a time"),
        ("/media/tasks?gs_uri=maybe", "true or false"),
        ("/media/tasks?public_url=javascript:alert(1)", "public_url"),
        ("/media/tasks?public_url=%3Cb%3E", "public_url"),
    ] {
        let answer = get(&gateway, target).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "bad_query"), "{target}");
        assert!(answer.text().contains(&word.replace('"', "\\\"")), "{target}: {}", answer.text());
    }
    for (target, code) in
        [("/nobody/objects", "no_such_connection"), ("/MEDIA/preview", "no_such_connection"), ("/media/", "not_found")]
    {
        let answer = get(&gateway, target).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, code), "{target}");
    }
    let answer = gateway.admin.get("/api/v1/connections/media/check", &[HOST]).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow").as_str()), (405, "POST"));
    let head = gateway.admin.head("/api/v1/connections/media/tasks?gs_uri=true", &[HOST]).await;
    assert!(head.status == 200 && head.header("content-disposition").contains("media.json"), "{head:?}");
    assert_eq!(gateway.gcs.count(Operation::List), 0);
}
