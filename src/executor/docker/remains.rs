//! All of a run that has to be removed, and that it is.
//!
//! The attack, or the accident: a deadline, an error or a signal ends an operation while its
//! container runs. The container goes on with the password that it was given, and the files that hold
//! it stay. What is dropped is removed by a thread that needs no runtime; whoever ends the process
//! waits for those threads ([`finish_removals`]).

use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bollard::query_parameters::RemoveContainerOptionsBuilder;

use super::engine::{Engine, is_absent};
use super::files::Files;
use super::network;
use crate::executor::process::Guard;

/// How long, in ms, a container is waited for before each attempt, where a request to make it may
/// still be on its way.
const ON_ITS_WAY: [u64; 4] = [0, 500, 2000, 5000];
/// The same, where a removal that was begun before may be under way: the engine then says so, and not
/// when it is over.
const UNDER_WAY: [u64; 6] = [0, 100, 200, 500, 1000, 2000];
/// What a removal may take besides what the engine takes: all of [`ON_ITS_WAY`], and some.
const SLACK: Duration = Duration::from_secs(10);

/// How long what runs may take to be dropped once its runtime is going away.
const DROPPED: Duration = Duration::from_secs(2);

/// What there is of this process's containers.
#[derive(Debug)]
struct There {
    /// Runs that are not over.
    alive: usize,
    /// Until when each of the removals that are under way may take.
    removals: Vec<Instant>,
}

static THERE: (Mutex<There>, Condvar) =
    (Mutex::new(There { alive: 0, removals: Vec::new() }), Condvar::new());

fn there() -> MutexGuard<'static, There> {
    THERE.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until what was dropped of containers is removed, or until an engine does not answer in time.
pub(crate) fn finish_removals() {
    let dropped = Instant::now() + DROPPED;
    let mut there = there();
    loop {
        let alive = (there.alive > 0).then_some(dropped);
        let Some(until) = there.removals.iter().copied().chain(alive).max() else { return };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let waited = THERE.1.wait_timeout(there, left);
        (there, _) = waited.unwrap_or_else(PoisonError::into_inner);
    }
}

/// A run that is not over.
#[derive(Debug)]
pub(super) struct Alive(());

impl Alive {
    fn new() -> Self {
        there().alive += 1;
        Self(())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        there().alive -= 1;
        THERE.1.notify_all();
    }
}

/// A removal that is under way.
struct Removal(Instant);

impl Removal {
    fn begin(time: Duration) -> Self {
        let until = Instant::now() + time + SLACK;
        there().removals.push(until);
        Self(until)
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        let mut there = there();
        if let Some(place) = there.removals.iter().position(|until| *until == self.0) {
            there.removals.swap_remove(place);
        }
        THERE.1.notify_all();
    }
}

/// What ends a container with its host, and holds a destination's input open until it is gone.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// A handle of the connection.
    pub(super) _connection: Option<OwnedFd>,
    /// Ends the container if we are killed.
    pub(super) _guard: Option<Guard>,
}

/// How far the making of a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// It was not asked for, or the engine has refused.
    Not,
    /// It was asked for, and the engine has not answered: it may come yet.
    Asked,
    /// It is there.
    Yes,
}

/// All of a run that has to be removed. Does so when it is dropped, without the runtime.
#[derive(Debug)]
pub(super) struct Remains {
    pub(super) engine: Engine,
    /// By its name: it may be there before its ID is known.
    pub(super) name: String,
    pub(super) made: Made,
    pub(super) network: Option<network::Own>,
    pub(super) has_network: bool,
    pub(super) files: Option<Files>,
    pub(super) held: Arc<Mutex<Held>>,
    is_removed: bool,
    /// None in what is being removed.
    _alive: Option<Alive>,
}

impl Remains {
    /// Of a run that has nothing yet.
    pub(super) fn new(engine: &Engine, run: &str) -> Self {
        Self {
            engine: engine.clone(),
            name: network::name(run),
            made: Made::Not,
            network: None,
            has_network: false,
            files: None,
            held: Arc::default(),
            is_removed: false,
            _alive: Some(Alive::new()),
        }
    }

    /// Removes everything. What cannot be removed now is tried again when this is dropped.
    pub(super) async fn remove(&mut self) {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let removing = self.engine.docker.remove_container(&self.name, Some(options));
        let may_come = self.made == Made::Asked;
        let removing = async {
            match removing.await {
                Err(error) if is_absent(&error) && !may_come => Ok(()),
                other => other,
            }
        };
        let mut done = self.engine.ask(removing).await.is_ok();
        drop(self.network.take());
        if self.has_network {
            done &= self.engine.ask(self.engine.docker.remove_network(&self.name)).await.is_ok();
        }
        self.is_removed = done;
        if done {
            self.let_go();
        }
    }

    fn let_go(&mut self) {
        std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        self.files = None;
    }

    fn remove_blocking(&mut self) {
        let waits: &[u64] = match self.made {
            Made::Asked => &ON_ITS_WAY,
            Made::Not | Made::Yes => &UNDER_WAY,
        };
        for wait in waits {
            std::thread::sleep(Duration::from_millis(*wait));
            let path = format!("/containers/{}?force=true&v=true", self.name);
            match self.engine.send_blocking("DELETE", &path) {
                Ok(status) if status < 300 => break,
                Ok(404) if self.made != Made::Asked => break,
                _ => {}
            }
        }
        drop(self.network.take());
        if self.has_network {
            let _ = self.engine.send_blocking("DELETE", &format!("/networks/{}", self.name));
        }
        self.is_removed = true;
        self.let_go();
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        if self.is_removed {
            return;
        }
        // At once, whatever the engine does: nobody is meant to read them any more.
        self.files = None;
        let rest = Self {
            engine: self.engine.clone(),
            name: self.name.clone(),
            made: self.made,
            network: self.network.take(),
            has_network: self.has_network,
            files: None,
            held: std::mem::take(&mut self.held),
            is_removed: false,
            _alive: None,
        };
        // What is left when this process is killed is swept by the next, and the container is ended
        // by its guard.
        let removal = Removal::begin(self.engine.time);
        let rest = Arc::new(Mutex::new(Some((rest, removal))));
        let work = {
            let rest = rest.clone();
            move || {
                let taken = rest.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some((mut rest, _removal)) = taken {
                    rest.remove_blocking();
                }
            }
        };
        let thread = std::thread::Builder::new().name("lockgate-remove".into());
        if thread.spawn(work).is_err() {
            // There is no thread to be had.
            let taken = rest.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((mut rest, _removal)) = taken {
                rest.remove_blocking();
            }
        }
    }
}
