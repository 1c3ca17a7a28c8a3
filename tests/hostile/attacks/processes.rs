//! Connectors that are processes: what the fence keeps from them, and messages that do not add up.

use std::path::Path;

use lockgate::ConnectorOptions;

use super::prelude::*;
use crate::harness::Outcome;
use crate::network::FORBIDDEN;

/// Nothing, beside a file that must not be reached.
fn fenced(folder: &Path) -> ConnectorOptions {
    std::fs::write(folder.join("secret"), "secret").expect("a file");
    ConnectorOptions::default()
}

/// No more than a process needs to begin.
fn short_process(_: &Path) -> ConnectorOptions {
    ConnectorOptions { timeout: Some("1s".into()), ..ConnectorOptions::default() }
}

fn short_lines(_: &Path) -> ConnectorOptions {
    ConnectorOptions { limit: vec!["line-bytes=1MiB".into()], ..ConnectorOptions::default() }
}

fn beside_is_untouched(_: &Outcome, folder: &Path) {
    let secret = std::fs::read_to_string(folder.join("secret")).expect("it is there");
    assert_eq!(secret, "secret");
    for made in ["new", "link", "pipe"] {
        assert!(!folder.join(made).exists(), "{made} was made");
    }
}

fn nobody_came(_: &Outcome, _: &Path) {
    assert_eq!(FORBIDDEN.came(), 0);
}

/// What it left behind went with it.
fn nobody_is_left(outcome: &Outcome, _: &Path) {
    let sleeping = || {
        let all = std::fs::read_dir("/proc").expect("it is there").flatten();
        let mut lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines.any(|line| line == b"sleep\x00609.25\x00")
    };
    for _ in 0..100 {
        if !sleeping() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(!sleeping(), "it is still there: {outcome:#?}");
}

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "process-reads",
        items: &[25, 39],
        what: "a process that reads files that it was not granted",
        attacker: Program,
        operation: Check,
        options: fenced,
        code: "CONNECTOR_CONFIG",
        words: "refused",
        then: beside_is_untouched,
    },
    Attack {
        name: "process-writes",
        items: &[25],
        what: "a process that writes files, links and pipes where it was not granted",
        attacker: Program,
        operation: Check,
        options: fenced,
        code: "CONNECTOR_CONFIG",
        words: "refused",
        then: beside_is_untouched,
    },
    Attack {
        name: "process-connects",
        items: &[25, 34],
        what: "a process that opens sockets without a grant",
        attacker: Program,
        operation: Check,
        options: fenced,
        code: "CONNECTOR_CONFIG",
        words: "refused",
        then: nobody_came,
    },
    Attack {
        name: "process-spies",
        items: &[39, 40, 43],
        what: "a process that looks into its parent, mounts and makes namespaces",
        attacker: Program,
        operation: Check,
        options: fenced,
        code: "CONNECTOR_CONFIG",
        words: "refused",
        then: nothing,
    },
    Attack {
        name: "process-never-answers",
        items: &[6],
        what: "a process that never answers",
        attacker: Program,
        operation: Check,
        options: short_process,
        code: "LIMIT_TIME",
        words: "",
        then: nothing,
    },
    Attack {
        name: "process-line",
        items: &[12],
        what: "a process that writes one line without end",
        attacker: Program,
        operation: Check,
        options: short_lines,
        code: "LIMIT_LINE",
        words: "longer than",
        then: nothing,
    },
    Attack {
        name: "process-noise",
        items: &[12],
        what: "a process that writes 600,000 lines that are no messages",
        attacker: Program,
        operation: Check,
        options: none,
        code: "CONNECTOR_NO_ANSWER",
        words: "",
        then: little_was_heard,
    },
    Attack {
        name: "process-answers-twice",
        items: &[57],
        what: "a process that answers twice: the first answer counts",
        attacker: Program,
        operation: Check,
        options: none,
        code: "-",
        words: "",
        then: nothing,
    },
    Attack {
        name: "process-answers-nothing",
        items: &[57],
        what: "a process that ends without an answer",
        attacker: Program,
        operation: Check,
        options: none,
        code: "CONNECTOR_NO_ANSWER",
        words: "",
        then: nothing,
    },
    Attack {
        name: "process-unknown-stream",
        items: &[57],
        what: "a process that sends rows of a stream that is not in the catalog",
        attacker: Program,
        operation: Read,
        options: none,
        code: "CONNECTOR_PROTOCOL",
        words: "not in the catalog",
        then: nothing,
    },
    Attack {
        name: "process-unknown-state",
        items: &[57],
        what: "a process that sends a state of a stream that is not in the catalog",
        attacker: Program,
        operation: Read,
        options: none,
        code: "CONNECTOR_FAILED",
        words: "",
        then: nothing,
    },
    Attack {
        name: "process-rows-after-end",
        items: &[57],
        what: "a process that sends rows after the end of their stream",
        attacker: Program,
        operation: Read,
        options: none,
        code: "CONNECTOR_FAILED",
        words: "",
        then: nothing,
    },
    Attack {
        name: "process-no-end",
        items: &[57],
        what: "a process that ends well without having ended its stream",
        attacker: Program,
        operation: Read,
        options: none,
        code: "CONNECTOR_FAILED",
        words: "",
        then: nothing,
    },
    Attack {
        name: "process-ends-and-fails",
        items: &[57],
        what: "a process that ends its stream, and then fails",
        attacker: Program,
        operation: Read,
        options: none,
        code: "CONNECTOR_EXIT",
        words: "code 7",
        then: nothing,
    },
    Attack {
        name: "process-torn",
        items: &[57],
        what: "a process that ends in the middle of a row",
        attacker: Program,
        operation: Read,
        options: none,
        code: "RECORD_GARBLED",
        words: "ends too early",
        then: nothing,
    },
    Attack {
        name: "process-not-text",
        items: &[17, 57],
        what: "a process that sends a row that is no text",
        attacker: Program,
        operation: Read,
        options: none,
        code: "RECORD_GARBLED",
        words: "invalid UTF-8",
        then: nothing,
    },
    Attack {
        name: "process-state-torn",
        items: &[57],
        what: "a process that sends half a state: it is a line of the log, and no state",
        attacker: Program,
        operation: Read,
        options: none,
        code: "-",
        words: "",
        then: nothing,
    },
    Attack {
        name: "process-killed",
        items: &[47],
        what: "a process that kills itself amid its rows",
        attacker: Program,
        operation: Read,
        options: none,
        code: "CONNECTOR_EXIT",
        words: "signal 9",
        then: nothing,
    },
    Attack {
        name: "process-incomplete",
        items: &[57],
        what: "a process that says that its stream is not complete, and ends well",
        attacker: Program,
        operation: Read,
        options: none,
        code: "CONNECTOR_FAILED",
        words: "",
        then: nothing,
    },
    Attack {
        name: "process-second-catalog",
        items: &[57],
        what: "a process that sends a catalog amid its rows",
        attacker: Program,
        operation: Read,
        options: none,
        code: "-",
        words: "",
        then: nothing,
    },
    Attack {
        name: "process-leaves-another",
        items: &[46],
        what: "a process that leaves another behind",
        attacker: Program,
        operation: Read,
        options: none,
        code: "-",
        words: "",
        then: nobody_is_left,
    },
];
