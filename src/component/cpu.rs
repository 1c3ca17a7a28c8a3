//! The CPU time of an operation.
//!
//! The attack: a guest that stays under its deadline, or has none, and computes all the while. What is
//! counted is the thread's own clock around each turn of the guest, with what the host does for it; a
//! guest that computes is made to give up its turn at each tick, so a turn is short. Waiting costs
//! nothing.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The CPU time is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UsedUp;

/// Runs a future until it has used `limit` of CPU time.
pub(super) async fn limited<F: Future>(limit: Duration, running: F) -> Result<F::Output, UsedUp> {
    let mut running = std::pin::pin!(running);
    let mut used = Duration::ZERO;
    std::future::poll_fn(move |context| turn(running.as_mut(), context, &mut used, limit)).await
}

fn turn<F: Future>(
    running: Pin<&mut F>,
    context: &mut Context<'_>,
    used: &mut Duration,
    limit: Duration,
) -> Poll<Result<F::Output, UsedUp>> {
    let before = thread_time();
    let polled = running.poll(context);
    *used += thread_time().saturating_sub(before);
    match polled {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending if *used >= limit => Poll::Ready(Err(UsedUp)),
        Poll::Pending => Poll::Pending,
    }
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_costs_nothing() {
        let waiting = tokio::time::sleep(Duration::from_millis(50));
        assert_eq!(limited(Duration::from_millis(20), waiting).await, Ok(()));
    }

    #[tokio::test]
    async fn computing_ends() {
        let computing = async {
            loop {
                let mut sum = 0_u64;
                for n in 0..100_000_u64 {
                    sum = std::hint::black_box(sum.wrapping_add(n));
                }
                tokio::task::yield_now().await;
            }
        };
        let result: Result<(), UsedUp> = limited(Duration::from_millis(20), computing).await;
        assert_eq!(result, Err(UsedUp));
    }
}
