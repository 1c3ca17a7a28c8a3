//! The hot path of a stdio source: a RECORD line in the form that real connectors write, read in
//! one pass. Anything else is left to the full parser, which also words the errors: what is read
//! here is a subset of what it accepts, and means the same (a property test holds them together).
//!
//! Every byte of the line is validated: a row that is passed on is one JSON object.

/// A record's members, all as they stand in the line.
#[derive(Debug, PartialEq)]
pub(super) struct Scanned<'a> {
    pub(super) stream: &'a str,
    pub(super) namespace: Option<&'a str>,
    pub(super) data: &'a str,
    pub(super) emitted_at: Option<i64>,
    pub(super) meta: Option<&'a str>,
}

/// Nesting that fits the bits of the stack below; deeper rows take the slow path.
const DEPTH: u32 = 64;

struct Cursor<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

/// Reads a line, or leaves it to the full parser.
pub(super) fn record(text: &str) -> Option<Scanned<'_>> {
    let mut c = Cursor { text, bytes: text.as_bytes(), at: 0 };
    c.space();
    c.token(b"{")?;
    c.space();
    c.token(b"\"type\"")?;
    c.colon()?;
    c.token(b"\"RECORD\"")?;
    c.space();
    c.token(b",")?;
    c.space();
    c.token(b"\"record\"")?;
    c.colon()?;
    c.token(b"{")?;
    let (mut stream, mut data) = (None, None);
    let (mut namespace, mut emitted_at, mut meta) = (None, None, None);
    let mut seen = 0_u8;
    loop {
        c.space();
        let key = c.plain_string()?;
        c.colon()?;
        let bit = match key {
            "stream" => {
                stream = Some(c.plain_string()?);
                1
            }
            "data" => {
                data = Some(c.object()?);
                2
            }
            "emitted_at" => {
                emitted_at = Some(c.integer()?);
                4
            }
            "namespace" => {
                namespace = if c.token(b"null").is_some() { None } else { Some(c.plain_string()?) };
                8
            }
            "meta" => {
                meta = if c.token(b"null").is_some() { None } else { Some(c.object()?) };
                16
            }
            _ => return None,
        };
        // A member twice is an error, and errors are the full parser's.
        if seen & bit != 0 {
            return None;
        }
        seen |= bit;
        c.space();
        match c.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    c.space();
    c.token(b"}")?;
    c.space();
    if c.at != c.bytes.len() {
        return None;
    }
    Some(Scanned { stream: stream?, namespace, data: data?, emitted_at, meta })
}

/// Gives the members of an object, each name and value as it stands in the text, or leaves the text to
/// the full parser: then what was given so far does not count.
pub(crate) fn members<'a>(text: &'a str, mut each: impl FnMut(&'a str, &'a str)) -> Option<()> {
    let mut c = Cursor { text, bytes: text.as_bytes(), at: 0 };
    c.space();
    c.token(b"{")?;
    c.space();
    if c.token(b"}").is_none() {
        loop {
            let start = c.at;
            c.string()?;
            let name = text.get(start..c.at)?;
            c.colon()?;
            let start = c.at;
            c.value()?;
            each(name, text.get(start..c.at)?);
            c.space();
            match c.next()? {
                b',' => c.space(),
                b'}' => break,
                _ => return None,
            }
        }
    }
    c.space();
    (c.at == c.bytes.len()).then_some(())
}

impl<'a> Cursor<'a> {
    fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    #[inline]
    fn token(&mut self, token: &[u8]) -> Option<()> {
        if self.bytes.get(self.at..)?.starts_with(token) {
            self.at += token.len();
            return Some(());
        }
        None
    }

    #[inline]
    fn colon(&mut self) -> Option<()> {
        self.space();
        self.token(b":")?;
        self.space();
        Some(())
    }

    /// A string without escapes: its content.
    fn plain_string(&mut self) -> Option<&'a str> {
        let start = self.at + 1;
        self.string()?;
        let content = self.text.get(start..self.at - 1)?;
        (!content.contains('\\')).then_some(content)
    }

    /// A whole number that surely fits.
    fn integer(&mut self) -> Option<i64> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        self.number()?;
        self.text.get(start..self.at)?.parse().ok()
    }

    /// An object: its text.
    fn object(&mut self) -> Option<&'a str> {
        let start = self.at;
        if self.peek()? != b'{' {
            return None;
        }
        self.value()?;
        self.text.get(start..self.at)
    }

    /// Any value, to its end.
    fn value(&mut self) -> Option<()> {
        // One bit a level: whether it is an object.
        let mut stack = 0_u64;
        let mut depth = 0_u32;
        loop {
            match self.peek()? {
                open @ (b'{' | b'[') => {
                    if depth == DEPTH {
                        return None;
                    }
                    self.at += 1;
                    self.space();
                    let is_object = open == b'{';
                    if self.peek()? == if is_object { b'}' } else { b']' } {
                        self.at += 1;
                    } else {
                        stack = stack << 1 | u64::from(is_object);
                        depth += 1;
                        if is_object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                b'"' => self.string()?,
                b't' => self.token(b"true")?,
                b'f' => self.token(b"false")?,
                b'n' => self.token(b"null")?,
                b'-' | b'0'..=b'9' => {
                    if self.peek() == Some(b'-') {
                        self.at += 1;
                    }
                    self.number()?;
                }
                _ => return None,
            }
            // A value has ended; so may have what it is in.
            loop {
                if depth == 0 {
                    return Some(());
                }
                self.space();
                let in_object = stack & 1 == 1;
                match (self.next()?, in_object) {
                    (b',', true) => {
                        self.space();
                        self.key()?;
                        break;
                    }
                    (b',', false) => {
                        self.space();
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        stack >>= 1;
                        depth -= 1;
                    }
                    _ => return None,
                }
            }
        }
    }

    /// A member's name and its colon.
    #[inline]
    fn key(&mut self) -> Option<()> {
        self.string()?;
        self.colon()
    }

    /// A number whose sign, if any, was passed.
    fn number(&mut self) -> Option<()> {
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Some(())
    }

    #[inline]
    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Option<()> {
        let start = self.at;
        self.digits();
        (self.at > start).then_some(())
    }

    /// A string, eight bytes at a time until something in it matters.
    #[inline]
    fn string(&mut self) -> Option<()> {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        // The lowest byte found is right; those above it may be borrowed, and are looked at later.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
        if self.next()? != b'"' {
            return None;
        }
        loop {
            while let Some(chunk) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()) {
                let word = u64::from_le_bytes(*chunk);
                let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
                let hits = zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c)) | control;
                if hits != 0 {
                    self.at += (hits.trailing_zeros() / 8) as usize;
                    break;
                }
                self.at += 8;
            }
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => match self.next()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => {
                        let digits = self.bytes.get(self.at..self.at + 4)?;
                        if !digits.iter().all(u8::is_ascii_hexdigit) {
                            return None;
                        }
                        self.at += 4;
                    }
                    _ => return None,
                },
                0..=0x1f => return None,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{Message, MessageError};

    #[test]
    fn the_forms_connectors_write_are_read() {
        let compact = r#"{"type":"RECORD","record":{"stream":"a","data":{"n":-1.5e+3,"s":"\u00e9\"","l":[{},[],true,false,null]},"emitted_at":12}}"#;
        let read = record(compact).unwrap();
        assert_eq!((read.stream, read.namespace, read.emitted_at), ("a", None, Some(12)));
        assert_eq!(read.data, r#"{"n":-1.5e+3,"s":"\u00e9\"","l":[{},[],true,false,null]}"#);
        let spaced = r#" {"type": "RECORD", "record": {"namespace": null, "meta": {}, "stream": "é", "data": { } } } "#;
        let read = record(spaced).unwrap();
        assert_eq!((read.stream, read.data, read.meta), ("é", "{ }", Some("{}")));
    }

    fn listed(text: &str) -> Option<Vec<(&str, &str)>> {
        let mut all = Vec::new();
        members(text, |name, value| all.push((name, value)))?;
        Some(all)
    }

    #[test]
    fn members_are_as_they_stand() {
        let text = r#" { "a" : [1, {"b":"}"}] ,"\ud800":-0.5e1,"":"\"" } "#;
        let all =
            [(r#""a""#, r#"[1, {"b":"}"}]"#), (r#""\ud800""#, "-0.5e1"), (r#""""#, r#""\"""#)];
        assert_eq!(listed(text), Some(all.to_vec()));
        assert_eq!(listed("{}"), Some(Vec::new()));
        for wrong in [
            "",
            "[]",
            "{",
            "{} x",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1 2}"#,
            r#"{"a":01}"#,
        ] {
            assert_eq!(listed(wrong), None, "{wrong}");
        }
    }

    proptest! {
        /// What is taken here is an object of the full parser.
        #[test]
        fn members_are_those_of_the_full_parser(text in r#"[{]("[ab]":([0-9.e-]{1,4}|"[x\\u0]{0,4}"|[\[\]{}]{1,3}|true|null)[,]?){0,3}[}]?"#) {
            let read = serde_json::from_str::<std::collections::HashMap<String, &serde_json::value::RawValue>>(&text);
            if let Some(all) = listed(&text) {
                let read = read.unwrap();
                for (name, value) in &all {
                    let name: String = serde_json::from_str(name).unwrap();
                    let last = all.iter().rfind(|(n, _)| serde_json::from_str::<String>(n).unwrap() == name);
                    prop_assert_eq!(read[&name].get(), last.unwrap().1);
                    prop_assert!(read.len() <= all.len(), "{}", value);
                }
            } else {
                prop_assert!(read.is_err());
            }
        }
    }

    #[test]
    fn what_is_odd_is_left_to_the_full_parser() {
        for line in [
            r#"{"type":"RECORD","record":{"stream":"\u0061","data":{}}}"#,
            r#"{"type":"RECORD","record":{"stream":"a","data":{},"x":1}}"#,
            r#"{"type":"RECORD","record":{"stream":"a","data":{},"data":{}}}"#,
            r#"{"type":"RECORD","record":{"stream":"a","data":{},"emitted_at":1.5}}"#,
            r#"{"type":"RECORD","record":{"data":{}}}"#,
            r#"{"type":"RECORD","record":{"stream":"a","data":[]}}"#,
            r#"{"type":"RECORD","record":{"stream":"a","data":{}}} x"#,
            r#"{"type":"RECORD","record":{"stream":"a","data":{01}}}"#,
            "{\"type\":\"RECORD\",\"record\":{\"stream\":\"a\",\"data\":{\"a\":\"\n\"}}}",
        ] {
            assert_eq!(record(line), None, "{line}");
        }
        let deep = format!("{}{}", "[".repeat(80), "]".repeat(80));
        let line =
            format!(r#"{{"type":"RECORD","record":{{"stream":"a","data":{{"d":{deep}}}}}}}"#);
        assert_eq!(record(&line), None);
        assert!(matches!(Message::decode(line.as_bytes()), Ok(Message::Record(_))));
    }

    #[derive(serde::Deserialize)]
    struct Full {
        record: FullRecord,
    }

    #[derive(serde::Deserialize)]
    struct FullRecord {
        data: Box<serde_json::value::RawValue>,
    }

    /// Pieces of JSON and near-JSON, so that random lines come close to the grammar.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => proptest::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"", "\\", "\"a\"", "\"a\":", "1", "-", "0", "01", "1.5",
                "1e5", "1.", "e", "true", "fals", "null", " ", "\t", "\\u12", "\\ud800", "\"é€\"",
                "\u{1}", "{\"a\":1}", "[1,2]", "\"long string without anything odd\"", "\"\\n\\\"\"",
            ]).prop_map(str::to_owned),
            1 => "[ -~]{0,12}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn what_is_read_here_is_what_the_full_parser_reads(
            data in proptest::collection::vec(piece(), 0..8),
            tail in prop_oneof![Just(String::new()), piece()],
        ) {
            let line = format!(
                r#"{{"type":"RECORD","record":{{"stream":"a","data":{{{}}},"emitted_at":5}}}}{tail}"#,
                data.concat()
            );
            // Not into values: a number that no double holds is a number all the same.
            let full = serde_json::from_str::<Full>(&line);
            match record(&line) {
                Some(read) => {
                    let full = full.map_err(|e| TestCaseError::fail(format!("{e}: {line}")))?;
                    prop_assert_eq!(full.record.data.get(), read.data);
                }
                // Left to the full parser: a message or an error, never a silent drop.
                None => {
                    let decoded = Message::decode(line.as_bytes());
                    prop_assert!(!matches!(decoded, Err(MessageError::NotAMessage)), "{}", line);
                }
            }
        }

        #[test]
        fn valid_rows_take_the_fast_way(value in "[a-z\"\\\\é\u{1}-\u{1f} ]{0,40}", number in any::<f64>()) {
            let data = serde_json::json!({ "s": value, "n": number, "l": [value, {"x": null}] }).to_string();
            let line = format!(r#"{{"type":"RECORD","record":{{"stream":"a","data":{data},"emitted_at":5}}}}"#);
            prop_assert_eq!(record(&line).map(|r| r.data), Some(data.as_str()));
        }
    }
}
