//! Any way of running a connector, with its secrets filled in just before use and hidden in all it
//! says.
//!
//! The attack: a connector logs the password it was given, puts it in an error, in a state that is
//! stored and printed, in a stream's name or in a change of its configuration; or it sends back a
//! reference, to have a command run. See [`crate::sandbox::secrets`]. Rows are not looked at: what a
//! source reads is what its destination is for.

mod changes;
mod command;
mod error;
mod hide;
mod observer;
mod source;
mod vault;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

pub(crate) use self::changes::Changes;
pub use self::error::SecretError;
pub(crate) use self::hide::{specification as hide_specification, stream as hide_stream};
use self::observer::{SealingOutput, SecretObserver};
pub use self::source::{GivenSecrets, SecretSource, SystemSecrets};
pub use self::vault::Vault;
use super::{Context, Described, Executor, ExecutorError};
use crate::component::Component;
use crate::protocol::{
    Capability, Catalog, Decision, DestinationInput, DiscoveredStream, Json, LogLevel, Observer,
    SourceOutput, Specification, StateMessage,
};
use crate::sandbox::secrets::{
    Becomes, Piece, Redactor, Role, SecretReference, Secrets, Variable, is_short, looks_secret,
    map_texts, pieces, secret_members,
};

/// A connector whose secrets are filled in and hidden.
#[derive(Debug, Clone)]
pub struct SecretExecutor {
    inner: Arc<dyn Executor>,
    source: Arc<dyn SecretSource>,
    environment: Vec<(String, Variable)>,
    vault: Arc<Vault>,
    own: Arc<Mutex<Own>>,
}

/// What one connector was given.
#[derive(Debug, Default)]
struct Own {
    /// Its schema, once it was asked for.
    schema: Option<Arc<Value>>,
    secrets: Secrets,
    redactor: Arc<Redactor>,
    /// What the operator referred to, and what it stands for.
    references: Vec<(SecretReference, SecretString)>,
    /// Finds what a changed configuration must not hold.
    guard: Arc<Redactor>,
    /// Labels of variables that hold a plain value and whose name says nothing of a secret.
    plain: Vec<String>,
    /// Finds what a name must not hold: not the value of one of those, which may be a schema's name.
    names: Arc<Redactor>,
    /// Members that the operator was warned of.
    warned: Vec<String>,
}

impl Own {
    /// The secrets that a changed configuration cannot hold but as a reference.
    fn unwritable(&self) -> Secrets {
        let mut secrets = Secrets::default();
        for (reference, value) in &self.references {
            secrets.add(&reference.to_string(), value.expose_secret());
        }
        for secret in self.secrets.all().iter().filter(|s| s.label.starts_with("env.")) {
            secrets.add(&secret.label, secret.expose());
        }
        secrets
    }
}

impl SecretExecutor {
    /// Runs what `inner` runs. `environment` are the variables of its policy: their references are
    /// filled in too. All that is known to `vault` is hidden in what it says.
    #[must_use]
    pub fn new(
        inner: Arc<dyn Executor>,
        source: Arc<dyn SecretSource>,
        environment: Vec<(String, Variable)>,
        vault: Arc<Vault>,
    ) -> Self {
        Self { inner, source, environment, vault, own: Arc::default() }
    }

    fn own<T>(&self, body: impl FnOnce(&mut Own) -> T) -> T {
        body(&mut self.own.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a text stands for. None where it holds no reference.
    async fn filled(
        &self,
        observer: &dyn Observer,
        member: &str,
        label: &str,
        text: &str,
    ) -> Result<Option<String>, SecretError> {
        let malformed = |reason| SecretError::Malformed { member: member.to_owned(), reason };
        let Some(pieces) = pieces(text).map_err(malformed)? else { return Ok(None) };
        let mut whole = String::new();
        for (number, piece) in pieces.into_iter().enumerate() {
            let reference = match piece {
                Piece::Text(text) => {
                    whole.push_str(&text);
                    continue;
                }
                Piece::Reference(reference) => reference,
            };
            let rule = format!("secret {reference}");
            let value = self.vault.resolve(self.source.as_ref(), &reference).await;
            let value = value.map_err(|reason| {
                let rule = "unavailable";
                observer.decided(&Decision::deny(Capability::Secret, member, rule));
                let (member, reference) = (member.to_owned(), reference.to_string());
                SecretError::Unavailable { member, reference, reason }
            })?;
            observer.decided(&Decision::allow(Capability::Secret, member, rule));
            let text = value.expose_secret();
            self.learn(observer, member, &format!("{label}#{number}"), text);
            whole.push_str(text);
            self.own(|own| {
                // A stored change can name what stands in the configuration, and nothing else.
                let known = own.references.iter().any(|(known, _)| *known == reference);
                if label.starts_with("config.") && !known {
                    own.references.push((reference, value.clone()));
                }
            });
        }
        Ok(Some(whole))
    }

    /// Notes a secret, or that it is too short to be hidden.
    fn learn(&self, observer: &dyn Observer, member: &str, label: &str, value: &str) {
        if !is_short(value) {
            self.own(|own| own.secrets.add(label, value));
            return;
        }
        let new = !value.is_empty()
            && self.own(|own| {
                let new = !own.warned.iter().any(|known| known == member);
                if new {
                    own.warned.push(member.to_owned());
                }
                new
            });
        if new {
            let what =
                "has fewer than 6 characters: it cannot be hidden in what is logged and stored";
            observer.log(LogLevel::Warn, &format!("the secret {member} {what}"));
        }
    }

    /// Fills in the environment, once for a run.
    async fn fill_environment(&self, observer: &dyn Observer) -> Result<(), SecretError> {
        for (name, variable) in &self.environment {
            let (member, label) = (format!("env {name}"), format!("env.{name}"));
            let written = variable.written();
            match self.filled(observer, &member, &label, written).await? {
                Some(value) => variable.fill(value.into()),
                None if looks_secret(name) => {}
                None => self.own(|own| {
                    if !own.plain.contains(&label) {
                        own.plain.push(label.clone());
                    }
                }),
            }
            // Most short ones are no secrets: a flag, a number.
            if !is_short(variable.expose()) {
                self.own(|own| own.secrets.add(&label, variable.expose()));
            }
        }
        Ok(())
    }

    /// Fills in a configuration and notes what is secret in it.
    async fn fill(&self, observer: &dyn Observer, config: &Json) -> Result<Json, SecretError> {
        let unreadable = |_| SecretError::Malformed {
            member: "the configuration".to_owned(),
            reason: "it is nested too deeply",
        };
        let mut texts = Vec::new();
        strings(&config.to_value().map_err(unreadable)?, String::new(), &mut texts);
        let mut filled = std::collections::HashMap::new();
        for (place, text) in texts {
            let label = format!("config.{place}");
            if let Some(whole) = self.filled(observer, &place, &label, &text).await? {
                filled.insert(text, whole);
            }
        }
        let config = map_texts(config, |role, text| match filled.get(text) {
            Some(whole) if role == Role::Text => Becomes::Text(whole.clone()),
            _ => Becomes::Same,
        });
        self.learn_members(observer, &config);
        Ok(config)
    }

    /// Notes the secrets that a configuration holds in plain words.
    fn learn_members(&self, observer: &dyn Observer, config: &Json) {
        let schema = self.own(|own| own.schema.clone());
        let Ok(value) = config.to_value() else { return };
        for (place, text) in secret_members(schema.as_deref(), &value) {
            self.learn(observer, &place, &format!("config.{place}"), &text);
        }
    }

    /// Makes all that was noted known to everyone who hides.
    fn publish(&self) {
        self.own(|own| {
            if own.secrets.all().len() != own.redactor.known() {
                own.redactor = Arc::new(Redactor::new(&own.secrets));
                own.names = Arc::new(Redactor::new(&own.secrets.without(&own.plain)));
                own.guard = Arc::new(Redactor::new(&own.unwritable()));
                self.vault.learn(&own.secrets);
            }
        });
    }

    /// Finds what no name may hold.
    fn names(&self) -> Arc<Redactor> {
        self.own(|own| own.names.clone())
    }

    fn own_redactor(&self) -> Arc<Redactor> {
        self.own(|own| own.redactor.clone())
    }

    /// Prepares an operation: its context, and its configuration.
    async fn begin(
        &self,
        context: &Context,
        config: &Json,
    ) -> Result<(Context, Json), ExecutorError> {
        let observer = context.observer.as_ref();
        let filled = match self.fill_environment(observer).await {
            Ok(()) => self.fill(observer, config).await,
            Err(error) => Err(error),
        };
        self.publish();
        let filled = filled.map_err(ExecutorError::Secret)?;
        let observer = Arc::new(SecretObserver {
            inner: context.observer.clone(),
            executor: self.clone(),
            written: config.clone(),
            filled: filled.clone(),
        });
        Ok((Context { observer, ..context.clone() }, filled))
    }

    fn hide(&self, error: ExecutorError) -> ExecutorError {
        hide::error(&self.vault.redactor(), error)
    }

    fn check_names(&self, catalog: &Catalog) -> Result<(), ExecutorError> {
        let names = catalog.streams.iter().map(|s| &s.stream.descriptor);
        hide::refuse_names(&self.names(), names).map_err(ExecutorError::Secret)
    }

    fn unsealed(&self, state: &StateMessage) -> Result<StateMessage, ExecutorError> {
        let body = self.own_redactor().unseal_json(state.body());
        let body = body.map_err(|label| ExecutorError::Secret(SecretError::Sealed { label }))?;
        StateMessage::from_airbyte(body).map_err(|e| ExecutorError::Protocol(e.to_string()))
    }
}

/// The strings of a document, with their places.
fn strings(value: &Value, place: String, found: &mut Vec<(String, String)>) {
    let join =
        |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match value {
        Value::String(text) => found.push((place, text.clone())),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| strings(v, join(&i.to_string()), found));
        }
        Value::Object(members) => members.iter().for_each(|(k, v)| strings(v, join(k), found)),
        _ => {}
    }
}

#[async_trait]
impl Executor for SecretExecutor {
    fn describe(&self) -> Described {
        self.inner.describe()
    }

    fn identity(&self) -> Vec<String> {
        self.inner.identity()
    }

    fn policy(&self) -> Option<&crate::sandbox::Policy> {
        self.inner.policy()
    }

    fn may_import(&self) -> Result<(), ExecutorError> {
        self.inner.may_import()
    }

    fn component(&self) -> Option<(&Component, &crate::sandbox::Policy)> {
        self.inner.component()
    }

    async fn secrets(
        &self,
        context: &Context,
        config: &Json,
    ) -> Result<HashMap<String, String>, ExecutorError> {
        // What cannot be had is said, and what was given is known to all who hide.
        self.begin(context, config).await?;
        let mut texts = Vec::new();
        if let Ok(value) = config.to_value() {
            strings(&value, String::new(), &mut texts);
        }
        let written = self.environment.iter().map(|(_, variable)| variable.written().to_owned());
        let texts = texts.into_iter().map(|(_, text)| text).chain(written);
        let mut values = HashMap::new();
        for text in texts {
            for piece in pieces(&text).ok().flatten().into_iter().flatten() {
                let Piece::Reference(reference) = piece else { continue };
                // Asked for once a run: this is what `begin` was told.
                if let Ok(value) = self.vault.resolve(self.source.as_ref(), &reference).await {
                    values.insert(reference.to_string(), value.expose_secret().to_owned());
                }
            }
        }
        Ok(values)
    }

    fn redactor(&self) -> Arc<Redactor> {
        self.vault.redactor()
    }

    async fn filled_in(&self, context: &Context, config: &Json) -> Result<Json, ExecutorError> {
        Ok(self.begin(context, config).await?.1)
    }

    async fn spec(&self, context: &Context) -> Result<Specification, ExecutorError> {
        let (context, _) = self.begin(context, &Json::empty_object()).await?;
        let spec = self.inner.spec(&context).await.map_err(|e| self.hide(e))?;
        let schema = spec.config_schema.to_value().ok().map(Arc::new);
        self.own(|own| own.schema = schema);
        Ok(spec)
    }

    async fn check(&self, context: &Context, config: &Json) -> Result<(), ExecutorError> {
        let (context, config) = self.begin(context, config).await?;
        self.inner.check(&context, &config).await.map_err(|e| self.hide(e))
    }

    async fn discover(
        &self,
        context: &Context,
        config: &Json,
    ) -> Result<Vec<DiscoveredStream>, ExecutorError> {
        let (context, config) = self.begin(context, config).await?;
        let streams = self.inner.discover(&context, &config).await.map_err(|e| self.hide(e))?;
        let names = streams.iter().map(|s| &s.descriptor);
        hide::refuse_names(&self.names(), names).map_err(ExecutorError::Secret)?;
        Ok(streams)
    }

    async fn read(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        states: &[StateMessage],
        output: Arc<dyn SourceOutput>,
    ) -> Result<(), ExecutorError> {
        let (context, config) = self.begin(context, config).await?;
        self.check_names(catalog)?;
        let states: Vec<StateMessage> =
            states.iter().map(|s| self.unsealed(s)).collect::<Result<_, _>>()?;
        let output = Arc::new(SealingOutput { inner: output, executor: self.clone() });
        let reading = self.inner.read(&context, &config, catalog, &states, output);
        reading.await.map_err(|e| self.hide(e))
    }

    async fn write(
        &self,
        context: &Context,
        config: &Json,
        catalog: &Catalog,
        input: Arc<dyn DestinationInput>,
    ) -> Result<(), ExecutorError> {
        let (context, config) = self.begin(context, config).await?;
        self.inner.write(&context, &config, catalog, input).await.map_err(|e| self.hide(e))
    }
}
