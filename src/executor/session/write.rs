//! A destination on stdin and stdout: messages go in while acknowledgements come out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::feed::{Fed, Feed};
use super::{Call, Launch, Started, Stdout};
use crate::executor::stdio::{AckError, Acks, LineReader, lines_error, note};
use crate::executor::{Context, ExecutorError};
use crate::protocol::{
    Catalog, Commit, DestinationInput, Failure, Json, LogLevel, Message, MessageError,
    StateMessage, Trace,
};

/// How long what a destination said may take to arrive after its end.
const LAST_WORDS: Duration = Duration::from_millis(200);

pub(super) async fn write(
    executor: &impl Launch,
    context: &Context,
    config: &Json,
    catalog: &Catalog,
    input: Arc<dyn DestinationInput>,
) -> Result<(), ExecutorError> {
    let call = Call::new("write")
        .file("config", config.get())
        .file("catalog", catalog.to_airbyte().to_string());
    let call = Call { with_stdin: true, ..call };
    let Started { connector, stdin, stdout } = executor.start(call, context).await?;
    let Some(stdin) = stdin else {
        return Err(ExecutorError::Io { what: "stdin", reason: "it is missing".into() });
    };
    let acks = Arc::new(Mutex::new(Acks::default()));
    let feeding = Feed::new(stdin, catalog, acks.clone()).run(input.clone());
    let listening = listen(stdout, executor.limits().line_bytes, context, input.clone(), acks);
    tokio::pin!(feeding, listening);
    // Moved behind what holds stdin, so that who drops this kills the process before its input ends.
    let mut connector = connector;

    // The output may end first: then the destination is gone, whatever it left unread.
    let mut fed = None;
    let mut overdue = false;
    let stop_time = executor.limits().stop_time;
    let heard = loop {
        tokio::select! {
            biased;
            heard = &mut listening => break heard,
            // It reads no more, so it has nothing left to say.
            () = tokio::time::sleep(stop_time), if matches!(fed, Some(Fed::Refused)) => {
                overdue = true;
                break Ok(None);
            }
            end = &mut feeding, if fed.is_none() => match end {
                Fed::Stopped(error, stdin) => {
                    // What it confirmed before it ended counts, so it is heard out.
                    let stopping = connector.stop();
                    tokio::pin!(stopping);
                    let (stopped, heard) = tokio::select! {
                        stopped = &mut stopping => (stopped, false),
                        _ = &mut listening => (stopping.await, true),
                    };
                    if !heard {
                        let _ = tokio::time::timeout(LAST_WORDS, &mut listening).await;
                    }
                    stopped?;
                    drop(stdin);
                    return Err(error);
                }
                end => fed = Some(end),
            },
        }
    };
    let fault = match heard {
        Ok(fault) => fault,
        Err(error) => {
            connector.stop().await?;
            return Err(error);
        }
    };
    if fault.is_some() && !matches!(fed, Some(Fed::All(_))) {
        connector.stop().await?;
    } else if overdue {
        connector.stop_overdue("it had stopped reading its input").await?;
    } else {
        connector.wait().await?;
    }
    let early = match &fed {
        Some(Fed::All(unread)) => unread(),
        _ => true,
    };
    match (fault, connector.ended(early)) {
        (Some(failure), _) => Err(failure.into()),
        (None, Some(error)) => Err(error),
        (None, None) => Ok(input.committed(vec![Commit::Finished]).await?),
    }
}

/// Reads what the destination says until it ends, or fails: then its word is the result.
async fn listen(
    stdout: Stdout,
    line_bytes: usize,
    context: &Context,
    input: Arc<dyn DestinationInput>,
    acks: Arc<Mutex<Acks>>,
) -> Result<Option<Failure>, ExecutorError> {
    let mut reader = LineReader::new(stdout, line_bytes);
    while reader.fill().await.map_err(lines_error)? {
        let mut echoes = Vec::new();
        let heard = hear(&mut reader, context, &acks, &mut echoes).await;
        // All that came at once is stored at once, also what came before a word that ends it.
        if !echoes.is_empty() {
            input.committed(echoes).await?;
        }
        if let Some(fault) = heard? {
            return Ok(Some(fault));
        }
    }
    Ok(None)
}

/// Takes the lines that are there. Gives the failure that the destination tells of.
async fn hear(
    reader: &mut LineReader<Stdout>,
    context: &Context,
    acks: &Mutex<Acks>,
    echoes: &mut Vec<Commit>,
) -> Result<Option<Failure>, ExecutorError> {
    let mut number = reader.number();
    while let Some(line) = reader.next_line().map_err(lines_error)? {
        number += 1;
        let protocol =
            |e: String| ExecutorError::Protocol(format!("line {number} of its output: {e}"));
        match Message::decode(line) {
            Ok(Message::State(body)) => {
                let echo = StateMessage::from_airbyte(Json::from(body))
                    .map_err(|e| protocol(e.to_string()))?;
                let acknowledged =
                    acks.lock().unwrap_or_else(PoisonError::into_inner).acknowledge(&echo);
                let (checkpoint, whole) =
                    acknowledged.map_err(|error| ExecutorError::Acknowledgement {
                        said: format!("line {number} of its output: {error}"),
                        changed: matches!(error, AckError::Changed(_)),
                    })?;
                let stats = echo.destination_stats();
                echoes.push(Commit::Echo { checkpoint, stats, whole });
            }
            Ok(Message::Trace(Trace::Error { message, detail, kind, stream })) => {
                context.observer.log(LogLevel::Error, &message);
                return Ok(Some(Failure { kind, message, detail, stream, retry_after_ms: None }));
            }
            Ok(Message::Log(log)) => context.observer.log(log.level(), &log.message),
            Ok(Message::Control(control)) => {
                context.observer.update_config(Json::from(control.config)).await?;
            }
            Ok(Message::Record(_)) => {
                let what = format!("line {number} of its output is a RECORD");
                return Err(ExecutorError::Protocol(what));
            }
            Ok(_) => {}
            Err(MessageError::NotAMessage) => note(context, line),
            Err(e) => {
                let text = format!("line {number} of the destination's output: {e}");
                context.observer.log(LogLevel::Warn, &text);
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::executor::ProcessExecutor;
    use crate::protocol::{EmittedAt, Event, Observer, Rows};
    use crate::sandbox::Policy;

    struct Deaf;

    #[async_trait::async_trait]
    impl Observer for Deaf {
        fn log(&self, _: LogLevel, _: &str) {}

        async fn update_config(&self, _: Json) -> Result<(), Failure> {
            Ok(())
        }

        fn decided(&self, _: &crate::protocol::Decision) {}
    }

    /// Gives its rows, and waits for ever.
    struct Given(Mutex<VecDeque<&'static str>>);

    #[async_trait::async_trait]
    impl DestinationInput for Given {
        async fn next(&self) -> Result<Option<Event>, Failure> {
            let row = self.0.lock().unwrap().pop_front();
            let Some(row) = row else { return std::future::pending().await };
            Ok(Some(Event::Rows(Rows {
                stream: 0,
                count: 1,
                data: row.as_bytes().to_vec(),
                emitted_at: EmittedAt::All(0),
                meta: Vec::new(),
                parsed: false,
            })))
        }

        async fn committed(&self, _: Vec<Commit>) -> Result<(), Failure> {
            Ok(())
        }
    }

    /// A destination that takes the end of its input for a whole one, and does not hear a SIGTERM.
    const FINALISES: &str = "#!/bin/sh\ntrap '' TERM\ncat > \"$OUT/rows\"\ntouch \"$OUT/whole\"\n";

    fn write_rows(rows: &[&'static str], patience: Duration) -> (bool, Option<ExecutorError>) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("destination");
        std::fs::write(&program, FINALISES).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut policy = Policy::default();
        policy.allow_env(&format!("OUT={}", folder.path().display())).unwrap();
        policy.allow_dir_in(folder.path(), ".").unwrap();
        policy.limits.stop_time = Duration::from_millis(300);
        let executor = ProcessExecutor::new(program, policy).unwrap();
        let catalog = Catalog::from_airbyte(
            r#"{"streams":[{"stream":{"name":"a","json_schema":{}},"sync_mode":"full_refresh",
            "destination_sync_mode":"overwrite"}]}"#,
        )
        .unwrap();
        let input = Arc::new(Given(Mutex::new(rows.iter().copied().collect())));
        let context = Context::new(Arc::new(Deaf));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let error = runtime.unwrap().block_on(async {
            let config = Json::empty_object();
            let writing = write(&executor, &context, &config, &catalog, input);
            let ended = tokio::time::timeout(patience, writing).await;
            // Long enough for a destination that took the end for a whole input.
            tokio::time::sleep(Duration::from_millis(200)).await;
            ended.ok().and_then(Result::err)
        });
        (folder.path().join("whole").exists(), error)
    }

    #[test]
    fn a_row_that_cannot_be_passed_on_is_no_end_of_input() {
        let (whole, error) = write_rows(&["{}\n", "{\n"], Duration::from_secs(30));
        assert!(error.unwrap().to_string().contains("not one JSON object"));
        assert!(!whole);
    }

    #[test]
    fn who_drops_a_write_does_not_end_its_input() {
        let (whole, error) = write_rows(&["{}\n"], Duration::from_millis(500));
        assert!(error.is_none());
        assert!(!whole);
    }
}
