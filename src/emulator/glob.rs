//! `matchGlob`: `*` within a segment, `**` across segments, `?`, `[…]`, `{a,b}` and `\` as an escape.
//!
//! Follows <https://cloud.google.com/storage/docs/json_api/v1/objects/list#list-objects-and-prefixes-using-glob>.
//! `globset` gives `**` its meaning only between slashes, while GCS gives it everywhere, so a regex is made here.

use regex::Regex;

/// The longest pattern taken.
const MAX_PATTERN: usize = 1024;

/// Reads a pattern; `None` if it is malformed.
pub(super) fn compile(pattern: &str) -> Option<Regex> {
    if pattern.len() > MAX_PATTERN {
        return None;
    }
    let mut out = String::from("(?s)\\A");
    let mut rest = pattern.chars().peekable();
    let mut depth = 0_u32;
    while let Some(letter) = rest.next() {
        match letter {
            '*' if rest.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => class(&mut rest, &mut out)?,
            '{' => {
                depth += 1;
                out.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                out.push(')');
            }
            ',' if depth > 0 => out.push('|'),
            '\\' => out.push_str(&regex::escape(&rest.next()?.to_string())),
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    out.push_str("\\z");
    if depth == 0 { Regex::new(&out).ok() } else { None }
}

fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Option<()> {
    out.push('[');
    if rest.next_if(|&letter| letter == '!' || letter == '^').is_some() {
        out.push_str("^/");
    }
    let mut empty = true;
    loop {
        match rest.next()? {
            ']' if !empty => break,
            '-' => out.push('-'),
            '\\' => out.push_str(&regex::escape(&rest.next()?.to_string())),
            letter if "[]&~^".contains(letter) => {
                out.push('\\');
                out.push(letter);
            }
            letter => out.push(letter),
        }
        empty = false;
    }
    out.push(']');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_gcs_documents() {
        for (pattern, name, matches) in [
            ("foo*bar", "foobar", true),
            ("foo*bar", "fooxbar", true),
            ("foo*bar", "foo/bar", false),
            ("foo**bar", "foo/a/bar", true),
            ("**.jpg", "a/b/c.jpg", true),
            ("*.jpg", "a/c.jpg", false),
            ("foo?bar", "fooxbar", true),
            ("foo?bar", "foo/bar", false),
            ("foo[0-9]bar", "foo1bar", true),
            ("foo[!0-9]bar", "foo1bar", false),
            ("foo[^0-9]bar", "fooxbar", true),
            ("{a,b/**}.png", "b/x/y.png", true),
            ("{a,b}.png", "c.png", false),
            ("a.b", "axb", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("ü*", "üñ", true),
        ] {
            let glob = compile(pattern).expect("a legal pattern");
            assert_eq!(glob.is_match(name), matches, "{pattern} on {name}");
        }
        for bad in ["[a", "{a", "a\\"] {
            assert!(compile(bad).is_none(), "{bad}");
        }
    }
}
