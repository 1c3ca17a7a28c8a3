//! The two sides of a sync, in turn on one thread, and on two when one of them computes for long.
//!
//! Nothing interrupts a guest in a worker, so how its turns are run decides what it can hold up. On
//! the threads of an ordinary runtime, whatever a guest has woken waits for that guest to end its
//! turn. With a thread to each side nothing waits, and rows that only pass through cost twice as
//! much: every batch is then moved from one core's cache to the other's. So both sides have one
//! thread, on which a batch is read where it was written, and a second one steps in for the side
//! that waits when a turn has lasted for a millisecond.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

/// A turn that lasts for longer does not hold up the other side.
const LONG: Duration = Duration::from_millis(1);
/// Waits of that length until a place counts as taken for good.
const LEAVING: u32 = 1000;
/// Between two looks, where nothing has had a turn for a while.
const RESTING: Duration = Duration::from_millis(20);
/// Looks without a turn until that is so.
const PATIENT: u32 = 100;

type Side = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Both sides.
pub(super) struct Turns {
    slots: [Slot; 2],
    runner: OnceLock<Thread>,
    /// Of the runner: odd while it lasts.
    turn: AtomicU64,
}

/// One side.
#[derive(Default)]
struct Slot {
    /// None: nothing runs.
    side: Mutex<Option<Side>>,
    /// It was woken since its last turn began.
    woken: AtomicBool,
}

/// Wakes a side.
struct Alarm {
    turns: Arc<Turns>,
    place: usize,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.turns.slots[self.place].woken.store(true, Ordering::SeqCst);
        if let Some(runner) = self.turns.runner.get() {
            runner.unpark();
        }
    }
}

impl Turns {
    /// Starts both threads, which go on as long as this process. What runs on them finds the
    /// runtime it was called in.
    pub(super) fn start() -> std::io::Result<Arc<Self>> {
        let turns = Arc::new(Self {
            slots: Default::default(),
            runner: OnceLock::new(),
            turn: AtomicU64::new(0),
        });
        let runtime = tokio::runtime::Handle::current();
        let (here, entered) = (turns.clone(), runtime.clone());
        let runner = std::thread::Builder::new().name("lockgate-guests".into());
        let runner = runner.spawn(move || {
            let _entered = entered.enter();
            here.run();
        })?;
        let _ = turns.runner.set(runner.thread().clone());
        let here = turns.clone();
        std::thread::Builder::new().name("lockgate-helper".into()).spawn(move || {
            let _entered = runtime.enter();
            here.help();
        })?;
        Ok(turns)
    }

    /// Runs a side to its end. Where the one before it was left behind in its turn there is no place
    /// for another: it is let go of, and so is what would tell of its result.
    pub(super) async fn spawn(
        self: &Arc<Self>,
        place: usize,
        side: impl Future<Output = ()> + Send + 'static,
    ) {
        for _ in 0..LEAVING {
            // The last turn of the one before may be about to end.
            if let Some(mut held) = self.slots[place].free() {
                *held = Some(Box::pin(side));
                drop(held);
                self.waker(place).wake();
                return;
            }
            tokio::time::sleep(LONG).await;
        }
    }

    fn waker(self: &Arc<Self>, place: usize) -> Waker {
        Waker::from(Arc::new(Alarm { turns: self.clone(), place }))
    }

    fn run(self: &Arc<Self>) {
        let wakers = [self.waker(0), self.waker(1)];
        loop {
            let mut any = false;
            for (slot, waker) in self.slots.iter().zip(&wakers) {
                any |= slot.take_turn(waker, Some(&self.turn));
            }
            if !any {
                // Whoever wakes a side after we looked has left a token, and this returns at once.
                std::thread::park();
            }
        }
    }

    /// Looks whether a turn lasts, and gives the other side its own here meanwhile.
    fn help(self: &Arc<Self>) {
        let wakers = [self.waker(0), self.waker(1)];
        let (mut seen, mut idle) = (0, 0);
        loop {
            std::thread::sleep(if idle < PATIENT { LONG } else { RESTING });
            let turn = self.turn.load(Ordering::SeqCst);
            if turn != seen {
                (seen, idle) = (turn, 0);
            } else if turn % 2 == 1 {
                for (slot, waker) in self.slots.iter().zip(&wakers) {
                    while slot.take_turn(waker, None) {}
                }
            } else {
                idle += 1;
            }
        }
    }
}

impl Slot {
    /// The side, unless it has its turn.
    fn free(&self) -> Option<MutexGuard<'_, Option<Side>>> {
        match self.side.try_lock() {
            Ok(held) => Some(held),
            Err(TryLockError::Poisoned(held)) => Some(held.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Gives the side a turn, if it was woken and has none elsewhere. Who has it looks again
    /// afterwards, so that nothing that woke it meanwhile is lost.
    fn take_turn(&self, waker: &Waker, turn: Option<&AtomicU64>) -> bool {
        if !self.woken.load(Ordering::SeqCst) {
            return false;
        }
        let Some(mut held) = self.free() else { return false };
        if !self.woken.swap(false, Ordering::SeqCst) {
            return false;
        }
        let Some(side) = held.as_mut() else { return false };
        if let Some(turn) = turn {
            turn.fetch_add(1, Ordering::SeqCst);
        }
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| {
            side.as_mut().poll(&mut Context::from_waker(waker))
        }));
        if let Some(turn) = turn {
            turn.fetch_add(1, Ordering::SeqCst);
        }
        if !matches!(polled, Ok(Poll::Pending)) {
            // Ended, or a fault of ours: whoever waits for its result is told by its drop.
            *held = None;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::{mpsc, oneshot};

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    }

    async fn soon<T>(result: oneshot::Receiver<T>) -> Option<T> {
        tokio::time::timeout(Duration::from_secs(20), result).await.expect("it ends").ok()
    }

    #[test]
    fn both_sides_come_to_their_end() {
        runtime().block_on(async {
            let turns = Turns::start().unwrap();
            let (sender, mut receiver) = mpsc::channel(4);
            let (done, sum) = oneshot::channel();
            turns
                .spawn(0, async move {
                    for n in 0..100_000_u64 {
                        sender.send(n).await.unwrap();
                        if n % 10_000 == 0 {
                            // Woken from elsewhere.
                            tokio::time::sleep(Duration::from_millis(2)).await;
                        }
                    }
                })
                .await;
            turns
                .spawn(1, async move {
                    let mut sum = 0;
                    while let Some(n) = receiver.recv().await {
                        sum += n;
                    }
                    done.send(sum).unwrap();
                })
                .await;
            assert_eq!(soon(sum).await, Some(100_000 * 99_999 / 2));
            // And the places can be had again.
            let (done, again) = oneshot::channel();
            turns.spawn(1, async move { done.send(7).unwrap() }).await;
            assert_eq!(soon(again).await, Some(7));
        });
    }

    #[test]
    fn who_never_ends_its_turn_holds_up_nobody() {
        for spinning in [0, 1] {
            runtime().block_on(async move {
                let turns = Turns::start().unwrap();
                let (sender, mut receiver) = mpsc::channel(4);
                let rounds = Arc::new(AtomicUsize::new(0));
                let (counted, (done, ended)) = (rounds.clone(), oneshot::channel());
                turns
                    .spawn(spinning, async move {
                        sender.send(()).await.unwrap();
                        // What it woke has to have its turn while this one lasts.
                        while counted.load(Ordering::SeqCst) < 50 {
                            std::hint::spin_loop();
                        }
                    })
                    .await;
                turns
                    .spawn(1 - spinning, async move {
                        receiver.recv().await.unwrap();
                        for _ in 0..50 {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                            rounds.fetch_add(1, Ordering::SeqCst);
                        }
                        done.send(()).unwrap();
                    })
                    .await;
                assert_eq!(soon(ended).await, Some(()));
            });
        }
    }

    #[test]
    fn a_fault_ends_its_own_side_only() {
        runtime().block_on(async {
            let turns = Turns::start().unwrap();
            let (done, faulty) = oneshot::channel::<()>();
            turns
                .spawn(0, async move {
                    let _done = done;
                    tokio::task::yield_now().await;
                    panic!("a fault on purpose");
                })
                .await;
            assert_eq!(soon(faulty).await, None);
            let (done, ended) = oneshot::channel();
            turns.spawn(1, async move { done.send(()).unwrap() }).await;
            assert_eq!(soon(ended).await, Some(()));
        });
    }
}
