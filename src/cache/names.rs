//! From the names of streams and members to those of tables and columns.
//!
//! Data names things, and may name two of them alike, or like one of ours. A name is in lower case;
//! what is neither a letter nor a digit, of any script, is `_`; it does not begin with a digit; it has
//! 63 bytes at most, which is PostgreSQL's measure. What is taken gets a suffix from a digest of the
//! original name. Names that were given are kept in the cache, so none ever changes.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

/// Bytes of a name: PostgreSQL cuts longer ones, and two cut ones may be equal.
pub const MAX_NAME_BYTES: usize = 63;

/// Names that begin so are ours, Airbyte's or SQLite's.
const RESERVED: [&str; 3] = ["_lockgate_", "_airbyte_", "sqlite_"];

/// Hexadecimal digits of the digest in a suffix.
const DIGITS: usize = 8;

/// The name that a text becomes, by itself.
#[must_use]
pub fn identifier(original: &str) -> String {
    let mut name = String::with_capacity(original.len().min(MAX_NAME_BYTES) + 8);
    for c in original.chars().flat_map(char::to_lowercase) {
        if name.len() > MAX_NAME_BYTES {
            break;
        }
        name.push(if c.is_alphanumeric() { c } else { '_' });
    }
    if name.is_empty() || name.starts_with(|c: char| c.is_numeric()) {
        name.insert(0, '_');
    }
    if RESERVED.iter().any(|reserved| name.starts_with(reserved)) {
        name = format!("data_{}", name.trim_start_matches('_'));
    }
    cut(&mut name, MAX_NAME_BYTES);
    name
}

/// The name that a text gets where some are taken; `distinct` is what tells it from others that
/// become the same name.
#[must_use]
pub(super) fn free(original: &str, distinct: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let plain = identifier(original);
    if !is_taken(&plain) {
        return plain;
    }
    let mut attempt = 0_u64;
    loop {
        let mut digest = Sha256::new();
        digest.update(distinct.as_bytes());
        if attempt > 0 {
            digest.update(attempt.to_le_bytes());
        }
        let suffix = hex::encode(digest.finalize());
        let mut name = plain.clone();
        cut(&mut name, MAX_NAME_BYTES - DIGITS - 1);
        name.push('_');
        name.push_str(suffix.get(..DIGITS).unwrap_or_default());
        if !is_taken(&name) {
            return name;
        }
        attempt += 1;
    }
}

/// The names of a table's columns, as they are given.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// Where these are taken.
    pub(super) fn taken(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Gives a member its column.
    pub(super) fn give(&mut self, member: &str) -> String {
        let name = free(member, member, |name| self.0.contains(name));
        self.0.insert(name.clone());
        name
    }
}

/// At most so many bytes, on a whole character.
fn cut(name: &mut String, bytes: usize) {
    name.truncate(name.floor_char_boundary(bytes));
}

/// As it is written in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Words that many databases keep for themselves and data likes for names.
const KEYWORDS: [&str; 40] = [
    "all",
    "and",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "check",
    "column",
    "constraint",
    "create",
    "default",
    "delete",
    "desc",
    "distinct",
    "else",
    "end",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "index",
    "insert",
    "is",
    "join",
    "limit",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "select",
    "table",
    "to",
    "union",
    "user",
    "values",
    "where",
];

/// As it is written in a query by hand: in quotes where it would not be read as a name otherwise.
pub(super) fn as_written(name: &str) -> String {
    let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_plain && !KEYWORDS.contains(&name) { name.to_owned() } else { quoted(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_plain() {
        for (original, name) in [
            ("users", "users"),
            ("CamelCase", "camelcase"),
            ("with-dash.dot space", "with_dash_dot_space"),
            ("1st", "_1st"),
            ("", "_"),
            ("---", "___"),
            ("Größe", "größe"),
            ("名前", "名前"),
            ("select", "select"),
            ("_airbyte_raw_id", "data_airbyte_raw_id"),
            ("_Lockgate_Row", "data_lockgate_row"),
            ("sqlite_master", "data_sqlite_master"),
            ("a\"b\0c", "a_b_c"),
        ] {
            assert_eq!(identifier(original), name, "{original:?}");
        }
    }

    #[test]
    fn collisions_get_a_suffix_of_the_original() {
        let mut names = Names::default();
        assert_eq!(names.give("a b"), "a_b");
        let second = names.give("a-b");
        assert!(second.starts_with("a_b_") && second.len() == 12, "{second}");
        assert_ne!(names.give("a.b"), second);
        // Whoever has the name that a suffix makes does not lose it.
        assert_ne!(names.give(&second), second);
        let long = "x".repeat(100);
        assert_eq!(names.give(&long).len(), MAX_NAME_BYTES);
        assert_eq!(names.give(&format!("{long}y")).len(), MAX_NAME_BYTES);
    }

    proptest! {
        #[test]
        fn any_names_have_distinct_columns(members in prop::collection::hash_set(".{0,80}", 0..40)) {
            let mut names = Names::default();
            let given: Vec<String> = members.iter().map(|m| names.give(m)).collect();
            let distinct: HashSet<&String> = given.iter().collect();
            prop_assert_eq!(distinct.len(), members.len());
            for name in &given {
                prop_assert!(!name.is_empty() && name.len() <= MAX_NAME_BYTES);
                prop_assert!(name.chars().all(|c| c.is_alphanumeric() || c == '_'));
                prop_assert!(!RESERVED.iter().any(|r| name.starts_with(r)), "{}", name);
                prop_assert!(!name.starts_with(|c: char| c.is_numeric()));
            }
        }
    }
}
