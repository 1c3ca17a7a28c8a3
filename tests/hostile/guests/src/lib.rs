//! What the attacking guests share: a source and a destination that behave, of which an attack
//! replaces one function. The attacks are the files in `examples/`, one behaviour each.
//!
//! An attack that tries something and can go on says what came of it: [`refused`] answers with a
//! failure of kind `config` that holds the host's reason, [`reached`] with one of kind `system`.

pub mod wasi;

use lockgate_sdk::Failure as Failed;
use lockgate_sdk::bindings::types::DestinationSyncMode;
pub use lockgate_sdk::bindings::types::{
    Catalog, DiscoveredStream, RowFormat, Specification, State, StreamDescriptor, StreamState,
    SyncMode,
};
pub use lockgate_sdk::bindings::{input, logging, output};
pub use lockgate_sdk::{Failure, log};
use output::{Rows, StreamStatus};

/// Rows of a source that behaves.
pub const ROWS: u32 = 10;

/// A source that behaves, but for what an attack replaces.
pub trait Source {
    /// As the contract says.
    fn spec() -> Specification {
        specification()
    }

    /// As the contract says.
    fn check(_config: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// As the contract says.
    fn discover() -> Result<Vec<DiscoveredStream>, Failure> {
        Ok(vec![stream("rows")])
    }

    /// As the contract says.
    fn read(_catalog: &Catalog) -> Result<(), Failure> {
        begin()?;
        emit(ROWS)?;
        complete()
    }
}

/// A destination that behaves, but for what an attack replaces.
pub trait Destination {
    /// As the contract says.
    fn check() -> Result<(), Failure> {
        Ok(())
    }

    /// As the contract says.
    fn write(_catalog: &Catalog) -> Result<(), Failure> {
        take(|| Ok(()))
    }
}

/// Makes and exports the type that implements [`Source`].
#[macro_export]
macro_rules! source {
    ($attack:ident) => {
        /// The attack.
        #[derive(Debug)]
        pub struct $attack;

        impl lockgate_sdk::bindings::source::Guest for $attack {
            fn spec() -> $crate::Specification {
                <$attack as $crate::Source>::spec()
            }
            fn check(config: String) -> Result<(), $crate::Failure> {
                <$attack as $crate::Source>::check(&config)
            }
            fn discover(_: String) -> Result<Vec<$crate::DiscoveredStream>, $crate::Failure> {
                <$attack as $crate::Source>::discover()
            }
            fn read(
                _: String,
                catalog: $crate::Catalog,
                _: Vec<$crate::State>,
            ) -> Result<(), $crate::Failure> {
                <$attack as $crate::Source>::read(&catalog)
            }
        }
        #[cfg(target_family = "wasm")]
        lockgate_sdk::bindings::source::export!($attack with_types_in lockgate_sdk::bindings::source);
    };
}

/// Makes and exports the type that implements [`Destination`].
#[macro_export]
macro_rules! destination {
    ($attack:ident) => {
        /// The attack.
        #[derive(Debug)]
        pub struct $attack;

        impl lockgate_sdk::bindings::destination::Guest for $attack {
            fn spec() -> $crate::Specification {
                $crate::specification()
            }
            fn check(_: String) -> Result<(), $crate::Failure> {
                <$attack as $crate::Destination>::check()
            }
            fn write(_: String, catalog: $crate::Catalog) -> Result<(), $crate::Failure> {
                <$attack as $crate::Destination>::write(&catalog)
            }
        }
        #[cfg(target_family = "wasm")]
        lockgate_sdk::bindings::destination::export!(
            $attack with_types_in lockgate_sdk::bindings::destination
        );
    };
}

/// A specification that asks for nothing.
#[must_use]
pub fn specification() -> Specification {
    Specification {
        name: "hostile".to_owned(),
        version: "0.0.1".to_owned(),
        documentation_url: None,
        config_schema: r#"{"type":"object"}"#.to_owned(),
        destination_sync_modes: vec![DestinationSyncMode::Append],
        formats: vec![RowFormat::JsonLines],
        needs: Vec::new(),
        extra: "{}".to_owned(),
    }
}

/// A stream of a name.
#[must_use]
pub fn stream(name: &str) -> DiscoveredStream {
    DiscoveredStream {
        descriptor: StreamDescriptor::new(name),
        json_schema: r#"{"type":"object"}"#.to_owned(),
        sync_modes: vec![SyncMode::FullRefresh],
        source_defined_cursor: false,
        default_cursor_field: Vec::new(),
        source_defined_primary_key: Vec::new(),
        resumable: false,
        extra: "{}".to_owned(),
    }
}

/// Begins the first stream.
///
/// # Errors
/// The host's.
pub fn begin() -> Result<(), Failure> {
    output::status(0, StreamStatus::Started)
}

/// Emits rows of the first stream.
///
/// # Errors
/// The host's.
pub fn emit(count: u32) -> Result<(), Failure> {
    output::emit(&batch(0, count, "{\"a\":1}\n".repeat(count as usize).into_bytes()))
}

/// A batch.
#[must_use]
pub fn batch(stream: u32, count: u32, data: Vec<u8>) -> Rows {
    Rows { stream, count, data, emitted_at: Vec::new(), meta: Vec::new() }
}

/// Ends the first stream well.
///
/// # Errors
/// The host's.
pub fn complete() -> Result<(), Failure> {
    output::status(0, StreamStatus::Complete)
}

/// A checkpoint of the first stream with a state as it is.
///
/// # Errors
/// The host's.
pub fn checkpoint(state: String) -> Result<(), Failure> {
    let state = StreamState { descriptor: StreamDescriptor::new("rows"), state: Some(state) };
    output::checkpoint(&State::Stream(state)).map(|_| ())
}

/// Takes the whole input as a destination that behaves, and does something at each event.
///
/// # Errors
/// The host's.
pub fn take(mut each: impl FnMut() -> Result<(), Failure>) -> Result<(), Failure> {
    let mut totals: Vec<input::StreamTotal> = Vec::new();
    while let Some(event) = input::next()? {
        each()?;
        match event {
            input::Event::Rows(rows) => {
                let found = totals.iter().position(|t| t.stream == rows.stream);
                let place = found.unwrap_or_else(|| {
                    let (stream, none) = (rows.stream, 0);
                    totals.push(input::StreamTotal {
                        stream,
                        written: none,
                        rejected: none,
                        bytes: none,
                    });
                    totals.len() - 1
                });
                totals[place].written += u64::from(rows.count);
                totals[place].bytes += rows.data.len() as u64;
            }
            input::Event::Checkpoint(id) => input::committed(id, &totals)?,
            input::Event::StreamEnd(_) | input::Event::Flush => {}
        }
    }
    Ok(())
}

/// Never returns and never calls the host.
pub fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

/// The host refused what was tried, for this reason.
///
/// # Errors
/// Always.
pub fn refused(why: impl std::fmt::Debug) -> Result<(), Failure> {
    Err(Failed::config(format!("refused: {why:?}")))
}

/// The attack got where it should not.
///
/// # Errors
/// Always.
pub fn reached(what: impl std::fmt::Display) -> Result<(), Failure> {
    Err(Failed::system(format!("REACHED: {what}")))
}

/// Each of these must have been refused; the first that was not is what is reported.
///
/// # Errors
/// Always: [`refused`] with every reason, or [`reached`].
pub fn all_refused<T, E: std::fmt::Debug>(
    tried: impl IntoIterator<Item = (String, Result<T, E>)>,
) -> Result<(), Failure> {
    let mut reasons: Vec<String> = Vec::new();
    for (what, result) in tried {
        match result {
            Ok(_) => return reached(what),
            Err(why) => reasons.push(format!("{why:?}")),
        }
    }
    reasons.sort();
    reasons.dedup();
    refused(reasons)
}
