//! Names and texts as SQL has them.

/// An identifier in quotes.
#[must_use]
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as a literal; every session has `standard_conforming_strings` on. U+0000, which the server
/// has in no text, is left out.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_do_not_end_early() {
        assert_eq!(quote("a\"; drop table b; --"), "\"a\"\"; drop table b; --\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\0'; drop table b; --"), "'a''; drop table b; --'");
    }
}
