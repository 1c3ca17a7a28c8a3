//! Arrays: the server's braces as JSON's brackets.

use super::{Fit, Kind, Malformed, Scratch, push_hex_as_base64};

/// Arrays within arrays: the server has six dimensions at most.
const DEPTH: usize = 6;

/// Reads an array from the start of what is left of its text.
struct Reader<'a> {
    rest: &'a [u8],
    delimiter: u8,
    element: &'a Kind,
}

/// Appends `{1,NULL,"a b"}` as `[1,null,"a b"]`.
pub(super) fn push(
    element: &Kind,
    delimiter: u8,
    text: &[u8],
    out: &mut Vec<u8>,
    scratch: &mut Scratch,
) -> Result<Fit, Malformed> {
    let mut reader = Reader { rest: without_bounds(text)?, delimiter, element };
    // An element that is itself no array needs no room for another's elements.
    let mut room = std::mem::take(&mut scratch.0);
    let pushed = reader.array(out, &mut room, scratch, 1);
    scratch.0 = room;
    let fit = pushed?;
    if reader.rest.is_empty() { Ok(fit) } else { Err(Malformed) }
}

/// `[0:2]={…}` is what an array is written as whose first place is not 1.
fn without_bounds(text: &[u8]) -> Result<&[u8], Malformed> {
    if text.first() != Some(&b'[') {
        return Ok(text);
    }
    let end = text.iter().position(|byte| *byte == b'=').ok_or(Malformed)?;
    let bounds = text.get(..end).ok_or(Malformed)?;
    let known = |byte: &u8| byte.is_ascii_digit() || b"[]:-+".contains(byte);
    if bounds.iter().all(known) { text.get(end + 1..).ok_or(Malformed) } else { Err(Malformed) }
}

impl Reader<'_> {
    fn take(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn array(
        &mut self,
        out: &mut Vec<u8>,
        room: &mut Vec<u8>,
        scratch: &mut Scratch,
        depth: usize,
    ) -> Result<Fit, Malformed> {
        if depth > DEPTH || !self.take(b'{') {
            return Err(Malformed);
        }
        out.push(b'[');
        let mut worst = Fit::Whole;
        if self.take(b'}') {
            out.push(b']');
            return Ok(worst);
        }
        loop {
            let fit = match self.rest.first() {
                Some(b'{') => self.array(out, room, scratch, depth + 1)?,
                Some(b'"') => {
                    self.quoted(room)?;
                    self.push(room, out, scratch)?
                }
                _ => self.bare(out, scratch)?,
            };
            // One that is null leaves the array changed.
            worst = worst.max(fit.min(Fit::Changed));
            if self.take(b'}') {
                out.push(b']');
                return Ok(worst);
            }
            if !self.take(self.delimiter) {
                return Err(Malformed);
            }
            out.push(b',');
        }
    }

    /// Takes `"a \"b\""`, without its quotes and escapes.
    fn quoted(&mut self, room: &mut Vec<u8>) -> Result<(), Malformed> {
        room.clear();
        let mut rest = self.rest.get(1..).unwrap_or_default();
        loop {
            let special = |byte: &u8| matches!(byte, b'"' | b'\\');
            let end = rest.iter().position(special).ok_or(Malformed)?;
            let (plain, after) = rest.split_at(end);
            room.extend_from_slice(plain);
            match after {
                [b'"', after @ ..] => {
                    self.rest = after;
                    return Ok(());
                }
                [b'\\', escaped, after @ ..] => {
                    room.push(*escaped);
                    rest = after;
                }
                _ => return Err(Malformed),
            }
        }
    }

    /// Takes what is not in quotes, to the next delimiter.
    fn bare(&mut self, out: &mut Vec<u8>, scratch: &mut Scratch) -> Result<Fit, Malformed> {
        let delimiter = self.delimiter;
        let end = (self.rest.iter())
            .position(|byte| *byte == delimiter || *byte == b'}')
            .ok_or(Malformed)?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        if text.is_empty() || text.iter().any(|byte| matches!(byte, b'"' | b'\\' | b'{')) {
            return Err(Malformed);
        }
        if text == b"NULL" {
            out.extend_from_slice(b"null");
            return Ok(Fit::Whole);
        }
        self.push(text, out, scratch)
    }

    fn push(
        &self,
        text: &[u8],
        out: &mut Vec<u8>,
        scratch: &mut Scratch,
    ) -> Result<Fit, Malformed> {
        match self.element {
            Kind::Bytes => push_hex_as_base64(text, out),
            element => super::push(element, text, out, scratch),
        }
    }
}
