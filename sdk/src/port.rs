//! Where a connector meets its host.
//!
//! In a component the ports are the contract's imports. Elsewhere anything may stand in for the
//! host: the doubles of [`testing`](crate::testing), or a benchmark that runs the same connector
//! natively. One call moves one batch, so a port costs nothing a row.

use crate::Failure;
use crate::bindings::input::{Event, StreamTotal};
use crate::bindings::output::StreamStatus;
use crate::bindings::types::{Rows, State};

/// What a source calls; see the contract's `output` interface.
///
/// A port of one's own runs a source where there is no host, such as in a benchmark:
///
/// ```
/// use lockgate_sdk::Failure;
/// use lockgate_sdk::bindings::output::StreamStatus;
/// use lockgate_sdk::bindings::types::{Rows, State};
/// use lockgate_sdk::port::OutputPort;
///
/// #[derive(Default)]
/// struct Count {
///     rows: u64,
///     checkpoints: u64,
/// }
///
/// impl OutputPort for Count {
///     fn emit(&mut self, batch: &Rows) -> Result<(), Failure> {
///         self.rows += u64::from(batch.count);
///         Ok(())
///     }
///
///     fn checkpoint(&mut self, _: &State) -> Result<u64, Failure> {
///         self.checkpoints += 1;
///         Ok(self.checkpoints)
///     }
///
///     fn status(&mut self, _: u32, _: StreamStatus) -> Result<(), Failure> {
///         Ok(())
///     }
///
///     fn estimate(&mut self, _: u32, _: Option<u64>, _: Option<u64>) {}
/// }
///
/// // lockgate_sdk::source::read::<MySource>(config, &catalog, states, &mut Count::default())
/// # let _ = Count::default();
/// ```
pub trait OutputPort {
    /// Takes a batch, once there is room for it.
    ///
    /// # Errors
    /// The source must stop.
    fn emit(&mut self, batch: &Rows) -> Result<(), Failure>;

    /// Takes a state that covers every row emitted so far; returns the checkpoint's id.
    ///
    /// # Errors
    /// The source must stop.
    fn checkpoint(&mut self, state: &State) -> Result<u64, Failure>;

    /// Takes a stream's status.
    ///
    /// # Errors
    /// The source must stop.
    fn status(&mut self, stream: u32, status: StreamStatus) -> Result<(), Failure>;

    /// Takes a guess of a stream's size.
    fn estimate(&mut self, stream: u32, rows: Option<u64>, bytes: Option<u64>);
}

/// What a destination calls; see the contract's `input` interface.
///
/// ```
/// use lockgate_sdk::Failure;
/// use lockgate_sdk::bindings::input::{Event, StreamTotal};
/// use lockgate_sdk::port::InputPort;
///
/// /// Nothing to write, and one checkpoint.
/// #[derive(Default)]
/// struct Nothing {
///     given: bool,
/// }
///
/// impl InputPort for Nothing {
///     fn next(&mut self) -> Result<Option<Event>, Failure> {
///         let first = !std::mem::replace(&mut self.given, true);
///         Ok(first.then_some(Event::Checkpoint(1)))
///     }
///
///     fn committed(&mut self, _: u64, _: &[StreamTotal]) -> Result<(), Failure> {
///         Ok(())
///     }
/// }
///
/// // lockgate_sdk::destination::write::<MyDestination>(config, &catalog, &mut Nothing::default())
/// # let _ = Nothing::default();
/// ```
pub trait InputPort {
    /// Waits for the next event; none at the end.
    ///
    /// # Errors
    /// The destination must stop and finish nothing.
    fn next(&mut self) -> Result<Option<Event>, Failure>;

    /// Takes the news that everything before a checkpoint is durable.
    ///
    /// # Errors
    /// The destination must stop.
    fn committed(&mut self, checkpoint: u64, totals: &[StreamTotal]) -> Result<(), Failure>;
}

/// The contract's imports. Its methods panic outside a component.
#[derive(Clone, Copy, Debug, Default)]
pub struct Imports;

impl OutputPort for Imports {
    fn emit(&mut self, batch: &Rows) -> Result<(), Failure> {
        crate::bindings::output::emit(batch)
    }

    fn checkpoint(&mut self, state: &State) -> Result<u64, Failure> {
        crate::bindings::output::checkpoint(state)
    }

    fn status(&mut self, stream: u32, status: StreamStatus) -> Result<(), Failure> {
        crate::bindings::output::status(stream, status)
    }

    fn estimate(&mut self, stream: u32, rows: Option<u64>, bytes: Option<u64>) {
        crate::bindings::output::estimate(stream, rows, bytes);
    }
}

impl InputPort for Imports {
    fn next(&mut self) -> Result<Option<Event>, Failure> {
        crate::bindings::input::next()
    }

    fn committed(&mut self, checkpoint: u64, totals: &[StreamTotal]) -> Result<(), Failure> {
        crate::bindings::input::committed(checkpoint, totals)
    }
}
