//! What is kept in files: over a restart, within its bound, and never a wrong byte.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use gsgate::emulator::{Emulator, Object, Operation, pattern};
use tempfile::TempDir;

use crate::faults::wire::{metric, until};
use crate::support::{Builder, TestGateway};

const SIZE: usize = 100_001;

/// A gateway with files in `folder`, once it knows those that are there.
async fn start(gcs: &Emulator, folder: &Path, size: &str) -> TestGateway {
    let there = files(folder).len() as u64;
    let path = folder.display();
    let sections = format!("[cache]\nmax_object = \"1 MiB\"\ndisk = {{ path = \"{path}\", size = \"{size}\" }}");
    let gateway = Builder::over(gcs.clone()).sections(&sections).start().await;
    until("what is there is found", async || entries(&gateway).await == there).await;
    gateway
}

async fn entries(gateway: &TestGateway) -> u64 {
    metric(gateway.admin, "gsgate_cache_entries{tier=\"disk\"}").await
}

async fn disk(gateway: &TestGateway, result: &str) -> u64 {
    metric(gateway.admin, &format!("gsgate_cache_lookups_total{{cache=\"disk\",result=\"{result}\"}}")).await
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    list(folder).flat_map(|shelf| list(&shelf).collect::<Vec<_>>()).collect()
}

async fn gcs() -> (Emulator, TempDir) {
    (Emulator::builder().start().await.unwrap(), tempfile::tempdir().unwrap())
}

#[tokio::test]
async fn a_restart_keeps_whole_objects_and_chunks() {
    const LARGE: u64 = 5 << 20;
    let (gcs, folder) = gcs().await;
    let range = [("range", "bytes=1500000-3499999")];
    let first = start(&gcs, folder.path(), "64 MiB").await;
    first.put("whole", Object::generated(SIZE as u64, 7));
    first.put("large", Object::generated(LARGE, 8));
    assert_eq!(first.client.get("/media/whole", &[]).await.bytes(), pattern(7, 0, SIZE));
    first.client.head("/media/large", &[]).await;
    assert!(first.client.get("/media/large", &range).await.bytes() == pattern(8, 1_500_000, 2_000_000));
    until("all is written", async || entries(&first).await == 4).await;
    first.drained().await;
    gcs.clear_requests();

    let second = start(&gcs, folder.path(), "64 MiB").await;
    assert_eq!(second.client.get("/media/whole", &[]).await.bytes(), pattern(7, 0, SIZE));
    let part = second.client.get("/media/large", &range).await;
    assert!(part.status == 206 && part.bytes() == pattern(8, 1_500_000, 2_000_000));
    assert_eq!((second.gcs.count(Operation::Media), second.gcs.count(Operation::Metadata)), (0, 2));
    assert_eq!(disk(&second, "hit").await, 4);
    second.put("whole", Object::generated(SIZE as u64, 9));
    second.drained().await;
    let third = start(&gcs, folder.path(), "64 MiB").await;
    assert_eq!(third.client.get("/media/whole", &[]).await.bytes(), pattern(9, 0, SIZE), "another generation");
}

#[tokio::test]
async fn whatever_was_changed_in_a_file_is_a_miss() {
    let (gcs, folder) = gcs().await;
    let gateway = start(&gcs, folder.path(), "64 MiB").await;
    gateway.put("x", Object::generated(SIZE as u64, 7));
    gateway.client.get("/media/x", &[]).await;
    until("it is written", async || entries(&gateway).await == 1).await;
    gateway.drained().await;
    let file = files(folder.path()).remove(0);
    let good = fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    let last = good.len() - 1;
    // Mark, connection and object, generation, chunk, length, bytes, checksum.
    let mut wrong: Vec<Vec<u8>> = [0, 10, 25, 33, 41, 48, 50_000, last - 4, last - 3, last].map(flipped).into();
    wrong.extend([Vec::new(), good[..10].to_vec(), good[..last].to_vec(), [&good[..], b"x"].concat()]);
    for (number, bytes) in wrong.into_iter().enumerate() {
        fs::write(&file, bytes).unwrap();
        gcs.clear_requests();
        let gateway = start(&gcs, folder.path(), "64 MiB").await;
        assert_eq!(gateway.client.get("/media/x", &[]).await.bytes(), pattern(7, 0, SIZE), "{number}");
        assert_eq!((gcs.count(Operation::Media), disk(&gateway, "hit").await), (1, 0), "{number}");
        until("it is written anew", async || fs::read(&file).is_ok_and(|bytes| bytes == good)).await;
        gateway.drained().await;
    }
}

#[tokio::test]
async fn files_stay_within_their_bound_and_are_their_owners_alone() {
    let (gcs, folder) = gcs().await;
    let gateway = start(&gcs, &folder.path().join("deep/er"), "1 MiB").await;
    for number in 0..40 {
        gateway.put(&format!("{number}"), Object::generated(SIZE as u64, number));
        let answer = gateway.client.get(&format!("/media/{number}"), &[]).await;
        assert_eq!(answer.bytes(), pattern(number, 0, SIZE));
        until("it is written", async || disk(&gateway, "skipped").await == 0 && entries(&gateway).await > 0).await;
    }
    until("the oldest went", async || metric(gateway.admin, "gsgate_cache_evictions_total{tier=\"disk\"}").await == 30)
        .await;
    let files = files(&folder.path().join("deep/er"));
    let total: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(files.len() == 10 && total <= 1 << 20, "{} files, {total} bytes", files.len());
    assert_eq!(metric(gateway.admin, "gsgate_cache_kept_bytes{tier=\"disk\"}").await, total);
    for file in files {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_costs_nothing_but_itself() {
    let (gcs, folder) = gcs().await;
    let file = folder.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let gateway = start(&gcs, &file.join("cache"), "1 MiB").await;
    gateway.put("x", Object::generated(SIZE as u64, 7));
    for _ in 0..2 {
        assert_eq!(gateway.client.get("/media/x", &[]).await.bytes(), pattern(7, 0, SIZE));
    }
    until("it is counted", async || disk(&gateway, "failed").await == 1).await;
    assert_eq!(gcs.count(Operation::Media), 1);
}
