//! A process's stdin.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use tokio::io::AsyncWrite;
use tokio::process::ChildStdin;

use super::guard::Guard;
use crate::executor::session::{Stdin, Unread};

/// The pipe, and what holds it open should we be killed before its end.
#[derive(Debug)]
pub(super) struct ProcessInput {
    pub(super) stdin: ChildStdin,
    pub(super) guard: Option<Guard>,
}

impl AsyncWrite for ProcessInput {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}

#[async_trait]
impl Stdin for ProcessInput {
    async fn finish(self: Box<Self>) -> io::Result<Unread> {
        let pipe = reading_end(&self.stdin);
        let Self { stdin, guard } = *self;
        drop(stdin);
        drop(guard);
        Ok(Box::new(move || {
            let left = pipe.as_ref().map(rustix::io::ioctl_fionread);
            left.is_some_and(|left| left.is_ok_and(|bytes| bytes > 0))
        }))
    }
}

/// Another end to read from. What a destination leaves unread when it exits stays in the pipe as
/// long as there is one, and without it the last writes would look as if they had been read.
fn reading_end(stdin: &ChildStdin) -> Option<File> {
    let path = format!("/proc/self/fd/{}", stdin.as_raw_fd());
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()
}
