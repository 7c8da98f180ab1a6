//! Reading through the JSON API, as Google's client does it.

use gsgate::emulator::{Action, Fault, Object, Operation};
use http::Method;
use serde_json::{Value, json};

use super::rig::{Rig, json_of, refusal};

#[tokio::test]
async fn a_bucket_that_is_served_is_there_without_asking_cloud_storage() {
    let rig = Rig::start("").await;
    let bucket = json_of(&rig.get("/storage/v1/b/test-media?projection=noAcl&prettyPrint=false").await);
    assert_eq!((bucket["kind"].as_str(), bucket["id"].as_str()), (Some("storage#bucket"), Some("test-media")));
    let named = json_of(&rig.get("/storage/v1/b/test-media?fields=name").await);
    assert_eq!(named, json!({ "name": "test-media" }));
    let held = "/storage/v1/b/test-media/iam/testPermissions?permissions=storage.objects.get&permissions=\
        storage.objects.delete&permissions=storage.objects.create&permissions=storage.buckets.update";
    let permissions = json_of(&rig.get(held).await)["permissions"].clone();
    assert_eq!(permissions, json!(["storage.objects.get", "storage.objects.create"]));
    assert_eq!(refusal(&rig.get("/storage/v1/b/unknown-bucket").await), (403, "forbidden".to_owned()));
    assert!(rig.gateway.gcs.requests().is_empty());
}

#[tokio::test]
async fn an_object_tells_what_cloud_storage_tells() {
    let rig = Rig::start("").await;
    let generation = rig.gateway.put("in/x y#ü.json", Object::bytes("{\"a\":1}").content_type("application/json"));
    let target = "/storage/v1/b/test-media/o/in%2Fx%20y%23%C3%BC.json";
    let object = json_of(&rig.get(&format!("{target}?projection=noAcl")).await);
    assert_eq!(object["name"], "in/x y#ü.json");
    assert_eq!((object["size"].as_str(), object["contentType"].as_str()), (Some("7"), Some("application/json")));
    assert_eq!(object["generation"], generation.to_string());
    assert!(["updated", "etag", "md5Hash", "crc32c"].iter().all(|name| object[name].is_string()), "{object}");
    let part = json_of(&rig.get(&format!("{target}?fields=name,size")).await);
    assert_eq!(part, json!({ "name": "in/x y#ü.json", "size": "7" }));
    assert_eq!(rig.get(&format!("{target}?generation={generation}")).await.status, 200);
    assert_eq!(refusal(&rig.get(&format!("{target}?generation=7")).await), (404, "notFound".to_owned()));
    assert_eq!(refusal(&rig.get("/storage/v1/b/test-media/o/in%2Fgone").await), (404, "notFound".to_owned()));
    for unsupported in ["versions=true", "ifGenerationMatch=1", "generation=x", "fields=a&fields=b"] {
        assert_eq!(refusal(&rig.get(&format!("{target}?{unsupported}")).await).0, 400, "{unsupported}");
    }
    let sent = rig.gateway.gcs.requests();
    assert!(
        sent.iter().all(|request| !format!("{request:?}").contains(&rig.owner.email)),
        "the gateway asks as itself"
    );
}

#[tokio::test]
async fn media_comes_with_all_that_the_gateway_can() {
    let rig = Rig::start("").await;
    let generation = rig.gateway.put("in/a.bin", Object::bytes(vec![7; 1000]).content_type("image/png"));
    for target in
        ["/download/storage/v1/b/test-media/o/in%2Fa.bin?alt=media", "/storage/v1/b/test-media/o/in%2Fa.bin?alt=media"]
    {
        let whole = rig.get(target).await;
        assert_eq!((whole.status.as_u16(), whole.bytes().len()), (200, 1000), "{target}");
        assert_eq!(whole.header("content-type"), "image/png");
        assert!(whole.header("x-goog-hash").contains("crc32c="));
        let part = rig.get_with(target, &[("range", "bytes=10-19")]).await;
        assert_eq!((part.status.as_u16(), part.header("content-range").as_str()), (206, "bytes 10-19/1000"));
        let same = rig.get(&format!("{target}&generation={generation}")).await;
        assert_eq!((same.status.as_u16(), same.bytes().len()), (200, 1000));
        assert_eq!(refusal(&rig.get(&format!("{target}&generation=7")).await), (404, "notFound".to_owned()));
    }
    let beyond = rig.get_with("/download/storage/v1/b/test-media/o/in%2Fa.bin", &[("range", "bytes=1000-")]).await;
    assert_eq!(beyond.status, 416);
    assert_eq!(rig.get("/download/storage/v1/b/test-media/o/in%2Fgone?alt=media").await.status, 404);
    let elsewhere = rig.get("/download/storage/v1/b/other-media/o/a.jpg?alt=media").await;
    assert_eq!(
        (elsewhere.status.as_u16(), elsewhere.text()),
        (200, "a.jpg"),
        "never a redirect, whatever the connection says"
    );
}

#[tokio::test]
async fn what_goes_wrong_at_cloud_storage_is_told_in_its_own_words() {
    let rig = Rig::start("").await;
    let target = "/storage/v1/b/test-media/o/in%2Fa.txt";
    for (status, expected) in [(403, 403), (404, 404), (412, 412), (501, 503), (400, 400)] {
        rig.gateway.gcs.inject(Fault::new(Action::status(status)).on(Operation::Metadata));
        let answer = rig.get(target).await;
        assert_eq!(refusal(&answer).0, expected, "{status}");
        rig.gateway.gcs.clear_faults();
    }
    assert_eq!(rig.get(target).await.status, 200);
}

#[tokio::test]
async fn only_the_apis_own_paths_and_methods_are_served() {
    let rig = Rig::start("").await;
    for (method, target, status) in [
        (Method::GET, "/", 404),
        (Method::GET, "/storage/v1/b", 404),
        (Method::GET, "/storage/v1/b/test-media/acl", 404),
        (Method::POST, "/batch/storage/v1", 404),
        (Method::PATCH, "/storage/v1/b/test-media/o/in%2Fa.txt", 405),
        (Method::POST, "/storage/v1/b/test-media/o", 405),
        (Method::DELETE, "/storage/v1/b/test-media", 405),
        (Method::POST, "/storage/v1/b/test-media/o/in%2Fa.txt/rewriteTo/b/test-media/o/in%2Fb.txt", 404),
        (Method::GET, "/token", 405),
    ] {
        assert_eq!(refusal(&rig.send(method, target, &[], "").await).0, status, "{target}");
    }
    assert!(rig.gateway.gcs.requests().is_empty());
}

#[tokio::test]
async fn the_api_has_a_network_of_its_own_where_that_is_written() {
    let names = "connections = [\"inside\"]";
    let rig = Rig::with(names, "allow = [\"10.0.0.0/8\"]", |builder| builder).await;
    let denied = rig.get("/storage/v1/b/test-media").await;
    assert_eq!((denied.status.as_u16(), denied.code().as_str()), (404, "not_found"));
    let nowhere = rig.get("/nowhere").await;
    assert_eq!((nowhere.status.as_u16(), nowhere.code().as_str()), (404, "not_found"), "paths look the same");
    let rig = Rig::with(names, "allow = [\"127.0.0.1\"]", |builder| builder.access("allow = [\"10.0.0.0/8\"]")).await;
    assert_eq!(rig.get("/storage/v1/b/test-media").await.status, 200);
    assert_eq!(rig.get("/download/storage/v1/b/test-media/o/in%2Fa.txt?alt=media").await.text(), "hello");
    assert_eq!(rig.gateway.client.get("/inside/a.txt", &[]).await.status, 404, "browsers go by the connection's own");
    let rig = Rig::with(names, "", |builder| builder.access("allow = [\"10.0.0.0/8\"]")).await;
    assert_eq!(rig.get("/download/storage/v1/b/test-media/o/in%2Fa.txt?alt=media").await.status, 404);
    assert!(rig.gateway.gcs.requests().is_empty());
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_with_its_cure() {
    let refused = async |names: &str, sections: &str| {
        let folder = tempfile::tempdir().unwrap();
        let owner = super::rig::Owner::new("x");
        let (public, private) = (folder.path().join("key.pub"), folder.path().join("key.json"));
        std::fs::write(&public, &owner.public).unwrap();
        std::fs::write(&private, &owner.file).unwrap();
        let names = names.replace("PUBLIC", public.to_str().unwrap()).replace("PRIVATE", private.to_str().unwrap());
        let section = format!("{sections}[label_studio.storage]\n{names}\n");
        let builder = crate::support::TestGateway::builder().await.sections(&section);
        match builder.try_start().await {
            Ok(_) => panic!("{names} was taken"),
            Err(error) => error.to_string(),
        }
    };
    let jwt = "[connections.token]\nuri = \"gs://test-media/\"\n[connections.token.jwt]\nissuer = \"https://i.example\"\n\
        audience = [\"a\"]\njwks = \"https://i.example/keys\"\nalgorithms = [\"RS256\"]\n";
    for (names, sections, cure) in [
        ("keys = []\nconnections = [\"media\"]", "", "gsgate label-studio key"),
        ("keys = [\"PUBLIC\"]", "", "name connections"),
        ("keys = [\"PUBLIC\"]\nconnections = [\"nothing\"]", "", "there is no [connections.nothing]"),
        ("keys = [\"PUBLIC\"]\nexport = [\"nothing\"]", "", "there is no [connections.nothing]"),
        ("keys = [\"PRIVATE\"]\nconnections = [\"media\"]", "", "private half"),
        ("keys = [\"/nowhere.pub\"]\nconnections = [\"media\"]", "", "cannot read /nowhere.pub"),
        ("keys = [\"PUBLIC\"]\nconnections = [\"token\"]", jwt, "demands a jwt"),
        ("keys = [\"PUBLIC\"]\nconnections = [\"media\"]\nallow = []", "", "allow"),
        ("keys = [\"PUBLIC\"]\nconnections = [\"media\"]\ncan_write = true", "", "can_write"),
    ] {
        let error = refused(names, sections).await;
        assert!(error.contains(cure) && error.contains("label_studio.storage"), "{names}: {error}");
        assert!(!error.contains("BEGIN"), "{error}");
    }
}

#[tokio::test]
async fn lists_are_those_of_cloud_storage() {
    let rig = Rig::start("").await;
    let list = async |query: &str| json_of(&rig.get(&format!("/storage/v1/b/test-media/o?{query}")).await);
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().into_iter().flatten();
        items.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = list("prefix=in/&projection=noAcl&prettyPrint=false").await;
    assert_eq!(names(&all), ["in/a.txt", "in/deep/b c.txt"]);
    assert_eq!(
        (all["items"][0]["size"].as_str(), all["items"][0]["kind"].as_str()),
        (Some("5"), Some("storage#object"))
    );
    let folded = list("prefix=in%2F&delimiter=%2F").await;
    assert_eq!((names(&folded), folded["prefixes"].clone()), (vec!["in/a.txt".to_owned()], json!(["in/deep/"])));
    assert_eq!(names(&list("prefix=in/deep/b+c").await), ["in/deep/b c.txt"]);
    assert_eq!(list("prefix=in/nothing/").await, json!({ "kind": "storage#objects" }));
    let brief = list("prefix=in/&maxResults=1&fields=items(name),nextPageToken").await;
    assert_eq!(brief["items"], json!([{ "name": "in/a.txt" }]));
    let token = brief["nextPageToken"].as_str().unwrap();
    let next = list(&format!("prefix=in/&maxResults=1&pageToken={token}")).await;
    assert_eq!(names(&next), ["in/deep/b c.txt"]);
    for bad in
        ["maxResults=0", "maxResults=-1", "delimiter=x", "pageToken=x", "matchGlob=**", "versions=true", "prefix=%ff"]
    {
        assert_eq!(refusal(&rig.get(&format!("/storage/v1/b/test-media/o?{bad}")).await).0, 400, "{bad}");
    }
}
