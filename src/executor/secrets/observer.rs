//! What a connector says while it runs, with its secrets hidden.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::ExposeSecret;
use serde_json::value::RawValue;

use super::{SecretExecutor, hide};
use crate::protocol::{
    Capability, Decision, Failure, Json, LogLevel, Observer, Rows, SourceOutput, StateMessage,
    StateScope, StreamDescriptor, StreamStatus,
};
use crate::sandbox::secrets::{Becomes, Redactor, Role, escape, map_texts, written};

/// Hears one operation of a connector.
pub(super) struct SecretObserver {
    pub(super) inner: Arc<dyn Observer>,
    pub(super) executor: SecretExecutor,
    /// The configuration as it was written.
    pub(super) written: Json,
    /// The configuration as the connector has it.
    pub(super) filled: Json,
}

#[async_trait]
impl Observer for SecretObserver {
    fn log(&self, level: LogLevel, message: &str) {
        self.inner.log(level, &self.executor.vault.redactor().redact(message));
    }

    async fn update_config(&self, config: Json) -> Result<(), Failure> {
        let change = self.as_written(&config)?;
        self.executor.learn_members(self.inner.as_ref(), &config);
        self.executor.publish();
        let hidden = |failure| hide::failure(&self.executor.vault.redactor(), failure);
        self.inner.update_config(change).await.map_err(hidden)
    }

    fn decided(&self, decision: &Decision) {
        let redactor = self.executor.vault.redactor();
        if redactor.is_empty() {
            return self.inner.decided(decision);
        }
        self.inner.decided(&Decision {
            target: redactor.redact(&decision.target).into_owned(),
            rule: redactor.redact(&decision.rule).into_owned(),
            ..decision.clone()
        });
    }
}

type Members = BTreeMap<String, Box<RawValue>>;

fn members(json: &Json) -> Result<Members, Failure> {
    serde_json::from_str(json.get())
        .map_err(|_| Failure::system("the changed configuration is not a JSON object"))
}

impl SecretObserver {
    /// A change in the operator's way of writing: a secret that was referred to is the reference
    /// again, and what the connector made look like a reference is text.
    fn as_written(&self, change: &Json) -> Result<Json, Failure> {
        let (mut changed, before, filled) =
            (members(change)?, members(&self.written)?, members(&self.filled)?);
        for (name, value) in &mut changed {
            let now = Json::from(value.as_ref());
            let stays = filled.get(name).is_some_and(|known| Json::from(known.as_ref()).same(&now));
            match before.get(name) {
                Some(written) if stays => *value = written.clone(),
                _ => *value = self.changed_member(name, value)?,
            }
        }
        // Names and values that are JSON, so it is.
        let text = serde_json::to_string(&changed).unwrap_or_default();
        Json::object(text).map_err(|e| Failure::system(e.to_string()))
    }

    fn changed_member(&self, member: &str, value: &RawValue) -> Result<Box<RawValue>, Failure> {
        let (references, redactor) =
            self.executor.own(|own| (own.references.clone(), own.guard.clone()));
        let mut encoded = redactor.finds(member).is_some();
        let mut forged = false;
        let new = map_texts(&Json::from(value), |role, text| {
            if role == Role::Name {
                encoded |= redactor.finds(text).is_some();
                return Becomes::Same;
            }
            let mut new = escape(text);
            forged |= role == Role::Text && new != text;
            // The longest first: one secret may be a part of another.
            let mut known: Vec<_> = references.iter().collect();
            known.sort_by_key(|(_, value)| std::cmp::Reverse(value.expose_secret().len()));
            for (reference, value) in known {
                let value = value.expose_secret();
                if text == value {
                    return Becomes::Text(written(reference));
                }
                if !crate::sandbox::secrets::is_short(value) {
                    new = new.replace(&escape(value), &written(reference));
                }
            }
            encoded |= redactor.finds(&new).is_some();
            if new == text { Becomes::Same } else { Becomes::Text(new) }
        });
        if forged {
            let decision = Decision::deny(Capability::Secret, member, "not-the-operators");
            self.decided(&decision);
        }
        if encoded {
            let what = "the changed configuration holds a secret in a form that cannot be stored";
            return Err(Failure::system(what));
        }
        RawValue::from_string(new.get().to_owned())
            .map_err(|_| Failure::system("the changed configuration cannot be read"))
    }
}

/// A state with placeholders.
fn sealed(redactor: &Redactor, state: &StateMessage) -> Result<StateMessage, Failure> {
    let sealed = redactor.seal_json(state.body());
    if sealed.get() == state.body().get() {
        return Ok(state.clone());
    }
    StateMessage::from_airbyte(sealed)
        .map_err(|e| Failure::system(format!("the state holds a secret: {e}")))
}

/// The streams that a state is of.
fn streams(state: &StateMessage) -> Vec<StreamDescriptor> {
    match state.scope() {
        StateScope::Stream(stream) => vec![stream.clone()],
        _ => state.parts().into_iter().map(|part| part.descriptor).collect(),
    }
}

/// Takes a source's output. States get placeholders for the secrets they hold.
pub(super) struct SealingOutput {
    pub(super) inner: Arc<dyn SourceOutput>,
    pub(super) executor: SecretExecutor,
}

#[async_trait]
impl SourceOutput for SealingOutput {
    async fn emit(&self, rows: Rows) -> Result<(), Failure> {
        self.inner.emit(rows).await
    }

    async fn checkpoint(&self, state: StateMessage) -> Result<u64, Failure> {
        let mut sealed = sealed(&self.executor.own_redactor(), &state)?;
        if streams(&sealed) != streams(&state) {
            // A variable's value that is the name of a stream, which is no secret: then it is none
            // in the rest of the state either.
            sealed = self::sealed(&self.executor.names(), &state)?;
        }
        self.inner.checkpoint(sealed).await
    }

    async fn status(&self, stream: u32, status: StreamStatus) -> Result<(), Failure> {
        self.inner.status(stream, status).await
    }

    fn estimate(&self, stream: u32, rows: Option<u64>, bytes: Option<u64>) {
        self.inner.estimate(stream, rows, bytes);
    }
}
