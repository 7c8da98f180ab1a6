//! Looks at text eight bytes at a time: the line of each request has some hundred bytes that its client chose.
//!
//! Says whether there is a character of some kind, never where.
//! Follows "Determine if a word has a byte less than n" of <https://graphics.stanford.edu/~seander/bithacks.html>.

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Whether every byte stands for itself, in JSON and on a terminal: visible ASCII and the space, but neither `"` nor `\`.
pub(super) fn is_plain(text: &str) -> bool {
    !any(text, |word| below(word, b' ') | is(word, b'"') | is(word, b'\\') | above_tilde(word))
}

/// Whether there is one of these characters of ASCII.
pub(super) fn has_one_of<const N: usize>(characters: [u8; N], text: &str) -> bool {
    any(text, |word| characters.iter().fold(0, |found, character| found | is(word, *character)))
}

/// Whether `found` in any word of the text. What it finds in a word must not hang on where in the word it stands.
fn any(text: &str, found: impl Fn(u64) -> u64) -> bool {
    let bytes = text.as_bytes();
    let Some(last) = bytes.last_chunk() else {
        return bytes.iter().any(|byte| found(u64::from(*byte) * ONES) != 0);
    };
    let (words, _) = bytes.as_chunks();
    // The last word may begin within the one before it.
    found(u64::from_ne_bytes(*last)) != 0 || words.iter().any(|word| found(u64::from_ne_bytes(*word)) != 0)
}

/// Not 0 if a byte is below `limit`, which is ASCII.
fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(u64::from(limit) * ONES) & !word & HIGHS
}

/// Not 0 if a byte is `byte`.
fn is(word: u64, byte: u8) -> u64 {
    below(word ^ (u64::from(byte) * ONES), 1)
}

/// Not 0 if a byte is DEL or beyond ASCII. The sum carries over only from a byte that is.
fn above_tilde(word: u64) -> u64 {
    (word | word.wrapping_add(ONES)) & HIGHS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rule, a byte at a time.
    fn all_plain(text: &str) -> bool {
        text.bytes().all(|byte| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~'))
    }

    #[test]
    fn every_character_is_judged_alike_wherever_it_stands() {
        let characters = (0..=0x7f).map(char::from).chain(['\u{80}', '\u{9b}', 'é', '\u{2028}', '\u{ffff}', '😀']);
        for character in characters {
            for filler in [' ', '~', '!', '#', ']', 'x'] {
                for (before, after) in (0..20).flat_map(|before| (0..20).map(move |after| (before, after))) {
                    let around = |count| std::iter::repeat_n(filler, count);
                    let text: String = around(before).chain([character]).chain(around(after)).collect();
                    assert_eq!(is_plain(&text), all_plain(&text), "{text:?}");
                    assert_eq!(has_one_of([b'?', b'%'], &text), text.contains(['?', '%']), "{text:?}");
                }
            }
        }
        assert!(is_plain("") && !has_one_of([b' '], ""));
    }

    #[test]
    fn every_byte_of_a_word_is_found_beside_every_other() {
        for (byte, other) in (0..=u8::MAX).flat_map(|byte| (0..=u8::MAX).map(move |other| (byte, other))) {
            for place in 0..8 {
                let mut bytes = [other; 8];
                bytes[place] = byte;
                let word = u64::from_ne_bytes(bytes);
                assert_eq!(below(word, b' ') != 0, bytes.iter().any(|byte| *byte < b' '), "{bytes:x?}");
                assert_eq!(is(word, b'"') != 0, bytes.contains(&b'"'), "{bytes:x?}");
                assert_eq!(is(word, b'\\') != 0, bytes.contains(&b'\\'), "{bytes:x?}");
                assert_eq!(above_tilde(word) != 0, bytes.iter().any(|byte| *byte > b'~'), "{bytes:x?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_as_byte_by_byte(text in "[ -~]{0,40}|\\PC{0,40}|(?s).{0,40}") {
            prop_assert_eq!(is_plain(&text), all_plain(&text));
            prop_assert_eq!(has_one_of([b'~', b'%', b'?', b'#'], &text), text.contains(['~', '%', '?', '#']));
        }
    }
}
