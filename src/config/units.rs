//! Sizes and durations as people write them.

use std::time::Duration;

use super::ConfigError;

/// Splits a text into its number and its unit.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    number.is_finite().then_some((number, unit.trim()))
}

/// Bytes: `1000`, `64KiB`, `256MiB`, `1.5GiB`, `10MB`.
///
/// # Errors
/// [`ConfigError::Unit`].
pub fn parse_size(field: &'static str, text: &str) -> Result<usize, ConfigError> {
    let wrong = || ConfigError::Unit { field, text: text.to_owned(), wanted: "size" };
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let factor: f64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let bytes = number * factor;
    if !(1.0..9e15).contains(&bytes) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in range")]
    Ok(bytes as usize)
}

/// A duration: `500ms`, `90s`, `90`, `5m`, `2h`, `1d`.
///
/// # Errors
/// [`ConfigError::Unit`].
pub fn parse_duration(field: &'static str, text: &str) -> Result<Duration, ConfigError> {
    let wrong = || ConfigError::Unit { field, text: text.to_owned(), wanted: "duration" };
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let seconds = number
        * match unit {
            "ms" => 0.001,
            "" | "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(wrong()),
        };
    if !(0.001..1e9).contains(&seconds) {
        return Err(wrong());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units() {
        assert_eq!(parse_size("x", "256MiB").unwrap(), 256 << 20);
        assert_eq!(parse_size("x", "1.5 GiB").unwrap(), 3 << 29);
        assert_eq!(parse_size("x", "1000").unwrap(), 1000);
        assert_eq!(parse_duration("x", "90s").unwrap(), Duration::from_secs(90));
        assert_eq!(parse_duration("x", "500ms").unwrap(), Duration::from_millis(500));
        for bad in ["", "x", "-1", "0", "1TB5", "1e9", "99999999999999999999GiB"] {
            assert!(parse_size("x", bad).is_err(), "{bad}");
        }
        for bad in ["", "0s", "s", "1y", "-5s"] {
            assert!(parse_duration("x", bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_unit_or_an_error(text in ".{0,20}") {
            let _ = parse_size("x", &text);
            let _ = parse_duration("x", &text);
        }
    }
}
