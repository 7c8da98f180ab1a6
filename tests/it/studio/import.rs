//! `gsgate label-studio import` against the real Label Studio.
//!
//! With `GSGATE_IMPORT_OBJECTS` the number of objects can be set: 100000 is the figure that was promised.

use std::time::Instant;

use gsgate::emulator::Object;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{Duration, interval};

use super::lossy::{Lossy, Trouble};
use super::rig::{IMAGES, Rig, URL, image, said, uris};

fn objects() -> usize {
    std::env::var("GSGATE_IMPORT_OBJECTS").ok().and_then(|text| text.parse().ok()).unwrap_or(5_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_import_goes_on_and_nothing_is_made_twice() {
    let Some(rig) = Rig::start().await else { return };
    let count = objects();
    rig.put(count);
    let project = rig.api.project("killed", IMAGES).await;
    let id = project.to_string();
    let arguments = ["import", "street", "--project", &id, "--gs-uri"];
    let began = Instant::now();
    let mut child = rig.command(&arguments).spawn().unwrap();
    let mut looks = interval(Duration::from_millis(50));
    while rig.count(project).await < count as u64 / 3 {
        looks.tick().await;
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
    }
    child.kill().await.unwrap();
    let killed_at = rig.count(project).await;
    assert!(killed_at < count as u64, "killed midway");
    let said = rig.run(&arguments).await;
    println!("{count} objects, killed at {killed_at}, done after {:?}:\n{}", began.elapsed(), said.err);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(rig.values(project, "image").await == uris(count), "each object once: {} tasks", rig.count(project).await);
    let began = Instant::now();
    let second = rig.run(&arguments).await;
    println!("again, {:?}:\n{}", began.elapsed(), second.err);
    assert!(second.err.contains(&format!("0 tasks made; {count} of {count} objects had one")), "{}", second.err);
    assert_eq!(rig.count(project).await, count as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_new_is_added_and_what_is_gone_is_told() {
    let Some(rig) = Rig::start().await else { return };
    rig.put(3);
    rig.bucket().put("images/bad\u{7}name.jpg", Object::bytes("").content_type("image/jpeg"));
    let project = rig.api.project("new", IMAGES).await;
    let id = project.to_string();
    // One object has a task already, by another link.
    rig.api
        .import(project, &json!([{ "data": { "image": uris(1)[0] } }, { "data": { "image": "https://x/y.jpg" } }]))
        .await;
    let said = rig.run(&["import", "street", "--project", &id]).await;
    assert!(said.err.contains("2 tasks made; 1 of 3 objects had one"), "{}", said.err);
    assert!(said.err.contains("cannot be served"), "{}", said.err);
    let link = format!("{URL}/street/frame%200000001.jpg");
    assert!(rig.values(project, "image").await.contains(&link));
    rig.bucket().remove(&image(1));
    let said = rig.run(&["import", "street", "--project", &id, "--gs-uri"]).await;
    assert!(said.err.contains("0 tasks made; 2 of 2 objects had one"), "{}", said.err);
    assert!(said.err.contains("is gone: \"images/frame 0000001.jpg\""), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_lost_makes_no_task_twice() {
    let Some(rig) = Rig::start().await else { return };
    rig.put(2_500);
    let lossy = Lossy::before(rig.studio.address, &[Trouble::Lost, Trouble::Locked, Trouble::Lost]).await;
    rig.configure(&format!("http://{}", lossy.address));
    let project = rig.api.project("lossy", IMAGES).await;
    let said = rig.run(&["import", "street", "--project", &project.to_string(), "--gs-uri"]).await;
    assert_eq!((said.code, lossy.spoiled()), (Some(0), 3), "{}", said.err);
    assert!(rig.values(project, "image").await == uris(2_500), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_imports_at_once_agree_on_one_task_for_each_object() {
    let Some(rig) = Rig::start().await else { return };
    rig.put(1_200);
    let project = rig.api.project("twice", IMAGES).await;
    let id = project.to_string();
    let arguments = ["import", "street", "--project", &id, "--gs-uri"];
    let began = Instant::now();
    // One more begins with them, and is killed midway.
    let mut child = rig.command(&arguments).spawn().unwrap();
    let both = async { tokio::join!(rig.command(&arguments).output(), rig.command(&arguments).output()) };
    let kill = async {
        let mut looks = interval(Duration::from_millis(50));
        while child.try_wait().unwrap().is_none() && rig.count(project).await < 500 {
            looks.tick().await;
        }
        child.kill().await.unwrap();
    };
    let ((first, second), ()) = tokio::join!(both, kill);
    let (first, second) = (said(first.unwrap()), said(second.unwrap()));
    println!("two imports and a killed one, {:?}:\n{}{}", began.elapsed(), first.err, second.err);
    for said in [&first, &second] {
        assert_eq!(said.code, Some(0), "{first:#?}{second:#?}");
    }
    let third = rig.run(&arguments).await;
    assert_eq!(third.code, Some(0), "{third:#?}");
    assert!(third.err.contains("0 tasks made; 1200 of 1200 objects had one"), "{third:#?}");
    assert!(rig.values(project, "image").await == uris(1_200), "{first:#?}{second:#?}{third:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_earlier_runs_left_twice_is_taken_back_unless_somebody_has_worked_on_it() {
    let Some(rig) = Rig::start().await else { return };
    rig.put(6);
    let project = rig.api.project("doubles", IMAGES).await;
    let plain = |number: usize| json!({ "data": { "image": uris(number + 1)[number] } });
    let titled = |title: &str| json!({ "data": { "image": uris(6)[5], "title": title } });
    let mut tasks: Vec<_> = (0..5).flat_map(|number| [plain(number), plain(number), plain(number)]).collect();
    tasks.extend([titled("one"), titled("two"), titled("two")]);
    rig.api.import(project, &Value::Array(tasks)).await;
    let ids = rig.api.tasks(project).await;
    // Of each three: nothing; the second annotated; the last two annotated; the second drafted on; the third predicted.
    for task in [ids[4], ids[7], ids[8]] {
        rig.api.post(&format!("/api/tasks/{task}/annotations/"), &json!({ "result": [] })).await;
    }
    rig.api.post(&format!("/api/tasks/{}/drafts", ids[10]), &json!({ "result": [], "lead_time": 1 })).await;
    rig.api.post("/api/predictions/", &json!({ "task": ids[14], "result": [] })).await;
    let lossy = Lossy::before(rig.studio.address, &[Trouble::Locked, Trouble::Lost]).await;
    rig.configure(&format!("http://{}", lossy.address));
    let arguments = ["import", "street", "--project", &project.to_string(), "--gs-uri"];
    let said = rig.run(&arguments).await;
    assert_eq!((said.code, lossy.spoiled()), (Some(0), 1), "{}", said.err);
    assert!(said.err.contains("0 tasks made; 6 of 6 objects had one"), "{}", said.err);
    assert!(said.err.contains("9 tasks that were there twice were taken back"), "{}", said.err);
    assert!(said.err.contains("1 tasks are there twice and stay"), "{}", said.err);
    let stay: Vec<u64> = [0, 4, 7, 8, 10, 14, 15, 16, 17].iter().map(|at| ids[*at]).collect();
    assert_eq!(rig.api.tasks(project).await, stay, "{}", said.err);
    let again = rig.run(&arguments).await;
    assert!(!again.err.contains("taken back"), "{}", again.err);
    assert_eq!(rig.api.tasks(project).await, stay);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_brings_what_is_new_until_it_is_ended() {
    let Some(rig) = Rig::start().await else { return };
    rig.put(3);
    let lossy = Lossy::before(rig.studio.address, &[Trouble::Locked, Trouble::Lost]).await;
    rig.configure(&format!("http://{}", lossy.address));
    let project = rig.api.project("watched", IMAGES).await;
    let id = project.to_string();
    let mut child = rig.command(&["import", "street", "--project", &id, "--gs-uri", "--watch", "1s"]).spawn().unwrap();
    for count in [3, 5, 9] {
        rig.put(count);
        let mut looks = interval(Duration::from_millis(100));
        while rig.count(project).await < count as u64 {
            looks.tick().await;
            assert!(child.try_wait().unwrap().is_none(), "it goes on");
        }
        assert_eq!(rig.values(project, "image").await, uris(count));
    }
    let stop = format!("kill -TERM {}", child.id().unwrap());
    assert!(Command::new("sh").args(["-c", &stop]).status().await.unwrap().success());
    let said = said(child.wait_with_output().await.unwrap());
    assert_eq!((said.code, lossy.spoiled()), (Some(0), 2), "{}", said.err);
    assert!(said.err.contains("0 of 3 objects had one") && said.err.contains("3 of 5 objects had one"), "{}", said.err);
    assert_eq!(rig.values(project, "image").await, uris(9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_are_told_with_their_cure() {
    let Some(rig) = Rig::start().await else { return };
    let two = "<View><Image name=\"a\" value=\"$left\"/><Image name=\"b\" value=\"$right\"/></View>";
    let project = rig.api.project("two", two).await.to_string();
    for (arguments, code, words) in [
        (vec!["import", "street", "--project", "77"], 1, "404"),
        (vec!["import", "street", "--project", &project], 2, "shows left, right; choose one with --data-key"),
        (vec!["import", "street", "--project", &project, "--data-key", "up"], 2, "shows left, right"),
        (vec!["import", "lane", "--project", &project], 2, "there is no connection \"lane\"; there is street"),
    ] {
        let said = rig.run(&arguments).await;
        assert_eq!(said.code, Some(code), "{}", said.err);
        assert!(said.err.contains(words) && said.err.lines().count() == 1, "{}", said.err);
    }
    rig.write("token", "nonsense");
    let said = rig.run(&["import", "street", "--project", &project]).await;
    assert!(said.code == Some(1) && said.err.contains("personal access token"), "{}", said.err);
    // A personal access token is exchanged for one that can be used.
    let personal = rig.api.post("/api/token/", &json!({})).await["token"].as_str().unwrap().to_owned();
    rig.write("token", &personal);
    let said = rig.run(&["import", "street", "--project", &project, "--data-key", "left"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(!said.err.contains(&personal) && said.out.is_empty());
}
