//! Addresses without their credentials.
//!
//! The attack: an index or a repository is named with a password in its address,
//! `https://user:password@host/simple`, and that ends in a log, a report, an error or a manifest.

/// What stands for credentials.
const HIDDEN: &str = "***";

/// A text in which no address has credentials any more.
pub(super) fn redacted(text: &str) -> String {
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

/// The last lines of an output, without credentials: what an installer says of its failure.
pub(super) fn last_lines(text: &str) -> String {
    /// uv explains a conflict in a dozen lines; a build's own output can be endless.
    const LINES: usize = 25;
    /// Of each of those. A compiler's command is longer than that.
    const CHARACTERS: usize = 600;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    let short = last.iter().map(|line| line.chars().take(CHARACTERS).collect::<String>());
    redacted(&short.collect::<Vec<_>>().join("\n"))
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

    #[test]
    fn of_a_long_output_the_end_is_kept() {
        let text: String = (0..1000).map(|i| format!("line {i}\n\n")).collect();
        let kept = last_lines(&text);
        assert!(kept.starts_with("line 975") && kept.ends_with("line 999"), "{kept}");
        assert_eq!(last_lines(&"x".repeat(1 << 20)).len(), 600);
        assert_eq!(last_lines("no https://a:b@c"), "no https://***@c");
    }
}
