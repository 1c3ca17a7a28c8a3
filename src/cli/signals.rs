//! SIGINT and SIGTERM: a person's Ctrl-C, or a supervisor's word.
//!
//! The attack, or the accident: a signal ends this process, and a connector that it started goes on
//! with the password that it was given. The first signal ends the command in order. The second drops
//! all that runs; what that leaves of containers is removed before the process ends. The third, or a
//! second that leads nowhere in time, ends the process as it is.

use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::output::{CliError, Output};
use super::record::Recording;
use crate::executor::Cancel;
use crate::fault::{ExitClass, Fault};

/// How long a second signal may take to end the process in order.
const LAST: Duration = Duration::from_secs(15);

/// Whether it was asked for a second time.
static AGAIN: std::sync::LazyLock<watch::Sender<bool>> =
    std::sync::LazyLock::new(|| watch::Sender::new(false));

/// What a command that a signal ended says.
#[derive(Debug, thiserror::Error)]
#[error("a signal stopped it")]
struct Stopped;

impl Fault for Stopped {
    fn code(&self) -> &'static str {
        "CANCELLED"
    }

    fn exit(&self) -> ExitClass {
        ExitClass::Interrupted
    }
}

/// Does `first` at the first signal. Later ones are listened to in a thread that nothing holds up.
/// Once in a process.
pub(super) fn listen(first: impl FnOnce() + Send + 'static) {
    // Where there is no thread or no handler, a signal ends the process as it always did.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    let thread = std::thread::Builder::new().name("lockgate-signals".into());
    let _ = thread.spawn(move || {
        runtime.block_on(async {
            let Some(mut signals) = Signals::new() else { return };
            signals.next().await;
            first();
            signals.next().await;
            AGAIN.send_replace(true);
            let _ = tokio::time::timeout(LAST, signals.next()).await;
            #[expect(clippy::disallowed_methods, reason = "the third signal asks for it")]
            std::process::exit(130);
        });
    });
}

/// Hears of the first signal, and of a trail that can no longer be written: then what runs is to end in
/// order. Once in a process.
pub(super) fn stop(recording: &Recording, output: Output) -> Cancel {
    let (canceller, cancel) = Cancel::new();
    let lost = canceller.clone();
    recording.on_loss(move || lost.cancel());
    listen(move || {
        output.note("stopping; ask again (Ctrl-C) to end at once");
        canceller.cancel();
    });
    cancel
}

/// Runs something that a signal ends: it is dropped then.
pub(super) async fn until_stopped<T>(
    running: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let (stop, stopped) = oneshot::channel();
    listen(move || {
        // It may have ended just now.
        let _ = stop.send(());
    });
    tokio::select! {
        biased;
        Ok(()) = stopped => Err(CliError::Fault(Box::new(Stopped))),
        result = running => result,
    }
}

/// Waits for a second signal.
pub(super) async fn asked_again() {
    let mut again = AGAIN.subscribe();
    if again.wait_for(|again| *again).await.is_err() {
        std::future::pending().await
    }
}

/// Whether there was a second signal.
pub(super) fn was_asked_again() -> bool {
    *AGAIN.borrow()
}

/// Both signals; none is missed between two waits.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Some(Self {
            interrupt: signal(SignalKind::interrupt()).ok()?,
            terminate: signal(SignalKind::terminate()).ok()?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
