//! What a listing's first page says about prefix and filter: right, empty, a near miss, or names that no URL can carry.
//!
//! Follows <https://cloud.google.com/storage/docs/objects#naming>.

use super::{Diagnosis, Fault};
use crate::check::row::Outcome;
use crate::check::scene::Scene;
use crate::gateway::connection::Config;
use crate::gcs::ListPage;
use crate::object::ObjectName;

/// How many names are shown as examples.
const EXAMPLES: usize = 3;
/// How many near misses are shown.
const NEAR: usize = 3;

/// A first page, sorted.
#[derive(Debug, Default)]
pub(in crate::check) struct Contents {
    /// Objects on the page, folder markers left out.
    objects: usize,
    /// Whether there are further pages.
    more: bool,
    /// What the connection serves of it, with sizes.
    served: Vec<(ObjectName, u64)>,
    /// Names that cannot be served, as they are.
    unservable: Vec<String>,
    /// How many are left out only because they lie in folders below.
    deeper: usize,
    /// How many lie in a folder of the prefix's own name: it lacks its slash.
    behind_slash: usize,
    /// A name that the prefix also catches, beside that folder.
    beside: Option<String>,
}

impl Contents {
    /// Sorts a page by what the connection makes of it.
    pub(in crate::check) fn of(page: &ListPage, config: &Config) -> Self {
        let mut contents = Self { more: page.next.is_some(), ..Self::default() };
        let prefix = config.uri.path.as_str();
        let open_ended = !prefix.is_empty() && !prefix.ends_with('/');
        for item in page.items.iter().filter(|item| !(item.name.ends_with('/') && item.size == 0)) {
            contents.objects += 1;
            let Ok(name) = ObjectName::new(item.name.as_str()) else {
                contents.unservable.push(item.name.clone());
                continue;
            };
            let rest = config.uri.path.strip(&name).unwrap_or_default();
            let deep = !config.recursive && rest.contains('/');
            let passes = config.filter.as_ref().is_none_or(|filter| filter.matches(&name));
            if open_ended && rest.starts_with('/') {
                contents.behind_slash += 1;
            } else if open_ended && contents.beside.is_none() {
                contents.beside = Some(item.name.clone());
            }
            if deep && passes {
                contents.deeper += 1;
            }
            if passes && !deep {
                contents.served.push((name, item.size));
            }
        }
        contents
    }

    /// Whether the page has nothing at all.
    pub(in crate::check) fn is_empty(&self) -> bool {
        self.objects == 0
    }

    /// An object to try: one with content, if there is one.
    pub(in crate::check) fn sample(&self) -> Option<(ObjectName, u64)> {
        self.served.iter().find(|(_, size)| *size > 0).or_else(|| self.served.first()).cloned()
    }

    fn count(&self) -> String {
        let more = if self.more { " or more" } else { "" };
        let objects = if self.objects == 1 && !self.more { "object" } else { "objects" };
        format!("{}{more} {objects}", self.objects)
    }
}

/// The row of a listing. `near` are names in the bucket that look like the prefix; asked for only if it is empty.
pub(in crate::check) fn outcome(contents: &Contents, near: &[String], config: &Config, scene: &Scene) -> Outcome {
    if contents.is_empty() {
        return empty(near, config, scene);
    }
    let count = contents.count();
    let key = |name: &str| format!("connections.{}.{name}", scene.connection);
    if contents.served.is_empty() {
        let finding = format!("{count} under {}, of which the connection serves none", scene.uri);
        let diagnosis = if contents.deeper > 0 {
            Diagnosis::new(Fault::FilterMatchesNothing, "all objects lie in folders below, and recursive is false")
                .remedy(format!("Set {} = true, or name the folder in {}.", key("recursive"), key("uri")))
        } else if contents.unservable.len() == contents.objects {
            unservable(contents)
        } else {
            Diagnosis::new(Fault::FilterMatchesNothing, "no name on the first page passes the filter").remedy(format!(
                "Correct {}: it is matched against the full name, from its beginning; \".*\" passes all.",
                key("filter")
            ))
        };
        return if contents.more { Outcome::warn(finding, diagnosis) } else { Outcome::fail(finding, diagnosis) };
    }
    let names: Vec<&str> = contents.served.iter().take(EXAMPLES).map(|(name, _)| name.as_str()).collect();
    let ellipsis = if contents.served.len() > EXAMPLES { ", …" } else { "" };
    let passing = match contents.served.len() {
        all if all == contents.objects => String::new(),
        some => format!(", {some} of the first {} served", contents.objects),
    };
    let finding = format!("{count}{passing}: {}{ellipsis}", names.join(", "));
    if contents.behind_slash > 0 {
        return Outcome::warn(finding, slash(contents, config, scene));
    }
    if !contents.unservable.is_empty() {
        return Outcome::warn(finding, unservable(contents));
    }
    Outcome::ok(finding)
}

fn slash(contents: &Contents, config: &Config, scene: &Scene) -> Diagnosis {
    let also = contents.beside.as_ref().map(|name| format!(", and so catches {name:?} too")).unwrap_or_default();
    let prefix = config.uri.path.as_str();
    Diagnosis::new(Fault::PrefixWithoutSlash, format!("the prefix {prefix:?} does not end in a slash{also}"))
        .remedy(format!("Write connections.{}.uri = \"{}/\".", scene.connection, scene.uri))
}

fn unservable(contents: &Contents) -> Diagnosis {
    let shown: Vec<String> = contents.unservable.iter().take(EXAMPLES).map(|name| format!("{name:?}")).collect();
    Diagnosis::new(
        Fault::UnservableNames,
        format!(
            "{} on the first page cannot be served, for a '.' or '..' segment or a control character in the name: {}",
            contents.unservable.len(),
            shown.join(", ")
        ),
    )
    .remedy("URLs cannot carry such names unchanged; rename these objects.")
    .command("gcloud storage mv gs://BUCKET/OLD_NAME gs://BUCKET/NEW_NAME")
}

fn empty(near: &[String], config: &Config, scene: &Scene) -> Outcome {
    let prefix = config.uri.path.as_str();
    let bucket = &scene.bucket;
    if prefix.is_empty() {
        return Outcome::fail(
            format!("no objects in gs://{bucket}"),
            Diagnosis::new(Fault::EmptyPrefix, "the bucket is empty").remedy("Upload objects, or name another bucket."),
        );
    }
    let mut diagnosis = Diagnosis::new(Fault::EmptyPrefix, format!("no object's name begins with {prefix:?}"));
    let key = format!("connections.{}.uri", scene.connection);
    if near.is_empty() {
        diagnosis = diagnosis.remedy(format!("Check the folder in {key} for typos; capitals count."));
    }
    for name in near.iter().take(NEAR) {
        diagnosis = diagnosis.remedy(format!("Did you mean {key} = \"gs://{bucket}/{name}\"?"));
    }
    if prefix.starts_with('/') || prefix.contains("//") {
        diagnosis =
            diagnosis.remedy(format!("GCS takes a double slash as part of the name; write one slash in {key}."));
    }
    let diagnosis = diagnosis.command(format!("gcloud storage ls gs://{bucket}/"));
    Outcome::fail(format!("no objects under {}", scene.uri), diagnosis)
}

/// Of the names at one level those that look like `wanted`, best first. All are of the same folder.
pub(in crate::check) fn near(wanted: &str, there: &[String]) -> Vec<String> {
    let plain = |name: &str| -> String {
        let last = name.trim_matches('/').rsplit('/').next().unwrap_or_default().to_lowercase();
        last.chars().filter(|c| c.is_alphanumeric()).collect()
    };
    let target = plain(wanted);
    let mut found: Vec<(usize, usize, &String)> = there
        .iter()
        .filter_map(|name| {
            let candidate = plain(name);
            let off = distance(&target, &candidate);
            let close = off <= 2.min(target.chars().count() / 2);
            let longer = !target.is_empty() && candidate.starts_with(&target);
            (close || longer).then_some((if close { off } else { 3 }, name.len(), name))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(.., name)| name.clone()).collect()
}

/// How many letters have to be changed, added or left out (Levenshtein); long names are cut.
fn distance(one: &str, other: &str) -> usize {
    const LONGEST: usize = 64;
    let other: Vec<char> = other.chars().take(LONGEST).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().take(LONGEST).enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, candidate) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *candidate);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
