//! A process's stdout, that ends when the process has.
//!
//! The attack: a connector starts a helper that inherits its stdout, and ends. The pipe stays open
//! as long as the helper lives, and whoever waits for its end waits for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::process::ChildStdout;
use tokio::time::Sleep;

/// How long the pipe must be empty after the process's end. What the process wrote is there at
/// once; this only covers a helper that still finishes a line.
const QUIET: Duration = Duration::from_secs(1);

/// Reads everything the process wrote, and no longer.
pub(super) struct Stdout {
    pipe: ChildStdout,
    exit: Pin<Box<dyn Future<Output = ()> + Send>>,
    exited: bool,
    quiet: Option<Pin<Box<Sleep>>>,
}

impl Stdout {
    /// `exit` is ready when the process has ended.
    pub(super) fn new(pipe: ChildStdout, exit: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { pipe, exit: Box::pin(exit), exited: false, quiet: None }
    }
}

impl AsyncRead for Stdout {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // What is in the pipe comes first, however long the process has been gone.
        if let Poll::Ready(read) = Pin::new(&mut this.pipe).poll_read(cx, buffer) {
            this.quiet = None;
            return Poll::Ready(read);
        }
        if !this.exited {
            this.exited = this.exit.as_mut().poll(cx).is_ready();
        }
        if this.exited {
            let quiet = this.quiet.get_or_insert_with(|| Box::pin(tokio::time::sleep(QUIET)));
            if quiet.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }
}
