//! Numbers, from their text: never by way of a float.

/// Digits before the decimal point that a `numeric` of PostgreSQL holds, the widest there is.
const BEFORE_POINT: i64 = 131_072;
/// Digits behind it.
const BEHIND_POINT: i64 = 16_383;

/// A number as JSON writes it, in its parts.
struct Parts<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    /// The power of ten; one that is far out of any range is cut.
    exponent: i64,
}

fn parts(text: &[u8]) -> Parts<'_> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match memchr::memchr2(b'e', b'E', text) {
        Some(at) => (&text[..at], power(&text[at + 1..])),
        None => (text, 0),
    };
    let (whole, fraction) = match memchr::memchr(b'.', mantissa) {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &[][..]),
    };
    Parts { negative, whole, fraction, exponent }
}

fn power(text: &[u8]) -> i64 {
    const FAR: i64 = 1 << 40;
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let value = digits
        .iter()
        .fold(0, |value: i64, digit| FAR.min(value * 10 + i64::from(digit.wrapping_sub(b'0'))));
    if negative { -value } else { value }
}

/// Is it a number as JSON writes it?
#[must_use]
pub fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (mantissa, exponent) = match memchr::memchr2(b'e', b'E', text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let exponent = exponent.is_none_or(|text| {
        digits(text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text))
    });
    let mantissa = match memchr::memchr(b'.', mantissa) {
        Some(at) => digits(&mantissa[..at]) && digits(&mantissa[at + 1..]),
        None => digits(mantissa),
    };
    exponent && mantissa
}

/// Can a `numeric` hold the number?
#[must_use]
pub fn fits(text: &[u8]) -> bool {
    if text.len() < 1000 && memchr::memchr2(b'e', b'E', text).is_none() {
        return true;
    }
    let Parts { whole, fraction, exponent, .. } = parts(text);
    let length = |digits: &[u8]| i64::try_from(digits.len()).unwrap_or(i64::MAX / 2);
    length(whole) + exponent <= BEFORE_POINT && length(fraction) - exponent <= BEHIND_POINT
}

/// Writes the number as a whole one of 64 bits, if it is one.
pub fn write_integer(text: &[u8], out: &mut Vec<u8>) -> bool {
    // Nearly all are short and plain.
    if text.len() <= 18 && text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') {
        out.extend_from_slice(text);
        return true;
    }
    let Some(value) = integer(text) else { return false };
    // Writing to a vector cannot fail.
    let _ = std::io::Write::write_fmt(out, format_args!("{value}"));
    true
}

/// The whole number of 64 bits that the number is, if it is one.
#[must_use]
pub fn integer(text: &[u8]) -> Option<i64> {
    let Parts { negative, whole, fraction, exponent } = parts(text);
    let digits = || whole.iter().chain(fraction).map(|digit| i128::from(digit - b'0'));
    if digits().all(|digit| digit == 0) {
        return Some(0);
    }
    // How many of the digits stand before the decimal point.
    let before = i64::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let mut value = 0_i128;
    for (place, digit) in (0_i64..).zip(digits()) {
        if place >= before {
            if digit != 0 {
                return None;
            }
        } else {
            value = value * 10 + digit;
            if value > i128::from(u64::MAX) {
                return None;
            }
        }
    }
    let given = i64::try_from(whole.len() + fraction.len()).ok()?;
    for _ in given..before {
        value *= 10;
        if value > i128::from(u64::MAX) {
            return None;
        }
    }
    i64::try_from(if negative { -value } else { value }).ok()
}

/// The double that is nearest to the number, and whether it is the number: the shortest text that is
/// read as that double says the same. None beyond all doubles.
#[must_use]
pub fn double(text: &[u8]) -> Option<(f64, bool)> {
    /// Significant digits that every finite double keeps.
    const SURE: usize = 15;
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    if !value.is_finite() {
        return None;
    }
    if text.len() <= SURE && memchr::memchr2(b'e', b'E', text).is_none() {
        return Some((value, true));
    }
    let mut shortest = [0; 40];
    let mut rest = &mut shortest[..];
    std::io::Write::write_fmt(&mut rest, format_args!("{value:e}")).ok()?;
    let left = rest.len();
    let written = shortest.get(..shortest.len() - left).unwrap_or_default();
    Some((value, is_equal(&parts(text), &parts(written))))
}

/// Are two numbers one?
fn is_equal(a: &Parts<'_>, b: &Parts<'_>) -> bool {
    let (a_digits, a_power) = significant(a);
    let (b_digits, b_power) = significant(b);
    let zero = a_digits.clone().next().is_none() && b_digits.clone().next().is_none();
    zero || (a.negative == b.negative && a_power == b_power && a_digits.eq(b_digits))
}

/// The digits from the first to the last that is not zero, and the power of ten of the first.
fn significant<'a>(number: &Parts<'a>) -> (impl Iterator<Item = u8> + Clone + use<'a>, i64) {
    let all = number.whole.len() + number.fraction.len();
    let digits = number.whole.iter().chain(number.fraction).copied();
    let before = digits.clone().take_while(|digit| *digit == b'0').count();
    let behind = digits.clone().rev().take_while(|digit| *digit == b'0').count();
    let power = |count: usize| i64::try_from(count).unwrap_or(i64::MAX / 4);
    let first = power(number.whole.len()) - power(before) + number.exponent;
    (digits.skip(before).take(all.saturating_sub(before + behind)), first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_numbers_are_whole_however_they_are_written() {
        let cases = [
            ("0", Some("0")),
            ("-0", Some("-0")),
            ("42", Some("42")),
            ("1.0", Some("1")),
            ("1e3", Some("1000")),
            ("12.50e1", Some("125")),
            ("1200e-2", Some("12")),
            ("-5.0E+0", Some("-5")),
            ("0.0e999999999999999999999", Some("0")),
            ("9223372036854775807", Some("9223372036854775807")),
            ("-9223372036854775808", Some("-9223372036854775808")),
            ("9223372036854775808", None),
            ("99999999999999999999999999999999", None),
            ("1e19", None),
            ("1e999999999999999999999", None),
            ("1.5", None),
            ("1e-1", None),
            ("1e-999999999999999999999", None),
        ];
        for (text, expected) in cases {
            let mut out = Vec::new();
            let written = write_integer(text.as_bytes(), &mut out);
            let written = written.then(|| String::from_utf8(out).expect("digits"));
            assert_eq!(written.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn numbers_out_of_range_do_not_fit() {
        for text in ["1", "1e39", "50000.0000000000000001", "-5e-324", "1e131071", "1e-16383"] {
            assert!(fits(text.as_bytes()), "{text}");
        }
        for text in ["1e131072", "1e-16384", "1e999999999999999999999", "1.5e-16383"] {
            assert!(!fits(text.as_bytes()), "{text}");
        }
        assert!(fits("9".repeat(131_072).as_bytes()));
        assert!(!fits("9".repeat(131_073).as_bytes()));
    }

    #[test]
    fn numbers_are_told_from_other_texts() {
        for text in ["0", "-1", "1.5", "1e5", "1E-5", "007"] {
            assert!(is_number(text.as_bytes()), "{text}");
        }
        for text in ["", "-", "1.", ".5", "1e", "NaN", "1 ", "0x1", "+1", "1,000", "1\t2"] {
            assert!(!is_number(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn doubles_say_whether_they_are_the_number() {
        for (text, value) in [
            ("0", 0.0),
            ("-0.000e5", 0.0),
            ("0.1", 0.1),
            ("0.14285714285714285", 0.142_857_142_857_142_85),
            ("1.7976931348623157e308", f64::MAX),
            ("5e-324", 5e-324),
            ("100000000000000000000", 1e20),
            ("1200.50000000000000000000", 1200.5),
        ] {
            assert_eq!(double(text.as_bytes()), Some((value, true)), "{text}");
        }
        for text in
            ["50000.0000000000000001", "9007199254740993", "1e-400", "0.1000000000000000055"]
        {
            assert!(!double(text.as_bytes()).expect("a double").1, "{text}");
        }
        for text in ["1e400", "-1e400"] {
            assert_eq!(double(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_double_is_itself(value in prop::num::f64::NORMAL) {
            prop_assert_eq!(double(format!("{value}").as_bytes()), Some((value, true)));
            prop_assert_eq!(double(format!("{value:E}").as_bytes()), Some((value, true)));
        }

        #[test]
        fn nothing_panics(text in "-?[0-9]{0,30}(\\.[0-9]{0,30})?([eE][+-]?[0-9]{0,20})?") {
            let _ = (double(text.as_bytes()), integer(text.as_bytes()), fits(text.as_bytes()));
        }
    }
}
