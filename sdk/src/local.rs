//! The host's functions that are no port: logging and control. Outside a component they go to the
//! thread's recorder, if a test installed one.

use crate::Failure;
use crate::bindings::logging::Level;

#[cfg(target_family = "wasm")]
pub(crate) fn log(level: Level, message: &str) {
    crate::bindings::logging::log(level, message);
}

#[cfg(target_family = "wasm")]
pub(crate) fn update_config(config: &str) -> Result<(), Failure> {
    crate::bindings::control::update_config(config)
}

#[cfg(not(target_family = "wasm"))]
pub(crate) use native::{log, record, update_config};

#[cfg(not(target_family = "wasm"))]
mod native {
    use std::cell::RefCell;

    use super::{Failure, Level};

    /// What a connector said, in order.
    #[derive(Debug, Default)]
    pub(crate) struct Recorded {
        pub(crate) logs: Vec<(Level, String)>,
        pub(crate) configs: Vec<String>,
    }

    thread_local! {
        static RECORDER: RefCell<Option<Recorded>> = const { RefCell::new(None) };
    }

    pub(crate) fn log(level: Level, message: &str) {
        RECORDER.with_borrow_mut(|recorder| {
            if let Some(recorded) = recorder {
                recorded.logs.push((level, message.to_owned()));
            }
        });
    }

    pub(crate) fn update_config(config: &str) -> Result<(), Failure> {
        RECORDER.with_borrow_mut(|recorder| {
            let recorded = recorder
                .as_mut()
                .ok_or_else(|| Failure::system("there is no host to store a configuration"))?;
            recorded.configs.push(config.to_owned());
            Ok(())
        })
    }

    /// Runs `work` with a recorder on this thread.
    pub(crate) fn record<T>(work: impl FnOnce() -> T) -> (T, Recorded) {
        RECORDER.set(Some(Recorded::default()));
        let result = work();
        (result, RECORDER.take().unwrap_or_default())
    }
}
