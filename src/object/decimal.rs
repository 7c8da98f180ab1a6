//! Decimal numbers as GCS writes them.

/// As many digits are less than `u64::MAX`, whichever they are.
const SAFE: usize = 19;

/// A decimal number: digits alone, since `u64::from_str` would also take a leading `+`.
pub fn decimal(text: impl AsRef<[u8]>) -> Option<u64> {
    let text = text.as_ref();
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(*byte - b'0'));
    let (easy, rest) = text.split_at(text.len().min(SAFE));
    let number = easy.iter().try_fold(0, |number, byte| Some(number * 10 + digit(byte)?))?;
    let more = |number: u64, byte: &u8| number.checked_mul(10)?.checked_add(digit(byte)?);
    if text.is_empty() { None } else { rest.iter().try_fold(number, more) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_alone_are_a_number() {
        for number in [0, 7, 42, 9_999_999_999_999_999_999, 10_000_000_000_000_000_000, u64::MAX] {
            assert_eq!(decimal(number.to_string()), Some(number));
        }
        assert_eq!(decimal("000000000000000000000000000007"), Some(7));
        for bad in ["", "+7", "-7", " 7", "7 ", "7a", "7.0", "18446744073709551616", "99999999999999999999", "٧"] {
            assert_eq!(decimal(bad), None, "{bad}");
        }
    }
}
