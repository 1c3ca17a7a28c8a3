//! Messages as the plugin writes them, and as nobody should.

use proptest::prelude::*;

use super::*;

/// Parts of a message, one after the other.
pub(in crate::replication) fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A row: none for NULL, and a text otherwise.
pub(in crate::replication) fn row(values: &[Option<&str>]) -> Vec<u8> {
    let mut bytes = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        match value {
            None => bytes.push(b'n'),
            Some("\0unchanged") => bytes.push(b'u'),
            Some(text) => {
                bytes.push(b't');
                bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                bytes.extend(text.as_bytes());
            }
        }
    }
    bytes
}

fn relation_message() -> Vec<u8> {
    joined(&[
        b"R\x00\x00\x00\x07public\0items\0d\x00\x02",
        b"\x01id\0\x00\x00\x00\x17\xff\xff\xff\xff",
        b"\x00text\0\x00\x00\x00\x19\xff\xff\xff\xff",
    ])
}

/// One of each kind.
fn messages() -> Vec<Vec<u8>> {
    let new = row(&[Some("1"), Some("a")]);
    let key = row(&[Some("2"), None]);
    vec![
        joined(&[b"B", &9_u64.to_be_bytes(), &5_i64.to_be_bytes(), &3_u32.to_be_bytes()]),
        joined(&[b"C\0", &9_u64.to_be_bytes(), &12_u64.to_be_bytes(), &5_i64.to_be_bytes()]),
        relation_message(),
        joined(&[b"I\0\0\0\x07N", &new]),
        joined(&[b"U\0\0\0\x07N", &new]),
        joined(&[b"U\0\0\0\x07K", &key, b"N", &new]),
        joined(&[b"U\0\0\0\x07O", &new, b"N", &row(&[Some("1"), Some("\0unchanged")])]),
        joined(&[b"D\0\0\0\x07K", &key]),
        joined(&[b"D\0\0\0\x07O", &new]),
        b"T\0\0\0\x02\0\0\0\0\x07\0\0\0\x08".to_vec(),
        b"O\0\0\0\0\0\0\0\x01there\0".to_vec(),
        b"Y\0\0\0\x07public\0mood\0".to_vec(),
        b"M\0\0\0\0\0\0\0\0\x01prefix\0\0\0\0\x02hi".to_vec(),
    ]
}

fn texts<'a>(row: &Tuple<'a>) -> Vec<Value<'a>> {
    row.values().collect()
}

#[test]
fn messages_are_read() {
    let all = messages();
    let read: Vec<_> = all.iter().map(|bytes| parse(bytes).unwrap()).collect();
    assert_eq!(read[0], Message::Begin(Begin { commit: 9, time: 5 }));
    assert_eq!(read[1], Message::Commit { end: 12 });
    let Message::Relation(relation) = read[2] else { panic!("{:?}", read[2]) };
    assert_eq!(relation.id, 7);
    assert_eq!(
        relation.columns().collect::<Vec<_>>(),
        [
            Column { is_key: true, name: b"id", type_oid: 23 },
            Column { is_key: false, name: b"text", type_oid: 25 },
        ]
    );
    let Message::Insert { relation: 7, new } = read[3] else { panic!("{:?}", read[3]) };
    assert_eq!(texts(&new), [Value::Text(b"1"), Value::Text(b"a")]);
    assert_eq!(new.len(), 2);
    assert!(matches!(read[4], Message::Update { relation: 7, old: None, .. }));
    let Message::Update { old: Some(old), .. } = read[5] else { panic!("{:?}", read[5]) };
    assert!(!old.is_whole);
    assert_eq!(texts(&old.row), [Value::Text(b"2"), Value::Null]);
    let Message::Update { old: Some(old), new, .. } = read[6] else { panic!("{:?}", read[6]) };
    assert!(old.is_whole);
    assert_eq!(texts(&new), [Value::Text(b"1"), Value::Unchanged]);
    assert!(matches!(read[7], Message::Delete { old: Old { is_whole: false, .. }, .. }));
    assert!(matches!(read[8], Message::Delete { old: Old { is_whole: true, .. }, .. }));
    let Message::Truncate(relations) = read[9] else { panic!("{:?}", read[9]) };
    assert_eq!(relations.numbers().collect::<Vec<_>>(), [7, 8]);
    assert!(read[10..].iter().all(|message| *message == Message::Other));
}

#[test]
fn a_message_that_is_cut_or_goes_on_is_refused() {
    for bytes in messages() {
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), Err(Malformed), "{bytes:?} to {end}");
        }
        assert_eq!(parse(&joined(&[&bytes, b"x"])), Err(Malformed), "{bytes:?}");
    }
}

#[test]
fn what_was_not_asked_for_is_refused() {
    for bytes in [
        &b""[..],
        // Streams of transactions that are not over, two-phase commits.
        b"S\0\0\0\x01\x01",
        b"b\0\0\0\x01",
        // A value in binary.
        b"I\0\0\0\x07N\0\x01b\0\0\0\x01x",
        // Announced and not there.
        b"I\0\0\0\x07N\xff\xffn",
        b"I\0\0\0\x07N\0\x01t\xff\xff\xff\xffx",
        b"T\xff\xff\xff\xff\0\0\0\0\x07",
        b"R\0\0\0\x07public\0items\0d\xff\xff",
        b"R\0\0\0\x07public\0items",
        b"D\0\0\0\x07N\0\0",
        b"U\0\0\0\x07K\0\0K\0\0",
        b"I\0\0\0\x07K\0\0",
        b"M\0\0\0\0\0\0\0\0\x01prefix\0\xff\xff\xff\xffhi",
    ] {
        assert_eq!(parse(bytes), Err(Malformed), "{bytes:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_bytes_come_nothing_breaks(
        tag in prop::sample::select(b"BCRIUDTOYMx".to_vec()),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = joined(&[&[tag], &rest]);
        looked_at(&bytes);
    }

    #[test]
    fn a_message_with_other_bytes_in_it_breaks_nothing(
        which in 0..13_usize,
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = messages().swap_remove(which);
        for (place, byte) in places {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        looked_at(&bytes);
    }

    #[test]
    fn rows_come_back(values in prop::collection::vec(prop::option::of("[a-z\u{e9}]{0,20}"), 0..20)) {
        let values: Vec<_> = values.iter().map(Option::as_deref).collect();
        let bytes = joined(&[b"I\0\0\0\x01N", &row(&values)]);
        let Ok(Message::Insert { new, .. }) = parse(&bytes) else { panic!("{bytes:?}") };
        let expected: Vec<_> = (values.iter())
            .map(|value| value.map_or(Value::Null, |text| Value::Text(text.as_bytes())))
            .collect();
        prop_assert_eq!(texts(&new), expected);
    }
}

/// Looks at all there is of a message: each part is within it, and there are as many as announced.
fn looked_at(bytes: &[u8]) {
    let within = |part: &[u8]| part.is_empty() || bytes.as_ptr_range().contains(&part.as_ptr());
    let whole = |row: &Tuple<'_>| {
        assert_eq!(row.values().count(), row.len());
        assert!(row.values().all(|value| !matches!(value, Value::Text(text) if !within(text))));
    };
    match parse(bytes) {
        Ok(Message::Relation(relation)) => {
            assert_eq!(relation.columns().count(), usize::from(relation.count));
            assert!(relation.columns().all(|column| within(column.name)));
        }
        Ok(Message::Insert { new, .. } | Message::Update { new, old: None, .. }) => whole(&new),
        Ok(Message::Update { new, old: Some(old), .. }) => {
            whole(&new);
            whole(&old.row);
        }
        Ok(Message::Delete { old, .. }) => whole(&old.row),
        Ok(Message::Truncate(relations)) => assert!(relations.numbers().count() <= bytes.len()),
        Ok(Message::Begin(_) | Message::Commit { .. } | Message::Other) | Err(Malformed) => {}
    }
}
