//! How a container ended, as far as the engine tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bollard::errors::Error;
use bollard::query_parameters::{EventsOptionsBuilder, WaitContainerOptionsBuilder};
use futures_util::StreamExt;

use super::engine::{Engine, is_absent, said};

/// How often an engine that does not know how a container is doing is asked again.
const AGAIN: u32 = 10;

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exit {
    /// By itself, or by what we sent it. `oom`: the kernel ended something of it.
    Code { code: i64, oom: bool },
    /// By a signal that somebody else sent it through the engine.
    Killed(String),
    /// Somebody removed it.
    Removed,
    /// The engine does not say any more.
    Lost(String),
}

/// Waits for a container's end, and finds out what it was.
pub(super) async fn watch_end(engine: Engine, id: String, told: Arc<AtomicBool>) -> Exit {
    let began = SystemTime::now();
    let code = match exit_code(&engine, &id).await {
        Ok(code) => code,
        Err(exit) => return exit,
    };
    let found = engine.ask(async {
        match engine.docker.inspect_container(&id, None).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    });
    let told = told.load(Ordering::Relaxed);
    match found.await {
        Ok(None) if !told => Exit::Removed,
        Ok(found) => {
            let state = found.and_then(|found| found.state);
            let dead = state.as_ref().and_then(|s| s.dead).unwrap_or(false);
            let oom = state.and_then(|s| s.oom_killed).unwrap_or(false);
            if !oom
                && !told
                && (code > 128 || dead)
                && let Some(exit) = killer(&engine, &id, began).await
            {
                // Who removes it kills it first.
                return if is_removed_soon(&engine, &id).await { Exit::Removed } else { exit };
            }
            Exit::Code { code, oom }
        }
        // The code is known, and that is more than nothing.
        Err(_) => Exit::Code { code, oom: false },
    }
}

async fn exit_code(engine: &Engine, id: &str) -> Result<i64, Exit> {
    let mut reason = String::new();
    for _ in 0..AGAIN {
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let mut waiting = engine.docker.wait_container(id, Some(options));
        match waiting.next().await {
            Some(Ok(answer)) => return Ok(answer.status_code),
            // Not an error: how every other end than 0 is told.
            Some(Err(Error::DockerContainerWaitError { code, .. })) => return Ok(code),
            Some(Err(error)) if is_absent(&error) => return Err(Exit::Removed),
            Some(Err(error)) => reason = said(&error),
            None => reason = "the engine ended the connection".into(),
        }
        drop(waiting);
        match engine.docker.inspect_container(id, None).await {
            Err(error) if is_absent(&error) => return Err(Exit::Removed),
            Err(error) => reason = said(&error),
            Ok(found) => {
                let state = found.state.unwrap_or_default();
                if state.running == Some(false) {
                    return Ok(state.exit_code.unwrap_or(-1));
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Err(Exit::Lost(reason))
}

/// Whether a container that was killed is being removed.
async fn is_removed_soon(engine: &Engine, id: &str) -> bool {
    for _ in 0..AGAIN {
        if let Err(error) = engine.docker.inspect_container(id, None).await {
            return is_absent(&error);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// Who sent it a signal through the engine, which remembers for a while. It is asked only about an
/// end that looks like that.
async fn killer(engine: &Engine, id: &str, began: SystemTime) -> Option<Exit> {
    let seconds = |time: SystemTime| {
        let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        format!("{}.{:09}", time.as_secs(), time.subsec_nanos())
    };
    let filters =
        std::collections::HashMap::from([("container", vec![id]), ("type", vec!["container"])]);
    let options = EventsOptionsBuilder::default()
        .since(&seconds(began))
        .until(&seconds(SystemTime::now()))
        .filters(&filters)
        .build();
    let asking = async {
        let mut events = engine.docker.events(Some(options));
        while let Some(Ok(event)) = events.next().await {
            if event.action.as_deref() == Some("kill") {
                let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
                let signal = attributes.get("signal").cloned().unwrap_or_default();
                return Some(Exit::Killed(format!("signal {signal}")));
            }
        }
        None
    };
    tokio::time::timeout(engine.time.min(Duration::from_secs(5)), asking).await.ok().flatten()
}
