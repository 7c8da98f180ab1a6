//! Looks at text eight bytes at a time: the line of each request has some hundred bytes that its client chose.
//!
//! Says whether there is a character of some kind, never where.
//! Follows "Determine if a word has a byte less than n" of <https://graphics.stanford.edu/~seander/bithacks.html>.

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Whether every byte stands for itself, in JSON and on a terminal: visible ASCII and the space, but neither `"` nor `\`.
pub(super) fn is_plain(text: &str) -> bool {
    !any(text, has_odd)
}

/// Whether there is one of these characters of ASCII.
pub(super) fn has_one_of<const N: usize>(characters: [u8; N], text: &str) -> bool {
    any(text, |word| characters.iter().fold(0, |found, character| found | has(word, *character)))
}

/// Whether `found` in any word of the text. What it finds in a word must not hang on where in the word it stands.
fn any(text: &str, found: impl Fn(u64) -> u64) -> bool {
    let bytes = text.as_bytes();
    let Some(last) = bytes.last_chunk() else {
        return bytes.iter().any(|byte| found(each(*byte)) != 0);
    };
    let (words, _) = bytes.as_chunks();
    // The last word may begin within the one before it.
    found(u64::from_ne_bytes(*last)) != 0 || words.iter().any(|word| found(u64::from_ne_bytes(*word)) != 0)
}

/// Not 0 if a byte is `byte`, which is ASCII.
fn has(word: u64, byte: u8) -> u64 {
    let zero = word ^ each(byte);
    zero.wrapping_sub(ONES) & !zero & HIGHS
}

/// Not 0 if a byte is not plain.
///
/// Each of these terms sets the high bit of the bytes that it is for, and otherwise only of what is beyond ASCII anyway;
/// a carry or a borrow comes only from bytes that are told of already.
fn has_odd(word: u64) -> u64 {
    let control = word.wrapping_sub(each(b' '));
    let delete = word.wrapping_add(ONES);
    let quote = (word ^ each(b'"')).wrapping_sub(ONES);
    let backslash = (word ^ each(b'\\')).wrapping_sub(ONES);
    (word | control | delete | quote | backslash) & HIGHS
}

/// A word of this byte.
fn each(byte: u8) -> u64 {
    u64::from(byte) * ONES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rule, a byte at a time.
    fn is_plain_byte(byte: u8) -> bool {
        matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~')
    }

    fn all_plain(text: &str) -> bool {
        text.bytes().all(is_plain_byte)
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
                let odd = |byte: &u8| !is_plain_byte(*byte);
                assert_eq!(has_odd(word) != 0, bytes.iter().any(odd), "{bytes:x?}");
                for wanted in [0, b'?', b'~', 0x7f] {
                    assert_eq!(has(word, wanted) != 0, bytes.contains(&wanted), "{bytes:x?}");
                }
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
