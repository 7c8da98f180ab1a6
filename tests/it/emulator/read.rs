//! Reads: media, metadata, ranges, gzip, listings.

use std::io::Write as _;

use gsgate::emulator::{Object, Operation, Outcome, pattern};
use serde_json::json;

use super::wire::{get, send, start};

#[tokio::test]
async fn media_carries_the_headers_of_gcs() {
    let gcs = start().await;
    let object = Object::bytes("hello").content_type("text/plain").cache_control("no-cache").metadata("k", "v");
    let generation = gcs.bucket("bkt").put("a/b #1", object);
    for path in ["/storage/v1/b/bkt/o/a%2Fb%20%231?alt=media", "/download/storage/v1/b/bkt/o/a%2Fb%20%231?alt=media"] {
        let answer = get(&gcs, path, &[]).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
        for (name, value) in [
            ("content-type", "text/plain"),
            ("content-length", "5"),
            ("cache-control", "no-cache"),
            ("x-goog-generation", generation.to_string().as_str()),
            ("x-goog-metageneration", "1"),
            ("x-goog-hash", "crc32c=mnG7TA==,md5=XUFAKrxLKna5cZ2REBfFkg=="),
            ("x-goog-stored-content-length", "5"),
            ("x-goog-stored-content-encoding", "identity"),
            ("x-goog-storage-class", "STANDARD"),
            ("x-goog-meta-k", "v"),
            ("accept-ranges", "bytes"),
            ("server", "UploadServer"),
        ] {
            assert_eq!(answer.header(name), value, "{name}");
        }
        assert!(answer.headers.contains_key("alt-svc") && answer.headers.contains_key("last-modified"));
    }
    let about = get(&gcs, "/storage/v1/b/bkt/o/a%2Fb%20%231?fields=name,size,generation,crc32c", &[]).await.json();
    let expected = json!({"name": "a/b #1", "size": "5", "generation": generation.to_string(), "crc32c": "mnG7TA=="});
    assert_eq!(about, expected);
    assert_eq!((gcs.count(Operation::Media), gcs.count(Operation::Metadata), gcs.bytes_sent() > 10), (2, 1, true));
    let seen = gcs.requests();
    assert_eq!((seen[0].object.as_deref(), seen[0].outcome, seen[0].sent), (Some("a/b #1"), Outcome::Complete, 5));
    assert!(seen[0].credential.starts_with("token:gateway@") && !seen[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn ranges_conditions_and_generations_are_those_of_gcs() {
    let gcs = start().await;
    let bucket = gcs.bucket("bkt");
    let old = bucket.put("o", Object::bytes("old"));
    let now = bucket.put("o", Object::bytes("0123456789"));
    let etag = get(&gcs, "/storage/v1/b/bkt/o/o", &[]).await.json()["etag"].as_str().expect("an etag").to_owned();
    let at = |more: &str| format!("/storage/v1/b/bkt/o/o?alt=media{more}");
    for (more, header, status, body) in [
        ("", ("Range", "bytes=2-4"), 206, "234"),
        ("", ("Range", "bytes=-2"), 206, "89"),
        ("", ("Range", "bytes=0-1,4-5"), 200, "0123456789"),
        ("", ("Range", "bytes=10-"), 416, "The requested range cannot be satisfied."),
        ("&generation={now}", ("x", "y"), 200, "0123456789"),
        ("&generation={old}", ("x", "y"), 404, "No such object: bkt/o"),
        ("&ifGenerationMatch={now}", ("x", "y"), 200, "0123456789"),
        ("&ifGenerationMatch={old}", ("x", "y"), 412, "At least one of the pre-conditions you specified did not hold."),
        ("&ifGenerationNotMatch={now}", ("x", "y"), 304, ""),
        ("", ("If-None-Match", etag.as_str()), 304, ""),
        ("", ("If-Match", "no"), 412, "At least one of the pre-conditions you specified did not hold."),
    ] {
        let more = more.replace("{now}", &now.to_string()).replace("{old}", &old.to_string());
        let answer = get(&gcs, &at(&more), &[header]).await;
        assert_eq!((answer.status, answer.text().as_str()), (status, body), "{more} {header:?}");
        match status {
            206 => assert!(answer.header("content-range").ends_with("/10")),
            416 => assert_eq!(answer.header("content-range"), "bytes */10"),
            _ => {}
        }
    }
    bucket.keep_noncurrent();
    bucket.put("o", Object::bytes("new"));
    assert_eq!(get(&gcs, &at(&format!("&generation={now}")), &[]).await.text(), "0123456789");
    assert_eq!(get(&gcs, "/storage/v1/b/bkt/o/none", &[]).await.json()["error"]["errors"][0]["reason"], "notFound");
    assert_eq!(get(&gcs, "/storage/v1/b/none/o/o?alt=media", &[]).await.text(), "The specified bucket does not exist.");
}

#[tokio::test]
async fn gzip_is_undone_only_for_those_who_do_not_take_it() {
    let gcs = start().await;
    let mut packed = async_compression::tokio::write::GzipEncoder::new(Vec::new());
    let text = "a long text, ".repeat(1000);
    tokio::io::AsyncWriteExt::write_all(&mut packed, text.as_bytes()).await.expect("packed");
    tokio::io::AsyncWriteExt::shutdown(&mut packed).await.expect("packed");
    let packed = packed.into_inner();
    let object = Object::bytes(packed.clone()).content_encoding("gzip").content_type("text/plain");
    gcs.bucket("bkt").put("z", object.clone());
    gcs.bucket("bkt").put("fixed", object.cache_control("no-transform"));
    let plain = get(&gcs, "/storage/v1/b/bkt/o/z?alt=media", &[("Range", "bytes=0-3")]).await;
    assert_eq!((plain.status, plain.text(), plain.whole), (200, text, true));
    assert_eq!((plain.header("content-length"), plain.header("content-encoding")), ("", ""));
    assert_eq!(plain.header("warning"), "214 UploadServer gunzipped");
    assert_eq!(plain.header("x-goog-stored-content-length"), packed.len().to_string());
    let taken = get(&gcs, "/storage/v1/b/bkt/o/z?alt=media", &[("Accept-Encoding", "gzip")]).await;
    assert_eq!((taken.status, &taken.body, taken.header("content-encoding")), (200, &packed, "gzip"));
    let gzip = [("Accept-Encoding", "br, GZIP;q=0.5"), ("Range", "bytes=1-2")];
    assert_eq!(get(&gcs, "/storage/v1/b/bkt/o/z?alt=media", &gzip).await.body, packed[1..3]);
    assert_eq!(get(&gcs, "/storage/v1/b/bkt/o/fixed?alt=media", &[]).await.body, packed);
}

#[tokio::test]
async fn listings_and_buckets_are_read_with_masks_and_pages() {
    let gcs = start().await;
    let bucket = gcs.bucket("bkt");
    bucket.set_cors(json!([{"origin": ["*"], "method": ["GET"]}]));
    for name in ["a b", "d/1", "d/2", "z"] {
        bucket.put(name, Object::generated(7, 1));
    }
    let page =
        get(&gcs, "/storage/v1/b/bkt/o?delimiter=%2F&maxResults=2&fields=items(name,size),prefixes,nextPageToken", &[])
            .await
            .json();
    assert_eq!(page["items"], json!([{"name": "a b", "size": "7"}]));
    assert_eq!(page["prefixes"], json!(["d/"]));
    let token = page["nextPageToken"].as_str().expect("a token");
    let rest = get(&gcs, &format!("/storage/v1/b/bkt/o?delimiter=/&maxResults=2&pageToken={token}"), &[]).await.json();
    assert_eq!(
        (rest["items"][0]["name"].as_str(), rest.get("prefixes"), rest.get("nextPageToken")),
        (Some("z"), None, None)
    );
    assert_eq!(
        get(&gcs, "/storage/v1/b/bkt/o?prefix=a+b&fields=items/name", &[]).await.json(),
        json!({"items": [{"name": "a b"}]})
    );
    bucket.empty_pages(true);
    let empty = get(&gcs, "/storage/v1/b/bkt/o", &[]).await.json();
    assert!(empty.get("items").is_none() && empty["nextPageToken"].is_string());
    assert_eq!(
        get(&gcs, "/storage/v1/b/bkt?fields=cors", &[]).await.json(),
        json!({"cors": [{"origin": ["*"], "method": ["GET"]}]})
    );
    let held = get(
        &gcs,
        "/storage/v1/b/bkt/iam/testPermissions?permissions=storage.objects.get&permissions=storage.objects.delete",
        &[],
    )
    .await;
    assert_eq!(held.json()["permissions"], json!(["storage.objects.get"]));
}

#[tokio::test]
async fn a_large_made_up_object_streams_in_any_part() {
    let gcs = start().await;
    let size = 5 << 30;
    gcs.bucket("bkt").put("big", Object::generated(size, 3));
    let at = size - 5_000_000;
    let answer = get(&gcs, "/storage/v1/b/bkt/o/big?alt=media", &[("Range", &format!("bytes={at}-"))]).await;
    assert_eq!((answer.status, answer.body.len()), (206, 5_000_000));
    assert!(answer.body == pattern(3, at, 5_000_000));
    assert!(answer.header("x-goog-hash").starts_with("crc32c=") && !answer.header("x-goog-hash").contains("md5"));
}

#[tokio::test]
async fn a_folder_is_a_bucket() {
    let gcs = start().await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("sub")).expect("a folder");
    let mut file = std::fs::File::create(folder.path().join("sub/ü.png")).expect("a file");
    file.write_all(&pattern(9, 0, 600_000)).expect("written");
    let bucket = gcs.bucket("bkt");
    bucket.serve_folder(folder.path());
    bucket.put("memory", Object::bytes("x"));
    let listed = get(&gcs, "/storage/v1/b/bkt/o?fields=items/name", &[]).await.json();
    assert_eq!(listed, json!({"items": [{"name": "memory"}, {"name": "sub/ü.png"}]}));
    let answer = get(&gcs, "/storage/v1/b/bkt/o/sub%2F%C3%BC.png?alt=media", &[]).await;
    assert!(answer.body == pattern(9, 0, 600_000));
    assert_eq!(answer.header("content-type"), "image/png");
    let part = get(&gcs, "/storage/v1/b/bkt/o/sub%2F%C3%BC.png?alt=media", &[("Range", "bytes=300000-300009")]).await;
    assert_eq!(part.body, pattern(9, 300_000, 10));
    assert_eq!(get(&gcs, "/storage/v1/b/bkt/o/..%2Fsecret?alt=media", &[]).await.status, 404);
}

#[tokio::test]
async fn uploads_become_objects_and_deletions_end_them() {
    let gcs = start().await;
    gcs.bucket("bkt");
    let bearer = format!("Bearer {}", gcs.issue_token(&gcs.email(), &[super::wire::CLOUD]));
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "text/plain")];
    let target = "POST /upload/storage/v1/b/bkt/o?uploadType=media&name=n%2F1";
    let made = send(&gcs, target, &headers, "content").await;
    assert_eq!((made.status, made.json()["name"].as_str()), (200, Some("n/1")));
    assert_eq!(get(&gcs, "/storage/v1/b/bkt/o/n%2F1?alt=media", &[]).await.text(), "content");
    assert_eq!(send(&gcs, "DELETE /storage/v1/b/bkt/o/n%2F1", &headers, "").await.status, 204);
    assert_eq!(send(&gcs, "DELETE /storage/v1/b/bkt/o/n%2F1", &headers, "").await.status, 404);
}
