//! Syncs source-faker into destination-jsonl from Rust: two components, a granted directory, and a
//! state store, so that a second run moves only what is new.
//!
//! ```text
//! scripts/build-guests source-faker destination-jsonl
//! cargo run --example sync            # 1000 users
//! cargo run --example sync -- 1500    # 500 more
//! ```

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use lockgate::protocol::Json;
use lockgate::{ConnectorOptions, Host, SqliteStateStore, WriteOptions, WriteStrategy};

fn main() -> Result<(), Box<dyn Error>> {
    let count: u64 = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 1000,
    };
    tokio::runtime::Runtime::new()?.block_on(sync(count))
}

async fn sync(count: u64) -> Result<(), Box<dyn Error>> {
    #[expect(clippy::disallowed_methods, reason = "where the guests were built")]
    let target = PathBuf::from(std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into()));
    // Relative paths of connectors and of grants begin here.
    let folder = std::path::absolute(target)?.join("example-sync");
    std::fs::create_dir_all(folder.join("out"))?;
    let host = Host::new().in_folder(&folder);

    let source = host.get_source(
        "../guests/source-faker.wasm",
        // Nothing is granted: it makes its rows up.
        &ConnectorOptions::default(),
        Json::parse(format!(r#"{{"count":{count}}}"#))?,
    )?;
    let destination = host.get_destination(
        "../guests/destination-jsonl.wasm",
        &ConnectorOptions { allow_dir: vec!["out::/out".into()], ..ConnectorOptions::default() },
        Json::parse(r#"{"path":"/out"}"#)?,
    )?;

    let options = WriteOptions {
        // The key of its states.
        connection: Some("example".into()),
        strategy: WriteStrategy::Append,
        state: Some(Arc::new(SqliteStateStore::open(&folder.join(".lockgate/state.db"))?)),
        lock_folder: Some(folder.join(".lockgate")),
        ..WriteOptions::default()
    };
    match destination.write(&source, &options).await {
        Ok(result) => {
            let words = if result.report.resumed { "went on" } else { "began" };
            say(&format!("it {words}, and committed {} rows", result.records_committed()));
            for stream in &result.report.streams {
                say(&format!(
                    "  {}: {} ({})",
                    stream.name, stream.records_committed, stream.status
                ));
            }
            Ok(())
        }
        Err(failure) => {
            // What was confirmed before it is stored: the same call goes on there.
            let kept = failure.report.as_ref().map_or(0, |report| report.records_committed);
            say(&format!("{kept} rows were committed before it failed"));
            Err(failure)
        }
    }
}

#[expect(clippy::print_stdout, reason = "printing is what this example does")]
fn say(text: &str) {
    println!("{text}");
}
