//! Appends the parts of a row to its batch.

use crate::time;

/// Writes JSON text; the caller minds braces and commas.
pub(crate) struct Json<'a>(pub(crate) &'a mut Vec<u8>);

impl Json<'_> {
    /// Text as it is: punctuation, names, and words that need no escape.
    pub(crate) fn raw(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// A number.
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.raw(itoa::Buffer::new().format(number))
    }

    /// A number with leading zeros.
    pub(crate) fn digits(&mut self, number: u32, width: usize) -> &mut Self {
        let mut text = [b'0'; 10];
        let mut rest = number;
        for digit in text.iter_mut().rev().take(width) {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        self.0.extend_from_slice(&text[text.len() - width..]);
        self
    }

    /// A time, without quotes.
    pub(crate) fn time(&mut self, seconds: u64) -> &mut Self {
        self.0.extend_from_slice(&time::bytes(seconds));
        self
    }
}
