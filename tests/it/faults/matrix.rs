//! Every fault × where it strikes × what was asked × the client's protocol.
//!
//! A fault of the head that is to strike later strikes the answer with which a broken body is resumed.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use gsgate::emulator::{Action, Emulator, Fault, Gate, Object, Operation, pattern};
use http::Method;
use tokio::io::AsyncWriteExt as _;

use super::wire::{Got, Wire, at_rest};
use crate::support::{BUCKET, Builder, TestGateway};

const SIZE: usize = 300_001;
const FIRST: usize = 100_000;
const LAST: usize = 199_999;
const LIMITS: &str = "[gcs]\nfirst_byte_timeout = \"4s\"\nstall_timeout = \"300ms\"\n";

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    Status(u16),
    Reset,
    Close,
    Stall,
    Truncate,
    LengthTooLarge,
    LengthTooSmall,
    Corrupt,
    ContentRange,
    Generation,
    Redirect,
}

/// Where it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    BeforeHead,
    FirstByte,
    Middle,
    LastByte,
}

/// What the client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part,
    /// `bytes=0-`, as players begin.
    WholeAsPart,
    /// Stored as gzip, for a client that takes none.
    Decompressed,
    Head,
}

/// What stands between the client and GCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Proxied,
    /// Objects are kept whole.
    Cached,
    /// They are too large for that, and parts of them are kept in chunks.
    Chunked,
}

impl Column {
    fn cache(self) -> &'static str {
        match self {
            Self::Proxied => "[cache]\nmemory = 0",
            Self::Cached => "[cache]",
            Self::Chunked => "[cache]\nmax_object = \"1 KiB\"",
        }
    }

    /// Asked for again, what was kept comes out; the last time, no fault is left.
    fn times(self) -> usize {
        if self == Self::Proxied { 1 } else { 4 }
    }
}

/// How it ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Identical,
    Refused,
    Broken,
}

const WRONGS: [Wrong; 16] = [
    Wrong::Status(408),
    Wrong::Status(429),
    Wrong::Status(500),
    Wrong::Status(502),
    Wrong::Status(503),
    Wrong::Status(504),
    Wrong::Reset,
    Wrong::Close,
    Wrong::Stall,
    Wrong::Truncate,
    Wrong::LengthTooLarge,
    Wrong::LengthTooSmall,
    Wrong::Corrupt,
    Wrong::ContentRange,
    Wrong::Generation,
    Wrong::Redirect,
];
const PLACES: [Place; 4] = [Place::BeforeHead, Place::FirstByte, Place::Middle, Place::LastByte];
const ASKED: [Asked; 5] = [Asked::Whole, Asked::Part, Asked::WholeAsPart, Asked::Decompressed, Asked::Head];

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_gives_an_http1_client_a_wrong_or_short_body() {
    every_cell(Wire::Http1, Column::Proxied).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_gives_an_h2c_client_a_wrong_or_short_body() {
    every_cell(Wire::H2c, Column::Proxied).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_leaves_a_wrong_or_short_object_in_the_cache() {
    every_cell(Wire::Http1, Column::Cached).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_leaves_a_wrong_or_short_chunk_in_the_cache() {
    every_cell(Wire::Http1, Column::Chunked).await;
}

async fn every_cell(wire: Wire, column: Column) {
    let gcs = Emulator::builder().start().await.unwrap();
    let packed = gzip(&pattern(7, 0, SIZE)).await;
    let rows = join_all(WRONGS.map(|wrong| row(gcs.clone(), &packed, (wire, column), wrong))).await;
    for (wrong, ends) in WRONGS.iter().zip(rows) {
        println!("{wire:?} {column:?} {wrong:?}: {ends:?}");
    }
}

/// All cells of one fault. Each place has a gateway of its own, so that the retry budget decides nothing.
async fn row(gcs: Emulator, packed: &[u8], (wire, column): (Wire, Column), wrong: Wrong) -> BTreeMap<End, usize> {
    let mut ends = BTreeMap::new();
    for place in PLACES {
        let gateway = Builder::over(gcs.clone()).sections(LIMITS).sections(column.cache()).on_all_cores();
        let gateway = gateway.start().await;
        for asked in ASKED {
            let end = cell(&gateway, packed, (wire, column), (wrong, place, asked)).await;
            let told = format!("{wire:?} {wrong:?} {place:?} {asked:?}");
            if must_heal(wrong, place) && column == Column::Proxied {
                assert_eq!(end, End::Identical, "{told}: this heals");
            }
            if wrong == Wrong::Redirect
                && column == Column::Proxied
                && !(asked == Asked::Head && place != Place::BeforeHead)
            {
                assert_ne!(end, End::Identical, "{told}: redirects are not followed");
            }
            if column != Column::Proxied {
                assert_eq!(end, End::Identical, "{column:?} {told}: nothing stays behind of a fault");
            }
            *ends.entry(end).or_default() += 1;
        }
        at_rest(&gateway).await;
    }
    ends
}

/// What passes by itself when asked again.
fn must_heal(wrong: Wrong, place: Place) -> bool {
    match wrong {
        Wrong::Status(_) | Wrong::Reset | Wrong::Close | Wrong::Truncate => true,
        Wrong::Stall => place != Place::BeforeHead,
        _ => false,
    }
}

async fn cell(
    gateway: &TestGateway,
    packed: &[u8],
    (wire, column): (Wire, Column),
    (wrong, place, asked): (Wrong, Place, Asked),
) -> End {
    let name = format!("{wire:?}-{wrong:?}-{place:?}-{asked:?}").replace(['(', ')'], "");
    let whole = pattern(7, 0, SIZE);
    let object = match asked {
        Asked::Decompressed => Object::bytes(packed.to_vec()).content_encoding("gzip"),
        _ => Object::bytes(whole.clone()),
    };
    gateway.put(&name, object);
    if column != Column::Proxied && asked != Asked::Head {
        // What is known already is read for the cache, parts as well.
        assert_eq!(gateway.client.head(&format!("/media/{name}"), &[]).await.status, 200);
    }
    script(&gateway.gcs, &name, packed, (wrong, place, asked));
    let method = if asked == Asked::Head { Method::HEAD } else { Method::GET };
    let range = format!("bytes={FIRST}-{LAST}");
    let headers: &[(&str, &str)] = match asked {
        Asked::Part => &[("range", &range)],
        Asked::WholeAsPart => &[("range", "bytes=0-")],
        _ => &[],
    };
    let mut end = End::Broken;
    for _ in 0..column.times() {
        let path = format!("/media/{name}");
        let Some(got) = wire.send(gateway.client.address, method.clone(), &path, headers).await else {
            // What breaks in the first bytes may break the connection before the head is out.
            assert!(wrong == Wrong::Corrupt, "{name}: no answer at all");
            continue;
        };
        end = judge(&name, &got, &whole, (wrong, asked));
    }
    end
}

/// Sets the trap.
fn script(gcs: &Emulator, name: &str, packed: &[u8], (wrong, place, asked): (Wrong, Place, Asked)) {
    let operation = if asked == Asked::Head { Operation::Metadata } else { Operation::Media };
    let length = match asked {
        Asked::Whole | Asked::WholeAsPart => SIZE,
        Asked::Part => LAST - FIRST + 1,
        Asked::Decompressed => packed.len(),
        // Less than any resource has.
        Asked::Head => 100,
    } as u64;
    let at = match place {
        Place::BeforeHead | Place::FirstByte => 0,
        Place::Middle => length / 2,
        Place::LastByte => length - 1,
    };
    let fault = |action| Fault::new(action).on(operation).object(name);
    let action = match wrong {
        Wrong::Status(code) => Action::status(code),
        Wrong::Reset => Action::Reset,
        Wrong::Close => Action::Close,
        Wrong::Stall => Action::Stall(Gate::new()),
        Wrong::Truncate => Action::Truncate,
        Wrong::Corrupt => Action::Corrupt,
        Wrong::LengthTooLarge => Action::content_length(length + 1000),
        Wrong::LengthTooSmall => Action::content_length((length - at) / 3),
        Wrong::ContentRange => Action::header("content-range", format!("bytes 1-{}/{SIZE}", SIZE - 1)),
        Wrong::Generation => Action::header("x-goog-generation", "1"),
        Wrong::Redirect => Action::redirect(format!("{}/storage/v1/b/{BUCKET}/o/other?alt=media", gcs.endpoint())),
    };
    match (wrong, place) {
        (Wrong::Reset | Wrong::Close | Wrong::Stall, Place::BeforeHead) => gcs.inject(fault(action)),
        (Wrong::Reset | Wrong::Close | Wrong::Stall | Wrong::Truncate | Wrong::Corrupt, _) => {
            gcs.inject(fault(action).after_bytes(at));
        }
        (_, Place::BeforeHead) => gcs.inject(fault(action)),
        _ => {
            gcs.inject(fault(Action::Close).after_bytes(at));
            gcs.inject(fault(action).skip(1));
        }
    }
}

/// Byte-identical, refused, or broken while what came was right; anything else fails.
fn judge(name: &str, got: &Got, whole: &[u8], (wrong, asked): (Wrong, Asked)) -> End {
    let status = got.status.as_u16();
    if status >= 400 {
        assert!(matches!(status, 429 | 502 | 503 | 504), "{name}: {status}");
        assert!(got.neat, "{name}: a refusal is whole");
        return End::Refused;
    }
    let header = |name: &str| got.headers.get(name).map_or("", |value| value.to_str().unwrap());
    let expected = match (asked, status) {
        (Asked::Head, 200) => {
            assert_eq!(header("content-length"), SIZE.to_string(), "{name}");
            &[]
        }
        (Asked::Part, 206) => {
            assert_eq!(header("content-range"), format!("bytes {FIRST}-{LAST}/{SIZE}"), "{name}");
            &whole[FIRST..=LAST]
        }
        (Asked::WholeAsPart, 206) => {
            assert_eq!(header("content-range"), format!("bytes 0-{}/{SIZE}", SIZE - 1), "{name}");
            whole
        }
        (Asked::Whole | Asked::WholeAsPart | Asked::Part | Asked::Decompressed, 200) => whole,
        _ => panic!("{name}: {status}"),
    };
    if got.neat {
        // Nothing vouches for a part but the connection itself: GCS has a checksum of the whole only.
        let unchecked = wrong == Wrong::Corrupt && asked == Asked::Part;
        assert_eq!(got.body.len(), expected.len(), "{name}: neat and of another length");
        assert!(unchecked || got.body == expected, "{name}: neat and wrong");
        return End::Identical;
    }
    assert!(got.body.len() <= expected.len(), "{name}: too much");
    assert!(wrong == Wrong::Corrupt || expected.starts_with(&got.body), "{name}: broken, and wrong before that");
    End::Broken
}

async fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = async_compression::tokio::write::GzipEncoder::new(Vec::new());
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}
