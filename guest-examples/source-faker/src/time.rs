//! Times as text: `2024-01-31T12:00:00+00:00`.

/// 2024-01-01T00:00:00Z in seconds since 1970.
const EPOCH: u64 = 1_704_067_200;

/// 2000-01-01T00:00:00Z in seconds since 1970.
pub(crate) const YEAR_2000: u64 = 946_684_800;

/// When the row of a place was changed last, in seconds since 1970: one a second, so that the cursor
/// grows with the place.
pub(crate) fn updated_at(place: u64) -> u64 {
    // Years have four digits: the cursor stands still in 9999.
    const LAST: u64 = 253_402_300_799;
    EPOCH.saturating_add(place).min(LAST)
}

/// A time as text.
pub(crate) fn text(seconds: u64) -> String {
    String::from_utf8_lossy(&bytes(seconds)).into_owned()
}

/// A time as bytes of text.
pub(crate) fn bytes(seconds: u64) -> [u8; 25] {
    let mut text = *b"0000-00-00T00:00:00+00:00";
    let (days, second) = (seconds / 86_400, (seconds % 86_400) as u32);
    let (year, month, day) = date(days as u32);
    pair(&mut text, 0, year / 100);
    pair(&mut text, 2, year % 100);
    pair(&mut text, 5, month);
    pair(&mut text, 8, day);
    pair(&mut text, 11, second / 3600);
    pair(&mut text, 14, second / 60 % 60);
    pair(&mut text, 17, second % 60);
    text
}

fn pair(text: &mut [u8; 25], at: usize, number: u32) {
    text[at] = b'0' + (number / 10) as u8;
    text[at + 1] = b'0' + (number % 10) as u8;
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar.
fn date(days: u32) -> (u32, u32, u32) {
    // Eras of 400 years that start on a 1st of March, so that the leap day ends the year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u32::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00+00:00"),
            (951_782_399, "2000-02-28T23:59:59+00:00"),
            (951_782_400, "2000-02-29T00:00:00+00:00"),
            (YEAR_2000, "2000-01-01T00:00:00+00:00"),
            (updated_at(0), "2024-01-01T00:00:00+00:00"),
            (4_107_542_399, "2100-02-28T23:59:59+00:00"),
            (4_107_542_400, "2100-03-01T00:00:00+00:00"),
            (updated_at(u64::MAX), "9999-12-31T23:59:59+00:00"),
        ] {
            assert_eq!(text(seconds), expected);
        }
    }
}
