//! A fault of the host ends one operation.
//!
//! The attack: a connector that finds an assertion of the host, or of a library under it, and ends the
//! whole process with it: its neighbours' syncs too. A panic is caught at the operation's edge;
//! whatever the operation owned (its store, its process) is dropped with it and not used again.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use super::ExecutorError;

/// Runs an operation; a panic in it becomes [`ExecutorError::Panic`].
pub(crate) async fn guarded<T>(
    operation: &'static str,
    running: impl Future<Output = Result<T, ExecutorError>>,
) -> Result<T, ExecutorError> {
    let mut running = std::pin::pin!(running);
    poll_fn(move |context| {
        // Nothing of it is seen again after a panic: the future is dropped and never polled.
        match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
            Ok(polled) => polled,
            Err(panic) => {
                let reason = reason(panic.as_ref());
                Poll::Ready(Err(ExecutorError::Panic { operation, reason }))
            }
        }
    })
    .await
}

/// What a panic says of itself, at a length for a message.
fn reason(panic: &(dyn Any + Send)) -> String {
    const LONGEST: usize = 256;
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        _ => "it does not say why",
    };
    text[..text.floor_char_boundary(LONGEST)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let result: Result<(), _> = guarded("check", async {
            tokio::task::yield_now().await;
            panic!("{}", "é".repeat(1000))
        })
        .await;
        let Err(ExecutorError::Panic { operation: "check", reason }) = result else {
            panic!("{result:?}");
        };
        assert_eq!(reason.len(), 256);
    }

    #[tokio::test]
    async fn everything_else_passes() {
        assert_eq!(guarded("check", async { Ok(1) }).await.ok(), Some(1));
    }
}
