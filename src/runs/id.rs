//! When, in words that sort: the name of a run, and times in its record.

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::{SystemTime, UNIX_EPOCH};

/// The name of a run: `20261124T203055Z-1f40ab`. The time in UTC to the second, then six hexadecimal
/// digits: three are its milliseconds, so that names sort as the runs began, three are random.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

/// Milliseconds since the epoch.
pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// The parts of a time in UTC: year, month, day, hour, minute, second, millisecond.
fn parts(ms: u64) -> [u64; 7] {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    // Days to a date of the Gregorian calendar, in cycles of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    [year, month, day, rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60, rest % 1000]
}

/// A time as RFC 3339 writes it, in UTC, with milliseconds.
pub(crate) fn time(ms: u64) -> String {
    let [year, month, day, hour, minute, second, ms] = parts(ms);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The milliseconds since the epoch of a time as [`time`] writes it.
pub(crate) fn millis(text: &str) -> Option<u64> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if text.len() != 24 || digits.len() != 17 {
        return None;
    }
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (year, month) =
        if month <= 2 { (year.checked_sub(1)?, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day.checked_sub(1)?;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let of_day = number(8, 10)? * 3_600_000 + number(10, 12)? * 60_000 + number(12, 17)?;
    Some(days.checked_sub(719_468)? * 86_400_000 + of_day)
}

impl RunId {
    /// A name for a run that begins at a time.
    pub(super) fn at(ms: u64) -> Self {
        let [year, month, day, hour, minute, second, ms] = parts(ms);
        // Keyed anew in each call with the system's randomness; a name that is taken is tried again.
        let random = std::hash::RandomState::new().build_hasher().finish() & 0xfff;
        Self(format!(
            "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z-{ms:03x}{random:03x}"
        ))
    }

    /// A text that is the name of a run.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 23
            && text.bytes().enumerate().all(|(i, b)| match i {
                8 => b == b'T',
                15 => b == b'Z',
                16 => b == b'-',
                17.. => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
                _ => b.is_ascii_digit(),
            });
        fits.then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(time(1_795_552_255_123), "2026-11-24T20:30:55.123Z");
        assert_eq!(time(4_107_542_399_999), "2100-02-28T23:59:59.999Z");
        assert!(RunId::at(1_795_552_255_123).as_str().starts_with("20261124T203055Z-07b"));
        for bad in
            ["", "last", "20261124T203055Z-07b", "../../etc/passwd", "20261124T203055Z-ABCDEF"]
        {
            assert_eq!(RunId::parse(bad), None, "{bad}");
        }
        assert_eq!(millis("2026-11-24"), None);
    }

    proptest! {
        #[test]
        fn times_and_names_sort(a in 0..10_000_000_000_000_u64, b in 0..10_000_000_000_000_u64) {
            prop_assert_eq!(millis(&time(a)), Some(a));
            prop_assert!(RunId::parse(RunId::at(a).as_str()).is_some());
            if a < b {
                prop_assert!(RunId::at(a) < RunId::at(b));
            }
        }
    }
}
