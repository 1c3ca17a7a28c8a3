//! Whether two rows, and two values, say the same: not byte by byte, because a system has types of
//! its own, and not by their text alone, because `1.0` and `1` are one number.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::value::RawValue;

use crate::cache::{decimal, instant};

/// A row by its members, each as the text that it came in.
pub(super) type Row = BTreeMap<String, Box<RawValue>>;

/// A text that rows share that say the same, whatever the order of their members. Numbers by their
/// value; columns in `ignored` left out.
pub(super) fn canonical(row: &str, ignored: &[String]) -> Result<String, String> {
    let row: Row = serde_json::from_str(row).map_err(|_| "it is not a JSON object".to_owned())?;
    let mut out = String::new();
    for (name, value) in row {
        if !ignored.contains(&name) {
            out.push_str(&format!("{name:?}:"));
            canonical_value(value.get(), &mut out, 0);
            out.push(',');
        }
    }
    Ok(out)
}

/// Levels of a value that are looked into; deeper, its text counts.
const DEPTH: usize = 64;

fn canonical_value(text: &str, out: &mut String, depth: usize) {
    let text = text.trim();
    match text.as_bytes().first() {
        Some(b'{') if depth < DEPTH => match serde_json::from_str::<Row>(text) {
            Ok(members) => {
                out.push('{');
                for (name, value) in members {
                    out.push_str(&format!("{name:?}:"));
                    canonical_value(value.get(), out, depth + 1);
                    out.push(',');
                }
                out.push('}');
            }
            Err(_) => out.push_str(text),
        },
        Some(b'[') if depth < DEPTH => match serde_json::from_str::<Vec<Box<RawValue>>>(text) {
            Ok(items) => {
                out.push('[');
                for item in items {
                    canonical_value(item.get(), out, depth + 1);
                    out.push(',');
                }
                out.push(']');
            }
            Err(_) => out.push_str(text),
        },
        Some(b'"') => match serde_json::from_str::<String>(text) {
            Ok(plain) => out.push_str(&format!("{plain:?}")),
            Err(_) => out.push_str(text),
        },
        Some(b'-' | b'0'..=b'9') => match decimal(text) {
            Some(number) => out.push_str(&number),
            None => out.push_str(text),
        },
        _ => out.push_str(text),
    }
}

fn same_json(a: &str, b: &str) -> bool {
    let both = [a, b].map(|text| {
        let mut out = String::new();
        canonical_value(text, &mut out, 0);
        out
    });
    both[0] == both[1]
}

/// Whether what was found is what was written, as a system may keep it: a number in another form or
/// as text, a time in another zone or form, a boolean as 0 or 1, JSON as text; null where there is no
/// column.
pub(super) fn same(written: Option<&str>, found: Option<&str>) -> bool {
    let null = |text: &&str| *text != "null";
    let (Some(written), Some(found)) = (written.filter(null), found.filter(null)) else {
        return written.filter(null).is_none() && found.filter(null).is_none();
    };
    if same_json(written, found) {
        return true;
    }
    let text = |json: &str| serde_json::from_str::<String>(json).ok();
    match (text(written), text(found)) {
        // A value of another kind, kept as text: its JSON.
        (None, Some(found)) => {
            let boolean =
                matches!((written, found.as_str()), ("true", "t" | "1") | ("false", "f" | "0"));
            boolean || same_json(written, &found) || same_double(written, &found)
        }
        (Some(a), Some(b)) => same_time(&a, &b) || same_json(written, &b),
        (None, None) => {
            matches!((written, found), ("true", "1") | ("false", "0"))
                || same_double(written, found)
        }
        (Some(_), None) => false,
    }
}

/// Whether both are times, and one moment.
fn same_time(a: &str, b: &str) -> bool {
    if let (Some(a), Some(b)) = (instant(a), instant(b)) {
        return a == b;
    }
    // A time of day.
    let day = |text: &str| instant(&format!("1970-01-01T{text}"));
    match (day(a), day(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// Whether the number that was found is the double next to the one that was written.
fn same_double(written: &str, found: &str) -> bool {
    let double = |text: &str| text.parse::<f64>().ok().filter(|d| d.is_finite());
    // Whole numbers have a type of their own, and no digit to lose.
    written.contains(['.', 'e', 'E'])
        && double(written).is_some()
        && double(written).map(f64::to_bits) == double(found).map(f64::to_bits)
}

/// A name without letter case and punctuation.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// How much of a name systems keep at least; PostgreSQL keeps 63 bytes.
const KEPT: usize = 50;

/// The value of a column, found by its name: exactly, then without case and punctuation, then by its
/// beginning where it is long.
pub(super) fn column<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    if let Some(value) = row.get(name) {
        return Some(value.get());
    }
    let wanted = plain(name);
    let only = |matches: &dyn Fn(&str) -> bool| {
        let mut found = row.iter().filter(|(column, _)| matches(&plain(column)));
        found.next().filter(|_| found.next().is_none()).map(|(_, value)| value.get())
    };
    if let Some(value) = only(&|column| column == wanted) {
        return Some(value);
    }
    let mut cut = cut_columns(row, &wanted);
    cut.next().filter(|_| cut.next().is_none())
}

/// The values of the columns that begin as a long name does, given plain. A system that cuts names tells
/// them apart by an ending of its own, and which is whose is not known.
fn cut_columns<'a>(row: &'a Row, wanted: &str) -> impl Iterator<Item = &'a str> {
    let start: String = wanted.chars().take(KEPT).collect();
    let is_cut = move |column: &str| start.len() >= KEPT && plain(column).starts_with(&start);
    row.iter().filter(move |(column, _)| is_cut(column)).map(|(_, value)| value.get())
}

/// Whether a value is where its column should be.
fn is_there(written: &str, found: &Row, name: &str) -> bool {
    let is_it = |there| same(Some(written), there);
    is_it(column(found, name))
        || (!found.contains_key(name) && cut_columns(found, &plain(name)).any(|v| is_it(Some(v))))
}

/// How often each row of a stream is there, by what it says.
pub(super) fn tally<'a>(
    rows: impl Iterator<Item = &'a str>,
    ignored: &[String],
) -> HashMap<u64, i64> {
    let mut tally = HashMap::new();
    for row in rows {
        let mut hasher = DefaultHasher::new();
        match canonical(row, ignored) {
            Ok(text) => text.hash(&mut hasher),
            // What is no JSON broke a rule before.
            Err(_) => row.hash(&mut hasher),
        }
        *tally.entry(hasher.finish()).or_insert(0) += 1;
    }
    tally
}

/// How many rows of `these` are not in `those`.
pub(super) fn missing(these: &HashMap<u64, i64>, those: &HashMap<u64, i64>) -> i64 {
    these.iter().map(|(row, times)| (times - those.get(row).copied().unwrap_or(0)).max(0)).sum()
}

/// A row as it was written.
fn parsed(row: &str) -> Row {
    serde_json::from_str(row).unwrap_or_default()
}

/// How a value is shown: our own, so no secret, but it may be long.
fn shown(value: Option<&str>) -> String {
    let value = value.unwrap_or("nothing");
    let short: String = value.chars().take(60).collect();
    if short.len() < value.len() { format!("{short}...") } else { short }
}

/// The column in which a row differs from what should be there. `columns` are those of all rows: where
/// the row has no value, there must be none.
fn differing(written: &Row, found: &Row, columns: &BTreeSet<String>) -> Option<String> {
    let told = |name: &str, value: Option<&str>, there: Option<&str>| {
        let name: String = name.chars().take(40).collect();
        format!("column {name}: wrote {}, found {}", shown(value), shown(there))
    };
    let lost = written.iter().find(|(name, value)| !is_there(value.get(), found, name));
    if let Some((name, value)) = lost {
        return Some(told(name, Some(value.get()), column(found, name)));
    }
    let unasked = columns.iter().filter(|name| !written.contains_key(*name));
    let mut unasked = unasked.filter_map(|name| found.get(name).map(|value| (name, value.get())));
    let (name, there) = unasked.find(|(_, value)| !same(None, Some(*value)))?;
    Some(told(name, None, Some(there)))
}

/// How the rows of a stream differ from those that should be there.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// Crashes in place of rows.
    crashes: Vec<String>,
    /// Rows that are missing, or others than they should be.
    lost: Vec<String>,
    /// Rows that are there besides.
    more: Vec<String>,
}

impl Differences {
    /// All of them.
    pub(super) fn all(self) -> Vec<String> {
        [self.crashes, self.lost, self.more].concat()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.crashes.is_empty() && self.lost.is_empty() && self.more.is_empty()
    }

    /// Whether rows are all that differs.
    pub(super) fn of_rows(&self) -> bool {
        self.crashes.is_empty() && !self.is_empty()
    }

    /// Without rows that are there besides.
    pub(super) fn without_more(self) -> Self {
        Self { more: Vec::new(), ..self }
    }

    /// These, and those of another stream.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.crashes.extend(other.crashes);
        self.lost.extend(other.lost);
        self.more.extend(other.more);
        self
    }

    /// What a crash left, where there was one.
    pub(super) fn crash(crash: Option<String>) -> Self {
        Self { crashes: crash.into_iter().collect(), ..Self::default() }
    }

    /// What differs, in any order of rows.
    pub(super) fn between(name: &str, rows: &[String], found: &[Row]) -> Self {
        let mut differs = Self::default();
        let key = |row: &Row| {
            let id = column(row, "id").unwrap_or("null").trim_matches('"').to_owned();
            decimal(&id).unwrap_or(id)
        };
        let mut left: HashMap<String, Vec<&Row>> = HashMap::new();
        for row in found {
            left.entry(key(row)).or_default().push(row);
        }
        let rows: Vec<Row> = rows.iter().map(|row| parsed(row)).collect();
        let columns: BTreeSet<String> = rows.iter().flat_map(|row| row.keys().cloned()).collect();
        for row in &rows {
            let alike = left.get_mut(&key(row));
            let id = column(row, "id").map_or_else(String::new, |id| format!(" {id}"));
            match alike {
                Some(alike) if !alike.is_empty() => {
                    let place =
                        alike.iter().position(|found| differing(row, found, &columns).is_none());
                    let other = alike.swap_remove(place.unwrap_or(0));
                    if place.is_none()
                        && let Some(what) = differing(row, other, &columns)
                    {
                        differs.lost.push(format!("{name}: row{id}: {what}"));
                    }
                }
                _ => differs.lost.push(format!("{name}: row{id} is not there")),
            }
        }
        let more: usize = left.values().map(Vec::len).sum();
        if more > 0 {
            differs.more.push(format!("{name}: {more} rows are there that should not be"));
        }
        differs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_as_a_system_may_keep_them() {
        for (written, found) in [
            ("1", "1.0"),
            ("1e2", "100"),
            ("12.5", r#""12.5""#),
            ("true", "1"),
            ("false", r#""f""#),
            (r#"{"a":[1,{"b":null}]}"#, r#"{"a": [1.0, {"b": null}]}"#),
            (r#"{"a":1}"#, r#""{\"a\": 1}""#),
            (r#""2024-02-29T12:34:56Z""#, r#""2024-02-29 13:34:56+01""#),
            (r#""12:34:56""#, r#""12:34:56.000000""#),
            (r#""\u00e9""#, r#""é""#),
            ("3.141592653589793238462643383279", "3.141592653589793"),
            ("3.141592653589793238462643383279", r#""3.141592653589793""#),
            (r#"{"a":"b"}"#, r#"{ "a" : "b" }"#),
        ] {
            assert!(same(Some(written), Some(found)), "{written} {found}");
        }
        assert!(same(None, Some("null")) && same(Some("null"), None));
    }

    #[test]
    fn what_differs_differs() {
        for (written, found) in [
            ("1", "2"),
            ("9999999999999999", "10000000000000000"),
            ("9223372036854775807", "9223372036854775806"),
            (r#""""#, "null"),
            ("0", "null"),
            (r#""1""#, "1"),
            (r#""abc""#, r#""ab""#),
            (r#""2024-02-29T12:34:56Z""#, r#""2024-02-29T12:34:57Z""#),
            ("[1,2]", "[2,1]"),
        ] {
            assert!(!same(Some(written), Some(found)), "{written} {found}");
        }
        assert!(!same(Some("1"), None));
    }

    #[test]
    fn rows_are_equal_whatever_the_order_of_their_members() {
        let canon = |row| canonical(row, &["at".to_owned()]).unwrap();
        assert_eq!(canon(r#"{"b":1.0,"a":"é","at":1}"#), canon(r#"{"a":"\u00e9","b":1}"#));
        assert_ne!(canon(r#"{"a":1}"#), canon(r#"{"a":"1"}"#));
        assert!(canonical("[]", &[]).is_err());
    }

    #[test]
    fn columns_are_found_by_what_a_system_makes_of_their_names() {
        let long = "a".repeat(110);
        let row: Row = serde_json::from_str(&format!(
            r#"{{"with_dash":1,"camelcase":2,"{}":3}}"#,
            &long[..63]
        ))
        .unwrap();
        assert_eq!(column(&row, "with-dash"), Some("1"));
        assert_eq!(column(&row, "CamelCase"), Some("2"));
        assert_eq!(column(&row, &long), Some("3"));
        assert_eq!(column(&row, "with"), None);
        // Two that were cut to the same beginning.
        let (start, long) = ("x".repeat(60), "x".repeat(100));
        let found = parsed(&format!(r#"{{"{start}_a":1,"{start}_b":2}}"#));
        let written = |value: u8| parsed(&format!(r#"{{"{long}first":{value}}}"#));
        let none = BTreeSet::new();
        assert_eq!(differing(&written(2), &found, &none), None);
        assert!(differing(&written(3), &found, &none).is_some());
    }

    #[test]
    fn rows_are_matched_in_any_order_and_the_first_difference_is_named() {
        let rows =
            (0..3).map(|id| format!(r#"{{"id":{id},"text":"x {id}"}}"#)).collect::<Vec<String>>();
        let found: Vec<Row> = rows.iter().rev().map(|row| parsed(row)).collect();
        let differences =
            |rows: &[String], found: &[Row]| Differences::between("s", rows, found).all();
        assert!(differences(&rows, &found).is_empty());
        let twice = [found.clone(), found.clone()].concat();
        assert_eq!(differences(&rows, &twice), ["s: 3 rows are there that should not be"]);
        assert_eq!(differences(&rows, &found[1..]), ["s: row 2 is not there"]);
        let other = vec![parsed(r#"{"id":0.0,"text":"y"}"#)];
        assert_eq!(
            differences(&rows[..1], &other),
            [r#"s: row 0: column text: wrote "x 0", found "y""#]
        );
        // What another row has is not there in this one.
        let sparse = [r#"{"id":1,"a":5}"#.to_owned(), r#"{"id":2}"#.to_owned()];
        let carried = [r#"{"id":1,"a":5}"#, r#"{"id":2,"a":5,"_own":1}"#].map(parsed);
        assert_eq!(differences(&sparse, &carried), ["s: row 2: column a: wrote nothing, found 5"]);
    }
}
