//! Dates and times, as sources write them: ISO 8601 and what is near it.
//!
//! Years before the first are written as ISO does (`-0001`) or with ` BC`.

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug)]
pub struct Date {
    /// 0 is 1 BC.
    pub year: i32,
    /// From 1 on.
    pub month: u8,
    /// From 1 on.
    pub day: u8,
}

/// A time of day.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock<'a> {
    /// 0 to 24.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
    /// The digits behind the point.
    pub fraction: &'a [u8],
}

impl Clock<'_> {
    /// Is it the start of a day?
    #[must_use]
    pub fn is_midnight(&self) -> bool {
        self.hour == 0 && self.minute == 0 && self.second == 0 && is_zero(self.fraction)
    }
}

/// How far from UTC.
#[derive(Clone, Copy, Debug)]
pub struct Zone {
    /// West of it.
    pub negative: bool,
    /// 0 to 15.
    pub hours: u8,
    /// 0 to 59.
    pub minutes: u8,
}

impl Zone {
    /// Is it UTC?
    #[must_use]
    pub fn is_utc(self) -> bool {
        self.hours == 0 && self.minutes == 0
    }
}

/// Are all the digits zeros?
#[must_use]
pub fn is_zero(digits: &[u8]) -> bool {
    digits.iter().all(|digit| *digit == b'0')
}

/// Reads from the start of what is left of a text.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, byte: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn digits(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        digits
    }

    fn two(&mut self) -> Option<u8> {
        let (two, rest) = self.0.split_at_checked(2)?;
        if !two.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.0 = rest;
        Some((two[0] - b'0') * 10 + (two[1] - b'0'))
    }

    fn date(&mut self) -> Option<Date> {
        let negative = self.take(b'-');
        if !negative {
            self.take(b'+');
        }
        let digits = self.digits();
        if !(4..=7).contains(&digits.len()) {
            return None;
        }
        let year = digits.iter().fold(0, |year, digit| year * 10 + i32::from(digit - b'0'));
        let year = if negative { -year } else { year };
        if !self.take(b'-') {
            return None;
        }
        let month = self.two()?;
        if !self.take(b'-') {
            return None;
        }
        Some(Date { year, month, day: self.two()? })
    }

    fn clock(&mut self) -> Option<Clock<'a>> {
        let hour = self.two()?;
        if !self.take(b':') {
            return None;
        }
        let mut clock = Clock { hour, minute: self.two()?, ..Clock::default() };
        if self.take(b':') {
            clock.second = self.two()?;
            if self.take(b'.') || self.take(b',') {
                clock.fraction = self.digits();
                if clock.fraction.is_empty() {
                    return None;
                }
            }
        }
        let last = clock.hour == 24 && clock.minute == 0 && clock.second == 0;
        let usual = clock.hour < 24 && clock.minute < 60 && clock.second <= 60;
        (usual || (last && is_zero(clock.fraction))).then_some(clock)
    }

    /// None where there is no zone, and nothing where there is something else.
    fn zone(&mut self) -> Option<Option<Zone>> {
        let utc = Zone { negative: false, hours: 0, minutes: 0 };
        if self.0.is_empty() || self.0 == b" BC" {
            return Some(None);
        }
        if let Some(rest) = self.0.strip_prefix(b" ")
            && matches!(rest.first(), Some(b'U' | b'Z' | b'z' | b'+' | b'-'))
        {
            self.0 = rest;
        }
        for name in [&b"Z"[..], b"z", b"UTC"] {
            if let Some(rest) = self.0.strip_prefix(name) {
                self.0 = rest;
                return Some(Some(utc));
            }
        }
        let negative = self.take(b'-');
        if !negative && !self.take(b'+') {
            return None;
        }
        let hours = self.two()?;
        let minutes = if self.take(b':') || self.0.first().is_some_and(u8::is_ascii_digit) {
            self.two()?
        } else {
            0
        };
        (hours <= 15 && minutes < 60).then_some(Some(Zone { negative, hours, minutes }))
    }

    /// The end, or the mark of a year before the first.
    fn end(self, date: &mut Date) -> Option<()> {
        match self.0 {
            b"" => {}
            b" BC" if date.year > 0 => date.year = 1 - date.year,
            _ => return None,
        }
        Some(())
    }
}

/// Is there such a day?
fn is_real(date: Date) -> bool {
    let leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
    let days = match date.month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&date.day)
}

/// A date, and with it or without a time and a zone.
pub type Read<'a> = (Date, Option<(Clock<'a>, Option<Zone>)>);

/// What a text says: a day that there is.
#[must_use]
pub fn read(text: &[u8]) -> Option<Read<'_>> {
    let mut reader = Reader(text);
    let mut date = reader.date()?;
    let time = if reader.0.is_empty() || reader.0 == b" BC" {
        None
    } else {
        if !(reader.take(b'T') || reader.take(b't') || reader.take(b' ')) {
            return None;
        }
        Some((reader.clock()?, reader.zone()?))
    };
    reader.end(&mut date)?;
    is_real(date).then_some(())?;
    Some((date, time))
}

/// What a time of day says, and its zone where it has one.
#[must_use]
pub fn read_clock(text: &[u8]) -> Option<(Clock<'_>, Option<Zone>)> {
    let mut reader = Reader(text);
    let clock = reader.clock()?;
    let zone = reader.zone()?;
    reader.0.is_empty().then_some((clock, zone))
}

/// The date that is so many days after 1970-01-01 (Howard Hinnant's `civil_from_days`).
#[must_use]
pub fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Writes a moment in ms since 1970 with `between` its day and its time and `end` behind it, in UTC: of the
/// years that four digits hold, 0001 to 9999.
pub fn write_millis(millis: i64, between: char, end: &str, out: &mut Vec<u8>) {
    const DAY: i64 = 86_400_000;
    let millis = millis.clamp(-62_135_596_800_000, 253_402_300_799_999);
    let (days, rest) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, millis) = (rest / 1000 % 60, rest % 1000);
    // Writing to a vector cannot fail.
    let _ = std::io::Write::write_fmt(
        out,
        format_args!(
            "{year:04}-{month:02}-{day:02}{between}{hour:02}:{minute:02}:{second:02}.{millis:03}{end}"
        ),
    );
}

impl Date {
    /// Days since 1970-01-01 (Howard Hinnant's `days_from_civil`).
    #[must_use]
    pub fn days(self) -> i64 {
        let month = i64::from(self.month);
        let year = i64::from(self.year) - i64::from(month <= 2);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year =
            (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }
}

impl Clock<'_> {
    /// Microseconds since midnight; finer fractions are cut.
    #[must_use]
    pub fn micros(&self) -> i64 {
        let fraction = (0..6).fold(0, |micros, place| {
            let digit = self.fraction.get(place).map_or(0, |digit| i64::from(digit - b'0'));
            micros * 10 + digit
        });
        let seconds =
            i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        seconds * 1_000_000 + fraction
    }

    /// Is there more of it than microseconds hold?
    #[must_use]
    pub fn is_finer_than_micros(&self) -> bool {
        self.fraction.get(6..).is_some_and(|rest| !is_zero(rest))
    }
}

impl Zone {
    /// Seconds east of UTC.
    #[must_use]
    pub fn seconds(self) -> i64 {
        let seconds = i64::from(self.hours) * 3600 + i64::from(self.minutes) * 60;
        if self.negative { -seconds } else { seconds }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_read() {
        let at = |text: &str| {
            let (date, time) = read(text.as_bytes())?;
            let (clock, zone) = time.unwrap_or_default();
            let zone = zone.map_or(0, Zone::seconds) * 1_000_000;
            Some(date.days() * 86_400_000_000 + clock.micros() - zone)
        };
        for (text, micros) in [
            ("1970-01-01", Some(0)),
            ("1970-01-01T00:00:00.000001Z", Some(1)),
            ("1969-12-31 23:59:59.5", Some(-500_000)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("2024-02-29T12:34:56.789Z", Some(1_709_210_096_789_000)),
            ("0001-01-01", Some(-62_135_596_800_000_000)),
            ("0000-12-31", Some(-62_135_683_200_000_000)),
            ("0001-12-31 BC", Some(-62_135_683_200_000_000)),
            ("2023-02-29", None),
            ("1900-02-29", None),
            ("2024-01-02T25:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(at(text), micros, "{text}");
        }
    }

    #[test]
    fn clocks_are_read() {
        let (clock, zone) = read_clock(b"12:00:00.1234567-05:30").expect("a time");
        assert_eq!(clock.micros(), 43_200_123_456);
        assert!(clock.is_finer_than_micros());
        assert_eq!(zone.map(Zone::seconds), Some(-19_800));
        assert!(read_clock(b"12:00:00 BC").is_none());
    }

    #[test]
    fn instants() {
        for (millis, expected) in [
            (0, "1970-01-01 00:00:00.000+00"),
            (1_709_210_096_789, "2024-02-29 12:34:56.789+00"),
            (-1, "1969-12-31 23:59:59.999+00"),
            (i64::MAX, "9999-12-31 23:59:59.999+00"),
            (i64::MIN, "0001-01-01 00:00:00.000+00"),
        ] {
            let mut out = Vec::new();
            write_millis(millis, ' ', "+00", &mut out);
            assert_eq!(String::from_utf8(out).expect("text"), expected);
        }
    }

    proptest! {
        #[test]
        fn days_and_dates_are_each_others(days in -1_000_000_i64..4_000_000) {
            let (year, month, day) = civil(days);
            let date = Date {
                year: i32::try_from(year).expect("a year"),
                month: u8::try_from(month).expect("a month"),
                day: u8::try_from(day).expect("a day"),
            };
            prop_assert!(is_real(date));
            prop_assert_eq!(date.days(), days);
        }

        #[test]
        fn nothing_panics(text in "[0-9TZ:.+ -]{0,32}( BC)?") {
            let _ = read(text.as_bytes()).map(|(date, time)| {
                (date.days(), time.map(|(clock, zone)| (clock.micros(), zone.map(Zone::seconds))))
            });
            let _ = read_clock(text.as_bytes());
        }
    }
}
