//! What an installer says, without credentials.

use crate::sandbox::redacted;

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
    fn of_a_long_output_the_end_is_kept() {
        let text: String = (0..1000).map(|i| format!("line {i}\n\n")).collect();
        let kept = last_lines(&text);
        assert!(kept.starts_with("line 975") && kept.ends_with("line 999"), "{kept}");
        assert_eq!(last_lines(&"x".repeat(1 << 20)).len(), 600);
        assert_eq!(last_lines("no https://a:b@c"), "no https://***@c");
    }
}
