//! A million objects. Only with `GSGATE_HEAVY_TESTS=1`.

use gsgate::emulator::Object;
use gsgate::object::ObjectName;
use tokio::io::AsyncReadExt as _;

use super::rig::{Rig, URL};

const OBJECTS: u32 = 1_000_000;
const MOST_KIB: u64 = 100 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_objects_pass_in_constant_memory() {
    if std::env::var_os("GSGATE_HEAVY_TESTS").is_none() {
        return;
    }
    let rig = Rig::start().await;
    let bucket = rig.bucket();
    for number in 0..OBJECTS {
        let name = format!("camera-{:02}/frame {number:08}.jpg", number % 7);
        bucket.put(name, Object::bytes("").content_type("image/jpeg"));
    }
    let mut child = rig.command(&["media"]).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id().unwrap());
    let (mut output, mut manifest, mut peak) = (child.stdout.take().unwrap(), Vec::new(), 0);
    // The peak is looked at with every piece of the manifest, so until the last one is out.
    while output.read_buf(&mut manifest).await.unwrap() > 0 {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let high = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let high = high.and_then(|high| high.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(high.unwrap_or(0));
    }
    assert!(child.wait().await.unwrap().success());
    println!("{OBJECTS} objects, peak {peak} KiB");
    assert!(peak > 0 && peak < MOST_KIB, "{peak} KiB");
    let tasks: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let found = tasks.as_array().unwrap().iter().map(|task| task["data"]["image"].as_str().unwrap());
    let mut names: Vec<_> = (0..OBJECTS).map(|n| format!("camera-{:02}/frame {n:08}.jpg", n % 7)).collect();
    names.sort();
    let urls = names.into_iter().map(|name| format!("{URL}/media/{}", ObjectName::new(name).unwrap().as_path()));
    assert!(found.eq(urls), "each object once, in order");
}
