//! Connectors that nobody here wrote, whose faults are known: from PyPI, each in an environment of its
//! own.

use std::path::Path;

use super::common::{self, Folder};
use super::{codes, details, report};

/// How both are run: the Python of the tests, in environments that later runs find again.
fn package<'a>(requirement: &'a str, root: &'a Path) -> [&'a str; 6] {
    let root = root.to_str().unwrap();
    ["--pip-url", requirement, "--use-python", "3.11", "--install-root", root]
}

/// Gives every text a vector.
const EMBEDS: &str = "import json, sys\n\
    json.dump([[1.0, 2.0, 3.0, float(len(text))] for text in json.load(sys.stdin)], sys.stdout)\n";

#[test]
fn a_source_without_states_is_found() {
    let folder = Folder::new();
    let path = folder.path().canonicalize().unwrap();
    let rows: String =
        (0..50).map(|id| format!("{{\"id\":{id},\"name\":\"row {id}\"}}\n")).collect();
    let file = folder.write("rows.jsonl", &rows);
    let file = file.canonicalize().unwrap();
    let config = format!(
        r#"{{"dataset_name":"rows","format":"jsonl","url":{file:?},"provider":{{"storage":"local"}}}}"#
    );
    let root = common::target().join("test-connectors/validate");
    let mut arguments = vec!["airbyte-source-file", "--config", &config];
    let readable = format!("{}:ro", path.display());
    arguments.extend(["--allow-dir", &readable]);
    arguments.extend(package("airbyte-source-file==0.5.13", &root));
    let (report, code) = report(&folder, &arguments);
    assert_eq!(codes(&report, "failed"), ["READ_STATE"], "{report:#}");
    assert!(details(&report, "READ_STATE").contains("it has no state"), "{report:#}");
    assert_eq!(code, 1);
}

#[test]
fn a_destination_that_ignores_modes_and_drops_what_states_hold_is_found() {
    let folder = Folder::new();
    let path = folder.path().canonicalize().unwrap();
    let script = folder.write("tools/embed.py", EMBEDS);
    let lake = path.join("lake");
    std::fs::create_dir(&lake).unwrap();
    let script = script.canonicalize().unwrap();
    // The Python of its own environment: it sees that one.
    let embeds = format!("python3 {}", script.display());
    let config = format!(
        r#"{{"table_base_path":{lake:?},"embed_mode":"cmd","embed_cmd":{embeds:?},"text_field":"text","embedding_dim":4}}"#
    );
    let root = common::target().join("test-connectors/validate");
    let tools = format!("{}:ro", path.join("tools").display());
    let read_back = format!("files:{}", lake.display());
    let mut arguments = vec!["airbyte-destination-ailake", "--config", &config];
    arguments.extend(["--allow-dir", &tools, "--allow-dir", lake.to_str().unwrap()]);
    arguments.extend(["--read-back", &read_back, "--commit-time", "10s"]);
    arguments.extend(package("airbyte-destination-ailake==0.1.16", &root));
    let (report, code) = report(&folder, &arguments);
    let failed = codes(&report, "failed");
    for rule in ["WRITE_OVERWRITE", "WRITE_STATE_WHOLE", "WRITE_UNLISTED"] {
        assert!(failed.iter().any(|code| code == rule), "{rule}: {report:#}");
    }
    assert!(details(&report, "WRITE_UNLISTED").contains("append_dedup"), "{report:#}");
    // What it does right is not held against it.
    let passed = codes(&report, "passed");
    for rule in ["CHECK_ACCEPTS", "WRITE_ENDS", "WRITE_COMMITS", "WRITE_APPEND"] {
        assert!(passed.iter().any(|code| code == rule), "{rule}: {report:#}");
    }
    assert_eq!(code, 1);
}
