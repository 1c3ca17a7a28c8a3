//! References to secrets in what the operator wrote: `${secret:env:NAME}`, `${secret:file:PATH}`,
//! `${secret:exec:COMMAND}`, as a whole text or within one.
//!
//! The attack: a connector sends a reference back as a change of its configuration, to have a
//! command run or a file read. So there is a way to write such a text that is none: another `$`
//! before it. What a connector says passes through [`escape`] before it is kept.

use std::fmt;

/// What begins a reference, after its `$`.
const OPEN: &str = "{secret:";

/// Where a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecretKind {
    /// A variable of the host's environment.
    Env,
    /// A file.
    File,
    /// What a command prints.
    Exec,
}

impl SecretKind {
    /// `env`, `file` or `exec`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::File => "file",
            Self::Exec => "exec",
        }
    }
}

/// A reference to a secret. Not secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretReference {
    /// Where it is.
    pub kind: SecretKind,
    /// The variable's name, the file's path or the command.
    pub name: String,
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.word(), self.name)
    }
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is meant.
    Text(String),
    /// Something to be filled in.
    Reference(SecretReference),
}

/// Takes a text apart. None where it holds neither a reference nor an escape.
///
/// # Errors
/// What is wrong with it, without a word of it.
pub fn pieces(text: &str) -> Result<Option<Vec<Piece>>, &'static str> {
    if !text.contains("${secret:") {
        return Ok(None);
    }
    let mut found = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${secret:") {
        let before = &rest[..at];
        let after = &rest[at + 1 + OPEN.len()..];
        if let Some(kept) = before.strip_suffix('$') {
            // One of the dollars is the escape.
            plain.push_str(kept);
            plain.push_str("${secret:");
            rest = after;
            continue;
        }
        plain.push_str(before);
        let end = closing(after).ok_or("a reference to a secret has no end: `}` is missing")?;
        if !plain.is_empty() {
            found.push(Piece::Text(std::mem::take(&mut plain)));
        }
        found.push(Piece::Reference(reference(&after[..end])?));
        rest = &after[end + 1..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        found.push(Piece::Text(plain));
    }
    Ok(Some(found))
}

/// Where the brace is that ends a reference: a command may hold pairs of them.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn reference(text: &str) -> Result<SecretReference, &'static str> {
    let (kind, name) = text.split_once(':').ok_or("a reference to a secret names no place")?;
    let kind = [SecretKind::Env, SecretKind::File, SecretKind::Exec]
        .into_iter()
        .find(|k| k.word() == kind)
        .ok_or("a reference to a secret is none of env, file and exec")?;
    if name.trim().is_empty() || name.contains('\0') {
        return Err("a reference to a secret names nothing");
    }
    if kind == SecretKind::Env && name.contains('=') {
        return Err("a reference to a secret names no variable");
    }
    Ok(SecretReference { kind, name: name.to_owned() })
}

/// The text written so that [`pieces`] gives it back as it is.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace("${secret:", "$${secret:")
}

/// A reference as it is written.
#[must_use]
pub fn written(reference: &SecretReference) -> String {
    format!("${{secret:{reference}}}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn env(name: &str) -> Piece {
        Piece::Reference(SecretReference { kind: SecretKind::Env, name: name.into() })
    }

    #[test]
    fn references_within_a_text() {
        let read = |t| pieces(t).unwrap().unwrap();
        assert_eq!(pieces("plain $ {secret:env:A}").unwrap(), None);
        assert_eq!(read("${secret:env:A}"), [env("A")]);
        let text = |t: &str| Piece::Text(t.into());
        assert_eq!(
            read("x${secret:env:A}-${secret:env:B}y"),
            [text("x"), env("A"), text("-"), env("B"), text("y")]
        );
        assert_eq!(read("$${secret:env:A}"), [text("${secret:env:A}")]);
        let braces = read("${secret:exec:awk '{print $1}' f}");
        assert!(matches!(&braces[..], [Piece::Reference(r)] if r.name == "awk '{print $1}' f"));
    }

    #[test]
    fn what_is_malformed_is_refused_and_not_quoted() {
        for bad in
            ["${secret:env:}", "${secret:vault:hunter2}", "${secret:hunter2}", "${secret:env:A"]
        {
            let why = pieces(bad).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_text(text in r"(\$|\{|secret:|env:A|\}|a){0,12}") {
            let read = pieces(&escape(&text)).unwrap();
            let read = match read {
                None => escape(&text),
                Some(pieces) => pieces.into_iter().map(|p| match p {
                    Piece::Text(text) => text,
                    Piece::Reference(_) => "REFERENCE".to_owned(),
                }).collect(),
            };
            prop_assert_eq!(read, text);
        }
    }
}
