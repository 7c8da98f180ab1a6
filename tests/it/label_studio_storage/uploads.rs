//! Uploads: stored whole and where they may, or not at all.

use bytes::Bytes;
use gsgate::emulator::{Action, Fault, Operation};
use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::rig::{Rig, json_of, refusal};
use crate::support::Answer;

const UPLOAD: &str = "/upload/storage/v1/b/test-media/o?uploadType=";
const RELATED: (&str, &str) = ("content-type", "multipart/related; boundary=\"==x==\"");

fn multipart(resource: &str, content: &[u8]) -> Bytes {
    let head = format!(
        "--==x==\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{resource}\r\n--==x==\r\ncontent-type: text/plain\r\n\r\n"
    );
    [head.as_bytes(), content, b"\r\n--==x==--"].concat().into()
}

async fn post(rig: &Rig, query: &str, resource: &str, content: &[u8]) -> Answer {
    rig.send(Method::POST, &format!("{UPLOAD}{query}"), &[RELATED], multipart(resource, content)).await
}

fn held(rig: &Rig, name: &str) -> Option<Bytes> {
    rig.gateway.bucket().object(name).map(|held| held.bytes)
}

#[tokio::test]
async fn an_upload_is_stored_with_all_that_is_told_about_it() {
    let rig = Rig::start("").await;
    let content = b"{\"a\": 1}\r\n--==x=\r\n--==x\r";
    let resource = json!({ "name": "notes/ü 1", "cacheControl": "no-store", "metadata": { "k": "v" } }).to_string();
    let stored = json_of(&post(&rig, "multipart", &resource, content).await);
    assert_eq!((stored["name"].as_str(), stored["size"].as_str()), (Some("notes/ü 1"), Some("24")));
    assert!(["generation", "md5Hash", "crc32c"].iter().all(|name| stored[name].is_string()), "{stored}");
    let held = rig.gateway.bucket().object("notes/ü 1").unwrap();
    assert_eq!((&held.bytes[..], held.content_type.as_deref()), (&content[..], Some("text/plain")));
    assert_eq!(held.metadata["k"], "v");
    let simple =
        rig.send(Method::POST, &format!("{UPLOAD}media&name=notes/2"), &[("content-type", "image/png")], "x").await;
    assert_eq!(json_of(&simple)["contentType"], "image/png");
    let seen = rig.get("/download/storage/v1/b/test-media/o/notes%2F2?alt=media").await;
    assert_eq!(seen.text(), "x");
    let replaced = rig.send(Method::POST, &format!("{UPLOAD}media&name=notes/2"), &[], "newer").await;
    assert_eq!(replaced.status, 200);
    let seen = rig.get("/download/storage/v1/b/test-media/o/notes%2F2?alt=media").await;
    assert_eq!(seen.text(), "newer", "what was written is what is read");
}

#[tokio::test]
async fn a_resumable_upload_comes_in_one_piece() {
    let rig = Rig::start("").await;
    let resource = json!({ "name": "notes/1", "contentType": "text/plain" }).to_string();
    let begun =
        rig.send(Method::POST, &format!("{UPLOAD}resumable"), &[("x-upload-content-length", "5")], resource).await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    let location = begun.header("location");
    let target = location.strip_prefix("http://gateway.test/-/label-studio/gcs").unwrap();
    assert_eq!(held(&rig, "notes/1"), None);
    let put = async |range: &str, content: &str| {
        let headers = [("content-range", range), ("x-goog-hash", "md5=XUFAKrxLKna5cZ2REBfFkg==")];
        rig.send(Method::PUT, target, &headers, content.to_owned()).await
    };
    for range in ["bytes */5", "bytes */*"] {
        let asked = put(range, "").await;
        assert_eq!((asked.status.as_u16(), asked.header("range").as_str()), (308, ""), "nothing is there yet");
    }
    for (range, content) in
        [("bytes 0-2/5", "hel"), ("bytes 3-4/5", "lo"), ("bytes 0-4/*", "hello"), ("bytes 0-3/4", "hello")]
    {
        let piece = put(range, content).await;
        assert!(piece.text().contains("chunk_size"), "{range}: {}", piece.text());
        assert_eq!(refusal(&piece).0, 400);
    }
    assert_eq!(refusal(&put("bytes 0-4/5", "hellx").await).0, 400, "another sum than was announced");
    assert_eq!(held(&rig, "notes/1"), None);
    assert_eq!(json_of(&put("bytes 0-4/5", "hello").await)["contentType"], "text/plain");
    assert_eq!(held(&rig, "notes/1").as_deref(), Some(&b"hello"[..]));
    let nobody = rig.send_bare(Method::PUT, target, &[], "hello".into()).await;
    assert_eq!(refusal(&nobody).0, 401, "the URL alone gives no right");
}

#[tokio::test]
async fn a_resumable_upload_goes_on_where_the_client_found_the_gateway() {
    let server = "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://label.example.com\"\nhosts = [\"gsgate\"]";
    let rig = Rig::with("export = [\"notes\"]", "", |builder| builder.sections(server)).await;
    for (host, expected) in
        [("label.example.com", "https://label.example.com/"), ("gsgate:8080", "http://gsgate:8080/")]
    {
        let headers = [("host", host), ("x-forwarded-proto", "https")];
        let begun = rig.send(Method::POST, &format!("{UPLOAD}resumable"), &headers, r#"{"name":"notes/1"}"#).await;
        assert!(begun.header("location").starts_with(expected), "{}", begun.header("location"));
    }
}

#[tokio::test]
async fn a_resumable_uploads_url_leads_nowhere_else() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let rig = Rig::start("").await;
    for name in ["secret.txt", "in/new", "notes/../secret.txt", ""] {
        let id = URL_SAFE_NO_PAD.encode(json!({ "resource": { "name": name } }).to_string());
        let answer = rig.send(Method::PUT, &format!("{UPLOAD}resumable&upload_id={id}"), &[], "mine").await;
        assert!([400, 403].contains(&refusal(&answer).0), "{name}: {}", answer.text());
        let resource = json!({ "name": name }).to_string();
        let begun = rig.send(Method::POST, &format!("{UPLOAD}resumable"), &[], resource).await;
        assert!([400, 403].contains(&refusal(&begun).0), "{name}");
    }
    assert_eq!(rig.gateway.gcs.count(Operation::Upload), 0);
}

#[tokio::test]
async fn only_what_is_expected_is_replaced_or_deleted() {
    let rig = Rig::start("can_delete = true").await;
    let write = async |query: &str| post(&rig, &format!("multipart&{query}"), r#"{"name":"notes/1"}"#, b"x").await;
    let first = json_of(&write("ifGenerationMatch=0").await)["generation"].as_str().unwrap().to_owned();
    assert_eq!(refusal(&write("ifGenerationMatch=0").await), (412, "conditionNotMet".to_owned()));
    let second =
        json_of(&write(&format!("ifGenerationMatch={first}")).await)["generation"].as_str().unwrap().to_owned();
    assert_eq!(refusal(&write(&format!("ifGenerationMatch={first}")).await).0, 412);
    for unsupported in [
        "ifGenerationMatch=",
        "ifGenerationNotMatch=0",
        "ifMetagenerationMatch=1",
        "predefinedAcl=publicRead",
        "kmsKeyName=x",
    ] {
        assert_eq!(refusal(&write(unsupported).await).0, 400, "{unsupported}");
    }
    let object = "/storage/v1/b/test-media/o/notes%2F1";
    let delete = async |query: &str| rig.send(Method::DELETE, &format!("{object}{query}"), &[], "").await;
    assert_eq!(refusal(&delete(&format!("?ifGenerationMatch={first}")).await).0, 412);
    for gone in [
        format!("?generation={first}"),
        "?generation=0".to_owned(),
        format!("?generation={second}&ifGenerationMatch={first}"),
    ] {
        assert_eq!(refusal(&delete(&gone).await).0, 404, "{gone}");
    }
    assert_eq!(delete(&format!("?ifGenerationMatch={second}")).await.status, 204);
    assert_eq!(refusal(&delete("").await).0, 404);
    assert_eq!(refusal(&rig.get(object).await).0, 404);
    let rig = Rig::start("").await;
    json_of(&post(&rig, "multipart", r#"{"name":"notes/1"}"#, b"x").await);
    assert_eq!(refusal(&rig.send(Method::DELETE, object, &[], "").await).0, 403, "without can_delete");
    assert!(held(&rig, "notes/1").is_some());
}

#[tokio::test]
async fn what_cannot_be_understood_is_not_stored() {
    let rig = Rig::start("").await;
    let good = multipart(r#"{"name":"notes/1"}"#, b"x");
    let mut bad: Vec<(String, Bytes)> = vec![(RELATED.1.to_owned(), good.slice(..good.len() - 4))];
    for kind in
        ["text/plain", "multipart/related", "multipart/related; boundary=other", "multipart/mixed; boundary=\"==x==\""]
    {
        bad.push((kind.to_owned(), good.clone()));
    }
    for resource in [
        "",
        r#"{"name":"notes/1","bucket":"other-media"}"#,
        "{",
        "[]",
        "{}",
        r#"{"name":"notes/1","acl":[]}"#,
        r#"{"name":"notes/1","crc32c":"AAAAAA=="}"#,
    ] {
        bad.push((RELATED.1.to_owned(), multipart(resource, b"x")));
    }
    let long = format!(r#"{{"name":"notes/1","metadata":{{"k":"{}"}}}}"#, "x".repeat(100_000));
    bad.push((RELATED.1.to_owned(), multipart(&long, b"x")));
    for (kind, body) in bad {
        let answer = rig.send(Method::POST, &format!("{UPLOAD}multipart"), &[("content-type", &kind)], body).await;
        assert_eq!(refusal(&answer).0, 400, "{kind}");
    }
    for query in ["", "chunked", "media", "multipart&name=a&name=b"] {
        assert_eq!(refusal(&post(&rig, query, "{}", b"x").await).0, 400, "{query}");
    }
    assert!(rig.names().iter().all(|name| !name.starts_with("notes/")), "{:?}", rig.names());
}

#[tokio::test]
async fn more_than_the_limit_is_not_stored() {
    let rig = Rig::start("max_upload = \"1000 B\"").await;
    let send = async |size: usize| post(&rig, "multipart", r#"{"name":"notes/1"}"#, &vec![b'x'; size]).await;
    assert_eq!(refusal(&send(1001).await), (413, "uploadTooLarge".to_owned()));
    assert_eq!(refusal(&send(1_000_000).await), (413, "uploadTooLarge".to_owned()), "said beforehand");
    let headers = [("x-upload-content-length", "1001")];
    let begun = rig.send(Method::POST, &format!("{UPLOAD}resumable"), &headers, r#"{"name":"notes/1"}"#).await;
    assert_eq!(refusal(&begun).0, 413);
    let simple = rig.send(Method::POST, &format!("{UPLOAD}media&name=notes/1"), &[], vec![b'x'; 1001]).await;
    assert_eq!(refusal(&simple).0, 413);
    assert_eq!(held(&rig, "notes/1"), None);
    assert_eq!(send(1000).await.status, 200);
}

#[tokio::test]
async fn an_upload_that_cloud_storage_refuses_is_refused() {
    let rig = Rig::start("").await;
    for (action, status) in
        [(Action::status(503), 503), (Action::status(403), 403), (Action::status(429), 429), (Action::Reset, 502)]
    {
        rig.gateway.gcs.inject(Fault::new(action.clone()).on(Operation::Upload));
        let answer = post(&rig, "multipart", r#"{"name":"notes/1"}"#, b"x").await;
        assert_eq!(refusal(&answer).0, status, "{action:?}");
        assert_eq!(held(&rig, "notes/1"), None);
    }
}

/// The beginning of an upload of 1000 bytes, of which 10 come.
async fn half(rig: &Rig, query: &str, chunked: bool) -> TcpStream {
    let mut stream = TcpStream::connect(rig.gateway.client.address).await.unwrap();
    let length = if chunked { "transfer-encoding: chunked" } else { "content-length: 1000" };
    let head = format!(
        "POST /-/label-studio/gcs{UPLOAD}{query} HTTP/1.1\r\nhost: gateway.test\r\nauthorization: {}\r\n\
         content-type: text/plain\r\n{length}\r\n\r\n",
        rig.owner.bearer()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(if chunked { b"a\r\n0123456789\r\n" } else { b"0123456789" }).await.unwrap();
    while rig.gateway.gcs.open_connections() == 0 {
        tokio::task::yield_now().await;
    }
    stream
}

#[tokio::test]
async fn a_piece_that_is_shorter_than_it_says_is_not_stored() {
    let rig = Rig::start("").await;
    let begun = rig.send(Method::POST, &format!("{UPLOAD}resumable"), &[], r#"{"name":"notes/1"}"#).await;
    let location = begun.header("location");
    let target = location.strip_prefix("http://gateway.test").unwrap();
    for (content, status) in [
        ("5\r\nhello\r\n0\r\n\r\n", 400),
        ("b\r\nhello world\r\n0\r\n\r\n", 400),
        ("a\r\n0123456789\r\n0\r\n\r\n", 200),
    ] {
        let head = format!(
            "PUT {target} HTTP/1.1\r\nhost: gateway.test\r\nauthorization: {}\r\ncontent-range: bytes 0-9/10\r\n\
             transfer-encoding: chunked\r\nconnection: close\r\n\r\n{content}",
            rig.owner.bearer()
        );
        let answer = rig.gateway.client.raw(head).await;
        assert!(answer.starts_with(format!("HTTP/1.1 {status}").as_bytes()), "{}", String::from_utf8_lossy(&answer));
        assert_eq!(held(&rig, "notes/1").is_some(), status == 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_off_leaves_nothing() {
    let rig = Rig::start("").await;
    for (at, chunked) in [false, true].into_iter().enumerate() {
        drop(half(&rig, &format!("media&name=notes/{at}"), chunked).await);
        while rig.gateway.gcs.open_connections() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(held(&rig, &format!("notes/{at}")), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_rests_is_given_up_and_leaves_nothing() {
    let server = "[server]\nlisten = \"127.0.0.1:0\"\n[server.limits]\nstall_timeout = \"300ms\"";
    let names = "connections = [\"inside\"]\nexport = [\"notes\"]";
    let rig = Rig::with(names, "", |builder| builder.sections(server)).await;
    let mut stream = half(&rig, "media&name=notes/1", false).await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(held(&rig, "notes/1"), None);
}
