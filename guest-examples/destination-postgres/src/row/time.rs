//! Dates and times: ISO 8601 as sources write it, checked before the server sees it.
//!
//! What one row has wrong would end the COPY of all. Years before the first are written as ISO does
//! (`-0001`) or with ` BC`; what has no zone is UTC.

/// How a value went into its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Whole.
    Whole,
    /// Without a part that the column has no place for.
    Cut,
    /// Not at all; nothing was written.
    Not,
}

/// Years of `date`; those of timestamps end earlier.
const FIRST_YEAR: i32 = -4712;
const LAST_DATE: i32 = 5_874_896;
const LAST_TIMESTAMP: i32 = 294_275;

/// Digits of a fraction of a second.
const FRACTION: usize = 6;

#[derive(Clone, Copy)]
struct Date {
    /// 0 is 1 BC.
    year: i32,
    month: u8,
    day: u8,
}

#[derive(Clone, Copy, Default)]
struct Clock<'a> {
    hour: u8,
    minute: u8,
    second: u8,
    fraction: &'a [u8],
}

impl Clock<'_> {
    fn is_midnight(&self) -> bool {
        self.hour == 0 && self.minute == 0 && self.second == 0 && is_zero(self.fraction)
    }

    fn is_cut(&self) -> bool {
        self.fraction.get(FRACTION..).is_some_and(|rest| !is_zero(rest))
    }
}

#[derive(Clone, Copy)]
struct Zone {
    negative: bool,
    hours: u8,
    minutes: u8,
}

impl Zone {
    fn is_utc(self) -> bool {
        self.hours == 0 && self.minutes == 0
    }
}

fn is_zero(digits: &[u8]) -> bool {
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

fn is_real(date: Date, last_year: i32) -> bool {
    let leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
    let days = match date.month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&date.day) && (FIRST_YEAR..=last_year).contains(&date.year)
}

fn push_two(out: &mut Vec<u8>, number: u8) {
    out.extend_from_slice(&[b'0' + number / 10, b'0' + number % 10]);
}

fn push_date(out: &mut Vec<u8>, date: Date) {
    let year = if date.year > 0 { date.year } else { 1 - date.year };
    // Writing to a vector cannot fail.
    let _ = std::io::Write::write_fmt(out, format_args!("{year:04}-"));
    push_two(out, date.month);
    out.push(b'-');
    push_two(out, date.day);
}

fn push_era(out: &mut Vec<u8>, date: Date) {
    if date.year <= 0 {
        out.extend_from_slice(b" BC");
    }
}

fn push_clock(out: &mut Vec<u8>, clock: &Clock<'_>) {
    push_two(out, clock.hour);
    out.push(b':');
    push_two(out, clock.minute);
    out.push(b':');
    push_two(out, clock.second);
    if !clock.fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(&clock.fraction[..clock.fraction.len().min(FRACTION)]);
    }
}

fn push_zone(out: &mut Vec<u8>, zone: Option<Zone>) {
    let zone = zone.unwrap_or(Zone { negative: false, hours: 0, minutes: 0 });
    out.push(if zone.negative { b'-' } else { b'+' });
    push_two(out, zone.hours);
    if zone.minutes != 0 {
        out.push(b':');
        push_two(out, zone.minutes);
    }
}

fn fit(cut: bool) -> Fit {
    if cut { Fit::Cut } else { Fit::Whole }
}

/// A date, and with it or without a time and a zone.
type Read<'a> = (Date, Option<(Clock<'a>, Option<Zone>)>);

/// What a text says.
fn read(text: &[u8]) -> Option<Read<'_>> {
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
    Some((date, time))
}

/// Writes what is before or after all dates, which the server writes as it reads it. Is it that?
fn is_endless(text: &[u8], out: &mut Vec<u8>) -> bool {
    let endless = matches!(text, b"infinity" | b"-infinity");
    if endless {
        out.extend_from_slice(text);
    }
    endless
}

/// Writes a `date`.
pub(crate) fn date(text: &[u8], out: &mut Vec<u8>) -> Fit {
    if is_endless(text, out) {
        return Fit::Whole;
    }
    let Some((date, time)) = read(text).filter(|(date, _)| is_real(*date, LAST_DATE)) else {
        return Fit::Not;
    };
    push_date(out, date);
    push_era(out, date);
    fit(time.is_some_and(|(clock, _)| !clock.is_midnight()))
}

/// Writes a timestamp, with its zone or without.
pub(crate) fn timestamp(text: &[u8], zoned: bool, out: &mut Vec<u8>) -> Fit {
    if is_endless(text, out) {
        return Fit::Whole;
    }
    let Some((date, time)) = read(text).filter(|(date, _)| is_real(*date, LAST_TIMESTAMP)) else {
        return Fit::Not;
    };
    let (clock, zone) = time.unwrap_or_default();
    push_date(out, date);
    out.push(b' ');
    push_clock(out, &clock);
    if zoned {
        push_zone(out, zone);
    }
    push_era(out, date);
    fit(clock.is_cut() || (!zoned && zone.is_some_and(|zone| !zone.is_utc())))
}

/// Writes a time of day, with its zone or without.
pub(crate) fn time(text: &[u8], zoned: bool, out: &mut Vec<u8>) -> Fit {
    let mut reader = Reader(text);
    let read = reader.clock().and_then(|clock| Some((clock, reader.zone()?)));
    let Some((clock, zone)) = read.filter(|_| reader.0.is_empty()) else { return Fit::Not };
    push_clock(out, &clock);
    if zoned {
        push_zone(out, zone);
    }
    fit(clock.is_cut() || (!zoned && zone.is_some_and(|zone| !zone.is_utc())))
}

/// Writes a time in ms since 1970 as a timestamp of UTC.
pub(crate) fn write_millis(millis: i64, out: &mut Vec<u8>) {
    const DAY: i64 = 86_400_000;
    // Of years that the server has and four digits hold: 0001 to 9999.
    let millis = millis.clamp(-62_135_596_800_000, 253_402_300_799_999);
    let (days, rest) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let _ = std::io::Write::write_fmt(
        out,
        format_args!(
            "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}.{:03}+00",
            rest / 3_600_000,
            rest / 60_000 % 60,
            rest / 1000 % 60,
            rest % 1000
        ),
    );
}

/// The date that is so many days after 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&[u8], &mut Vec<u8>) -> Fit, text: &str) -> Option<(String, bool)> {
        let mut out = Vec::new();
        let fit = write(text.as_bytes(), &mut out);
        let text = String::from_utf8(out).expect("text");
        match fit {
            Fit::Not => {
                assert_eq!(text, "", "nothing is written of what does not fit");
                None
            }
            fit => Some((text, fit == Fit::Whole)),
        }
    }

    #[test]
    fn dates() {
        let whole = |text: &str| Some((text.to_owned(), true));
        assert_eq!(written(date, "2024-02-29"), whole("2024-02-29"));
        assert_eq!(written(date, "0001-01-01"), whole("0001-01-01"));
        assert_eq!(written(date, "0000-12-31"), whole("0001-12-31 BC"));
        assert_eq!(written(date, "-0043-03-15"), whole("0044-03-15 BC"));
        assert_eq!(written(date, "0044-03-15 BC"), whole("0044-03-15 BC"));
        assert_eq!(written(date, "+12024-01-01"), whole("12024-01-01"));
        assert_eq!(written(date, "2024-01-02T00:00:00Z"), whole("2024-01-02"));
        let cut = Some(("2024-01-02".to_owned(), false));
        assert_eq!(written(date, "2024-01-02T10:00:00Z"), cut);
        for text in [
            "",
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-1-1",
            "24-01-01",
            "2024-01-01x",
            "2024/01/01",
            "not a date",
            "9999999-01-01",
            "-9999-01-01",
            "2024-01-01\t",
            "-0001-01-01 BC",
        ] {
            assert_eq!(written(date, text), None, "{text}");
        }
    }

    #[test]
    fn timestamps() {
        let zoned = |text: &str| written(|text, out| timestamp(text, true, out), text);
        let local = |text: &str| written(|text, out| timestamp(text, false, out), text);
        let whole = |text: &str| Some((text.to_owned(), true));
        let cut = |text: &str| Some((text.to_owned(), false));
        let cases = [
            ("2099-12-31T23:59:59.999999Z", whole("2099-12-31 23:59:59.999999+00")),
            ("1970-01-01T00:00:00+00:00", whole("1970-01-01 00:00:00+00")),
            ("2024-01-02 03:04:05-0930", whole("2024-01-02 03:04:05-09:30")),
            ("2024-01-02T03:04+02", whole("2024-01-02 03:04:00+02")),
            ("2024-01-02T03:04:05", whole("2024-01-02 03:04:05+00")),
            ("2024-01-02", whole("2024-01-02 00:00:00+00")),
            ("2024-01-02 03:04:05 UTC", whole("2024-01-02 03:04:05+00")),
            ("2024-01-02T03:04:05.1234567Z", cut("2024-01-02 03:04:05.123456+00")),
            ("2024-01-02T03:04:05.1234560Z", whole("2024-01-02 03:04:05.123456+00")),
            ("-0001-01-02T03:04:05Z", whole("0002-01-02 03:04:05+00 BC")),
            ("0002-01-02T03:04:05Z BC", whole("0002-01-02 03:04:05+00 BC")),
        ];
        for (text, expected) in cases {
            assert_eq!(zoned(text), expected, "{text}");
        }
        for text in ["infinity", "-infinity"] {
            assert_eq!(zoned(text), whole(text));
            assert_eq!(local(text), whole(text));
            assert_eq!(written(date, text), whole(text));
        }
        assert_eq!(local("2024-01-02T03:04:05"), whole("2024-01-02 03:04:05"));
        assert_eq!(local("2024-01-02T03:04:05Z"), whole("2024-01-02 03:04:05"));
        assert_eq!(local("2024-01-02T03:04:05+02:00"), cut("2024-01-02 03:04:05"));
        for text in [
            "",
            "T",
            "2024-01-02T",
            "2024-01-02T25:00:00Z",
            "2024-01-02T03:60:00Z",
            "now",
            "Infinity",
            "2024-01-02T03:04:05+16:00",
            "2024-01-02T03:04:05.Z",
            "2024-01-02T03:04:05Zx",
            "300000-01-01T00:00:00Z",
            "2024-01-02T03:04:05 Europe/Paris",
            "2024-01-02T24:00:01Z",
        ] {
            assert_eq!(zoned(text), None, "{text}");
        }
    }

    #[test]
    fn times() {
        let zoned = |text: &str| written(|text, out| time(text, true, out), text);
        let local = |text: &str| written(|text, out| time(text, false, out), text);
        let whole = |text: &str| Some((text.to_owned(), true));
        assert_eq!(zoned("12:34:56.789Z"), whole("12:34:56.789+00"));
        assert_eq!(zoned("12:34:56+01:30"), whole("12:34:56+01:30"));
        assert_eq!(zoned("12:34"), whole("12:34:00+00"));
        assert_eq!(local("23:59:59.999999"), whole("23:59:59.999999"));
        assert_eq!(local("24:00:00"), whole("24:00:00"));
        assert_eq!(local("12:00:00-05:00"), Some(("12:00:00".to_owned(), false)));
        for text in ["", "12", "12:3", "24:00:01", "12:00:00 BC", "12:00:00\t"] {
            assert_eq!(zoned(text), None, "{text}");
        }
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
            write_millis(millis, &mut out);
            assert_eq!(String::from_utf8(out).expect("text"), expected);
        }
    }
}
