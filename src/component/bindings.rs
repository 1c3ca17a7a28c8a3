//! The contract of `wit/v0.1`, bound for the host. Imports run on the guest's fiber: a host
//! function that waits suspends the guest.

/// The world of sources.
pub(super) mod source {
    wasmtime::component::bindgen!({
        path: "wit/v0.1",
        world: "source-connector",
        imports: { default: async | trappable },
        exports: { default: async },
    });
}

/// The world of destinations; it shares the source world's types and host interfaces.
pub(super) mod destination {
    wasmtime::component::bindgen!({
        path: "wit/v0.1",
        world: "destination-connector",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "lockgate:connector/types": super::source::lockgate::connector::types,
            "lockgate:connector/logging": super::source::lockgate::connector::logging,
            "lockgate:connector/control": super::source::lockgate::connector::control,
        },
    });
}

pub(super) use destination::lockgate::connector::input;
pub(super) use source::lockgate::connector::{control, logging, output, types};
