//! The checklist of a host that runs strangers' code: 58 attacks, numbered. What is covered, what is
//! not and why, and that docs/security.md says the same.

use std::collections::BTreeSet;

use crate::attacks;
use crate::harness::Attacker;

const ITEMS: u8 = 58;

/// Items without an attack here, and why.
const NOT_COVERED: &[(u8, &str)] = &[
    (24, "names of Windows devices: the host is not built for Windows"),
    (49, "signatures: there is no registry yet"),
];

/// Parts of items that are covered for the rest.
const NOT_COVERED_OF: &[(u8, &str)] = &[
    (16, "streams of WASI 0.3: they are not compiled in"),
    (52, "archives and manifests of images: there is no registry yet"),
];

/// A test beside the table.
pub(crate) struct Elsewhere {
    /// The items it covers.
    items: &'static [u8],
    /// Its file.
    file: &'static str,
    /// Its function.
    test: &'static str,
}

const fn elsewhere(items: &'static [u8], file: &'static str, test: &'static str) -> Elsewhere {
    Elsewhere { items, file, test }
}

const NEIGHBOURS: &str = "tests/hostile/neighbours.rs";
const COMPILE: &str = "tests/compile.rs";
const FENCE: &str = "tests/fence.rs";
const FILES: &str = "tests/filesystem.rs";
const DOCKER: &str = "tests/docker.rs";

/// Items that a test beside the table covers, and which. Those of other files serve a healthy connector
/// afterwards, or run the real program, a process each, in which nothing of an attack can last.
pub(crate) const ELSEWHERE: &[Elsewhere] = &[
    elsewhere(&[45], NEIGHBOURS, "a_panic_of_the_host_ends_one_operation"),
    elsewhere(&[46], NEIGHBOURS, "a_call_that_is_dropped_leaves_nothing"),
    elsewhere(&[48], NEIGHBOURS, "one_that_takes_all_memory_does_not_stop_another"),
    elsewhere(&[53], NEIGHBOURS, "compiled_code_that_was_changed_is_not_run"),
    elsewhere(&[54], NEIGHBOURS, "compiled_code_of_another_version_is_not_run"),
    elsewhere(&[20], FILES, "a_swapped_link_never_leads_out"),
    elsewhere(&[21], FILES, "open_files_are_limited_also_through_streams"),
    elsewhere(&[22], FILES, "written_bytes_are_limited_whatever_the_way"),
    elsewhere(&[22], FILES, "the_disk_keeps_a_reserve"),
    elsewhere(&[36], "tests/network_http.rs", "proxies_of_the_environment_are_ignored"),
    elsewhere(
        &[38],
        "tests/network.rs",
        "an_operation_that_waits_for_the_network_ends_at_its_deadline",
    ),
    elsewhere(&[41], "tests/secrets.rs", "nothing_is_told_by_check_and_discover"),
    elsewhere(&[41, 42], "tests/secrets.rs", "nothing_is_told_by_a_sync"),
    elsewhere(&[41], "tests/secrets.rs", "nothing_is_told_by_a_process"),
    elsewhere(&[50], COMPILE, "a_compilation_ends_at_its_time"),
    elsewhere(&[50], COMPILE, "a_compilation_ends_at_its_memory"),
    elsewhere(&[50], COMPILE, "bombs_end_within_their_limits"),
    elsewhere(&[25, 39], FENCE, "files_outside_are_out_of_reach"),
    elsewhere(&[25, 34, 35], FENCE, "the_network_is_out_of_reach_and_opens_by_port"),
    elsewhere(&[40, 43], FENCE, "other_processes_and_the_machine_are_out_of_reach"),
    elsewhere(&[1, 21, 22], FENCE, "what_it_uses_has_limits"),
    elsewhere(&[46], FENCE, "nothing_of_it_is_left"),
    elsewhere(&[58], DOCKER, "a_container_is_confined"),
    elsewhere(&[58], DOCKER, "files_are_the_containers_and_nobody_elses"),
    elsewhere(&[46, 58], DOCKER, "what_a_dead_host_left_is_swept_and_a_living_ones_stays"),
    elsewhere(&[34, 58], "tests/java.rs", "a_server_that_is_not_granted_is_out_of_reach"),
];

fn covered() -> BTreeSet<u8> {
    let rows = attacks::all().flat_map(|attack| attack.items.iter().copied());
    rows.chain(ELSEWHERE.iter().flat_map(|test| test.items.iter().copied())).collect()
}

/// The sentence that the test prints and the documents say.
pub(crate) fn summary() -> String {
    let missing: Vec<String> = NOT_COVERED
        .iter()
        .chain(NOT_COVERED_OF)
        .map(|(item, why)| format!("{item} ({why})"))
        .collect();
    format!("{} of {ITEMS} checklist items covered; not: {}", covered().len(), missing.join(", "))
}

fn list(items: &[u8]) -> String {
    items.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

/// The table of docs/security.md.
fn table() -> String {
    let mut table = String::from("| items | attack | ends in | test |\n|---|---|---|---|\n");
    for attack in attacks::all() {
        let outcome = match (attack.code, attack.words) {
            ("-", "") => "it goes on, and got nothing".to_owned(),
            ("-", rule) => format!("it goes on; `{rule}`"),
            (code, _) => format!("`{code}`"),
        };
        let (items, what, name) = (list(attack.items), attack.what, attack.name);
        table.push_str(&format!("| {items} | {what} | {outcome} | `{name}` |\n"));
    }
    for Elsewhere { items, file, test } in ELSEWHERE {
        let (items, what) = (list(items), test.replace('_', " "));
        table.push_str(&format!("| {items} | {what} | see the test | `{file}`: `{test}` |\n"));
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

/// A test that is gone covers nothing.
#[test]
fn what_is_tested_elsewhere_is_there() {
    for Elsewhere { file, test, .. } in ELSEWHERE {
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect("it is there");
        assert!(text.contains(&format!("#[test]\nfn {test}() {{")), "{file} has no test {test}");
    }
    for (item, _) in NOT_COVERED_OF {
        assert!(covered().contains(item), "{item} is not covered at all");
    }
}

/// Each row that is a process has its behaviour in the program, and the program no others.
#[test]
fn every_behaviour_of_the_program_has_a_row() {
    let path = crate::common::fixture("hostile/programs/source");
    let text = std::fs::read_to_string(path).expect("it is there");
    let of_text = text.lines().filter_map(|line| {
        let (name, rest) = line.trim_start().split_once(')')?;
        (name.starts_with("process-") && !rest.is_empty()).then(|| name.to_owned())
    });
    let of_text: BTreeSet<String> = of_text.collect();
    let rows = attacks::all().filter(|attack| matches!(attack.attacker, Attacker::Program));
    let rows: BTreeSet<String> = rows.map(|attack| attack.name.to_owned()).collect();
    assert_eq!(of_text, rows);
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
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let readme = std::fs::read_to_string(readme).expect("it is there");
        let stated = format!("**{} of {ITEMS}**", covered().len());
        assert!(readme.contains(&stated), "README.md does not say {stated}");
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
