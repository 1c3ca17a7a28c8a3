//! What the documents say and can be held to: links lead somewhere, the limits are those of the code,
//! and the book has every page.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let folders = [root().to_owned(), root().join("docs"), root().join("docs/authors")];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let files = files.map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "md")).collect()
}

/// The anchor of a heading, as it is made where these documents are shown.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut followed = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for part in text.split("](").skip(1) {
            let link = part.split(')').next().unwrap();
            if link.contains("://") {
                continue;
            }
            let (path, place) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().unwrap().join(path),
            };
            let shown = document.display();
            assert!(target.exists(), "{shown} links to {link}, which is not there");
            if !place.is_empty() {
                let text = std::fs::read_to_string(&target).unwrap();
                let mut headings = text.lines().filter_map(|l| l.strip_prefix('#'));
                let found = headings.any(|h| anchor(h.trim_start_matches('#').trim()) == place);
                assert!(found, "{shown} links to {link}, and there is no such heading");
            }
            followed += 1;
        }
    }
    assert!(followed > 15, "only {followed} links were found");
}

#[test]
fn the_limits_are_those_of_the_code() {
    let code = std::fs::read_to_string(root().join("src/sandbox/limits.rs")).unwrap();
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let fields = code.split("pub struct Limits {").nth(1).unwrap().split("\n}").next().unwrap();
    let mut comment = Vec::new();
    let mut checked = 0;
    for line in fields.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.trim());
        } else if let Some(field) = line.strip_prefix("pub ") {
            let name = field.split(':').next().unwrap();
            let row = format!("| `{name}` | {} |", comment.join(" "));
            assert!(page.contains(&row), "docs/architecture.md lacks this row:\n{row}");
            comment.clear();
            checked += 1;
        }
    }
    assert!(checked > 10, "only {checked} limits were found");
}

/// Every page below a folder, by its path.
fn pages(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|e| e == "md") {
            found.insert(path);
        }
    }
}

/// mdBook leaves out what the summary does not name, and makes empty pages of what is not there.
#[test]
fn the_book_has_every_page_once() {
    let docs = root().join("docs");
    let summary = docs.join("SUMMARY.md");
    let mut missing = BTreeSet::new();
    pages(&docs, &mut missing);
    assert!(missing.remove(&summary), "there is no docs/SUMMARY.md");
    assert!(missing.len() > 15, "only {} pages were found", missing.len());
    let text = std::fs::read_to_string(&summary).unwrap();
    for link in text.split("](").skip(1).map(|part| part.split(')').next().unwrap()) {
        let page = docs.join(link);
        assert!(page.is_file(), "docs/SUMMARY.md links to {link}, which is not there");
        assert!(missing.remove(&page), "docs/SUMMARY.md has {link} twice, or in another folder");
    }
    assert!(missing.is_empty(), "docs/SUMMARY.md lacks {missing:?}");
}
