//! Connectors with one fault each, for `lockgate validate` to find, and a source and a destination
//! without one: what they do right is here, once.

mod destination;
mod source;

pub use destination::{Destination, DestinationFault};
pub use lockgate_sdk;
pub use source::{Config, OpenConfig, Source, SourceFault};

/// Makes a source with a fault the component's one.
#[macro_export]
macro_rules! source {
    ($fault:ident) => {
        $crate::source!($fault, $crate::Config);
    };
    ($fault:ident, $config:ty) => {
        $crate::lockgate_sdk::export_source!(
            $crate::Source<{ $crate::SourceFault::$fault as u8 }, $config>
        );
    };
}

/// Makes a destination with a fault the component's one.
#[macro_export]
macro_rules! destination {
    ($fault:ident) => {
        $crate::lockgate_sdk::export_destination!(
            $crate::Destination<{ $crate::DestinationFault::$fault as u8 }>
        );
    };
}
