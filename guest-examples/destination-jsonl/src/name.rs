//! The name of a stream's file: its [stem](json_rows::name) and an ending.

use json_rows::name::stem;
use lockgate_sdk::StreamDescriptor;

/// Filesystems take 255 bytes, and a partial file's name is 30 longer than the file's.
const LONGEST: usize = 255 - 30 - SUFFIX.len();

const SUFFIX: &str = ".jsonl";

/// The name of a stream's file.
pub(crate) fn file_name(stream: &StreamDescriptor) -> String {
    stem(stream.namespace.as_deref(), &stream.name, LONGEST) + SUFFIX
}

/// The name of the file that holds a generation's rows until they are all there.
pub(crate) fn partial_name(file: &str, generation: u64) -> String {
    format!(".{file}.partial-{generation}")
}

/// The file and the generation of a partial file.
pub(crate) fn parse_partial(name: &str) -> Option<(&str, u64)> {
    let (file, generation) = name.strip_prefix('.')?.rsplit_once(".partial-")?;
    Some((file, generation.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(namespace: Option<&str>, name: &str) -> String {
        file_name(&StreamDescriptor {
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
        })
    }

    #[test]
    fn usual_names_stay_as_they_are() {
        assert_eq!(named(None, "orders"), "orders.jsonl");
        assert_eq!(named(None, "order_items-2"), "order_items-2.jsonl");
        assert_eq!(named(Some("shop"), "orders"), "shop.orders.jsonl");
    }

    #[test]
    fn odd_names_become_plain_ones() {
        let cases = [
            (None, "", "%.jsonl"),
            (Some(""), "a", "%.a.jsonl"),
            (None, "a.b", "a%2eb.jsonl"),
            (None, "../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd.jsonl"),
            (None, ".", "%2e.jsonl"),
            (None, "a\0b\n", "a%00b%0a.jsonl"),
            (None, "größe", "gr%c3%b6%c3%9fe.jsonl"),
            (None, "Users", "Users~01.jsonl"),
            (None, "USERS", "USERS~1f.jsonl"),
            (Some("PUBLIC"), "Orders", "PUBLIC.Orders~bf.jsonl"),
            (None, "con", "%63on.jsonl"),
            (None, "Com1", "%43om1.jsonl"),
            (Some("nul"), "a", "%6eul.a.jsonl"),
            (None, "com10", "com10.jsonl"),
            (None, "a~b", "a%7eb.jsonl"),
            (None, "a%62", "a%2562.jsonl"),
        ];
        for (namespace, name, file) in cases {
            assert_eq!(named(namespace, name), file);
        }
    }

    #[test]
    fn long_names_keep_their_start() {
        let longest = "a".repeat(LONGEST);
        assert_eq!(named(None, &longest), format!("{longest}.jsonl"));
        let file = named(None, &format!("{longest}a"));
        assert!(file.starts_with(&"a".repeat(100)), "{file}");
        // The hash is that of this very text, everywhere and for ever.
        assert!(file.ends_with("3e90c19652df9b8d.jsonl"), "{file}");
        assert_eq!(file.len(), 100 + 2 + 64 + SUFFIX.len());
    }

    /// Names that are likely to collide: few characters, those with a meaning among them.
    fn part() -> impl Strategy<Value = String> {
        prop_oneof![
            "[aA.%~]{0,4}",
            "[a-zA-Z0-9_.%~/ -]{0,12}",
            "(?i)(con|prn|aux|nul|com|lpt)[0-9]?",
            "[aA]{210,240}",
            any::<String>(),
            "\\PC{60,120}",
        ]
    }

    fn descriptor() -> impl Strategy<Value = StreamDescriptor> {
        (proptest::option::of(part()), part())
            .prop_map(|(namespace, name)| StreamDescriptor { name, namespace })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn no_two_streams_share_a_file(a in descriptor(), b in descriptor()) {
            let (file_a, file_b) = (file_name(&a), file_name(&b));
            // Not even where case does not count.
            let same = file_a.eq_ignore_ascii_case(&file_b);
            prop_assert_eq!(same, a == b, "{} {}", file_a, file_b);
        }

        #[test]
        fn neighbours_do_not_share_a_file(a in descriptor(), at in any::<prop::sample::Index>()) {
            // The same text, divided or capitalised otherwise.
            let text = a.to_string();
            let mut others = vec![StreamDescriptor::new(text.clone())];
            let cuts: Vec<_> = text.char_indices().map(|(place, _)| place).collect();
            if !cuts.is_empty() {
                let (start, end) = text.split_at(cuts[at.index(cuts.len())]);
                others.push(StreamDescriptor::in_namespace(start, end));
            }
            others.push(StreamDescriptor { name: a.name.to_uppercase(), ..a.clone() });
            others.push(StreamDescriptor { name: a.name.to_lowercase(), ..a.clone() });
            for b in others {
                let same = file_name(&a).eq_ignore_ascii_case(&file_name(&b));
                prop_assert_eq!(same, a == b, "{:?} {:?}", a, b);
            }
        }

        #[test]
        fn every_name_is_plain(stream in descriptor(), generation in any::<u64>()) {
            let file = file_name(&stream);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.%~".contains(&byte);
            prop_assert!(file.bytes().all(plain), "{file}");
            prop_assert!(!file.starts_with('.'), "{file}");
            prop_assert!(file.ends_with(SUFFIX), "{file}");
            let before_dot = file.split('.').next().unwrap_or_default().to_ascii_lowercase();
            prop_assert!(!["con", "prn", "aux", "nul", "com1", "lpt1"].contains(&&*before_dot), "{file}");
            let partial = partial_name(&file, generation);
            prop_assert!(partial.len() <= 255, "{partial}");
            prop_assert_eq!(parse_partial(&partial), Some((&*file, generation)));
        }
    }
}
