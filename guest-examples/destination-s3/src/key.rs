//! Names of objects.
//!
//! | what | key |
//! |---|---|
//! | a stream's folder | `PREFIX/STREAM/`; the stream's name as [`json_rows::name`] writes it |
//! | its manifest | `PREFIX/STREAM/_manifest.json` |
//! | an object with rows | `PREFIX/STREAM/GENERATION-SYNC-RUN-NUMBER.ENDING` |
//!
//! A run is one attempt of a sync: when it began, and chance, so that no attempt ever writes over what
//! another one wrote.

use std::hash::{BuildHasher as _, RandomState};
use std::time::SystemTime;

use json_rows::name::stem;
use lockgate_sdk::{Failure, StreamDescriptor};

/// The manifest's name in its folder. Readers that take whole folders leave out what begins with `_`.
pub(crate) const MANIFEST: &str = "_manifest.json";

/// Bytes of a prefix: a key has 1024, of which 200 are the stream's and 100 the object's.
const LONGEST_PREFIX: usize = 700;

/// Bytes of a stream's folder.
const LONGEST_STREAM: usize = 200;

/// Endings an object of ours may have.
const ENDINGS: [&str; 5] = ["jsonl", "jsonl.gz", "csv", "csv.gz", "parquet"];

/// Refuses a prefix that a URL or a reader would take for another one.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), Failure> {
    let folder = prefix.strip_suffix('/').unwrap_or(prefix);
    let odd = |part: &str| matches!(part, "" | "." | "..") || part.chars().any(char::is_control);
    if !folder.is_empty() && folder.split('/').any(odd) {
        return Err(Failure::config(
            "`prefix` is not folders with `/` between them: it begins with no `/` and has no part that \
             is empty, `.` or `..`",
        ));
    }
    if folder.len() > LONGEST_PREFIX {
        return Err(Failure::config(format!("`prefix` is longer than {LONGEST_PREFIX} bytes")));
    }
    Ok(())
}

/// What all keys begin with: nothing, or folders and a `/`.
pub(crate) fn folder_of_prefix(prefix: &str) -> String {
    let folder = prefix.strip_suffix('/').unwrap_or(prefix);
    if folder.is_empty() { String::new() } else { format!("{folder}/") }
}

/// A stream's folder, with its `/`.
pub(crate) fn folder(prefix: &str, stream: &StreamDescriptor) -> String {
    let stem = stem(stream.namespace.as_deref(), &stream.name, LONGEST_STREAM);
    format!("{}{stem}/", folder_of_prefix(prefix))
}

/// What `check` writes and deletes. No stream's folder begins so.
pub(crate) fn probe(prefix: &str) -> String {
    format!("{}_lockgate_check_{}", folder_of_prefix(prefix), run())
}

/// A name for an attempt: sixteen hexadecimal digits, eight of them the seconds since 1970, so that a list
/// has attempts in their order where clocks are right.
pub(crate) fn run() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // Keyed at random; it tells attempts apart and guards no secret.
    let chance = RandomState::new().hash_one(0);
    format!("{:08x}{:08x}", since.as_secs() & 0xffff_ffff, chance & 0xffff_ffff)
}

/// The name of an object with rows, in its folder.
pub(crate) fn object(generation: u64, sync: u64, run: &str, number: u32, ending: &str) -> String {
    format!("{generation:010}-{sync:010}-{run}-{number:06}{ending}")
}

/// Is this the name of an object with rows, as this connector gives them?
pub(crate) fn is_object(name: &str) -> bool {
    let Some((stem, ending)) = name.split_once('.') else { return false };
    let parts: Vec<&str> = stem.split('-').collect();
    let [generation, sync, run, number] = parts[..] else { return false };
    let digits =
        |text: &str, least| text.len() >= least && text.bytes().all(|b| b.is_ascii_digit());
    digits(generation, 10)
        && digits(sync, 10)
        && run.len() == 16
        && run.bytes().all(|byte| byte.is_ascii_hexdigit())
        && digits(number, 6)
        && ENDINGS.contains(&ending)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_have_their_form() {
        let orders = StreamDescriptor::in_namespace("shop", "orders");
        assert_eq!(folder("", &orders), "shop.orders/");
        assert_eq!(folder("lake/a/", &orders), "lake/a/shop.orders/");
        assert_eq!(folder("lake", &StreamDescriptor::new("../x")), "lake/%2e%2e%2fx/");
        let name = object(3, 12, "0123456789abcdef", 1, ".parquet");
        assert_eq!(name, "0000000003-0000000012-0123456789abcdef-000001.parquet");
        for foreign in ["_manifest.json", "a.parquet", "notes.txt", "", "1-2-3-4.jsonl"] {
            assert!(!is_object(foreign), "{foreign}");
        }
        assert!(!is_object(&name.replace(".parquet", ".txt")));
    }

    #[test]
    fn prefixes_that_mean_another_place_are_refused() {
        for prefix in ["", "/", "a", "a/", "a/b", "größe/ü x", "..a"] {
            assert_eq!(check_prefix(prefix), Ok(()), "{prefix}");
        }
        for prefix in ["/a", "a//b", "..", "a/../b", "a/./b", "a\n", "a//"] {
            assert!(check_prefix(prefix).is_err(), "{prefix}");
        }
        assert!(check_prefix(&"a".repeat(701)).is_err());
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof!["[aA./%~_-]{0,4}", any::<String>(), "[aA]{150,260}"]
    }

    proptest! {
        #[test]
        fn no_two_streams_share_a_folder(
            (a, b) in (name(), name()), (c, d) in (name(), name()),
        ) {
            let one = StreamDescriptor::in_namespace(a, b);
            let other = StreamDescriptor::in_namespace(c, d);
            prop_assert_eq!(folder("p", &one) == folder("p", &other), one == other);
            // Nor is one within another, or a check's.
            let inner = folder("", &one);
            prop_assert_eq!(inner.matches('/').count(), 1);
            prop_assert!(!inner.starts_with('_') || one.namespace.as_deref().is_some_and(|n| n.starts_with('_')));
            prop_assert!(inner.len() <= LONGEST_STREAM + 1);
        }

        #[test]
        fn own_names_are_known(
            generation in any::<u64>(), sync in any::<u64>(), number in any::<u32>(),
            ending in proptest::sample::select(&ENDINGS[..]),
        ) {
            let name = object(generation, sync, &run(), number, &format!(".{ending}"));
            prop_assert!(is_object(&name), "{}", name);
        }
    }
}
