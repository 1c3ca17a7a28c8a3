//! Addresses without their credentials.
//!
//! The attack: an index or a repository is named with a password in its address,
//! `https://user:password@host/simple`, and that ends in a log, a report, an error, a record or a
//! manifest.

/// What stands for credentials.
const HIDDEN: &str = "***";

/// A text in which no address has credentials any more.
#[must_use]
pub fn redacted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        // The last `@` before the path: a password may hold one.
        let ends = |c: char| {
            matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | '`') || c.is_whitespace()
        };
        let host = &after[..after.find(ends).unwrap_or(after.len())];
        rest = match host.rfind('@') {
            Some(end) => {
                // `git+ssh://git@host` is no secret, and without it the address is another one.
                out.push_str(if &host[..end] == "git" { "git" } else { HIDDEN });
                &after[end..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_and_nothing_else() {
        for (text, shown) in [
            ("airbyte-source-faker==7.2.1", "airbyte-source-faker==7.2.1"),
            ("https://pypi.example/simple", "https://pypi.example/simple"),
            ("https://u:p@pypi.example/simple x", "https://***@pypi.example/simple x"),
            ("x @ git+https://token@git.example/a@v1", "x @ git+https://***@git.example/a@v1"),
            ("https://u:p@ss@h/", "https://***@h/"),
            ("git+ssh://git@git.example/a", "git+ssh://git@git.example/a"),
            ("a https://a:b@c d https://e:f@g", "a https://***@c d https://***@g"),
            ("user@example https://h/@v", "user@example https://h/@v"),
            ("://@", "://***@"),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }
}
