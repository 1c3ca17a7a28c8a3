//! Floor 0: what flows. Airbyte's messages, catalogs and states, the batches and events of the
//! contract in `wit/v0.1`, and the two traits through which they move. Data and codecs only:
//! nothing here starts a connector, opens a file or decides anything.

mod batch;
mod catalog;
mod decision;
mod descriptor;
mod failure;
mod flow;
mod json;
mod message;
mod scan;
mod spec;
mod state;

pub(crate) use batch::now_ms;
pub use batch::{EmittedAt, Event, Outcome, RowMeta, Rows, RowsError, StreamStatus, StreamTotal};
pub use catalog::{
    Catalog, CatalogError, ConfiguredStream, DestinationSyncMode, DiscoveredStream, SyncMode,
};
pub use decision::{Capability, Decision};
pub use descriptor::StreamDescriptor;
pub use failure::{Failure, FailureKind, Retry};
pub use flow::{Commit, DestinationInput, LogLevel, Observer, SourceOutput};
pub use json::{Json, JsonError, kind_of};
pub use message::{
    ConnectionStatus, Control, Estimate, LogBody, Message, MessageError, RecordBody, Trace,
    looks_like_record,
};
pub(crate) use scan::members;
pub use spec::{Need, Specification};
pub use state::{StateError, StateMessage, StateScope, Stats, StreamPart};
