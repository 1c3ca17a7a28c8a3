//! Guests that attack, one behaviour each: every attack ends in a refusal with its code, and the
//! host, in the same process, serves a healthy connector right after it.
//!
//! The attackers are in `guests/examples`, in `wat`, and made up in `artifacts`. docs/security.md
//! lists them all.

#![expect(clippy::expect_used, clippy::panic, reason = "a test ends where something is missing")]

mod artifacts;
mod attacks;
mod checklist;
#[path = "../common/mod.rs"]
mod common;
mod harness;
mod neighbours;
mod network;
mod soak;
mod wat;

use std::sync::Mutex;

use crate::harness::{Way, healthy};

/// What is counted of the whole process must not be disturbed.
static ALONE: Mutex<()> = Mutex::new(());

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(4).enable_all().build().expect("a runtime")
}

#[test]
fn every_attack_is_contained() {
    let _alone = ALONE.lock();
    #[expect(clippy::disallowed_methods, reason = "parts of names, to run some rows by hand")]
    let only = std::env::var("HOSTILE_ONLY").unwrap_or_default();
    let mut wrong = Vec::new();
    for way in Way::ALL {
        let host = way.host();
        let runtime = runtime();
        let expected = runtime.block_on(healthy(*way, &host, 100));
        assert!(expected.len() >= 3 && expected.iter().all(|(_, rows)| !rows.is_empty()));
        let wanted = |name: &str| only.split(',').any(|part| name.contains(part));
        for attack in attacks::all().filter(|attack| wanted(attack.name)) {
            let folder = tempfile::tempdir().expect("a folder");
            eprint!("{way:?} {}: ", attack.name);
            let outcome = runtime.block_on(attack.run(*way, &host, folder.path()));
            eprintln!("{} in {:?}", outcome.code, outcome.took);
            if !attack.ended_well(*way, &outcome) || !attack.says_why(&outcome) {
                wrong.push(format!(
                    "{way:?} {}: expected {} {:?}: {outcome:#?}",
                    attack.name, attack.code, attack.words
                ));
            }
            let then = std::panic::AssertUnwindSafe(|| (attack.then)(&outcome, folder.path()));
            if std::panic::catch_unwind(then).is_err() {
                wrong.push(format!("{way:?} {}: what came of it is above", attack.name));
            }
            assert_eq!(
                runtime.block_on(healthy(*way, &host, 100)),
                expected,
                "after {}",
                attack.name
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    eprintln!("{}", checklist::summary());
}
