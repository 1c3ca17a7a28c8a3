//! Texts as strings of JSON.

use super::Fit;

/// Appends a text as a string of JSON. What is no UTF-8, which only a database without an encoding has,
/// is replaced.
#[inline]
pub(crate) fn push_string(text: &[u8], out: &mut Vec<u8>) -> Fit {
    if json_rows::escape::push_string(text, out) { Fit::Whole } else { Fit::Changed }
}
