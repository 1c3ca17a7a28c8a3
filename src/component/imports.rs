//! The contract's imports, on the host's side: what a guest calls.

use wasmtime::Result;

use super::bindings::{control, input, logging, output, types};
use super::convert;
use super::store::Guest;
use crate::protocol::{Commit, Failure, FailureKind, Observer as _};

type Answer<T> = Result<Result<T, types::Failure>>;

fn answer<T>(result: std::result::Result<T, Failure>) -> Answer<T> {
    Ok(result.map_err(convert::wit_failure))
}

/// A function of the other world, or one called where it has no meaning.
fn misplaced(function: &str) -> Failure {
    let message = format!("{function} can only be called while the sync runs");
    Failure::new(FailureKind::System, message)
}

impl Guest {
    /// An answer to a source, remembered where it is a failure.
    fn noted<T>(&mut self, result: std::result::Result<T, Failure>) -> Answer<T> {
        if let Err(failure) = &result {
            self.refused.get_or_insert_with(|| failure.clone());
        }
        answer(result)
    }
}

impl types::Host for Guest {}

impl logging::Host for Guest {
    async fn log(&mut self, level: logging::Level, message: String) -> Result<()> {
        self.logs.log(convert::level(level), &message);
        Ok(())
    }
}

impl control::Host for Guest {
    async fn update_config(&mut self, config: String) -> Answer<()> {
        let config = match convert::object(config, "update-config") {
            Ok(config) => config,
            Err(failure) => return answer(Err(failure)),
        };
        let observer = self.observer.clone();
        answer(observer.update_config(config).await)
    }
}

impl output::Host for Guest {
    async fn emit(&mut self, batch: output::Rows) -> Answer<()> {
        let Some(output) = self.output.clone() else { return answer(Err(misplaced("emit"))) };
        match convert::rows(batch, &self.limits) {
            Ok(rows) => self.noted(output.emit(rows).await),
            Err(failure) => self.noted(Err(failure)),
        }
    }

    async fn checkpoint(&mut self, state: output::State) -> Answer<u64> {
        let Some(output) = self.output.clone() else { return answer(Err(misplaced("checkpoint"))) };
        match convert::state(state, &self.limits) {
            Ok(state) => self.noted(output.checkpoint(state).await),
            Err(failure) => self.noted(Err(failure)),
        }
    }

    async fn status(&mut self, stream: u32, status: output::StreamStatus) -> Answer<()> {
        let Some(output) = self.output.clone() else { return answer(Err(misplaced("status"))) };
        self.noted(output.status(stream, convert::status(status)).await)
    }

    async fn estimate(&mut self, stream: u32, rows: Option<u64>, bytes: Option<u64>) -> Result<()> {
        if let Some(output) = &self.output {
            output.estimate(stream, rows, bytes);
        }
        Ok(())
    }
}

impl input::Host for Guest {
    async fn next(&mut self) -> Answer<Option<input::Event>> {
        let Some(input) = self.input.clone() else { return answer(Err(misplaced("next"))) };
        answer(input.next().await.map(|event| event.map(convert::event)))
    }

    async fn committed(&mut self, checkpoint: u64, totals: Vec<input::StreamTotal>) -> Answer<()> {
        let Some(input) = self.input.clone() else { return answer(Err(misplaced("committed"))) };
        let totals = convert::totals(totals);
        answer(input.committed(vec![Commit::Through { checkpoint, totals }]).await)
    }
}
