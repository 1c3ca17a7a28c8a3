//! What a connector says, with its secrets hidden. The matches name every kind of error, so that a
//! new one is thought of.

use super::SecretError;
use crate::component::ComponentError;
use crate::executor::ExecutorError;
use crate::protocol::{DiscoveredStream, Failure, Need, Specification, StreamDescriptor};
use crate::sandbox::secrets::Redactor;

fn text(redactor: &Redactor, text: &str) -> String {
    redactor.redact(text).into_owned()
}

fn descriptor(redactor: &Redactor, stream: StreamDescriptor) -> StreamDescriptor {
    StreamDescriptor {
        name: text(redactor, &stream.name),
        namespace: stream.namespace.map(|n| text(redactor, &n)),
    }
}

pub(super) fn failure(redactor: &Redactor, failure: Failure) -> Failure {
    Failure {
        message: text(redactor, &failure.message),
        detail: failure.detail.map(|d| text(redactor, &d)),
        stream: failure.stream.map(|s| descriptor(redactor, s)),
        ..failure
    }
}

pub(super) fn error(redactor: &Redactor, error: ExecutorError) -> ExecutorError {
    use ExecutorError as E;
    if redactor.is_empty() {
        return error;
    }
    match error {
        E::Component(error) => E::Component(component(redactor, error)),
        E::Failure(said) => E::Failure(failure(redactor, said)),
        E::Start { program, reason } => E::Start { program, reason: text(redactor, &reason) },
        E::Ended { program, how, early, stderr } => {
            E::Ended { program, how, early, stderr: text(redactor, &stderr) }
        }
        E::NoAnswer { program, operation, stderr } => {
            E::NoAnswer { program, operation, stderr: text(redactor, &stderr) }
        }
        E::Garbled { line, reason } => E::Garbled { line, reason: text(redactor, &reason) },
        E::Protocol(said) => E::Protocol(text(redactor, &said)),
        E::Acknowledgement { said, changed } => {
            E::Acknowledgement { said: text(redactor, &said), changed }
        }
        E::Io { what, reason } => E::Io { what, reason: text(redactor, &reason) },
        E::Panic { operation, reason } => E::Panic { operation, reason: text(redactor, &reason) },
        E::ChangeInvalid(why) => E::ChangeInvalid(text(redactor, &why)),
        E::ChangeRefused(why) => E::ChangeRefused(text(redactor, &why)),
        E::Unsupported(said) => E::Unsupported(text(redactor, &said)),
        E::Python(error) => E::Python(error.hidden(&|said| text(redactor, said))),
        E::Fenced { error: inner, fence } => {
            E::Fenced { error: Box::new(self::error(redactor, *inner)), fence }
        }
        E::Docker(error) => E::Docker(error.map_text(|said| text(redactor, said))),
        E::Contained { error: inner, hint } => {
            E::Contained { error: Box::new(self::error(redactor, *inner)), hint }
        }
        // The registry's faults name places and fields, and a connector has no say in them.
        error @ (E::LineTooLong { .. }
        | E::Timeout { .. }
        | E::Registry(_)
        | E::NoExecutor { .. }
        | E::Secret(_)
        | E::Grant { .. }
        | E::Fence(_)) => error,
    }
}

fn component(redactor: &Redactor, error: ComponentError) -> ComponentError {
    use ComponentError as E;
    match error {
        E::Trap { operation, reason, detail } => {
            E::Trap { operation, reason: text(redactor, &reason), detail: text(redactor, &detail) }
        }
        E::Memory { operation, limit_mib, detail } => {
            E::Memory { operation, limit_mib, detail: text(redactor, &detail) }
        }
        E::Spent { operation, what, detail } => {
            E::Spent { operation, what, detail: text(redactor, &detail) }
        }
        E::Busy { operation, detail } => E::Busy { operation, detail: text(redactor, &detail) },
        E::Failure(said) => E::Failure(failure(redactor, said)),
        E::Engine(reason) => E::Engine(text(redactor, &reason)),
        // About the file, as it was before it ran.
        error @ (E::Unreadable { .. }
        | E::TooLarge { .. }
        | E::CompileTime { .. }
        | E::CompileMemory { .. }
        | E::CompilerMissing { .. }
        | E::Compiler { .. }
        | E::NotWasm { .. }
        | E::CoreModule { .. }
        | E::Truncated { .. }
        | E::Invalid { .. }
        | E::Precompiled { .. }
        | E::NoConnector { .. }
        | E::Contract { .. }
        | E::Import { .. }
        | E::Kind { .. }
        | E::NoNetwork { .. }
        | E::TlsRoot { .. }
        | E::Directory { .. }
        | E::DirectoryRefused { .. }
        | E::Timeout { .. }
        | E::Cpu { .. }) => error,
    }
}

/// A specification as it may be shown. The schema it has here is not the one to check against: a
/// word of it may be somebody's password.
pub(crate) fn specification(redactor: &Redactor, spec: Specification) -> Specification {
    if redactor.is_empty() {
        return spec;
    }
    let needs = spec.needs.iter().map(|need| Need {
        capability: text(redactor, &need.capability),
        pattern: text(redactor, &need.pattern),
        reason: text(redactor, &need.reason),
    });
    Specification {
        name: text(redactor, &spec.name),
        version: text(redactor, &spec.version),
        documentation_url: spec.documentation_url.as_deref().map(|url| text(redactor, url)),
        config_schema: redactor.redact_json(&spec.config_schema),
        needs: needs.collect(),
        extra: members(redactor, spec.extra),
        destination_sync_modes: spec.destination_sync_modes,
    }
}

/// A stream as it may be shown.
pub(crate) fn stream(redactor: &Redactor, stream: DiscoveredStream) -> DiscoveredStream {
    if redactor.is_empty() {
        return stream;
    }
    let path = |path: &Vec<String>| path.iter().map(|step| text(redactor, step)).collect();
    DiscoveredStream {
        descriptor: descriptor(redactor, stream.descriptor),
        json_schema: redactor.redact_json(&stream.json_schema),
        default_cursor_field: path(&stream.default_cursor_field),
        source_defined_primary_key: stream.source_defined_primary_key.iter().map(path).collect(),
        extra: members(redactor, stream.extra),
        ..stream
    }
}

fn members(
    redactor: &Redactor,
    members: serde_json::Map<String, serde_json::Value>,
) -> serde_json::Map<String, serde_json::Value> {
    match redactor.redact_value(&serde_json::Value::Object(members)) {
        serde_json::Value::Object(members) => members,
        _ => serde_json::Map::new(),
    }
}

/// Refuses a stream whose name holds a secret: names go into the state store, into reports and into
/// the destination's own names.
pub(super) fn refuse_names<'a>(
    redactor: &Redactor,
    streams: impl Iterator<Item = &'a StreamDescriptor>,
) -> Result<(), SecretError> {
    for stream in streams {
        let names = [Some(stream.name.as_str()), stream.namespace.as_deref()];
        if let Some(label) = names.iter().flatten().find_map(|name| redactor.finds(name)) {
            return Err(SecretError::InName { label: label.to_owned() });
        }
    }
    Ok(())
}
