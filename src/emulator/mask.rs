//! The `fields` mask: `items(name,size),nextPageToken`, `items/name`, `*`.
//!
//! Follows <https://cloud.google.com/storage/docs/json_api#partial-response>.

use std::collections::BTreeMap;

use serde_json::Value;

/// How deep masks may nest.
const MAX_DEPTH: usize = 16;

/// The fields to keep; no fields means everything below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mask(BTreeMap<String, Mask>);

impl Mask {
    /// Reads a mask; `None` if it is malformed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mask = Self::list(&mut rest, 0)?;
        rest.is_empty().then_some(mask)
    }

    fn list(rest: &mut &str, depth: usize) -> Option<Self> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut mask = Self::default();
        loop {
            Self::path(rest, &mut mask, depth)?;
            match rest.strip_prefix(',') {
                Some(after) => *rest = after,
                None => return Some(mask),
            }
        }
    }

    fn path(rest: &mut &str, into: &mut Self, depth: usize) -> Option<()> {
        let end = rest.find([',', '/', '(', ')']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name.is_empty() || depth > MAX_DEPTH {
            return None;
        }
        *rest = after;
        let inner = into.0.entry(name.to_owned()).or_default();
        if let Some(after) = rest.strip_prefix('/') {
            *rest = after;
            Self::path(rest, inner, depth + 1)?;
        } else if let Some(after) = rest.strip_prefix('(') {
            *rest = after;
            let listed = Self::list(rest, depth + 1)?;
            inner.0.extend(listed.0);
            *rest = rest.strip_prefix(')')?;
        }
        Some(())
    }

    /// The mask for what is below a field; `None` if the field is not kept.
    pub(super) fn below(&self, name: &str) -> Option<&Self> {
        if self.0.is_empty() { Some(self) } else { self.0.get(name).or_else(|| self.0.get("*")) }
    }

    /// Drops what the mask does not name.
    pub(super) fn apply(&self, value: &mut Value) {
        if self.0.is_empty() {
            return;
        }
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.apply(item)),
            Value::Object(fields) => {
                let all = self.0.get("*");
                fields.retain(|name, _| all.is_some() || self.0.contains_key(name));
                for (name, inner) in fields {
                    if let Some(mask) = self.0.get(name).or(all) {
                        mask.apply(inner);
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn masks_keep_what_they_name() {
        let whole =
            json!({"items": [{"name": "a", "size": "1", "m": {"x": 1, "y": 2}}], "prefixes": ["p/"], "kind": "k"});
        for (mask, expected) in [
            ("items(name,size),prefixes", json!({"items": [{"name": "a", "size": "1"}], "prefixes": ["p/"]})),
            ("items/name", json!({"items": [{"name": "a"}]})),
            ("items/m/x,kind", json!({"items": [{"m": {"x": 1}}], "kind": "k"})),
            ("items(name,m/y)", json!({"items": [{"name": "a", "m": {"y": 2}}]})),
            ("nextPageToken", json!({})),
            ("*", whole.clone()),
        ] {
            let mut value = whole.clone();
            Mask::parse(mask).expect("a legal mask").apply(&mut value);
            assert_eq!(value, expected, "{mask}");
        }
        for bad in ["", "items(", "items(name", "a,,b", "a)", &"a(".repeat(99)] {
            assert_eq!(Mask::parse(bad), None, "{bad}");
        }
    }
}
