//! The checklist of a host that runs strangers' code: 58 attacks, numbered. What is covered, what is
//! not and why, and that docs/security.md says the same.

use std::collections::BTreeSet;

use crate::attacks;

const ITEMS: u8 = 58;

/// Items without an attack here, and why.
const NOT_COVERED: &[(u8, &str)] = &[
    (13, "HTTP headers: components have no HTTP yet"),
    (21, "open files have no limit of their own yet"),
    (22, "a disk has no quota yet"),
    (24, "names of Windows devices: the host is not built for Windows"),
    (27, "components have no network yet"),
    (28, "components have no network yet"),
    (29, "components have no network yet"),
    (30, "components have no network yet"),
    (31, "components have no network yet"),
    (32, "components have no network yet"),
    (33, "components have no network yet"),
    (34, "components have no network yet"),
    (35, "components have no network yet"),
    (36, "components have no network yet"),
    (37, "components have no network yet"),
    (38, "components have no network yet"),
    (41, "secrets are not redacted yet"),
    (42, "there are no named secrets yet"),
    (49, "signatures: there is no registry yet"),
    (58, "images: they cannot be run yet"),
];

/// Items that a test beside the table covers, and which.
pub(crate) const ELSEWHERE: &[(u8, &str)] = &[
    (45, "a_panic_of_the_host_ends_one_operation"),
    (46, "a_call_that_is_dropped_leaves_nothing"),
    (48, "one_that_takes_all_memory_does_not_stop_another"),
    (53, "compiled_code_that_was_changed_is_not_run"),
    (54, "compiled_code_of_another_version_is_not_run"),
];

fn covered() -> BTreeSet<u8> {
    let rows = attacks::all().flat_map(|attack| attack.items.iter().copied());
    rows.chain(ELSEWHERE.iter().map(|(item, _)| *item)).collect()
}

/// The sentence that the test prints and the documents say.
pub(crate) fn summary() -> String {
    let missing: Vec<String> =
        NOT_COVERED.iter().map(|(item, why)| format!("{item} ({why})")).collect();
    format!("{} of {ITEMS} checklist items covered; not: {}", covered().len(), missing.join(", "))
}

fn list(items: &[u8]) -> String {
    items.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

/// The table of docs/security.md.
fn table() -> String {
    let mut table = String::from("| items | attack | ends in | test |\n|---|---|---|---|\n");
    for attack in attacks::all() {
        let outcome = match attack.code {
            "-" => "it goes on, and got nothing".to_owned(),
            code => format!("`{code}`"),
        };
        let (items, what, name) = (list(attack.items), attack.what, attack.name);
        table.push_str(&format!("| {items} | {what} | {outcome} | `{name}` |\n"));
    }
    for (item, test) in ELSEWHERE {
        let what = test.replace('_', " ");
        table.push_str(&format!("| {item} | {what} | see the test | `{test}` |\n"));
    }
    table
}

#[test]
fn every_item_is_covered_or_has_a_reason() {
    let covered = covered();
    let excused: BTreeSet<u8> = NOT_COVERED.iter().map(|(item, _)| *item).collect();
    assert!(covered.is_disjoint(&excused), "covered and excused: {covered:?} {excused:?}");
    let all: BTreeSet<u8> = covered.union(&excused).copied().collect();
    assert_eq!(all, (1..=ITEMS).collect());
}

#[test]
fn names_are_unique() {
    let names: BTreeSet<&str> = attacks::all().map(|attack| attack.name).collect();
    assert_eq!(names.len(), attacks::all().count());
}

/// A guest that no row runs would attack nobody.
#[test]
fn every_guest_has_a_row() {
    let names: BTreeSet<String> = attacks::all().map(|attack| attack.name.to_owned()).collect();
    for folder in ["hostile/guests/examples", "hostile/wat"] {
        for file in std::fs::read_dir(crate::common::fixture(folder)).expect("it is there") {
            let path = file.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            assert!(names.contains(&name), "no row runs {}", path.display());
        }
    }
}

#[test]
fn the_documents_list_exactly_these_attacks() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md");
    let page = std::fs::read_to_string(path).expect("it is there");
    let table = table();
    let (before, rest) = page.split_once("| items | attack |").expect("the page has the table");
    let shown: Vec<&str> = rest.lines().skip(1).take_while(|l| l.starts_with('|')).collect();
    let expected: Vec<&str> = table.lines().skip(1).collect();
    let count = format!("{} of {ITEMS} checklist items are covered", covered().len());
    if shown == expected && page.contains(&count) {
        return;
    }
    #[expect(clippy::disallowed_methods, reason = "by name, to write the page by hand")]
    let update = std::env::var_os("HOSTILE_UPDATE").is_some();
    if update {
        let length: usize = "| items | attack |".len() + rest.lines().next().map_or(0, str::len);
        let old: usize = length + shown.iter().map(|line| line.len() + 1).sum::<usize>() + 1;
        let after = &page[before.len() + old..];
        let mut new = format!("{before}{table}{after}");
        let digits =
            new.find(&format!(" of {ITEMS} checklist items are covered")).expect("a count");
        let start = new[..digits].rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
        new.replace_range(start..digits, &covered().len().to_string());
        std::fs::write(path, new).expect("it can be written");
        return;
    }
    panic!("docs/security.md is not up to date: run this with HOSTILE_UPDATE=1 ({count})");
}
