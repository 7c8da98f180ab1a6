//! Which fields of a task's data a labelling configuration shows, and as what.
//!
//! Pure. The configuration is XML that Label Studio has accepted; only its tags' names and the attributes that name
//! fields are looked at. Follows <https://labelstud.io/tags/>.

use regex::Regex;

/// Tags that show an object of a bucket when their value is a URL.
const MEDIA: [&str; 11] =
    ["Image", "Audio", "AudioPlus", "Video", "Pdf", "HyperText", "Text", "Paragraphs", "TimeSeries", "Table", "Chat"];

/// A field that something shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The tag, such as `Image`.
    pub tag: String,
    /// The key in the task's data.
    pub key: String,
}

/// The fields that media tags show, in their order, each once.
pub fn media(label_config: &str) -> Vec<Field> {
    let tags = Regex::new(r#"<([A-Za-z]+)\b((?:[^>"']|"[^"]*"|'[^']*')*)>"#);
    let value = Regex::new(r#"\b(?:value|valueList)\s*=\s*["']\$([^"'\s]+)["']"#);
    let comment = Regex::new(r"(?s)<!--.*?-->");
    // They are legal, as the tests show.
    let (Ok(tags), Ok(value), Ok(comment)) = (tags, value, comment) else { return Vec::new() };
    let text = comment.replace_all(label_config, "");
    let mut fields: Vec<Field> = Vec::new();
    for tag in tags.captures_iter(&text) {
        let name = &tag[1];
        let known = MEDIA.iter().find(|media| media.eq_ignore_ascii_case(name));
        if let (Some(known), Some(field)) = (known, value.captures(&tag[2]))
            && fields.iter().all(|seen| seen.key != field[1])
        {
            fields.push(Field { tag: (*known).to_owned(), key: field[1].to_owned() });
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_fields_are_found_in_any_spelling() {
        for (config, expected) in [
            (r#"<View><Image name="i" value="$image"/></View>"#, vec![("Image", "image")]),
            (r#"<View><image value = '$a.b' name="i" /><Audio name="x" value="$a.b"/></View>"#, vec![("Image", "a.b")]),
            (r#"<View><Label value="Car"/><Text name="t" value="a > $b"/></View>"#, vec![]),
            (r#"<Image name="i" valueList="$pages"/><Video value="$v"/>"#, vec![("Image", "pages"), ("Video", "v")]),
            (r#"<!-- <Image value="$old"/> --><Image hint="a>b" value="$new"/>"#, vec![("Image", "new")]),
            ("<View></View>", vec![]),
            ("", vec![]),
        ] {
            let found = media(config);
            let found: Vec<_> = found.iter().map(|field| (field.tag.as_str(), field.key.as_str())).collect();
            assert_eq!(found, expected, "{config}");
        }
    }
}
