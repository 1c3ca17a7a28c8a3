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

use json_rows::time::{Clock, Date, Zone, is_zero, read, read_clock};

/// Years of `date`; those of timestamps end earlier.
const FIRST_YEAR: i32 = -4712;
const LAST_DATE: i32 = 5_874_896;
const LAST_TIMESTAMP: i32 = 294_275;

/// Digits of a fraction of a second.
const FRACTION: usize = 6;

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

/// Writes what is before or after all dates, which the server writes as it reads it. Is it that?
fn is_endless(text: &[u8], out: &mut Vec<u8>) -> bool {
    let endless = matches!(text, b"infinity" | b"-infinity");
    if endless {
        out.extend_from_slice(text);
    }
    endless
}

fn is_cut(clock: &Clock<'_>) -> bool {
    clock.fraction.get(FRACTION..).is_some_and(|rest| !is_zero(rest))
}

/// Writes a `date`.
pub(crate) fn date(text: &[u8], out: &mut Vec<u8>) -> Fit {
    if is_endless(text, out) {
        return Fit::Whole;
    }
    let Some((date, time)) =
        read(text).filter(|(date, _)| (FIRST_YEAR..=LAST_DATE).contains(&date.year))
    else {
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
    let Some((date, time)) =
        read(text).filter(|(date, _)| (FIRST_YEAR..=LAST_TIMESTAMP).contains(&date.year))
    else {
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
    fit(is_cut(&clock) || (!zoned && zone.is_some_and(|zone| !zone.is_utc())))
}

/// Writes a time of day, with its zone or without.
pub(crate) fn time(text: &[u8], zoned: bool, out: &mut Vec<u8>) -> Fit {
    let Some((clock, zone)) = read_clock(text) else { return Fit::Not };
    push_clock(out, &clock);
    if zoned {
        push_zone(out, zone);
    }
    fit(is_cut(&clock) || (!zoned && zone.is_some_and(|zone| !zone.is_utc())))
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
}
