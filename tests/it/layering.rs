//! The rooms of the code, and who may use whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms from the door inwards: each may use those after it. Rooms of one row do not use each other.
const ORDER: [&[&str]; 13] = [
    &["cli"],
    &["demo"],
    &["app"],
    &["console"],
    &["tasks"],
    &["check"],
    &["config"],
    &["label_studio"],
    &["server"],
    &["gateway"],
    &["cache"],
    &["gcs"],
    &["object"],
];

/// Rooms that stand beside the order, with all that they may use.
const BESIDE: [(&str, &[&str]); 4] = [("audit", &[]), ("metrics", &[]), ("telemetry", &[]), ("emulator", &["object"])];

/// Leaves that every room in the order may use.
const LEAVES: [&str; 3] = ["metrics", "telemetry", "audit"];

/// Rooms that may use the ones which stand beside the order.
const DOORS: [&str; 3] = ["cli", "app", "demo"];

const LONGEST_FILE: usize = 400;
const NO_NAMES: [&str; 6] = ["mod", "utils", "util", "helpers", "common", "types"];

#[test]
fn a_room_uses_only_rooms_further_in() {
    let mut faults = BTreeSet::new();
    for (path, source) in sources("src") {
        let Some(room) = room_of(&path) else { continue };
        let allowed = allowed(&room);
        for used in rooms_named_in(&source) {
            if used != room && !allowed.contains(used.as_str()) {
                faults.insert(format!("{}: {room} may not use crate::{used}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_room_has_its_place() {
    let known: BTreeSet<_> =
        ORDER.iter().flat_map(|row| row.iter()).chain(BESIDE.iter().map(|(room, _)| room)).collect();
    for (path, _) in sources("src") {
        if let Some(room) = room_of(&path) {
            assert!(known.contains(&room.as_str()), "{}: add the room to tests/it/layering.rs", path.display());
        }
    }
}

#[test]
fn files_are_short_and_named_for_what_they_hold() {
    let mut faults = Vec::new();
    for (path, source) in ["src", "tests/it", "benches"].into_iter().flat_map(sources) {
        let path_shown = path.display();
        let lines = source.lines().count();
        if lines > LONGEST_FILE {
            faults.push(format!("{path_shown}: {lines} lines, {LONGEST_FILE} at most"));
        }
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if NO_NAMES.contains(&name) {
            faults.push(format!("{path_shown}: name the file for the noun it defines"));
        }
        if !source.starts_with("//!") {
            faults.push(format!("{path_shown}: begin with what the module decides"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn uses_are_found_in_lists_and_in_paths() {
    let source =
        "use crate::{gcs, object::Range};\nuse crate::cache::{Cache};\nlet x = crate::metrics::y;\n// crate::app\n";
    let found: Vec<_> = rooms_named_in(source).into_iter().collect();
    assert_eq!(found, ["cache", "gcs", "metrics", "object"]);
}

fn allowed(room: &str) -> BTreeSet<&'static str> {
    if let Some((_, uses)) = BESIDE.iter().find(|(name, _)| *name == room) {
        return uses.iter().copied().collect();
    }
    let further_in = ORDER.iter().skip_while(|row| !row.contains(&room)).skip(1).flat_map(|row| row.iter().copied());
    let beside = BESIDE.iter().map(|(name, _)| *name).filter(|_| DOORS.contains(&room));
    further_in.chain(LEAVES).chain(beside).collect()
}

/// `src/gcs/token.rs` and `src/gcs.rs` are of the room `gcs`; the map and the thin binary are of none.
fn room_of(path: &Path) -> Option<String> {
    let first = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).ok()?.components().next()?;
    let name = first.as_os_str().to_str()?.trim_end_matches(".rs").to_owned();
    (name != "lib" && name != "main").then_some(name)
}

/// The rooms after `crate::`, in plain paths and in the first level of `crate::{…}`.
fn rooms_named_in(source: &str) -> BTreeSet<String> {
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut rooms = BTreeSet::new();
    for (at, mark) in code.match_indices("crate::") {
        if code[..at].ends_with(|before: char| before == '$' || before == '_' || before.is_alphanumeric()) {
            continue;
        }
        let rest = &code[at + mark.len()..];
        let names = match rest.strip_prefix('{') {
            Some(list) => first_level(list),
            None => vec![rest],
        };
        rooms.extend(names.into_iter().map(first_word).filter(|word| word.starts_with(char::is_lowercase)));
    }
    rooms
}

fn first_level(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_i32, 0, Vec::new());
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

fn sources(folder: &str) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).expect("sources are UTF-8");
                found.insert(path, source);
            }
        }
    }
    found
}
