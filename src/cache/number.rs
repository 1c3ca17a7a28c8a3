//! Numbers of JSON by their text: which are equal, and which a machine's number holds.

/// Significant digits that every finite double keeps.
const SURE_DIGITS: usize = 15;

/// A number as its digits and its place: `-12.50` is negative, `125`, -1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    /// Neither first nor last is `0`; empty for zero.
    digits: String,
    /// The power of ten of the last digit.
    exponent: i64,
}

impl Decimal {
    /// From the text of a JSON number. None where its exponent is beyond reckoning.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => {
                let digits = rest.get(at + 1..)?;
                (rest.get(..at)?, digits.strip_prefix('+').unwrap_or(digits).parse::<i64>().ok()?)
            }
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = String::with_capacity(mantissa.len());
        digits.push_str(whole);
        digits.push_str(fraction);
        let mut exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let kept = digits.trim_end_matches('0').len();
        exponent = exponent.checked_add(i64::try_from(digits.len() - kept).ok()?)?;
        digits.truncate(kept);
        let digits = digits.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            // There is one zero.
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        Some(Self { negative, digits, exponent })
    }

    /// A text that equal numbers share.
    pub(super) fn canonical(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}e{}", self.digits, self.exponent)
    }

    /// Whether it has at most so many digits before and after its point.
    pub(super) fn fits(&self, whole: i64, fraction: i64) -> bool {
        let digits = i64::try_from(self.digits.len()).unwrap_or(i64::MAX);
        self.exponent >= -fraction && digits.saturating_add(self.exponent) <= whole
    }

    /// Whether nothing comes after its point.
    pub(super) fn is_whole(&self) -> bool {
        self.exponent >= 0
    }

    /// The whole number of 64 bits that it is.
    pub(super) fn to_i64(&self) -> Option<i64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let zeros = usize::try_from(self.exponent).ok().filter(|zeros| *zeros < 20)?;
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}{}", self.digits, "0".repeat(zeros)).parse().ok()
    }
}

/// The whole number of 64 bits that a JSON number is: `1`, `1.0` and `10e-1` are one.
pub(super) fn integer(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| {
        let whole = !text.contains(['.', 'e', 'E']);
        if whole { None } else { Decimal::parse(text)?.to_i64() }
    })
}

/// The double that a JSON number is: one that, written in its shortest form, is the number again.
pub(super) fn double(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    if !value.is_finite() {
        return None;
    }
    let is_short = text.len() <= SURE_DIGITS && !text.contains(['e', 'E']);
    if is_short {
        return Some(value);
    }
    (Decimal::parse(&format!("{value:e}"))? == Decimal::parse(text)?).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_numbers_are_equal() {
        let canonical = |text: &str| Decimal::parse(text).unwrap().canonical();
        for same in ["1", "1.0", "1e0", "10e-1", "0.1E+1", "1.000"] {
            assert_eq!(canonical(same), canonical("1"), "{same}");
        }
        for zero in ["0", "-0", "0.00", "0e99", "-0.0e-5"] {
            assert_eq!(canonical(zero), canonical("0"), "{zero}");
        }
        assert_ne!(canonical("1"), canonical("-1"));
        assert_ne!(canonical("1152921504606846976"), canonical("1152921504606846977"));
        assert_eq!(Decimal::parse("1e99999999999999999999"), None);
    }

    #[test]
    fn what_fits_is_exact() {
        assert_eq!(integer("1152921504606846977"), Some(1_152_921_504_606_846_977));
        assert_eq!(integer("1.0"), Some(1));
        assert_eq!(integer("12e3"), Some(12_000));
        assert_eq!(integer("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(integer("9223372036854775808"), None);
        assert_eq!(integer("1.5"), None);
        assert_eq!(integer("1e39"), None);
        assert_eq!(double("0.1"), Some(0.1));
        assert_eq!(double("1.7976931348623157e308"), Some(f64::MAX));
        assert_eq!(double("5e-324"), Some(5e-324));
        assert_eq!(double("0.14285714285714285"), Some(0.142_857_142_857_142_85));
        for inexact in ["50000.0000000000000001", "1e400", "9007199254740993", "1e-400"] {
            assert_eq!(double(inexact), None, "{inexact}");
        }
    }

    proptest! {
        #[test]
        fn every_double_is_itself(value in prop::num::f64::NORMAL) {
            prop_assert_eq!(double(&format!("{value}")), Some(value));
            prop_assert_eq!(double(&format!("{value:e}")), Some(value));
        }

        #[test]
        fn every_integer_is_itself(value: i64) {
            prop_assert_eq!(integer(&format!("{value}")), Some(value));
            prop_assert_eq!(integer(&format!("{value}.0")), Some(value));
        }
    }
}
