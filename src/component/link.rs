//! What a component is linked against: the contract, and the WASI interfaces that open nothing.

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Engine, Store};

use super::bindings::{control, destination, input, logging, output, source};
use super::contract::Kind;
use super::filesystem::HasFiles;
use super::network;
use super::store::Guest;

/// One half of the contract, linked: what is left is to instantiate it.
#[derive(Clone)]
pub(super) enum Linked {
    Source(source::SourceConnectorPre<Guest>),
    Destination(destination::DestinationConnectorPre<Guest>),
}

/// One half of the contract, instantiated.
pub(super) enum Instance {
    Source(source::SourceConnector),
    Destination(destination::DestinationConnector),
}

impl Linked {
    pub(super) async fn instantiate(&self, store: &mut Store<Guest>) -> wasmtime::Result<Instance> {
        Ok(match self {
            Self::Source(pre) => Instance::Source(pre.instantiate_async(store).await?),
            Self::Destination(pre) => Instance::Destination(pre.instantiate_async(store).await?),
        })
    }
}
/// Links a component against the contract and the WASI interfaces that open nothing; and against the
/// network, which lets through what the policy grants, where it imports that.
pub(super) fn link(
    engine: &Engine,
    compiled: &wasmtime::component::Component,
    kind: Kind,
    with_network: bool,
) -> wasmtime::Result<Linked> {
    let mut linker = Linker::<Guest>::new(engine);
    link_wasi(&mut linker)?;
    if with_network {
        network::link(&mut linker)?;
    }
    logging::add_to_linker::<_, HasSelf<_>>(&mut linker, |g| g)?;
    control::add_to_linker::<_, HasSelf<_>>(&mut linker, |g| g)?;
    Ok(match kind {
        Kind::Source => {
            output::add_to_linker::<_, HasSelf<_>>(&mut linker, |g| g)?;
            let pre = linker.instantiate_pre(compiled)?;
            Linked::Source(source::SourceConnectorPre::new(pre)?)
        }
        Kind::Destination => {
            input::add_to_linker::<_, HasSelf<_>>(&mut linker, |g| g)?;
            let pre = linker.instantiate_pre(compiled)?;
            Linked::Destination(destination::DestinationConnectorPre::new(pre)?)
        }
    })
}

/// The interfaces that `contract::HARMLESS` lists, one by one: what is not named here is not there.
fn link_wasi(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    use wasmtime_wasi::cli::{WasiCli, WasiCliView};
    use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
    use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
    use wasmtime_wasi::random::WasiRandom;
    use wasmtime_wasi::{ResourceTable, WasiView};
    use wasmtime_wasi_io::bindings::wasi::io;

    /// The interfaces of `wasi:io` need the table only.
    struct HasIo;
    impl wasmtime::component::HasData for HasIo {
        type Data<'a> = &'a mut ResourceTable;
    }

    io::error::add_to_linker::<_, HasIo>(linker, |g| WasiView::ctx(g).table)?;
    io::poll::add_to_linker::<_, HasIo>(linker, |g| WasiView::ctx(g).table)?;
    io::streams::add_to_linker::<_, HasIo>(linker, |g| WasiView::ctx(g).table)?;
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(linker, Guest::clocks)?;
    clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(linker, Guest::clocks)?;
    filesystem::types::add_to_linker::<_, HasFiles>(linker, Guest::files)?;
    filesystem::preopens::add_to_linker::<_, HasFiles>(linker, Guest::files)?;
    random::random::add_to_linker::<_, WasiRandom>(linker, |g| WasiView::ctx(g).ctx.random())?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, |g| WasiView::ctx(g).ctx.random())?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, |g| {
        WasiView::ctx(g).ctx.random()
    })?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    Ok(())
}
