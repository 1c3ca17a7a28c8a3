//! Places in the server's log, and its times.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A place in the server's write-ahead log.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Lsn(pub(crate) u64);

/// A text that is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoLsn;

impl fmt::Display for NoLsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is no place in a log, such as 16/B374D848")
    }
}

/// As the server writes it: `16/B374D848`.
impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & u64::from(u32::MAX))
    }
}

impl FromStr for Lsn {
    type Err = NoLsn;

    fn from_str(text: &str) -> Result<Self, NoLsn> {
        let half = |text: &str| {
            let fits = (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
            u64::from_str_radix(text, 16).ok().filter(|_| fits).ok_or(NoLsn)
        };
        let (high, low) = text.split_once('/').ok_or(NoLsn)?;
        Ok(Self(half(high)? << 32 | half(low)?))
    }
}

impl TryFrom<String> for Lsn {
    type Error = NoLsn;

    fn try_from(text: String) -> Result<Self, NoLsn> {
        text.parse()
    }
}

impl From<Lsn> for String {
    fn from(lsn: Lsn) -> Self {
        lsn.to_string()
    }
}

/// Days from 1970-01-01 to 2000-01-01, the server's first.
const FIRST_DAY: i64 = 10_957;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// A time of the server, in µs since 2000-01-01T00:00Z, as `2024-01-02T03:04:05.000006Z`.
pub(crate) fn time(micros: i64) -> String {
    let (day, rest) = (micros.div_euclid(DAY) + FIRST_DAY, micros.rem_euclid(DAY));
    // The calendar repeats each 400 years, of 146,097 days, and a year that begins in March has its
    // odd day last.
    let day = day + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_the_server_does() {
        for (text, number) in [
            ("0/0", 0),
            ("16/B374D848", 0x16_B374_D848),
            ("FFFFFFFF/FFFFFFFF", u64::MAX),
            ("1/5", 1 << 32 | 5),
        ] {
            assert_eq!(text.parse(), Ok(Lsn(number)));
            assert_eq!(Lsn(number).to_string(), text);
            let json = serde_json::to_string(&Lsn(number)).unwrap();
            assert_eq!(serde_json::from_str::<Lsn>(&json).unwrap(), Lsn(number));
        }
        for text in
            ["", "/", "1", "1/", "/1", "1/2/3", "-1/0", "+1/0", "100000000/0", "0/000000001", "x/1"]
        {
            assert_eq!(text.parse::<Lsn>(), Err(NoLsn), "{text}");
        }
    }

    #[test]
    fn times_are_told_by_the_calendar() {
        for (micros, expected) in [
            (0, "2000-01-01T00:00:00.000000Z"),
            (-1, "1999-12-31T23:59:59.999999Z"),
            (59 * DAY, "2000-02-29T00:00:00.000000Z"),
            (60 * DAY, "2000-03-01T00:00:00.000000Z"),
            (757_479_845_000_006, "2024-01-02T03:04:05.000006Z"),
            (-FIRST_DAY * DAY, "1970-01-01T00:00:00.000000Z"),
            // 2100 has no 29th of February.
            (36_583 * DAY, "2100-02-28T00:00:00.000000Z"),
            (36_584 * DAY, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(time(micros), expected);
        }
        // Whatever a server says, nothing breaks.
        for micros in [i64::MIN, i64::MAX] {
            assert!(time(micros).ends_with('Z'));
        }
    }
}
