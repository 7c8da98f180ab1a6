//! Where to cut a range of names, so that its parts can be listed at the same time.
//!
//! Pure: decides from the names seen so far where the rest of a range is worth cutting. A wrong guess costs a request for
//! a part with few names or none, never a name: the parts of a range are always the whole range.
//! GCS lists in the order of the names' bytes, which is that of their characters.

/// How many pages a part should have.
const PAGES: f64 = 2.0;
/// Parts that one page may give rise to.
const MAX_PARTS: usize = 48;
/// Characters of a name that are looked at.
const MAX_DEPTH: usize = 256;

/// Cuts for the names after `last` and before `end`, in their order. `first` and `last` are the ends of a page of `count`
/// names that has a successor; `alphabet` has seen them.
pub(super) fn cuts(first: &str, last: &str, count: usize, end: Option<&str>, alphabet: &Alphabet) -> Vec<String> {
    let (first, letters): (Vec<char>, Vec<char>) = (first.chars().collect(), last.chars().collect());
    let shared = first.iter().zip(&letters).take_while(|(a, b)| a == b).count();
    if shared >= letters.len() || shared >= MAX_DEPTH {
        return Vec::new();
    }
    // How many names one character more at that place stands for; the page itself tells.
    let children = alphabet.children(shared);
    let from = first.get(shared).copied().unwrap_or('\0');
    let spanned = children.iter().filter(|child| (from..=letters[shared]).contains(*child)).count();
    let mut names = as_f64(count) / as_f64(spanned.max(1));
    let mut cuts = Vec::new();
    for depth in (0..=shared).rev() {
        let children = alphabet.children(depth);
        let step = step(names);
        let (beginning, own) = (&letters[..depth], letters[depth]);
        let later = children.iter().filter(|child| **child > own).skip(step - 1).step_by(step);
        for child in later {
            let cut: String = beginning.iter().chain([child]).collect();
            if end.is_some_and(|end| cut.as_str() >= end) {
                return cuts;
            }
            cuts.push(cut);
            if cuts.len() == MAX_PARTS {
                return cuts;
            }
        }
        names *= as_f64(children.len().max(1));
    }
    cuts
}

/// Every how manieth child begins a part.
fn step(names: f64) -> usize {
    // Of a page's names there are 1000 at most, so that the quotient is small.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 2000")]
    let step = (PAGES * 1000.0 / names.max(1.0)).ceil().clamp(1.0, 2000.0) as usize;
    step
}

#[allow(clippy::cast_precision_loss, reason = "counts of names on a page and of characters")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

/// Which characters stand where in names: learned as they come, and completed to what such characters usually belong to.
#[derive(Clone, Debug, Default)]
pub(super) struct Alphabet(Vec<Vec<char>>);

impl Alphabet {
    /// Looks at a page's names: at some of them, and at both ends.
    pub(super) fn learn<'a>(&mut self, names: impl ExactSizeIterator<Item = &'a str>) {
        let count = names.len();
        for (at, name) in names.enumerate() {
            if at % 16 == 0 || at + 1 == count {
                self.look(name);
            }
        }
    }

    /// The characters to expect at a place, in their order.
    fn children(&self, place: usize) -> Vec<char> {
        let mut children = self.at(place).to_vec();
        // A digit before hexadecimal digits is one of them, although no letter was seen in its place yet.
        let next = self.at(place + 1);
        if !children.is_empty() && children.iter().all(char::is_ascii_digit) && next.contains(&'0') {
            children.extend(next.iter().filter(|letter| !letter.is_ascii_digit() && letter.is_ascii_hexdigit()));
        }
        children
    }

    fn at(&self, place: usize) -> &[char] {
        self.0.get(place).map_or(&[], Vec::as_slice)
    }

    fn look(&mut self, name: &str) {
        for (place, letter) in name.chars().take(MAX_DEPTH).enumerate() {
            if self.0.len() <= place {
                self.0.push(Vec::new());
            }
            let known = &mut self.0[place];
            if !known.contains(&letter) {
                known.push(letter);
                complete(known);
                known.sort_unstable();
            }
        }
    }
}

/// A digit seldom comes alone, and neither do two letters of one case: hexadecimal digits, or the whole case.
fn complete(known: &mut Vec<char>) {
    let count = |is: fn(&char) -> bool| known.iter().filter(|letter| is(letter)).count();
    let digits = count(char::is_ascii_digit) > 0;
    let mut ranges = Vec::new();
    for (case, hexadecimal) in [('a'..='z', 'a'..='f'), ('A'..='Z', 'A'..='F')] {
        let seen: Vec<_> = known.iter().copied().filter(|letter| case.contains(letter)).collect();
        let within = seen.iter().all(|letter| hexadecimal.contains(letter));
        if digits && within && !seen.is_empty() {
            ranges.push(hexadecimal);
        } else if seen.len() > 1 {
            ranges.push(case);
        }
    }
    if digits {
        ranges.push('0'..='9');
    }
    for letter in ranges.into_iter().flatten() {
        if !known.contains(&letter) {
            known.push(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(names: &[String], end: Option<&str>) -> Vec<String> {
        let mut alphabet = Alphabet::default();
        alphabet.learn(names.iter().map(String::as_str));
        cuts(&names[0], &names[names.len() - 1], names.len(), end, &alphabet)
    }

    #[test]
    fn numbers_are_cut_at_their_digits() {
        let names: Vec<String> = (0..1000).map(|n| format!("img_{n:06}.jpg")).collect();
        let cuts = page(&names, None);
        assert_eq!(&cuts[..6], ["img_002", "img_004", "img_006", "img_008", "img_01", "img_02"]);
        assert_eq!(cuts.last().map(String::as_str), Some("img_9"));
        assert!(cuts.is_sorted());
        assert_eq!(page(&names, Some("img_01")), ["img_002", "img_004", "img_006", "img_008"]);
        assert!(page(&names, Some("img_001")).is_empty());
    }

    #[test]
    fn random_hexadecimal_names_are_cut_evenly() {
        let names: Vec<String> = (0..1000).map(|n| format!("x/0{:03x}{n:05}", n * 4)).collect();
        let cuts = page(&names, None);
        assert_eq!(cuts, ["x/2", "x/4", "x/6", "x/8", "x/a", "x/c", "x/e"]);
    }

    #[test]
    fn names_with_nothing_in_common_but_a_beginning_are_left_whole_or_cut_in_order() {
        for names in [
            vec!["a".to_owned(), "a/b".to_owned()],
            vec!["same".to_owned(), "same".to_owned()],
            vec!["ü/1".to_owned(), "ü/🦀".to_owned(), "春".to_owned()],
        ] {
            let cuts = page(&names, None);
            assert!(cuts.is_sorted() && cuts.iter().all(|cut| *cut > names[names.len() - 1]), "{names:?}: {cuts:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn cuts_are_in_order_and_inside(mut names in proptest::collection::vec("[a-c0-2/é]{1,6}", 2..40), end in "[a-z]{1,3}") {
            names.sort();
            names.dedup();
            let last = names[names.len() - 1].clone();
            let end = (end > last).then_some(end);
            let cuts = page(&names, end.as_deref());
            proptest::prop_assert!(cuts.windows(2).all(|pair| pair[0] < pair[1]));
            proptest::prop_assert!(cuts.iter().all(|cut| *cut > last));
            proptest::prop_assert!(cuts.iter().all(|cut| end.as_ref().is_none_or(|end| cut < end)));
        }
    }
}
