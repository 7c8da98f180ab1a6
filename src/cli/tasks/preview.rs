//! The first objects of a connection as a table.

use std::io::{self, Write as _};

use bytesize::ByteSize;

use super::{Place, told};
use crate::cli::Failure;
use crate::tasks::format::rfc3339;
use crate::tasks::selection::{Selection, Verdict};
use crate::tasks::{Cover, Listing};

/// Prints up to `most` objects that would become tasks.
pub(super) async fn show(
    place: Place,
    selection: &Selection<'_>,
    (cover, label): (&Cover, &str),
    most: usize,
) -> Result<(), Failure> {
    let mut listing = Listing::new(place, None);
    let (mut rows, mut unservable) = (Vec::new(), 0_u64);
    'pages: while let Some(page) = listing.next().await.map_err(|error| Failure::runtime(told(error)))? {
        for object in page {
            if rows.len() >= most {
                break 'pages;
            }
            match selection.judge(&object) {
                Verdict::Take(name) => rows.push([
                    name.to_string(),
                    ByteSize::b(object.size).to_string(),
                    printable(object.content_type.as_deref().unwrap_or("-")),
                    object.updated.map_or_else(|| "-".to_owned(), rfc3339),
                    cover.link(label, &name).unwrap_or_default(),
                ]),
                Verdict::Leave => {}
                Verdict::Unservable(_) => unservable += 1,
            }
        }
    }
    let mut text = table(&rows);
    if unservable > 0 {
        text = format!("{text}{unservable} objects in between cannot be served.\n");
    }
    io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::runtime(format!("cannot print: {error}")))
}

/// What a terminal must not interpret is shown as a replacement.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

fn table(rows: &[[String; 5]]) -> String {
    let header = ["NAME", "SIZE", "TYPE", "UPDATED", "URL"].map(str::to_owned);
    let widths: Vec<usize> =
        (0..5).map(|at| rows.iter().chain([&header]).map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in std::iter::once(&header).chain(rows) {
        for (at, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if at + 1 < row.len() {
                let gap = widths[at] - cell.chars().count() + 2;
                text.extend(std::iter::repeat_n(' ', gap));
            }
        }
        text.push('\n');
    }
    text
}
