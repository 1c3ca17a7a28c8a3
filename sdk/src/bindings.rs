//! The raw contract: what `wit/v0.1/connector.wit` says, as Rust.
//!
//! A connector rarely needs this module. [`types`] holds the records the rest of the crate hands
//! out; the functions of [`input`], [`output`], [`logging`] and [`control`] are the host's and panic
//! outside a component; [`source`] and [`destination`] export a connector without the checks of
//! [`Source`](crate::Source) and [`Destination`](crate::Destination), which tests of a host need.

pub use imports::lockgate::connector::{control, input, logging, output, types};

#[expect(missing_docs, reason = "generated: the contract documents what matters")]
mod imports {
    wit_bindgen::generate!({
        world: "lockgate:sdk/imports",
        path: "wit",
        additional_derives: [PartialEq],
        generate_all,
        generate_unused_types: true,
    });
}

/// The source's side of the contract.
#[expect(missing_docs, reason = "generated: the contract documents what matters")]
pub mod source {
    /// Exports a type that implements [`Guest`]: `export!(Name with_types_in lockgate_sdk::bindings::source)`.
    pub use export_source_world as export;
    pub use exports::lockgate::connector::source::Guest;

    wit_bindgen::generate!({
        world: "lockgate:sdk/source",
        path: "wit",
        with: { "lockgate:connector/types@0.1.0": crate::bindings::types },
        pub_export_macro: true,
        default_bindings_module: "lockgate_sdk::bindings::source",
        export_macro_name: "export_source_world",
    });
}

/// The destination's side of the contract.
#[expect(missing_docs, reason = "generated: the contract documents what matters")]
pub mod destination {
    /// Exports a type that implements [`Guest`]: `export!(Name with_types_in lockgate_sdk::bindings::destination)`.
    pub use export_destination_world as export;
    pub use exports::lockgate::connector::destination::Guest;

    wit_bindgen::generate!({
        world: "lockgate:sdk/destination",
        path: "wit",
        with: { "lockgate:connector/types@0.1.0": crate::bindings::types },
        pub_export_macro: true,
        default_bindings_module: "lockgate_sdk::bindings::destination",
        export_macro_name: "export_destination_world",
    });
}
