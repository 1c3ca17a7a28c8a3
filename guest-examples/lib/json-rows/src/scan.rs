//! Finds the members of a row without building anything of them.
//!
//! The attack: a row that is no JSON, so that what is copied from it ends a field or a row where it
//! should not, or one that is nested so deeply that whoever reads it runs out of stack.
//! Every byte is looked at by the rules of RFC 8259, and nothing here calls itself.

/// Levels of arrays and objects in a value that is stored: most who read JSON do it by recursion.
pub const DEEPEST: usize = 500;

/// The row is not a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoObject;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true`.
    True,
    /// `false`.
    False,
    /// A number.
    Number,
    /// Without an escape: its characters are those between its quotes.
    Plain,
    /// With escapes.
    Escaped,
    /// An array or an object.
    Nested,
    /// An array or an object that few can read: deeper than [`DEEPEST`], or with a number that does not
    /// [fit](crate::number::fits).
    Unfit,
}

/// A value's place in its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its first byte.
    pub start: usize,
    /// Behind its last byte.
    pub end: usize,
    /// What it is.
    pub kind: Kind,
}

impl Value {
    /// Its JSON text.
    #[must_use]
    pub fn raw(self, row: &[u8]) -> &[u8] {
        row.get(self.start..self.end).unwrap_or_default()
    }

    /// What is between a string's quotes.
    #[must_use]
    pub fn inside(self, row: &[u8]) -> &[u8] {
        row.get(self.start + 1..self.end - 1).unwrap_or_default()
    }
}

/// Calls `member` with the key and the value of each member of a row, in order.
///
/// # Errors
/// It is not a JSON object.
pub fn members(
    row: &[u8],
    nest: &mut Nest,
    mut member: impl FnMut(Value, Value),
) -> Result<(), NoObject> {
    let mut scan = Scan { row, at: 0, nest };
    scan.space();
    scan.expect(b'{')?;
    scan.space();
    if scan.peek() == Some(b'}') {
        scan.at += 1;
    } else {
        loop {
            scan.space();
            let key = scan.key()?;
            scan.space();
            let value = scan.value()?;
            member(key, value);
            scan.space();
            match scan.take()? {
                b',' => {}
                b'}' => break,
                _ => return Err(NoObject),
            }
        }
    }
    scan.space();
    if scan.at == row.len() { Ok(()) } else { Err(NoObject) }
}

/// Which of the open containers are objects: a bit each, the innermost last.
#[derive(Debug, Default)]
pub struct Nest {
    bits: Vec<u64>,
    depth: usize,
}

impl Nest {
    fn push(&mut self, object: bool) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.bits.len() {
            self.bits.push(0);
        }
        if let Some(bits) = self.bits.get_mut(word) {
            *bits = *bits & !(1 << bit) | u64::from(object) << bit;
        }
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn is_object(&self) -> Option<bool> {
        let last = self.depth.checked_sub(1)?;
        Some(self.bits.get(last / 64)? >> (last % 64) & 1 == 1)
    }
}

struct Scan<'a> {
    row: &'a [u8],
    at: usize,
    nest: &'a mut Nest,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.row.get(self.at).copied()
    }

    fn take(&mut self) -> Result<u8, NoObject> {
        let byte = self.peek().ok_or(NoObject)?;
        self.at += 1;
        Ok(byte)
    }

    fn expect(&mut self, byte: u8) -> Result<(), NoObject> {
        if self.take()? == byte { Ok(()) } else { Err(NoObject) }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// A key and the colon behind it.
    fn key(&mut self) -> Result<Value, NoObject> {
        let start = self.at;
        self.expect(b'"')?;
        let kind = self.string()?;
        let key = Value { start, end: self.at, kind };
        self.space();
        self.expect(b':')?;
        Ok(key)
    }

    fn value(&mut self) -> Result<Value, NoObject> {
        let start = self.at;
        let kind = match self.peek().ok_or(NoObject)? {
            b'{' | b'[' => self.container()?,
            _ => self.scalar()?.0,
        };
        Ok(Value { start, end: self.at, kind })
    }

    /// Its kind, and whether a column of JSON can hold it.
    fn scalar(&mut self) -> Result<(Kind, bool), NoObject> {
        let start = self.at;
        Ok(match self.take()? {
            b'"' => (self.string()?, true),
            b't' => (self.word(b"rue", Kind::True)?, true),
            b'f' => (self.word(b"alse", Kind::False)?, true),
            b'n' => (self.word(b"ull", Kind::Null)?, true),
            b'-' | b'0'..=b'9' => {
                self.at = start;
                self.number()?;
                (Kind::Number, crate::number::fits(&self.row[start..self.at]))
            }
            _ => return Err(NoObject),
        })
    }

    fn word(&mut self, rest: &[u8], kind: Kind) -> Result<Kind, NoObject> {
        if !self.row[self.at..].starts_with(rest) {
            return Err(NoObject);
        }
        self.at += rest.len();
        Ok(kind)
    }

    fn digits(&mut self) -> Result<(), NoObject> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(NoObject) }
    }

    fn number(&mut self) -> Result<(), NoObject> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// From behind the first quote to behind the last.
    fn string(&mut self) -> Result<Kind, NoObject> {
        let mut kind = Kind::Plain;
        loop {
            self.at += plain::<true>(&self.row[self.at..]);
            match self.take()? {
                b'"' => return Ok(kind),
                b'\\' => {
                    kind = Kind::Escaped;
                    match self.take()? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            for _ in 0..4 {
                                if !self.take()?.is_ascii_hexdigit() {
                                    return Err(NoObject);
                                }
                            }
                        }
                        _ => return Err(NoObject),
                    }
                }
                _ => return Err(NoObject),
            }
        }
    }

    fn container(&mut self) -> Result<Kind, NoObject> {
        self.nest.depth = 0;
        let mut fits = true;
        'value: loop {
            self.space();
            let open = self.peek().ok_or(NoObject)?;
            if matches!(open, b'{' | b'[') {
                self.at += 1;
                self.nest.push(open == b'{');
                fits &= self.nest.depth <= DEEPEST;
                self.space();
                match (open, self.peek()) {
                    (b'{', Some(b'}')) | (b'[', Some(b']')) => {
                        self.at += 1;
                        self.nest.pop();
                    }
                    (b'{', _) => {
                        self.key()?;
                        continue 'value;
                    }
                    _ => continue 'value,
                }
            } else {
                fits &= self.scalar()?.1;
            }
            loop {
                let Some(object) = self.nest.is_object() else {
                    return Ok(if fits { Kind::Nested } else { Kind::Unfit });
                };
                self.space();
                match (self.take()?, object) {
                    (b',', true) => {
                        self.space();
                        self.key()?;
                        continue 'value;
                    }
                    (b',', false) => continue 'value,
                    (b'}', true) | (b']', false) => self.nest.pop(),
                    _ => return Err(NoObject),
                }
            }
        }
    }
}

/// How many bytes come before the first that is a backslash or a control character, or, with `QUOTES`,
/// a quote.
#[must_use]
pub fn plain<const QUOTES: bool>(bytes: &[u8]) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut chunks = bytes.chunks_exact(8);
    let mut at = 0;
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        let word = u64::from_le_bytes(word);
        let zero = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
        let quotes = if QUOTES { zero(word ^ (LOW * 0x22)) } else { 0 };
        let found =
            quotes | zero(word ^ (LOW * 0x5c)) | (word.wrapping_sub(LOW * 0x20) & !word & HIGH);
        if found != 0 {
            // A borrow may mark bytes above the first that is found, and never one below.
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = chunks.remainder();
    let special = |byte: &u8| matches!(byte, b'\\' | 0..=0x1f) || (QUOTES && *byte == b'"');
    at + rest.iter().position(special).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(row: &str) -> Result<Vec<(String, String, Kind)>, NoObject> {
        let mut found = Vec::new();
        let bytes = row.as_bytes();
        members(bytes, &mut Nest::default(), |key, value| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            found.push((text(key.inside(bytes)), text(value.raw(bytes)), value.kind));
        })?;
        Ok(found)
    }

    #[test]
    fn members_are_found() {
        let row =
            r#" {"a" : 1, "b":"x\"y" ,"c":{"d":[1,{"e":[]}],"f":{}}, "":null,"g":"h","i":true }"#;
        let found = scan(row).expect("an object");
        let found: Vec<_> = found.iter().map(|(k, v, kind)| (&**k, &**v, *kind)).collect();
        assert_eq!(
            found,
            [
                ("a", "1", Kind::Number),
                ("b", r#""x\"y""#, Kind::Escaped),
                ("c", r#"{"d":[1,{"e":[]}],"f":{}}"#, Kind::Nested),
                ("", "null", Kind::Null),
                ("g", "\"h\"", Kind::Plain),
                ("i", "true", Kind::True),
            ]
        );
        assert_eq!(scan("{}"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for row in [
            "",
            " ",
            "1",
            "[]",
            "{",
            "{}x",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":-}",
            "{\"a\":1e}",
            "{\"a\":\"\t\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12g4\"}",
            "{\"a\":nul}",
            "{\"a\":[1,]}",
            "{\"a\":[}",
            "{\"a\":{]}",
            "{\"a\":[1}}",
            "{\"a\":\"x}",
            "{\"a\":NaN}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":[1 2]}",
        ] {
            assert_eq!(scan(row), Err(NoObject), "{row}");
        }
    }

    #[test]
    fn deep_values_are_read_and_unfit() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(scan(&nested(DEEPEST)).expect("an object")[0].2, Kind::Nested);
        assert_eq!(scan(&nested(DEEPEST + 1)).expect("an object")[0].2, Kind::Unfit);
        assert_eq!(scan(&nested(1_000_000)).expect("an object")[0].2, Kind::Unfit);
        let numbers = scan(r#"{"a":[1e131071],"b":[1e131072],"c":1e999999999999}"#).expect("JSON");
        let kinds: Vec<_> = numbers.iter().map(|(_, _, kind)| *kind).collect();
        assert_eq!(kinds, [Kind::Nested, Kind::Unfit, Kind::Number]);
    }

    proptest! {
        #[test]
        fn the_first_special_byte_is_found(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
            let expected = bytes.iter().position(special).unwrap_or(bytes.len());
            prop_assert_eq!(plain::<true>(&bytes), expected);
            let special = |byte: &u8| matches!(byte, b'\\' | 0..=0x1f);
            let expected = bytes.iter().position(special).unwrap_or(bytes.len());
            prop_assert_eq!(plain::<false>(&bytes), expected);
        }

        #[test]
        fn it_agrees_with_a_parser(row in "\\{(\"[a-b\\\\\"u0]{0,3}\":[\\[\\]{},:0-9eE.+\\-\"a ]{0,8},?){0,3}\\}") {
            let parsed = serde_json::from_str::<std::collections::BTreeMap<String, Box<serde_json::value::RawValue>>>(&row);
            prop_assert_eq!(scan(&row).is_ok(), parsed.is_ok(), "{}", row);
        }
    }
}
