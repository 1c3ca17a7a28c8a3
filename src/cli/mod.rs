//! Floor 6: the command line. One file a command; this one knows them all.

mod arguments;
mod author;
mod cache;
mod check;
mod connectors;
mod discover;
mod exec;
mod grants;
mod inspect;
mod logger;
mod output;
mod plan;
mod policy;
mod progress;
mod read;
mod record;
mod runs;
#[cfg(feature = "postgres")]
mod server;
mod signals;
mod spec;
mod state;
mod store;
mod sync;
mod validate;
mod write_back;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use self::arguments::{Arguments, Command};
use self::output::{CliError, Output};
use crate::component::Interruption;
use crate::fault::ExitClass;

/// How long what runs may take to be dropped after a second signal. It yields soon or never.
const DROPPED: Duration = Duration::from_secs(2);

/// Runs the command line and gives the process's exit code.
///
/// # Errors
/// When the runtime cannot be started.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> std::io::Result<ExitCode> {
    // What a panic says may hold what a connector gave, so only its place is printed.
    std::panic::set_hook(Box::new(|panic| {
        let place =
            panic.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        output::write_stderr(&format!("lockgate: a fault of its own{place}\n"));
    }));
    let words: Vec<OsString> = arguments.into_iter().collect();
    let arguments = match Arguments::try_parse_from(&words) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            if code != 0 && output::asks_for_json(&words) {
                output::usage_as_json(&error.render().to_string());
            } else {
                // Help and version are no errors; both go where clap sends them.
                // Whoever stops reading has seen enough.
                let _ = error.print();
            }
            return Ok(ExitCode::from(code));
        }
    };
    if let Command::CompileComponent { for_worker } = arguments.command {
        let interruption = if for_worker { Interruption::Off } else { Interruption::Epochs };
        // Before there are threads: a fence is entered by one.
        crate::component::compile_from_stdin(interruption)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Worker(call) = arguments.command {
        // Says nothing itself, and needs no runtime before it knows its job.
        return crate::sync::serve_worker([call.source, call.destination]);
    }
    let output = arguments.output();
    // A thread for each side of a sync, and two for what they wait for, however few cores there are.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    let result = runtime.block_on(async {
        tokio::select! {
            biased;
            () = signals::asked_again() => Err(CliError::Said(ExitClass::Interrupted.code())),
            result = dispatch(arguments.command, &output) => result,
        }
    });
    if signals::was_asked_again() {
        // What runs on its own is dropped, too, and leaves what is removed below.
        runtime.shutdown_timeout(DROPPED);
    } else {
        // A thread that waits for our own stdin cannot be told to stop.
        runtime.shutdown_background();
    }
    crate::executor::finish_removals();
    Ok(match result {
        Ok(()) if output::is_lost() => ExitCode::FAILURE,
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.exit_code())
        }
    })
}

async fn dispatch(command: Command, output: &Output) -> Result<(), CliError> {
    match command {
        Command::Spec(call) => spec::run(&call, output).await,
        Command::Check(call) => check::run(&call, output).await,
        Command::Discover(call) => discover::run(&call, output).await,
        Command::Sync(call) => sync::run(*call, output).await,
        Command::Read(call) => read::run(&call, output).await,
        Command::New(call) => author::new(&call, output),
        Command::Build(call) => author::build(&call, output),
        Command::Validate(call) => validate::run(&call, output).await,
        Command::Exec(call) => exec::run(&call, output).await,
        // Run without a runtime, above.
        Command::CompileComponent { .. } => Ok(()),
        Command::Inspect(call) => inspect::run(&call, output).await,
        Command::State(call) => state::run(call, output).await,
        Command::Cache(call) => cache::run(&call, output).await,
        Command::Policy(call) => policy::run(&call, output).await,
        Command::Runs(call) => runs::run(&call, output).await,
        Command::Connectors(call) => connectors::run(&call, output).await,
        // It has a runtime of its own, and was answered before.
        Command::Worker(_) => Ok(()),
    }
}
