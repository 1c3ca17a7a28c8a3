//! A line of Airbyte's protocol.

use std::borrow::Cow;

use lockgate::protocol::{Message, looks_like_record};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The same line as a parser reads it that knows no short cuts.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    record: Record<'a>,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow, default)]
    emitted_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    meta: Option<&'a RawValue>,
}

/// A record that is read is one that the plain parser reads too, with the same members.
pub(crate) fn run(bytes: &[u8]) {
    let _ = looks_like_record(bytes);
    let Ok(message) = Message::decode(bytes) else { return };
    assert!(serde_json::from_slice::<&RawValue>(bytes).is_ok(), "it is not JSON");
    let Message::Record(record) = message else { return };
    let plain: Line<'_> = serde_json::from_slice(bytes).expect("the plain parser refuses it");
    assert_eq!(plain.kind, "RECORD");
    assert_eq!(plain.record.stream, record.stream);
    assert_eq!(plain.record.namespace, record.namespace);
    assert_eq!(plain.record.data.get(), record.data);
    assert!(record.data.starts_with('{'));
    assert_eq!(plain.record.meta.map(RawValue::get), record.meta);
    if let Some(at) = plain.record.emitted_at.and_then(|at| at.get().parse::<i64>().ok()) {
        assert_eq!(record.emitted_at, Some(at));
    }
}
