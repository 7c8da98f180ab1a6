//! Comma-separated values: written and read as RFC 4180 says.
//!
//! Pure. A value that would be misread is quoted; none is changed. Follows <https://www.rfc-editor.org/rfc/rfc4180>.

/// Appends a line.
pub(super) fn write<'a>(out: &mut Vec<u8>, values: impl IntoIterator<Item = &'a str>) {
    for (at, value) in values.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let plain = !value.contains([',', '"', '\r', '\n']) && !value.starts_with(' ') && !value.ends_with(' ');
        if plain {
            out.extend_from_slice(value.as_bytes());
        } else {
            out.push(b'"');
            out.extend_from_slice(value.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The values of a line without its end; quoted values in it have no line ends.
pub(super) fn read(line: &str) -> Vec<String> {
    let (mut values, mut value, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.trim_end_matches(['\r', '\n']).chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => value.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => values.push(std::mem::take(&mut value)),
            letter => value.push(letter),
        }
    }
    values.push(value);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_values_survive() {
        let values = ["a", "a,b", "\"q\"", "", " s", "=1+1", "ü🦀", "\"", ",", "a\"b,c"];
        let mut out = Vec::new();
        write(&mut out, values);
        let line = String::from_utf8(out).expect("text");
        assert_eq!(line, "a,\"a,b\",\"\"\"q\"\"\",,\" s\",=1+1,ü🦀,\"\"\"\",\",\",\"a\"\"b,c\"\r\n");
        assert_eq!(read(&line), values);
    }
}
