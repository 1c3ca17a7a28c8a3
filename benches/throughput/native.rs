//! A native destination that counts: what a careful author writes against Airbyte's protocol, with
//! serde_json and a borrowed envelope. Each line is parsed to its end; a row's value is not built.

use std::io::{BufRead, Write};

use serde::Deserialize;
use serde_json::value::RawValue;

/// The first argument that turns the benchmark into this program.
pub(crate) const NAME: &str = "native-count";

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow, default)]
    record: Option<Record<'a>>,
}

#[derive(Deserialize)]
struct Record<'a> {
    stream: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Reads messages on stdin, counts records, echoes states.
pub(crate) fn count() {
    let stdin = std::io::stdin().lock();
    let mut reader = std::io::BufReader::with_capacity(256 << 10, stdin);
    let mut stdout = std::io::stdout().lock();
    let mut line = Vec::new();
    let mut records = 0_u64;
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).expect("stdin") == 0 {
            break;
        }
        let message: Message<'_> = serde_json::from_slice(&line).expect("a message");
        match (message.kind, message.record) {
            ("RECORD", Some(record)) => {
                assert!(record.stream == "rows" && record.data.get().starts_with('{'));
                records += 1;
            }
            ("STATE", _) => stdout.write_all(&line).expect("stdout"),
            _ => {}
        }
    }
    writeln!(stdout, r#"{{"type":"LOG","log":{{"level":"INFO","message":"{records} records"}}}}"#)
        .expect("stdout");
}
