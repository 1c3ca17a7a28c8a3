//! Days, times and timestamps as ISO 8601 writes them, to the microsecond.
//!
//! Finer fractions are cut in a typed column (the record keeps them). Years are 1 to 9999.

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// A time of day, and its zone where it says one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    /// Microseconds since midnight.
    pub(super) micros: i64,
    /// Minutes east of UTC.
    pub(super) zone: Option<i32>,
}

/// Days since the epoch, of a day like `2024-02-29`.
pub(super) fn date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    (bytes.len() == 10).then_some(())?;
    day(bytes)
}

/// A time like `23:59:01.5`, `12:30`, `10:00:00+02:00`.
pub(super) fn clock(text: &str) -> Option<Clock> {
    clock_of(text.as_bytes())
}

/// A timestamp like `2024-02-29T10:00:00.123Z`, `2024-02-29 10:00:00 +0200`, `2024-02-29`:
/// microseconds since the epoch as the clock showed them, and the zone.
pub(super) fn timestamp(text: &str) -> Option<(i64, Option<i32>)> {
    let bytes = text.as_bytes();
    let days = i64::from(day(bytes.get(..10)?)?);
    let rest = bytes.get(10..)?;
    let Some((separator, rest)) = rest.split_first() else { return Some((days * DAY, None)) };
    if !matches!(separator, b'T' | b't' | b' ') {
        return None;
    }
    let clock = clock_of(rest)?;
    Some((days * DAY + clock.micros, clock.zone))
}

/// The instant of a timestamp, in microseconds since the epoch; one without a zone is in UTC.
pub(crate) fn instant(text: &str) -> Option<i64> {
    let (local, zone) = timestamp(text)?;
    let instant = local - i64::from(zone.unwrap_or(0)) * 60_000_000;
    // A zone may lead out of the years that there are.
    (FIRST..=LAST).contains(&instant).then_some(instant)
}

/// 0001-01-01T00:00:00Z.
const FIRST: i64 = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999Z.
const LAST: i64 = 253_402_300_799_999_999;

fn two(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(i64::from(a - b'0') * 10 + i64::from(b - b'0')),
        _ => None,
    }
}

fn day(bytes: &[u8]) -> Option<i32> {
    let &[a, b, c, d, b'-', e, f, b'-', g, h] = bytes else { return None };
    let year = two(&[a, b])? * 100 + two(&[c, d])?;
    let (month, day) = (two(&[e, f])?, two(&[g, h])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year == 0 || day == 0 || day > length {
        return None;
    }
    // A date of the Gregorian calendar to days, in cycles of 400 years that begin in March.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    i32::try_from(days - 719_468).ok()
}

fn clock_of(bytes: &[u8]) -> Option<Clock> {
    let &[a, b, b':', c, d, ref rest @ ..] = bytes else { return None };
    let (hour, minute) = (two(&[a, b])?, two(&[c, d])?);
    let (second, fraction, rest) = match rest {
        &[b':', e, f, ref rest @ ..] => {
            let (fraction, rest) = fraction(rest)?;
            (two(&[e, f])?, fraction, rest)
        }
        _ => (0, 0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction;
    Some(Clock { micros, zone: zone(rest)? })
}

/// Microseconds of `.123…`, and what follows.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.' | b',', digits)) = bytes.split_first() else { return Some((0, bytes)) };
    let length = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let (digits, rest) = digits.split_at(length);
    let micros = (0..6)
        .fold(0, |sum, i| sum * 10 + digits.get(i).map_or(0, |digit| i64::from(digit - b'0')));
    Some((micros, rest))
}

/// Minutes east of UTC; none where nothing is said.
fn zone(bytes: &[u8]) -> Option<Option<i32>> {
    let bytes = match bytes {
        [b' ', rest @ ..] if !rest.is_empty() => rest,
        other => other,
    };
    let (sign, rest) = match bytes {
        [] => return Some(None),
        b"Z" | b"z" | b"UTC" => return Some(Some(0)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match *rest {
        [a, b] => (two(&[a, b])?, 0),
        [a, b, c, d] | [a, b, b':', c, d] => (two(&[a, b])?, two(&[c, d])?),
        _ => return None,
    };
    // PostgreSQL's widest.
    if hours > 15 || minutes > 59 {
        return None;
    }
    i32::try_from(sign * (hours * 60 + minutes)).ok().map(Some)
}

/// A day like `2024-02-29`.
pub(super) fn write_date(out: &mut String, days: i32) {
    use std::fmt::Write as _;
    let shifted = i64::from(days) + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
}

/// A time like `23:59:01.500000`: of one length, so that texts sort as times do.
pub(super) fn write_clock(out: &mut String, micros: i64) {
    use std::fmt::Write as _;
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let _ = write!(out, "{hour:02}:{minute:02}:{second:02}.{fraction:06}");
}

/// A zone like `+02:00`.
pub(super) fn write_zone(out: &mut String, minutes: i32) {
    use std::fmt::Write as _;
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.unsigned_abs();
    let _ = write!(out, "{sign}{:02}:{:02}", minutes / 60, minutes % 60);
}

/// A timestamp like `2024-02-29T10:00:00.123000`.
pub(super) fn write_timestamp(out: &mut String, micros: i64) {
    // Within the years that there are, days are few.
    let days = i32::try_from(micros.div_euclid(DAY)).unwrap_or(0);
    write_date(out, days);
    out.push('T');
    write_clock(out, micros.rem_euclid(DAY));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(micros: i64) -> String {
        let mut text = String::new();
        write_timestamp(&mut text, micros);
        text
    }

    #[test]
    fn days_are_days() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("1969-12-31"), Some(-1));
        assert_eq!(date("2024-02-29"), Some(19_782));
        assert_eq!(date("0001-01-01"), Some(-719_162));
        assert_eq!(date("9999-12-31"), Some(2_932_896));
        for wrong in [
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-00",
            "0000-01-01",
            "2024-1-1",
            "",
            "20240101",
            "2024-01-01x",
        ] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn instants_are_in_utc() {
        for same in [
            "2024-02-29T10:00:00.123Z",
            "2024-02-29T10:00:00.123456789Z".replace("456789", "").as_str(),
            "2024-02-29 12:00:00.123+02:00",
            "2024-02-29T12:00:00.123+0200",
            "2024-02-29T05:00:00.123-05",
            "2024-02-29T10:00:00.123",
            "2024-02-29 10:00:00.123 UTC",
        ] {
            assert_eq!(
                instant(same).map(shown).as_deref(),
                Some("2024-02-29T10:00:00.123000"),
                "{same}"
            );
        }
        assert_eq!(instant("2024-02-29").map(shown).as_deref(), Some("2024-02-29T00:00:00.000000"));
        assert_eq!(instant("1969-12-31T23:59:59.999999Z"), Some(-1));
        assert_eq!(instant("0001-01-01T00:00:00Z"), Some(FIRST));
        assert_eq!(instant("9999-12-31T23:59:59.999999999Z"), Some(LAST));
        for wrong in [
            "2024-02-29T24:00:00Z",
            "2024-02-29T10:60:00Z",
            "2024-02-29T10:00:60Z",
            "2024-02-29T10:00:00.Z",
            "2024-02-29T10:00:00+16:00",
            "0001-01-01T00:00:00+01:00",
            "2024-02-29T",
            "yesterday",
            "2024-02-29Tü0:00:00",
        ] {
            assert_eq!(instant(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(micros in FIRST..=LAST) {
            prop_assert_eq!(timestamp(&shown(micros)), Some((micros, None)));
        }

        #[test]
        fn no_text_is_too_odd(text in ".{0,40}") {
            let _ = (date(&text), clock(&text), instant(&text));
        }
    }
}
