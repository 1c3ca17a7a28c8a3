//! The operations that ask for one answer: `spec`, `check`, `discover`.

use std::time::Duration;

use tokio::time::Instant;

use super::{Call, Launch, Started, within};
use crate::executor::stdio::{LineReader, lines_error, note};
use crate::executor::{Context, ExecutorError};
use crate::protocol::{
    DiscoveredStream, Failure, Json, LogLevel, Message, MessageError, Specification, Trace,
};

/// How long a connector that has answered may take to end, whatever it still says: it does not count.
const GOODBYE: Duration = Duration::from_secs(2);

/// What came after an answer, which should be the only one.
#[derive(Debug, Default)]
struct After {
    /// More answers.
    again: usize,
    /// An error that it told of, before or after.
    fault: Option<Failure>,
    /// How it ended, if not well and by itself.
    exit: Option<String>,
}

impl After {
    /// What is wrong with it. A refusal may be told of in other ways too, and end with any code.
    fn fault(self, refused: bool) -> Option<ExecutorError> {
        let what = match self {
            Self { again: 1.., .. } => "it answered more than once".to_owned(),
            Self { fault: Some(failure), .. } if !refused => {
                format!("it answered, and told of an error: {}", failure.message)
            }
            Self { exit: Some(how), .. } if !refused => format!("it answered, and {how}"),
            _ => return None,
        };
        Some(ExecutorError::Protocol(what))
    }
}

/// Runs an operation until it gives an answer that `pick` takes; with what followed, where that counts.
async fn ask<T>(
    executor: &impl Launch,
    context: &Context,
    operation: &'static str,
    config: Option<&Json>,
    mut pick: impl FnMut(Message<'_>) -> Result<Option<T>, ExecutorError>,
) -> Result<(T, After), ExecutorError> {
    let mut call = Call::new(operation);
    if let Some(config) = config {
        call = call.file("config", config.get());
    }
    let Started { mut connector, stdout, .. } = executor.start(call, context).await?;
    let mut reader = LineReader::new(stdout, executor.limits().line_bytes);
    let mut answer = None;
    // From the answer on.
    let mut until: Option<Instant> = None;
    let mut fault: Option<Failure> = None;
    let (mut noise, mut again, mut closed) = (0_u64, 0, false);
    loop {
        if answer.is_some() {
            let time = if context.strict { executor.limits().stop_time } else { GOODBYE };
            until.get_or_insert_with(|| Instant::now() + time);
        }
        let more = match until {
            // One that never stops is always ready: no timer would be looked at.
            Some(until) if until <= Instant::now() => break,
            Some(until) => match tokio::time::timeout_at(until, reader.fill()).await {
                Ok(more) => more,
                Err(_) => break,
            },
            None => reader.fill().await,
        };
        if !more.map_err(lines_error)? {
            closed = true;
            break;
        }
        while let Some(line) = reader.next_line().map_err(lines_error)? {
            match Message::decode(line) {
                Ok(Message::Log(log)) => context.observer.log(log.level(), &log.message),
                Ok(Message::Trace(Trace::Error { message, detail, kind, stream })) => {
                    let first = Failure { kind, message, detail, stream, retry_after_ms: None };
                    fault.get_or_insert(first);
                }
                Ok(Message::Control(control)) => {
                    context.observer.update_config(Json::from(control.config)).await?;
                }
                Ok(message) if answer.is_none() => answer = pick(message)?,
                Ok(message) => again += usize::from(!matches!(pick(message), Ok(None))),
                Err(MessageError::NotAMessage) => {
                    noise += 1;
                    note(context, line);
                }
                Err(e) => context.observer.log(LogLevel::Warn, &e.to_string()),
            }
        }
    }
    if noise > 0 {
        let text = format!("{noise} lines of {operation}'s output were no messages");
        context.observer.log(LogLevel::Debug, &text);
    }
    // Where it counts how it ends, it is let.
    if answer.is_some() && !(context.strict && closed) {
        connector.stop().await?
    } else {
        connector.wait().await?
    }
    match (answer, fault) {
        (Some(answer), _) if !context.strict => Ok((answer, After::default())),
        (Some(answer), fault) => {
            let exit = match connector.ended(false).filter(|_| closed) {
                // Who had to be stopped ended by that.
                Some(ExecutorError::Ended { how, early: false, .. })
                    if !how.starts_with("did not end") =>
                {
                    Some(how)
                }
                _ => None,
            };
            Ok((answer, After { again, fault, exit }))
        }
        (None, Some(failure)) => Err(failure.into()),
        (None, None) => Err(connector.ended(false).unwrap_or_else(|| ExecutorError::NoAnswer {
            program: connector.program().to_owned(),
            operation,
            stderr: connector.stderr(),
        })),
    }
}

/// The answer, where nothing that counts came after it.
fn only<T>((answer, after): (T, After)) -> Result<T, ExecutorError> {
    after.fault(false).map_or(Ok(answer), Err)
}

pub(super) async fn spec(
    executor: &impl Launch,
    context: &Context,
) -> Result<Specification, ExecutorError> {
    let limits = executor.limits();
    let asking = ask(executor, context, "spec", None, |message| match message {
        Message::Spec(body) => {
            Specification::from_airbyte(body.get()).map(Some).map_err(ExecutorError::Protocol)
        }
        _ => Ok(None),
    });
    let asked = within(Some(limits.spec_time + limits.process_start), "spec", asking).await?;
    only(asked)
}

pub(super) async fn check(
    executor: &impl Launch,
    context: &Context,
    config: &Json,
) -> Result<(), ExecutorError> {
    let limits = executor.limits();
    let asking = ask(executor, context, "check", Some(config), |message| match message {
        Message::ConnectionStatus(status) if status.status == "SUCCEEDED" => Ok(Some(Ok(()))),
        Message::ConnectionStatus(status) => {
            let why = status.message.unwrap_or_else(|| "it gave no reason".into());
            Ok(Some(Err(Failure::config(why))))
        }
        _ => Ok(None),
    });
    let (answer, after) =
        within(Some(limits.check_time + limits.process_start), "check", asking).await?;
    match after.fault(answer.is_err()) {
        Some(fault) => Err(fault),
        None => answer.map_err(ExecutorError::Failure),
    }
}

pub(super) async fn discover(
    executor: &impl Launch,
    context: &Context,
    config: &Json,
) -> Result<Vec<DiscoveredStream>, ExecutorError> {
    let limits = executor.limits();
    let asking = ask(executor, context, "discover", Some(config), |message| match message {
        Message::Catalog(body) => DiscoveredStream::list_from_airbyte(body.get())
            .map(Some)
            .map_err(|e| ExecutorError::Protocol(e.to_string())),
        _ => Ok(None),
    });
    let asked = within(Some(limits.check_time + limits.process_start), "discover", asking).await?;
    only(asked)
}
