//! What a sync holds of its connection: the lock on this machine, and the lease in its store.
//!
//! The lock goes with its process and its worker, however they end. The lease holds off other hosts,
//! and ends by itself when it is not renewed. A host that slept past its end finds it lost: from then
//! on nothing is stored, and the sync is broken off.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::lock::{ConnectionLock, SOON};
use super::write::blocking;
use super::{ErrorReport, SyncError, SyncFailure, WriteOptions, WriteResult};
use crate::executor::{Cancel, Canceller};
use crate::state::{Fenced, Holder, LeaseTimes, StateStore, StateStoreError};

/// Held while a sync runs; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Holding {
    lock: Option<ConnectionLock>,
    leased: Option<Leased>,
}

/// A lease that is renewed.
#[derive(Debug)]
struct Leased {
    store: Arc<Fenced>,
    renewing: JoinHandle<()>,
}

impl Holding {
    /// Takes a connection. The options that come with it write states under the lease, and stop the
    /// sync when that is lost.
    pub(super) async fn take(
        connection: &str,
        options: &WriteOptions,
    ) -> Result<(Self, WriteOptions), SyncError> {
        let store = options.state.as_ref();
        let lock = match &options.lock_folder {
            Some(folder) => {
                Some(lock(store, connection, || ConnectionLock::take(folder, connection)).await?)
            }
            None => None,
        };
        let Some(store) = store else {
            return Ok((Self { lock, leased: None }, options.clone()));
        };
        let (key, time) = (connection.to_owned(), options.lease.lease);
        let holder = Holder::this_process(options.run.clone());
        let since = Instant::now();
        let acquired = blocking(store, move |store| store.acquire(&key, &holder, time));
        // A server may take its time. What is acquired for nobody ends by itself.
        let lease = tokio::select! {
            biased;
            () = told(options.cancel.as_ref()) => return Err(SyncError::Cancelled),
            lease = acquired => lease?,
        };
        let store = Arc::new(Fenced::new(store.clone(), lease));
        let (canceller, cancel) = Cancel::new();
        let renewing = renew(store.clone(), options.lease, since);
        let renewing = stop(renewing, store.clone(), options.cancel.clone(), canceller);
        let leased = Leased { store: store.clone(), renewing: tokio::spawn(renewing) };
        let options = WriteOptions { state: Some(store), cancel: Some(cancel), ..options.clone() };
        Ok((Self { lock, leased: Some(leased) }, options))
    }

    /// The lock, for a worker to hold as well.
    pub(super) fn lock(&self) -> Option<&ConnectionLock> {
        self.lock.as_ref()
    }

    /// Gives the connection back, and says of a sync that failed when it had lost it that this is why.
    pub(super) async fn end(
        mut self,
        result: Result<WriteResult, Box<SyncFailure>>,
    ) -> Result<WriteResult, Box<SyncFailure>> {
        let lost = self.leased.as_ref().filter(|leased| leased.store.is_lost());
        let lost = lost.map(|leased| leased.store.lease().connection.clone());
        if let Some(back) = self.back() {
            // What cannot be given back ends by itself.
            let _ = tokio::task::spawn_blocking(back).await;
        }
        match (result, lost) {
            (Err(mut failure), Some(connection)) => {
                failure.error = StateStoreError::Lost { connection }.into();
                if let Some(report) = &mut failure.report {
                    report.error = Some(ErrorReport::new(&failure.error));
                }
                Err(failure)
            }
            (result, _) => result,
        }
    }

    /// What gives it back: the lease first, so that whoever gets the lock gets that as well.
    fn back(&mut self) -> Option<impl FnOnce() + Send + 'static> {
        let leased = self.leased.take()?;
        leased.renewing.abort();
        let lock = self.lock.take();
        Some(move || {
            let _ = leased.store.release(leased.store.lease());
            drop(lock);
        })
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if let Some(back) = self.back() {
            // Nobody may wait here. A thread that cannot be begun leaves the lease to its end.
            let _ = std::thread::Builder::new().name("lockgate-release".into()).spawn(back);
        }
    }
}

/// Takes the lock of a connection. The worker of a sync that was killed this moment still holds it,
/// until it has noticed; whoever runs is named at once.
async fn lock(
    store: Option<&Arc<dyn StateStore>>,
    connection: &str,
    take: impl Fn() -> Result<ConnectionLock, SyncError>,
) -> Result<ConnectionLock, SyncError> {
    let end = Instant::now() + SOON;
    loop {
        let busy = match take() {
            Err(busy @ SyncError::Busy { .. }) => busy,
            result => return result,
        };
        let held = match store {
            Some(store) => {
                let key = connection.to_owned();
                blocking(store, move |store| store.held(&key)).await?
            }
            None => None,
        };
        let is_late = Instant::now() >= end;
        match held {
            Some(held) if is_late || !held.ended => return Err(held.refusal(connection).into()),
            None if is_late => return Err(busy),
            _ => tokio::time::sleep(SOON / 50).await,
        }
    }
}

/// Waits until the operator says stop, where anybody can.
async fn told(cancel: Option<&Cancel>) {
    match cancel {
        Some(cancel) => cancel.cancelled().await,
        None => std::future::pending().await,
    }
}

/// Says stop when the operator does, or when the lease is lost.
async fn stop(
    renewing: impl Future<Output = ()>,
    store: Arc<Fenced>,
    outer: Option<Cancel>,
    canceller: Canceller,
) {
    let told = async {
        told(outer.as_ref()).await;
        canceller.cancel();
        // The lease is held until the sync has ended.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = told => {}
        () = renewing => {
            store.lose();
            canceller.cancel();
        }
    }
}

/// Renews a lease, and ends when it is lost: when its store says so, or has said nothing for as long
/// as it lasts. `since`: before it was taken.
async fn renew(store: Arc<Fenced>, times: LeaseTimes, since: Instant) {
    let mut good = since;
    let mut wait = times.renewal;
    loop {
        tokio::time::sleep(wait).await;
        let asked = Instant::now();
        // A host that slept asks before it gives up: nobody may have come meanwhile.
        let end = (good + times.lease).max(asked + times.renewal);
        let of = store.clone();
        let renewal = tokio::task::spawn_blocking(move || of.renew(of.lease(), times.lease));
        match tokio::time::timeout_at(end, renewal).await {
            Ok(Ok(Ok(()))) => (good, wait) = (asked, times.renewal),
            Ok(Ok(Err(StateStoreError::Lost { .. }))) => return,
            // Asked again sooner, as long as the lease lasts.
            Ok(_) if good.elapsed() < times.lease => wait = retry(times.renewal),
            Ok(_) | Err(_) => return,
        }
    }
}

/// Between two renewals where the first failed.
fn retry(renewal: Duration) -> Duration {
    renewal / 5
}
