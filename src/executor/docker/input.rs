//! A container's stdin.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use tokio::io::AsyncWrite;

use super::attach::Attached;
use super::remains::Held;
use crate::executor::session::{Stdin, Unread};

/// What makes an end out of a host that was killed: first the container, by whatever program speaks
/// to its engine; where there is none, its input stays open until the next host sweeps it away. Where
/// there is no input, its output is nobody's and is at its end at once.
pub(super) const GUARD: &str = r#"IFS= read -r word; [ "$word" = done ] && exit
docker --host "$1" kill "$2" >/dev/null 2>&1 && exit
[ -z "$3" ] || curl -fsS --unix-socket "$3" -X POST "http://docker/containers/$2/kill" >/dev/null 2>&1 && exit
exec cat <&1 >/dev/null"#;

/// The connection's writing end. Dropping it does not end the input: other handles are held.
#[derive(Debug)]
pub(super) struct ContainerInput {
    pub(super) connection: Attached,
    pub(super) held: Arc<Mutex<Held>>,
}

impl AsyncWrite for ContainerInput {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

#[async_trait]
impl Stdin for ContainerInput {
    async fn finish(self: Box<Self>) -> io::Result<Unread> {
        self.connection.end_input()?;
        // It is whole: who holds it open has nothing to hold.
        std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        // What the engine has not taken is seen when it closes the connection.
        Ok(Box::new(|| false))
    }
}
